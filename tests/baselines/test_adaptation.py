"""Link adaptation and the ceilings: what is known, what is chosen, and what cannot be beaten."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.baselines.adaptation import (
    HOPELESS,
    WORTH,
    average_failures,
    best_scheme,
    failures,
    image_failure,
    outage_failures,
)
from semlink.baselines.bler import curve
from semlink.baselines.blocks import plan_blocks
from semlink.baselines.capacity import shannon
from semlink.baselines.fading_ceilings import outage_rayleigh
from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.mcs import NR_SCHEMES
from semlink.baselines.separate import HEADER_BITS, AdaptiveCodec, GenieCodec, SeparateCodec, separate_codec, to_uint8
from semlink.baselines.sources import code_image, find_source
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec, InformedCodec, Link, Received, Transmission
from semlink.phy.metrics import psnr, squared_error
from semlink.phy.rng import image_rngs
from semlink.phy.sources import sample_images

IMAGES = torch.nn.functional.avg_pool2d(sample_images(), 8)[:, :, :32, :32]
LEVELS = (-4.0, 0.0, 5.0, 10.0, 15.0, 22.0)


def send(codec: Codec | InformedCodec, channel: Channel, esno_db: float, repeats: int = 4) -> Transmission:
    image = IMAGES.repeat(repeats, 1, 1, 1)
    rngs = [rng for i in range(repeats) for rng in image_rngs(0, IMAGES, realisation=i)]
    return Link(codec, channel)(image, esno_db, rng=rngs)


def mse(got: Transmission) -> float:
    return float(squared_error(got.image, IMAGES.repeat(len(got.image) // len(IMAGES), 1, 1, 1)).mean())


def test_image_failure_is_that_of_the_stored_curves() -> None:
    mcs = NR_SCHEMES[12]
    plan = plan_blocks(30_000, mcs)
    assert len(plan.counts) > 1 or plan.blocks > 1
    esno_db = curve(mcs, plan.sizes[0][0]).esno_db(1e-2)
    expected = 1 - np.prod(
        [(1 - curve(mcs, k).bler(esno_db)) ** count for count, (k, _) in zip(plan.counts, plan.sizes, strict=True)]
    )
    esno = 10 ** (esno_db / 10)
    assert image_failure(plan, np.array([esno])) == pytest.approx(expected)
    assert image_failure(plan, np.full((2, 30_000), esno)) == pytest.approx(expected, rel=1e-3)
    # Half of the symbols much better: never worse; half of them gone: hopeless.
    uneven = np.where(np.arange(30_000) % 2, esno, 10 * esno)
    assert image_failure(plan, uneven) < expected
    assert image_failure(plan, np.where(np.arange(30_000) % 2, esno, 0.0)) > 0.99


@pytest.mark.parametrize("esno_db", LEVELS)
def test_the_choice_has_the_least_expected_error(esno_db: float) -> None:
    """Against all schemes, one by one."""
    source, symbols = find_source("jpeg"), 512
    fails = average_failures(symbols, esno_db)
    for pixels in to_uint8(IMAGES):
        lost = float(np.mean((pixels.astype(float) - 128) ** 2))
        expected = [
            p * lost + (1 - p) * code_image(source, pixels, plan_blocks(symbols, mcs).payload_bytes).mse(pixels)
            for mcs, p in zip(NR_SCHEMES, fails, strict=True)
        ]
        chosen = NR_SCHEMES.index(best_scheme(source, pixels, symbols, fails))
        if fails.min() <= HOPELESS:
            tried = [value for value, p in zip(expected, fails, strict=True) if p <= HOPELESS]
            assert expected[chosen] <= (1 + 2 * WORTH) * min(tried)
        else:
            assert chosen == 0


@pytest.mark.parametrize("esno_db", LEVELS)
def test_adaptive_is_the_envelope_of_the_fixed_schemes_on_awgn(esno_db: float) -> None:
    adaptive = mse(send(separate_codec(mcs="adaptive"), AWGN(), esno_db, repeats=12))
    fixed = [mse(send(SeparateCodec(mcs=str(mcs)), AWGN(), esno_db, repeats=12)) for mcs in NR_SCHEMES[::3]]
    assert adaptive < 1.15 * min(fixed)  # the best in hindsight may be one that was lucky not to fail


@pytest.mark.parametrize("channel", [AWGN(), Rayleigh("block"), Rayleigh("fast")], ids=["awgn", "block", "fast"])
@pytest.mark.parametrize("esno_db", LEVELS)
def test_no_digital_curve_crosses_its_ceiling(channel: Channel, esno_db: float) -> None:
    """Image by image and fade by fade: the ceiling knows every fade, as the genie does, and loses nothing."""
    ceiling = squared_error(send(CapacityCodec(), channel, esno_db).image, IMAGES.repeat(4, 1, 1, 1))
    for mcs in ("16qam-1/2", "adaptive", "outage", "genie"):
        got = send(separate_codec(mcs=mcs, fading=channel), channel, esno_db)
        error = squared_error(got.image, IMAGES.repeat(4, 1, 1, 1))
        # The search for the finest setting may end one setting off where length does not rise with quality.
        assert (error > 0.97 * ceiling).all()


def test_what_is_known_helps_on_block_fading() -> None:
    """The genie beats the one that knows the statistics, which beats the one that takes the channel for AWGN."""
    channel = Rayleigh("block")
    for esno_db in (8.0, 14.0):
        errors = [
            mse(send(separate_codec(mcs=mcs, fading=channel), channel, esno_db, repeats=40))
            for mcs in ("genie", "outage", "adaptive")
        ]
        assert errors[0] < 0.8 * errors[1]
        assert errors[1] < 0.9 * errors[2]


def test_outage_is_that_of_capacity_but_for_the_gap() -> None:
    """On block fading a scheme fails when the fade takes Es/N0 below its threshold: 1 - exp(-threshold / mean)."""
    fails = outage_failures(512, 12.0, Rayleigh("block"))
    for mcs, p in zip(NR_SCHEMES, fails, strict=True):
        threshold = 10 ** (curve(mcs, plan_blocks(512, mcs).sizes[0][0]).esno_db(0.5) / 10)
        expected = 1 - np.exp(-threshold / 10**1.2)
        assert abs(p - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 256) + 0.02
        assert p > outage_rayleigh(12.0, mcs.efficiency) - 4.5 * np.sqrt(0.25 / 256)


def test_on_awgn_all_three_are_one() -> None:
    results = [send(separate_codec(mcs=mcs, fading=AWGN()), AWGN(), 9.0) for mcs in ("adaptive", "outage", "genie")]
    assert results[0].modes == results[1].modes == results[2].modes
    assert torch.equal(results[0].image, results[1].image)
    assert torch.equal(results[0].image, results[2].image)


def test_the_genie_knows_each_image_its_own_fade() -> None:
    got = send(GenieCodec(), Rayleigh("block"), 12.0, repeats=20)
    assert len(set(got.modes)) > 8
    assert got.failed.float().mean() < 0.1
    knowing_nothing = send(AdaptiveCodec(), Rayleigh("block"), 12.0, repeats=20)
    assert knowing_nothing.failed.float().mean() > 0.3


def test_results_do_not_depend_on_the_batch() -> None:
    channel = Rayleigh(100)
    for mcs in ("adaptive", "outage", "genie"):
        codec = separate_codec(mcs=mcs, fading=channel)
        together = Link(codec, channel)(IMAGES, 9.0, rng=image_rngs(0, IMAGES))
        single = [Link(codec, channel)(one[None], 9.0, rng=image_rngs(0, one[None])) for one in IMAGES]
        assert torch.equal(together.image, torch.cat([one.image for one in single]))
        assert list(together.modes) == [one.modes[0] for one in single]


def test_the_ledger_counts_every_coded_bit() -> None:
    got = send(separate_codec(mcs="adaptive"), AWGN(), 12.0, repeats=1)
    for i, mode in enumerate(got.modes):
        (mcs,) = [mcs for mcs in NR_SCHEMES if str(mcs) == mode]
        coded = {purpose: int(bits[i]) for purpose, bits in got.bits.items() if purpose != "header"}
        assert set(coded) == {"source", "padding", "crc", "parity"}
        assert sum(coded.values()) == 512 * mcs.bits_per_symbol
        assert min(coded.values()) >= 0
        assert coded["crc"] == plan_blocks(512, mcs).crc_bits == 16
    assert got.bits["header"].tolist() == [HEADER_BITS] * len(IMAGES)
    assert len(NR_SCHEMES) <= 2**HEADER_BITS
    assert got.uses == {"payload": 512}


def test_capacity_is_filled() -> None:
    got = send(CapacityCodec(), AWGN(), 10.0, repeats=1)
    allowed = 512 * float(shannon(10.0))
    assert all(0.85 * allowed < bits <= allowed for bits in got.bits["source"].tolist())
    assert got.ratio == pytest.approx(1 / 6)
    assert not got.failed.any()
    assert send(CapacityCodec(), AWGN(), -30.0, repeats=1).failed.all()


def test_capacity_of_a_fade_is_that_images_own() -> None:
    got = send(CapacityCodec(), Rayleigh("block"), 10.0)
    assert len(set(got.bits["source"].tolist())) > len(IMAGES)
    bits = got.bits["source"].double()
    assert float(bits.max() / bits.min().clamp_min(1)) > 2


@pytest.mark.parametrize("source", ["jpeg2000", "webp"])
def test_other_sources_adapt_too(source: str) -> None:
    low, high = (psnr(send(separate_codec(source=source, mcs="adaptive"), AWGN(), x, 1).image, IMAGES) for x in (6, 18))
    assert low + 4 < high


def test_large_images_of_several_blocks() -> None:
    image = sample_images()[:2]
    got = Link(AdaptiveCodec(), AWGN())(image, 9.0, rng=image_rngs(0, image))
    assert not got.failed.any()
    assert got.blocks is not None
    assert int(got.blocks.min()) > 1
    assert psnr(got.image, image) > 30


def test_small_budgets_and_bad_input() -> None:
    tiny: Tensor = torch.full((1, 3, 12, 12), 0.5)
    with pytest.raises(ValueError, match=r"ratio=0\.01 is too small for an image of 12×12×3"):
        AdaptiveCodec(ratio=0.01).encode(tiny, 0.1)
    with pytest.raises(ValueError, match=r"needs at least .* for one code block; .* would fit"):
        SeparateCodec(mcs="4qam-120/1024", ratio=0.2).encode(tiny, 0.1)
    with pytest.raises(ValueError, match="ratio=0 must be a positive"):
        separate_codec(mcs="genie", ratio=0)
    with pytest.raises(ValueError, match="ratio=-1 must be a positive"):
        CapacityCodec(ratio=-1)
    with pytest.raises(ValueError, match="adaptation needs code='ldpc' or 'nr'"):
        separate_codec(mcs="adaptive", code="conv")
    with pytest.raises(ValueError, match="mcs='outage' needs `fading`"):
        separate_codec(mcs="outage")
    with pytest.raises(ValueError, match="source='bpg' must be one of: jpeg, jpeg2000"):
        separate_codec(source="bpg", mcs="adaptive")
    frame = AdaptiveCodec().encode(IMAGES, 0.1)
    received = AWGN()(frame.symbols, 0.1, rng=torch.Generator())
    with pytest.raises(ValueError, match="header=None"):
        AdaptiveCodec().decode(received)
    assert failures(1, np.array([10.0])).tolist() == [1.0] * len(NR_SCHEMES)


def test_bounds_other_than_the_fades_own() -> None:
    """Constrained below Shannon, near it at low Es/N0; ergodic the same for all; outage loses its share."""

    def bits(bound: str | None, channel: Channel, esno_db: float, repeats: int = 4) -> Tensor:
        return send(CapacityCodec(bound=bound), channel, esno_db, repeats).bits["source"].double()

    for esno_db in (3.0, 12.0, 25.0):
        orders = [bits(f"{order}qam", AWGN(), esno_db).mean() for order in (4, 16, 64, 256)]
        assert orders == sorted(orders)
        assert orders[-1] <= bits(None, AWGN(), esno_db).mean() * 1.001
    assert float(bits("4qam", AWGN(), 30.0).max()) <= 2 * 512
    fast = bits("ergodic", Rayleigh("fast"), 12.0)
    assert abs(float(fast.mean() / bits(None, Rayleigh("fast"), 12.0).mean()) - 1) < 0.05
    lost = send(CapacityCodec(bound="outage=0.2"), Rayleigh("block"), 15.0, repeats=60).failed.double()
    assert abs(float(lost.mean()) - 0.2) < 4.5 * (0.16 / len(lost)) ** 0.5
    for bound in ("outage=0", "outage=1.5", "8qam", "shannon", "outage="):
        with pytest.raises(ValueError, match="must be one of: ergodic, outage=SHARE, 4qam"):
            CapacityCodec(bound=bound)


@pytest.mark.parametrize("source", ["jpeg", "jpeg2000", "webp"])
def test_a_block_lost_in_a_deep_fade_is_never_taken_for_a_good_one(source: str) -> None:
    """LLRs of next to nothing decode to zeros, a code word whose CRC would hold."""
    image, codec = sample_images()[:1], SeparateCodec(source=source)
    plan = plan_blocks(32768, codec.mcs)
    frame = codec.encode(image, 0.01)
    n0 = torch.full(frame.symbols.shape, 0.01)
    n0[:, 3 * plan.sizes[0][1] : 4 * plan.sizes[0][1]] = 10**3.8
    noise = torch.randn(*n0.shape, 2, generator=torch.Generator().manual_seed(0))
    received = Received(frame.symbols + torch.view_as_complex(noise) * (n0 / 2).sqrt(), n0, image_shape=(3, 256, 256))
    decoded = codec.decode(received)
    assert decoded.failed is not None
    assert decoded.block_errors is not None
    assert (decoded.failed.tolist(), decoded.block_errors.tolist()) == ([True], [1])
    for esno_db in (-30.0, -40.0, -60.0):
        got = send(codec, AWGN(), esno_db)
        assert got.failed.all()
        assert got.block_errors is not None
        assert (got.block_errors == 1).all()
