"""What `encode` makes of no image, `decode` refuses: numbers of symbols beyond the codec's ratios, and tiny images."""

from __future__ import annotations

import pytest
import torch

from semlink.neural.models import Network, build
from semlink.phy.link import Received, channel_uses

MODELS = {
    "swin": ({"widths": (8, 12), "depths": (1, 1), "heads": 2, "window": 4}, 1 / 24, 1 / 3),
    "swin-photo": (
        {"widths": (4, 4, 4, 6), "depths": (0, 1, 1), "heads": 1, "decoder_depths": (0, 1, 1)},
        1 / 48,
        1 / 6,
    ),
    "deepjscc": ({"cell_symbols": 8, "widths": (4, 6)}, 1 / 6, 1 / 6),
}


def received(n: int, h: int, w: int) -> Received:
    return Received(torch.ones(1, n, dtype=torch.complex64), torch.full((1, n), 0.1), image_shape=(3, h, w))


@pytest.mark.parametrize("name", MODELS)
def test_ratios_are_those_of_the_transmitter(name: str) -> None:
    network, low, high = MODELS[name]
    model = build(name, network).eval()
    assert isinstance(model, Network)
    least, most = (channel_uses((3, 32, 32), ratio) for ratio in (low, high))
    for n in {least, most}:
        assert model.decode(received(n, 32, 32)).image.shape == (1, 3, 32, 32)
    for n in (1, least - 2, most + 1, 3 * 32 * 32):
        with pytest.raises(ValueError, match=f"{n} symbols for an image of 32x32: {name} sends 1/"):
            model.decode(received(n, 32, 32))


@pytest.mark.parametrize("name", MODELS)
def test_images_are_of_8_pixels_a_side(name: str) -> None:
    network, _, high = MODELS[name]
    model = build(name, network).eval()
    assert isinstance(model, Network)
    with pytest.raises(ValueError, match=r"image of 64x7: .* at least 8x8 pixels"):
        model.decode(received(channel_uses((3, 7, 64), high), 7, 64))
