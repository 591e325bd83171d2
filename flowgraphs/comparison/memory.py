"""How many can send at once without running out of memory. An estimate, on the side of too much."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor, nn

from semlink.phy.memory import free_bytes

BYTES_A_PIXEL = 800
"""Of a batch that goes through a network: `swin` takes 400 MB for half a million."""
PROCESS_BYTES = 320 << 20
"""Of a process that has loaded PyTorch, Sionna and our own code, and nothing else."""


def batch_bytes(images: Iterable[Tensor], *, batch_pixels: int) -> int:
    """What sending images (1, c, h, w) in batches of so many pixels, one image at least, takes beside the images."""
    pixels = [image.shape[-2] * image.shape[-1] for image in images]
    return BYTES_A_PIXEL * min(sum(pixels), max(*pixels, batch_pixels))


def worker_bytes(images: Collection[Tensor], codecs: Iterable[object], *, batch_pixels: int) -> int:
    """What a process takes that sends these images with these codecs."""
    weights = sum(p.nbytes for codec in codecs if isinstance(codec, nn.Module) for p in codec.parameters())
    kept = sum(image.numel() * image.element_size() for image in images) + weights
    return PROCESS_BYTES + batch_bytes(images, batch_pixels=batch_pixels) + kept


def fitting(each: int) -> int | None:
    """How many that take so many bytes each fit into memory, one at least; None where that is not known."""
    free = free_bytes()
    return None if free is None else max(1, free // each)


def check_fitting(count: int, each: int, *, said: str) -> None:
    """Raise ValueError unless so many that take `each` bytes fit into memory; `said` is what the message calls them."""
    free = free_bytes()
    if free is not None and count > max(1, free // each):
        few = f"{max(1, free // each)} fit" if free >= 2 * each else "one fits"
        raise ValueError(f"{said}: each needs about {each / 1e9:.2g} GB, and {free / 1e9:.2g} GB are free: {few}")
