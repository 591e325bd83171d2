"""The compiled half of `semlink.phy.fec.layered`, which says what the arrays are.

Compiled once for each of the two data types, whatever the code, and kept on disk by Numba.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import no_type_check

import numpy as np
from numba import njit

from semlink.phy.fec import simd
from semlink.phy.fec.simd import (
    add,
    at,
    either,
    excess,
    load,
    magnitude,
    maximum,
    minimum,
    negate_where,
    pick,
    quarter,
    splat,
    store,
    sub,
    xor,
)

CERTAIN = np.float32(1e6)


@no_type_check
def _keep(vectors):
    """`_decode`, kept on disk: Numba sees by itself that this file changed, and for another file what a closure holds.

    Args:
        vectors: stands for the content of `semlink.phy.fec.simd`, which is compiled into it.
    """

    @njit(nogil=True, cache=True)
    def decode(*arguments):
        assert vectors
        _decode(*arguments)

    return decode


@njit(nogil=True)
@no_type_check
def _decode(
    llr, out, used, converged, where, known_from, known_to, z, columns, group, starts, source, target, again, check,
    base, turned, like, steps, limit, most, height, iterations, soft,
):  # fmt: skip
    """Decode the frames of `llr`, `group` at a time; all arrays as in `LayeredDecoder` and `_Schedule`."""
    run = z * group
    padded = -(-run // 64) * 64
    lanes = 64 // like.itemsize
    widest = 0
    for row in range(len(starts) - 1):
        widest = max(widest, starts[row + 1] - starts[row])
    posterior = _aligned(base[columns - 1] + 2 * padded + 64, like)
    messages = _aligned(starts[-1] * padded, like)
    scratch = _aligned(widest * padded, like)
    word = np.empty(columns * z, np.float32)
    broken = np.empty(group, np.bool_)
    for first in range(0, llr.shape[0], group):
        frames = min(group, llr.shape[0] - first)
        posterior[:] = 0
        messages[:] = 0
        for frame in range(frames):
            _rate_recover(llr[first + frame], where, word, known_from, known_to)
            _fill(word, posterior, base, turned, z, group, frame, steps, limit)
        _repeat(posterior, base, run, padded, lanes)
        waiting = frames
        used[first : first + frames] = 0
        for iteration in range(1, iterations + 1):
            _iterate(posterior, messages, scratch, starts, source, target, again, run, padded, lanes, most, height)
            _find_broken(
                posterior, scratch, starts, check, broken, used[first : first + frames], z, group, padded, lanes,
            )  # fmt: skip
            for frame in range(frames):
                if used[first + frame] == 0 and not broken[frame]:
                    # All zeros meet every check, but decide nothing.
                    broken[frame] = _undecided(posterior, len(out[0]), base, z, group, frame)
                at_end = iteration == iterations
                if used[first + frame] == 0 and (at_end or not broken[frame]):
                    used[first + frame] = iteration
                    converged[first + frame] = not broken[frame]
                    _read(posterior, out[first + frame], base, turned, z, group, frame, steps, soft)
                    waiting -= 1
            if waiting == 0:
                break


@njit(nogil=True)
@no_type_check
def _undecided(posterior, info, base, z, group, frame):
    """Whether an information bit of one frame of a group is as likely 0 as 1."""
    for column in range(-(-info // z)):
        for i in range(z):  # fillers among them are certain
            if posterior[base[column] + i * group + frame] == 0:
                return True
    return False


@njit(nogil=True)
@no_type_check
def _aligned(size, like):
    """An array of `size` elements of the type of `like`, on a boundary of the widest vectors."""
    raw = np.empty(size * like.itemsize + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size * like.itemsize].view(like.dtype)


@njit(nogil=True)
@no_type_check
def _rate_recover(llr, where, word, known_from, known_to):
    """Put the LLRs of a frame on the bits of the code word: 0 on what was not sent, certainty on what is known."""
    word[:] = 0
    for i in range(len(where)):
        word[where[i]] += max(min(llr[i], CERTAIN), -CERTAIN)  # two infinities may contradict each other
    word[known_from:known_to] = np.inf


@njit(nogil=True)
@no_type_check
def _fill(word, posterior, base, turned, z, group, frame, steps, limit):
    """Quantise the LLRs of one frame of a group into the runs, each rotated as after an iteration."""
    for column in range(len(base)):
        turn, bits, lanes = turned[column], word[column * z : column * z + z], posterior[base[column] + frame :]
        _quantise(bits[turn:], lanes, group, steps, limit)
        _quantise(bits[:turn], lanes[(z - turn) * group :], group, steps, limit)


@njit(nogil=True)
@no_type_check
def _quantise(bits, lanes, group, steps, limit):
    for i in range(len(bits)):
        value = max(min(bits[i] * steps, limit), -limit)
        lanes[i * group] = np.rint(value)


@njit(nogil=True)
@no_type_check
def _repeat(posterior, base, run, padded, lanes):
    """Repeat every run behind itself."""
    for column in range(len(base)):
        for lane in range(0, padded, lanes):
            store(posterior, base[column] + run + lane, load(posterior, base[column] + lane))


@njit(nogil=True)
@no_type_check
def _read(posterior, out, base, turned, z, group, frame, steps, soft):
    """The information bits of one frame of a group, or their LLRs."""
    for column in range(-(-len(out) // z)):
        turn, lanes = turned[column], posterior[base[column] + frame :]
        bits = out[column * z : min(column * z + z, len(out))]
        _unquantise(lanes[(z - turn) * group :], bits[:turn], group, steps, soft)
        _unquantise(lanes, bits[turn:], group, steps, soft)


@njit(nogil=True)
@no_type_check
def _unquantise(lanes, bits, group, steps, soft):
    if soft:
        for i in range(len(bits)):
            bits[i] = lanes[i * group] / steps
    else:
        for i in range(len(bits)):
            bits[i] = np.float32(lanes[i * group] < 0)


@njit(nogil=True)
@no_type_check
def _boxplus(a, b, ramp):
    """Of two magnitudes, but for the term of their sum."""
    low = minimum(a, b)
    return excess(low, excess(ramp, quarter(sub(maximum(a, b), low))))


@njit(nogil=True)
@no_type_check
def _iterate(posterior, messages, scratch, starts, source, target, again, run, padded, lanes, most, height):
    """One pass over all rows."""
    infinite, zero, ramp = splat(posterior, most), splat(posterior, 0), splat(posterior, height)
    for row in range(len(starts) - 1):
        edge = at(starts, row)
        degree = at(starts, row + 1) - edge
        for lane in range(0, padded, lanes):
            # Bit-to-check messages, the least magnitude, the boxplus of all others, and the product of the signs.
            least, others, sign = infinite, infinite, zero
            message, keep = edge * padded + lane, lane
            for i in range(degree):
                value = sub(load(posterior, at(source, edge + i) + lane), load(messages, message))
                store(scratch, keep, value)
                size = magnitude(value)
                others = _boxplus(others, maximum(least, size), ramp)
                least = minimum(least, size)
                sign = xor(sign, value)
                message += padded
                keep += padded
            both = excess(ramp, quarter(add(least, others)))
            joint = _boxplus(add(least, both), add(others, both), ramp)
            message, keep = edge * padded + lane, lane
            for _ in range(degree):
                value = load(scratch, keep)
                size = pick(magnitude(value), least, others, joint)
                answer = negate_where(size, xor(sign, value))
                store(messages, message, answer)
                store(scratch, keep, add(value, answer))
                message += padded
                keep += padded
        keep = 0
        for i in range(degree):
            write = at(target, edge + i)
            for lane in range(0, padded, lanes):
                store(posterior, write + lane, load(scratch, keep + lane))
            for lane in range(0, at(again, edge + i), lanes):
                store(posterior, write + run + lane, load(scratch, keep + lane))
            keep += padded


@njit(nogil=True)
@no_type_check
def _find_broken(posterior, scratch, starts, check, broken, used, z, group, padded, lanes):
    """Which frames of a group break a parity check; looks no further once all that still wait do."""
    for lane in range(0, padded, lanes):
        store(scratch, lane, splat(posterior, 0))
    for row in range(len(starts) - 1):
        edge = at(starts, row)
        degree = at(starts, row + 1) - edge
        for lane in range(0, padded, lanes):
            parity = splat(posterior, 0)
            for i in range(degree):
                parity = xor(parity, load(posterior, at(check, edge + i) + lane))
            store(scratch, lane, either(load(scratch, lane), parity))
        if row == 0 or row == len(starts) - 2:
            _collect(scratch, broken, z, group)
            if row == 0 and _all_wait_in_vain(broken, used):
                return


@njit(nogil=True)
@no_type_check
def _collect(scratch, broken, z, group):
    broken[:] = False
    for i in range(z):
        for frame in range(group):
            broken[frame] |= np.signbit(np.float32(scratch[i * group + frame]))


@njit(nogil=True)
@no_type_check
def _all_wait_in_vain(broken, used):
    for frame in range(len(used)):
        if used[frame] == 0 and not broken[frame]:
            return False
    return True


decode = _keep(hashlib.blake2b(Path(simd.__file__).read_bytes()).hexdigest())
