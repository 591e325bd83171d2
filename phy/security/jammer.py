"""A friendly jammer: noise that hides a transmission from a warden, and that the receiver gets too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from semlink.phy.impairments import Distorted, Side
from semlink.phy.parameters import Described, check_choice, check_number
from semlink.phy.rng import complex_normal, rows

JammingPower = Literal["fixed", "uniform"]
"""Of a friendly jammer: the same for every image, or drawn anew for each, which leaves a warden without a threshold."""
Path = Literal["none", "rayleigh"]
"""From the jammer to whom it meets: a gain of 1, or one of a Rayleigh fade for each image, of mean power 1."""


@dataclass(frozen=True)
class FriendlyJammer(Described):
    """White Gaussian noise of an ally, of a power that is drawn for each image where it is to keep a warden guessing.

    It acts where a receiver listens; what it does to the link is what it costs to be covert. The receiver does not know
    the noise beforehand, so nothing is cancelled; it knows its power, as pilots would tell.

    Attributes:
        jsr_db: power at this receiver over the average received signal power 1, in dB: of "uniform" the largest, P_max,
            whose mean is half of it, and before a fade.
        power: "fixed", or "uniform" in [0, P_max] for each image.
        fading: "none", or "rayleigh": a gain for each image.

    Raises:
        ValueError: `jsr_db` outside of -100 … 60, or another word.

    Source: T. V. Sobers, B. A. Bash, S. Guha, D. Towsley and D. Goeckel, "Covert communication in the presence of an
    uninformed jammer", IEEE Trans. Wireless Commun. 16 (2017) 6193-6206.
    """

    jsr_db: float
    power: JammingPower = "fixed"
    fading: Path = "none"
    name: ClassVar[str] = "jammer:friendly"
    keys: ClassVar[Mapping[str, str]] = {"jsr_db": "jsr", "power": "power", "fading": "fading"}
    side: ClassVar[Side] = "receiver"

    def __post_init__(self) -> None:
        check_number("jsr_db", self.jsr_db, -100, 60, "dB")
        check_choice("power", self.power, get_args(JammingPower))
        check_choice("fading", self.fading, get_args(Path))

    @property
    def spec(self) -> str:
        """As the command line has it."""
        return super().spec.replace(f"{self.name}:", f"{self.name},", 1)

    def __call__(
        self,
        samples: Complex[Tensor, "b n"],
        *,
        rng: Sequence[torch.Generator],
        pilots: Bool[Tensor, " n"] | None = None,  # noqa: ARG002
    ) -> Distorted:
        """Add the jamming to samples (b, n); the gain is 1 and the variance the power of each row's."""
        b, n = samples.shape
        drawn = [self._draw(n, one) for one in rows(rng, b)]
        power = torch.stack([one for one, _ in drawn]).to(samples.real)
        noise = torch.stack([one for _, one in drawn]).to(samples)
        return Distorted(samples + power.sqrt() * noise, torch.ones_like(samples[:, :1]), power)

    def powers(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, " count"]:
        """What arrives of it in each of so many transmissions, linear: for a `Warden`, in the unit of her noise."""
        power = np.full(count, 10 ** (self.jsr_db / 10))
        if self.power == "uniform":
            power = power * rng.uniform(size=count)
        return power * rng.exponential(size=count) if self.fading == "rayleigh" else power

    def _draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Complex[Tensor, " n"]]:
        power = torch.full((1,), 10 ** (self.jsr_db / 10), device=rng.device)
        if self.power == "uniform":
            power = power * torch.rand(1, generator=rng, device=rng.device)
        if self.fading == "rayleigh":
            power = power * complex_normal(1, rng).abs().square()
        return power, complex_normal(n, rng)
