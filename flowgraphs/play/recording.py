"""A walk as a GIF, of the pictures that a page has shown."""

from __future__ import annotations

import io
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

MOST_FRAMES = 120
"""Of a recording."""
MOST_WIDE = 1600
"""Pixels a side of its frames."""


def gif_of(frames: bytes, query: str) -> bytes:
    """An endless GIF of frames in RGB, one after another.

    Args:
        frames: 8-bit levels, (frames, height, width, 3).
        query: width, height and the milliseconds of each, as the address of the request has them.

    Raises:
        ValueError: other numbers than there may be, or other bytes than they say.
    """
    width, height = _number(query, "width", MOST_WIDE), _number(query, "height", MOST_WIDE)
    duration, size = _number(query, "ms", 10_000), 3 * width * height
    count, rest = divmod(len(frames), size)
    if rest or not 1 <= count <= MOST_FRAMES:
        raise ValueError(f"{len(frames)} bytes must be 1 to {MOST_FRAMES} frames of {width}x{height} in RGB")
    levels = np.frombuffer(frames, np.uint8).reshape(count, height, width, 3)
    shown = [Image.fromarray(one) for one in levels]
    packed = io.BytesIO()
    shown[0].save(packed, format="gif", save_all=True, append_images=shown[1:], duration=max(20, duration), loop=0)
    return packed.getvalue()


def _number(query: str, name: str, most: int) -> int:
    text = parse_qs(query).get(name, [""])[0]
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
    if not 1 <= value <= most:
        raise ValueError(f"{name}={text[:20]!r} must be a whole number from 1 to {most}")
    return value
