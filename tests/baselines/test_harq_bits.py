"""Bit error rates of hybrid ARQ: before decoding of all rounds that were sent, after it of the information bits."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import ndtr

from semlink.baselines.harq import Harq
from semlink.baselines.harq_link import HarqCodec
from semlink.phy.bits import BitErrors, Decisions, Words, count_bit_errors
from semlink.phy.channels import AWGN
from semlink.phy.link import Link, Transmission
from semlink.phy.sources import sample_images

IMAGES = torch.nn.functional.avg_pool2d(sample_images()[:1], 8)[:, :, :32, :32].repeat(12, 1, 1, 1)
HARQ = Harq(rounds=4, round_ratio=1 / 6)


def send(esno_db: float) -> tuple[Transmission, BitErrors]:
    codec = HarqCodec(mcs="nr1-5", harq=HARQ)
    got = Link(codec, AWGN())(IMAGES, esno_db, rng=torch.Generator().manual_seed(3))
    assert got.bit_errors is not None
    return got, got.bit_errors


@pytest.mark.parametrize("esno_db", [-3.0, 4.0])
def test_bits_of_the_rounds_that_were_sent_are_counted(esno_db: float) -> None:
    """Of 4-QAM, Q(√(Es/N0)) of them are wrong, whatever the scrambling of a round and its version."""
    got, errors = send(esno_db)
    assert got.spent is not None
    assert torch.equal(errors.coded, 2 * got.spent.long())
    assert set(got.spent.tolist()) == ({1024.0} if esno_db < 0 else {512.0})
    share, closed = float(errors.before.sum() / errors.coded.sum()), float(ndtr(-math.sqrt(10 ** (esno_db / 10))))
    assert abs(share - closed) < 4.5 * math.sqrt(closed * (1 - closed) / int(errors.coded.sum()))
    assert not got.failed.any()
    assert int(errors.after.sum()) == 0
    assert got.block_sizes[0][1] == 1024


def test_what_is_lost_shows_in_the_information_bits() -> None:
    got, errors = send(-12.0)
    assert got.failed.all()
    assert float(errors.after.sum() / errors.information.sum()) > 0.1


def test_bits_that_were_not_sent_are_not_counted() -> None:
    sent = Words([torch.ones(3, dtype=torch.bool)], [torch.ones(8, dtype=torch.bool)], [(3, 4)])
    decided = Decisions([torch.tensor([True, False, True])], [torch.tensor([True, False, True, True])])
    got = count_bit_errors(sent, decided)
    assert got is not None
    assert [int(one) for one in got] == [1, 4, 1, 3]
