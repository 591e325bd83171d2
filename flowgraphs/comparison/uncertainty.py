"""What a receiver that samples is sure of: several samples of one reception, their mean and their spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison.comparison import SHOWN, pixels
from semlink.flowgraphs.comparison.tally import Pixels
from semlink.neural.diffusion import Refined, Samples
from semlink.phy.link import Channel, Codec, Decoded, Frame, InformedCodec, Link, Received
from semlink.phy.rng import image_rngs

BRIGHTNESS = 16
"""How much brighter than it is a spread is drawn, or nothing of it would be seen."""


@dataclass(frozen=True)
class Spread:
    """Several samples of one reception of one image.

    Attributes:
        mean: of the samples.
        spread: `BRIGHTNESS` times their standard deviation, the mean over the colours: white is 1/16 of full scale.
        average: standard deviation in levels of 255, over the image.
        most: the largest of it, of one pixel and colour.
    """

    mean: Pixels
    spread: Pixels
    average: float
    most: float


def samplers(codecs: Mapping[str, Codec | InformedCodec]) -> dict[str, Refined]:
    """Those of the codecs whose receiver samples."""
    return {name: codec for name, codec in codecs.items() if isinstance(codec, Refined) and codec.refiner.draws}


def check_samples(count: int | None, codecs: Mapping[str, Codec | InformedCodec]) -> None:
    """Raise ValueError unless so many samples can be had of one codec at least; None asks for none."""
    if count is None:
        return
    if not 2 <= count <= 1000:
        raise ValueError(f"--samples {count} must be from 2 to 1000: one sample has no spread")
    if not samplers(codecs):
        raise ValueError(f"--samples {count}: no codec samples; give CODEC+RECEIVER with a diffusion refiner (sft)")


def spreads(
    images: Mapping[str, Float[Tensor, "1 c h w"]],
    codecs: Mapping[str, Codec | InformedCodec],
    channel: Channel,
    esno_db: Sequence[float],
    *,
    count: int,
    seed: int,
    progress: Callable[[], None] = lambda: None,
) -> dict[tuple[str, str, float], Spread]:
    """Mean and spread of `count` samples, by (image, codec, Es/N0), of the codecs whose receiver samples.

    The receptions are those whose pictures `compare` keeps: of the first images, in the first realisation.

    Raises:
        ValueError: what `Link` and `Refined.samples` raise.
    """
    found = {}
    for name, codec in samplers(codecs).items():
        for level in esno_db:
            for image in list(images)[:SHOWN]:
                found[image, name, level] = _spread(codec, channel, images[image], level, count, seed)
            progress()
    return found


def _spread(codec: Refined, channel: Channel, image: Tensor, esno_db: float, count: int, seed: int) -> Spread:
    sampled = _informed(codec, count) if isinstance(codec, InformedCodec) else _Sampled(codec, count)
    Link(sampled, channel, clips=True)(image, esno_db, rng=image_rngs(seed, image))
    (samples,) = sampled.taken
    shade = (BRIGHTNESS * samples.spread.mean(dim=1, keepdim=True)).clamp(0, 1).expand_as(samples.spread)
    levels = 255 * samples.spread
    return Spread(pixels(samples.mean), pixels(shade), float(levels.mean()), float(levels.max()))


class _Sampled:
    """A codec that keeps the samples of what it decodes."""

    def __init__(self, codec: Refined, count: int) -> None:
        self.codec, self.count = codec, count
        self.taken: list[Samples] = []

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        return self.codec.encode(image, n0)

    def decode(self, received: Received) -> Decoded:
        samples = self.codec.samples(received, self.count)
        self.taken.append(samples)
        return Decoded(samples.mean, samples.failed)


def _informed(codec: Refined, count: int) -> _Sampled:
    """The same of a codec whose transmitter knows the fades."""
    sampled = _Sampled(codec, count)
    sampled.encode_informed = codec.encode_informed  # type: ignore[attr-defined]
    return sampled


def describe(found: Mapping[tuple[str, str, float], Spread]) -> Iterator[str]:
    """A line for each codec: how far its samples are apart, at each Es/N0 over the images."""
    for codec in dict.fromkeys(name for _, name, _ in found):
        levels = sorted({level for _, name, level in found if name == codec})
        parts = []
        for level in levels:
            at = [one for (_, name, other), one in found.items() if (name, other) == (codec, level)]
            average = torch.tensor([one.average for one in at]).mean()
            parts.append(f"{level:g} dB: {average:.2f}, at most {max(one.most for one in at):.1f}")
        yield f"{codec}: spread of the samples in levels of 255: {'; '.join(parts)}"
