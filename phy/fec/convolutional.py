"""The convolutional code of IEEE 802.11 (constraint length 7), terminated, punctured or repeated to any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Num
from numpy.typing import NDArray
from torch import Tensor

from semlink.phy.fec.code import check_bits, check_llr
from semlink.phy.parallel import run_in_threads

BACKENDS = ("numba", "commpy")
MEMORY = 6

# Which bits of the two streams A and B are sent, by rate (p, q): IEEE 802.11 clause 17.3.5.6, 5/6 in 19.3.11.6.
PATTERNS: dict[tuple[int, int], tuple[str, str]] = {
    (1, 2): ("1", "1"),
    (2, 3): ("11", "10"),
    (3, 4): ("110", "101"),
    (5, 6): ("11010", "10101"),
}

_STATES = 1 << MEMORY
_HALF = _STATES // 2
# The cost of going against a certain bit. Finite, so that two contradictions do not make NaN, and large enough for
# every path without one to win; starting elsewhere than in state 0 costs more than any number of contradictions.
_CERTAIN = 1e30
_IMPOSSIBLE = 1e37
# Trellis steps between two subtractions of the smallest cost, which keep the costs small and so their rounding.
_STRIDE = 256
# Trellis steps that are worth a thread of their own: about half a millisecond.
_STEPS_AT_LEAST = 1 << 14
# For CommPy, which does not know that the trellis ends in state 0 and squares what it is given: enough certain zeros
# after the end that every other end loses, and what ±inf counts as.
_COMMPY_TAIL = 5 * MEMORY
_COMMPY_CERTAIN = 1e6

F = TypeVar("F", bound=Callable[..., object])


class Convolutional:
    """Rate-1/2 convolutional code of constraint length 7, ended with 6 zero bits, rate-matched to n coded bits.

    IEEE 802.11 clause 17.3.5.6 gives the encoder, whose two streams are sent as A, B, A, B, …, and the patterns that
    leave bits out for rates 2/3 and 3/4; clause 19.3.11.6 the one for 5/6. A block is k + 6 trellis steps. It has
    n = ⌈(k + 6)/r⌉ bits at a rate r of the standard and is then exactly the standard's; the 6 bits count in n. Of the
    lengths in between the standard says nothing. Here such a block is the longest of the standard's that is shorter,
    with evenly spaced ones of the bits left out there sent after all; above 2 (k + 6) evenly spaced bits are sent once
    more than the others, next to each other. No length is worse protected than the standard's that it is built on.

    Args:
        k: information bits of a block, at least 1.
        n: coded bits of a block, from ⌈6 (k + 6)/5⌉ (rate 5/6) on.
        generators: taps of the streams A and B, the current bit highest; both ends of the register are in each.
        backend: "numba": compiled here; "commpy": CommPy's `viterbi_decode`, tens of thousands of times slower, to
            compare with.

    Raises:
        ValueError: k, n or an option out of range, or a backend that is not installed.
    """

    def __init__(self, k: int, n: int, *, generators: tuple[int, int] = (0o133, 0o171), backend: str = "numba") -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend={backend!r} must be one of: {', '.join(BACKENDS)}")
        _check_size(k, n)
        _check_generators(generators)
        if backend == "commpy":
            _import_commpy()
        self.k = k
        self.n = n
        self.generators = generators
        self.backend = backend
        self._copies = _copies(k + MEMORY, n)
        self._flips = _flips(generators)

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        check_bits(bits, self.k)
        register = torch.nn.functional.pad(bits.bool(), (MEMORY, MEMORY))
        streams = [_stream(register, generator) for generator in self.generators]
        mother = torch.stack(streams, dim=2).flatten(1)
        sent = torch.from_numpy(np.repeat(np.arange(self._copies.size), self._copies))
        return mother[:, sent.to(bits.device)].to(bits.dtype)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`.

        The Viterbi algorithm over the whole block: of all code words the likeliest (G. D. Forney, "The Viterbi
        algorithm", Proc. IEEE 61, 1973), up to the rounding of float32. An LLR of ±inf, or beyond ±10³⁰, is a
        certain bit; where such bits contradict each other, as few of them as possible are overruled. CommPy takes LLRs
        beyond ±10⁶ as ±10⁶.

        Raises:
            ValueError: `llr` is not (b, n), or holds NaN.
        """
        check_llr(llr, self.n)
        values = llr.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        bits = np.empty((len(values), self.k), np.uint8)
        if self.backend == "commpy":
            self._decode_with_commpy(values, bits)
        else:
            self._decode_compiled(values, bits)
        return torch.from_numpy(bits).to(device=llr.device, dtype=llr.dtype)

    def _decode_compiled(self, llr: NDArray[np.float32], bits: NDArray[np.uint8]) -> None:
        def rows(first: int, last: int) -> None:
            _decode_rows(llr, self._copies, self._flips, bits, first, last)

        run_in_threads(rows, len(llr), least=-(-_STEPS_AT_LEAST // (self.k + MEMORY)))

    def _decode_with_commpy(self, llr: NDArray[np.float32], bits: NDArray[np.uint8]) -> None:
        trellis_type, viterbi_decode = _import_commpy()
        trellis = trellis_type(np.array([MEMORY]), np.array([self.generators]), polynomial_format="Matlab")
        steps = self._copies.size // 2 + _COMMPY_TAIL
        for row, found in zip(llr, bits, strict=True):
            levels = np.full(2 * steps, -_COMMPY_CERTAIN)  # CommPy sends 0 as -1
            levels[: self._copies.size] = -_combined(row, self._copies)
            found[:] = viterbi_decode(levels, trellis, tb_depth=steps + 1, decoding_type="unquantized")[: self.k]


def _check_size(k: int, n: int) -> None:
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")
    shortest = -(-6 * (k + MEMORY) // 5)
    if n < shortest:
        raise ValueError(f"n={n} is out of range for k={k}: n ≥ {shortest} (rate 5/6 with the {MEMORY} tail bits)")


def _check_generators(generators: tuple[int, int]) -> None:
    if len(generators) != 2 or any(not _STATES < g < 2 * _STATES or g % 2 == 0 for g in generators):
        octal = ", ".join(f"0o{g:o}" for g in generators)
        raise ValueError(f"generators=({octal}) must be two odd numbers from 0o101 to 0o177")


def _import_commpy() -> tuple[Callable[..., object], Callable[..., NDArray[np.int64]]]:
    try:
        from commpy.channelcoding.convcode import Trellis, viterbi_decode
    except ImportError as error:
        raise ValueError("backend='commpy' needs scikit-commpy: pip install 'semlink[dev]'") from error
    return Trellis, viterbi_decode


def _copies(steps: int, n: int) -> NDArray[np.int64]:
    """How often each bit of the rate-1/2 stream A, B, A, B, … is sent."""
    if n >= 2 * steps:
        return _spread(n, 2 * steps)
    copies = next(kept for kept in (_kept(pattern, steps) for pattern in PATTERNS.values()) if kept.sum() <= n)
    (left_out,) = np.nonzero(copies == 0)
    copies[left_out] = _spread(n - int(copies.sum()), left_out.size)
    return copies


def _kept(pattern: tuple[str, str], steps: int) -> NDArray[np.int64]:
    return np.array([[int(row[t % len(row)]) for row in pattern] for t in range(steps)], np.int64).ravel()


def _spread(total: int, places: int) -> NDArray[np.int64]:
    """`total` things in `places` places as evenly as whole numbers allow."""
    return np.diff(np.arange(places + 1, dtype=np.int64) * total // places)


def _taps(generator: int) -> list[int]:
    """The delays in bits that add up to a coded bit."""
    return [delay for delay in range(MEMORY + 1) if generator >> (MEMORY - delay) & 1]


def _stream(register: Tensor, generator: int) -> Tensor:
    steps = register.shape[1] - MEMORY
    first, *others = (register[:, MEMORY - delay : MEMORY - delay + steps] for delay in _taps(generator))
    stream = first.clone()
    for other in others:
        stream ^= other
    return stream


def _flips(generators: tuple[int, int]) -> NDArray[np.int8]:
    """The coded bits of streams A and B when the 6 bits before the current 0 are the states below 32, newest lowest."""
    taps = [sum(1 << delay for delay in _taps(generator)) for generator in generators]
    return np.array([[(tap & 2 * state).bit_count() % 2 for state in range(_HALF)] for tap in taps], np.int8).ravel()


def _combined(llr: NDArray[np.float32], copies: NDArray[np.int64]) -> NDArray[np.float64]:
    """The LLRs of the rate-1/2 stream: 0 where a bit was not sent, the sum where it was repeated."""
    place = np.repeat(np.arange(copies.size), copies)
    total = np.bincount(place, np.clip(llr, -_COMMPY_CERTAIN, _COMMPY_CERTAIN), copies.size)
    return np.clip(total, -_COMMPY_CERTAIN, _COMMPY_CERTAIN)


# The compiled part: one block after the other, vectorised over the 32 butterflies of a trellis step. A state is the
# last 6 bits, the newest lowest, so a step reads and writes whole vectors that lie next to each other. Whole arrays go
# from function to function, as counting the references to a view would cost more than the step; the costs are in two
# arrays and not in two rows of one for the compiler to see that they do not overlap.


def _compiled(function: F) -> F:
    # No result is a NaN: inputs are checked, and all costs are finite.
    return cast("F", numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})(function))


@_compiled
@no_type_check
def _decode_rows(llr, copies, flips, bits, first, last):  # noqa: ANN001, ANN202
    """Decode rows first ≤ row < last of `llr` (b, n) into `bits` (b, k)."""
    steps = copies.size // 2
    stream = np.empty(2 * steps, np.float32)
    choices = np.empty((steps, _STATES), np.uint8)
    costs, spare = np.empty(_STATES, np.float32), np.empty(_STATES, np.float32)
    for row in range(first, last):
        _combine(llr, row, copies, stream)
        _forward(stream, flips, choices, costs, spare)
        _trace_back(choices, bits, row)


@_compiled
@no_type_check
def _combine(llr, row, copies, stream):  # noqa: ANN001, ANN202
    """As `_combined`, for certain bits of any certainty."""
    read = 0
    for place in range(copies.size):
        total = np.float32(0)
        for _ in range(copies[place]):
            total += min(max(llr[row, read], np.float32(-_CERTAIN)), np.float32(_CERTAIN))
            read += 1
        stream[place] = total


@_compiled
@no_type_check
def _forward(stream, flips, choices, costs, spare):  # noqa: ANN001, ANN202
    """Fill `choices` with the better of the two ways into each state at each step."""
    costs[:] = _IMPOSSIBLE
    costs[0] = 0
    steps = stream.size // 2
    for t in range(0, steps - 1, 2):
        if t % _STRIDE == 0:
            _lower(costs)
        _step(costs, spare, choices, t, flips, stream[2 * t], stream[2 * t + 1])
        _step(spare, costs, choices, t + 1, flips, stream[2 * t + 2], stream[2 * t + 3])
    if steps % 2:
        _step(costs, spare, choices, steps - 1, flips, stream[2 * steps - 2], stream[2 * steps - 1])


@_compiled
@no_type_check
def _lower(costs):  # noqa: ANN001, ANN202
    smallest = costs.min()
    for state in range(_STATES):
        costs[state] -= smallest


@_compiled
@no_type_check
def _step(old, new, choices, t, flips, llr_a, llr_b):  # noqa: ANN001, ANN202
    """Add, compare, select: from states j and j + 32 to 2 j and 2 j + 1, by the bit that comes in.

    A coded bit that goes against its LLR costs |LLR|, one that agrees nothing: costs stay small, whatever is certain.
    Both ends of the register are in both generators, so two of a butterfly's branches carry the same coded bits, and
    the other two the inverted ones.
    """
    zero = np.float32(0)
    a_is_0, a_is_1 = max(-llr_a, zero), max(llr_a, zero)
    b_is_0, b_is_1 = max(-llr_b, zero), max(llr_b, zero)
    for j in range(_HALF):
        flip_a, flip_b = flips[j], flips[j + _HALF]
        plain = (a_is_1 if flip_a else a_is_0) + (b_is_1 if flip_b else b_is_0)
        inverted = (a_is_0 if flip_a else a_is_1) + (b_is_0 if flip_b else b_is_1)
        low, high = old[j] + plain, old[j + _HALF] + inverted
        new[2 * j] = high if high < low else low
        choices[t, j] = high < low
        low, high = old[j] + inverted, old[j + _HALF] + plain
        new[2 * j + 1] = high if high < low else low
        choices[t, j + _HALF] = high < low


@_compiled
@no_type_check
def _trace_back(choices, bits, row):  # noqa: ANN001, ANN202
    """Follow `choices` from state 0 at the end. `place` is the state with its newest bit on top, as they are stored."""
    place = 0
    for t in range(choices.shape[0] - 1, -1, -1):
        if t < bits.shape[1]:
            bits[row, t] = place // _HALF
        place = (place & 1) * _HALF | choices[t, place] << (MEMORY - 2) | (place & (_HALF - 1)) >> 1
