"""What is refused comes with what is allowed: what is near it comes first."""

import pytest

from semlink.flowgraphs.specs import make_codecs
from semlink.phy.channels import AWGN


@pytest.mark.parametrize(
    ("given", "meant"), [("swim", "swin"), ("deepjsc", "deepjscc"), ("jpeg-ldpc", "jpeg-ldpc-qam")]
)
def test_a_slip_is_told_what_may_have_been_meant(given: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"^--codec '{given}' \(did you mean '{meant}'\?\) must be one of: adjscc"):
        make_codecs([given], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())


def test_what_is_like_nothing_is_told_the_forms_alone() -> None:
    with pytest.raises(ValueError, match=r"^--codec 'morse' must be one of: adjscc"):
        make_codecs(["morse"], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
