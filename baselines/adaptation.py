"""Link adaptation: which modulation and coding a transmitter picks for an image, from what it knows of the channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from semlink.baselines.bler import curve, needed_db, schemes_of
from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.doors import code_spec, order_of
from semlink.baselines.information import effective_esno_db, esno_db_for
from semlink.baselines.mcs import MCS
from semlink.baselines.sources import Estimating, Pixels, SourceCoder, code_image, error_against, grey_image
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

LIKELY = 1.02
"""Of the schemes of which only estimates are known those are tried that may be so many times worse than the best."""

ALONE = 1.05
"""One that is by so much better than all others, by estimates, is taken without a trial."""

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
    """By how much a block of "nr" needs more than one of k bits in the fewest symbols that keep to the scheme's rate.

    NR's sizes are not quite of that rate, and the stored block error rates are of those fewest symbols.
    """
    if code_spec(plan.code).name != "nr":
        return 0.0
    return float(esno_db_for(plan.mcs, k / symbols)) - needed_db(plan.mcs, k)


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
    if not symbols:  # nothing fades
        return np.ones(len(schemes_of(code)))
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
    taken to have no smaller coding error, which ends the search early: where it could gain less than `WORTH`. A source
    coder that estimates its error is asked for codings only in the schemes that may be the best by that. That a
    receiver shows what came before the first lost block is left out of the account: with many blocks the choice is a
    little too careful. Where every scheme is hopeless, the most robust one is sent. Schemes may have budgets of their
    own.
    """
    schemes = schemes_of(code)
    sizes = [symbols] * len(schemes) if isinstance(symbols, int) else symbols
    choice = _Choice(source, pixels, sizes, list(map(float, failure)), code)
    if not choice.hopeful:
        return _most_robust(sizes, code)
    return schemes[choice.by_codings() if choice.guess(choice.first) is None else choice.by_estimates()]


class _Choice:
    """The search for the scheme of one image, by index into `schemes_of` its code."""

    def __init__(
        self, source: SourceCoder, pixels: Pixels, sizes: Sequence[int], fails: list[float], code: str
    ) -> None:
        self.source, self.pixels, self.sizes, self.fails, self.code = source, pixels, sizes, fails, code
        self.hopeful = [i for i, share in enumerate(fails) if share <= HOPELESS]
        sure = [i for i in self.hopeful if fails[i] <= SURE]
        # From where the best is likely to be: schemes that fail too often are then passed over without a coding.
        self.first = max(sure) if sure else min(self.hopeful, key=fails.__getitem__, default=0)
        h, w, c = pixels.shape
        self.lost = error_against(pixels)(grey_image((h, w, c)))

    def guess(self, i: int) -> float | None:
        """About the squared error of the coding in the payload of a scheme; None where the coder cannot say."""
        return self.source.estimate(self.pixels, self._budget(i)) if isinstance(self.source, Estimating) else None

    def error(self, i: int) -> float:
        """The squared error of the coding in the payload of a scheme."""
        return code_image(self.source, self.pixels, self._budget(i)).mse(self.pixels)

    def expected(self, i: int, error: float) -> float:
        """The expected squared error of a scheme, given that of its coding."""
        return self.fails[i] * self.lost + (1 - self.fails[i]) * error

    def by_codings(self) -> int:
        """The best of all schemes that could be."""
        best, error = self.first, self.error(self.first)
        least = self.expected(best, error)
        for i in self.hopeful:
            if i > self.first and self.fails[i] * self.lost < least:
                expected = self.expected(i, self.error(i))
                best, least = (i, expected) if expected < least else (best, least)
        for i in reversed(self.hopeful):
            if least - error < WORTH * least:
                break
            if i < self.first and self.fails[i] * self.lost < least:
                error = self.error(i)
                expected = self.expected(i, error)
                best, least = (i, expected) if expected < least else (best, least)
        return best

    def by_estimates(self) -> int:
        """The best of those that may be by their estimates, once these are put right by the first coding."""
        guesses = self._guesses()
        likely, *others = sorted(guesses, key=lambda i: self.expected(i, guesses[i]))
        alone = ALONE * self.expected(likely, guesses[likely])
        if all(self.expected(i, guesses[i]) > alone for i in others):
            return likely
        errors = {likely: self.error(likely)}
        scale = errors[likely] / max(guesses[likely], 1e-9)
        least = self.expected(likely, errors[likely])
        for i, guess in guesses.items():
            if i not in errors and self.expected(i, scale * guess) <= LIKELY * least:
                errors[i] = self.error(i)
                least = min(least, self.expected(i, errors[i]))
        return min(errors, key=lambda i: self.expected(i, errors[i]))

    def _guesses(self) -> dict[int, float]:
        """Estimated errors of the schemes that are not out of the question, as in `by_codings`."""
        found: dict[int, float] = {}
        least = math.inf
        for i in [one for one in self.hopeful if one >= self.first]:
            if self.fails[i] * self.lost < least:
                found[i] = self.guess(i) or 0.0
                least = min(least, self.expected(i, found[i]))
        for i in [one for one in reversed(self.hopeful) if one < self.first]:
            if self.fails[i] * self.lost < least:
                found[i] = self.guess(i) or 0.0
                if found[i] >= (1 - WORTH) * least:
                    break
                least = min(least, self.expected(i, found[i]))
        return found

    def _budget(self, i: int) -> int:
        return plan_blocks(self.sizes[i], schemes_of(self.code)[i], self.code).payload_bytes


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
