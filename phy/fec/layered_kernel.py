"""The compiled half of `semlink.phy.fec.layered`, which says what the memory holds.

Compiled once for each of the two data types, whatever the code, and kept on disk by Numba. The first decoding waits for
it: arrays are few, and `past` makes a single value of each; helpers have no entry from Python, loops stay `rolled`, and
what Numba compiles a function of its own for (`min`, `max`, whether a text is empty) is not used.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import no_type_check

import numpy as np
from numba import njit

from semlink.phy.fec import simd
from semlink.phy.fec.simd import (
    INNER,
    add,
    at,
    both,
    boxplus,
    copy,
    doubt,
    either,
    integers,
    load,
    magnitude,
    maximum,
    minimum,
    negate_where,
    past,
    pick,
    put,
    quantise,
    ramp,
    rolled,
    signs,
    splat,
    store,
    sub,
    width,
    xor,
)

CERTAIN = np.float32(1e6)

# Numbers that a plan begins with.
(Z, GROUP, RUN, PADDED, PERIOD, N, BITS, SENT, INFO, INFO_COLUMNS, KNOWN_FROM, KNOWN_TO) = range(12)
(ROWS, COLUMNS, STEPS, LIMIT, MOST, PIECES, REPEATED, IN_ORDER) = range(12, 20)
# Where its arrays begin behind them.
(WHERE, PIECE, ORIGIN, STARTS, SOURCE, TARGET, AGAIN, CHECK, BASE, TURNED) = range(20, 30)
# Where the parts of a thread's work begin; the runs of all columns are the first.
(MESSAGES, SCRATCH, WORD, ASIDE, OUTCOME, KNOWN, BOUNDS) = range(30, 37)
NUMBERS = 37
USED, UNMET, CONVERGED, UNKNOWN = range(4)
"""What is told of a frame."""


@no_type_check
def _keep(vectors):
    """The decoder, kept on disk: Numba sees by itself that this file changed, and for another what a closure holds.

    Args:
        vectors: a number that stands for the content of `semlink.phy.fec.simd`, which is compiled into it.
    """

    @njit(nogil=True, cache=True, no_cfunc_wrapper=True, _nrt=False)
    def decode(llr, out, told, plan, work, sums, masks, who, iterations, soft, enough):
        """Decode frames, some side by side; one that is done makes room for the next at once.

        All flat: `llr` and `out` as in `LayeredDecoder`, (b * 4,) `told`, the numbers of `_Plan`, and its memory.
        """
        assert vectors
        left = len(told) // 4
        told, plan, work, sums = past(told, 0), past(plan, 0), past(work, 0), past(sums, 0)
        llr, out, waiting, who = past(llr, 0), past(out, 0), past(masks, 0), past(who, 0)
        group, period, frames, following = at(plan, GROUP), at(plan, PERIOD), left, 0
        broken = past(waiting, (period + 63) >> 6)
        known = integers(past(work, at(plan, KNOWN)))
        while left > 0:
            filled = False
            for place in range(group):  # of a counter from a literal 0 there are two types to compile
                if at(who, place) < 0 and following < frames:
                    unseen = _take(past(llr, following * at(plan, N)), plan, work, sums)
                    put(told, 4 * following + UNKNOWN, unseen)
                    _fill(plan, work, place)
                    put(who, place, following)
                    put(waiting, place >> 6, at(waiting, place >> 6) | np.uint64(1) << np.uint64(place & 63))
                    for lane in range(place, period, group):
                        put(known, lane, 0)
                    following += 1
                    filled = True
            if filled:
                for column in range(at(plan, COLUMNS)):  # every run once more behind itself
                    copy(past(work, at(plan, at(plan, BASE) + column)), at(plan, RUN), at(plan, PADDED))
            _iterate(plan, work)
            _find_broken(plan, work, waiting, broken)
            for place in range(group):
                frame = at(who, place)
                if frame >= 0:
                    if filled:
                        for lane in range(place, period, group):
                            put(known, lane, -1)
                    bit = np.uint64(1) << np.uint64(place & 63)
                    used = at(told, 4 * frame + USED) + 1
                    put(told, 4 * frame + USED, used)
                    fails = (at(broken, place >> 6) & bit) != 0
                    if used == iterations or not fails:
                        if not fails:
                            put(told, 4 * frame + CONVERGED, 1)
                        elif enough > 0:
                            put(told, 4 * frame + UNMET, _count_unmet(plan, work, place, enough))
                        _read(plan, work, past(out, frame * at(plan, INFO)), place, soft)
                        put(who, place, -1)
                        put(waiting, place >> 6, at(waiting, place >> 6) & ~bit)
                        left -= 1

    return decode


@njit(**INNER)
@no_type_check
def _take(llr, plan, work, sums):
    """Quantise the LLRs of a frame, in their order, or in that of the code word's bits; whether one is NaN."""
    word, pieces, sent, unknown = past(work, at(plan, WORD)), past(plan, at(plan, PIECE)), at(plan, SENT), np.uint64(0)
    if at(plan, REPEATED):  # several of one bit: two infinities may contradict each other
        where = past(plan, at(plan, WHERE))
        for i in range(sent):
            rolled()
            put(sums, i, 0)
        for i in range(at(plan, N)):
            rolled()
            value = at(llr, i)
            sure = value if value < CERTAIN else CERTAIN
            put(sums, at(where, i), at(sums, at(where, i)) + (sure if sure > -CERTAIN else -CERTAIN))
            unknown |= np.uint64(value != value)
        for i in range(at(plan, KNOWN_FROM), at(plan, KNOWN_TO)):
            rolled()
            put(sums, i, CERTAIN)
        llr = sums
    steps, limit = np.float32(at(plan, STEPS)), np.float32(at(plan, LIMIT))
    for piece in range(at(plan, PIECES)):  # nothing beyond one is read or written
        to, first, count = at(pieces, 3 * piece), at(pieces, 3 * piece + 1), at(pieces, 3 * piece + 2)
        source, place, last = past(llr, first), to, count - width(work)
        short = last < 0
        if short:
            for i in range(width(work)):
                rolled()
                put(sums, i, at(source, i if i < count else 0))
            source, last, place = sums, 0, at(plan, ASIDE) - at(plan, WORD)
        for i in range(0, count, width(work)):
            rolled()
            here = i if i < last else last  # the last vector overlaps the one before
            unknown |= doubt(work, source, here)
            store(word, place + here, quantise(work, source, here, steps, limit))
        if short:
            for i in range(count):
                rolled()
                put(word, to + i, at(word, place + i))
    bounds = past(work, at(plan, BOUNDS))
    for i in range(0, sent, width(work)):  # within what a bit's checks can overrule
        rolled()
        value = load(word, i)
        store(word, i, negate_where(minimum(magnitude(value), load(bounds, i)), value))
    return unknown != 0


@njit(**INNER)
@no_type_check
def _fill(plan, work, place):
    """Put a frame into the runs, each rotated as after an iteration."""
    word, base, turned = past(work, at(plan, WORD)), past(plan, at(plan, BASE)), past(plan, at(plan, TURNED))
    z, group, origin = at(plan, Z), at(plan, GROUP), past(plan, at(plan, ORIGIN))
    for column in range(at(plan, COLUMNS)):
        run = past(work, at(base, column) + place)
        if at(plan, IN_ORDER):
            # What a vector writes too much is written over: by the next piece, or by the run's repetition.
            turn, bits = at(turned, column), column * z
            for i in range(0, z - turn, width(work)):
                rolled()
                store(run, i, load(word, bits + turn + i))
            for i in range(0, turn, width(work)):
                rolled()
                store(run, z - turn + i, load(word, bits + i))
        else:
            to = 0
            for i in range(column * z, column * z + z):
                rolled()
                put(run, to, at(word, at(origin, i)))
                to += group


@njit(**INNER)
@no_type_check
def _read(plan, work, out, place, soft):
    """The information bits of a frame, or their LLRs."""
    bits, base, turned = past(work, at(plan, OUTCOME)), past(plan, at(plan, BASE)), past(plan, at(plan, TURNED))
    z, group, info = at(plan, Z), at(plan, GROUP), at(plan, INFO)
    for column in range(at(plan, INFO_COLUMNS)):
        # The runs are repeated behind themselves.
        run = past(work, at(base, column) + (z - at(turned, column)) * group + place)
        if group == 1:
            for i in range(0, z, width(work)):
                rolled()
                store(bits, column * z + i, load(run, i))
        else:
            first = 0
            for i in range(column * z, column * z + z):
                rolled()
                put(bits, i, at(run, first))
                first += group
    if soft:
        for i in range(info):
            put(out, i, at(bits, i) / at(plan, STEPS))
    else:
        for i in range(info):
            put(out, i, np.float32(at(bits, i) < 0))


@njit(**INNER)
@no_type_check
def _iterate(plan, posterior):
    """One pass over all rows; messages that are not known count as 0."""
    messages, known = past(posterior, at(plan, MESSAGES)), past(posterior, at(plan, KNOWN))
    source, target = past(plan, at(plan, SOURCE)), past(plan, at(plan, TARGET))
    starts, again = past(plan, at(plan, STARTS)), past(plan, at(plan, AGAIN))
    scratch = past(posterior, at(plan, SCRATCH))
    run, padded, period, lanes = at(plan, RUN), at(plan, PADDED), at(plan, PERIOD), width(posterior)
    infinite, zero = splat(posterior, at(plan, MOST)), splat(posterior, 0)
    for row in range(at(plan, ROWS)):
        edge, end = at(starts, row), at(starts, row + 1)
        message = past(messages, edge * padded)
        for lane in range(0, padded, lanes):
            # Bit-to-check messages, the least magnitude, the boxplus of all others, and the product of the signs.
            least, others, sign = infinite, infinite, zero
            here, old, keep = past(posterior, lane), past(known, lane & (period - 1)), 0
            for i in range(edge, end):
                rolled()
                # What is known is read anew each time: a register less to be held.
                value = sub(load(here, at(source, i)), both(load(message, keep), load(old, 0)))
                store(scratch, keep, value)
                size = magnitude(value)
                others = boxplus(others, maximum(least, size))
                least = minimum(least, size)
                sign = xor(sign, value)
                keep += lanes
            more = ramp(add(least, others))
            joint = boxplus(add(least, more), add(others, more))
            # A row reads ahead of where it writes: a run is written in place.
            keep = 0
            for i in range(edge, end):
                rolled()
                value = load(scratch, keep)
                answer = negate_where(pick(magnitude(value), least, others, joint), xor(sign, value))
                store(message, keep, answer)
                store(here, at(target, i), add(value, answer))
                keep += lanes
            message = past(message, keep)
        for i in range(edge, end):
            rolled()
            copy(past(posterior, at(target, i)), run, at(again, i))


@njit(**INNER)
@no_type_check
def _parities(plan, posterior, row, period):
    """Add the parities of a row, as signs, to what the scratch has of its frames."""
    starts, check = past(plan, at(plan, STARTS)), past(plan, at(plan, CHECK))
    scratch, padded = past(posterior, at(plan, SCRATCH)), at(plan, PADDED)
    for first in range(0, period, width(posterior)):
        found = load(scratch, first)
        for lane in range(first, padded, period):
            parity, here = splat(posterior, 0), past(posterior, lane)
            for i in range(at(starts, row), at(starts, row + 1)):
                rolled()
                parity = xor(parity, load(here, at(check, i)))
            found = either(found, parity)
        store(scratch, first, found)


@njit(**INNER)
@no_type_check
def _collect(plan, work, waiting, broken):
    """Bit j of `broken`, 64 to an integer: whether a lane of frame j has a sign; whether a waiting frame has none."""
    scratch, group, meets = past(work, at(plan, SCRATCH)), at(plan, GROUP), False
    for i in range((at(plan, PERIOD) + 63) >> 6):
        every, end = np.uint64(0), at(plan, PERIOD) - 64 * i
        for lane in range(0, end if end < 64 else 64, width(work)):
            rolled()
            found = signs(load(scratch, 64 * i + lane))
            apart = width(work) // 2
            while apart >= group:
                found |= found >> np.uint64(apart)
                apart >>= 1
            every |= found << np.uint64(lane)
        put(broken, i, every)
        meets |= (at(waiting, i) & ~every) != 0
    return meets


@njit(**INNER)
@no_type_check
def _find_broken(plan, posterior, waiting, broken):
    """Which frames break a parity check or leave an information bit open; looks no further once all that wait do."""
    period, padded = at(plan, PERIOD), at(plan, PADDED)
    scratch, base = past(posterior, at(plan, SCRATCH)), past(plan, at(plan, BASE))
    for lane in range(0, period, width(posterior)):
        rolled()
        store(scratch, lane, splat(posterior, 0))
    for row in range(at(plan, ROWS)):
        _parities(plan, posterior, row, period)
        if not _collect(plan, posterior, waiting, broken):
            return
    # All zeros meet every check, but decide nothing; fillers are certain.
    zero, one = splat(posterior, 0), splat(posterior, -1)
    for first in range(0, period, width(posterior)):
        found = load(scratch, first)
        for column in range(at(plan, INFO_COLUMNS)):
            for lane in range(at(base, column) + first, at(base, column) + padded, period):
                rolled()
                found = either(found, pick(load(posterior, lane), zero, one, zero))
        store(scratch, first, found)
    _collect(plan, posterior, waiting, broken)


@njit(**INNER)
@no_type_check
def _count_unmet(plan, work, place, enough):
    """How many parity checks a frame breaks; counts no further than is enough."""
    found, scratch = 0, past(work, at(plan, SCRATCH))
    for row in range(at(plan, ROWS)):
        for lane in range(0, at(plan, PADDED), width(work)):
            rolled()
            store(scratch, lane, splat(work, 0))
        _parities(plan, work, row, at(plan, PADDED))
        for lane in range(place, at(plan, RUN), at(plan, GROUP)):
            rolled()
            found += at(scratch, lane) < 0
        if found >= enough:
            break
    return found


decode = _keep(zlib.crc32(Path(simd.__file__).read_bytes()) + 1)
