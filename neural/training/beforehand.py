"""What is found out before the first step: what a network of one's own makes of images, and how much memory is needed.

An estimate of memory, on the side of too much: what the gradient keeps of two and of four images, which more images
keep as much more of, and the weights, of which gradients, optimisers, average and checkpoint are copies.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.models import Network
from semlink.neural.training.recipe import SMALL, Settings
from semlink.phy.link import Received, channel_uses
from semlink.phy.memory import free_bytes

COPIES = 9
"""Of the weights: gradients, Adam's two, the average, and all but the gradients in a checkpoint that is written."""
SLACK = 1.6
"""Of what the gradient keeps: with what comes and goes on the way back. The zoo's networks took 0.9 to 1.8."""
OWN_BYTES = 128 << 20
"""Of PyTorch's own, at its first step."""
POWER = 0.01  # how far the mean energy of an image's symbols may be from 1, a share


class Need(NamedTuple):
    """Bytes that a step takes: `fixed` whatever the batch, `each` for an image of 32×32."""

    fixed: float
    each: float

    def of(self, images: int) -> float:
        """With so many images."""
        return self.fixed + self.each * images

    def fitting(self, free: float) -> int:
        """How many images go into so many bytes."""
        return int((free - self.fixed) / self.each) if self.each else int(free > self.fixed)


def warn_of_slow_bf16(settings: Settings) -> None:
    """Say where `precision="bf16"` costs time: PyTorch has no fast kernels for it on x86 without AVX-512."""
    if (settings.precision, settings.device, torch.backends.cpu.get_cpu_capability()) == ("bf16", "cpu", "AVX2"):
        said = "is some ten times slower than float32 on a processor without AVX-512: set precision to float32"
        warnings.warn(f"precision='bf16' {said}", stacklevel=3)


def check_own(model: nn.Module, name: str, image: Float[Tensor, "b 3 h w"]) -> None:
    """Refuse a network of one's own that is not differentiable or sends or shows what no codec may.

    Raises:
        ValueError: it raises, or what it makes has another shape, type or power than a codec's.
    """
    network, n0 = cast(Network, model), torch.full((len(image),), 0.1, device=image.device)
    size = (image.shape[1], image.shape[2], image.shape[3])
    said = f"model={name!r}: of images of {size[2]}x{size[1]}"
    sent = _tried(f"{said} symbols", lambda: network.symbols(image, n0))
    learns = all(parameter.requires_grad for parameter in model.parameters())  # and not the decoder alone, say
    _check_made(f"{said} symbols", sent, (len(image), channel_uses(size, network.ratio)), torch.complex64, learns)
    energy = sent.detach().abs().square().mean(dim=1)
    if not bool(((energy - 1).abs() < POWER).all()):
        raise ValueError(f"{said} symbols have mean energy {energy[0].item():.3g}; it must be 1 for each image")
    noisy = Received(sent, torch.full(sent.shape, 0.1, device=image.device))
    shown = _tried(f"{said} reconstruct", lambda: network.reconstruct(noisy, size))
    _check_made(f"{said} reconstruct", shown, (len(image), *size), torch.float32, True)


def _tried(said: str, make: Callable[[], Tensor]) -> Tensor:
    try:
        return make()
    except Exception as error:  # a user's network can raise anything
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{said} raises {type(error).__name__}: {words}") from error


def _check_made(said: str, made: object, shape: tuple[int, ...], dtype: torch.dtype, learns: bool) -> None:
    if not isinstance(made, Tensor):
        raise ValueError(f"{said} gives a {type(made).__name__}; it must be a tensor {shape}")
    if tuple(made.shape) != shape or made.dtype != dtype:
        raise ValueError(f"{said} gives {tuple(made.shape)} of {made.dtype}; it must be {shape} of {dtype}")
    if learns and not made.requires_grad:
        raise ValueError(f"{said} has no gradient by the weights")


def check_memory(need: Need, settings: Settings, *, least: int, device: str, processes: int = 1) -> None:
    """Refuse a batch that does not fit into memory; `least` is the fewest images of 32×32 that a step can have.

    Raises:
        ValueError: it does not; the message tells what is needed, what there is and which batch would fit.
    """
    free = free_bytes(device)
    if free is None:
        return
    share = free / processes if device == "cpu" else free
    batch = max(settings.batch // processes, least)
    if need.of(batch) <= share:
        return
    fits = processes * need.fitting(share)
    said = f"batch={settings.batch}: a step needs about {processes * need.of(batch) / 1e9:.2g} GB"
    advice = f"batch={fits} would fit" if fits >= processes * least else _none_fits(least)
    raise ValueError(f"{said}, and {free / 1e9:.2g} GB are free: {advice}")


def _none_fits(least: int) -> str:
    if least > 1:
        return f"no batch would fit, for one large image counts as {least}: a smaller large_side or network might"
    return "no batch would fit: a smaller network might"


def least_images(settings: Settings, large: int) -> int:
    """The fewest images of 32×32 that a step can have as many pixels as, with so many `large` ones to draw from."""
    return (settings.large_side // SMALL) ** 2 if large and settings.large_share else 1


def measure(model: nn.Module, loss: Callable[[int], Tensor], *, unit: int = 1) -> Need:
    """What a training step needs, from what its gradient keeps with 2 and 4 times `unit` images.

    Args:
        model: whose weights are not counted as kept.
        loss: of so many images.
        unit: the fewest images of 32×32 that it can be asked for.
    """
    few, more = (_kept(model, loss, count * unit) for count in (2, 4))
    each = max(0.0, (more - few) / (2 * unit))
    weights = sum(part.numel() * part.element_size() for part in model.parameters())
    return Need(OWN_BYTES + SLACK * max(0.0, few - each * 2 * unit) + COPIES * weights, SLACK * each)


def _kept(model: nn.Module, loss: Callable[[int], Tensor], count: int) -> int:
    """Bytes of tensors that a gradient needs again, each storage once."""
    own = {part.untyped_storage().data_ptr() for part in (*model.parameters(), *model.buffers())}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor  # held, so that no other one gets its place

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = loss(count)
    del kept
    return sum(found.values())


def local_processes() -> int:
    """How many processes of a training share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))


def check_images(settings: Settings) -> None:
    """Refuse more crops than fit into memory, before any is made.

    Raises:
        ValueError: so many do not fit.
    """
    free = free_bytes()
    parts = {"photographs": SMALL, "large_photographs": settings.large_side}
    needs = {name: 2 * 3 * side**2 * getattr(settings, name) for name, side in parts.items()}  # apart, then as one
    if free is None or sum(needs.values()) <= free:
        return
    name = max(needs, key=lambda one: needs[one])
    fits = math.floor(max(0, free - sum(needs.values()) + needs[name]) / (6 * parts[name] ** 2))
    said = f"{name}={getattr(settings, name)} of {parts[name]}x{parts[name]} need about {needs[name] / 1e9:.2g} GB"
    raise ValueError(f"{said}, and {free / 1e9:.2g} GB are free: {fits} would fit")
