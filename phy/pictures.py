"""Picture files to pixels: the one loader, for what has torch and for what has not. NumPy and Pillow alone.

A picture is turned upright as its EXIF data say and laid over white where it is transparent. Grey becomes three equal
channels, 16 bits of it are kept, and of several frames or pages the first is taken.

A file may come from anybody. Only `FORMATS` are opened, by what is in them and not by their names: Pillow has decoders
that start other programs (PostScript) or that nobody looks after. Pixels, bytes, passes over a picture and time are
bounded, and whatever goes wrong is one `DataError` with the file's name.
"""

from __future__ import annotations

import io
import re
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 16_000_000
"""Of a picture; more are refused before they are decoded."""
MAX_BYTES = 256_000_000
"""Of a file: 16 megapixels of 16-bit RGB are 96 million, and what follows the first frame is not read."""
MAX_SECONDS = 60.0
"""For reading and decoding one picture; looked at whenever a decoder asks for more of the file."""
MAX_SCANS = 200
"""Passes over a picture of a progressive JPEG; an encoder makes a dozen."""
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "QOI")
"""What is opened, as Pillow calls it, as far as the Pillow at hand has it."""
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf"),
    *(".jpx", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi"),
)
"""What is taken of a folder, as far as the Pillow at hand reads it; a file that is named may end otherwise."""
OTHER_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".xcf", ".exr", ".hdr", ".pfm", ".ico", ".eps", ".pdf"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
)
"""Pictures too, of which none is taken: where a folder holds one it is named."""
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_NAMED = 5
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # of a JPEG (ITU-T T.81 clause B.1.1.3), restarts left out
_START_OF_SCAN, _END_OF_IMAGE, _ALONE = b"\xda", b"\xd9", (b"\x01", b"\xd8")


class DataError(ValueError):
    """An image or data set that cannot be had; the message names it and says what would do."""


def read_pixels(path: str | Path) -> NDArray[np.float32]:
    """A picture (h, w, 3) in [0, 1].

    Raises:
        DataError: the file is missing, empty, none of `FORMATS`, damaged, beyond one of the bounds, or of 32-bit
            pixels, which have no stated range.
    """
    decoded = _decode(Path(path))
    pixels: NDArray[Any] = decoded.astype(np.float32) / 255 if decoded.dtype == np.uint8 else decoded
    return pixels


def read_levels(path: str | Path) -> NDArray[np.uint8]:
    """A picture (h, w, 3) in 8 bits a channel; of 16 bits, rounded.

    Raises:
        DataError: as `read_pixels`.
    """
    return _levels(_decode(Path(path)))


def _levels(decoded: NDArray[Any]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = decoded if decoded.dtype == np.uint8 else np.rint(decoded * 255).astype(np.uint8)
    return levels


def levels_of(data: bytes, name: str) -> NDArray[np.uint8]:
    """A picture (h, w, 3) in 8 bits a channel from the bytes of a file, which messages call `name`.

    Raises:
        DataError: as `read_pixels`.
    """
    return _levels(_decode(Path(name), data))


def find_images(folder: str | Path) -> list[Path]:
    """The picture files directly in a folder, by name. A warning names those that are left out.

    Raises:
        DataError: the folder is missing, or there are none.
    """
    try:
        inside = sorted(Path(folder).iterdir())
    except OSError as error:
        raise DataError(f"folder {folder}: {error.strerror}") from error
    readable = Image.registered_extensions()
    found = [one for one in inside if one.suffix.lower() in SUFFIXES]
    taken = [one for one in found if one.suffix.lower() in readable and one.is_file()]
    left = [one for one in inside if one.suffix.lower() in OTHER_SUFFIXES] + [one for one in found if one not in taken]
    if not taken:
        also = f", only {_names(left)}, which cannot be read" if left else ""
        raise DataError(f"folder {folder}: holds no image ({', '.join(SUFFIXES)}){also}")
    if left:
        warnings.warn(f"folder {folder}: left out {_names(left)}, which cannot be read; convert to PNG", stacklevel=2)
    return taken


def _names(paths: list[Path]) -> str:
    names = sorted(path.name for path in paths)
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _decode(path: Path, data: bytes | None = None) -> NDArray[Any]:
    """(h, w, 3): 8 bits as they are, 16 bits as floats in [0, 1]; of `data`, or of the file without."""
    try:
        _check_bytes(path, _size_of(path) if data is None else len(data))
        with _opened(path, data) as image:
            return _to_rgb(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"image {path}: not a readable image (none of {', '.join(_formats())})") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"image {path}: not a readable image ({_said(error)})") from error
    except Exception as error:  # Pillow raises a dozen types for damaged data, struct.error and KeyError among them
        raise DataError(f"image {path}: damaged or unreadable ({_said(error)})") from error


def _size_of(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"image {path}: no such file")
    return path.stat().st_size


def _check_bytes(path: Path, size: int) -> None:
    if size == 0:
        raise DataError(f"image {path}: the file is empty")
    if size > MAX_BYTES:
        raise DataError(
            f"image {path}: {size / 1e6:.6g} megabytes; at most {MAX_BYTES / 1e6:.0f} are allowed of a picture"
        )


def _formats() -> list[str]:
    """Those of `FORMATS` that the Pillow at hand has."""
    Image.init()
    return [one for one in FORMATS if one in Image.OPEN]


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Watched(io.BufferedReader):
    """A file, or its bytes, read no longer than `MAX_SECONDS` after it was opened."""

    def __init__(self, path: Path, data: bytes | None) -> None:
        super().__init__(io.FileIO(path) if data is None else cast(io.RawIOBase, io.BytesIO(data)))
        self._until = time.monotonic() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file, while there is time.

        Raises:
            TimeoutError: there is none left.
        """
        if time.monotonic() > self._until:
            raise TimeoutError(f"not decoded within {MAX_SECONDS:g} s")
        return super().read(size)


_COLLECTING = threading.RLock()  # warnings are collected for a whole process, not for a thread


@contextmanager
def _opened(path: Path, data: bytes | None) -> Iterator[Image.Image]:
    """Of at most `MAX_PIXELS`; what Pillow has to say of its data names the file."""
    with _COLLECTING, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `MAX_PIXELS` is far stricter
        with _Watched(path, data) as file, Image.open(file, formats=_formats()) as opened:
            _check_size(path, opened.width, opened.height)
            if opened.format in ("JPEG", "MPO"):
                _check_scans(path, path.read_bytes() if data is None else data)
            yield opened
    for text in dict.fromkeys(" ".join(str(one.message).split()) for one in said):
        warnings.warn(f"image {path}: {text}", stacklevel=6)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(
            f"image {path}: {width}x{height} is {width * height / 1e6:.6g} megapixels; "
            f"at most {MAX_PIXELS / 1e6:.0f} are allowed"
        )


def _check_scans(path: Path, data: bytes) -> None:
    """Each scan of a progressive JPEG is a pass over all of it, however few bytes it has."""
    at, scans = 0, 0
    while (found := _MARKER.search(data, at)) and found[1] != _END_OF_IMAGE:
        scans += found[1] == _START_OF_SCAN
        # What is between a marker segment and the next marker are coded data, in which none stands by chance.
        at = found.end() + (0 if found[1] in _ALONE else int.from_bytes(data[found.end() : found.end() + 2]))
    if scans > MAX_SCANS:
        raise DataError(f"image {path}: {scans} scans of a JPEG; at most {MAX_SCANS} are allowed")


def _to_rgb(opened: Image.Image) -> NDArray[Any]:
    image, full_scale = ImageOps.exif_transpose(opened), _full_scale(opened)
    if full_scale:
        return _wide_grey(image, full_scale, inverted=_is_inverted(opened))
    if image.mode in ("I", "F"):
        raise OSError(f"mode {image.mode}: 32-bit pixels have no stated range; save as 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _full_scale(opened: Image.Image) -> int:
    """White of grey of more than 8 bits, which Pillow's own conversion would clip at 255; 0 of any other picture."""
    if opened.mode.startswith("I;16"):
        return 4095 if getattr(opened, "tag_v2", {}).get(_TIFF_BITS) in (12, (12,)) else 65535
    # Pillow scales PGM above 8 bits to 16, and before version 11 held 16-bit PNG, in the mode of 32-bit pixels.
    return 65535 if opened.mode == "I" and opened.format in ("PPM", "PNG") else 0


def _is_inverted(opened: Image.Image) -> bool:
    """TIFF whose 0 is white; Pillow turns 8 bits of it round, but not 16."""
    return getattr(opened, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0


def _wide_grey(image: Image.Image, full_scale: int, *, inverted: bool) -> NDArray[np.float32]:
    grey: NDArray[np.float32] = np.clip(np.asarray(image, dtype=np.float32) / full_scale, 0, 1)
    if inverted:
        grey = 1 - grey
    if isinstance(image.info.get("transparency"), int):  # PNG: one level that stands for none
        grey[np.asarray(image) == image.info["transparency"]] = 1
    return np.repeat(grey[:, :, None], 3, axis=2)
