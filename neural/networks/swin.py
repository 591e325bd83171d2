"""A rate-adaptive JSCC codec of Swin blocks, convolutions and a linear transform path, for any channel with CSI.

At quarter resolution the blocks are Swin's (`blocks.py`). Tokens are 4×4 pixels and windows 8×8 tokens, so that a 32×32
image is one window. Convolutions stand where Swin has its first stage.

What is taken from elsewhere, beside the blocks: the power allocation of a linear analogue code for squared error,
amplitudes in proportion to λ^(−1/4) (Lee and Petersen, "Optimal Linear Coding for Vector Channels", IEEE Trans. Commun.
24(12), 1976, at high Es/N0), at which the linear path begins. What is ours: that path beside the network, the nested
order of the latents (`grid.py`), and the decoder's view of every symbol's own noise.

`neural/recipes/README.md` says what else was tried and what it gave.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import at_home, by_parts, channels_last
from semlink.neural.networks.blocks import EMBEDDING, ConvBlock, SwinBlock, small, zero_linear
from semlink.neural.networks.fixed_rate import as_pairs, as_symbols, in_float32, spread, unit_energy
from semlink.neural.networks.grid import (
    CELL,
    MAX_RATIO,
    MAX_SYMBOLS,
    MIN_RATIO,
    by_tiles,
    cells,
    check_ratio,
    check_rgb,
    check_sent,
    check_whole,
    sent_indices,
    symbols_at,
    to_cells,
)
from semlink.neural.networks.held import Held
from semlink.neural.networks.windows import check_attention
from semlink.phy.link import Decoded, Frame, Received

LATENTS = 2 * MAX_SYMBOLS  # reals of a cell
PIXELS = 3 * CELL**2  # values of a cell
CONDITIONS = 3
TILE = 256  # cells a side
CELLS = 4096  # of images at once, without gradients: their features fit into caches


@dataclass(frozen=True)
class Size:
    """The size of a trunk: features at half and at quarter resolution, blocks of each kind, and the attention's own."""

    widths: tuple[int, int]
    depths: tuple[int, int]
    heads: int
    window: int
    mlp_ratio: float

    def __post_init__(self) -> None:
        check_whole("widths", self.widths, count=2)
        check_whole("depths", self.depths, count=2, least=0)
        check_attention(self.widths, self.heads, self.window, self.mlp_ratio)


class Trunk(nn.Module, ABC):
    """What both ways share: the condition's embedding, the blocks, and how far a cell sees."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        (fine, coarse), (convolutions, attentions) = size.widths, size.depths
        self.embed = nn.Sequential(nn.Linear(CONDITIONS, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.fine = nn.ModuleList([ConvBlock(fine) for _ in range(convolutions)])
        kind = partial(SwinBlock, coarse, heads=size.heads, window=size.window, mlp_ratio=size.mlp_ratio)
        self.coarse = nn.ModuleList([kind(shift=size.window // 2 * (i % 2)) for i in range(attentions)])
        # Cells that an output cell may depend on, in whole windows, for tiles begin where windows do: a window more
        # for every block, and the convolutions' 3×3 kernels, two cells at half resolution to one.
        self.window = size.window
        self.reach = size.window * (attentions + -(-(convolutions + 3) // size.window))

    def forward(
        self, x: Float[Tensor, "b i rows columns"], condition: Float[Tensor, "b 3"]
    ) -> Float[Tensor, "b o rows columns"]:
        """Cells to cells; a large image goes through in tiles where no gradient is asked for."""
        embedding = F.gelu(self.embed(condition))
        if torch.is_grad_enabled():
            return self.whole(x, embedding)
        tile = max(1, TILE // self.window) * self.window
        images = max(1, CELLS // x[0, 0].numel())
        return by_tiles(lambda y: by_parts(self.whole, y, embedding, size=images), x, reach=self.reach, tile=tile)

    @abstractmethod
    def whole(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Cells to cells in one piece."""

    def convolve(self, x: Float[Tensor, "b d h w"], embedding: Tensor) -> Float[Tensor, "b d h w"]:
        """The blocks at half resolution."""
        for block in self.fine:
            x = block(x, embedding)
        return x

    def attend(self, x: Float[Tensor, "b d rows columns"], embedding: Tensor) -> Float[Tensor, "b d rows columns"]:
        """The blocks at quarter resolution."""
        tokens = x.permute(0, 2, 3, 1)
        for block in self.coarse:
            tokens = block(tokens, embedding)
        return tokens.permute(0, 3, 1, 2)


class Encoder(Trunk):
    """Pixels of cells to latents of cells."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        fine, coarse = size.widths
        self.enter = nn.Conv2d(PIXELS // 4, fine, 3, padding=1)
        self.merge = nn.Conv2d(fine, coarse, 2, stride=2)
        self.leave = small(nn.Conv2d(coarse, LATENTS, 3, padding=1))

    def whole(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Cells to cells in one piece."""
        x = channels_last(F.pixel_unshuffle(F.pixel_shuffle(x, CELL), 2))  # (b, 12, 2·rows, 2·columns)
        x = self.merge(self.convolve(self.enter(x), embedding))
        latents: Tensor = self.leave(self.attend(x, embedding))
        return latents.float()


class Decoder(Trunk):
    """Received latents of cells, with their weights, to pixels of cells."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        fine, coarse = size.widths
        self.enter = nn.Conv2d(3 * MAX_SYMBOLS, coarse, 3, padding=1)
        self.split = nn.Conv2d(coarse, 4 * fine, 1)
        self.leave = small(nn.Conv2d(fine, PIXELS // 4, 3, padding=1))

    def whole(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Cells to cells in one piece."""
        x = self.split(self.attend(self.enter(x), embedding))
        x = self.leave(self.convolve(F.pixel_shuffle(x, 2), embedding)).float()  # (b, 12, 2·rows, 2·columns)
        return F.pixel_unshuffle(F.pixel_shuffle(x, 2), CELL)


class ConvSwin(Held, nn.Module):
    """A `Codec`: images of at least 8 pixels a side to floor(ratio·3·h·w) symbols at any ratio from 1/24 to 1/3.

    Args:
        ratio: complex channel uses / (3·h·w) of `encode`; `symbols` takes another one if asked.
        widths: features at half resolution, where convolutions work, and at quarter resolution, of a token.
        depths: convolutional blocks and Swin blocks of the encoder.
        decoder_depths: those of the decoder; None for as many.
        heads: of the attention.
        window: tokens a side of a window.
        mlp_ratio: features within the MLP for each one of a token.

    Raises:
        ValueError: a ratio or a size out of range.

    The receiver is assumed to know the image size and the ratio, from which it knows which latents were sent; it takes
    the others as erased. Images whose sides are no multiples of 4 are padded by reflection and cropped back; a cell
    with fewer true pixels gets fewer symbols, so the padding costs nothing.
    """

    min_ratio, max_ratio = MIN_RATIO, MAX_RATIO
    nominal: Tensor

    def __init__(
        self,
        *,
        ratio: float = 1 / 6,
        widths: tuple[int, int] = (48, 128),
        depths: tuple[int, int] = (1, 3),
        decoder_depths: tuple[int, int] | None = None,
        heads: int = 4,
        window: int = 8,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        check_ratio(ratio, ratios=(MIN_RATIO, MAX_RATIO), codec="swin")
        self.ratio = ratio
        analysis, energy = transform()
        self.analysis = nn.Conv2d(PIXELS, LATENTS, 1, bias=False)
        self.analysis.weight.data = (analysis * energy[:, None] ** -0.25)[:, :, None, None].clone()
        self.allocation = zero_linear(CONDITIONS, LATENTS)
        self.encoder = Encoder(Size(widths, depths, heads, window, mlp_ratio))
        self.decoder = Decoder(Size(widths, decoder_depths or depths, heads, window, mlp_ratio))
        self.synthesis = nn.Conv2d(LATENTS, PIXELS, 1)
        self.synthesis.weight.data = (analysis * energy[:, None] ** 0.25).T[:, :, None, None].clone()
        self.expectation = zero_linear(CONDITIONS, LATENTS)
        # Mean energy of each symbol on the linear path as it begins: what the power normalisation divides by.
        self.register_buffer("nominal", energy.sqrt().reshape(-1, 2).sum(dim=1), persistent=False)

    @at_home
    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: a ratio out of range, or images that are not RGB, float32 in [0, 1], 8 pixels a side or more.
        """
        check_rgb(image, "swin")
        check_ratio(self.ratio, ratios=(MIN_RATIO, MAX_RATIO), codec="swin")
        with torch.no_grad():
            symbols = self.symbols(image, torch.full((image.shape[0],), n0, device=image.device))
        notes = {"receiver": "image size and ratio known", "transmitter": "average Es/N0 known"}
        return Frame(symbols, {"payload": symbols.shape[1]}, power="exact", notes=notes)

    @at_home
    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header).

        Raises:
            ValueError: as many symbols as `encode` makes at no ratio that it takes, or a side below 8 pixels.
        """
        shape = received.shape_for(self.ratio)
        check_sent(received.symbols.shape[1], *shape[1:], ratios=(MIN_RATIO, MAX_RATIO), codec="swin")
        with torch.no_grad():
            image = self.reconstruct(received.unbiased(), shape)
            return Decoded(image.clamp(0, 1))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the matrices and kernels of the trunks, without those of the condition."""
        named = [pair for trunk in (self.encoder, self.decoder) for pair in trunk.named_parameters()]
        named = [(name, p) for name, p in named if "embed." not in name and "modulation." not in name]
        return [p for name, p in named if name.endswith("weight") and p.ndim >= 2]

    def symbols(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], *, ratio: float | None = None
    ) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable, with an average noise variance for each image, at `ratio`."""
        return as_symbols(self.to_pairs(image, n0, self.sent(*image.shape[-2:], ratio=ratio)))

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows before clipping, differentiable; `received` without bias."""
        sent = sent_indices(*shape[1:], received.symbols.shape[1])
        return self.from_pairs(as_pairs(received.symbols), received.n0, sent, shape[1:])

    def sent(self, h: int, w: int, *, ratio: float | None = None) -> Int[Tensor, " n"]:
        """Which (symbol, cell) pairs of an image are sent, see `sent_indices`; at the codec's ratio or another one."""
        return sent_indices(h, w, symbols_at(h, w, self.ratio if ratio is None else ratio))

    def to_pairs(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], sent: Int[Tensor, " n"]
    ) -> Float[Tensor, "b n 2"]:
        """`symbols` as pairs of real and imaginary part, given which of the latents are `sent`."""
        x = to_cells(image) * 2 - 1
        condition = _condition(self.sent_level(n0), len(sent), *image.shape[-2:])
        allocation = in_float32(self.allocation, condition).exp()[:, :, None, None]
        latents = in_float32(self.analysis, x) * allocation + self.encoder(x, condition)
        parts = latents.unflatten(1, (MAX_SYMBOLS, 2)).transpose(1, 2).flatten(2)  # (b, 2, symbols · cells)
        return unit_energy(parts[:, :, sent.to(image.device)].transpose(1, 2))

    def from_pairs(
        self, pairs: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"], sent: Int[Tensor, " n"], size: tuple[int, int]
    ) -> Float[Tensor, "b 3 h w"]:
        """`reconstruct` from pairs of real and imaginary part, given which of the latents were `sent`."""
        h, w = size
        rows, columns = cells(h, w)
        sent = sent.to(n0.device)
        grid = spread(pairs, n0, sent, MAX_SYMBOLS * rows * columns).reshape(-1, 3, MAX_SYMBOLS, rows, columns)
        condition = _condition(self.seen_level(n0), len(sent), h, w)
        scale = self.nominal[torch.div(sent, rows * columns, rounding_mode="floor")].mean().sqrt()
        latents = grid[:, :2].transpose(1, 2).flatten(1, 2) * scale  # (b, latents, rows, columns)
        expectation = in_float32(self.expectation, condition).exp()[:, :, None, None]
        cell = in_float32(self.synthesis, latents * expectation)
        cell = cell + self.decoder(grid.flatten(1, 2), condition)
        return F.pixel_shuffle(cell * 0.5 + 0.5, CELL)[:, :, :h, :w]


def transform() -> tuple[Float[Tensor, "latents pixels"], Float[Tensor, " latents"]]:
    """The first principal components of cells of a model of photographs, and the variance of each.

    Pixels correlate by 0.95 a step in either direction, colours by 0.9, and the variance of a value in −1 … 1 is 1/4:
    the usual first-order Markov model (Jain, "Fundamentals of Digital Image Processing", 1989, §2.9).
    """
    step = torch.arange(CELL, dtype=torch.float64)
    line = 0.95 ** (step[:, None] - step).abs()
    colours = torch.full((3, 3), 0.9, dtype=torch.float64).fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh(torch.kron(colours, torch.kron(line, line)) / 4)
    vectors = vectors.flip(1)[:, :LATENTS].T
    sign = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)).sign()  # another LAPACK may flip it
    return (vectors * sign).float(), values.flip(0)[:LATENTS].float()


def _condition(level: Float[Tensor, "b 1"], n: int, h: int, w: int) -> Float[Tensor, "b 3"]:
    """Es/N0 and its square, about 10 dB, and the rate in octaves about 1/6."""
    level = level - 1
    rate = math.log2(6 * n / (3 * h * w))
    return torch.cat([level, level.square(), torch.full_like(level, rate)], dim=1)
