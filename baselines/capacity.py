"""Ceilings on AWGN: what a code of unlimited length and any decoder could carry, in bits per complex symbol.

`esno_db` is Es/N0 in dB as everywhere here: noise CN(0, N0). On Rayleigh fading: `fading_ceilings.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

Array = np.ndarray
Numbers = ArrayLike | float | int  # NumPy's alias says complex, which a check at run time takes at its word
Kind = Literal["constrained", "bicm"]

# Quadrature over Gaussian noise of unit variance. The trapezoidal rule, not Gauss-Hermite: the logarithm of a sum of
# exponentials has poles near the real axis, where 20 Gauss-Hermite nodes are off by 7e-4 bit and 160 by 3e-8; these 181
# equal steps are off by less than 1e-12.
_STEP, _REACH = 0.1, 9.0
_NOISE = _STEP * np.arange(-round(_REACH / _STEP), round(_REACH / _STEP) + 1)
_WEIGHT = np.exp(-(_NOISE**2) / 2) / np.exp(-(_NOISE**2) / 2).sum()
_MOST = 1 << 16  # likelihood ratios at a time, which then stay in the cache
_STEPS = 100  # of a search for an Es/N0, which takes ten at most but where next to nothing is missing
_ESNO_MAX = 1e30  # in place of infinity, which would make 0 · inf

_TABLE_LOW_DB, _TABLE_STEP_DB = -40.0, 0.05
_TABLE_TOP_DISTANCE = 14.0  # of neighbouring points, over the noise's deviation: less than 1e-10 bit is missing there


def shannon(esno_db: Numbers) -> Float[Array, " *shape"]:
    """Capacity of the AWGN channel, log2(1 + Es/N0) bits per complex symbol; `esno_db` in dB, of any shape.

    Source: C. E. Shannon, "Communication in the presence of noise", Proc. IRE 37 (1949) 10–21, theorem 2.
    """
    return np.asarray(np.log1p(linear(esno_db)) / math.log(2))


def constrained(order: int, esno_db: Numbers) -> Float[Array, " *shape"]:
    """Mutual information of equiprobable square QAM on AWGN, bits per complex symbol: the limit of coded modulation.

    Within 1e-9 bit at any Es/N0, from 0 at -inf to log2(order) at inf.

    Args:
        order: number of points: 4, 16, 64, 256, ….
        esno_db: Es/N0 in dB, of any shape.

    Raises:
        ValueError: `order` is not an even power of two from 4.

    Source: G. Ungerboeck, "Channel coding with multilevel/phase signals", IEEE Trans. Inf. Theory 28 (1982) 55–67,
    eq. (5).
    """
    return _information("constrained", order, esno_db)


def bicm(order: int, esno_db: Numbers) -> Float[Array, " *shape"]:
    """Mutual information of bit-interleaved coded modulation on AWGN, bits per complex symbol.

    The limit of a receiver that hands each bit's log-likelihood ratio to a binary decoder, once, as
    `semlink.phy.constellation.QAM.llr` does. The labels are those of TS 38.211 clauses 5.1.3 to 5.1.6. Never above
    `constrained`; the same accuracy, arguments and errors.

    Source: G. Caire, G. Taricco and E. Biglieri, "Bit-interleaved coded modulation", IEEE Trans. Inf. Theory 44 (1998)
    927–946, section III.
    """
    return _information("bicm", order, esno_db)


def bicm_by_bit(order: int, esno_db: Float[Array, " n"]) -> Float[Array, "bits n"]:
    """The same of each label of an axis alone, in the order of TS 38.211 clause 5.1: the sign first, which tells most.

    Args:
        order: as of `bicm`; its log2(order) / 2 labels of an axis are those of the other, too.
        esno_db: Es/N0 in dB.

    Raises:
        ValueError: `order` is no square QAM.
    """
    return np.asarray(1 - _missing_on_axis("bicm", order, linear(esno_db)))


def esno_db_for(bits: Numbers, *, order: int | None = None) -> Float[Array, " *shape"]:
    """The Es/N0 in dB at which `bits` per complex symbol are the ceiling; -inf for 0 bits.

    Args:
        bits: information bits per complex symbol, of any shape.
        order: invert `constrained` for this constellation; None: `shannon`.

    Raises:
        ValueError: `bits` is negative or not a number, or not below log2(order); or `order` is no square QAM.
    """
    bits = np.asarray(bits, dtype=np.float64)
    limit = math.inf if order is None else 2.0 * _bits_per_axis(order)
    require("bits", bits, (bits >= 0) & (bits < limit), f"at least 0 and below {limit:g}")
    free = decibels(np.expm1(bits * math.log(2)))  # what Shannon's limit asks for, and no constellation less
    if order is None:
        return np.asarray(free)
    found = np.array(free)
    some = bits > 1e-6  # below, the two ceilings are the same to ten digits
    if some.any():
        found[some] = _constrained_root(order, bits[some], free[some])
    return found


def effective_esno_db(order: int, esno: Numbers, *, axis: int = -1) -> Float[Array, " *shape"]:
    """The Es/N0 in dB on AWGN that carries the same mean BICM information as a code block on a varying channel.

    Mutual-information effective-SNR mapping (MIESM), without the scaling that is fitted to a code: the block error rate
    of a long code on the block is near that on AWGN at this Es/N0. A constant Es/N0 maps to itself.

    Args:
        order: number of points: 4, 16, 64, 256, ….
        esno: Es/N0 of each symbol of the block, linear, (…, n, …); 0 and inf are allowed.
        axis: the axis of length n that makes up a block.

    Returns:
        Es/N0 in dB, of the shape of `esno` without `axis`; -inf where all are 0.

    Raises:
        ValueError: `order` is no square QAM, an Es/N0 is negative or not a number, or n = 0.

    Source: K. Brueninghaus et al., "Link performance models for system level simulations of broadband radio access
    systems", IEEE PIMRC 2005, 2306–2311.
    """
    missing = bicm_missing(order, np.atleast_1d(np.asarray(esno, dtype=np.float64)))
    if missing.shape[axis] == 0:
        raise ValueError(f"esno has shape {missing.shape}; axis {axis} must hold at least one symbol")
    return missing_esno_db(order, np.asarray(missing.mean(axis=axis)))


def bicm_missing(order: int, esno: Numbers) -> Float[Array, " *shape"]:
    """Bits per complex symbol that `bicm` lacks of log2(order) at each Es/N0, linear; from a table, within 1e-4 bit.

    Raises:
        ValueError: `order` is no square QAM, or an Es/N0 is negative or not a number.
    """
    esno = np.asarray(esno, dtype=np.float64)
    require("esno", esno, esno >= 0, "at least 0 (it is linear, not in dB)")
    return _table("bicm", order).missing_at(esno.reshape(-1)).reshape(esno.shape)


def missing_esno_db(order: int, missing: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """The Es/N0 in dB at which `bicm_missing` is so much: the mean over a block gives `effective_esno_db`.

    Through the information that is missing, not that which is there: near log2(order) the latter has no digits left.

    Raises:
        ValueError: `order` is no square QAM, or fewer bits than none are missing.
    """
    require("missing", missing, missing >= 0, "at least 0 bits")
    return _table("bicm", order).esno_db(missing)


def linear(esno_db: Numbers) -> Array:
    """Es/N0 from dB."""
    return np.asarray(10.0 ** (np.asarray(esno_db, dtype=np.float64) / 10.0))


def decibels(power: Numbers) -> Array:
    """Of a power, -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(power))


def require(name: str, values: Array, allowed: np.bool | Array, what: str) -> None:
    """Raise ValueError unless all are allowed; `what` they must be."""
    if not np.all(allowed):
        raise ValueError(f"{name}={float(values[~allowed].flat[0])} must be {what}")


def _bits_per_axis(order: int) -> int:
    side = math.isqrt(order) if order > 0 else 0
    if order < 4 or side * side != order or side & (side - 1):
        raise ValueError(f"order={order} must be an even power of two from 4: 4, 16, 64, 256, …")
    return side.bit_length() - 1


def _information(kind: Kind, order: int, esno_db: Numbers) -> Float[Array, " *shape"]:
    missing = _missing(kind, order, linear(esno_db))
    return np.asarray(np.maximum(2.0 * _bits_per_axis(order) - missing, 0.0))  # rounding alone could make it negative


def _missing(kind: Kind, order: int, esno: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """Bits of a symbol that the received value leaves open, of its log2(order). Not the difference: exact when tiny."""
    both_axes = 2.0 * _missing_on_axis(kind, order, esno.reshape(-1)).sum(axis=0)  # they are alike and independent
    return np.asarray(both_axes.reshape(esno.shape))


def _missing_on_axis(kind: Kind, order: int, esno: Float[Array, " n"]) -> Float[Array, "k n"]:
    """E log2(1 + P(another label | y) / P(the sent label | y)) of each of the k labels of a point."""
    sums, count = _sums(kind, order), math.isqrt(order)
    others, own = sums.reshape(2, -1, 2 * count - 1)
    apart = np.arange(1.0 - count, count)[:, None, None] * 2.0  # of all pairs of points; neighbours are two units apart
    rows = max(1, _MOST // (len(own) * len(_NOISE)))
    found = np.zeros((sums.shape[1], len(esno)))
    for i in range(0, len(esno), rows):
        flat = np.minimum(esno[i : i + rows], _ESNO_MAX)
        # Half the distance of neighbours over the noise's deviation is the unit.
        shift = apart * np.sqrt(3.0 * flat / (order - 1))[:, None]  # (2l - 1, n, 1)
        # p(y | point) / p(y | sent point) at y = sent + noise; at most exp(reach² / 2), so it cannot overflow.
        ratio = np.exp(-0.5 * shift**2 - shift * _NOISE).reshape(len(apart), -1)  # (2l - 1, n·noise)
        bits = np.log1p((others @ ratio) / (own @ ratio)).reshape(*sums.shape[1:3], -1, len(_NOISE)) @ _WEIGHT
        found[:, i : i + rows] = bits.mean(axis=1) / math.log(2)
    return found


@lru_cache(maxsize=32)
def _sums(kind: Kind, order: int) -> Float[Array, "2 k half apart"]:
    """Which points to sum over, by their distance from the sent one: those with another label, those with its own.

    For each of the k labels and of the points of one half of an axis, which the other mirrors; the distance goes from
    that to the first point as seen from the last one, to that to the last point as seen from the first one.
    """
    same = _same_label(kind, _bits_per_axis(order))
    count = same.shape[1]
    found = np.zeros((2, len(same), count // 2, 2 * count - 1))
    for i in range(count // 2):
        found[:, :, i, i : i + count] = np.stack([~same, same])[:, :, i, ::-1]
    return found


def _constrained_root(order: int, bits: Float[Array, " n"], free_db: Float[Array, " n"]) -> Float[Array, " n"]:
    """Where `constrained` is `bits`, within 1e-9 dB or what double precision tells; `free_db` is Shannon's limit.

    The secant through the last two points, on information told as the Es/N0 at which Shannon's limit would be as much:
    that is nearly Es/N0 itself where the constellation costs little. Bisection where it leaves the bracket.
    """
    low, high = free_db.copy(), np.full(bits.shape, 20.0 + 10 * math.log10(order))  # there nothing is missing any more
    before, x = low - 1e-3, low.copy()
    missed_before, done = _short_of(order, before, free_db), np.zeros(bits.shape, dtype=bool)
    for _ in range(_STEPS):
        missed = _short_of(order, x, free_db)
        low, high = np.where(missed >= 0, x, low), np.where(missed <= 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            aimed = x + missed * (x - before) / (missed_before - missed)
        aimed = np.where((aimed >= low) & (aimed <= high), aimed, (low + high) / 2)
        before, missed_before, x = x, missed, np.where(done, x, aimed)
        done |= np.abs(x - before) <= 1e-9
        if done.all():
            break
    return np.asarray(x)


def _short_of(order: int, esno_db: Float[Array, " n"], free_db: Float[Array, " n"]) -> Float[Array, " n"]:
    """By how much less, as an Es/N0 of Shannon's limit in dB, `constrained` carries than is wanted."""
    return np.asarray(free_db - decibels(np.expm1(constrained(order, esno_db) * math.log(2))))


def _same_label(kind: Kind, bits: int) -> Bool[Array, "k l l"]:
    """Whether two points of an axis agree in label k: in bit k, or, for coded modulation, whether they are the same."""
    if kind == "constrained":
        return np.eye(2**bits, dtype=bool)[None]
    labels = _gray_labels(bits).T
    return np.asarray(labels[:, :, None] == labels[:, None, :])


def _gray_labels(bits: int) -> Bool[Array, "l bits"]:
    """Labels of one axis, by rising amplitude (1 - 2 b0) (2^(bits-1) - (1 - 2 b1) (2^(bits-2) - …)): TS 38.211, 5.1."""
    labels = (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1).astype(bool)
    amplitude = np.zeros(2**bits)
    for bit in reversed(range(bits)):
        amplitude = (1 - 2 * labels[:, bit]) * (2 ** (bits - 1 - bit) - amplitude)
    return labels[np.argsort(amplitude)]


@dataclass(frozen=True)
class _Table:
    """Missing bits against Es/N0, linear in dB between the nodes, and its exact inverse.

    Below the table the information is proportional to Es/N0, as the true one is; above it the missing bits, fewer than
    1e-10, are inversely proportional to Es/N0, which they are not: but so everything stays monotone and invertible.
    """

    limit: float
    missing: Float[Array, " nodes"]

    @property
    def nodes_db(self) -> Float[Array, " nodes"]:
        return _TABLE_LOW_DB + _TABLE_STEP_DB * np.arange(self.missing.size)

    def missing_at(self, esno: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
        place = (decibels(esno) - _TABLE_LOW_DB) / _TABLE_STEP_DB
        last = self.missing.size - 1
        # np.interp would search for the node; on a uniform grid it is known.
        within = np.clip(place, 0, last)
        node = within.astype(np.intp)
        value = self.missing[node] + np.diff(self.missing, append=0.0)[node] * (within - node)
        below, above = place < 0, place > last
        if below.any():
            value[below] = self.limit - (self.limit - self.missing[0]) * esno[below] / linear(_TABLE_LOW_DB)
        if above.any():
            value[above] = self.missing[-1] * linear(self.nodes_db[-1]) / esno[above]
        return value

    def esno_db(self, missing: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
        inside = np.interp(missing, self.missing[::-1], self.nodes_db[::-1])
        low = _TABLE_LOW_DB + decibels(np.maximum(self.limit - missing, 0.0) / (self.limit - self.missing[0]))
        with np.errstate(divide="ignore", over="ignore"):
            high = self.nodes_db[-1] + decibels(self.missing[-1] / missing)
        return np.where(missing > self.missing[0], low, np.where(missing < self.missing[-1], high, inside))


@lru_cache(maxsize=16)
def _table(kind: Kind, order: int) -> _Table:
    bits = _bits_per_axis(order)
    top_db = 10 * math.log10(_TABLE_TOP_DISTANCE**2 * (order - 1) / 12)
    nodes_db = np.arange(_TABLE_LOW_DB, top_db, _TABLE_STEP_DB)
    return _Table(2.0 * bits, _missing(kind, order, linear(nodes_db)))
