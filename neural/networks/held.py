"""What a network is told of the noise, held to what it was trained for.

Beyond its training a condition is an extrapolation: `swin`, told 30 dB, showed 4.5 dB less than when told 21 dB over
the very same reception. So a trained network is told the nearest Es/N0 that it knows, and the noise of each symbol, by
which it weighs them, as it is. While it is trained nothing is held.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Range = tuple[float, float]
"""Lowest and highest Es/N0 in dB."""
LOWEST, HIGHEST = -20.0, 30.0
"""Es/N0 in dB that a network is told at all, and that a fade of an image is taken for."""


class Limits:
    """How far a network's conditions on Es/N0 go: `hold_to` sets it.

    Attributes:
        sent_db: the average Es/N0 that the transmitter may be told.
        seen_db: the mean Es/N0 of the symbols of an image that the receiver may be told.
    """

    sent_db: Range = (LOWEST, HIGHEST)
    seen_db: Range = (LOWEST, HIGHEST)

    def hold_to(self, esno_db: Range) -> None:
        """Hold the conditions to the Es/N0 of a training, lowest and highest average of its images.

        The receiver is told of less as it is: a fade is below any average, and `adjscc`, which trained without fades,
        shows 0.13 dB less on block fading where it is told of none.
        """
        low, high = esno_db
        self.sent_db = (low, high)
        self.seen_db = (min(low, LOWEST), high)


class Held(Limits):
    """A network with a condition on Es/N0 at each end, or at one."""

    def sent_level(self, n0: Float[Tensor, " b"]) -> Float[Tensor, "b 1"]:
        """What the transmitter is told, in units of 10 dB; `n0` is the average of each image."""
        return within(noise_level(n0[:, None]), self.sent_db)

    def seen_level(self, n0: Float[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
        """What the receiver is told, in units of 10 dB; `n0` is that of each symbol."""
        return within(noise_level(n0), self.seen_db)


def within(level: Float[Tensor, "*b 1"], esno_db: Range) -> Float[Tensor, "*b 1"]:
    """Levels as `noise_level` expresses them, limited to a range in dB."""
    low, high = esno_db
    return level.clamp(low / 10, high / 10)


def noise_level(n0: Float[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
    """Mean Es/N0 in units of 10 dB, each symbol's limited to −20 … 30 dB: the networks' view of the noise."""
    return -torch.log10(n0.clamp(1e-3, 1e2)).mean(dim=1, keepdim=True)
