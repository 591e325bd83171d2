"""Every source coder by its name, and photographs for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from semlink.baselines.sources import SOURCES, SourceCoder, find_source
from semlink.phy.sources import sample_images

Pixels = UInt8[np.ndarray, "h w c"]


@pytest.fixture(params=list(SOURCES))
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "heic":
        pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    return str(request.param)


@pytest.fixture
def coder(name: str) -> SourceCoder:
    return find_source(name)


def photograph(h: int, w: int, c: int, index: int = 0) -> Pixels:
    """A corner of a packaged photograph, made smaller so that there is something in it."""
    pixels = (sample_images()[index] * 255).round().byte().permute(1, 2, 0).numpy()
    scaled = np.asarray(Image.fromarray(pixels).resize((max(128, w), max(128, h)), Image.Resampling.BOX))
    return np.ascontiguousarray(scaled[:h, :w, 3 - c :] if c == 3 else scaled[:h, :w, 1:2])


@pytest.fixture(name="photograph")
def give_photograph() -> Callable[..., Pixels]:
    return photograph
