"""The digital base of the hybrid link: as many bits as were asked for, and the picture that they show."""

from __future__ import annotations

import pytest
import torch

from semlink.neural.networks import base_picture
from semlink.phy.sources import sample_images


def pixels(side: int = 256) -> torch.Tensor:
    """Of a sample, in −1 … 1."""
    return next(iter(sample_images()))[:, :side, :side] * 2 - 1


def error(image: torch.Tensor, bits: int) -> float:
    message = base_picture.encode(image, bits)
    assert len(message) == bits
    assert set(message) <= {0, 1}
    return float((base_picture.decode(message, *image.shape[1:]) - image).square().mean())


def test_more_bits_show_more() -> None:
    image = pixels()
    errors = [error(image, bits) for bits in (base_picture.least_bits(), 100, 200, 400, 1600)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_the_fewest_bits_show_the_mean_colour() -> None:
    image = pixels()
    colour = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    got = base_picture.decode(base_picture.encode(image, base_picture.least_bits()), 256, 256)
    assert (got.mean(dim=(1, 2)) - colour[:, 0, 0]).abs().max() < 0.06  # half a step of 6 bits of each colour
    assert error(image, base_picture.least_bits()) < 1.05 * float((colour - image).square().mean())


def test_fewer_bits_than_a_colour_takes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bits=46 must be at least 47"):
        base_picture.encode(pixels(), 46)


@pytest.mark.parametrize("size", [(16, 16), (48, 400), (256, 32)])
@pytest.mark.parametrize("kind", ["black", "white", "noise", "halves"])
def test_any_picture_fits(kind: str, size: tuple[int, int]) -> None:
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    halves = (torch.arange(size[1]) * 2 // size[1] * 2 - 1).float().expand(3, *size)
    image = {"black": -torch.ones(3, *size), "white": torch.ones(3, *size), "noise": noise, "halves": halves}[kind]
    for bits in (base_picture.least_bits(), 150):
        assert error(image, bits) <= float(image.square().mean()) + 0.01  # no worse than grey
