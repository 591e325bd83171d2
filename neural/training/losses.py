"""What training minimises: the error of each image of a batch, over channels drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.diffusion import Denoised, SymbolDenoiser, absolute_errors
from semlink.neural.models import Network
from semlink.neural.networks import noise_level
from semlink.neural.training.recipe import CHANNELS, Settings, channel_of
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Received, esno_to_n0
from semlink.phy.metrics import st_lpips_distances

Scores = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Float[Tensor, " b"]]
WINDOW = 11
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, β of five scales


def batch_loss(
    model: Network,
    image: Float[Tensor, "b 3 h w"],
    settings: Settings,
    rng: torch.Generator,
    denoiser: SymbolDenoiser | None = None,
) -> Float[Tensor, ""]:
    """Mean error over a batch whose groups meet random channels and Es/N0; `rng` is one of the CPU.

    Where there is a `denoiser`, it denoises the received symbols before they are decoded.
    """
    _, c, h, w = image.shape
    bf16 = settings.precision == "bf16"
    _, received, rate = over_channels(model, image, settings, rng, bf16=bf16)
    weight = importance(received.n0, rate) if settings.even_out else 1.0  # by the noise of the channel
    if denoiser is not None:
        received = Denoised(model, denoiser).denoised(received, (c, h, w))
    with torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        got = model.reconstruct(received, (c, h, w))
    return (image_errors(got, image, settings.loss) * weight).mean()


def over_channels(
    model: Network, image: Float[Tensor, "b 3 h w"], settings: Settings, rng: torch.Generator, *, bf16: bool
) -> tuple[Complex[Tensor, "b n"], Received, int]:
    """Symbols of a batch, what arrives of them over the settings' channels, and the rate that was drawn (0 for none).

    `bf16`: whether the convolutions of the encoder are to be in bf16 (autocast).
    """
    conditions = draw_conditions(len(image), settings, rng)
    per_image = conditions.of_images(len(image)).to(image.device)
    rate = 0
    with torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        if settings.rates:
            rate = settings.rates[int(torch.randint(len(settings.rates), (), generator=rng))]
            sent = model.symbols(image, per_image, ratio=rate / 48)  # type: ignore[call-arg]
        else:
            sent = model.symbols(image, per_image)
    return sent, carry(sent, conditions, rng), rate


class Conditions(NamedTuple):
    """What a batch meets: images of a group, and the average noise variance and the channel of each group."""

    size: int
    n0: list[float]
    names: list[str]

    def of_images(self, count: int) -> Float[Tensor, " count"]:
        """The noise variance of each of `count` images."""
        return torch.tensor(self.n0).repeat_interleave(self.size)[:count]


def draw_conditions(images: int, settings: Settings, rng: torch.Generator) -> Conditions:
    """What a batch of so many images meets."""
    size = -(-images // settings.groups)
    groups = -(-images // size)
    low, high = settings.esno_db
    n0 = [esno_to_n0(low + (high - low) * u) for u in torch.rand(groups, generator=rng).tolist()]
    picked = torch.randint(len(settings.channels), (groups,), generator=rng).tolist()
    return Conditions(size, n0, [settings.channels[which] for which in picked])


def carry(sent: Complex[Tensor, "b n"], conditions: Conditions, rng: torch.Generator) -> Received:
    """What arrives of a batch, differentiable and without bias; `rng` is one of the CPU.

    On a GPU the short names of `CHANNELS` are drawn there; the rest of the catalogue always draws on the processor.
    """
    size, n0, names = conditions
    if sent.device.type != "cpu" and set(names) <= set(CHANNELS):
        each = [name for name in names for _ in range(size)][: len(sent)]
        return transmit(each, sent, conditions.of_images(len(sent)).to(sent.device), twin(rng, sent.device))
    parts = zip(names, torch.split(sent.cpu(), size), n0, strict=True)
    received = joined([channel_of(name)(symbols, noise, rng=rng) for name, symbols, noise in parts])
    return Received(received.symbols.to(sent.device), received.n0.to(sent.device))


def transmit(
    names: Sequence[str], symbols: Complex[Tensor, "b n"], n0: Float[Tensor, " b"], rng: torch.Generator
) -> Received:
    """Send each image over a channel of `CHANNELS` at a noise variance of its own: in one go for each channel.

    The same channels as `CHANNELS`' own calls, and other draws: a GPU has no time to draw for image after image.
    """
    arrived, order = [], []
    for name in sorted(set(names)):
        rows = torch.tensor([i for i, other in enumerate(names) if other == name], device=symbols.device)
        arrived.append(_in_one_row(name, symbols[rows], n0[rows], rng))
        order.append(rows)
    received, back = joined(arrived), torch.cat(order).argsort()
    return Received(received.symbols[back], received.n0[back])


def _in_one_row(name: str, symbols: Tensor, n0: Tensor, rng: torch.Generator) -> Received:
    b, n = symbols.shape
    channel = Rayleigh(n) if name == "rayleigh-block" else CHANNELS[name]  # still a gain for each image
    # What arrives is linear in symbols and noise: over its own standard deviation all noise is alike.
    spread = n0.sqrt()[:, None]
    received = channel((symbols / spread).reshape(1, -1), 1.0, rng=rng)
    return Received(received.symbols.reshape(b, n) * spread, received.n0.reshape(b, n) * n0[:, None])


def joined(parts: Sequence[Received]) -> Received:
    """Receptions of several images as one, without bias."""
    parts = [one.unbiased() for one in parts]
    return Received(torch.cat([r.symbols for r in parts]), torch.cat([r.n0 for r in parts]))


def importance(n0: Float[Tensor, "b n"], rate: int = 0) -> Float[Tensor, " b"]:
    """Weights that make every Es/N0 and rate count alike; `rate` in symbols for each 4×4 pixels, 0 for no matter.

    A trained model gains about 0.65 dB of PSNR a dB of Es/N0 and 3.6 dB an octave of rate: without the weight the
    noisiest images are the loss.
    """
    weight: Tensor = 10 ** (2.2 + 0.65 * noise_level(n0)[:, 0].clamp(-0.5, 2.2))
    return weight * (rate / 8) ** 1.2 if rate else weight


def image_errors(
    image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"], parts: Mapping[str, float]
) -> Float[Tensor, " b"]:
    """The weighted sum of an image's errors by name."""
    known: Mapping[str, Scores] = {
        "mse": squared_errors,
        "l1": absolute_errors,
        "ms-ssim": structural_errors,
        "st-lpips": st_lpips_distances,
    }
    errors = [weight * known[name](image, reference) for name, weight in parts.items() if weight]
    return errors[0] if len(errors) == 1 else torch.stack(errors).sum(dim=0)


def squared_errors(image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Mean squared error of each image."""
    return (image - reference).square().flatten(1).mean(dim=1)


def structural_errors(image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """1 − MS-SSIM of each image (Wang et al. 2003), over as many of the five scales as its sides allow.

    32×32 pixels allow two. The exponents are scaled to a sum of 1.

    Raises:
        ValueError: a side below 11 pixels.
    """
    side = min(image.shape[-2:])
    if side < WINDOW:
        raise ValueError(f"image of {image.shape[-1]}x{image.shape[-2]}: MS-SSIM needs {WINDOW} pixels a side")
    count = next(n for n in range(len(SCALES), 0, -1) if side >> (n - 1) >= WINDOW)
    total = torch.ones_like(image[:, 0, 0, 0])[:, None]
    for scale in range(count):
        whole, structure = _ssim_parts(image, reference)
        value = whole if scale == count - 1 else structure
        # Below 0 a power has no real value; a gradient of 0 there would never let go of it.
        total = total * value.clamp_min(1e-4) ** (SCALES[scale] / sum(SCALES[:count]))
        if scale < count - 1:
            padding = [side % 2 for side in image.shape[-2:]]
            image, reference = (F.avg_pool2d(x, 2, padding=padding) for x in (image, reference))
    return 1 - total.mean(dim=1)


def _ssim_parts(image: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its contrast and structure without the luminance, of each channel of each image, (b, c)."""
    taps = torch.exp(-torch.arange(-5.0, 6.0, device=image.device).square() / (2 * 1.5**2))
    taps = (taps / taps.sum()).expand(image.shape[1], 1, -1)

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, taps[..., None, :], groups=len(taps)), taps[..., None], groups=len(taps))

    mean, other = smooth(image), smooth(reference)
    variances = smooth(image * image) - mean**2 + smooth(reference * reference) - other**2
    structure = (2 * (smooth(image * reference) - mean * other) + 0.03**2) / (variances + 0.03**2)
    luminance = (2 * mean * other + 0.01**2) / (mean**2 + other**2 + 0.01**2)
    return (luminance * structure).mean(dim=(2, 3)), structure.mean(dim=(2, 3))


def twin(rng: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator of another device whose seed is drawn from `rng`."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng)))
