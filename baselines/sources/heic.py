"""HEIC (HEVC intra in ISO BMFF) through pillow-heif, x265 and libde265, to a byte budget. An optional extra."""

from __future__ import annotations

import importlib
import importlib.util
import io
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np

from semlink.baselines.sources.guard import read_image, whole_boxes
from semlink.baselines.sources.ladder import Key, Ladder, Measure, Rough, best_coding
from semlink.baselines.sources.source import Pixels, Shape, check_image

_MAX_SIDE = 8192  # HEVC's largest level takes 8192×4320; x265 refuses much more
_HEADERS = 400  # bytes, and no file is so short
_ROUGH = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True)
class HEIC:
    """HEIC at the highest quality that fits, tuned for squared error, at 4:2:0 or 4:4:4, whichever has the lower error.

    x265 at its preset "slow". The whole file is counted, more than 400 bytes of it headers.

    Raises:
        ValueError: pillow-heif is not installed.
    """

    spare = range(1, 17)
    """First bytes that no coding has: the first box is shorter than 2^24 bytes."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec("pillow_heif") is None:
            raise ValueError("source 'heic' needs pillow-heif: pip install 'semlink[heic]'")

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) within `budget` bytes that has the least squared error; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 8192 pixels.
        """
        return best_coding(self, image, budget)

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its qualities for an image (h, w, c).

        Raises:
            ValueError: as `encode`.
        """
        shape = check_image(image, name="HEIC", max_side=_MAX_SIDE)
        return Ladder(
            key,
            partial(_coding, image),
            partial(self.decode, shape=shape, complete=True),
            measure,
            low=0,
            high=100,
            growth=0.045,
            rough=Rough(_ROUGH, partial(_coding, image, preset="ultrafast")),
            full_chroma_from=30,
            floor=_HEADERS,
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c); None from part of a file, which no decoder shows, or when damage is noticed."""
        return read_image(whole_boxes(data), shape, "HEIF") if complete else None

    def note(self, shape: Shape) -> str:  # noqa: ARG002
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return "HEVC intra: whole HEIC file, of which more than 400 bytes are headers"


def _library() -> ModuleType:
    return importlib.import_module("pillow_heif")


def _coding(image: Pixels, quality: int, *, full_chroma: bool = False, preset: str = "slow") -> bytes:
    h, w, c = image.shape
    out = io.BytesIO()
    # libheif's default tuning is for SSIM. The options are made anew: the library adds to them.
    options = {
        "quality": quality,
        "enc_params": {"tune": "psnr", "chroma": "444" if full_chroma else "420", "preset": preset},
    }
    _library().encode("L" if c == 1 else "RGB", (w, h), np.ascontiguousarray(image).tobytes(), out, **options)
    return out.getvalue()
