"""Layered min-sum decoding of quasi-cyclic LDPC codes on the CPU, in Numba.

A base row, Z checks, is a layer: it meets the posterior LLRs that the rows before it left in the same iteration
(M. M. Mansour and N. R. Shanbhag, "High-throughput LDPC decoders", IEEE Trans. VLSI Syst. 11 (2003) 976–996).

The check-node rule is min-sum with an offset that depends on how close two magnitudes are. With g(d) = ln(1 + e^-d),

    |a| boxplus |b| = min(|a|, |b|) + g(|a| + |b|) - g(||a| - |b||),

and g is taken as a ramp. As in A-min* (C. Jones, E. Vallés, M. Smith and J. Villasenor, "Approximate-MIN* constraint
node updating for LDPC code decoding", MILCOM 2003) a check sends only two magnitudes: to its least reliable bit that
of all others, and that of all of them to the rest. On the way the term g(|a| + |b|) is left out; it is there in the
last step, where codes of low rate need it.

How it is laid out: some frames are decoded side by side, a group. A base column is one run of L = Z·frames values,
frame fastest, so that a cyclic shift of Z bits is a rotation of the run, the same for all frames, and every operation
is one on whole runs. A frame that is done makes room for the next at once. A run is kept as its last row left it,
rotated, and once more behind itself, so that the next row reads its own rotation of it in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from semlink.phy.fec import layered_kernel as kernel
from semlink.phy.fec.code import refuse_unknown
from semlink.phy.fec.ldpc_graph import Graph
from semlink.phy.fec.simd import BYTES
from semlink.phy.parallel import run_in_threads

# Runs shorter than this waste the vector registers; longer ones fall out of the cache.
_RUN = 512
# More pieces of the code word than this are not worth looking at one by one.
_PIECES = 256
# Broken parity checks with which a frame is worth another try, and iterations after which they are no mere delay.
_NEAR = 4
_PATIENT = 20
# By data type: steps to one unit of LLR, the largest channel LLR and the largest message in steps, and the largest
# channel LLR of a bit of one check: less than that check's message can be, or the bit, once badly wrong, would stay so
# whatever the others say, and its check would never hold.
# An int8 posterior saturates at 127: channel and messages stay so far below that their sum rarely does.
_QUANTISATION = {"int8": (4, 63, 31, 28), "float32": (1, 20, 20, 19)}


@dataclass(frozen=True)
class Decoding:
    """What a decoder made of some frames.

    Attributes:
        values: (b, k) the information bits, 0 or 1, or their posterior LLRs log P(0)/P(1).
        iterations: (b,) iterations run, those of a second try included.
        converged: (b,) whether all parity checks hold.
    """

    values: Float[np.ndarray, "b k"]
    iterations: Int[np.ndarray, " b"]
    converged: Bool[np.ndarray, " b"]


class LayeredDecoder:
    """A layered offset min-sum decoder of one code.

    Args:
        graph: the parity checks.
        where: (n,) the bit of the code word that each LLR is of; several of one bit add up.
        known: bits of the code word that are known to be 0 (fillers), as (first, last + 1).
        info: the first `info` bits of the code word are the information.
        dtype: of the messages: "int8", in steps of 1/4 and saturating, or "float32".
    """

    def __init__(
        self,
        graph: Graph,
        *,
        where: Int[np.ndarray, " n"],
        known: tuple[int, int],
        info: int,
        dtype: str = "int8",
    ) -> None:
        self._graph = graph
        self._where = where.astype(np.int64)
        self._known = known
        self._info = info
        self._finer: LayeredDecoder | None = None
        self._dtype = dtype
        self._plans: dict[int, _Plan] = {}

    def __call__(self, llr: Float[np.ndarray, "b n"], iterations: int, *, soft: bool = False) -> Decoding:
        """Decode rows of n LLRs log P(0)/P(1), float32, in at most so many iterations.

        Where 20 iterations or more in int8 leave one to four parity checks broken, it was the coarse steps as a rule:
        such a frame is decoded once more, in float32 and as many iterations, which count. Frames with more checks
        broken gain next to nothing from it. What becomes of a frame does not depend on the others.

        Raises:
            ValueError: an LLR is NaN.
        """
        found, unmet = self._decode(llr, iterations, soft=soft)
        near = np.nonzero((unmet > 0) & (unmet <= _NEAR))[0]
        if len(near):
            again = self._in_float32()(llr[near], iterations, soft=soft)
            found.values[near[again.converged]] = again.values[again.converged]
            found.iterations[near] += again.iterations
            found.converged[near] = again.converged
        return found

    def _decode(
        self, llr: Float[np.ndarray, "b n"], iterations: int, *, soft: bool
    ) -> tuple[Decoding, Int[np.ndarray, " b"]]:
        """The result, and the number of checks that do not hold, up to one more than is near."""
        llr = np.ascontiguousarray(llr, dtype=np.float32)
        frames = llr.shape[0]
        out = np.empty((frames, self._info), dtype=np.float32)
        told = np.zeros((frames, 4), dtype=np.int64)
        plan = self._plan(frames)
        enough = _NEAR + 1 if self._dtype == "int8" and iterations >= _PATIENT else 0

        def decode(first: int, last: int) -> None:
            memory = plan.make_work()
            rows = (values[first:last].reshape(-1) for values in (llr, out, told))
            kernel.decode(*rows, plan.numbers, *memory, iterations, soft, enough)

        run_in_threads(decode, frames, least=plan.frames)
        if told[:, kernel.UNKNOWN].any():
            refuse_unknown(int(np.isnan(llr).sum()), llr.size)
        used, converged = told[:, kernel.USED].copy(), told[:, kernel.CONVERGED] != 0
        return Decoding(out, used, converged), told[:, kernel.UNMET]

    def _in_float32(self) -> LayeredDecoder:
        if self._finer is None:
            self._finer = LayeredDecoder(
                self._graph, where=self._where, known=self._known, info=self._info, dtype="float32"
            )
        return self._finer

    def _plan(self, frames: int) -> _Plan:
        lanes, z = BYTES // np.dtype(self._dtype).itemsize, self._graph.z
        fewest = -(-lanes // z)  # lanes past the end of a run must be copies of its first
        group = 1 << max(min(frames, _RUN // z).bit_length() - 1, (fewest - 1).bit_length(), 0)
        if group not in self._plans:
            self._plans[group] = _Plan.of(self._graph, group, self._where, self._known, self._info, self._dtype)
        return self._plans[group]


@dataclass(frozen=True, eq=False)
class _Word:
    """The LLRs of a frame as the kernel quantises them: in their order, or in that of the code word's bits.

    In the bits' order are those of which several are of one bit, and, where frames are not side by side, those that
    are of runs of bits: vectors move them.

    Attributes:
        repeated: whether several are of one bit.
        in_order: whether runs are filled from it in vectors, not value by value.
        pieces: (pieces * 3,) runs to quantise: where to, from where, how many.
        held: (values,) the bit of each value. Behind them are two more: of what is neither sent nor known, and known.
        place: (bits,) where the value of each bit is.
    """

    repeated: bool
    in_order: bool
    pieces: Int[np.ndarray, " pieces3"]
    held: Int[np.ndarray, " values"]
    place: Int[np.ndarray, " bits"]

    @classmethod
    def of(cls, where: Int[np.ndarray, " n"], bits: int, known: tuple[int, int], frames: int) -> _Word:
        repeated, pieces = len(np.unique(where)) < len(where), _pieces_of(where)
        in_order = frames == 1 and (repeated or len(pieces) <= 3 * _PIECES)
        held = np.arange(bits) if in_order or repeated else where
        if repeated or not in_order:
            pieces = np.array([0, 0, len(held)])
        place = np.full(bits, len(held))
        place[slice(*known)], place[held] = len(held) + 1, np.arange(len(held))
        return cls(repeated, in_order, pieces, held, place)

    def memory(self, graph: Graph, known: tuple[int, int], dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """What the word is before anything was sent, and the most that is believed of each of its values."""
        _, limit, _, bound = _QUANTISATION[dtype]
        word = np.zeros(len(self.held) + 2 + BYTES, dtype)
        word[self.place[slice(*known)]] = limit
        bounds = np.full_like(word, limit)
        single = np.bincount(graph.column, minlength=graph.columns) == 1
        bounds[: len(self.held)][single[self.held // graph.z]] = bound
        return word, bounds


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the kernel needs to know of a code, for a number of frames side by side.

    Attributes:
        frames: frames of a group.
        numbers: the numbers that `layered_kernel` names; behind them `where` of `LayeredDecoder`, the pieces of
            `_Word`, the place there of each value of the runs as they are filled, and the arrays of `_Schedule`.
        work: what the work of a thread begins as: the runs of all columns; the messages of all edges; a row's values;
            the word; room for a vector; the information; which messages are known, lane by lane; the word's bounds.
    """

    frames: int
    numbers: Int[np.ndarray, " numbers"]
    work: np.ndarray

    @classmethod
    def of(
        cls, graph: Graph, frames: int, where: Int[np.ndarray, " n"], known: tuple[int, int], info: int, dtype: str
    ) -> _Plan:
        steps, limit, most, _ = _QUANTISATION[dtype]
        lanes, info_columns = BYTES // np.dtype(dtype).itemsize, -(-info // graph.z)
        run, padded = _run_lengths(graph.z, frames, lanes)
        word = _Word.of(where, graph.columns * graph.z, known, frames)
        schedule = _Schedule.of(graph, frames, lanes)
        turned = (np.arange(graph.z) + schedule.turned[:, None]) % graph.z
        origin = np.take_along_axis(word.place.reshape(-1, graph.z), turned, 1).ravel()
        arrays, numbers = _in_one({
            kernel.WHERE: where, kernel.PIECE: word.pieces, kernel.ORIGIN: origin, kernel.STARTS: schedule.starts,
            kernel.SOURCE: schedule.source, kernel.TARGET: schedule.target, kernel.AGAIN: schedule.again,
            kernel.CHECK: schedule.check, kernel.BASE: schedule.base, kernel.TURNED: schedule.turned,
        }, 1, before=kernel.NUMBERS)  # fmt: skip
        parts, work = _memory_of(schedule, word.memory(graph, known, dtype), padded, lanes, info_columns * graph.z)
        single = {
            kernel.Z: graph.z, kernel.GROUP: frames, kernel.RUN: run, kernel.PADDED: padded,
            kernel.PERIOD: max(frames, lanes), kernel.N: len(where), kernel.BITS: len(word.place),
            kernel.SENT: len(word.held), kernel.INFO: info, kernel.INFO_COLUMNS: info_columns,
            kernel.KNOWN_FROM: known[0], kernel.KNOWN_TO: known[1], kernel.ROWS: graph.rows,
            kernel.COLUMNS: graph.columns, kernel.STEPS: steps, kernel.LIMIT: limit, kernel.MOST: most,
            kernel.PIECES: len(word.pieces) // 3, kernel.REPEATED: word.repeated, kernel.IN_ORDER: word.in_order,
        }  # fmt: skip
        for which, number in (single | arrays | parts).items():
            numbers[which] = number
        return cls(frames, numbers, work)

    def make_work(self) -> tuple[np.ndarray, ...]:
        """Memory of one thread, in the order in which the kernel takes it.

        Beside the work: the sums of LLRs of one bit, which frames wait and which break a check, 64 to an integer, and
        whose frame is in each place.
        """
        work = _aligned(self.work)
        lanes = BYTES // work.itemsize
        masks = np.zeros(2 * -(-max(self.frames, lanes) // 64), np.uint64)
        sums = np.empty(self.numbers[kernel.BITS] + BYTES, np.float32)
        return work, sums, masks, np.full(self.frames, -1, np.int64)


def _memory_of(
    schedule: _Schedule, word: tuple[np.ndarray, np.ndarray], padded: int, lanes: int, outcome: int
) -> tuple[dict[int, int], np.ndarray]:
    """Where the parts of the work are, and the work."""
    kind, period = word[0].dtype, max(schedule.frames, lanes)
    widest, edges = int(np.diff(schedule.starts).max()), int(schedule.starts[-1])
    sizes = {
        kernel.MESSAGES: edges * padded, kernel.SCRATCH: max(widest * lanes, padded, period), kernel.ASIDE: lanes,
        kernel.OUTCOME: outcome + BYTES, kernel.KNOWN: period,
    }  # fmt: skip
    parts = {which: np.zeros(size, kind) for which, size in sizes.items()}
    runs = int(schedule.base[-1]) + 2 * padded + BYTES
    return _in_one(parts | {kernel.WORD: word[0], kernel.BOUNDS: word[1]}, lanes, before=runs)


def _in_one(arrays: dict[int, np.ndarray], lanes: int, *, before: int) -> tuple[dict[int, int], np.ndarray]:
    """Where each array begins in one of all, at whole vectors, behind so many zeros."""
    places, parts = {}, [np.zeros(-(-before // lanes) * lanes, next(iter(arrays.values())).dtype)]
    to = len(parts[0])
    for which, array in arrays.items():
        places[which] = to
        parts.append(np.pad(array, (0, -len(array) % lanes)))
        to += len(parts[-1])
    return places, np.concatenate(parts)


def _aligned(values: np.ndarray) -> np.ndarray:
    """A copy on a boundary of the widest vectors."""
    raw = np.empty(values.nbytes + BYTES, np.uint8)
    skip = -raw.ctypes.data % BYTES
    copy: np.ndarray = raw[skip : skip + values.nbytes].view(values.dtype)
    copy[:] = values
    return copy


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Offsets into the posterior LLRs for a number of frames side by side.

    Attributes:
        frames: frames of a group.
        starts: (rows + 1,) where the edges of each row begin.
        source: (edges,) where a row reads a run in its own rotation.
        target: (edges,) where it writes it.
        again: (edges,) how much of it must be repeated behind it for the next row to read.
        check: (edges,) where it is found, after a whole iteration, in the rotation of this row.
        base, turned: (columns,) where a run begins, and the bits by which it is rotated after a whole iteration.
    """

    frames: int
    starts: Int[np.ndarray, " rows1"]
    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    again: Int[np.ndarray, " edges"]
    check: Int[np.ndarray, " edges"]
    base: Int[np.ndarray, " columns"]
    turned: Int[np.ndarray, " columns"]

    @classmethod
    def of(cls, graph: Graph, frames: int, lanes: int) -> _Schedule:
        run, padded = _run_lengths(graph.z, frames, lanes)
        base = np.arange(graph.columns) * (-(-(run + padded + BYTES) // BYTES) * BYTES)
        turned = np.zeros(graph.columns, dtype=np.int64)
        turned[graph.column] = graph.shift  # of the last edge of each column: NumPy assigns in order
        target = base[graph.column]
        source, again, check = np.empty_like(target), np.empty_like(target), np.empty_like(target)
        now, last = turned.copy(), {int(c): i for i, c in enumerate(graph.column)}
        for i, (column, shift) in enumerate(zip(graph.column, graph.shift, strict=True)):
            offset = (shift - now[column]) % graph.z * frames
            source[i] = target[i] + offset
            check[i] = target[i] + (shift - turned[column]) % graph.z * frames
            again[last[int(column)]] = offset + padded - run
            now[column], last[int(column)] = shift, i
        # After an iteration a run may also be read for the parity checks, in any rotation.
        again[list(last.values())] = padded
        return cls(frames, graph.starts.astype(np.int64), source, target, again, check, base, turned)


def _run_lengths(z: int, frames: int, lanes: int) -> tuple[int, int]:
    """Values of a run, and the same rounded up to whole vectors."""
    run = z * frames
    return run, -(-run // lanes) * lanes


def _pieces_of(where: Int[np.ndarray, " n"]) -> Int[np.ndarray, " pieces3"]:
    """Runs of the code word that are sent in order: (bit, LLR, count) of each."""
    cuts = np.array([0, *(np.nonzero(np.diff(where) != 1)[0] + 1), len(where)])
    return np.stack([where[cuts[:-1]], cuts[:-1], np.diff(cuts)], axis=1).ravel()
