"""From symbols to antennas and back: what all multi-antenna links have in common, whatever is between the antennas.

A `Scheme` maps groups of symbols to one or more channel uses of `tx` antennas (total energy 1 a use) and finds them
again in what `rx` antennas received. A flat channel and an OFDM grid use the same schemes, over the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from semlink.phy.link import ERASED, Received, Spatial
from semlink.phy.parameters import check_whole

Equaliser = Literal["zf", "mmse"]
"""How the gain of one antenna is undone."""

Rngs = Sequence[torch.Generator]
"""One generator an image."""


@dataclass(frozen=True)
class Detected:
    """`symbols = bias * sent + CN(0, n0)`, as in `Received`, by group.

    Attributes:
        symbols: (b, g, streams).
        n0: noise variance, residual interference included, (b, g, streams), or (b, 1, streams) where all groups have
            the same; `ERASED` for a stream that was not sent.
        bias: real positive factor on the sent symbol, as `n0`; None means 1.
        spatial: the observation itself, for a receiver that detects jointly with its constellation; None for none.
    """

    symbols: Complex[Tensor, "b g s"]
    n0: Float[Tensor, "b _ s"]
    bias: Float[Tensor, "b _ s"] | None = None
    spatial: Spatial | None = None


@runtime_checkable
class Scheme(Protocol):
    """How groups of symbols go out over `tx` antennas and are told apart behind `rx` antennas."""

    @property
    def tx(self) -> int:
        """Transmit antennas."""
        ...

    @property
    def rx(self) -> int:
        """Receive antennas."""
        ...

    @property
    def streams(self) -> int:
        """Symbols of a group."""
        ...

    @property
    def span(self) -> int:
        """Channel uses that a group takes."""
        ...

    @property
    def informed(self) -> bool:
        """Whether the transmitter must know the channel's state."""
        ...

    @property
    def joint(self) -> bool:
        """Whether one receiver has all receive antennas, or each is a receiver by itself."""
        ...

    @property
    def equaliser(self) -> str:
        """The detector's name in tables."""
        ...

    def precode(
        self, symbols: Complex[Tensor, "b g s"], h: Complex[Tensor, "b g rx tx"] | None, n0: float, *, rng: Rngs
    ) -> Complex[Tensor, "b g span tx"]:
        """What the antennas send: of energy 1 a use in all (for each user, where there are several transmitters).

        `h` is what the transmitter knows of the channel, at the first use of each group; None unless `informed`. `n0`
        is the noise variance of each receive antenna. From `rng`, one generator an image, other users' symbols are
        drawn where there are other users.
        """
        ...

    def detect(
        self,
        observed: Complex[Tensor, "b g span rx"],
        h: Complex[Tensor, "b g rx tx"],
        noise: Float[Tensor, "b _"],
        n0: float,
        *,
        told: Complex[Tensor, "b _ rx tx"] | None = None,
    ) -> Detected:
        """Tell the symbols apart, given the channel and the noise variance of each antenna in each group.

        `h` is the receiver's knowledge. `n0` is what the transmitter took the noise for when it precoded, and `told`
        what an informed one took the channel for; None for `h` itself.
        """
        ...


@dataclass(frozen=True)
class Single:
    """One antenna at each end, one tap, equalised by "zf" (y / h) or "mmse" (h* y / (|h|² + N0)).

    A symbol whose noise would be above `ERASED` is an erasure, as of several antennas: 0, of that noise.
    """

    equaliser: Equaliser = "zf"
    tx = rx = streams = span = 1
    informed = False
    joint = True

    def precode(
        self,
        symbols: Complex[Tensor, "b g 1"],
        h: Complex[Tensor, "b g 1 1"] | None,  # noqa: ARG002
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 1 1"]:
        """The symbols as they are."""
        return symbols[..., None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 1"],
        h: Complex[Tensor, "b g 1 1"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ 1 1"] | None = None,  # noqa: ARG002
    ) -> Detected:
        """Divide by the gain, and for MMSE scale by the factor that it brings."""
        tap = h[..., 0]
        inverse = energy(tap).clamp_min_(1e-12).reciprocal_()
        variance = noise[..., None] * inverse
        alive = variance < ERASED
        variance, inverse = torch.where(alive, variance, ERASED), torch.where(alive, inverse, 0.0)
        if self.equaliser == "zf":
            return Detected(observed[:, :, 0] * tap.conj() * inverse, variance)
        bias = (1 + variance).reciprocal_()
        return Detected(observed[:, :, 0] * tap.conj() * (bias * inverse), bias.square() * variance, bias)


def groups(n: int, scheme: Scheme) -> int:
    """Groups that n symbols take; the last may be padded."""
    return -(-n // scheme.streams)


def to_antennas(
    symbols: Complex[Tensor, "b n"], scheme: Scheme, h: Complex[Tensor, "b g rx tx"] | None, n0: float, *, rng: Rngs
) -> Complex[Tensor, "b m tx"]:
    """Map symbols to `groups * span` channel uses; the last group is filled up with zeros.

    Stream j of group i carries symbol i·streams + j.
    """
    padded = F.pad(symbols, (0, -symbols.shape[1] % scheme.streams))
    sent = scheme.precode(padded.reshape(len(symbols), -1, scheme.streams), h, n0, rng=rng)
    return sent.flatten(1, 2)


def from_antennas(
    observed: Complex[Tensor, "b m rx"],
    scheme: Scheme,
    h: Complex[Tensor, "b g rx tx"],
    noise: Float[Tensor, "b _"],
    n0: float,
    n: int,
    *,
    told: Complex[Tensor, "b _ rx tx"] | None = None,
    covariance: Complex[Tensor, "b _ rx rx"] | None = None,
    distortion: Float[Tensor, " b"] | None = None,
) -> Received:
    """The n symbols of each image, from what `m = groups * span` channel uses brought.

    `h` and `noise` are the receiver's knowledge: the channel, and the noise variance of each antenna, estimation error
    included, by group. With `covariance`, what the antennas take for noise is not alike and independent, and `noise`
    is not looked at. `told` is what an informed transmitter took the channel for; None for `h` itself. `distortion` is
    what each symbol had on it when it was sent, and no combining takes off.
    """
    grouped = observed.reshape(len(observed), -1, scheme.span, scheme.rx)
    if covariance is not None:
        grouped, h = _whiten(grouped, h, covariance if scheme.joint else _diagonal(covariance))
        noise = torch.ones_like(grouped.real[:, :1, 0, 0])
    found = scheme.detect(grouped, h, noise, n0, told=told)
    if distortion is not None:
        factor = 1.0 if found.bias is None else found.bias.square()
        found = replace(found, n0=found.n0 + factor * distortion[:, None, None])
    bias = None if found.bias is None else _by_symbol(found.bias, grouped.shape[1], n)
    # A group that nothing can be made of is an erasure: infinities would spread.
    variance = _by_symbol(found.n0.clamp(max=ERASED), grouped.shape[1], n)
    return Received(found.symbols.flatten(1)[:, :n], variance, bias=bias, spatial=found.spatial)


def add_distortion(
    own: Float[Tensor, "b _ rx"], h: Complex[Tensor, "b g rx tx"], before: Complex[Tensor, "b tx tx"]
) -> Complex[Tensor, "b g rx rx"]:
    """Covariance of noise of each receive antenna's `own`, and distortion of the transmit antennas behind `h`.

    `before` is the covariance of the distortion over the linear gains. What a transmit antenna adds to its signal
    arrives the way the signal does: no combining tells them apart.
    """
    carried = h @ before[:, None] @ h.mH
    return carried + torch.diag_embed(own).to(h)


def distortion_covariance(
    sent: Complex[Tensor, "b m tx"], out: Complex[Tensor, "b m tx"], gain: Complex[Tensor, "b tx"]
) -> Complex[Tensor, "b tx tx"]:
    """Of what the transmit antennas add to `gain * sent`, over their gains: antennas that send alike distort alike."""
    rest = (out / torch.where(gain == 0, 1.0, gain)[:, None] - sent).detach()
    return rest.mT @ rest.conj() / sent.shape[1]


def _diagonal(covariance: Complex[Tensor, "b g rx rx"]) -> Complex[Tensor, "b g rx rx"]:
    return torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))


def _whiten(
    observed: Complex[Tensor, "b g span rx"], h: Complex[Tensor, "b _ rx tx"], covariance: Complex[Tensor, "b _ rx rx"]
) -> tuple[Complex[Tensor, "b g span rx"], Complex[Tensor, "b _ rx tx"]]:
    """Observation and channel with the noise made white, of variance 1."""
    root = torch.linalg.cholesky(covariance.detach())
    seen = torch.linalg.solve_triangular(root, observed.mT, upper=False).mT
    return seen, torch.linalg.solve_triangular(root, h.expand(-1, max(len(root[0]), h.shape[1]), -1, -1), upper=False)


def _by_symbol(values: Float[Tensor, "b g s"], count: int, n: int) -> Float[Tensor, "b n"]:
    return values.expand(-1, count, -1).reshape(len(values), -1)[:, :n]


def energy(x: Complex[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """|x|², without the square root that `abs` takes."""
    return x.real.square() + x.imag.square()


def antenna_energy(scheme: Scheme) -> tuple[float, ...]:
    """Mean energy of each transmit antenna on an element of the payload.

    Measured on symbols 1 where the transmitter knows nothing; one that knows the channel shares out the energy 1.
    """
    if scheme.informed:
        return (1 / scheme.tx,) * scheme.tx
    ones = torch.ones(1, 16, scheme.streams, dtype=torch.complex64)
    sent = scheme.precode(ones, None, 1.0, rng=[torch.Generator().manual_seed(0)])
    return tuple(sent.abs().square().mean(dim=(0, 1, 2)).tolist())


def check_antennas(tx: int, rx: int) -> None:
    """Raise ValueError unless both numbers of antennas are from 1 to 256."""
    for name, value in (("tx", tx), ("rx", rx)):
        check_whole(name, value, 1, 256, of="antennas")


def amplitude(antennas: int) -> float:
    """Of each of several antennas that share the energy 1 of a channel use."""
    return 1 / math.sqrt(antennas)
