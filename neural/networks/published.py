"""Two codecs as published, so that the textbook figures can be reproduced: DeepJSCC for one Es/N0, and ADJSCC.

Both normalise each image's complex symbols to unit mean energy, as ADJSCC's authors do; the code that the layers of
DeepJSCC are taken from normalises per real axis, so that its nominal SNR is 3 dB below the true Es/N0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.networks.fixed_rate import FixedRate, unweighted
from semlink.neural.networks.grid import check_whole


class PlainDeepJSCC(FixedRate):
    """DeepJSCC (Bourtsoulatze, Kurka and Gündüz, IEEE TCCN 5(3), 2019, fig. 2), to be trained for one Es/N0.

    Args:
        cell_symbols: complex symbols for each 4×4 RGB pixels: 8 is a ratio of 1/6, 4 of 1/12.

    The layers are those of github.com/chunbaobao/Deep-JSCC-PyTorch at 2665e0d: 5×5 convolutions of 16, 32, 32, 32
    filters, strides 2, 2, 1, 1, 1, PReLU after each with one slope, and transposed ones back to a sigmoid. There the
    decoder's four PReLUs are one object, an accident of a default argument; here each has its own slope, which makes
    156,252 parameters at ratio 1/6 and not 156,249. Neither side knows the Es/N0, so off the one it was trained for it
    shows the paper's graceful degradation.
    """

    knows_noise = False

    def __init__(self, cell_symbols: int) -> None:
        super().__init__("deepjscc-plain", cell=4, cell_symbols=cell_symbols)
        latents = 2 * cell_symbols
        down = [(3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, latents, 1)]
        up = [(latents, 32, 1), (32, 32, 1), (32, 32, 1), (32, 16, 2), (16, 3, 2)]
        self.encoder = nn.Sequential(
            *[layer for a, b, stride in down for layer in (nn.Conv2d(a, b, 5, stride=stride, padding=2), nn.PReLU())]
        )
        layers = [
            layer
            for a, b, stride in up
            for layer in (
                nn.ConvTranspose2d(a, b, 5, stride=stride, padding=2, output_padding=stride - 1),
                nn.PReLU(),
            )
        ]
        self.decoder = nn.Sequential(*layers[:-1], nn.Sigmoid())
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(conv.weight, a=0.25, mode="fan_out", nonlinearity="leaky_relu")

    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels to latents; `level` is of no effect."""
        del level
        latents: Tensor = self.encoder(image)
        return latents

    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Received symbols to pixels; `level` is of no effect."""
        del level
        image: Tensor = self.decoder(unweighted(seen))
        return image


class ADJSCC(FixedRate):
    """ADJSCC: GDN, PReLU and attention-feature modules (Xu et al., IEEE TCSVT 32(4), 2022, figs. 3 and 4).

    Args:
        cell_symbols: complex symbols for each 4×4 RGB pixels: 8 is a ratio of 1/6.
        width: filters of a layer.

    The layers are those of the authors' code, github.com/alexxu1988/ADJSCC at e0db0dc: kernels 9, 5, 5, 5, 5 and back,
    strides 2, 2, 1, 1, 1, GDN after every convolution (its inverse in the decoder, after the last one too), PReLU with
    a slope for each channel after all but the last, an attention-feature module after the first four on each side,
    which gets the Es/N0 in dB. Images are in 0 … 1. Kernels begin as Glorot's, as Keras does.
    """

    def __init__(self, cell_symbols: int, width: int = 256) -> None:
        super().__init__("adjscc", cell=4, cell_symbols=cell_symbols)
        check_whole("width", width)
        latents, d = 2 * cell_symbols, width
        down = [(3, d, 9, 2), (d, d, 5, 2), (d, d, 5, 1), (d, d, 5, 1), (d, latents, 5, 1)]
        up = [(latents, d, 5, 1), (d, d, 5, 1), (d, d, 5, 1), (d, d, 5, 2), (d, 3, 9, 2)]
        self.encoder = nn.ModuleList(
            [
                Layer(nn.Conv2d(a, b, k, stride=s, padding=k // 2), inverse=False, last=i == 4)
                for i, (a, b, k, s) in enumerate(down)
            ]
        )
        self.decoder = nn.ModuleList(
            [
                Layer(
                    nn.ConvTranspose2d(a, b, k, stride=s, padding=k // 2, output_padding=s - 1),
                    inverse=True,
                    last=i == 4,
                )
                for i, (a, b, k, s) in enumerate(up)
            ]
        )

    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels to latents."""
        x = image
        for layer in self.encoder:
            x = layer(x, 10 * level)
        return x

    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Received symbols to pixels."""
        x = unweighted(seen)
        for layer in self.decoder:
            x = layer(x, 10 * level)
        return torch.sigmoid(x)


class Layer(nn.Module):
    """A convolution and GDN; but for the last layer PReLU and an attention-feature module."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, *, inverse: bool, last: bool) -> None:
        super().__init__()
        width = conv.out_channels
        self.conv, self.gdn, self.last = conv, GDN(width, inverse=inverse), last
        nn.init.xavier_uniform_(conv.weight)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        if not last:
            self.activation = nn.PReLU(width, init=0.0)
            self.squeeze, self.excite = nn.Linear(width + 1, max(1, width // 16)), nn.Linear(max(1, width // 16), width)

    def forward(self, x: Float[Tensor, "b d h w"], esno_db: Float[Tensor, "b 1"]) -> Float[Tensor, "b e v u"]:
        """Features at the next layer."""
        y: Tensor = self.gdn(self.conv(x))
        if self.last:
            return y
        y = self.activation(y)
        context = torch.cat([y.mean(dim=(2, 3)), esno_db], dim=1)
        return y * torch.sigmoid(self.excite(F.relu(self.squeeze(context))))[:, :, None, None]


class GDN(nn.Module):
    """Generalised divisive normalisation, y_i = x_i / √(β_i + Σ_j γ_ij x_j²), or its approximate inverse, x_i · √(…).

    Ballé, Laparra and Simoncelli, "Density Modeling of Images using a Generalized Normalization Transformation",
    ICLR 2016, eq. (3) with α = 2, ε = 1/2; the roots of β and γ are what is trained, away from 0, as in the authors'
    TensorFlow Compression, where β begins at 1 and γ at 0.1 on the diagonal.
    """

    PEDESTAL = 2.0**-36
    MOST = 1e6  # of an inverse, far beyond what an image without such fades makes

    def __init__(self, width: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(width).add(self.PEDESTAL).sqrt())
        self.gamma_root = nn.Parameter((0.1 * torch.eye(width)).add(self.PEDESTAL).sqrt())

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """Normalise, or the inverse."""
        x = x.float()  # squares and roots of bf16 lose too much
        beta = _above(self.beta_root, (1e-6 + self.PEDESTAL) ** 0.5).square() - self.PEDESTAL
        gamma = _above(self.gamma_root, self.PEDESTAL**0.5).square() - self.PEDESTAL
        with torch.autocast(x.device.type, enabled=False):
            norm = F.conv2d(x.square(), gamma[:, :, None, None], beta)
        if not self.inverse:
            return x * norm.rsqrt()
        # Five inverses in a row raise a symbol to its 32nd power: behind a zero-forcing equaliser, that of a deep fade
        # would end as an infinity.
        return (x * norm.sqrt()).clamp(-self.MOST, self.MOST)


class Above(torch.autograd.Function):
    """max(x, bound), whose gradient still passes below the bound where it would raise x."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float) -> Tensor:
        """The maximum."""
        ctx.save_for_backward(x >= bound)
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient where it may pass."""
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        (gradient,) = gradients
        return gradient * (inside | (gradient < 0)), None


def _above(x: Tensor, bound: float) -> Tensor:
    bounded: Tensor = Above.apply(x, bound)  # type: ignore[no-untyped-call]
    return bounded
