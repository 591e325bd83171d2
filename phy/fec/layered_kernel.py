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
    BYTES,
    add,
    at,
    both,
    doubt,
    either,
    excess,
    load,
    magnitude,
    maximum,
    minimum,
    negate_where,
    pick,
    put,
    quantise,
    quarter,
    signs,
    splat,
    store,
    sub,
    xor,
)

CERTAIN = np.float32(1e6)


@no_type_check
def _keep(vectors):
    """The decoder, kept on disk: Numba sees by itself that this file changed, and for another what a closure holds.

    Args:
        vectors: stands for the content of `semlink.phy.fec.simd`, which is compiled into it.
    """

    # Flat arrays alone, all made by the caller, and no slices of them: what else there is takes seconds to compile.
    @njit(nogil=True, cache=True)
    def decode(
        llr, out, used, converged, unknown, unmet, where, pieces, z, group, starts, source, target, again, check, base,
        turned, posterior, messages, scratch, word, bits, sent, sums, known, fresh, waiting, broken, who, limits, steps,
        limit, most, height, bound, pliable, info, known_from, known_to, iterations, soft, enough,
    ):  # fmt: skip
        """Decode frames, `group` side by side; one that is done makes room for the next at once.

        All arrays as in `LayeredDecoder`, `_Schedule` and `_Work`.
        """
        assert vectors
        lanes, frames, n = limits[0], len(used), len(where)
        run = z * group
        padded, period = -(-run // lanes) * lanes, max(group, lanes)
        following, left = 0, frames
        while left > 0:
            filled = False
            for place in range(group):
                if at(who, place) < 0 and following < frames:
                    unseen = _rate_recover(
                        llr, following * n, word, sent, sums, where, pieces, known_from, known_to, steps, limit, lanes
                    )
                    put(unknown, following, unseen)
                    _yield(word, pliable, len(word) - BYTES, bound, lanes)
                    _fill(word, posterior, base, turned, z, group, place, lanes)
                    put(who, place, following)
                    put(waiting, place >> 6, at(waiting, place >> 6) | _bit(place))
                    _mark(fresh, place, group, 0)
                    following += 1
                    filled = True
            if filled:
                _repeat(posterior, base, run, padded, lanes)
            _iterate(
                posterior, messages, known, scratch, starts, source, target, again, run, padded, period, lanes, most,
                height,
            )  # fmt: skip
            _find_broken(posterior, scratch, starts, check, broken, waiting, group, padded, period, lanes)
            if _any_meets(broken, waiting):
                # All zeros meet every check, but decide nothing.
                _add_undecided(posterior, scratch, base, -(-info // z), broken, group, padded, period, lanes)
            for place in range(group):
                frame = at(who, place)
                if frame >= 0:
                    if filled:
                        _mark(fresh, place, group, -1)
                    put(used, frame, at(used, frame) + 1)
                    fails = (at(broken, place >> 6) & _bit(place)) != 0
                    if at(used, frame) == iterations or not fails:
                        put(converged, frame, not fails)
                        if fails and enough > 0:
                            found = _count_unmet(
                                posterior, scratch, starts, check, group, place, run, padded, lanes, enough
                            )
                            put(unmet, frame, found)
                        _read(
                            posterior, bits, out, frame * info, info, base, turned, z, group, place, steps, soft, lanes
                        )
                        put(who, place, -1)
                        put(waiting, place >> 6, at(waiting, place >> 6) & ~_bit(place))
                        left -= 1

    return decode


@njit(nogil=True)
@no_type_check
def _bit(place):
    return np.uint64(1) << np.uint64(place & 63)


@njit(nogil=True)
@no_type_check
def _mark(fresh, place, group, value):
    """Whether the messages of a frame are known yet: all bits of its lanes."""
    for lane in range(place, len(fresh), group):
        put(fresh, lane, value)


@njit(nogil=True)
@no_type_check
def _rate_recover(llr, start, word, sent, sums, where, pieces, known_from, known_to, steps, limit, lanes):
    """Put the quantised LLRs of a frame on the bits of the code word, 0 on what was not sent; whether one is NaN."""
    n, unknown = len(where), np.uint64(0)
    if len(pieces) == 0:  # several of one bit: two infinities may contradict each other
        for i in range(len(sums)):
            put(sums, i, 0)
        for i in range(n):
            value = at(llr, start + i)
            put(sums, at(where, i), at(sums, at(where, i)) + max(min(value, CERTAIN), -CERTAIN))
            unknown |= np.uint64(value != value)
        for i in range(known_from, known_to):
            put(sums, i, CERTAIN)
        for i in range(0, len(word) - BYTES, lanes):
            store(word, i, quantise(word, sums, i, steps, limit))
    elif at(pieces, 3) == 1:
        for piece in range(0, len(pieces), 4):
            to, first, count = at(pieces, piece), start + at(pieces, piece + 1), at(pieces, piece + 2)
            unknown |= _quantise(llr, first, word, to, count, sums, steps, limit, lanes)
    else:
        unknown = _quantise(llr, start, sent, 0, n, sums, steps, limit, lanes)
        for piece in range(0, len(pieces), 4):
            first, apart = at(pieces, piece + 1), at(pieces, piece + 3)
            for i in range(at(pieces, piece), at(pieces, piece) + at(pieces, piece + 2)):
                put(word, i, at(sent, first))
                first += apart
    return unknown != 0


@njit(nogil=True)
@no_type_check
def _yield(word, first, last, bound, lanes):
    """Keep LLRs within what a single check can overrule."""
    most = splat(word, bound)
    for i in range(first, last, lanes):
        value = load(word, i)
        store(word, i, negate_where(minimum(magnitude(value), most), value))


@njit(nogil=True)
@no_type_check
def _quantise(llr, start, word, to, count, spare, steps, limit, lanes):
    """Quantise a run of LLRs; nothing beyond it is read or written. Not 0 if one is NaN."""
    last, unknown = count - lanes, np.uint64(0)
    if last >= 0:
        for i in range(0, count, lanes):
            here = min(i, last)  # the last vector overlaps the one before
            unknown |= doubt(word, llr, start + here)
            store(word, to + here, quantise(word, llr, start + here, steps, limit))
    else:
        aside = len(word) - lanes
        for i in range(lanes):
            put(spare, i, at(llr, start + min(i, last + lanes - 1)))
        unknown |= doubt(word, spare, 0)
        store(word, aside, quantise(word, spare, 0, steps, limit))
        for i in range(count):
            put(word, to + i, at(word, aside + i))
    return unknown


@njit(nogil=True)
@no_type_check
def _fill(word, posterior, base, turned, z, group, place, lanes):
    """Put a frame into the runs, each rotated as after an iteration."""
    for column in range(len(base)):
        turn, bits, to = at(turned, column), column * z, at(base, column) + place
        if group == 1:
            # What a vector writes too much is written over: by the next piece, or by the run's repetition.
            for i in range(0, z - turn, lanes):
                store(posterior, to + i, load(word, bits + turn + i))
            for i in range(0, turn, lanes):
                store(posterior, to + z - turn + i, load(word, bits + i))
        else:
            for i in range(bits + turn, bits + z):
                put(posterior, to, at(word, i))
                to += group
            for i in range(bits, bits + turn):
                put(posterior, to, at(word, i))
                to += group


@njit(nogil=True)
@no_type_check
def _repeat(posterior, base, run, padded, lanes):
    """Repeat every run behind itself."""
    for column in range(len(base)):
        for lane in range(0, padded, lanes):
            store(posterior, at(base, column) + run + lane, load(posterior, at(base, column) + lane))


@njit(nogil=True)
@no_type_check
def _read(posterior, bits, out, start, info, base, turned, z, group, place, steps, soft, lanes):
    """The information bits of a frame, or their LLRs, into `out` from `start` on."""
    for column in range(-(-info // z)):
        # The runs are repeated behind themselves.
        first, to = at(base, column) + (z - at(turned, column)) * group + place, column * z
        if group == 1:
            for i in range(0, z, lanes):
                store(bits, to + i, load(posterior, first + i))
        else:
            for i in range(to, to + z):
                put(bits, i, at(posterior, first))
                first += group
    if soft:
        for i in range(info):
            put(out, start + i, at(bits, i) / steps)
    else:
        for i in range(info):
            put(out, start + i, np.float32(at(bits, i) < 0))


@njit(nogil=True)
@no_type_check
def _boxplus(a, b, ramp):
    """Of two magnitudes, but for the term of their sum."""
    low = minimum(a, b)
    return excess(low, excess(ramp, quarter(excess(maximum(a, b), low))))


@njit(nogil=True)
@no_type_check
def _iterate(
    posterior, messages, known, scratch, starts, source, target, again, run, padded, period, lanes, most, height
):
    """One pass over all rows; messages that are not `known` count as 0."""
    infinite, zero, ramp = splat(posterior, most), splat(posterior, 0), splat(posterior, height)
    for row in range(len(starts) - 1):
        edge = at(starts, row)
        degree = at(starts, row + 1) - edge
        for lane in range(0, padded, lanes):
            # Bit-to-check messages, the least magnitude, the boxplus of all others, and the product of the signs.
            least, others, sign = infinite, infinite, zero
            message, keep, old = edge * padded + lane * degree, 0, load(known, lane & (period - 1))
            for i in range(degree):
                value = sub(load(posterior, at(source, edge + i) + lane), both(load(messages, message), old))
                store(scratch, keep, value)
                size = magnitude(value)
                others = _boxplus(others, maximum(least, size), ramp)
                least = minimum(least, size)
                sign = xor(sign, value)
                message += lanes
                keep += lanes
            more = excess(ramp, quarter(add(least, others)))
            joint = _boxplus(add(least, more), add(others, more), ramp)
            # A row reads ahead of where it writes: a run is written in place.
            message, keep = edge * padded + lane * degree, 0
            for i in range(degree):
                value = load(scratch, keep)
                size = pick(magnitude(value), least, others, joint)
                answer = negate_where(size, xor(sign, value))
                store(messages, message, answer)
                store(posterior, at(target, edge + i) + lane, add(value, answer))
                message += lanes
                keep += lanes
        for i in range(degree):
            write = at(target, edge + i)
            for lane in range(0, at(again, edge + i), lanes):
                store(posterior, write + run + lane, load(posterior, write + lane))


@njit(nogil=True)
@no_type_check
def _parities(posterior, scratch, starts, check, row, padded, period, lanes):
    """Add the parities of a row, as signs, to what `scratch` has of its frames."""
    edge = at(starts, row)
    degree = at(starts, row + 1) - edge
    for first in range(0, min(padded, period), lanes):
        found = load(scratch, first)
        for lane in range(first, padded, period):
            parity = splat(posterior, 0)
            for i in range(degree):
                parity = xor(parity, load(posterior, at(check, edge + i) + lane))
            found = either(found, parity)
        store(scratch, first, found)


@njit(nogil=True)
@no_type_check
def _collect(scratch, masks, also, group, period, lanes):
    """Bit j of `masks`, 64 to an integer: whether a lane of frame j has a sign, or `also` had one before."""
    for lane in range(0, period, lanes):
        found = signs(load(scratch, lane))
        width = np.uint64(lanes // 2)
        while width >= group:
            found |= found >> width
            width >>= np.uint64(1)
        before = np.uint64(0) if lane & 63 == 0 and not also else at(masks, lane >> 6)
        put(masks, lane >> 6, before | found << np.uint64(lane & 63))


@njit(nogil=True)
@no_type_check
def _find_broken(posterior, scratch, starts, check, broken, waiting, group, padded, period, lanes):
    """Which frames break a parity check; looks no further once all that wait do."""
    for lane in range(0, period, lanes):
        store(scratch, lane, splat(posterior, 0))
    for row in range(len(starts) - 1):
        _parities(posterior, scratch, starts, check, row, padded, period, lanes)
        _collect(scratch, broken, False, group, period, lanes)
        if not _any_meets(broken, waiting):
            return


@njit(nogil=True)
@no_type_check
def _any_meets(broken, waiting):
    for i in range(len(waiting)):
        if at(waiting, i) & ~at(broken, i):
            return True
    return False


@njit(nogil=True)
@no_type_check
def _add_undecided(posterior, scratch, base, columns, broken, group, padded, period, lanes):
    """Add to `broken` the frames of which an information bit is as likely 0 as 1."""
    zero, one = splat(posterior, 0), splat(posterior, -1)
    for first in range(0, period, lanes):
        found = zero
        for column in range(columns):
            for lane in range(at(base, column) + first, at(base, column) + padded, period):  # fillers are certain
                found = either(found, pick(load(posterior, lane), zero, one, zero))
        store(scratch, first, found)
    _collect(scratch, broken, True, group, period, lanes)


@njit(nogil=True)
@no_type_check
def _count_unmet(posterior, scratch, starts, check, group, place, run, padded, lanes, enough):
    """How many parity checks a frame breaks; counts no further than is enough."""
    found, row = 0, 0
    while row < len(starts) - 1 and found < enough:
        for lane in range(0, padded, lanes):
            store(scratch, lane, splat(posterior, 0))
        _parities(posterior, scratch, starts, check, row, padded, 1 << 62, lanes)
        for lane in range(place, run, group):
            found += at(scratch, lane) < 0
        row += 1
    return found


decode = _keep(hashlib.blake2b(Path(simd.__file__).read_bytes()).hexdigest())
