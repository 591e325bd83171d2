"""Receivers that are codecs again: one that refines the decoded image, one that denoises the received symbols."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semlink.neural.diffusion.cddm import SymbolDenoiser, grid_of
from semlink.neural.diffusion.refiner import Refiner, check_decoded, check_shape
from semlink.neural.networks import noise_level
from semlink.phy.link import Codec, Decoded, Frame, InformedCodec, Received, Sounding

TOPIC = "received by"
"""Where a frame's notes tell of its receiver."""


class Samples(NamedTuple):
    """Several refined images of one reception.

    Attributes:
        mean: of the samples, (b, c, h, w) in [0, 1].
        spread: their standard deviation at each value (of n samples, divided by n − 1): where the receiver invents.
        failed: which images had failed before; they are as decoded, with a spread of 0.
    """

    mean: Float[Tensor, "b c h w"]
    spread: Float[Tensor, "b c h w"]
    failed: Bool[Tensor, " b"]


class Receiver:
    """A codec with another receiver: transmitter and ledger are the codec's own, and so are its notes.

    Of an `InformedCodec` it makes one.

    Args:
        codec: any.
        note: what the notes are to say of the receiver, under the topic `TOPIC`; empty for nothing.
    """

    def __init__(self, codec: Codec | InformedCodec, *, note: str = "") -> None:
        self.codec, self.note = codec, note
        if isinstance(codec, InformedCodec):
            self.encode_informed = self._encode_informed

    @property
    def ratio(self) -> float:
        """Complex channel uses / (c·h·w) of the codec."""
        return float(self.codec.ratio)  # type: ignore[union-attr]

    @property
    def ignores_n0(self) -> bool:
        """Whether the codec sends the same symbols at every Es/N0."""
        return bool(getattr(self.codec, "ignores_n0", False))

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """What the codec sends."""
        if not isinstance(self.codec, Codec):
            raise ValueError(f"{type(self.codec).__name__} needs the fades to encode; send by `Link`")
        self.check_image(image)
        return self._noted(self.codec.encode(image, n0))

    def check_image(self, image: Float[Tensor, "b c h w"]) -> None:
        """Raise ValueError for an image that the receiver could not show: told before it is sent, not after."""

    def _encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:
        self.check_image(image)
        assert isinstance(self.codec, InformedCodec)
        return self._noted(self.codec.encode_informed(image, n0, sound))

    def _noted(self, frame: Frame) -> Frame:
        if not self.note:
            return frame
        before = frame.notes.get(TOPIC)  # of a receiver within this one
        return replace(frame, notes={**frame.notes, TOPIC: f"{before}; then {self.note}" if before else self.note})


class Refined(Receiver):
    """A `Codec` whose decoded images a refiner restores.

    Args:
        codec: any codec of images, neural or digital.
        refiner: such as `semlink.neural.diffusion.SFT`.
        seed: of the sampling, from 0.
        note: as for `Receiver`.

    Raises:
        ValueError: a negative seed.

    An image that failed to decode is handed on as it is and stays failed: half an image and half a grey field is not
    what the refiner was trained on, and must not look like a reception.

    Every image starts from the same noise, which seed and sample decide and nothing else: the result of an image does
    not depend on the others in its batch. Noise that is seeded by the content would need the content bit for bit, and
    the last bits of a decoded image depend on the size of its batch.
    """

    def __init__(self, codec: Codec | InformedCodec, refiner: Refiner, *, seed: int = 0, note: str = "") -> None:
        super().__init__(codec, note=note)
        if seed < 0:
            raise ValueError(f"seed={seed} must be at least 0")
        self.refiner, self.seed = refiner, seed

    def check_image(self, image: Float[Tensor, "b c h w"]) -> None:
        """Raise ValueError for images of another number of channels or smaller than the refiner takes."""
        check_shape(image.shape, self.refiner)

    def decode(self, received: Received) -> Decoded:
        """Decode and refine; block errors and failures are the codec's.

        Raises:
            ValueError: the codec's images have values that are not finite, another number of channels than the refiner
                was built for, or sides below what it takes.
        """
        decoded, level = self.receive(received)
        return decoded._replace(image=self.refine(decoded, level))

    def samples(self, received: Received, count: int = 8) -> Samples:
        """Mean and spread of `count` samples of one reception; the first of them is what `decode` shows.

        Raises:
            ValueError: count below 2, or as `decode`.
        """
        if count < 2:
            raise ValueError(f"count={count} must be at least 2: one sample has no spread")
        decoded, level = self.receive(received)
        mean = squares = torch.zeros_like(decoded.image)
        for i in range(count):  # Welford's running mean and sum of squared deviations
            image = self.refine(decoded, level, sample=i)
            before, mean = image - mean, mean + (image - mean) / (i + 1)
            squares = squares + before * (image - mean)
        failed = torch.zeros(len(mean), dtype=torch.bool) if decoded.failed is None else decoded.failed
        return Samples(mean, (squares / (count - 1)).clamp_min(0).sqrt(), failed)

    def receive(self, received: Received) -> tuple[Decoded, Float[Tensor, "b 1"]]:
        """The first half of `decode`: the codec's own images, checked, and the noise level of their reception.

        Raises:
            ValueError: as `decode`.
        """
        got = self.codec.decode(received)
        decoded = Decoded(got) if isinstance(got, Tensor) else Decoded(*got)
        if decoded.image.ndim != 4:
            raise ValueError(
                f"decoded values of shape {tuple(decoded.image.shape)}: a refiner takes images (b, c, h, w), not logits"
            )
        check_decoded(decoded.image, self.refiner)
        return decoded, noise_level(received.unbiased().n0)

    def refine(self, decoded: Decoded, level: Float[Tensor, "b 1"], *, sample: int = 0) -> Float[Tensor, "b c h w"]:
        """The second half of `decode`: those images restored that did not fail."""
        image = decoded.image
        rows = torch.arange(len(image)) if decoded.failed is None else (~decoded.failed).nonzero()[:, 0]
        if not len(rows):
            return image
        rows = rows.to(image.device)
        rngs = [torch.Generator().manual_seed(_mixed(self.seed, sample)) for _ in range(len(rows))]
        refined = self.refiner.refine(image[rows], level.to(image.device)[rows], rng=rngs).clamp(0, 1)
        return image.index_copy(0, rows, refined.to(image))


class Denoised(Receiver):
    """A `Codec` whose received symbols a diffusion model denoises before they are decoded.

    Args:
        codec: a neural codec on a grid of latents: `ConvSwin` or one of `FixedRate`.
        denoiser: trained on that codec's symbols.
        steps: how often the network is asked; 1 gives the mean of what may have been sent.
        note: as for `Receiver`.

    Raises:
        ValueError: another codec, such as a digital one, whose symbols are points of a constellation; a denoiser of
            another grid; or `steps` out of range.
    """

    def __init__(
        self, codec: Codec | InformedCodec, denoiser: SymbolDenoiser, *, steps: int = 1, note: str = ""
    ) -> None:
        super().__init__(codec, note=note)
        denoiser.check_steps(steps)
        denoiser.check_codec(codec)
        self.denoiser, self.steps = denoiser, steps

    def decode(self, received: Received) -> Decoded | Tensor:
        """Denoise, then decode."""
        unbiased = received.unbiased()
        with torch.no_grad():
            denoised = self.denoised(unbiased, unbiased.shape_for(self.ratio))
        return self.codec.decode(denoised)

    def denoised(self, received: Received, shape: tuple[int, int, int]) -> Received:
        """The first half of `decode`, differentiable: what the codec is given of a reception without bias.

        `shape` is that of an image, (c, h, w).
        """
        _, h, w = shape
        grid = grid_of(self.codec, h, w, received.symbols.shape[1])
        symbols, n0 = self.denoiser.denoise(received.symbols, received.n0, grid, steps=self.steps)
        # The antennas' own reception still has the noise: a codec that would detect anew must not see it.
        return replace(received, symbols=symbols, n0=n0, spatial=None)


def _mixed(seed: int, sample: int) -> int:
    """A seed for a sample, far from those of the samples of other seeds."""
    return seed * 1_000_003 + sample
