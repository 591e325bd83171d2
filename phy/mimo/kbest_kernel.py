"""The compiled half of `kbest.py`, which says what the arrays are."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Complex, Float, Int, UInt8
from numba import njit

Array = np.ndarray

_N0_FLOOR = 1e-10


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check  # shape checks of the tests cannot be compiled
def search(
    observed: Complex[Array, "m rx"],
    h: Complex[Array, "m rx s"],
    n0: Float[Array, " m"],
    levels: Float[Array, " levels"],
    labels: UInt8[Array, "levels bits"],
    width: int,
    clip: float,
    out: Float[Array, "m s bits2"],
) -> None:
    count, rx, streams = h.shape
    size = len(levels)
    columns = np.zeros((streams, rx + streams), np.complex128)
    r, z = np.zeros((streams, streams), np.complex128), np.zeros(streams, np.complex128)
    order = np.zeros(streams, np.int64)
    # Candidates: the distance so far, what the layer at work has left to explain, and the levels chosen on each axis.
    metric, rest = np.zeros(width), np.zeros(width, np.complex128)
    chosen, other = np.zeros((2, width, streams, 2), np.int16)
    child, index = np.zeros(width * size), np.zeros(width * size, np.int64)
    kept, kept_rest = np.zeros(width), np.zeros(width, np.complex128)
    best, changed = np.zeros((streams, 2, size)), np.zeros((streams, 2, size))
    residual = np.zeros(rx, np.complex128)
    for at in range(count):
        variance = max(np.float64(n0[at]), _N0_FLOOR)
        _decompose(h[at], observed[at], variance, columns, r, z, order)
        metric[0], alive = 0.0, 1
        for k in range(streams - 1, -1, -1):
            for p in range(alive):
                rest[p] = z[k]
                for j in range(k + 1, streams):
                    rest[p] -= r[k, j] * complex(levels[chosen[p, j, 0]], levels[chosen[p, j, 1]])
            scale = r[k, k].real
            # A stream that does not arrive leaves sqrt(N0) alone in its column, and any level is as good as another.
            branches = size if scale * scale > variance * (1.0 + 1e-9) else 1
            for axis in range(2):
                for p in range(alive):
                    left = rest[p].real if axis == 0 else rest[p].imag
                    for x in range(branches):
                        away = left - scale * levels[x]
                        child[p * branches + x] = metric[p] + away * away - variance * levels[x] * levels[x]
                total = alive * branches
                alive = min(width, total)
                _select(child, index, total, alive)
                for p in range(alive):
                    parent, x = index[p] // branches, index[p] % branches
                    kept[p], kept_rest[p] = child[index[p]], rest[parent]
                    for j in range(k, streams):
                        other[p, j, 0], other[p, j, 1] = chosen[parent, j, 0], chosen[parent, j, 1]
                    other[p, k, axis] = x
                metric, kept = kept, metric
                rest, kept_rest = kept_rest, rest
                chosen, other = other, chosen
        _score(metric[:alive], chosen, order, best)
        first = np.argmin(metric[:alive])
        _change(h[at], observed[at], chosen[first], order, levels, residual, changed)
        _compare(best, changed, labels, metric[first], variance, clip, out[at])


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _decompose(
    h: Complex[Array, "rx s"],
    y: Complex[Array, " rx"],
    variance: float,
    columns: Complex[Array, "s rows"],
    r: Complex[Array, "s s"],
    z: Complex[Array, " s"],
    order: Int[Array, " s"],
) -> None:
    """[H; sqrt(N0) I] P = Q R and z = Q^H [y; 0] by modified Gram-Schmidt, the weakest column first: detected last."""
    rx, streams = h.shape
    rows = rx + streams
    for i in range(streams):
        for a in range(rows):
            columns[i, a] = h[a, i] if a < rx else 0.0
        columns[i, rx + i] = math.sqrt(variance)
        order[i] = i
    for k in range(streams):
        weakest, least = k, np.inf
        for i in range(k, streams):
            norm = 0.0
            for a in range(rows):
                norm += columns[i, a].real ** 2 + columns[i, a].imag ** 2
            if norm < least:
                weakest, least = i, norm
        if weakest != k:
            order[k], order[weakest] = order[weakest], order[k]
            for a in range(rows):
                columns[k, a], columns[weakest, a] = columns[weakest, a], columns[k, a]
            for a in range(k):
                r[a, k], r[a, weakest] = r[a, weakest], r[a, k]
        r[k, k] = math.sqrt(least)
        z[k] = 0.0
        for a in range(rows):
            columns[k, a] /= r[k, k].real
        for a in range(rx):
            z[k] += np.conj(columns[k, a]) * y[a]
        for i in range(k + 1, streams):
            r[k, i] = 0.0
            for a in range(rows):
                r[k, i] += np.conj(columns[k, a]) * columns[i, a]
            for a in range(rows):
                columns[i, a] -= r[k, i] * columns[k, a]


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _select(values: Float[Array, " n"], index: Int[Array, " n"], count: int, least: int) -> None:
    """Put the indices of the `least` smallest of the first `count` values first (C. A. R. Hoare's FIND, 1961)."""
    for i in range(count):
        index[i] = i
    low, high = 0, count - 1
    while low < high and least < count:
        pivot = values[index[(low + high) // 2]]
        i, j = low, high
        while i <= j:
            while values[index[i]] < pivot:
                i += 1
            while values[index[j]] > pivot:
                j -= 1
            if i <= j:
                index[i], index[j] = index[j], index[i]
                i += 1
                j -= 1
        if least - 1 <= j:
            high = j
        elif least - 1 >= i:
            low = i
        else:
            return


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _score(
    metric: Float[Array, " k"],
    chosen: Int[Array, "k s 2"],
    order: Int[Array, " s"],
    best: Float[Array, "s 2 levels"],
) -> None:
    """The least distance of a candidate with each level on each axis of each stream."""
    best[:] = np.inf
    for p in range(len(metric)):
        for k in range(len(order)):
            for axis in range(2):
                x = chosen[p, k, axis]
                best[order[k], axis, x] = min(best[order[k], axis, x], metric[p])


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _change(
    h: Complex[Array, "rx s"],
    y: Complex[Array, " rx"],
    chosen: Int[Array, "s 2"],
    order: Int[Array, " s"],
    levels: Float[Array, " levels"],
    residual: Complex[Array, " rx"],
    changed: Float[Array, "s 2 levels"],
) -> None:
    """By how much the distance of a candidate grows if one of its levels is changed for another."""
    for a in range(len(h)):
        residual[a] = y[a]
        for k in range(len(order)):
            residual[a] -= h[a, order[k]] * complex(levels[chosen[k, 0]], levels[chosen[k, 1]])
    for k in range(len(order)):
        stream, power, toward = order[k], 0.0, 0j
        for a in range(len(h)):
            gain = np.complex128(h[a, stream])
            power += gain.real**2 + gain.imag**2
            toward += np.conj(gain) * residual[a]
        for axis in range(2):
            along = toward.real if axis == 0 else toward.imag
            for x in range(len(levels)):
                step = levels[x] - levels[chosen[k, axis]]
                changed[stream, axis, x] = step * step * power - 2.0 * step * along


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _compare(
    best: Float[Array, "s 2 levels"],
    changed: Float[Array, "s 2 levels"],
    labels: UInt8[Array, "levels bits"],
    least: float,
    variance: float,
    clip: float,
    out: Float[Array, "s bits2"],
) -> None:
    """LLRs from the least distances by level; of a kind that the list has none of, from the best candidate changed."""
    for stream in range(len(best)):
        for axis in range(2):
            for bit in range(labels.shape[1]):
                zero, one, far_zero, far_one = np.inf, np.inf, clip * variance, clip * variance
                for x in range(len(labels)):
                    if labels[x, bit]:
                        one, far_one = min(one, best[stream, axis, x]), min(far_one, changed[stream, axis, x])
                    else:
                        zero, far_zero = min(zero, best[stream, axis, x]), min(far_zero, changed[stream, axis, x])
                if not zero < np.inf:
                    zero = least + max(far_zero, 0.0)
                if not one < np.inf:
                    one = least + max(far_one, 0.0)
                out[stream, 2 * bit + axis] = (one - zero) / variance
