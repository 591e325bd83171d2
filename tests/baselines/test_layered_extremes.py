"""Two layers where no scheme is of use, and where nothing can be sent at all."""

from __future__ import annotations

import pytest
import torch

from semlink.baselines.adaptation import average_failures
from semlink.baselines.blocks import plan_blocks
from semlink.baselines.layered import SHARE, AdaptiveLayeredCodec, LayeredCodec
from semlink.baselines.mcs import NR_SCHEMES
from semlink.baselines.sources import Pixels, Shape

IMAGE = torch.full((1, 3, 8, 8), 0.5)


class Level:
    """A source coder of one byte, the mean."""

    layered = True

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        return bytes([1 + int(image.mean()) // 2]) if budget else None

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        import numpy as np

        return np.full(shape, 2 * (data[0] - 1), np.uint8) if data[:1].strip(b"\0") else None

    def note(self, shape: Shape) -> str:
        return "the mean"


def test_hopeless_and_short_is_sent_in_the_lowest_scheme_that_has_a_block() -> None:
    """80 channel uses carry no block of the lowest schemes, and at -10 dB every scheme fails."""
    assert average_failures(80 - 80 // SHARE, -10.0).min() > 0.999
    with pytest.raises(ValueError, match="at least 171"):
        plan_blocks(80, NR_SCHEMES[0])
    frame = AdaptiveLayeredCodec(source=Level(), ratio=80 / 192).encode(IMAGE, 10.0)
    assert frame.header is not None
    first = next(iter(frame.header))
    assert plan_blocks(80, NR_SCHEMES[first]).symbols == 80
    for mcs in NR_SCHEMES[:first]:
        with pytest.raises(ValueError, match="for one code block"):
            plan_blocks(80, mcs)


def test_a_budget_without_a_block_is_told_with_its_ratio() -> None:
    for codec in (LayeredCodec(source=Level(), ratio=4 / 192), AdaptiveLayeredCodec(source=Level(), ratio=4 / 192)):
        with pytest.raises(ValueError, match=r"ratio=0\.0208.* is too small for an image of 8×8×3: .*no scheme would"):
            codec.encode(IMAGE, 0.1)
