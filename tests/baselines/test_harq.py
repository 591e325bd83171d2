"""Hybrid ARQ: throughput on closed forms, its link against the plain one, feedback that errs, and refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from jaxtyping import Float, UInt8

from semlink.baselines.blocks import Plan, channel_encode, plan_blocks
from semlink.baselines.chain import C_INIT
from semlink.baselines.harq import Harq, round_failures
from semlink.baselines.harq_link import HarqCodec
from semlink.baselines.mcs import parse_mcs
from semlink.baselines.separate import separate_codec
from semlink.phy.channels import AWGN, Nakagami, Rayleigh
from semlink.phy.constellation import QAM
from semlink.phy.fec import descramble_llr, scramble
from semlink.phy.link import Channel, Link, Transmission, esno_to_n0
from semlink.phy.rng import image_rngs
from semlink.phy.sources import sample_images

SIDE, ROUND, SCHEME = 8, 120, "nr1-8"  # 4-QAM at rate 602/1024: combining adds up Es/N0 exactly


@dataclass(frozen=True)
class Noise:
    """A source coder of which any bits are an image: what counts here is whether they arrive."""

    def encode(self, image: UInt8[np.ndarray, "h w c"], budget: int) -> bytes:
        return np.random.default_rng(int(image.sum())).bytes(budget - 1) + b"\x01"

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> UInt8[np.ndarray, "h w c"] | None:
        return np.full(shape, 128, dtype=np.uint8) if complete else None

    def note(self, shape: tuple[int, int, int]) -> str:
        return ""


def send(harq: Harq, channel: Channel, esno_db: float, *, count: int, seed: int = 0) -> Transmission:
    image = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    codec = HarqCodec(source=Noise(), mcs=SCHEME, ratio=1.0, harq=harq)
    return Link(codec, channel)(image, esno_db, rng=torch.Generator().manual_seed(seed))


def rounds_of(**options: object) -> Harq:
    return Harq(round_ratio=ROUND / (3 * SIDE * SIDE), **options)  # type: ignore[arg-type]


def bler_on_awgn(plan: Plan, levels_db: Float[np.ndarray, " n"], *, blocks: int = 1500) -> Float[np.ndarray, " n"]:
    """Measured here, of the very transport block."""
    rng, qam, lost = torch.Generator().manual_seed(1), QAM(plan.mcs.order), []
    bits = torch.randint(0, 2, (blocks, plan.info_bits), generator=rng, dtype=torch.uint8)
    for level in levels_db:
        got = AWGN()(qam.map(scramble(channel_encode(bits, plan), C_INIT)), esno_to_n0(level), rng=rng)
        assert plan.transport is not None
        _, ok = plan.transport.decode(descramble_llr(qam.llr(got.symbols, got.n0), C_INIT))
        lost.append(1 - float(ok.all(dim=1).double().mean()))
    return np.array(lost)


@pytest.fixture(scope="module")
def waterfall() -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    levels = np.arange(-2.0, 6.01, 0.5)
    return levels, bler_on_awgn(plan_blocks(ROUND, parse_mcs(SCHEME), "nr"), levels)


def chase_failures(
    waterfall: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]], esno_db: float, rounds: int
) -> Float[np.ndarray, " rounds"]:
    """Chase combining over independent Rayleigh fades: the block error rate on AWGN at a sum of t exponentials,
    ∫ BLER(s γ) s^(t-1) exp(-s) / (t-1)! ds. With a step for the waterfall that is the incomplete gamma function of
    G. Caire and D. Tuninetti, "The throughput of hybrid-ARQ protocols for the Gaussian collision channel", IEEE Trans.
    Inf. Theory 47 (2001) 1971-1988.
    """
    s = np.linspace(1e-4, 40, 40001)
    lost = np.interp(10 * np.log10(s) + esno_db, *waterfall, left=1.0, right=0.0)
    return np.array([np.trapezoid(lost * s**t * np.exp(-s) / math.factorial(t), s) for t in range(rounds)])


def throughput(harq: Harq, fails: Float[np.ndarray, " rounds"]) -> float:
    """Bits that arrive over channel uses: a renewal and its reward."""
    sent, arrives = harq.expect(fails)
    return float(plan_blocks(ROUND, parse_mcs(SCHEME), "nr").info_bits * arrives / (ROUND * sent))


def measured(got: Transmission) -> float:
    assert got.spent is not None
    bits = (got.bits["source"] + got.bits["padding"]) * ~got.failed
    return float(bits.sum() / got.spent.sum())


@pytest.mark.parametrize(("esno_db", "within"), [(0.0, 0.03), (4.0, 0.02)])
def test_chase_combining_on_block_rayleigh_lies_on_the_closed_form(
    waterfall: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]], esno_db: float, within: float
) -> None:
    """4000 images: the throughput's standard error is some 0.8 % at 0 dB and 0.5 % at 4 dB; nearly four are allowed."""
    harq = rounds_of(rounds=4, combining="chase")
    got = measured(send(harq, Rayleigh(ROUND), esno_db, count=4000))
    assert got == pytest.approx(throughput(harq, chase_failures(waterfall, esno_db, 4)), rel=within)
    if esno_db == 0:  # where it is steep
        assert got != pytest.approx(throughput(harq, chase_failures(waterfall, esno_db + 0.2, 4)), rel=within)


def test_rounds_that_share_a_fade_are_the_closed_form_of_one(
    waterfall: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
) -> None:
    """With one gain an image, t rounds are one of t times its energy: no diversity. 4 standard errors of 1500."""
    got = send(rounds_of(rounds=4, combining="chase"), Rayleigh("block"), 0.0, count=1500)
    s = np.linspace(1e-4, 40, 40001)
    lost = np.interp(10 * np.log10(4 * s), *waterfall, left=1.0, right=0.0)
    expected = float(np.trapezoid(lost * np.exp(-s), s))
    assert abs(float(got.failed.double().mean()) - expected) < 4 * math.sqrt(expected * (1 - expected) / 1500)


def test_incremental_redundancy_beats_chase_combining() -> None:
    same = {"channel": Rayleigh(ROUND), "esno_db": -1.0, "count": 1500}
    ir, chase = (measured(send(rounds_of(rounds=4, combining=how), **same)) for how in ("ir", "chase"))  # type: ignore[arg-type]
    assert ir > 1.05 * chase


def test_feedback_that_errs_costs_what_theory_says(
    waterfall: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
) -> None:
    harq = rounds_of(rounds=4, combining="chase", ack_lost=0.3, nack_lost=0.2)
    got = send(harq, Rayleigh(ROUND), 1.0, count=3000)
    sent, arrives = harq.expect(chase_failures(waterfall, 1.0, 4))
    assert got.spent is not None
    assert float(got.spent.mean() / ROUND) == pytest.approx(float(sent), abs=4 * 1.2 / math.sqrt(3000))
    share = float((~got.failed).double().mean())
    assert abs(share - float(arrives)) < 4 * math.sqrt(0.25 / 3000)
    true = rounds_of(rounds=4, combining="chase").expect(chase_failures(waterfall, 1.0, 4))
    assert abs(share - float(true[1])) > 4 * math.sqrt(0.25 / 3000)  # the errors are felt


def test_what_is_expected_of_feedback_is_its_state_machine() -> None:
    """Against the rounds of a machine that draws: 200,000 blocks."""
    rng, count = np.random.default_rng(0), 200_000
    fails, harq = np.array([0.6, 0.3, 0.2, 0.1]), Harq(rounds=4, ack_lost=0.25, nack_lost=0.1)
    needed = 1 + (rng.random(count)[:, None] < fails).sum(axis=1)  # 5: not even all
    going, sent, arrived = np.ones(count, bool), np.zeros(count), np.zeros(count, bool)
    for t in range(1, 5):
        sent += going
        has = needed <= t
        arrived |= going & has
        going &= np.where(has | arrived, rng.random(count) < 0.25, rng.random(count) >= 0.1)
    expected = harq.expect(fails)
    assert (float(expected[0]), float(expected[1])) == pytest.approx((sent.mean(), arrived.mean()), abs=0.01)
    assert Harq(rounds=1).expect(np.array([0.3])) == (1.0, pytest.approx(0.7))


@pytest.mark.parametrize("mcs", ["nr1-5", "adaptive", "outage"])
def test_one_round_is_the_plain_link_bit_for_bit(mcs: str) -> None:
    image, channel = sample_images()[:2, :, 64:96, 64:96], Rayleigh(64)
    plain = separate_codec(mcs=mcs, ratio=1 / 6, code="nr", fading=channel)
    once = HarqCodec(mcs=mcs, ratio=1 / 6, harq=Harq(rounds=1), fading=channel)
    frames = [codec.encode(image, esno_to_n0(6.0)) for codec in (plain, once)]
    if mcs != "outage":  # whose statistics are drawn from other frames
        assert torch.equal(frames[0].symbols, frames[1].symbols)
        assert frames[0].modes == frames[1].modes
        got = [Link(codec, channel)(image, 6.0, rng=image_rngs(0, image)) for codec in (plain, once)]
        assert torch.equal(got[0].image, got[1].image)
        assert got[0].uses == got[1].uses
        assert got[0].ratio == got[1].ratio
        for purpose in ("source", "padding", "crc", "parity"):
            assert torch.equal(got[0].bits[purpose], got[1].bits[purpose])
    assert frames[0].symbols.shape == frames[1].symbols.shape


@pytest.mark.parametrize(("combining", "versions", "within_db"), [("chase", (0,) * 4, 0.3), ("ir", (0, 2, 3, 1), 0.45)])
@pytest.mark.parametrize("mcs", ["nr1-5", "nr1-13"])
def test_what_a_link_expects_of_four_rounds(
    mcs: str, combining: str, versions: tuple[int, ...], within_db: float
) -> None:
    """Where half of the blocks should be lost after four rounds on AWGN, more are and fewer,
    `within_db` above and below.
    """
    plan = plan_blocks(256, parse_mcs(mcs), "nr")
    assert Harq(rounds=4, combining=combining).versions == versions  # type: ignore[arg-type]
    levels = np.arange(-12, 4, 0.05)
    expected = round_failures(plan, versions, np.tile(10 ** (levels / 10), (4, 1)).T[..., None])[:, -1]
    middle = float(levels[np.argmin(abs(expected - 0.5))])
    lost = [share_lost(plan, versions, level) for level in (middle - within_db, middle + within_db)]
    assert lost[0] > 0.5 > lost[1]
    if (mcs, combining) == ("nr1-13", "chase"):  # symbols that repeat with their bits tell less
        assert share_lost(plan, versions, middle + 0.6, alike=True) > 0.5


def share_lost(
    plan: Plan, versions: tuple[int, ...], esno_db: float, *, alike: bool = False, count: int = 100
) -> float:
    """Of blocks on AWGN after all rounds, each scrambled in its own way or all `alike`."""
    rng, llr, qam = torch.Generator().manual_seed(2), [], QAM(plan.mcs.order)
    bits = torch.randint(0, 2, (count, plan.info_bits), generator=rng, dtype=torch.uint8)
    assert plan.transport is not None
    for t, version in enumerate(versions):
        seed = C_INIT + (0 if alike else t)
        got = AWGN()(qam.map(scramble(plan.transport.encode(bits, version), seed)), esno_to_n0(esno_db), rng=rng)
        llr.append(descramble_llr(qam.llr(got.symbols, got.n0), seed))
    _, ok = plan.transport.decode(torch.cat(llr, dim=1), versions)
    return 1 - float(ok.all(dim=1).double().mean())


def test_a_mean_budget_is_met_on_average() -> None:
    """And no image takes more than all its rounds; the same images of a plain link are lost far more often."""
    image, channel = torch.nn.functional.avg_pool2d(sample_images(), 8)[:1, :, :32, :32], Rayleigh(256)
    codec = HarqCodec(mcs="outage", ratio=1 / 6, harq=Harq(budget="mean"), fading=channel)
    frame = codec.encode(image, esno_to_n0(8.0))
    assert frame.header is not None
    (_, length), sent = frame.header[0], []  # type: ignore[misc]
    for realisation in range(60):
        got = Link(codec, channel).carry(frame, image.shape[1:], 8.0, rng=image_rngs(0, image, realisation=realisation))
        assert got.spent is not None
        sent.append(float(got.spent))
        assert float(got.spent) % length == 0
        assert float(got.spent) <= 4 * length
    assert np.mean(sent) == pytest.approx(512, abs=4 * np.std(sent) / math.sqrt(60))
    assert length < 512 < 4 * length


@pytest.mark.parametrize("channel", [Rayleigh(16), Nakagami(m=2.0, coherence="fast", doppler=0.01)])
def test_the_account_is_of_what_was_sent(channel: Channel) -> None:
    got = send(rounds_of(rounds=3, delay=50), channel, 6.0, count=40)
    plan = plan_blocks(ROUND, parse_mcs(SCHEME), "nr")
    assert got.spent is not None
    assert got.uses == {"payload": 3 * ROUND, "others": 100}
    rounds = got.spent / ROUND
    assert set(rounds.tolist()) <= {1.0, 2.0, 3.0}
    assert got.ratio == pytest.approx(float(got.spent.mean()) / (3 * SIDE * SIDE))
    coded = sum(got.bits[purpose] for purpose in ("source", "padding", "crc", "parity"))
    assert torch.equal(coded.double(), rounds * plan.coded_bits)  # type: ignore[union-attr]
    assert torch.equal(got.bits["feedback"].double(), rounds)


def test_a_delay_makes_rounds_more_different() -> None:
    """Over slow fading, rounds at once share a fade; far apart they do not, and fewer images are lost."""
    slow = Rayleigh("fast", doppler=1e-4)
    lost = [
        int(send(rounds_of(rounds=3, combining="chase", delay=delay), slow, 1.0, count=250).failed.sum())
        for delay in (0, 4000)
    ]
    assert lost[1] < 0.6 * lost[0]


def test_a_batch_gives_what_its_images_give() -> None:
    image = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    codec = HarqCodec(source=Noise(), mcs=SCHEME, harq=rounds_of(ack_lost=0.5, nack_lost=0.5))
    link = Link(codec, Rayleigh(ROUND))
    whole = link(image, 1.0, rng=image_rngs(0, image))
    single = [link(one, 1.0, rng=image_rngs(0, one)) for one in image.split(1)]
    assert whole.spent is not None
    assert whole.spent.tolist() == [float(one.spent) for one in single]  # type: ignore[arg-type]
    assert whole.failed.tolist() == [bool(one.failed) for one in single]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "harq=0 must be from 1 to 16 rounds"),
        ({"rounds": 99}, "harq=99 must be from 1 to 16"),
        ({"order": (0, 4)}, r"rv=04 must be of the redundancy versions 0, 1, 2 and 3"),
        ({"combining": "sum"}, "combining='sum'"),
        ({"delay": -1}, "delay=-1 must be from 0"),
        ({"ack_lost": 1.5}, "ack-lost=1.5 must be from 0 to 1"),
        ({"nack_lost": -0.1}, "nack-lost=-0.1 must be from 0 to 1"),
        ({"nack_lost": math.nan}, "nack-lost=nan must be from 0 to 1"),
        ({"round_ratio": 0.0}, "round=0.0 must be above 0"),
        ({"round_ratio": 0.1, "budget": "mean"}, "both say how long a round is"),
    ],
)
def test_what_is_no_harq_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Harq(**options)  # type: ignore[arg-type]


def test_what_a_link_cannot_do_is_refused() -> None:
    image = sample_images()[:1, :, :32, :32]
    with pytest.raises(ValueError, match="delay=8000000: 4 rounds and the waiting between them take 2400"):
        HarqCodec(harq=Harq(delay=8_000_000)).encode(image, 0.1)
    with pytest.raises(ValueError, match=r"a round of 0 channel uses: ratio=0 is too small"):
        HarqCodec(ratio=0.001).encode(image, 0.1)
    with pytest.raises(ValueError, match="budget=mean expects channel uses"):
        HarqCodec(harq=Harq(budget="mean"))
    with pytest.raises(ValueError, match="mcs='genie' knows the fades"):
        HarqCodec(mcs="genie")
    codec = HarqCodec(mcs="adaptive")
    got = AWGN()(codec.encode(image, 0.1).symbols, 0.1, rng=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="image_shape=None"):
        codec.decode(got)
