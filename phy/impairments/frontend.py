"""Between the antenna and the baseband: what a radio's circuits and foreign transmitters do to its samples.

A `Stage` distorts the samples of one antenna, and says of the result what a receiver would measure with its pilots:
the linear gain that is left, and the variance of what is no longer proportional to the samples (J. J. Bussgang,
"Crosscorrelation functions of amplitude-distorted Gaussian signals", MIT RLE report 216, 1952). A `Radio` holds the
stages of both ends; a channel that is a `Medium` lets them act where they belong, before the fading and after the
noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from semlink.phy.link import Channel, Received, Rng

Side = Literal["transmitter", "receiver"]
"""Whose front end a stage belongs to."""


@dataclass(frozen=True)
class Distorted:
    """`samples = gain * given + distortion`, the distortion uncorrelated with what was given.

    Attributes:
        samples: what comes out, (b, n).
        gain: linear gain of each row, complex, (b, 1).
        variance: mean energy of the distortion of each row, (b, 1).
    """

    samples: Complex[Tensor, "b n"]
    gain: Complex[Tensor, "b 1"]
    variance: Float[Tensor, "b 1"]


@runtime_checkable
class Stage(Protocol):
    """An impairment or an interferer. What it draws depends on the shape of the samples alone, not on their values."""

    @property
    def side(self) -> Side:
        """Where it belongs when nothing else is said."""
        ...

    @property
    def spec(self) -> str:
        """Its name and parameters as the command line takes them, such as "rapp:ibo=6"."""
        ...

    def __call__(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,
    ) -> Distorted:
        """Distort samples whose mean energy is that of the link (1 a symbol at the transmitter).

        Args:
            samples: one antenna's samples a row, (b, n).
            rng: a generator for each row; rows of one image may share one and then draw in turn.
            pilots: which of the samples are pilots; None where none are.
        """
        ...


@dataclass(frozen=True)
class Radio:
    """The stages of both ends, each side in the order in which the signal meets them."""

    transmitter: tuple[Stage, ...] = ()
    receiver: tuple[Stage, ...] = ()

    def send(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,
    ) -> Distorted:
        """What the transmitter radiates, given its baseband samples."""
        return _through(self.transmitter, samples, rng, pilots)

    def receive(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,
    ) -> Distorted:
        """What the receiver's baseband gets, given what arrives at its antenna, noise included."""
        return _through(self.receiver, samples, rng, pilots)


IDEAL = Radio()
"""A radio that does nothing to its samples."""


@runtime_checkable
class Medium(Channel, Protocol):
    """A channel that says where a radio's stages act."""

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """As a `Channel` is called, with the stages of `radio` acting on the samples of each antenna."""
        ...


def regress(given: Complex[Tensor, "b n"], samples: Complex[Tensor, "b n"]) -> Distorted:
    """Split samples into a multiple of what was given and an uncorrelated rest, row by row."""
    energy = given.abs().square().mean(dim=1, keepdim=True)
    gain = (samples * given.conj()).mean(dim=1, keepdim=True) / energy.clamp_min(1e-20)
    gain = torch.where(energy > 1e-20, gain, 1.0)  # of silence any gain holds: one that can be divided by
    return Distorted(samples, gain, (samples - gain * given).abs().square().mean(dim=1, keepdim=True))


def _through(
    stages: Sequence[Stage], samples: Tensor, rng: Sequence[torch.Generator], pilots: Tensor | None
) -> Distorted:
    gain = torch.ones_like(samples[:, :1])
    variance = torch.zeros_like(gain.real)
    for stage in stages:
        one = stage(samples, rng=rng, pilots=pilots)
        samples, gain = one.samples, gain * one.gain
        variance = variance * one.gain.abs().square() + one.variance
    return Distorted(samples, gain, variance)
