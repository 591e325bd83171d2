"""Link adaptation: which modulation and coding a transmitter picks for an image, from what it knows of the channel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from semlink.baselines.bler import curve, schemes_of
from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.doors import code_spec, order_of
from semlink.baselines.information import effective_esno_db, esno_db_for
from semlink.baselines.mcs import MCS
from semlink.baselines.sources import Pixels, SourceCoder, code_image, grey_image
from semlink.phy.link import Channel, esno_to_n0
from semlink.phy.rng import probe

MODES = ("adaptive", "outage", "genie")
"""What is known: the average Es/N0; that and the distribution of the fading; the fades themselves."""

DRAWS = 256
"""Fades over which the outage of a scheme is averaged, at most or a little more."""

VARIED_SYMBOLS = 1 << 20
"""Symbols after which they suffice where fades vary within an image."""

HOPELESS = 0.95
"""Schemes that fail more often than this are not tried."""

SURE = 0.01
"""The search for the best scheme begins with the highest rate that fails no more often than this."""

WORTH = 1e-4
"""Share of the expected squared error that no further coding is made for."""


def image_failure(plan: Plan, esno: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, " *draws"]:
    """The probability that any code block of an image is lost, from the stored block error rates on AWGN.

    Where Es/N0 varies within a block, AWGN of the same mean BICM mutual information stands for it (MIESM: K.
    Brueninghaus et al., "Link performance models for system level simulations of broadband radio access systems",
    PIMRC 2005).

    Args:
        plan: the code blocks.
        esno: Es/N0 of each symbol, linear; n = 1 for the same in all.
    """
    if esno.shape[-1] == 1:
        with np.errstate(divide="ignore"):
            return failure_at(plan, 10 * np.log10(esno))
    esno = _by_coded_bit(plan, esno)
    per_symbol, levels, at = esno.shape[-1] // plan.symbols, [], 0
    for count, (_, size) in zip(plan.counts, plan.sizes, strict=True):
        taken = size * per_symbol
        blocks = esno[..., at : at + count * taken].reshape(*esno.shape[:-1], count, taken)
        levels.append(effective_esno_db(plan.mcs, blocks))
        at += count * taken
    return failure_at(plan, np.concatenate(levels, axis=-1))


def failure_at(plan: Plan, levels_db: Float[np.ndarray, "*draws blocks"]) -> Float[np.ndarray, " *draws"]:
    """The same for the Es/N0 of each code block in dB; blocks = 1 for the same in all."""
    arrives, at, same = np.ones(levels_db.shape[:-1]), 0, levels_db.shape[-1] == 1
    for count, (k, size) in zip(plan.counts, plan.sizes, strict=True):
        lost, shift_db = curve(plan.mcs, k, plan.code), _shift_db(plan, k, size)
        own = levels_db if same else levels_db[..., at : at + count]
        kept = 1 - lost.bler(own - shift_db)
        arrives *= kept[..., 0] ** count if same else np.prod(kept, axis=-1)
        at += count
    return 1 - arrives


def _by_coded_bit(plan: Plan, esno: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "*draws m"]:
    """The Es/N0 that each coded bit meets where an interleaver takes it elsewhere; without one, of each symbol."""
    interleaver = code_spec(plan.code).interleaver
    if interleaver is None:
        return esno
    sent = np.empty(plan.coded_bits, dtype=np.int64)
    sent[order_of(interleaver, plan.coded_bits).numpy()] = np.arange(plan.coded_bits)
    return esno[..., sent // plan.mcs.bits_per_symbol]


@lru_cache(maxsize=4096)
def _shift_db(plan: Plan, k: int, symbols: int) -> float:
    """By how much a block of "nr" needs more than the scheme's own rate does: NR's sizes are not quite of that rate."""
    if code_spec(plan.code).name != "nr":
        return 0.0
    return float(esno_db_for(plan.mcs, k / symbols) - esno_db_for(plan.mcs, plan.mcs.efficiency))


def failures(
    symbols: int, esno: Float[np.ndarray, "*draws n"], code: str = "ldpc"
) -> Float[np.ndarray, " schemes *draws"]:
    """`image_failure` of all schemes of a code for images of so many symbols; 1 where one has no block so short."""
    if esno.shape[-1] > 1 and not np.ptp(esno, axis=-1).any():
        esno = esno[..., :1]
    rows = []
    for mcs in schemes_of(code):
        try:
            rows.append(image_failure(plan_blocks(symbols, mcs, code), esno))
        except ValueError:
            rows.append(np.ones(esno.shape[:-1]))
    return np.stack(rows)


@lru_cache(maxsize=256)
def average_failures(symbols: int, esno_db: float, code: str = "ldpc") -> Float[np.ndarray, " schemes"]:
    """`failures` on AWGN at an average Es/N0: what a transmitter expects that knows of no fading."""
    return failures(symbols, np.array([10 ** (esno_db / 10)]), code)


def outage_failures(
    symbols: int, esno_db: float, channel: Channel, code: str = "ldpc"
) -> Float[np.ndarray, " schemes"]:
    """`failures` averaged over fades of a channel at an average Es/N0, seed 0.

    A long image averages over its own fades where they vary: it takes fewer draws. A channel without fades takes few.
    """
    rng, total, drawn, enough = torch.Generator().manual_seed(0), np.zeros(len(schemes_of(code))), 0, False
    at_once = max(2, (1 << 19) // symbols)
    while drawn < DRAWS and not enough:
        received = channel(probe(at_once, symbols), esno_to_n0(esno_db), rng=rng).unbiased()
        esno = 1 / received.n0.double().numpy()
        total += failures(symbols, esno, code).sum(axis=1)
        drawn += len(esno)
        varies = bool(np.ptp(esno, axis=1).any())
        enough = not np.ptp(esno).any() or (varies and drawn * symbols >= VARIED_SYMBOLS)
    return total / drawn


def best_scheme(
    source: SourceCoder,
    pixels: Pixels,
    symbols: int | Sequence[int],
    failure: Float[np.ndarray, " schemes"],
    code: str = "ldpc",
) -> MCS:
    """The scheme of least expected squared error for an image in a budget of channel uses.

    E[MSE] = P(failure)·MSE(fallback) + (1 - P(failure))·MSE(source coding in the scheme's payload). A lower rate is
    taken to have no smaller coding error, which ends the search early: where it could gain less than `WORTH`. That a
    receiver shows what came before the first lost block is left out of the account: with many blocks the choice is a
    little too careful. Where every scheme is hopeless, the most robust one is sent. Schemes may have budgets of their
    own.
    """
    fails, schemes = list(map(float, failure)), schemes_of(code)
    sizes = [symbols] * len(schemes) if isinstance(symbols, int) else symbols
    h, w, c = pixels.shape
    lost = float(np.mean((pixels.astype(np.float32) - grey_image((h, w, c))) ** 2))
    hopeful = [i for i, share in enumerate(fails) if share <= HOPELESS]
    if not hopeful:
        return _most_robust(sizes, code)

    def errors(i: int) -> tuple[float, float]:
        error = code_image(source, pixels, plan_blocks(sizes[i], schemes[i], code).payload_bytes).mse(pixels)
        return fails[i] * lost + (1 - fails[i]) * error, error

    # From where the best is likely to be: schemes that fail too often are then passed over without a coding.
    best = first = max((i for i in hopeful if fails[i] <= SURE), default=min(hopeful, key=fails.__getitem__))
    least, error = errors(first)
    for i in hopeful:
        if i > first and fails[i] * lost < least and (expected := errors(i)[0]) < least:
            best, least = i, expected
    for i in reversed(hopeful):
        if least - error < WORTH * least:
            break
        if i < first and fails[i] * lost < least:
            expected, error = errors(i)
            best, least = (i, expected) if expected < least else (best, least)
    return schemes[best]


def _most_robust(sizes: Sequence[int], code: str) -> MCS:
    """The scheme of lowest rate that has a code block so short.

    Raises:
        ValueError: none has.
    """
    schemes = schemes_of(code)
    for mcs, symbols in zip(schemes[:-1], sizes, strict=False):
        try:
            plan_blocks(symbols, mcs, code)
        except ValueError:
            continue
        return mcs
    plan_blocks(sizes[len(schemes) - 1], schemes[-1], code)
    return schemes[-1]


def best_schemes(
    source: SourceCoder,
    pixels: Sequence[Pixels],
    symbols: int | Sequence[int],
    failure: Float[np.ndarray, " schemes *images"],
    code: str = "ldpc",
) -> list[MCS]:
    """`best_scheme` of each image."""
    count = len(schemes_of(code))
    columns = np.broadcast_to(failure.reshape(count, -1), (count, len(pixels))).T
    return [best_scheme(source, one, symbols, column, code) for one, column in zip(pixels, columns, strict=True)]
