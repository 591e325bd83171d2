"""What the hybrid link's receiver is told: a split that there is not, and tables that both ends must choose alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from semlink.neural import zoo
from semlink.neural.models import Network
from semlink.neural.networks import base_picture
from semlink.neural.networks.hybrid import SPLIT_BITS, SPLITS, Parts, base_bits, encode_base
from semlink.neural.networks.photo_side import to_bits
from semlink.phy.link import Received, channel_uses

SIDE = 128


@pytest.mark.parametrize(("number", "arrives"), [(len(SPLITS) - 1, True), (len(SPLITS), False)])
def test_a_base_that_tells_a_split_that_there_is_not_did_not_arrive(number: int, arrives: bool) -> None:
    """Noise that happens to meet the CRC tells one in a quarter of all cases."""
    codec: Network = zoo.load("hybrid", ratio=1 / 16)
    image = torch.full((1, 3, SIDE, SIDE), 0.4)
    parts = Parts.of(SIDE, SIDE, channel_uses((3, SIDE, SIDE), 1 / 16))
    assert parts is not None
    symbols = codec.encode(image, 0.1).symbols.clone()
    told = torch.tensor([base_picture.encode(image[0] * 2 - 1, base_bits(SIDE, SIDE))])
    bits = torch.cat([to_bits(torch.tensor([[number]]), SPLIT_BITS), told], dim=1)
    symbols[:, : parts.base] = encode_base(bits, parts.base)
    got = codec.decode(Received(symbols, torch.full(symbols.shape, 0.01), image_shape=(3, SIDE, SIDE)))
    assert got.failed is not None
    assert bool(got.failed) is not arrives


@pytest.mark.parametrize("size", [(1024, 1536), (96, 160)])
def test_tables_are_those_that_another_computer_chooses(size: tuple[int, int]) -> None:
    """In single precision some of a large photograph were others, by the last bit of a logarithm."""
    down, across = (np.arange(len(base_picture._cosines(side))) / (2 * side) for side in size)
    square = down[:, None] ** 2 + across**2 + base_picture.KNEE**2
    for step in (0, 1, 2, 3, 17, 40):
        got = base_picture._grades(step, (8, 8), *size).numpy()
        for colour, contrast in enumerate((8, 8, 8)):
            octaves = np.log2(base_picture.DEVIATION[colour]) - 0.6 * np.log2(square)
            octaves += (contrast - base_picture.PLAIN) / base_picture.CONTRASTS
            octaves -= math.log2(base_picture.FINEST) + step / base_picture.STEPS
            grades = np.minimum(np.round(base_picture.GRADES * octaves), base_picture.LAST)
            np.testing.assert_array_equal(got[colour], grades)
