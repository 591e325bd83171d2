"""A codec of a user that decodes to what is no image is told so; nobody is shown it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.service import Service
from semlink.phy.link import Frame, Received, channel_uses


class Odd:
    ratio = 1 / 6

    def __init__(self, shown: float, side: int = 16) -> None:
        self.shown, self.side = shown, side

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        n = channel_uses((3, *image.shape[2:]), self.ratio)
        return Frame(torch.ones(len(image), n, dtype=torch.complex64), {"payload": n}, power="exact")

    def decode(self, received: Received) -> Tensor:
        return torch.full((len(received.symbols), 3, self.side, 16), self.shown)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (Odd(torch.nan), "not finite"),
        (Odd(1.5), r"spans \[1\.5, 1\.5\]"),
        (Odd(0.5, side=8), r"must be \(1, 3, 16, 16\)"),
    ],
)
def test_what_is_no_image_is_not_shown(codec: Odd, message: str) -> None:
    service = Service(own={"user:48": codec})
    sent = service.encode(np.zeros((16, 16, 3), np.uint8), codec="user:48", esno_db=10)
    with pytest.raises(Exception, match=message):
        service.decode(sent.header, sent.symbols, np.full(len(sent.symbols), 0.1))
