"""A walk through a fading channel: one gain a picture, and from one picture to the next as Doppler has it."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from semlink.phy.channels import Nakagami, Rayleigh, Rician
from semlink.phy.fading import FadingLaw, draw_scatter
from semlink.phy.impairments import Medium
from semlink.phy.link import Received, Rng
from semlink.phy.rng import complex_normal, rows

STEPS = 2000
"""Of a walk; then it begins again."""
MOST_DOPPLER = 0.5
"""Cycles from one picture to the next."""


@dataclass(frozen=True)
class Here:
    """Flat fading with a gain that is known: y = h x + w, of which the receiver takes y / h.

    What `Rayleigh`, `Rician` and `Nakagami` do to a picture over which their gain does not change, with that gain.

    Attributes:
        gain: h.
        name: of the channel that is walked through.
    """

    gain: complex
    name: str

    @property
    def labels(self) -> dict[str, str]:
        """What a caption says of it."""
        said = {"csi": "perfect", "coherence": "block", "equaliser": "zf"}
        return {"channel": self.name, "spec": self.name, **said}

    @property
    def gain_db(self) -> float:
        """By how much it raises or lowers the Es/N0 of a picture."""
        return 20 * math.log10(max(abs(self.gain), 1e-10))

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Carry symbols (b, n); the receiver knows the gain."""
        noise = torch.stack([complex_normal(symbols.shape[1], g) for g in rows(rng, len(symbols))]).to(symbols)
        power = max(abs(self.gain) ** 2, 1e-12)
        got = symbols + (math.sqrt(n0) * self.gain.conjugate() / power) * noise
        variance = torch.full_like(symbols.real, n0 / power)
        return Received(got, variance, gain=torch.full_like(symbols, self.gain))


class Walks:
    """The gains of the last walks. Several threads may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gains: OrderedDict[tuple[str, int, float], Complex[Tensor, " steps"]] = OrderedDict()

    def at(self, fading: Medium, seed: int, doppler: float, step: int) -> Here:
        """The channel that the picture of number `step` meets.

        Args:
            fading: walked through.
            seed: of the gains.
            doppler: Doppler spread times the time from one picture to the next.
            step: from 0; after `STEPS` it begins again.

        Raises:
            ValueError: a channel without one gain, with options that a walk does not have, or a Doppler out of range.
        """
        if not 0 < doppler <= MOST_DOPPLER:
            raise ValueError(f"doppler={doppler:g} must be above 0 and up to {MOST_DOPPLER} cycles a picture")
        law, name = _law_of(fading)
        with self._lock:
            key = name, seed, doppler
            if key not in self._gains:
                self._gains[key] = gains_of(law, seed, doppler)
                while len(self._gains) > 4:
                    self._gains.popitem(last=False)
            return Here(complex(self._gains[key][step % STEPS]), name)


def gains_of(law: FadingLaw, seed: int, doppler: float) -> Complex[Tensor, " steps"]:
    """Gains of a law at `STEPS` pictures, with the autocorrelation of Clarke's scattering."""
    rng = torch.Generator().manual_seed(seed)
    scatter = draw_scatter(STEPS, doppler, rng)[0]
    return law.shape(scatter[None], torch.rand(1, 1, generator=rng))[0]


def _law_of(fading: Medium) -> tuple[FadingLaw, str]:
    """The law of the gains, and the name of a channel that has no other options than that."""
    plain: Rayleigh | Rician | Nakagami | None = None
    if isinstance(fading, Rayleigh):
        plain = Rayleigh()
    elif isinstance(fading, Rician):
        plain = Rician(k_db=fading.k_db)
    elif isinstance(fading, Nakagami):
        plain = Nakagami(m=fading.m)
    if plain is None or fading != plain:
        said = getattr(fading, "labels", {}).get("spec", "this")
        raise ValueError(f"a walk is over rayleigh, rician or nakagami with no option but K or m, not over {said}")
    return plain.law, plain.name
