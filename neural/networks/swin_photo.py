"""A rate-adaptive JSCC codec for photographs: a linear code with symbols where there is detail, and a network about it.

The linear code (`linear_code.py`) sends principal components of 16×16 pixels, as many as a cell's content
deserves (`photo_plan.py`), as NTSCC does with learned latents and rates (Dai et al., "Nonlinear Transform
Source-Channel Coding for Semantic Communications", IEEE JSAC 40(8), 2022). How many is told digitally
(`photo_side.py`); a receiver that misses it falls back on the first symbols of every cell.

To the symbols the encoder adds what it makes of the image, and the decoder restores the picture that the linear code
gives. Both work at strides 2, 4 and 8 with convolutions and at stride 16 with the blocks of Swin
(`blocks.py`), and meet Es/N0, rate and amount of detail as scale and shift of features.

`neural/recipes/README.md` says what it gave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import at_home, channels_last
from semlink.neural.networks.blocks import EMBEDDING, ConvBlock, SwinBlock, small, zero_linear
from semlink.neural.networks.grid import check_ratio, check_rgb, check_sent, check_whole
from semlink.neural.networks.held import Held
from semlink.neural.networks.linear_code import LinearCode, gather
from semlink.neural.networks.photo_plan import CELL, LATENTS, LEVELS, MAX_SYMBOLS, Layout, Plan, cells
from semlink.neural.networks.windows import check_attention
from semlink.phy.link import Decoded, Frame, Received, channel_uses

CONDITIONS = 4
MIN_RATIO, MAX_RATIO = 1 / 48, 1 / 6
PIXELS = 65536  # of small images at once, without gradients


@dataclass(frozen=True)
class Size:
    """Features at strides 2, 4, 8 and 16, blocks at the last three, and the attention's own."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int]
    heads: int
    window: int
    mlp_ratio: float

    def __post_init__(self) -> None:
        check_whole("widths", self.widths, count=4)
        check_whole("depths", self.depths, count=3, least=0)
        check_attention(self.widths, self.heads, self.window, self.mlp_ratio)


class Trunk(nn.Module):
    """What both ways share: the condition's embedding, the levels' and the blocks."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        _, quarter, eighth, coarse = size.widths
        self.embed = nn.Sequential(nn.Linear(CONDITIONS, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.levels = nn.Embedding(LEVELS + 1, coarse)
        nn.init.normal_(self.levels.weight, std=0.1)
        self.quarter = nn.ModuleList([ConvBlock(quarter) for _ in range(size.depths[0])])
        self.eighth = nn.ModuleList([ConvBlock(eighth) for _ in range(size.depths[1])])
        shifts = [size.window // 2 * (i % 2) for i in range(size.depths[2])]
        shape = {"heads": size.heads, "window": size.window}
        self.coarse = nn.ModuleList(
            [SwinBlock(coarse, **shape, shift=shift, mlp_ratio=size.mlp_ratio) for shift in shifts]
        )

    def attend(self, x: Float[Tensor, "b d rows columns"], levels: Int[Tensor, "b cells"], embedding: Tensor) -> Tensor:
        """The blocks at stride 16."""
        tokens: Tensor = x.permute(0, 2, 3, 1)
        tokens = tokens + self.levels(levels).view(len(x), *tokens.shape[1:])
        for block in self.coarse:
            tokens = block(tokens, embedding)
        return tokens.permute(0, 3, 1, 2)


class Encoder(Trunk):
    """Pixels to what is added to the latents of cells."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        half, quarter, eighth, coarse = size.widths
        self.enter = nn.Conv2d(12, half, 3, padding=1)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.to_coarse = nn.Conv2d(eighth, coarse, 2, stride=2)
        self.leave = small(nn.Conv2d(coarse, LATENTS, 1))

    def forward(
        self, x: Float[Tensor, "b 3 h w"], levels: Int[Tensor, "b cells"], condition: Tensor
    ) -> Float[Tensor, "b k cells"]:
        """Of an image of whole cells."""
        embedding = F.gelu(self.embed(condition))
        x = self.to_quarter(F.gelu(self.enter(channels_last(F.pixel_unshuffle(x, 2)))))
        for block in self.quarter:
            x = block(x, embedding)
        x = self.to_eighth(x)
        for block in self.eighth:
            x = block(x, embedding)
        latents: Tensor = self.leave(self.attend(self.to_coarse(x), levels, embedding))
        return latents.flatten(2)


class Decoder(Trunk):
    """The linear code's estimates, of latents and of pixels, to what is added to the pixels."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        half, quarter, eighth, coarse = size.widths
        self.seen = nn.Conv2d(LATENTS + MAX_SYMBOLS, coarse, 1)
        self.to_eighth = nn.Conv2d(coarse, 4 * eighth, 1)
        self.to_quarter = nn.Conv2d(eighth, 4 * quarter, 1)
        self.to_half = nn.Conv2d(quarter, 4 * half, 1)
        self.enter = nn.Conv2d(12, half, 3, padding=1)
        self.enter_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.leave = small(nn.Conv2d(half, 12, 3, padding=1))

    def forward(
        self,
        seen: Float[Tensor, "b k rows columns"],
        linear: Float[Tensor, "b 3 h w"],
        levels: Int[Tensor, "b cells"],
        condition: Tensor,
    ) -> Float[Tensor, "b 3 h w"]:
        """Of an image of whole cells."""
        embedding = F.gelu(self.embed(condition))
        fine = self.enter(channels_last(F.pixel_unshuffle(linear, 2)))
        x = self.attend(self.seen(seen), levels, embedding)
        x = F.pixel_shuffle(self.to_eighth(x), 2)
        for block in self.eighth:
            x = block(x, embedding)
        x = F.pixel_shuffle(self.to_quarter(x), 2) + self.enter_quarter(F.gelu(fine))
        for block in self.quarter:
            x = block(x, embedding)
        x = F.gelu(F.pixel_shuffle(self.to_half(x), 2) + fine)
        return F.pixel_shuffle(self.leave(x), 2)


class SwinPhoto(Held, nn.Module):
    """A `Codec`: images of at least 8 pixels a side to floor(ratio·3·h·w) symbols at any ratio from 1/48 to 1/6.

    Args:
        ratio: complex channel uses / (3·h·w) of `encode`; `symbols` takes another one if asked.
        widths: features at strides 2, 4, 8 and 16.
        depths: blocks of the encoder at strides 4 and 8, of convolutions, and 16, of attention.
        decoder_depths: those of the decoder.
        heads: of the attention.
        window: tokens a side of a window.
        mlp_ratio: features within the MLP for each one of a token.

    Raises:
        ValueError: a ratio or a size out of range.

    The receiver is assumed to know the image size and the ratio. Images whose sides are no multiples of 16 are padded
    by their borders' pixels and cropped back; a cell with fewer true pixels gets fewer symbols: padding costs little.
    """

    min_ratio, max_ratio = MIN_RATIO, MAX_RATIO

    def __init__(
        self,
        *,
        ratio: float = 1 / 16,
        widths: tuple[int, int, int, int] = (24, 48, 96, 192),
        depths: tuple[int, int, int] = (0, 1, 1),
        decoder_depths: tuple[int, int, int] = (1, 1, 2),
        heads: int = 6,
        window: int = 8,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        check_ratio(ratio, ratios=(MIN_RATIO, MAX_RATIO), codec="swin-photo")
        self.ratio = ratio
        self.linear = LinearCode()
        self.encoder = Encoder(Size(widths, depths, heads, window, mlp_ratio))
        self.decoder = Decoder(Size(widths, decoder_depths, heads, window, mlp_ratio))
        self.allocation = zero_linear(CONDITIONS, LATENTS)
        self.expectation = zero_linear(CONDITIONS, LATENTS)

    @at_home
    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: a ratio out of range, or images that are not RGB, float32 in [0, 1], 8 pixels a side or more.
        """
        check_rgb(image, "swin-photo")
        check_ratio(self.ratio, ratios=(MIN_RATIO, MAX_RATIO), codec="swin-photo")
        layout = _layout(image, self.ratio)
        with torch.no_grad():
            parts = torch.split(image, _together(layout))
            symbols = torch.cat([self.symbols(part, part.new_full((len(part),), n0)) for part in parts])
        notes = {"receiver": "image size and ratio known", "transmitter": "average Es/N0 known"}
        uses = {"payload": layout.n - layout.side, "side": layout.side}
        return Frame(symbols, uses, power="exact", notes=notes)

    @at_home
    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header).

        Raises:
            ValueError: as many symbols as `encode` makes at no ratio that it takes, or a side below 8 pixels.
        """
        received = received.unbiased()
        shape = received.shape_for(self.ratio)
        check_sent(received.symbols.shape[1], *shape[1:], ratios=(MIN_RATIO, MAX_RATIO), codec="swin-photo")
        size = _together(Layout(shape[1], shape[2], received.symbols.shape[1]))
        rows = zip(torch.split(received.symbols, size), torch.split(received.n0, size), strict=True)
        with torch.no_grad():
            images = [self.reconstruct(Received(symbols, n0), shape) for symbols, n0 in rows]
        return Decoded(torch.cat(images).clamp(0, 1))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the matrices and kernels of the trunks, without those of the conditions."""
        named = [pair for trunk in (self.encoder, self.decoder) for pair in trunk.named_parameters()]
        apart = ("embed.", "modulation.", "levels.")
        return [p for name, p in named if name.endswith("weight") and p.ndim >= 2 and not any(a in name for a in apart)]

    def symbols(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], *, ratio: float | None = None
    ) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable, with an average noise variance for each image, at `ratio`."""
        layout, (h, w) = _layout(image, self.ratio if ratio is None else ratio), image.shape[-2:]
        image = F.pad(image, (0, -w % CELL, 0, -h % CELL), mode="replicate") * 2 - 1
        coefficients = self.linear.analyse(image)
        plan = self.linear.plan(coefficients, layout)
        known = condition(self.sent_level(n0), layout, plan)
        gain, _ = self.linear.amplitudes(plan, layout)
        gain = gain * self.allocation(known).exp()[:, :, None]
        latents = coefficients * gain + self.encoder(image, plan.levels, known)
        return self.linear.frame(gather(latents, layout.places(plan.levels)), plan, layout)

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows before clipping, differentiable; `received` without bias."""
        h, w = shape[1:]
        layout = Layout(h, w, received.symbols.shape[1])
        plan = layout.plan_of(received)
        known = condition(self.seen_level(received.n0), layout, plan)
        estimate, seen = self.linear.estimate(received, plan, layout)
        grid = cells(h, w)
        linear = self.linear.synthesise(estimate * self.expectation(known).exp()[:, :, None], *grid)
        image: Tensor = linear + self.decoder(seen.reshape(*seen.shape[:2], *grid), linear, plan.levels, known)
        return (image * 0.5 + 0.5)[:, :, :h, :w]

    def fit(self, images: Float[Tensor, "b 3 h w"]) -> None:
        """Take from photographs what the linear code needs, as training does before its first step."""
        self.linear.fit(images)


def _layout(image: Float[Tensor, "b 3 h w"], ratio: float) -> Layout:
    """How the symbols of images at a ratio are divided."""
    h, w = image.shape[-2:]
    return Layout(h, w, channel_uses((3, h, w), ratio))


def _together(layout: Layout) -> int:
    """Images that go through at once: one that has a plan, lest rounding change it, else what fits into caches."""
    return 1 if layout.bits else max(1, PIXELS // (layout.h * layout.w))


def condition(level: Float[Tensor, "b 1"], layout: Layout, plan: Plan) -> Float[Tensor, "b 4"]:
    """Es/N0 and its square, about 10 dB, the rate in octaves about 1/16, and the step in 8 octaves about 2^-5."""
    level = level - 1
    rate = torch.full_like(level, math.log2(16 * layout.n / (3 * layout.h * layout.w)))
    step = torch.where(plan.known, (plan.numbers[:, 0] + 5) / 8, 0)[:, None]
    return torch.cat([level, level.square(), rate, step], dim=1)
