"""The beginning of x_T as bytes: its lowest frequencies in one or two bits each.

x_T is white, and so is its cosine transform: nothing of it compresses, and every number costs what it costs. What is
not sent comes from the seed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = {1: (-0.7979, 0.7979), 2: (-1.5104, -0.4528, 0.4528, 1.5104)}
"""Least-squares levels of a standard normal number by bits (Max, "Quantizing for Minimum Distortion", 1960)."""
PARTS = 64
"""What is kept of each side is told in so many parts of it."""
HEAD = 2


def pack_noise(noise: Float[Tensor, "3 h w"], *, bits: int, part: int) -> bytes:
    """The lowest `part`/`PARTS` of the frequencies along each side in `bits` bits each.

    Raises:
        ValueError: bits other than 1 or 2, or a part outside 1 … `PARTS`.
    """
    if bits not in LEVELS or not 1 <= part <= PARTS:
        raise ValueError(f"bits={bits} and part={part} must be 1 or 2, and from 1 to {PARTS}")
    rows, columns = _kept(noise.shape[1], part), _kept(noise.shape[2], part)
    low = _cosines(noise.shape[1], rows) @ noise @ _cosines(noise.shape[2], columns).T
    levels = torch.tensor(LEVELS[bits])
    index = torch.bucketize(low.flatten(), (levels[1:] + levels[:-1]) / 2).numpy().astype(np.uint8)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    return bytes([bits, part]) + np.packbits((index[:, None] >> shifts) & 1).tobytes()


def unpack_noise(data: bytes, seeded: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"] | None:
    """x_T with the frequencies that were sent, and the others of what the seed gives; None for what is none."""
    if len(data) < HEAD or data[0] not in LEVELS or not 1 <= data[1] <= PARTS:
        return None
    bits, (height, width) = data[0], seeded.shape[1:]
    rows, columns = _kept(height, data[1]), _kept(width, data[1])
    count = 3 * rows * columns
    if len(data) - HEAD != -(-count * bits // 8):
        return None
    digits = np.unpackbits(np.frombuffer(data, np.uint8, offset=HEAD))[: count * bits].reshape(count, bits)
    index = torch.from_numpy(digits @ (1 << np.arange(bits - 1, -1, -1))).long()
    sent = torch.tensor(LEVELS[bits])[index].reshape(3, rows, columns)
    down, across = _cosines(height, rows), _cosines(width, columns)
    return seeded + down.T @ (sent - down @ seeded @ across.T) @ across


def noise_bytes(height: int, width: int, *, bits: int, part: int) -> int:
    """What `pack_noise` takes."""
    return HEAD + -(-3 * _kept(height, part) * _kept(width, part) * bits // 8)


def _kept(length: int, part: int) -> int:
    return max(1, length * part // PARTS)


def _cosines(length: int, count: int) -> Float[Tensor, "count length"]:
    """The first rows of the orthonormal cosine transform (DCT-II)."""
    k, n = torch.arange(count)[:, None], torch.arange(length)
    rows = torch.cos(math.pi / length * (n + 0.5) * k) * math.sqrt(2 / length)
    rows[0] /= math.sqrt(2)
    return rows
