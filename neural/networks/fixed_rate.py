"""What the codecs of one fixed rate share: cells of pixels and of symbols, padding, power, and which cells are sent."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import at_home, by_parts
from semlink.neural.networks.grid import check_rgb, check_sent, check_whole
from semlink.neural.networks.held import Held
from semlink.phy.link import Decoded, Frame, Received, channel_uses


class FixedRate(Held, nn.Module, ABC):
    """A `Codec`: images of any size of at least 8 pixels a side to `cell_symbols` symbols for each cell of pixels.

    Args:
        name: what errors call it.
        cell: pixels a side of a cell.
        cell_symbols: complex symbols for each.

    Raises:
        ValueError: `cell_symbols` below 1.

    Images whose sides are no multiples of a cell's are padded by reflection and cropped back. The padding costs
    nothing: the symbols beyond floor(ratio·3·h·w), those of the cells with the fewest true pixels, are not sent, and
    the decoder takes them as erased. The receiver is assumed to know the image size, as the digital chain's is.
    """

    knows_noise = True  # whether the transmitter makes use of the average Es/N0
    pixels_at_once: int | None = None  # without gradients, where fewer are faster: their features fit into caches

    @property
    def ignores_n0(self) -> bool:
        """Whether an image is sent as the same symbols at every Es/N0."""
        return not self.knows_noise

    def __init__(self, name: str, *, cell: int, cell_symbols: int) -> None:
        super().__init__()
        check_whole("cell_symbols", cell_symbols)
        self.name, self.cell, self.cell_symbols = name, cell, cell_symbols
        self.ratio = cell_symbols / (3 * cell**2)

    @abstractmethod
    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels in whole cells to latents of cells: the real parts of the symbols, then the imaginary ones.

        `level` is the Es/N0 as `sent_level` expresses it.
        """

    @abstractmethod
    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Real parts, imaginary parts and Wiener factors of the received symbols to pixels."""

    @at_home
    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: images that are not RGB, float32 in [0, 1], or have a side below 8 pixels.
        """
        check_rgb(image, self.name)
        with torch.no_grad():
            symbols = self.symbols(image, torch.full((image.shape[0],), n0, device=image.device))
        notes = {"receiver": "image size known"}
        if self.knows_noise:
            notes["transmitter"] = "average Es/N0 known"
        return Frame(symbols, {"payload": symbols.shape[1]}, power="exact", notes=notes)

    @at_home
    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header).

        Raises:
            ValueError: another number of symbols than `encode` makes, or a side below 8 pixels.
        """
        shape = received.shape_for(self.ratio)
        check_sent(received.symbols.shape[1], *shape[1:], ratios=(self.ratio, self.ratio), codec=self.name)
        with torch.no_grad():
            return Decoded(self.reconstruct(received.unbiased(), shape).clamp(0, 1))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the kernels of the convolutions."""
        return [p for p in self.parameters() if p.ndim == 4]

    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable and with an average noise variance for each image."""
        return as_symbols(self.to_pairs(image, n0, self.sent(*image.shape[-2:])))

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows, differentiable; `received` without bias."""
        return self.from_pairs(as_pairs(received.symbols), received.n0, self.sent(*shape[1:]), shape[1:])

    def to_pairs(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], sent: Int[Tensor, " n"]
    ) -> Float[Tensor, "b n 2"]:
        """`symbols` as pairs of real and imaginary part, given which of the latents are `sent`."""
        h, w = image.shape[-2:]
        padded = F.pad(image, (0, -w % self.cell, 0, -h % self.cell), mode="reflect")
        latents = by_parts(self.analyse, padded, self.sent_level(n0), size=self._at_once(h * w)).float()
        parts = latents.reshape(latents.shape[0], 2, -1)  # (b, 2, symbols · cells)
        return unit_energy(parts[:, :, sent.to(image.device)].transpose(1, 2))

    def from_pairs(
        self, pairs: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"], sent: Int[Tensor, " n"], size: tuple[int, int]
    ) -> Float[Tensor, "b 3 h w"]:
        """`reconstruct` from pairs of real and imaginary part, given which of the latents were `sent`."""
        h, w = size
        rows, columns = -(-h // self.cell), -(-w // self.cell)
        grid = spread(pairs, n0, sent, self.cell_symbols * rows * columns)
        x = grid.reshape(-1, 3 * self.cell_symbols, rows, columns)
        image = by_parts(self.synthesise, x, self.seen_level(n0), size=self._at_once(h * w))
        return image.float()[:, :, :h, :w]

    def _at_once(self, pixels: int) -> int | None:
        """Images of so many pixels that go through together; None for all."""
        return None if self.pixels_at_once is None else max(1, self.pixels_at_once // pixels)

    def sent(self, h: int, w: int) -> Int[Tensor, " n"]:
        """Indices of the padded latent that are sent: those of the cells with the most true pixels, in latent order."""
        rows, columns = (
            self.cell - F.relu(self.cell * torch.arange(1, -(-side // self.cell) + 1) - side) for side in (h, w)
        )
        covered = torch.outer(rows, columns).flatten().repeat(self.cell_symbols)
        order = torch.argsort(covered, descending=True, stable=True)
        return order[: channel_uses((3, h, w), self.ratio)].sort().values


def unweighted(seen: Float[Tensor, "b k rows columns"]) -> Float[Tensor, "b m rows columns"]:
    """The symbols as they arrived, for a decoder that knows nothing of noise: of `synthesise`'s input, no weights.

    Where symbols of an image differ in noise, by fading, the weaker ones keep their Wiener factor relative to that of
    the best one: a zero-forced symbol of a deep fade would drown all others.
    """
    real, imag, weight = seen.chunk(3, dim=1)
    best = weight.amax(dim=(1, 2, 3), keepdim=True)
    return torch.cat([real, imag], dim=1) / best


def as_pairs(symbols: Complex[Tensor, "b n"]) -> Float[Tensor, "b n 2"]:
    """Real and imaginary part of each symbol."""
    return torch.view_as_real(symbols.resolve_conj())


def as_symbols(pairs: Float[Tensor, "b n 2"]) -> Complex[Tensor, "b n"]:
    """Symbols of real and imaginary parts."""
    return torch.view_as_complex(pairs.contiguous())


def unit_energy(pairs: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
    """`normalise_power` of symbols that are pairs of reals."""
    energy = pairs.square().sum(dim=2, keepdim=True).mean(dim=1, keepdim=True)
    return pairs * energy.clamp_min(1e-12).rsqrt()


def spread(
    pairs: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"], sent: Int[Tensor, " n"], latents: int
) -> Float[Tensor, "b 3 latents"]:
    """Real parts, imaginary parts and Wiener factors 1 / (1 + N0) in their places; all 0 where nothing was sent.

    Raises:
        ValueError: another number of symbols than of places.
    """
    if pairs.shape[1] != len(sent):
        raise ValueError(f"{pairs.shape[1]} symbols received; an image of this size and ratio has {len(sent)}")
    weight = 1 / (1 + n0[:, :, None])
    seen = torch.cat([pairs * weight, weight], dim=2).transpose(1, 2)  # (b, 3, n)
    return seen.new_zeros(seen.shape[0], 3, latents).index_copy(2, sent.to(seen.device), seen)


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer in float32 whatever the precision of the rest: its rounding errors go to the image as they are."""
    with torch.autocast(x.device.type, enabled=False):
        y: Tensor = layer(x.float())
        return y
