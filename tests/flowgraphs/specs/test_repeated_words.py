"""A network's rounds in words: options in any order, and whose ratio is refused."""

from __future__ import annotations

import pytest

from semlink.flowgraphs.specs import make_codecs
from semlink.neural.repeated import Repeated
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Codec, InformedCodec


def one(name: str, *, ratio: float = 1 / 6) -> Codec | InformedCodec:
    return make_codecs([name], ratio=ratio, mcs="4qam-1/2", channel=Rayleigh(64))[name]


def test_options_come_in_any_order() -> None:
    codec = one("swin:round=1/8,harq=3")
    assert isinstance(codec, Repeated)
    assert (codec.rounds, codec.round_ratio) == (3, 1 / 8)


@pytest.mark.parametrize(
    ("name", "ratio", "message"),
    [
        ("swin:delay=16", 1 / 6, "delay: only with harq=ROUNDS"),
        # Of half the ratio: nobody gave that one.
        ("swin:harq=4", 1 / 24, "a round of ratio 0.02083: ratio=0.0208333 must be, for swin, one of: 1/24 to 1/3"),
        ("swim:harq=4", 1 / 6, r"--codec 'swim' \(did you mean 'swin'\?\) must be one of"),
    ],
)
def test_what_is_refused(name: str, ratio: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^--codec {name}: {message}"):
        one(name, ratio=ratio)
