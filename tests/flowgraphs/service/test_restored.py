"""Receivers behind codecs of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.flowgraphs.protocol import Pdu, carry_request, decode_request, read_carried, read_decoded
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.specs import make_channel
from semlink.phy.link import Frame, Received
from semlink.phy.waveform import BurstHeader


class Mean:
    """Sends ones, shows a field of what it receives on average."""

    ratio = 0.5

    def encode(self, image: Tensor, n0: float) -> Frame:
        del n0
        return Frame(torch.ones(len(image), 10, dtype=torch.complex64), {"data": 10})

    def decode(self, received: Received) -> Tensor:
        assert received.image_shape is not None
        shape = len(received.symbols), *received.image_shape
        return received.symbols.real.mean(dim=1)[:, None, None, None].expand(shape).clamp(0, 1)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_codec_of_ones_own_has_receivers(shipped: Path, cache_bytes: int) -> None:
    assert shipped.is_dir()
    awgn = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    service = Service(threads=1, own={"user:48": Mean()}, channel=awgn, cache_bytes=cache_bytes)
    header = BurstHeader(codec=48, height=16, width=16, symbols=10)

    def received(receiver: str) -> Pdu:
        asked = decode_request(header, np.full(10, 0.5), np.full(10, 0.01))
        return replace(asked, meta={**asked.meta, "receiver": receiver})

    level = np.full((16, 16, 3), 128, np.uint8)
    carried = carry_request(level, codec="user:48+cnn-swin", ratio=0.5, esno_db=30)
    restored, again, sent, wrong = service.handle(
        [received("cnn-swin"), received("cnn-swin"), carried, received("sft")]
    )
    service.close()
    assert read_decoded(restored).codec == "user:48+cnn-swin"
    assert np.abs(read_decoded(restored).image.astype(int) - 128).max() > 0  # it did something
    np.testing.assert_array_equal(read_decoded(again).image, read_decoded(restored).image)
    assert read_carried(sent).codec == "user:48+cnn-swin"
    assert "receiver 'sft' must be one of: cddm-swin, cnn-swin, sft-jpeg, sft-swin" in str(wrong.meta["message"])
