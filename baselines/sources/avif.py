"""AVIF (AV1 still pictures in ISO BMFF) through Pillow, libavif, libaom and dav1d, to a byte budget."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache, partial

from PIL import Image

from semlink.baselines.sources.guard import read_image, whole_boxes
from semlink.baselines.sources.ladder import Key, Ladder, Measure, Rough, best_coding
from semlink.baselines.sources.source import Pixels, Shape, check_image, to_picture

SPEED = 6
"""libaom's speed where none is asked for: 0.7 s for a photograph of 768×512, at 2 it takes 9 s."""

_MAX_SIDE = 16384  # libavif's limit is 16384² pixels
_HEADERS = 250  # bytes, and no file is so short
_QUANTISERS = 63  # that libavif makes of qualities 0 … 100
_SETTINGS = 2 * _QUANTISERS + 1
_ROUGH = (0, *range(13, _SETTINGS, 12), _SETTINGS)
_ROUGH_SPEED = 9


@dataclass(frozen=True)
class AVIF:
    """AVIF at the highest quality that fits, tuned for squared error, at 4:2:0 or 4:4:4, whichever has the lower error.

    A step of the quantiser is some 5 % of the length. Between two is the finer one at a sharpness of 1, which spends 1
    to 3 % less. The whole file is counted. It begins with about 270 bytes of headers, more than all the rest of it at
    32×32.

    Args:
        speed: of libaom, 0 (the slowest and best) to 10.

    Raises:
        ValueError: there is no such speed.
    """

    speed: int = SPEED

    spare = range(1, 17)
    """First bytes that no coding has: the first box is shorter than 2^24 bytes."""

    def __post_init__(self) -> None:
        if not 0 <= self.speed <= 10:
            raise ValueError(f"speed={self.speed} must be 0 (the slowest and best) … 10")

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) within `budget` bytes that has the least squared error; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 16384 pixels; or Pillow was built without AVIF.
        """
        return best_coding(self, image, budget)

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its qualities for an image (h, w, c).

        Raises:
            ValueError: as `encode`.
        """
        shape, picture = check_image(image, name="AVIF", max_side=_MAX_SIDE), to_picture(image)
        return Ladder(
            key,
            partial(_coding, picture, speed=self.speed),
            partial(self.decode, shape=shape, complete=True),
            measure,
            low=0,
            high=_SETTINGS,
            growth=0.028,
            rough=Rough(_ROUGH, partial(_coding, picture, speed=max(_ROUGH_SPEED, self.speed))),
            full_chroma_from=_setting_of(25),
            close=0.01,
            floor=_HEADERS,
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c); None from part of a file, which no decoder shows, or when damage is noticed."""
        return read_image(whole_boxes(data), shape, "AVIF") if complete else None

    def note(self, shape: Shape) -> str:  # noqa: ARG002
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return "whole AVIF file, of which some 270 bytes are headers"


def _setting_of(quality: int) -> int:
    """The setting of a quality, at no sharpness."""
    return 2 * (_QUANTISERS - ((100 - quality) * _QUANTISERS + 50) // 100) + 1


@lru_cache(maxsize=1)
def _qualities() -> list[int]:
    """A quality for each of libavif's quantisers, from coarse to fine."""
    made = {((100 - quality) * _QUANTISERS + 50) // 100: quality for quality in range(101)}
    return [made[step] for step in range(_QUANTISERS, -1, -1)]


def _coding(picture: Image.Image, setting: int, *, speed: int, full_chroma: bool = False) -> bytes:
    out = io.BytesIO()
    chroma = "4:0:0" if picture.mode == "L" else "4:4:4" if full_chroma else "4:2:0"
    # One thread and no tiles: the same file on every machine. libavif's default tuning is not for squared error.
    between = {} if setting % 2 else {"sharpness": "1"}
    options = {"max_threads": 1, "autotiling": False, "advanced": {"tune": "psnr", **between}}
    try:
        picture.save(out, "AVIF", quality=_qualities()[setting // 2], speed=speed, subsampling=chroma, **options)
    except KeyError:
        raise ValueError("source 'avif' needs a Pillow with AVIF: from version 11.3 on its wheels have it") from None
    return out.getvalue()
