"""Sizes that no transport block has, its CRC included."""

from __future__ import annotations

import pytest

from semlink.baselines.mcs import parse_mcs
from semlink.baselines.waterfall import transport_of


@pytest.mark.parametrize("k", [1, 16, 3841, 3848])
def test_they_are_refused(k: int) -> None:
    """A CRC has 16 bits up to a payload of 3824, then 24: in between are eight sizes of which there is none."""
    with pytest.raises(ValueError, match=f"k={k} must be from 17 to 3840, or from 3849 on"):
        transport_of(parse_mcs("nr1-13"), k)


@pytest.mark.parametrize(("k", "payload"), [(17, 1), (3840, 3824), (3849, 3825)])
def test_their_neighbours_are_of_so_many_bits(k: int, payload: int) -> None:
    block = transport_of(parse_mcs("nr1-13"), k)
    assert (block.payload, block.payload + block.crc_length) == (payload, k)
