"""Only coded bits may be fewer than those that there were."""

from __future__ import annotations

import pytest
import torch

from semlink.phy.bits import Decisions, Words, count_bit_errors

SENT = Words([torch.ones(6, dtype=torch.bool)], [torch.ones(8, dtype=torch.bool)], [(6, 8)])


def test_a_receiver_that_loses_information_is_not_counted_as_better() -> None:
    with pytest.raises(RuntimeError, match="size"):
        count_bit_errors(SENT, Decisions([torch.ones(4, dtype=torch.bool)], [torch.ones(8, dtype=torch.bool)]))


def test_coded_bits_are_those_that_were_sent() -> None:
    got = count_bit_errors(SENT, Decisions([torch.zeros(6, dtype=torch.bool)], [torch.zeros(5, dtype=torch.bool)]))
    assert got is not None
    assert [int(one) for one in got] == [5, 5, 6, 6]
