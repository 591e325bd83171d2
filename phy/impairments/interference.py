"""Foreign signals at the receiver: co-channel interference and jamming.

Their power is relative to the average received energy of a symbol, Es·E|h|² = 1 at each receive antenna: not to the
samples of a frame, faded and noisy as they are. Each row draws a signal of its own, so several antennas meet
independent ones, as from many directions: a receiver finds no direction to null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from semlink.phy.impairments.frontend import Distorted, Side
from semlink.phy.parameters import Described, check_choice, check_number
from semlink.phy.rng import complex_normal, rows

Jamming = Literal["barrage", "tone", "pilot"]
"""What a jammer sends: noise, a carrier, or noise on the pilots alone."""


@dataclass(frozen=True)
class Interferer(Described):
    """Another transmitter on the same carrier: random QPSK symbols at a random carrier phase, in step with ours.

    Its power is constant, without a fade of its own, so that the ratio holds for every image.

    Attributes:
        sir_db: average received signal power 1 over that of the interference, in dB.

    Raises:
        ValueError: `sir_db` outside of -60 … 100.
    """

    sir_db: float
    name: ClassVar[str] = "interferer"
    keys: ClassVar[Mapping[str, str]] = {"sir_db": "sir"}
    side: ClassVar[Side] = "receiver"

    def __post_init__(self) -> None:
        check_number("sir_db", self.sir_db, -60, 100, "dB")

    def __call__(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,  # noqa: ARG002
    ) -> Distorted:
        """Add the interference to samples (b, n); the gain is 1 and the variance its power."""
        b, n = samples.shape
        power = 10 ** (-self.sir_db / 10)
        foreign = torch.stack([_qpsk(n, one) for one in rows(rng, b)])
        return _add(samples, math.sqrt(power) * foreign, power)


@dataclass(frozen=True)
class Jammer(Described):
    """A hostile transmitter of a given mean power over the frame.

    The variance that it is said to add is what a receiver would measure on the data: its power, and for a jammer of
    the pilots 0; what that one does, it does by way of the channel estimate.

    Source: R. A. Poisel, "Modern Communications Jamming Principles and Techniques", 2nd ed. 2011, for barrage and
    tone; T. C. Clancy, "Efficient OFDM denial: pilot jamming and pilot nulling", IEEE ICC 2011, for the pilots.

    Attributes:
        kind: "barrage" is white Gaussian noise; "tone" a complex sinusoid of random frequency and phase; "pilot"
            Gaussian noise on the pilots alone (of OFDM, on the samples of the OFDM symbols that have any), each of n/p
            times the mean power where p of n samples are pilots.
        jsr_db: power of the jammer over the average received signal power 1, in dB.

    Raises:
        ValueError: another kind, `jsr_db` outside of -100 … 60, or on a call a jammer of pilots where there are none.
    """

    kind: Jamming
    jsr_db: float
    name: ClassVar[str] = "jammer"
    keys: ClassVar[Mapping[str, str]] = {"kind": "kind", "jsr_db": "jsr"}
    side: ClassVar[Side] = "receiver"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Jamming))
        check_number("jsr_db", self.jsr_db, -100, 60, "dB")

    def __call__(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,
    ) -> Distorted:
        """Add the jamming to samples (b, n)."""
        b, n = samples.shape
        power = 10 ** (self.jsr_db / 10)
        draw = _tone if self.kind == "tone" else complex_normal
        foreign = math.sqrt(power) * torch.stack([draw(n, one) for one in rows(rng, b)])
        if self.kind != "pilot":
            return _add(samples, foreign, power)
        if pilots is None or not bool(pilots.any()):
            raise ValueError("kind='pilot': the frame has no pilots to jam; that needs csi=estimated")
        mask = pilots.to(foreign)
        return _add(samples, foreign * (mask * math.sqrt(n / int(pilots.sum()))), 0.0)


def _add(samples: Tensor, foreign: Tensor, variance: float) -> Distorted:
    gain = torch.ones_like(samples[:, :1])
    return Distorted(samples + foreign.to(samples), gain, torch.full_like(gain.real, variance))


def _qpsk(n: int, rng: torch.Generator) -> Complex[Tensor, " n"]:
    turns = torch.randint(4, (n,), generator=rng, device=rng.device) / 4
    turns = turns + torch.rand(1, generator=rng, device=rng.device)
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


def _tone(n: int, rng: torch.Generator) -> Complex[Tensor, " n"]:
    frequency, start = torch.rand(2, 1, generator=rng, device=rng.device, dtype=torch.float64)
    turns = frequency * torch.arange(n, dtype=torch.float64, device=rng.device) + start
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
