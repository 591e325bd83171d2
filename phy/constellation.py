"""Gray-labelled square QAM (TS 38.211 clause 5.1): mapping, and soft demapping by Sionna."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Complex, Float, Num
from torch import Tensor

ORDERS = (4, 16, 64, 256)

# Below the floor the squared distances would overflow float32; 100 dB is far beyond any use of the LLRs.
_N0_FLOOR = 1e-10
_LLR_LIMIT = 1e12
# Symbols demapped at a time: the demapper spends some kilobytes on each.
_CHUNK = 1 << 15


class QAM:
    """Square QAM of unit mean energy over its points, Gray-labelled as TS 38.211 clauses 5.1.3 to 5.1.6.

    Args:
        order: number of points: 4, 16, 64 or 256.

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
        symbols: Tensor = _mapper(self.bits_per_symbol, str(bits.device))(bits.float())
        return symbols

    def llr(self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n_bits"]:
        """Exact log-likelihood ratios log P(bit = 0) / P(bit = 1) of equiprobable bits, (b, n·m), always finite.

        Args:
            symbols: received symbols, sent + CN(0, n0), (b, n); see `Received.unbiased`.
            n0: noise variance of each symbol, linear (Es = 1), (b, n).

        Raises:
            ValueError: the shapes differ.
        """
        if symbols.ndim != 2 or symbols.shape != n0.shape:
            raise ValueError(f"symbols {tuple(symbols.shape)} and n0 {tuple(n0.shape)} must both be (b, n)")
        # The real and the imaginary axis carry the even and the odd bits and are independent, so the exact sum over
        # M points is one over sqrt(M) points on each axis. Sionna's PAM has unit energy on one axis, QAM 1/2 on each.
        axes = torch.view_as_real(symbols).reshape(-1) * 2**0.5
        noise = (2 * n0.clamp_min(_N0_FLOOR)).reshape(-1).repeat_interleave(2)
        demapper = _pam_demapper(self.bits_per_symbol // 2, str(symbols.device))
        chunks = zip(torch.split(axes, _CHUNK), torch.split(noise, _CHUNK), strict=True)
        llr = -torch.cat([demapper(y.to(symbols.dtype), v) for y, v in chunks])  # Sionna's is log P(1) / P(0)
        per_axis = llr.reshape(*symbols.shape, 2, self.bits_per_symbol // 2)  # (b, n, axis, bit)
        llr = per_axis.transpose(-1, -2).reshape(symbols.shape[0], -1)
        return llr.nan_to_num(nan=0.0, posinf=_LLR_LIMIT, neginf=-_LLR_LIMIT)


# Sionna is imported where it is needed: it takes seconds, which a command that only prints its help need not spend.


@lru_cache(maxsize=16)
def _mapper(bits_per_symbol: int, device: str) -> Any:  # noqa: ANN401
    from sionna.phy.mapping import Mapper

    return Mapper("qam", bits_per_symbol, device=device)


@lru_cache(maxsize=16)
def _pam_demapper(bits_per_axis: int, device: str) -> Any:  # noqa: ANN401
    from sionna.phy.mapping import Demapper

    return Demapper("app", "pam", bits_per_axis, device=device)
