"""HEIC (HEVC intra in ISO BMFF) through pillow-heif, x265 and libde265, to a byte budget. An optional extra."""

from __future__ import annotations

import importlib
import importlib.util
import io
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np

from semlink.baselines.sources.avif import BitReader, media, whole_boxes
from semlink.baselines.sources.source import Pixels, Shape, best_chroma, check_image

_CODED_STEP = 64  # x265 codes whole coding tree units; the file tells how to crop them
_SPS = b"\x42\x01"  # NAL unit header of a sequence parameter set (ITU-T H.265 clause 7.3.1.2)
_MAX_SIDE = 8192  # HEVC's largest level takes 8192×4320; x265 refuses much more


@dataclass(frozen=True)
class HEIC:
    """HEIC at the highest quality that fits, tuned for squared error, at 4:2:0 or 4:4:4, whichever has the lower error.

    x265 at its preset "slow". The whole file is counted, more than 400 bytes of it headers.

    Raises:
        ValueError: pillow-heif is not installed.
    """

    def __post_init__(self) -> None:
        if importlib.util.find_spec("pillow_heif") is None:
            raise ValueError("source 'heic' needs pillow-heif: pip install 'semlink[heic]'")

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) within `budget` bytes that has the least squared error; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 8192 pixels.
        """
        check_image(image, name="HEIC", max_side=_MAX_SIDE)
        return best_chroma(
            self,
            image,
            budget,
            partial(_coding, image),
            low=0,
            high=100,
            start=30,
            growth=0.045,
            lead=2,
            full_chroma_from=30,
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c); None from part of a file, which no decoder shows, or when damage is noticed."""
        file = whole_boxes(data)
        # Sizes are checked before a decoder sees the file: damage must not make it allocate a huge image.
        if not complete or not _is_one_slice(media(file)):
            return None
        if not all(_is_padded(size, shape) for size in (*_extents(file), _sequence_size(file))):
            return None
        return _read(file, shape)

    def note(self, shape: Shape) -> str:  # noqa: ARG002
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return "HEVC intra: whole HEIC file, of which more than 400 bytes are headers"


def _library() -> ModuleType:
    return importlib.import_module("pillow_heif")


def _coding(image: Pixels, quality: int, *, full_chroma: bool = False) -> bytes:
    h, w, c = image.shape
    out = io.BytesIO()
    # libheif's default tuning is for SSIM. The options are made anew: the library adds to them.
    options = {"quality": quality, "enc_params": {"tune": "psnr", "chroma": "444" if full_chroma else "420"}}
    _library().encode("L" if c == 1 else "RGB", (w, h), np.ascontiguousarray(image).tobytes(), out, **options)
    return out.getvalue()


def _read(file: bytes, shape: Shape) -> Pixels | None:
    h, w, c = shape
    try:
        opened = _library().open_heif(file)
        if opened.size != (w, h) or opened.mode != ("L" if c == 1 else "RGB"):
            return None
        pixels: Pixels = np.array(opened, dtype=np.uint8).reshape(shape)
    except Exception:  # pillow-heif raises several types for damaged data; all mean that nothing can be shown
        return None
    return pixels


def _is_one_slice(units: bytes) -> bool:
    """Whether the media data are one coded slice of an IDR picture: no parameter sets hide there."""
    return len(units) > 5 and int.from_bytes(units[:4]) == len(units) - 4 and units[4] >> 1 in (19, 20)


def _is_padded(size: tuple[int, int], shape: Shape) -> bool:
    """Whether a coded (h, w) is that of the image, filled up to whole coding tree units at most."""
    return all(side <= coded < side + _CODED_STEP for coded, side in zip(size, shape[:2], strict=True))


def _extents(file: bytes) -> list[tuple[int, int]]:
    """(h, w) of each spatial extents box (ISO/IEC 23008-12 clause 6.5.3); (0, 0) if there is none."""
    contents = [part[4:12] for part in file[: len(file) - len(media(file))].split(b"ispe")[1:]]
    return [(int.from_bytes(one[4:]), int.from_bytes(one[:4])) for one in contents] or [(0, 0)]


def _sequence_size(file: bytes) -> tuple[int, int]:
    """(h, w) of the only sequence parameter set (ITU-T H.265 clause 7.3.2.2); (0, 0) if there are more or none."""
    headers = file[: len(file) - len(media(file))]
    if headers.count(_SPS) != 1:
        return 0, 0
    at = headers.index(_SPS) + len(_SPS)
    bits = BitReader(headers[at : at + 48].replace(b"\0\0\3", b"\0\0"))  # without emulation prevention (clause 7.3.1.1)
    bits.read(4)
    if bits.read(3):  # sub-layers, which a still picture has none of
        return 0, 0
    bits.read(1 + 96)  # temporal nesting; profile, tier and level (clause 7.3.3)
    bits.read_exp_golomb()
    if bits.read_exp_golomb() == 3:  # chroma_format_idc
        bits.read(1)
    w, h = bits.read_exp_golomb(), bits.read_exp_golomb()
    return h, w
