"""Channel denoising diffusion: received symbols denoised before the codec decodes them.

Wu et al., "CDDM: Channel Denoising Diffusion Models for Wireless Communications", GLOBECOM 2023 (arXiv 2305.09161):
forward diffusion is what the channel does, so the way back begins at the step whose noise is that of the reception.
After equalisation a symbol is y = x + CN(0, n0) with an n0 of its own, fading included. Scaled by √ᾱ it is a state x_t
of the process with (1 − ᾱ) / ᾱ = n0, hence ᾱ = 1 / (1 + n0), for each symbol by itself.

What is ours: ᾱ is continuous, with no table of T steps to round to, so the match is exact; the symbols lie on the
codec's latent grid, where neighbours are neighbours in the image; the network predicts v = √ᾱ · noise − √(1 − ᾱ) · x
(Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022), from which noise and x
follow without dividing by a small ᾱ. A network that says 0 is a Wiener filter. Training minimises the squared error of
the noise.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import at_home
from semlink.neural.networks import (
    EMBEDDING,
    MAX_SYMBOLS,
    ConvBlock,
    ConvSwin,
    FixedRate,
    Held,
    as_pairs,
    as_symbols,
    by_tiles,
    cells,
    sent_indices,
)

MAX_STEPS = 100
KNOTS = 21  # of the measured residual: −20 … 30 dB of Es/N0 in steps of 2.5
MEMORY = 0.02  # share of the newest batch in the measured residual


class Grid(NamedTuple):
    """Where the symbols of an image lie: `sent` has the index symbol·cells + cell of each, in the order of sending."""

    symbols: int  # of a cell
    rows: int
    columns: int
    sent: Int[Tensor, " n"]

    def place(self, values: Float[Tensor, "b n k"]) -> Float[Tensor, "b ks rows columns"]:
        """Values of the sent symbols as channels of the cells, k·symbols of them; 0 where nothing was sent."""
        b, _, k = values.shape
        full = values.new_zeros(b, k, self.symbols * self.rows * self.columns)
        full = full.index_copy(2, self.sent.to(values.device), values.transpose(1, 2))
        return full.reshape(b, k * self.symbols, self.rows, self.columns)

    def pick(self, channels: Float[Tensor, "b ks rows columns"]) -> Float[Tensor, "b n k"]:
        """The values of the sent symbols: what `place` placed."""
        k = channels.shape[1] // self.symbols
        return channels.reshape(len(channels), k, -1)[:, :, self.sent.to(channels.device)].transpose(1, 2)


def symbols_of_cell(codec: object) -> int:
    """Symbols that a cell of a codec's grid may hold.

    Raises:
        ValueError: a codec without such a grid.
    """
    if isinstance(codec, ConvSwin):
        return MAX_SYMBOLS
    if isinstance(codec, FixedRate):
        return codec.cell_symbols
    raise ValueError(
        f"codec {type(codec).__name__} must be a neural one on a grid of latents (swin, deepjscc, …): "
        "a constellation has a demapper, which knows its points"
    )


def grid_of(codec: object, h: int, w: int, n: int) -> Grid:
    """The latent grid of a codec for an image of h×w pixels of which n symbols are sent.

    Raises:
        ValueError: a codec without such a grid, or that sends another number of symbols.
    """
    count = symbols_of_cell(codec)
    if isinstance(codec, FixedRate):
        rows, columns = -(-h // codec.cell), -(-w // codec.cell)
        sent = codec.sent(h, w)
    else:
        (rows, columns), sent = cells(h, w), sent_indices(h, w, n)
    if len(sent) != n:
        raise ValueError(f"{n} symbols: the codec sends {len(sent)} for an image of {w}x{h}")
    return Grid(count, rows, columns, sent)


class SymbolDenoiser(Held, nn.Module):
    """A residual convolutional network on the latent grid that tells symbols from their noise.

    Args:
        symbols: of a cell of the codec's grid, see `symbols_of_cell`: 16 for `ConvSwin`.
        width: features.
        blocks: residual blocks of two 3×3 convolutions.

    What is handed on beside the denoised symbols is the residual noise as it was measured in training: `residual` holds
    the mean squared error of x̂ over that of a Wiener filter, n0 / (1 + n0), at Es/N0 of −20 … 30 dB, as a running mean
    over the batches. With ε the mean squared error by that table, x̂ / (1 − ε) is handed on with n0 = ε / (1 − ε), which
    a decoder's own Wiener factor 1 / (1 + n0) turns back into x̂. An untrained denoiser hands on what it was given.
    """

    residual: Tensor

    def __init__(self, *, symbols: int = MAX_SYMBOLS, width: int = 96, blocks: int = 4) -> None:
        super().__init__()
        self.symbols = symbols
        self.level = nn.Sequential(nn.Linear(1, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.enter = nn.Conv2d(3 * symbols, width, 3, padding=1)
        self.blocks = nn.ModuleList([ConvBlock(width) for _ in range(blocks)])
        self.leave = nn.Conv2d(width, 2 * symbols, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)
        self.register_buffer("residual", torch.ones(KNOTS))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the kernels between features."""
        return [p for p in self.blocks.parameters() if p.ndim == 4]

    def check_steps(self, steps: int) -> None:
        """Raise ValueError unless `steps` is from 1 to `MAX_STEPS`."""
        if not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"steps={steps} must be from 1 to {MAX_STEPS}")

    def check_codec(self, codec: object) -> None:
        """Raise ValueError unless the codec's grid is what the network was built for."""
        if symbols_of_cell(codec) != self.symbols:
            raise ValueError(
                f"codec has {symbols_of_cell(codec)} symbols a cell; the denoiser was built for {self.symbols}"
            )

    def estimate(self, pairs: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"], grid: Grid) -> Float[Tensor, "b n 2"]:
        """x̂, the mean of what may have been sent, from sent + CN(0, n0); real and imaginary parts, differentiable."""
        kept = 1 / (1 + n0[:, :, None])  # ᾱ
        state = pairs * kept.sqrt()
        level = 0.4 * -torch.log10(n0.clamp(1e-3, 1e2)) + 0.8  # 0 … 2, and 0 where nothing was sent
        x = grid.place(torch.cat([state, level[:, :, None]], dim=2))
        embedding = F.gelu(self.level(self.seen_level(n0) - 1))
        v = grid.pick(self._by_tiles(x, embedding))
        return kept.sqrt() * state - (1 - kept).sqrt() * v

    @at_home
    def denoise(
        self, symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"], grid: Grid, *, steps: int = 1
    ) -> tuple[Complex[Tensor, "b n"], Float[Tensor, "b n"]]:
        """Denoised symbols and their residual noise variance.

        Args:
            symbols: sent + CN(0, n0).
            n0: of each symbol.
            grid: the codec's, see `grid_of`.
            steps: of DDIM, from each symbol's own noise down to none, its standard deviation in even steps. One gives
                the mean of what may have been sent, which has the least squared error; many go towards a sample, which
                is scaled down to the mean's size as that of a Gaussian would have to be. The residual handed on is
                that of one step.

        Raises:
            ValueError: steps out of range.
        """
        self.check_steps(steps)
        y, n0 = as_pairs(symbols), n0.clamp_min(1e-9)
        share = self.residual_share(n0)
        signal = share * n0 / (n0 + 1 - share)  # the variance of a Gaussian whose mean has the measured error
        excess = torch.ones_like(n0) + n0 / signal  # how much larger such a one comes out of these steps than its mean
        for k in range(steps):
            left = 1 - k / steps  # share of the noise's standard deviation
            clean = self.estimate(y, n0 * left**2, grid)
            next_left = (left - 1 / steps) / left if k < steps - 1 else 0.0
            y = clean + next_left * (y - clean)
            wiener = signal / (signal + n0 * left**2)
            excess = excess * (wiener + next_left * (1 - wiener))
        rest = 1 + n0 * (1 - share)
        return as_symbols(y * ((1 + n0) / rest / excess)[:, :, None]), n0 * share / rest

    def residual_share(self, n0: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """The measured squared error over that of a Wiener filter, in (0, 1], interpolated between the knots."""
        low, part = _knots(n0)
        between = self.residual[low].lerp(self.residual[low + 1], part)
        return between.clamp(1e-3, 1)

    def noise_loss(
        self,
        sent: Complex[Tensor, "b n"],
        received: Complex[Tensor, "b n"],
        n0: Float[Tensor, "b n"],
        grid: Grid,
    ) -> Float[Tensor, " b"]:
        """Mean squared error of the noise of unit variance, of each image; in training the residual is measured too."""
        clean = self.estimate(as_pairs(received), n0, grid)
        errors = (clean - as_pairs(sent)).square().sum(dim=2)
        if self.training:
            self._measure(errors.detach(), n0)
        return (errors / n0).mean(dim=1)

    @torch.no_grad()
    def _measure(self, errors: Float[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> None:
        low, part = _knots(n0)
        relative = errors * (1 + n0) / n0
        weight, total = torch.zeros_like(self.residual), torch.zeros_like(self.residual)
        for index, share in ((low, 1 - part), (low + 1, part)):
            weight.index_add_(0, index.flatten(), share.flatten())
            total.index_add_(0, index.flatten(), (share * relative).flatten())
        seen = weight > 1
        mean = torch.where(seen, total / weight.clamp_min(1), self.residual)
        self.residual.lerp_(mean, MEMORY)

    def _by_tiles(self, x: Float[Tensor, "b k r c"], embedding: Float[Tensor, "b e"]) -> Float[Tensor, "b m r c"]:
        def whole(part: Float[Tensor, "b k r c"]) -> Float[Tensor, "b m r c"]:
            part = self.enter(part)
            for block in self.blocks:
                part = block(part, embedding)
            v: Tensor = self.leave(part).float()
            return v

        if torch.is_grad_enabled():
            return whole(x)
        return by_tiles(whole, x, reach=2 + 2 * len(self.blocks))


def _knots(n0: Float[Tensor, "b n"]) -> tuple[Int[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The knot below each symbol's Es/N0, and how far it is on the way to the next one."""
    place = (2 - torch.log10(n0.clamp(1e-3, 1e2))) * ((KNOTS - 1) / 5)
    low = place.floor().clamp(0, KNOTS - 2)
    return low.long(), place - low
