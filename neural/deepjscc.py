"""DeepJSCC made adaptive to the noise: five convolutions each way, attention-feature modules between them.

The layers are those of Bourtsoulatze, Kurka and Gündüz, "Deep Joint Source-Channel Coding for Wireless Image
Transmission", IEEE TCCN 5(3), 2019, fig. 2: 5×5 kernels, strides 2, 2, 1, 1, 1 and back, PReLU. The attention-feature
modules are those of Xu et al., "Wireless Image Transmission Using Deep Source Channel Coding With Attention Modules",
IEEE TCSVT 32(4), 2022, fig. 4. What is ours: the widths, and the decoder's view of every symbol's own noise variance,
by which one model serves AWGN and fading of any coherence with CSI.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.phy.link import Decoded, Frame, Received, channel_uses, normalise_power

STRIDE = 4  # pixels a side of one latent cell
MIN_SIDE = 8  # pixels: below this an image is mostly padding

Conv = TypeVar("Conv", nn.Conv2d, nn.ConvTranspose2d)


class AttentionFeature(nn.Module):
    """Scales each feature by a factor in (0, 1) found from the features' means and the Es/N0 (Xu et al., fig. 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.Linear(width // 2, width)
        # Open to begin with: at the default of one half each, eight modules in a row leave 1/256 of the signal.
        nn.init.constant_(last.bias, 2.0)
        self.factors = nn.Sequential(nn.Linear(width + 1, width // 2), nn.ReLU(), last, nn.Sigmoid())

    def forward(self, x: Float[Tensor, "b d h w"], level: Float[Tensor, "b 1"]) -> Float[Tensor, "b d h w"]:
        """Scale `x`; `level` is the Es/N0 as `noise_level` expresses it."""
        factors: Tensor = self.factors(torch.cat([x.mean(dim=(2, 3)), level], dim=1))
        return x * factors[:, :, None, None]


class Stage(nn.Module):
    """A convolution, PReLU and an attention-feature module."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.activation = nn.PReLU(conv.out_channels)
        self.attention = AttentionFeature(conv.out_channels)

    def forward(self, x: Float[Tensor, "b d h w"], level: Float[Tensor, "b 1"]) -> Float[Tensor, "b e v u"]:
        """Features at the next layer."""
        scaled: Tensor = self.attention(self.activation(self.conv(x)), level)
        return scaled


class DeepJSCC(nn.Module):
    """A `Codec`: images of any size of at least 8 pixels a side to `cell_symbols` symbols for each 4×4 pixels.

    Args:
        cell_symbols: complex symbols for each 4×4 RGB pixels: 8 is a ratio of 1/6, 4 of 1/12.
        widths: features at half and at quarter resolution.

    Images whose sides are no multiples of 4 are padded by reflection and cropped back. The padding costs nothing: the
    symbols beyond floor(ratio·3·h·w), those of the cells with the fewest true pixels, are not sent, and the decoder
    takes them as erased. The receiver is assumed to know the image size, as the digital chain's is.
    """

    def __init__(self, cell_symbols: int, widths: tuple[int, int] = (32, 64)) -> None:
        super().__init__()
        self.cell_symbols = cell_symbols
        self.ratio = cell_symbols / (3 * STRIDE**2)
        a, b = widths
        self.encoder = nn.ModuleList([Stage(_down(3, a)), Stage(_down(a, b)), Stage(_flat(b, b)), Stage(_flat(b, b))])
        self.to_symbols = _flat(b, 2 * cell_symbols)
        self.decoder = nn.ModuleList(
            [Stage(_flat(3 * cell_symbols, b)), Stage(_flat(b, b)), Stage(_flat(b, b)), Stage(_up(b, a))]
        )
        self.to_pixels = _up(a, 3)

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: images that are not RGB or have a side below 8 pixels.
        """
        check_size(image)
        with torch.no_grad():
            symbols = self.symbols(image, torch.full((image.shape[0],), n0, device=image.device))
        notes = {"receiver": "image size known", "transmitter": "average Es/N0 known"}
        return Frame(symbols, {"payload": symbols.shape[1]}, power="exact", notes=notes)

    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header)."""
        with torch.no_grad():
            return Decoded(self.reconstruct(received.unbiased(), received.shape_for(self.ratio)))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the kernels of the convolutions."""
        return [p for p in self.parameters() if p.ndim == 4]

    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable and with an average noise variance for each image."""
        h, w = image.shape[-2:]
        padded = F.pad(image, (0, -w % STRIDE, 0, -h % STRIDE), mode="reflect")
        x = padded * 2 - 1
        level = noise_level(n0[:, None])
        for stage in self.encoder:
            x = stage(x, level)
        real, imag = self.to_symbols(x).float().flatten(2).chunk(2, dim=1)  # (b, cell_symbols, cells) each
        return normalise_power(torch.complex(real, imag).flatten(1)[:, self.sent(h, w).to(image.device)])

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows, differentiable; `received` without bias."""
        h, w = shape[1:]
        rows, columns = -(-h // STRIDE), -(-w // STRIDE)
        weight = 1 / (1 + received.n0)  # Wiener factor of each symbol; one that was not sent has weight 0
        seen = torch.stack([received.symbols.real * weight, received.symbols.imag * weight, weight], dim=1)
        grid = seen.new_zeros(seen.shape[0], 3, self.cell_symbols * rows * columns)
        grid = grid.index_copy(2, self.sent(h, w).to(seen.device), seen)
        x = grid.reshape(-1, 3 * self.cell_symbols, rows, columns)
        level = noise_level(received.n0)
        for stage in self.decoder:
            x = stage(x, level)
        return torch.sigmoid(self.to_pixels(x).float())[:, :, :h, :w]

    def sent(self, h: int, w: int) -> Int[Tensor, " n"]:
        """Indices of the padded latent that are sent: those of the cells with the most true pixels, in latent order."""
        rows, columns = (STRIDE - F.relu(STRIDE * torch.arange(1, -(-side // STRIDE) + 1) - side) for side in (h, w))
        covered = torch.outer(rows, columns).flatten().repeat(self.cell_symbols)
        order = torch.argsort(covered, descending=True, stable=True)
        return order[: channel_uses((3, h, w), self.ratio)].sort().values


def noise_level(n0: Float[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
    """Mean Es/N0 in units of 10 dB, each symbol's limited to −20 … 30 dB: the networks' view of the noise."""
    return -torch.log10(n0.clamp(1e-3, 1e2)).mean(dim=1, keepdim=True)


def check_size(image: Float[Tensor, "b c h w"]) -> None:
    """Raise ValueError unless the images are RGB with sides of at least `MIN_SIDE` pixels."""
    c, h, w = image.shape[1:]
    if c != 3 or min(h, w) < MIN_SIDE:
        raise ValueError(
            f"image of {w}x{h} with {c} channels: deepjscc takes RGB of at least {MIN_SIDE}x{MIN_SIDE} pixels"
        )


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return _initialised(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), fan=inputs * 25.0)


def _flat(inputs: int, outputs: int) -> nn.Conv2d:
    return _initialised(nn.Conv2d(inputs, outputs, 5, padding=2), fan=inputs * 25.0)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    # Each output pixel of the stride-2 transposed convolution sees a quarter of the taps.
    return _initialised(
        nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1), fan=inputs * 25 / 4
    )


def _initialised(conv: Conv, fan: float) -> Conv:
    """He et al. (2015) for PReLU at its initial slope of 1/4. PyTorch's default fades the signal over ten layers."""
    nn.init.normal_(conv.weight, std=math.sqrt(2 / (1 + 0.25**2) / fan))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
