"""A constellation whose LLRs have the wrong sign, and a code that takes them so, are told by the bits."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from semlink.baselines import doors
from semlink.baselines.separate import SeparateCodec
from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.comparison.causes import turned_round
from semlink.phy.channels import AWGN
from semlink.phy.modulation import Modulation, psk
from semlink.phy.sources import sample_images

IMAGES = {"one": sample_images()[:1, :, :32, :32]}


class Turned(Modulation):
    """8-PSK with LLRs of the wrong sign."""

    def llr(self, symbols: Tensor, n0: Tensor) -> Tensor:
        return -super().llr(symbols, n0)


class Repeats:
    """A code that sends its bits and zeros, and takes LLRs for log P(1)/P(0)."""

    def __init__(self, k: int, n: int) -> None:
        self.k, self.n = k, n

    def encode(self, bits: Tensor) -> Tensor:
        return torch.cat([bits, torch.zeros(len(bits), self.n - self.k, dtype=bits.dtype)], dim=1)

    def decode(self, llr: Tensor) -> Tensor:
        return (llr[:, : self.k] > 0).float()


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    eight = psk(8)
    doors.register_constellation("turned", lambda _: Turned(eight.points, eight.labels))
    doors.register_code("turned:Repeats", Repeats)
    yield
    del doors.CONSTELLATIONS["turned"], doors.OWN_CODES["turned:Repeats"]


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ({"mcs": "1/2", "constellation": "turned"}, "100% of its bits are wrong: the constellation's LLRs must go"),
        ({"mcs": "4qam-1/2", "code": "turned:Repeats"}, "100% of its bits are wrong: what the code makes of LLRs must"),
        ({"mcs": "1/2", "constellation": "8psk"}, ""),
    ],
)
def test_it_is_said(codec: dict[str, str], message: str) -> None:
    made = SeparateCodec(**codec)  # type: ignore[arg-type]
    got = compare(IMAGES, {"mine": made}, AWGN(), [25.0], workers=1)
    said = turned_round(got.table)
    assert said.startswith(message)
    assert bool(said) == bool(message)
    lost = compare(IMAGES, {"mine": SeparateCodec(mcs="4qam-1/2")}, AWGN(), [-20.0], workers=1)
    assert turned_round(lost.table) == ""
    assert Fraction(1, 2) == made.mcs.rate
