"""Which known name a wrong one is taken for in an error message."""

import pytest

from semlink.phy.channels import parse_channel
from semlink.phy.named import meant

NAMES = ["swin", "swin-photo", "jpeg-ldpc-qam", "webp-ldpc-qam", "published:bpg"]


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("swim", "swin"),
        ("SWIN", "swin"),
        ("JPEG", "jpeg-ldpc-qam"),
        ("ldpc", "jpeg-ldpc-qam"),  # of equally near ones the first
        ("wbp-ldpc-qam", "webp-ldpc-qam"),
        ("bpg", "published:bpg"),
    ],
)
def test_the_nearest_is_told(given: str, near: str) -> None:
    assert meant(given, NAMES) == f" (did you mean {near!r}?)"


@pytest.mark.parametrize("given", ["morse", "", "j"])
def test_what_is_like_nothing_is_told_nothing(given: str) -> None:
    assert meant(given, NAMES) == ""
    assert meant(given, []) == ""


@pytest.mark.parametrize(("given", "near"), [("Rayleigh", "rayleigh"), ("raylegh", "rayleigh"), ("awgn+rap", "rapp")])
def test_a_channel_that_is_not_there(given: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"\(did you mean '{near}'\?\) must be one of: "):
        parse_channel(given)
