"""Hybrid ARQ: a transport block is sent again until its CRC holds, and what every round brought is decoded together.

What a round is made of, what the feedback costs and how often it errs, and what follows from it for an image: how many
rounds are expected and how likely it arrives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from semlink.baselines.adaptation import HOPELESS, failure_at
from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.capacity import bicm, bicm_by_bit, bicm_missing, missing_esno_db
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.phy.link import Channel, esno_to_n0
from semlink.phy.parameters import check_choice
from semlink.phy.rng import probe

Combining = Literal["ir", "chase"]
"""Incremental redundancy: every round has other coded bits; chase combining: every round has the same."""
Budget = Literal["most", "mean"]
"""What the ratio is of: the channel uses that all rounds take, or those that are expected."""

ORDER = (0, 2, 3, 1)
"""Redundancy versions by round, as NR sends them without being told otherwise (TS 38.214 clause 5.1.2.1)."""
MOST_ROUNDS = 16
"""Of a block: more change nothing."""
MOST_SYMBOLS = 1 << 24
"""Of the frame of an image, with the waiting between its rounds."""
_DRAWN = 1 << 22  # symbols of fades over which the outage is averaged, at most or a little more
_DRAWS = 16, 256  # fades, at least and at most
_KEPT = 1 << 24  # symbols of which what each QAM leaves open is kept; of more, of long waiting say, as it is asked for
# By how much more was spent than was expected with a mean budget, before rounds were made shorter by it: 2 to 8 % with
# incremental redundancy, up to 6 % with chase combining, in the README's comparison at 0, 4, 8, 12 and 16 dB.
_OVER = {"ir": 1.05, "chase": 1.02}
_TRIES = 6  # until the length of a round and the rounds that are expected of it agree
_POINTS = 128  # symbols of a code block whose Es/N0 stands for all
# What incremental redundancy loses against the mutual information of its rounds: 0.25 to 0.61 dB where half of the
# blocks are lost, measured on AWGN with two and four rounds of nr1-5, nr1-13 and nr1-20 in 256 symbols each; chase
# combining loses less than 0.15.
_IR_LOSS_DB = 0.45
_GRID_DB = np.arange(-40.0, 60.01, 0.1)


@dataclass(frozen=True)
class Harq:
    """How a transport block is sent until it arrives.

    Attributes:
        rounds: transmissions at most, the first one included; 1 is the link without feedback.
        combining: "ir" or "chase".
        order: redundancy versions by round, begun anew when they are used up; chase combining repeats the first one.
        delay: channel uses from the end of a round to the begin of the next, in which others send; with a channel that
            changes, later is more different.
        ack_lost: the probability that an ACK arrives as NACK: a round is spent on what is there already.
        nack_lost: the probability that a NACK arrives as ACK: the block is given up.
        budget: "most" or "mean".
        round_ratio: channel uses of a round / (c·h·w); None for what follows from the budget.

    Raises:
        ValueError: an option out of range, or a round ratio beside a mean budget.
    """

    rounds: int = 4
    combining: Combining = "ir"
    order: tuple[int, ...] = ORDER
    delay: int = 0
    ack_lost: float = 0.0
    nack_lost: float = 0.0
    budget: Budget = "most"
    round_ratio: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise ValueError(f"harq={self.rounds} must be from 1 to {MOST_ROUNDS} rounds")
        check_choice("combining", self.combining, get_args(Combining))
        check_choice("budget", self.budget, get_args(Budget))
        if not self.order or not set(self.order) <= set(ORDER):
            told = "".join(map(str, self.order))
            raise ValueError(f"rv={told} must be of the redundancy versions 0, 1, 2 and 3 (TS 38.212 clause 5.4.2.1)")
        if not 0 <= self.delay <= MOST_SYMBOLS:
            raise ValueError(f"delay={self.delay} must be from 0 to {MOST_SYMBOLS} channel uses")
        for name, share in (("ack-lost", self.ack_lost), ("nack-lost", self.nack_lost)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name}={share} must be from 0 to 1, a probability")
        if self.round_ratio is not None and not 0 < self.round_ratio <= 1:
            raise ValueError(f"round={self.round_ratio} must be above 0 and up to 1, a bandwidth ratio")
        if self.round_ratio is not None and self.budget == "mean":
            raise ValueError("round and budget=mean both say how long a round is; give one of them")

    @property
    def versions(self) -> tuple[int, ...]:
        """The redundancy version of each round."""
        if self.combining == "chase":
            return self.order[:1] * self.rounds
        return tuple(self.order[i % len(self.order)] for i in range(self.rounds))

    def expect(
        self, fails: Float[np.ndarray, "*draws rounds"]
    ) -> tuple[Float[np.ndarray, " *draws"], Float[np.ndarray, " *draws"]]:
        """Rounds that are sent on average, and how likely the block arrives.

        Args:
            fails: the probability that the block cannot be decoded from the first t rounds, falling.
        """
        before = np.concatenate([np.ones_like(fails[..., :1]), fails[..., :-1]], axis=-1)
        first = before - fails  # decoded from so many rounds, and not from fewer
        sent, arrives = np.ones(fails.shape[:-1]), np.zeros(fails.shape[:-1])
        for s in range(self.rounds):
            asked = (1 - self.nack_lost) ** s  # every NACK before has arrived
            arrives = arrives + first[..., s] * asked
            sent = sent + (before[..., s] * asked if s else 0.0)
            sent = sent + first[..., s] * asked * sum(self.ack_lost**i for i in range(1, self.rounds - s))
        return np.asarray(sent), np.asarray(arrives)


def round_failures(
    plan: Plan, versions: tuple[int, ...], esno: Float[np.ndarray, "*draws rounds n"]
) -> Float[np.ndarray, "*draws rounds"]:
    """The probability that a block cannot be decoded from its first t rounds, from the block error rates on AWGN.

    Each round's Es/N0 is averaged over a code block by mutual information, as `adaptation.image_failure` does. The
    LLRs of a bit that is sent again add up, and the first round alone at the Es/N0 at which its bits would carry the
    mutual information of all stands for the rounds together, less 0.45 dB that incremental redundancy was measured to
    lose.

    Args:
        plan: of one round.
        versions: redundancy version of each round.
        esno: Es/N0 of each symbol of each round, linear; n = 1 for the same in all of a round.
    """
    if esno.shape[-1] > 1:
        return _failures_of(plan, versions, _by_block(plan, esno, partial(bicm_missing, plan.mcs.order)))
    with np.errstate(divide="ignore"):
        return _failures_of(plan, versions, 10 * np.log10(esno))


def _failures_of(
    plan: Plan, versions: tuple[int, ...], levels: Float[np.ndarray, "*draws rounds blocks"]
) -> Float[np.ndarray, "*draws rounds"]:
    """The same for the Es/N0 of each code block in each round in dB."""
    levels_of_rounds = [levels[..., 0, :], *_together(plan, versions, levels)]
    fails = np.stack([failure_at(plan, one) for one in levels_of_rounds], axis=-1)
    return np.minimum.accumulate(fails, axis=-1)


def _by_block(
    plan: Plan, values: Float[np.ndarray, "*draws rounds n"], missing: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> Float[np.ndarray, "*draws rounds blocks"]:
    """Es/N0 of each code block in each round in dB.

    Args:
        plan: of one round.
        values: of each symbol.
        missing: makes of them what each symbol leaves open of its bits; where nothing is given they are that.
    """
    levels, at = [], 0
    for count, (_, size) in zip(plan.counts, plan.sizes, strict=True):
        places = at + np.arange(count)[:, None] * size + _spread(size)
        levels.append(missing_esno_db(plan.mcs.order, missing(values[..., places]).mean(axis=-1)))
        at += count * size
    return np.concatenate(levels, axis=-1)


def _spread(size: int) -> np.ndarray:
    """Symbols of a code block that stand for all."""
    points = min(size, _POINTS)
    return np.asarray((np.arange(points) * size) // points)


def _together(
    plan: Plan, versions: tuple[int, ...], levels: Float[np.ndarray, "*draws rounds blocks"]
) -> list[Float[np.ndarray, "*draws blocks"]]:
    """The Es/N0 in dB at which one round would tell as much as the first two, three and so on of these."""
    block, at, m = plan.transport, 0, plan.mcs.bits_per_symbol
    assert block is not None
    together: list[list[np.ndarray]] = [[] for _ in versions[1:]]
    for count, (_, size) in zip(plan.counts, plan.sizes, strict=True):
        own = levels if levels.shape[-1] == 1 else levels[..., at : at + count]
        evidence = _evidence(plan.mcs.order, own)
        alone = _information(block.coverage(size * m, versions[:1]), _evidence_grid(plan.mcs.order)[:, None])
        for t, found in enumerate(together, start=2):
            told = _information(block.coverage(size * m, versions[:t]), evidence[..., :t, :])
            lost = _IR_LOSS_DB if len(set(versions[:t])) > 1 else 0.0
            found.append(np.interp(told, alone, _GRID_DB) - lost)
        at += count
        if levels.shape[-1] == 1:
            break  # groups differ by a symbol at most
    return [np.concatenate(found, axis=-1) for found in together]


def _evidence(order: int, levels: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, " labels *shape"]:
    """The Es/N0, linear, of a 4-QAM whose bits carry what those in each label of this QAM do.

    It is what adds up in a sum of LLRs, as those of 4-QAM are Gaussian and those of the others nearly so.
    """
    return np.stack([np.interp(levels, _GRID_DB, one) for one in _evidence_grid(order)])


@lru_cache(maxsize=8)
def _evidence_grid(order: int) -> Float[np.ndarray, "labels grid"]:
    return np.asarray(10 ** (np.interp(bicm_by_bit(order, _GRID_DB), _quarter(), _GRID_DB) / 10))


def _information(
    coverage: tuple[Int[np.ndarray, "kinds rounds labels"], Float[np.ndarray, " kinds"]],
    evidence: Float[np.ndarray, "labels *draws rounds blocks"],
) -> Float[np.ndarray, "*draws blocks"]:
    """Information of all bits, over their number in a round."""
    kinds, share = coverage
    labels, *draws, rounds, blocks = evidence.shape
    flat = np.moveaxis(evidence, -2, 0).reshape(rounds * labels, -1)
    summed = kinds.reshape(len(kinds), -1).astype(float) @ flat  # (kinds, draws·blocks)
    with np.errstate(divide="ignore"):
        told = share @ np.interp(10 * np.log10(summed), _GRID_DB, _quarter())
    return np.asarray(told.reshape(*draws, blocks))


@lru_cache(maxsize=1)
def _quarter() -> Float[np.ndarray, " grid"]:
    """What a bit of 4-QAM carries at the levels of the grid."""
    return np.asarray(bicm(4, _GRID_DB)) / 2


def rounds_by_scheme(
    symbols: int, esno_db: float, harq: Harq, fading: Channel | None, *, length: int | None = None
) -> tuple[list[int], Float[np.ndarray, " schemes"]]:
    """How long a round of each of `NR_SCHEMES` is, in channel uses, and how likely the image is lost with it.

    With a mean budget a round is as long as makes the expected channel uses `symbols`: the more likely the first round
    suffices, the longer.

    Args:
        symbols: the budget.
        esno_db: average Es/N0.
        harq: the rounds.
        fading: the channel whose statistics are known, drawn from with seed 0; None for AWGN.
        length: of a round, where it is given.
    """
    fixed = symbols // harq.rounds if length is None else length
    most = symbols if harq.budget == "mean" else fixed
    if not most:  # nothing fades
        return [0] * len(NR_SCHEMES), np.ones(len(NR_SCHEMES))
    if fading is None:
        drawn = _Drawn(np.full((1, 1), 10 ** (esno_db / 10)))
    else:
        drawn = _Drawn(_draw(fading, harq.rounds * most + (harq.rounds - 1) * harq.delay, esno_db))
    of_each = [_settle(mcs, symbols, fixed, harq, drawn) for mcs in NR_SCHEMES]
    lengths, fails = [length for length, _ in of_each], np.array([lost for _, lost in of_each])
    return lengths, fails if harq.budget == "most" else _undominated(lengths, fails)


def _settle(mcs: MCS, symbols: int, length: int, harq: Harq, drawn: _Drawn) -> tuple[int, float]:
    """How long a round of a scheme is, and how likely an image is lost; 1 for a scheme that has no such block."""
    lost, tried = 1.0, symbols if harq.budget == "mean" else length
    try:
        for _ in range(_TRIES if harq.budget == "mean" else 1):
            sent, arrives = harq.expect(_mean_failures(plan_blocks(tried, mcs, "nr"), harq, drawn))
            lost = max(0.0, float(1 - arrives))
            length = tried if harq.budget == "most" else math.floor(symbols / (sent * _OVER[harq.combining]))
            if lost > HOPELESS or abs(length - tried) <= 0.01 * symbols:
                break
            tried = length
        plan_blocks(length, mcs, "nr")
    except ValueError:
        return length, 1.0
    return length, lost


def _mean_failures(plan: Plan, harq: Harq, drawn: _Drawn) -> Float[np.ndarray, " rounds"]:
    starts = [t * (plan.symbols + harq.delay) for t in range(harq.rounds)]
    esno = drawn.rounds(drawn.esno, starts, plan.symbols)
    varies = np.ptp(esno[:1], axis=2).any() or np.ptp(esno, axis=2).any()  # the first alone is soon looked at
    if varies and drawn.esno.size <= _KEPT:
        missing = drawn.rounds(drawn.missing(plan.mcs.order), starts, plan.symbols)
        fails = _failures_of(plan, harq.versions, _by_block(plan, missing))
    else:
        fails = round_failures(plan, harq.versions, esno if varies else esno[..., :1])
    return np.asarray(fails.mean(axis=0))


@dataclass(frozen=True)
class _Drawn:
    """Es/N0 of the symbols of frames, linear; n = 1 where no frame has more than one."""

    esno: Float[np.ndarray, "draws n"]
    _known: dict[int, Float[np.ndarray, "draws n"]] = field(default_factory=dict)

    def missing(self, order: int) -> Float[np.ndarray, "draws n"]:
        """What each symbol leaves open of the bits of a QAM: looked up once, though many schemes and lengths ask."""
        if order not in self._known:
            self._known[order] = bicm_missing(order, self.esno)
        return self._known[order]

    def rounds(
        self, values: Float[np.ndarray, "draws n"], starts: Sequence[int], n: int
    ) -> Float[np.ndarray, "draws rounds n"]:
        """The values of the symbols of rounds; one for each round where there is one for all."""
        if self.esno.shape[1] == 1:
            return np.broadcast_to(values[:, None], (len(values), len(starts), 1))
        return np.stack([values[:, start : start + n] for start in starts], axis=1)


def _draw(channel: Channel, symbols: int, esno_db: float) -> Float[np.ndarray, "draws n"]:
    """Es/N0 of the symbols of frames that met the channel; n = 1 where no frame has more than one."""
    rng, left = torch.Generator().manual_seed(0), min(max(_DRAWN // symbols, _DRAWS[0]), _DRAWS[1])
    frames: list[np.ndarray] = []
    while left > 0:
        at_once = min(left, max(1, (1 << 19) // symbols))
        received = channel(probe(at_once, symbols), esno_to_n0(esno_db), rng=rng).unbiased()
        frames.extend((1 / received.n0.double()).numpy())
        left -= at_once
    esno = np.stack(frames)
    return esno if np.ptp(esno, axis=1).any() else esno[:, :1]


def _undominated(lengths: list[int], fails: Float[np.ndarray, " schemes"]) -> Float[np.ndarray, " schemes"]:
    """With 1 for the schemes of which another carries more and fails no more often: no search need look at them."""
    carried = np.array([n * mcs.efficiency for n, mcs in zip(lengths, NR_SCHEMES, strict=True)])
    beaten = [bool(np.any((carried > own) & (fails <= lost))) for own, lost in zip(carried, fails, strict=True)]
    return np.where(beaten, 1.0, fails)
