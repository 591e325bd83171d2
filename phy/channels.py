"""Single-antenna channels: additive noise and flat Rayleigh fading.

Noise is CN(0, N0), N0/2 per real axis, and fading has E|h|² = 1 and is never renormalised: outage is real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Complex
from torch import Tensor

from semlink.phy.link import Received, Rng
from semlink.phy.rng import complex_normal, rows

Csi = Literal["perfect", "none"]
Equaliser = Literal["zf", "mmse"]


@dataclass(frozen=True)
class AWGN:
    """Additive white Gaussian noise: y = x + w, w ~ CN(0, N0)."""

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        return {"channel": "awgn", "csi": "perfect", "coherence": "", "equaliser": ""}

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Add noise of variance `n0` to symbols of shape (b, n)."""
        noise = torch.stack([complex_normal(symbols.shape[1], g) for g in rows(rng, symbols.shape[0])])
        return Received(symbols + math.sqrt(n0) * noise.to(symbols), _constant(symbols, n0))


@dataclass(frozen=True)
class Rayleigh:
    """Flat Rayleigh fading: y = h x + w, h ~ CN(0, 1), w ~ CN(0, N0).

    Args:
        coherence: "block" for one gain an image, "fast" for one a symbol, or the number of symbols that share a gain.
        csi: "perfect": the receiver knows h and equalises; "none": it gets y as it is and believes the channel AWGN.
        equaliser: with perfect CSI, "zf" (y / h) or "mmse" (h* y / (|h|² + N0)). MMSE leaves a real bias
            |h|² / (|h|² + N0) on the symbol, handed back as `Received.bias`; taking it out gives the ZF output again,
            since with one tap the two differ by a known factor only. Either way Es/N0 of a symbol is |h|² / N0.

    Raises:
        ValueError: an option outside of these.
    """

    coherence: Literal["block", "fast"] | int = "block"
    csi: Csi = "perfect"
    equaliser: Equaliser = "zf"

    def __post_init__(self) -> None:
        length = self.coherence
        if length not in ("block", "fast") and (not isinstance(length, int) or isinstance(length, bool) or length < 1):
            raise ValueError(f'coherence={length!r} must be "block", "fast" or a number of symbols from 1')
        _one_of("csi", self.csi, get_args(Csi))
        _one_of("equaliser", self.equaliser, get_args(Equaliser))

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        equaliser = self.equaliser if self.csi == "perfect" else ""
        return {"channel": "rayleigh", "csi": self.csi, "coherence": str(self.coherence), "equaliser": equaliser}

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Fade, add noise of variance `n0` and equalise as the CSI allows; symbols (b, n)."""
        n = symbols.shape[1]
        # Gain before noise, image after image: what an image meets does not depend on its batch.
        draws = [(self._gain(n, g), complex_normal(n, g)) for g in rows(rng, symbols.shape[0])]
        gain = torch.stack([h for h, _ in draws]).to(symbols)
        received = gain * symbols + math.sqrt(n0) * torch.stack([w for _, w in draws]).to(symbols)
        if self.csi == "none":
            return Received(received, _constant(symbols, n0))
        # |h| = 0 has probability zero; the floor keeps float32 finite.
        power = gain.abs().square().clamp_min(1e-12)
        zf, zf_n0 = received * gain.conj() / power, n0 / power
        if self.equaliser == "zf":
            return Received(zf, zf_n0, gain=gain)
        bias = power / (power + n0)
        return Received(bias * zf, bias.square() * zf_n0, gain=gain, bias=bias)

    def _gain(self, n: int, rng: torch.Generator) -> Complex[Tensor, " n"]:
        length = {"block": n, "fast": 1}.get(str(self.coherence), self.coherence)
        assert isinstance(length, int)
        return complex_normal(-(-n // length), rng).repeat_interleave(length)[:n]


def _constant(symbols: Tensor, n0: float) -> Tensor:
    return torch.full(symbols.shape, n0, dtype=symbols.real.dtype, device=symbols.device)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of: {', '.join(allowed)}")
