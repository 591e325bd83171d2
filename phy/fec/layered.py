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
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from semlink.phy.fec.code import refuse_unknown
from semlink.phy.fec.layered_kernel import decode
from semlink.phy.fec.ldpc_graph import Graph
from semlink.phy.fec.simd import BYTES
from semlink.phy.parallel import run_in_threads

# Runs shorter than this waste the vector registers; longer ones fall out of the cache.
_RUN = 512
# More pieces than this are not worth looking at one by one.
_PIECES = 256
# Broken parity checks with which a frame is worth another try, and iterations after which they are no mere delay.
_NEAR = 4
_PATIENT = 20
# By data type: steps to one unit of LLR, the largest channel LLR and the largest message in steps, the ramp's
# height: g(d) = max(0, height - d / 4) in steps, for int8 with d / 4 rounded down, and the largest channel LLR of a bit
# of one check: less than that check's message can be, or the bit, once badly wrong, would stay so whatever the others
# say, and its check would never hold.
# An int8 posterior saturates at 127: channel and messages stay so far below that their sum rarely does.
_QUANTISATION: dict[str, tuple[int | np.float32, ...]] = {
    "int8": (np.float32(4), np.float32(63), 31, 2, 28),
    "float32": (np.float32(1), np.float32(20), np.float32(20), np.float32(0.5), np.float32(19)),
}


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
        self._pieces = _pieces_of(self._where)
        self._known = known
        self._info = info
        self._pliable = _first_pliable(graph)
        self._finer: LayeredDecoder | None = None
        self._dtype = dtype
        self._kind = np.dtype(dtype)
        self._quantisation = _QUANTISATION[dtype]
        self._schedules: dict[int, _Schedule] = {}

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
        used, unmet = np.zeros(frames, dtype=np.int64), np.zeros(frames, dtype=np.int64)
        converged, unknown = np.empty(frames, dtype=np.bool_), np.zeros(frames, dtype=np.bool_)
        schedule = self._schedule(frames)
        enough = _NEAR + 1 if self._dtype == "int8" and iterations >= _PATIENT else 0
        code = (self._where, self._pieces, self._graph.z, schedule.frames, *schedule.arrays)

        def kernel(first: int, last: int) -> None:
            part, work = slice(first, last), self._work(schedule)
            decode(
                llr[part].reshape(-1), out[part].reshape(-1), used[part], converged[part], unknown[part], unmet[part],
                *code, *work, *self._quantisation, self._pliable, self._info, *self._known, iterations, soft,
                enough,
            )  # fmt: skip

        run_in_threads(kernel, frames, least=schedule.frames)
        if unknown.any():
            refuse_unknown(int(np.isnan(llr).sum()), llr.size)
        return Decoding(out, used, converged), unmet

    def _in_float32(self) -> LayeredDecoder:
        if self._finer is None:
            self._finer = LayeredDecoder(
                self._graph, where=self._where, known=self._known, info=self._info, dtype="float32"
            )
        return self._finer

    def _schedule(self, frames: int) -> _Schedule:
        lanes = BYTES // self._kind.itemsize
        fewest = -(-lanes // self._graph.z)  # lanes past the end of a run must be copies of its first
        group = 1 << max(min(frames, _RUN // self._graph.z).bit_length() - 1, (fewest - 1).bit_length(), 0)
        if group not in self._schedules:
            self._schedules[group] = _Schedule.of(self._graph, group, lanes)
        return self._schedules[group]

    def _work(self, schedule: _Schedule) -> tuple[np.ndarray, ...]:
        """Memory of one thread, in the order in which the kernel takes it.

        The runs of all columns; the messages of all edges; a row's values; the code word, its information and the LLRs
        as they came, quantised, and the sums of LLRs of one bit; which messages are known, in vectors and lane by lane;
        which frames wait and which break a check, 64 to an integer; whose frame is in each place; lanes of a vector.
        """
        kind, limit = self._kind, self._quantisation[1]
        lanes, z, group = BYTES // kind.itemsize, self._graph.z, schedule.frames
        padded, period = _run_lengths(z, group, lanes)[1], max(group, lanes)
        bits = self._graph.columns * z
        word = np.zeros(bits + BYTES, kind)
        word[slice(*self._known)] = limit
        known = _aligned(period, kind)
        widest = int(np.diff(schedule.starts).max())
        return (
            _aligned(int(schedule.base[-1]) + 2 * padded + BYTES, kind, zero=True),
            _aligned(int(schedule.starts[-1]) * padded, kind),
            _aligned(max(widest * lanes, padded, period), kind),
            word,
            np.empty(-(-self._info // z) * z + BYTES, kind),
            np.empty(len(self._where) + BYTES, kind),
            np.empty(bits + BYTES, np.float32),
            known,
            known.view(f"int{8 * kind.itemsize}"),
            np.zeros(-(-period // 64), np.uint64),
            np.zeros(-(-period // 64), np.uint64),
            np.full(group, -1, np.int64),
            np.array([lanes]),
        )


def _aligned(size: int, kind: np.dtype, *, zero: bool = False) -> np.ndarray:
    """An array on a boundary of the widest vectors."""
    raw = (np.zeros if zero else np.empty)(size * kind.itemsize + BYTES, np.uint8)
    skip = -raw.ctypes.data % BYTES
    return raw[skip : skip + size * kind.itemsize].view(kind)


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

    @property
    def arrays(self) -> tuple[Int[np.ndarray, " _"], ...]:
        return self.starts, self.source, self.target, self.again, self.check, self.base, self.turned

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


def _first_pliable(graph: Graph) -> int:
    """The first bit of the code word from which on every bit has one check."""
    several = np.nonzero(np.bincount(graph.column, minlength=graph.columns) != 1)[0]
    return int(several[-1] + 1) * graph.z if len(several) else 0


def _run_lengths(z: int, frames: int, lanes: int) -> tuple[int, int]:
    """Values of a run, and the same rounded up to whole vectors."""
    run = z * frames
    return run, -(-run // lanes) * lanes


def _pieces_of(where: Int[np.ndarray, " n"]) -> Int[np.ndarray, " pieces4"]:
    """Runs of the code word that are sent in order, every so many LLRs: (bit, LLR, count, LLRs from one to the next).

    None where a bit is sent several times, or where there are no such runs.
    """
    none = np.zeros(0, dtype=np.int64)
    if len(where) == 0 or len(np.unique(where)) < len(where):
        return none
    found = np.nonzero(where == where[0] + 1)[0]
    apart = int(found[0]) if len(found) else 1
    pieces = []
    for first in range(apart):
        bits = where[first::apart]
        cuts = [0, *(np.nonzero(np.diff(bits) != 1)[0] + 1), len(bits)]
        pieces += [(bits[a], first + a * apart, b - a, apart) for a, b in pairwise(cuts)]
    return np.array(pieces, dtype=np.int64).ravel() if len(pieces) <= _PIECES else none
