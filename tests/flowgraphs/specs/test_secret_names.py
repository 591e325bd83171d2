"""Keys and eavesdroppers beside what else a codec's name may say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.flowgraphs.specs import parse_eavesdropper, receive_with, split_codec
from semlink.flowgraphs.studies.engine import scheme_of
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Link, Received
from semlink.phy.rng import probe
from semlink.phy.security import Eavesdropper, Overheard, link_of


class Judge:
    """A codec that delivers a class: always the same symbols, and logits by how well they arrive."""

    classes = 2

    def encode(self, image: Tensor, n0: float) -> Frame:
        return Frame(probe(len(image), 16), {"payload": 16}, power="constellation")

    def decode(self, received: Received) -> Decoded:
        error = (received.symbols - probe(len(received.symbols), 16)).abs().square().mean(dim=1)
        return Decoded(torch.stack([1 - error, error], dim=1))


def test_a_codec_that_delivers_a_class_can_be_keyed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    _, behind = split_codec(f"label+keyed:key={tmp_path / 'key'}")
    keyed = receive_with(Judge(), behind, name="label")
    image = torch.zeros(2, 3, 8, 8)
    got = Link(keyed, AWGN())(image, 40, rng=torch.Generator().manual_seed(0)).image
    assert (got.argmax(dim=1) == 0).all()
    heard = link_of(Overheard(keyed, Eavesdropper(AWGN())), AWGN())(image, 40, rng=torch.Generator().manual_seed(0))
    assert (heard.image.argmax(dim=1) == 1).all()


def test_a_key_leaves_the_scheme_what_it_is() -> None:
    assert scheme_of("jpeg-nr-qam:outage,key=/tmp/a:b/mine.key") == "outage"
    assert scheme_of("jpeg-nr-qam:outage,env=MINE@rayleigh:esno=-10") == "outage"
    assert scheme_of("swin+keyed:key=/tmp/a:outage") == "swin"


@pytest.mark.parametrize("text", ["awgn:esno=-10,esno=3", "awgn:esno=3,key=yes,esno=-10"])
def test_an_option_that_is_told_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"esno=.* must be a number of dB"):
        parse_eavesdropper(text)
