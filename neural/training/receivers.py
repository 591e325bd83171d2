"""What the training of a receiver minimises, behind a frozen codec over channels drawn at random; and what it shows.

The other way round, a decoder is trained behind a frozen denoiser, as the authors of CDDM do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.diffusion import (
    SFT,
    Denoised,
    Refined,
    Refiner,
    ResidualCNN,
    SymbolDenoiser,
    grid_of,
    load_receiver,
)
from semlink.neural.inference import moved
from semlink.neural.models import Network
from semlink.neural.networks import noise_level
from semlink.neural.training.losses import draw_conditions, image_errors, importance, over_channels
from semlink.neural.training.recipe import Settings, channel_of
from semlink.phy.link import Channel, Codec, Decoded, Link, Received, esno_to_n0

Receive = Callable[[Float[Tensor, "b 3 h w"], float], Float[Tensor, "b 3 h w"]]
"""What arrives of images at an Es/N0 in dB."""


class Degraded(NamedTuple):
    """Decoded images, the noise level of each one's reception, and its weight in the loss: 0 where decoding failed."""

    image: Float[Tensor, "b 3 h w"]
    level: Float[Tensor, "b 1"]
    weight: Float[Tensor, " b"]


def receiver_loss(
    model: nn.Module, codec: Codec, image: Float[Tensor, "b 3 h w"], settings: Settings, rng: torch.Generator
) -> Float[Tensor, ""]:
    """Mean loss of a batch for the settings' task; `rng` is one of the CPU.

    Raises:
        ValueError: the task "cddm" with a codec that has no latent grid.
    """
    if isinstance(model, SymbolDenoiser):
        return _denoising_loss(model, cast(Network, codec), image, settings, rng)
    with torch.no_grad():
        decoded = degrade(codec, image, settings, rng)
    with torch.autocast(image.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        errors = _refining_errors(model, decoded, image, settings, rng)
    kept = decoded.weight > 0
    return torch.where(kept, errors, 0).sum() / kept.sum().clamp_min(1)


def degrade(codec: Codec, image: Float[Tensor, "b 3 h w"], settings: Settings, rng: torch.Generator) -> Degraded:
    """The images as a codec decodes them, over the settings' channels at random Es/N0."""
    if isinstance(codec, Network):
        _, received, rate = over_channels(codec, image, settings, rng, bf16=False)
        _, c, h, w = image.shape
        shown = codec.reconstruct(received, (c, h, w)).clamp(0, 1)
        weight = importance(received.n0, rate) if settings.even_out else torch.ones_like(received.n0[:, 0])
        return Degraded(shown, noise_level(received.n0), weight)
    size, n0, names = draw_conditions(len(image), settings, rng)
    parts = zip(torch.split(image, size), n0, names, strict=True)
    return Degraded(*map(torch.cat, zip(*(_sent_by(codec, *part, settings, rng) for part in parts), strict=True)))


def only(parts: Sequence[str], model: nn.Module) -> nn.Module:
    """The network, of which these parts alone learn, such as its decoder; all of it where none is named."""
    for name, parameter in model.named_parameters():
        if parts and name.partition(".")[0] not in parts:
            parameter.requires_grad_(False)
    return model


def load_denoiser(name: str, codec: nn.Module, device: str) -> SymbolDenoiser:
    """The denoiser of that name, frozen, for the symbols of a codec.

    Raises:
        ValueError: no such one, or it was built for another grid.
    """
    denoiser = cast(SymbolDenoiser, load_receiver(name))
    denoiser.check_codec(codec)
    return denoiser.to(device)


def receive_by(
    model: nn.Module,
    codec: Codec | None,
    settings: Settings,
    channel: Channel,
    denoiser: SymbolDenoiser | None = None,
) -> Receive:
    """How the network that is trained receives: as a codec, behind a denoiser where there is one; or as a receiver.

    One in the first stage, over AWGN alone, has the prior of the sent image, a bound that no receiver reaches: it has
    seen what was sent.
    """
    if codec is None:
        network = cast(Network, model)
        return over(network if denoiser is None else Denoised(network, denoiser), channel)
    if isinstance(model, SymbolDenoiser):
        return over(Denoised(codec, model), channel)
    if settings.task != "sft-1":
        return over(Refined(codec, cast(Refiner, model)), channel)
    knowing, plain = cast(SFT, model), over(codec, channel)

    def receive(image: Float[Tensor, "b 3 h w"], esno_db: float) -> Float[Tensor, "b 3 h w"]:
        level = noise_level(image.new_full((len(image), 1), esno_to_n0(esno_db)))
        with torch.no_grad():
            return knowing.restore_knowing(plain(image, esno_db), image, level).clamp(0, 1)

    return receive


def over(codec: Codec, channel: Channel) -> Receive:
    """How a codec receives, always over the same noise and fades."""
    return lambda image, esno_db: Link(codec, channel)(image, esno_db, rng=torch.Generator().manual_seed(0)).image


def _refining_errors(
    model: nn.Module, decoded: Degraded, image: Tensor, settings: Settings, rng: torch.Generator
) -> Float[Tensor, " b"]:
    def distance(one: Float[Tensor, "b c h w"], other: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return decoded.weight * image_errors(one.float(), other, settings.loss)

    shown, level, _ = decoded
    if isinstance(model, ResidualCNN):
        return distance(model.restore(shown, level), image)
    network = cast(SFT, model)
    if settings.task == "sft-1":
        return network.pretraining_loss(shown, image, level, distance=distance)
    noise = torch.randn(len(image), network.denoiser.enter.out_features, generator=rng)
    return network.diffusion_loss(shown, image, level, noise=noise.to(image), distance=distance)


def _denoising_loss(
    model: SymbolDenoiser, codec: Network, image: Tensor, settings: Settings, rng: torch.Generator
) -> Float[Tensor, ""]:
    model.check_codec(codec)
    with torch.no_grad():
        sent, received, _ = over_channels(codec, image, settings, rng, bf16=False)
    grid = grid_of(codec, image.shape[2], image.shape[3], sent.shape[1])
    with torch.autocast(image.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        return model.noise_loss(sent, received.symbols, received.n0, grid).mean()


def _sent_by(codec: Codec, image: Tensor, n0: float, name: str, settings: Settings, rng: torch.Generator) -> Degraded:
    """One group of images, by a codec that knows nothing of gradients, such as a digital one."""
    frame = codec.encode(image, n0)
    received: Received = moved(channel_of(name)(frame.symbols.cpu(), n0, rng=rng), image.device)
    c, h, w = image.shape[1:]
    got = codec.decode(replace(received, image_shape=(c, h, w), header=frame.header))
    decoded = Decoded(got) if isinstance(got, Tensor) else Decoded(*got)
    noise = received.unbiased().n0
    weight = importance(noise) if settings.even_out else torch.ones_like(noise[:, 0])
    if decoded.failed is not None:
        weight = weight * ~decoded.failed.to(weight.device)
    return Degraded(decoded.image.to(image), noise_level(noise), weight)
