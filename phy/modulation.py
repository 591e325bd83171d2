"""Any constellation: mapping and exact soft demapping of labelled points; PSK, and the APSK of DVB-S2.

Square QAM has a faster demapper of its own, `semlink.phy.constellation.QAM`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol, no_type_check, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Num, UInt8
from numba import njit
from torch import Tensor

from semlink.phy.parallel import run_in_threads

ENERGY_OFF = 1e-3
"""By how much the mean energy of a constellation's points may be off 1: what four digits of a standard leave open."""
MOST_POINTS = 4096
"""Of a constellation that is demapped point by point."""
_LEAST = 1 << 12  # symbols that are worth a thread


@runtime_checkable
class Constellation(Protocol):
    """Points and their labels: all that a constellation of one's own needs.

    Attributes:
        points: (2^m,) complex, of unit mean energy.
        labels: (2^m, m) bits of each point, 0 or 1, the first bit that is sent first.
    """

    points: Any
    labels: Any


@runtime_checkable
class Mapper(Protocol):
    """Bits to symbols and back, for who wants more than a table of points: memory, or a demapper of one's own.

    Attributes:
        bits_per_symbol: m.
    """

    bits_per_symbol: int

    def map(self, bits: Num[Tensor, "b n_bits"]) -> Complex[Tensor, "b n"]:
        """Bits (b, n·m), 0 or 1, to symbols (b, n) of unit mean energy."""

    def llr(self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n_bits"]:
        """LLRs log P(0)/P(1), (b, n·m), finite, of symbols that were received with noise CN(0, n0), (b, n)."""


class Modulation:
    """The `Mapper` of any constellation of unit mean energy, with the exact demapper.

    Args:
        points: (2^m,) complex.
        labels: (2^m, m) bits of each point; None for the point's place in `points` in binary, first bit first.

    Attributes:
        points: (2^m,) complex128.
        labels: (2^m, m) uint8.
        bits_per_symbol: m.

    Raises:
        ValueError: no power of two of points, labels of another shape or given twice, or energy that is not 1.
    """

    def __init__(self, points: Any, labels: Any = None) -> None:  # noqa: ANN401 - as NumPy takes it
        self.points = as_points(points)
        self.bits_per_symbol = len(self.points).bit_length() - 1
        self.labels = as_labels(labels, self.bits_per_symbol)
        if off := energy_off(self.points):
            raise ValueError(off)
        by_label = np.argsort(self.labels @ (1 << np.arange(self.bits_per_symbol)[::-1]))
        self._by_label = torch.from_numpy(self.points[by_label].astype(np.complex64))

    def map(self, bits: Num[Tensor, "b n_bits"]) -> Complex[Tensor, "b n"]:
        """Bits (b, n·m) to complex64 symbols (b, n), m bits each, the first bit of a symbol first.

        Raises:
            ValueError: the bits do not fill whole symbols.
        """
        m = self.bits_per_symbol
        if bits.ndim != 2 or bits.shape[1] % m:
            raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, n·{m}) for {1 << m} points")
        weights = 1 << torch.arange(m - 1, -1, -1, device=bits.device)
        label = (bits.reshape(len(bits), -1, m).long() * weights).sum(dim=2)
        return self._turned(self._by_label.to(bits.device)[label], 1)

    def llr(self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n_bits"]:
        """Exact log-likelihood ratios log P(bit = 0) / P(bit = 1) of equiprobable bits, (b, n·m), always finite.

        Where the likelier points are more than 1e30 times as likely, those of the likeliest point of each kind.

        Args:
            symbols: received symbols, sent + CN(0, n0), (b, n); see `Received.unbiased`.
            n0: noise variance of each symbol, linear (Es = 1), (b, n).

        Raises:
            ValueError: the shapes differ.
        """
        if symbols.ndim != 2 or symbols.shape != n0.shape:
            raise ValueError(f"symbols {tuple(symbols.shape)} and n0 {tuple(n0.shape)} must both be (b, n)")
        turned = self._turned(symbols.detach().to("cpu", torch.complex64), -1).resolve_conj().contiguous()
        axes, noise = torch.view_as_real(turned).reshape(-1, 2).numpy(), n0.detach().cpu().float().reshape(-1).numpy()
        points = np.stack([self.points.real, self.points.imag], axis=1).astype(np.float32)
        out = np.empty((len(axes), self.bits_per_symbol), np.float32)

        def kernel(first: int, last: int) -> None:
            _demap(axes[first:last], noise[first:last], points, self.labels, out[first:last])

        run_in_threads(kernel, len(out), least=_LEAST)
        return torch.from_numpy(out).reshape(len(symbols), -1).to(symbols.device)

    def _turned(self, symbols: Complex[Tensor, "b n"], sense: int) -> Complex[Tensor, "b n"]:  # noqa: ARG002
        """Symbols turned by their place, +1 at the transmitter and -1 at the receiver: here not at all."""
        return symbols


def as_points(points: Any) -> Complex[np.ndarray, " order"]:  # noqa: ANN401 - whatever NumPy takes
    """Points as an array.

    Raises:
        ValueError: not a power of two of finite numbers, from 2 to 4096.
    """
    found = np.asarray(points, dtype=np.complex128)
    if found.ndim != 1 or not 2 <= len(found) <= MOST_POINTS or len(found) & (len(found) - 1):
        raise ValueError(f"points has shape {found.shape}; it must be (2^m,), from 2 to {MOST_POINTS}")
    if not np.isfinite(found).all():
        raise ValueError(f"points holds {int((~np.isfinite(found)).sum())} values that are no finite numbers")
    return found


def as_labels(labels: Any, bits: int) -> UInt8[np.ndarray, "order bits"]:  # noqa: ANN401 - whatever NumPy takes
    """The labels of 2^bits points as an array; None for their places in binary.

    Raises:
        ValueError: another shape, other values than 0 and 1, or a label that two points have.
    """
    count = 1 << bits
    if labels is None:
        return (np.arange(count)[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    found = np.asarray(labels)
    if found.shape != (count, bits) or not np.isin(found, (0, 1)).all():
        raise ValueError(f"labels has shape {found.shape}; it must be ({count}, {bits}), a row of bits a point")
    if len(np.unique(found, axis=0)) < count:
        raise ValueError("labels: two points have the same one")
    return found.astype(np.uint8)


def energy_off(points: Complex[np.ndarray, " order"]) -> str | None:
    """By how much the mean energy of points is off 1, in words; None where it is 1."""
    energy = float(np.mean(np.abs(points) ** 2))
    if abs(energy - 1) <= ENERGY_OFF:
        return None
    off = f"{10 * math.log10(energy):+.2f} dB" if energy > 0 else "all zero"
    return f"points: their mean energy is {energy:.4g} ({off}); it must be 1: divide them by {math.sqrt(energy):.4g}"


def psk(order: int) -> Modulation:
    """Phase shift keying, the first point at phase 0, Gray-labelled: neighbours differ in one bit.

    Raises:
        ValueError: no power of two from 2 to 64.
    """
    if order not in (2, 4, 8, 16, 32, 64):
        raise ValueError(f"order={order!r} must be a power of two from 2 to 64")
    place = np.arange(order)
    gray = place ^ place >> 1
    labels = gray[:, None] >> np.arange(order.bit_length() - 1)[::-1] & 1
    return Modulation(np.exp(2j * np.pi * place / order), labels)


def bpsk() -> Modulation:
    """BPSK of TS 38.211 clause 5.1.2: (1 - 2b)(1 + j)/√2."""
    return Modulation([(1 + 1j) / math.sqrt(2), -(1 + 1j) / math.sqrt(2)])


def pi2_bpsk() -> Modulation:
    """π/2-BPSK of TS 38.211 clause 5.1.1: BPSK turned by a quarter turn at every other symbol."""
    return _Alternating([(1 + 1j) / math.sqrt(2), -(1 + 1j) / math.sqrt(2)])


class _Alternating(Modulation):
    """Every other symbol, from the second on, is turned by a quarter turn."""

    def _turned(self, symbols: Complex[Tensor, "b n"], sense: int) -> Complex[Tensor, "b n"]:
        odd = torch.arange(symbols.shape[1], device=symbols.device) % 2 == 1
        return torch.where(odd, symbols * (sense * 1j), symbols)


APSK_RADII: dict[int, dict[str, tuple[float, ...]]] = {
    16: {"2/3": (3.15,), "3/4": (2.85,), "4/5": (2.75,), "5/6": (2.70,), "8/9": (2.60,), "9/10": (2.57,)},
    32: {
        "3/4": (2.84, 5.27),
        "4/5": (2.72, 4.87),
        "5/6": (2.64, 4.64),
        "8/9": (2.54, 4.33),
        "9/10": (2.53, 4.30),
    },
}
"""Radii of the outer rings over the innermost by order and code rate: ETSI EN 302 307-1 tables 9 and 10."""

# Of each label from 0 on: the ring, from the innermost, and the phase in units of π/24 (EN 302 307-1 figures 12, 13).
_APSK_16 = (
    "1,6 1,-6 1,18 1,-18 1,2 1,-2 1,22 1,-22 1,10 1,-10 1,14 1,-14 0,6 0,-6 0,18 0,-18"
)  # fmt: skip
_APSK_32 = (
    "1,6 1,10 1,-6 1,-10 1,18 1,14 1,-18 1,-14 2,3 2,9 2,-6 2,-12 2,18 2,12 2,-21 2,-15 "
    "1,2 0,6 1,-2 0,-6 1,22 0,18 1,-22 0,-18 2,0 2,6 2,-3 2,-9 2,21 2,15 2,24 2,-18"
)  # fmt: skip


def apsk(order: int, rate: Fraction | str) -> Modulation:
    """The 16- or 32-APSK of DVB-S2, whose rings depend on the code rate (ETSI EN 302 307-1 clauses 5.4.3 and 5.4.4).

    Raises:
        ValueError: another order, or a code rate for which the standard has no radii.
    """
    if order not in APSK_RADII:
        raise ValueError(f"order={order!r} must be one of: {', '.join(map(str, APSK_RADII))}")
    if str(rate) not in APSK_RADII[order]:
        raise ValueError(f"{order}apsk: rate {rate} must be one of: {', '.join(APSK_RADII[order])} (EN 302 307-1)")
    radii = (1.0, *APSK_RADII[order][str(rate)])
    table = (_APSK_16 if order == 16 else _APSK_32).split()
    pairs: Sequence[Sequence[str]] = [entry.split(",") for entry in table]
    points = np.array([radii[int(ring)] * np.exp(1j * math.pi / 24 * int(phase)) for ring, phase in pairs])
    return Modulation(points / np.sqrt(np.mean(np.abs(points) ** 2)))


@njit(nogil=True, cache=True)
@no_type_check  # shape checks of the tests cannot be compiled
def _demap(
    axes: Float[np.ndarray, "n 2"],
    noise: Float[np.ndarray, " n"],
    points: Float[np.ndarray, "order 2"],
    labels: UInt8[np.ndarray, "order bits"],
    out: Float[np.ndarray, "n bits"],
) -> None:
    """Exact LLRs, but the likelier point of each kind alone once their sum is below 1e-30 of the likeliest."""
    bits = labels.shape[1]
    metric = np.empty(len(points), np.float32)
    total, best = np.empty((bits, 2), np.float32), np.empty((bits, 2), np.float32)
    for i in range(len(axes)):
        inverse = np.float32(1.0) / max(noise[i], np.float32(1e-10))
        if inverse != inverse:  # a noise variance that is no number tells nothing
            inverse = np.float32(0.0)
        x, y = axes[i, 0], axes[i, 1]
        if not abs(x) < np.float32(1e12):  # overflow, or no number at all
            x = np.float32(0.0) if x != x else np.copysign(np.float32(1e12), x)
        if not abs(y) < np.float32(1e12):
            y = np.float32(0.0) if y != y else np.copysign(np.float32(1e12), y)
        top = np.float32(-np.inf)
        for k in range(len(points)):
            # The square of what was received is common to all.
            a, b = points[k, 0], points[k, 1]
            metric[k] = (a * (np.float32(2.0) * x - a) + b * (np.float32(2.0) * y - b)) * inverse
            top = max(top, metric[k])
        total[:], best[:] = np.float32(0.0), np.float32(-np.inf)
        for k in range(len(points)):
            share = math.exp(metric[k] - top)
            for bit in range(bits):
                total[bit, labels[k, bit]] += share
                best[bit, labels[k, bit]] = max(best[bit, labels[k, bit]], metric[k])
        for bit in range(bits):
            if min(total[bit, 0], total[bit, 1]) > np.float32(1e-30):
                out[i, bit] = math.log(total[bit, 0] / total[bit, 1])
            else:
                out[i, bit] = best[bit, 0] - best[bit, 1]
