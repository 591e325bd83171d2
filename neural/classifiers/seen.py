"""What a classifier makes of images."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Seen(NamedTuple):
    """Features, which another head could classify by, and logits.

    Attributes:
        features: (b, f).
        logits: (b, k), one for each class.
    """

    features: Float[Tensor, "b f"]
    logits: Float[Tensor, "b k"]
