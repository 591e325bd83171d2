"""What a measuring function takes: pairs of images, and pairs of words of bits. Anything else is refused by name."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGE = "floating point in [0, 1], or uint8 for 0 … 255"
OVERSHOOT = 1.0  # that a received image may have on either side, before it is clipped: less than a full scale


def check_images(image: Tensor, reference: Tensor, *, channels: int | None = None) -> None:
    """Refuse a received image and its reference unless a distance between them has a meaning.

    Args:
        image: (b, c, h, w), floating point or uint8. What it overshoots [0, 1] by less than `OVERSHOOT` will be
            clipped; beyond that it is on another scale.
        reference: likewise, and within [0, 1].
        channels: that both must have; None for any number.

    Raises:
        ValueError: another type, another number of axes, an empty axis, other channels, shapes that differ, NaN, or
            values out of range.
    """
    for name, one in (("image", image), ("reference", reference)):
        _check_form(name, one, channels)
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: image {tuple(image.shape)} against reference {tuple(reference.shape)}")
    _check_range("reference", reference, 0.0, 1.0, f"it must be {IMAGE}")
    below, above = -OVERSHOOT, 1 + OVERSHOOT
    _check_range("image", image, below, above, f"it must be {IMAGE}; less than {OVERSHOOT:g} beyond that is clipped")


def check_reference(image: Tensor, reference: Tensor) -> None:
    """As `check_images` for a loss: both floating point, and whatever a network makes of an image.

    Raises:
        ValueError: as `check_images`, but for the values of `image`.
    """
    for name, one in (("image", image), ("reference", reference)):
        _check_form(name, one, 3)
        if not one.is_floating_point():
            raise ValueError(f"{name} has dtype {one.dtype}; it must be floating point in [0, 1]")
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: image {tuple(image.shape)} against reference {tuple(reference.shape)}")
    _check_range("reference", reference, 0.0, 1.0, "it must lie in [0, 1]")


def check_levels(image: Tensor) -> None:
    """Refuse what cannot be rounded to 8-bit levels.

    Raises:
        ValueError: no tensor, or neither floating point nor uint8.
    """
    if not isinstance(image, Tensor):
        raise ValueError(f"image is a {type(image).__name__}; it must be a tensor, {IMAGE}")
    if not (image.is_floating_point() or image.dtype == torch.uint8):
        raise ValueError(f"image has dtype {image.dtype}; it must be {IMAGE}")


def check_words(decided: Tensor, sent: Tensor) -> None:
    """Refuse decided and sent bits unless all are 0 or 1.

    Raises:
        ValueError: no tensors, shapes that differ, or another value, such as those of ±1 words and of LLRs.
    """
    for name, bits in (("decided", decided), ("sent", sent)):
        if not isinstance(bits, Tensor):
            raise ValueError(f"{name} is a {type(bits).__name__}; it must be a tensor of bits, 0 and 1")
    if decided.shape != sent.shape:
        raise ValueError(f"shapes differ: decided {tuple(decided.shape)} against sent {tuple(sent.shape)}")
    for name, bits in (("decided", decided), ("sent", sent)):
        wrong = bits[(bits != 0) & (bits != 1)]
        if wrong.numel():
            raise ValueError(
                f"{name} holds {wrong[0].item():g}, which is no bit; bits are 0 and 1: of ±1 symbols and of LLRs "
                "log P(0)/P(1) give `x < 0`"
            )


def _check_form(name: str, image: Tensor, channels: int | None) -> None:
    if not isinstance(image, Tensor):
        raise ValueError(f"{name} is a {type(image).__name__}; it must be a tensor (b, c, h, w), {IMAGE}")
    if image.ndim != 4 or 0 in image.shape:
        raise ValueError(f"{name} has shape {tuple(image.shape)}; it must be (b, c, h, w), none of them 0")
    if channels is not None and image.shape[1] != channels:
        raise ValueError(f"{name} has shape {tuple(image.shape)}; it must have {channels} channels (b, c, h, w)")
    if not (image.is_floating_point() or image.dtype == torch.uint8):
        raise ValueError(f"{name} has dtype {image.dtype}; it must be {IMAGE}")


def _check_range(name: str, image: Tensor, low: float, high: float, allowed: str) -> None:
    """One pass over the values, which finds NaN as well; of a reference the ends belong to the range."""
    if image.dtype == torch.uint8:
        return
    least, most = (float(one) for one in image.detach().aminmax())
    inside = low <= least and most <= high if name == "reference" else low < least and most < high
    if not inside:
        holds = "holds NaN" if least != least else f"spans [{least:g}, {most:g}]"
        raise ValueError(f"{name} {holds}; {allowed}")
