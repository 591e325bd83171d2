"""How many known images it takes to break a keyed transform of symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy import metrics
from semlink.phy.link import Codec, Decoded, Received, esno_to_n0
from semlink.phy.rng import complex_normal
from semlink.phy.security import Key, find_transform, guess, make_transform
from semlink.phy.sources import sample_images

SIDE = 32
"""Of the images that are known and of those that are not, in pixels."""


@dataclass(frozen=True)
class Attack:
    """What an eavesdropper has who knows some images, and has heard them sent.

    Attributes:
        known: images.
        esno_db: her Es/N0.
        found: share of the places on the air whose symbol and turn she found.
        psnr_db: of other images as she decodes them.
        keyed_psnr_db: of the same for somebody who has the key, at her Es/N0.
    """

    known: int
    esno_db: float
    found: float
    psnr_db: float
    keyed_psnr_db: float


def pieces(count: int, *, side: int = SIDE) -> Float[Tensor, "count 3 side side"]:
    """Squares of the packaged photographs, spread over them, no two alike.

    Raises:
        ValueError: more than there are.
    """
    cut = sample_images().unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    if not 1 <= count <= len(cut):
        raise ValueError(f"count={count} must be from 1 to {len(cut)}")
    return cut[torch.randperm(len(cut), generator=torch.Generator().manual_seed(0))[:count]]


@torch.no_grad()
def known_plaintext(
    codec: Codec, key: Key, known: Sequence[int], esno_db: float, *, others: int = 24, seed: int = 0
) -> list[Attack]:
    """Break a codec's keyed symbols over AWGN with each number of known images, and decode other images.

    Args:
        codec: without its key; the eavesdropper has it.
        key: that it is used with; nothing of it is used but the transform.
        known: numbers of images.
        esno_db: of the eavesdropper.
        others: images that she does not know.
        seed: of her noise.

    Raises:
        ValueError: no image, or more than there are.
    """
    images, n0, rng = pieces(others + max(known)), esno_to_n0(esno_db), torch.Generator().manual_seed(seed)
    symbols = codec.encode(images, n0).symbols
    secret = make_transform(key, symbols.shape[1])
    noise = torch.stack([complex_normal(symbols.shape[1], rng) for _ in images])
    heard = secret.hide(symbols) + n0**0.5 * noise
    restored = secret.restore(Received(heard[:others], torch.full_like(heard[:others].real, n0)))
    best = _psnr_db(codec, restored.symbols, n0, images[:others])
    attacks = []
    for count in known:
        found = find_transform(symbols[others : others + count], heard[others : others + count])
        right = ((found.order == secret.order) & (found.turns == secret.turns)).float().mean()
        got = _psnr_db(codec, guess(found, heard[:others]), n0, images[:others])
        attacks.append(Attack(count, esno_db, float(right), got, best))
    return attacks


def _psnr_db(codec: Codec, symbols: Complex[Tensor, "b n"], n0: float, images: Float[Tensor, "b c h w"]) -> float:
    c, h, w = images.shape[1:]
    got = codec.decode(Received(symbols, torch.full_like(symbols.real, n0), image_shape=(c, h, w)))
    image = got.image if isinstance(got, Decoded) else got
    return metrics.psnr(image.clamp(0, 1), images)
