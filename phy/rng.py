"""Random draws that do not depend on how images are batched."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.link import Rng


def rows(rng: Rng, count: int) -> Sequence[torch.Generator]:
    """One generator for each of `count` rows: the given ones, or the single one for every row in turn.

    Raises:
        ValueError: neither a generator nor a sequence of them, or a sequence of another length.
    """
    if isinstance(rng, torch.Generator):
        return [rng] * count
    if not isinstance(rng, Sequence):
        kind = type(rng).__name__
        raise ValueError(f"rng is a {kind}; it must be a torch.Generator, torch.Generator().manual_seed(0) say")
    if len(rng) != count:
        raise ValueError(f"rng has {len(rng)} generators for {count} images; give one, or one an image")
    return rng


def spawn(rng: Rng, count: int) -> list[torch.Generator]:
    """A generator of its own for each of `count` rows, each seeded by one draw from that row's generator.

    For what draws in several passes over the rows: with a single generator the rows would otherwise not draw in turn.
    """
    children = []
    for parent in rows(rng, count):
        seed = int(torch.randint(2**63 - 1, (1,), generator=parent, device=parent.device))
        children.append(torch.Generator(device=parent.device).manual_seed(seed))
    return children


def complex_normal(n: int, rng: torch.Generator) -> Complex[Tensor, " n"]:
    """n draws of CN(0, 1): variance 1/2 per real axis."""
    return torch.view_as_complex(torch.randn(n, 2, generator=rng, device=rng.device)) * math.sqrt(0.5)


def probe(count: int, n: int) -> Complex[Tensor, "count n"]:
    """Gaussian symbols of unit mean energy, always the same: to find out what a channel does to a waveform."""
    drawn = torch.stack([complex_normal(n, torch.Generator().manual_seed(i)) for i in range(count)])
    return drawn * drawn.abs().square().mean(dim=1, keepdim=True).rsqrt()


def contents(image: Float[Tensor, "b c h w"]) -> list[hashlib.blake2b]:
    """What `image_rngs` takes of each image: worth keeping where the same ones are sent many times."""
    return [hashlib.blake2b(one.detach().cpu().contiguous().numpy().tobytes(), digest_size=8) for one in image]


def image_rngs(
    seed: int,
    image: Float[Tensor, "b c h w"],
    *,
    realisation: int = 0,
    known: Sequence[hashlib.blake2b] | None = None,
) -> list[torch.Generator]:
    """One generator an image, seeded by (seed, realisation, content of the image); `known` are its `contents`.

    The same image meets the same channel whatever the batch it travels in and its place there; all codecs meet it too,
    so that their comparison is paired.
    """
    label = f"{seed}/{realisation}/{tuple(image.shape[1:])}".encode()
    return [_seeded(one.copy(), label) for one in (contents(image) if known is None else known)]


def _seeded(content: hashlib.blake2b, label: bytes) -> torch.Generator:
    content.update(label)
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(content.digest()[:8], "little") >> 1)
    return generator
