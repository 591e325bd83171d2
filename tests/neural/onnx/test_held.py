"""Exported networks are told no Es/N0 beyond the training either: the limit is in the graph."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from semlink.neural.networks import FixedRate
from semlink.neural.onnx import OnnxCodec
from semlink.phy.link import Received


def test_the_limit_goes_with_the_files(codec: OnnxCodec, model: nn.Module) -> None:
    assert isinstance(model, FixedRate)
    image = np.random.default_rng(0).random((1, 3, *codec.size), dtype=np.float32)
    sent, best = codec.encode(image, 1e-6), codec.encode(image, 1e-2)
    np.testing.assert_array_equal(sent, best)
    assert np.abs(sent - codec.encode(image, 1e-1)).max() > 1e-3
    received = Received(torch.from_numpy(sent), torch.full(sent.shape, 1e-6), image_shape=(3, *codec.size))
    shown = model.decode(received).image
    np.testing.assert_allclose(codec.decode(sent, 1e-6), shown, atol=1e-5)
    unheld = copy.deepcopy(model)
    unheld.hold_to((0.0, 60.0))
    assert (unheld.decode(received).image - shown).abs().max() > 1e-4
