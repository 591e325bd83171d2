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
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.inference import channels_last, double
from semlink.neural.networks.fixed_rate import FixedRate
from semlink.neural.networks.grid import check_whole

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


class DeepJSCC(FixedRate):
    """A `Codec` of one rate for AWGN and fading with CSI, at any Es/N0.

    Args:
        cell_symbols: complex symbols for each 4×4 RGB pixels: 8 is a ratio of 1/6, 4 of 1/12.
        widths: features at half and at quarter resolution, from 2.

    Raises:
        ValueError: a size out of range.
    """

    def __init__(self, cell_symbols: int, widths: tuple[int, int] = (32, 64)) -> None:
        super().__init__("deepjscc", cell=4, cell_symbols=cell_symbols)
        check_whole("widths", widths, count=2, least=2)
        a, b = widths
        self.encoder = nn.ModuleList([Stage(_down(3, a)), Stage(_down(a, b)), Stage(_flat(b, b)), Stage(_flat(b, b))])
        self.to_symbols = _flat(b, 2 * cell_symbols)
        self.decoder = nn.ModuleList(
            [Stage(_flat(3 * cell_symbols, b)), Stage(_flat(b, b)), Stage(_flat(b, b)), Stage(_up(b, a))]
        )
        self.to_pixels = _up(a, 3)

    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels to latents."""
        x = channels_last(image * 2 - 1)
        for stage in self.encoder:
            x = stage(x, level)
        latents: Tensor = self.to_symbols(x)
        return latents

    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Received symbols with their Wiener factors to pixels."""
        x = channels_last(seen)
        for stage in self.decoder:
            x = stage(x, level)
        return torch.sigmoid(double(self.to_pixels, x))


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
