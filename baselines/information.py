"""What any constellation carries on AWGN: mutual information, its inverse, and the mean over a varying channel.

Of square QAM `semlink.baselines.capacity` has it to more digits; here it is taken from there.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike

from semlink.baselines import capacity
from semlink.baselines.doors import QAM_NAME, points_of
from semlink.baselines.mcs import MCS
from semlink.phy.modulation import Modulation

Numbers = ArrayLike | float | int  # NumPy's alias says complex, which a check at run time takes at its word
Kind = Literal["constrained", "bicm"]

# The trapezoidal rule over noise of unit variance on each axis: off by less than 1e-4 bit (tests/baselines).
_STEP, _REACH = 0.4, 5.2
_NODES = _STEP * np.arange(-round(_REACH / _STEP), round(_REACH / _STEP) + 1)
_LEVELS_DB = np.arange(-40.0, 50.0, 0.25)
_MOST = 1 << 22  # numbers at a time


def information(points: Modulation, esno_db: Numbers, kind: Kind = "constrained") -> Float[np.ndarray, " *shape"]:
    """Mutual information of equiprobable points on AWGN, bits per complex symbol, within 1e-4 bit.

    "constrained" is the limit of coded modulation; "bicm" that of a receiver which hands each bit's LLR to a binary
    decoder. Sources: G. Ungerboeck, IEEE Trans. Inf. Theory 28 (1982) 55–67, eq. (5); G. Caire, G. Taricco and
    E. Biglieri, ibid. 44 (1998) 927–946, section III.

    Args:
        points: constellation and labels.
        esno_db: Es/N0 in dB, of any shape.
        kind: which of the two.
    """
    levels = np.asarray(esno_db, dtype=np.float64)
    missing = [_missing(points, 10 ** (float(level) / 10), kind) for level in levels.reshape(-1)]
    return np.asarray(np.maximum(points.bits_per_symbol - np.array(missing).reshape(levels.shape), 0.0))


def esno_db_for(mcs: MCS, bits: Numbers) -> Float[np.ndarray, " *shape"]:
    """The Es/N0 in dB at which `bits` per complex symbol are what the points of a scheme carry at most.

    Raises:
        ValueError: `bits` is negative, or not below the bits of a symbol.
    """
    if mcs.constellation == QAM_NAME:
        return capacity.esno_db_for(bits, order=mcs.order)
    wanted = np.asarray(bits, dtype=np.float64)
    if not np.all((wanted >= 0) & (wanted < mcs.bits_per_symbol)):
        raise ValueError(f"bits={wanted.tolist()} must be at least 0 and below {mcs.bits_per_symbol}")
    return _inverse(_table(points_of(mcs), "constrained"), mcs.bits_per_symbol - wanted)


def effective_esno_db(mcs: MCS, esno: Float[np.ndarray, "*shape n"]) -> Float[np.ndarray, " *shape"]:
    """The Es/N0 in dB on AWGN that carries the mean BICM information of a block whose symbols, or bits, meet `esno`.

    As `semlink.baselines.capacity.effective_esno_db`, for the points of any scheme; along the last axis.
    """
    if mcs.constellation == QAM_NAME:
        return capacity.effective_esno_db(mcs.order, esno)
    table = _table(points_of(mcs), "bicm")
    with np.errstate(divide="ignore"):
        missing = np.interp(10 * np.log10(esno), _LEVELS_DB, table)
    return _inverse(table, missing.mean(axis=-1))


def _inverse(missing: Float[np.ndarray, " levels"], wanted: Float[np.ndarray, " *shape"]) -> np.ndarray:
    return np.asarray(np.interp(wanted, missing[::-1], _LEVELS_DB[::-1]))


@lru_cache(maxsize=64)
def _table(points: Modulation, kind: Kind) -> Float[np.ndarray, " levels"]:
    """Bits that are missing at `_LEVELS_DB`, falling; where hardly any is, by next to nothing, to be inverted."""
    missing = np.zeros(len(_LEVELS_DB))
    for i, level in enumerate(_LEVELS_DB):
        missing[i] = _missing(points, 10 ** (level / 10), kind)
        if missing[i] < 1e-9:
            break
    return np.asarray(np.minimum.accumulate(np.maximum(missing, 1e-10)) - 1e-13 * np.arange(len(missing)))


def _missing(points: Modulation, esno: float, kind: Kind) -> float:
    """E log2(1 + P(another label | y) / P(the sent label | y)), summed over the bits, or for the point as a whole."""
    scaled = points.points * math.sqrt(2 * esno)  # over the noise's deviation on each axis
    noise = (_NODES[:, None] + 1j * _NODES).reshape(-1)
    weight = np.exp(-(np.abs(noise) ** 2) / 2)
    heavy = weight > 1e-9
    noise, weight = noise[heavy], weight[heavy] / weight[heavy].sum()
    rows = max(1, _MOST // (len(noise) * len(scaled)))
    parts = [_odds(scaled, points.labels, range(i, min(i + rows, len(scaled))), noise, kind) for i in
             range(0, len(scaled), rows)]  # fmt: skip
    return float(np.concatenate(parts).mean(axis=0) @ weight / math.log(2))


def _odds(
    scaled: Complex[np.ndarray, " order"],
    labels: np.ndarray,
    sent: range,
    noise: Complex[np.ndarray, " nodes"],
    kind: Kind,
) -> Float[np.ndarray, "sent nodes"]:
    shift = scaled[list(sent)][:, None] - scaled  # (sent, order)
    energy = -0.5 * np.abs(shift[:, None] + noise[:, None]) ** 2 + 0.5 * np.abs(noise[:, None]) ** 2
    ratio = np.exp(np.minimum(energy, 700.0))  # p(y | point) / p(y | sent), (sent, nodes, order)
    if kind == "constrained":
        return np.asarray(np.log(ratio.sum(axis=-1)))
    total: np.ndarray = np.zeros(ratio.shape[:2])
    whole = ratio.sum(axis=-1)
    for bit in labels.T:
        same = (bit[list(sent)][:, None] == bit).astype(float)  # (sent, order)
        total += np.log(whole / np.einsum("sno,so->sn", ratio, same))
    return total
