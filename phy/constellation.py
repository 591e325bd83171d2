"""Gray-labelled square QAM (TS 38.211 clause 5.1): mapping and exact soft demapping."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Complex, Float, Num, UInt8
from numba import njit
from torch import Tensor

from semlink.phy.kept import kept
from semlink.phy.parallel import run_in_threads

ORDERS = (4, 16, 64, 256, 1024)

# Below the floor the squared distances would overflow float32; 100 dB is far beyond any use of the LLRs.
_N0_FLOOR = 1e-10
_LLR_LIMIT = 1e12
# Symbols demapped at a time: on a GPU the demapper spends some kilobytes on each.
_CHUNK = 1 << 15


class QAM:
    """Square QAM of unit mean energy over its points, Gray-labelled as TS 38.211 clauses 5.1.3 to 5.1.7.

    Args:
        order: number of points: 4, 16, 64, 256 or 1024.

    Attributes:
        order: number of points.
        bits_per_symbol: log2(order).

    Raises:
        ValueError: another order.
    """

    def __init__(self, order: int) -> None:
        if order not in ORDERS:
            raise ValueError(f"order={order!r} must be one of: {', '.join(map(str, ORDERS))}")
        self.order = order
        self.bits_per_symbol = order.bit_length() - 1

    def map(self, bits: Num[Tensor, "b n_bits"]) -> Complex[Tensor, "b n"]:
        """Bits (b, n·m) to complex64 symbols (b, n), m bits each, the first bit of a symbol first.

        Raises:
            ValueError: the bits do not fill whole symbols.
        """
        if bits.ndim != 2 or bits.shape[1] % self.bits_per_symbol:
            raise ValueError(
                f"bits has shape {tuple(bits.shape)}; it must be (b, n·{self.bits_per_symbol}) for {self.order}-QAM"
            )
        columns = bits.reshape(bits.shape[0], -1, self.bits_per_symbol)
        label = torch.zeros(columns.shape[:2], dtype=torch.int64, device=bits.device)
        for i in range(self.bits_per_symbol):
            label = 2 * label + columns[:, :, i]
        return _points(self.bits_per_symbol, str(bits.device))[label.long()]

    def llr(self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n_bits"]:
        """Exact log-likelihood ratios log P(bit = 0) / P(bit = 1) of equiprobable bits, (b, n·m), always finite.

        Beyond ±69, where an error has a probability of 1e-30, those of the likelier points alone, off by ln 2 or so.

        Args:
            symbols: received symbols, sent + CN(0, n0), (b, n); see `Received.unbiased`.
            n0: noise variance of each symbol, linear (Es = 1), (b, n).

        Raises:
            ValueError: the shapes differ.
        """
        if symbols.ndim != 2 or symbols.shape != n0.shape:
            raise ValueError(f"symbols {tuple(symbols.shape)} and n0 {tuple(n0.shape)} must both be (b, n)")
        # The real and the imaginary axis carry the even and the odd bits and are independent, so the exact sum over
        # M points is one over sqrt(M) points on each axis.
        if symbols.is_cuda:
            return self._llr_on_gpu(symbols, n0)
        axes = torch.view_as_real(symbols.detach().to(torch.complex64).resolve_conj().contiguous())
        noise = n0.detach().float().contiguous()
        levels, labels = _axis(self.bits_per_symbol // 2)
        llr = torch.empty(symbols.shape[0], symbols.shape[1] * self.bits_per_symbol)
        flat = axes.reshape(-1, 2).numpy(), noise.reshape(-1).numpy()
        out = llr.view(-1, self.bits_per_symbol).numpy()

        def kernel(first: int, last: int) -> None:
            _demap(flat[0][first:last], flat[1][first:last], levels, labels, out[first:last])

        run_in_threads(kernel, len(out), least=_CHUNK)
        return llr

    def _llr_on_gpu(self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n_bits"]:
        # Sionna's PAM has unit energy on one axis, QAM 1/2 on each.
        axes = torch.view_as_real(symbols).reshape(-1) * 2**0.5
        noise = (2 * n0.clamp_min(_N0_FLOOR)).reshape(-1).repeat_interleave(2)
        demapper = _pam_demapper(self.bits_per_symbol // 2, str(symbols.device))
        chunks = zip(torch.split(axes, _CHUNK), torch.split(noise, _CHUNK), strict=True)
        llr = -torch.cat([demapper(y.to(symbols.dtype), v) for y, v in chunks])  # Sionna's is log P(1) / P(0)
        per_axis = llr.reshape(*symbols.shape, 2, self.bits_per_symbol // 2)  # (b, n, axis, bit)
        llr = per_axis.transpose(-1, -2).reshape(symbols.shape[0], -1)
        return llr.nan_to_num(nan=0.0, posinf=_LLR_LIMIT, neginf=-_LLR_LIMIT)


@lru_cache(maxsize=8)
def _axis(bits: int) -> tuple[Float[np.ndarray, " levels"], UInt8[np.ndarray, "levels bits"]]:
    """The levels of one axis of a QAM of unit energy, with their labels (TS 38.211 clause 5.1, the real part)."""
    labels = (np.arange(1 << bits)[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    level = np.zeros(1 << bits)
    for i in reversed(range(bits)):
        level = (1.0 - 2.0 * labels[:, i]) * ((1 << (bits - 1 - i)) - level)
    points = 4.0**bits
    return (level / math.sqrt(2 * (points - 1) / 3)).astype(np.float32), labels


@kept(8)
def _points(bits_per_symbol: int, device: str) -> Complex[Tensor, " order"]:
    """The points by label, the first bit of a symbol the most significant."""
    levels, _ = _axis(bits_per_symbol // 2)
    label = np.arange(1 << bits_per_symbol)
    index = np.zeros((2, len(label)), dtype=np.int64)
    for i in range(bits_per_symbol):
        index[i % 2] = 2 * index[i % 2] + (label >> (bits_per_symbol - 1 - i) & 1)
    return torch.from_numpy(levels[index[0]] + 1j * levels[index[1]]).to(device, torch.complex64)


@njit(nogil=True, cache=True)
@no_type_check  # shape checks of the tests cannot be compiled
def _demap(
    axes: Float[np.ndarray, "n 2"],
    noise: Float[np.ndarray, " n"],
    levels: Float[np.ndarray, " levels"],
    labels: UInt8[np.ndarray, "levels bits"],
    out: Float[np.ndarray, "n bits2"],
) -> None:
    """Exact LLRs, but the likelier point of each kind alone once their sum is below 1e-30 of the likeliest."""
    bits = labels.shape[1]
    metric = np.empty(len(levels), np.float32)
    total, best = np.empty((bits, 2), np.float32), np.empty((bits, 2), np.float32)
    for i in range(len(axes)):
        inverse = np.float32(1.0) / max(noise[i], np.float32(1e-10))
        if inverse != inverse:  # a noise variance that is no number tells nothing
            inverse = np.float32(0.0)
        for axis in range(2):
            y = axes[i, axis]
            if not abs(y) < np.float32(1e12):  # overflow, or no number at all
                y = np.float32(0.0) if y != y else np.copysign(np.float32(1e12), y)
            if bits == 1:
                out[i, axis] = np.float32(4.0) * levels[0] * y * inverse
                continue
            top = np.float32(-np.inf)
            for k in range(len(levels)):
                # The square of y is common to all.
                metric[k] = levels[k] * (np.float32(2.0) * y - levels[k]) * inverse
                top = max(top, metric[k])
            total[:], best[:] = np.float32(0.0), np.float32(-np.inf)
            for k in range(len(levels)):
                share = math.exp(metric[k] - top)
                for bit in range(bits):
                    total[bit, labels[k, bit]] += share
                    best[bit, labels[k, bit]] = max(best[bit, labels[k, bit]], metric[k])
            for bit in range(bits):
                if min(total[bit, 0], total[bit, 1]) > np.float32(1e-30):
                    out[i, 2 * bit + axis] = math.log(total[bit, 0] / total[bit, 1])
                else:
                    out[i, 2 * bit + axis] = best[bit, 0] - best[bit, 1]


# Sionna is imported where it is needed: it takes seconds, which a command that only prints its help need not spend.


@lru_cache(maxsize=16)
def _pam_demapper(bits_per_axis: int, device: str) -> Any:  # noqa: ANN401
    from sionna.phy.mapping import Demapper

    return Demapper("app", "pam", bits_per_axis, device=device)
