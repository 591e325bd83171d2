"""The separate chain end to end: what it carries, where it fails, and what it counts."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.mcs import MCS_TABLE, parse_mcs
from semlink.baselines.separate import SeparateCodec, to_uint8
from semlink.baselines.sources.jpeg import JPEG
from semlink.phy.channels import AWGN, Mimo, Rayleigh
from semlink.phy.link import Decoded, Link, Received, channel_uses
from semlink.phy.mimo import Equaliser, Multiplexing
from semlink.phy.rng import image_rngs
from semlink.phy.sources import sample_images


def photographs(count: int, h: int, w: int, c: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(1000 * h + w)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    a = torch.rand(count, c, 4, 1, 1, generator=rng)
    waves = torch.sin(x / (3 + 12 * a[:, :, 0]) + y / (3 + 12 * a[:, :, 1]) + 6 * a[:, :, 2])
    return (0.5 + 0.35 * waves + 0.02 * torch.randn(count, c, h, w, generator=rng)).clamp(0, 1)


def noiseless(codec: SeparateCodec, image: Tensor) -> Received:
    symbols = codec.encode(image, 0.1).symbols
    c, h, w = image.shape[1:]
    return Received(symbols, torch.full(symbols.shape, 1e-3), image_shape=(c, h, w))


def spoil(received: Received, plan: Plan, block: int) -> Received:
    """Replace all symbols of one code block by noise."""
    edges = [0]
    for count, (_, symbols) in zip(plan.counts, plan.sizes, strict=True):
        edges += [edges[-1] + (i + 1) * symbols for i in range(count)]
    noise = torch.randn(
        edges[block + 1] - edges[block], dtype=torch.complex64, generator=torch.Generator().manual_seed(0)
    )
    received.symbols[:, edges[block] : edges[block + 1]] = noise
    return received


@pytest.mark.parametrize("mcs", ["4qam-1/2", "16qam-2/3", "64qam-3/4", "256qam-5/6"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 48), (3, 72, 91)])
def test_noiseless_round_trip_is_jpeg_itself(shape: tuple[int, int, int], mcs: str) -> None:
    image, codec = photographs(2, *shape[1:], c=shape[0]), SeparateCodec(source=JPEG(), mcs=mcs, ratio=1 / 4)
    decoded = codec.decode(noiseless(codec, image))
    plan = plan_blocks(channel_uses(shape, 1 / 4), parse_mcs(mcs))
    assert (shape[1], mcs) != (72, "256qam-5/6") or plan.counts == (2, 2)  # blocks of two sizes are met too
    for sent, got in zip(to_uint8(image), to_uint8(decoded.image), strict=True):
        coding = JPEG().encode(sent, plan.payload_bytes)
        assert coding is not None
        np.testing.assert_array_equal(got, JPEG().decode(coding, sent.shape, complete=True))
    assert decoded.failed is not None
    assert decoded.block_errors is not None
    assert decoded.failed.tolist() == [False, False]
    assert decoded.block_errors.tolist() == [0, 0]
    assert decoded.image.dtype == torch.float32


@pytest.mark.parametrize(("h", "w", "c"), [(32, 32, 3), (33, 47, 3), (101, 67, 1), (150, 131, 3)])
@pytest.mark.parametrize("ratio", [1 / 6, 1 / 12, 0.137])
def test_ledger_is_exactly_the_budget(h: int, w: int, c: int, ratio: float) -> None:
    for mcs in ("4qam-3/4", "64qam-5/6"):
        frame = SeparateCodec(mcs=mcs, ratio=ratio).encode(photographs(1, h, w, c), 0.1)
        n = math.floor(ratio * c * h * w + 1e-6)
        assert frame.symbols.shape == (1, n)
        assert dict(frame.uses) == {"payload": n}
        assert n / (c * h * w) <= ratio + 1e-9
        assert "JPEG" in frame.notes["source"]
        assert frame.power == "constellation"


@pytest.mark.parametrize("mcs", sorted(MCS_TABLE))
@pytest.mark.parametrize("symbols", [60, 512, 4224, 4225, 8449, 16896, 32768, 100_003])
def test_segmentation_adds_up_and_is_even(symbols: int, mcs: str) -> None:
    scheme = MCS_TABLE[mcs]
    plan = plan_blocks(symbols, scheme)
    assert plan.symbols == symbols
    sizes = [size for count, size in zip(plan.counts, plan.sizes, strict=True) for _ in range(count)]
    assert len(sizes) == plan.blocks
    lengths = [n for _, n in sizes]
    assert max(lengths) - min(lengths) <= 1
    assert all(k == math.floor(n * scheme.bits_per_symbol * scheme.rate) <= 8448 for k, n in sizes)
    assert plan.crc_length == (16 if len(sizes) == 1 and sizes[0][0] <= 3840 else 24)  # TS 38.212 clause 7.2.1
    assert plan.info_bits == sum(k - plan.crc_length for k, _ in sizes)
    assert [plan.bits_of(i) for i in (0, 1)] == [0, sizes[0][0] - plan.crc_length]
    fewer = plan.blocks - 1
    if fewer:  # one block less would be over the limit
        assert math.floor(-(-symbols // fewer) * scheme.bits_per_symbol * scheme.rate) > 8448


def test_small_images_take_one_block_and_large_ones_many() -> None:
    scheme = parse_mcs("16qam-1/2")
    assert plan_blocks(512, scheme) == Plan(scheme, (1,), ((1024, 512),))
    assert plan_blocks(32768, scheme) == Plan(scheme, (8,), ((8192, 4096),))


def test_cliff() -> None:
    image, link = photographs(12, 32, 32), Link(SeparateCodec(), AWGN())
    below, above = (link(image, esno_db, rng=image_rngs(0, image)) for esno_db in (4.0, 8.0))
    assert below.failed.all()
    assert below.block_errors is not None
    assert below.block_errors.tolist() == [1] * 12
    assert below.blocks.unique().tolist() == [1]
    np.testing.assert_array_equal(to_uint8(below.image), 128)
    assert not above.failed.any()
    assert above.ratio == pytest.approx(1 / 6)


def test_what_comes_before_the_first_failed_block_is_shown() -> None:
    image, codec = photographs(1, 200, 200), SeparateCodec(mcs="64qam-3/4", ratio=1 / 4)
    plan = plan_blocks(30_000, codec.mcs)
    whole = codec.decode(noiseless(codec, image)).image
    rows = []
    for block in range(0, plan.blocks, 3):
        decoded = codec.decode(spoil(noiseless(codec, image), plan, block))
        assert decoded.failed is not None
        assert decoded.block_errors is not None
        assert (decoded.failed.tolist(), decoded.block_errors.tolist()) == ([True], [1])
        same = (decoded.image == whole)[0].all(dim=2).all(dim=0)  # by row of pixels
        rows.append(int(same.long().cumprod(0).sum()))
        rest = to_uint8(decoded.image[:, :, rows[-1] + 18 :])  # below the row of coded units that holds the cut
        np.testing.assert_array_equal(rest, 128)
    assert rows[0] == 0
    assert rows == sorted(set(rows))


def test_every_failed_block_is_counted() -> None:
    image, codec = photographs(2, 200, 200), SeparateCodec(mcs="64qam-3/4", ratio=1 / 4)
    plan, received = plan_blocks(30_000, codec.mcs), noiseless(SeparateCodec(mcs="64qam-3/4", ratio=1 / 4), image)
    received = spoil(spoil(received, plan, 1), plan, plan.blocks - 1)
    decoded = codec.decode(received)
    assert decoded.block_errors is not None
    assert decoded.block_errors.tolist() == [2, 2]
    assert decoded.blocks.tolist() == [plan.blocks] * len(decoded.image)


def test_an_image_that_fits_at_no_quality_is_sent_and_marked_as_failed() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 72, 72, generator=rng)
    codec = SeparateCodec(source=JPEG(), mcs="4qam-1/2", ratio=1 / 12)
    sent = Link(codec, AWGN())(image, 20.0, rng=rng)
    assert sent.failed.tolist() == [True, True]
    assert sent.block_errors is not None
    assert sent.block_errors.tolist() == [0, 0]
    assert sum(sent.uses.values()) == channel_uses((3, 72, 72), 1 / 12)
    np.testing.assert_array_equal(to_uint8(sent.image), 128)
    other = SeparateCodec(source=JPEG(), mcs="4qam-1/2", ratio=1 / 12).decode(
        noiseless(codec, image)
    )  # it learns it from the data
    assert other.failed is not None
    assert other.failed.all()


def test_results_do_not_depend_on_the_batch_or_its_order() -> None:
    image, codec = photographs(40, 32, 32), SeparateCodec()
    link = Link(codec, AWGN())
    together = link(image, 6.0, rng=image_rngs(3, image))
    assert 3 < int(together.failed.sum()) < 37  # in the waterfall, where it would show
    single = [link(one[None], 6.0, rng=image_rngs(3, one[None])) for one in image[:10]]
    assert torch.equal(together.image[:10], torch.cat([one.image for one in single]))
    assert torch.equal(together.failed[:10], torch.cat([one.failed for one in single]))
    reverse = link(image.flip(0), 6.0, rng=image_rngs(3, image.flip(0)))
    assert torch.equal(reverse.image.flip(0), together.image)


@pytest.mark.parametrize("coherence", ["block", "fast"])
def test_mmse_decodes_what_zero_forcing_does(coherence: Literal["block", "fast"]) -> None:
    image, codec = photographs(20, 32, 32), SeparateCodec(mcs="4qam-1/2")
    results: list[Decoded] = []
    for equaliser in get_args(Equaliser):
        channel = Rayleigh(coherence=coherence, equaliser=equaliser)
        sent = Link(codec, channel)(image, 3.0, rng=image_rngs(0, image))
        results.append(Decoded(sent.image, sent.failed, sent.block_errors))
    zf, mmse = results
    assert zf.failed is not None
    assert mmse.failed is not None
    assert 0 < int(zf.failed.sum()) < 20
    assert torch.equal(zf.failed, mmse.failed)
    assert torch.equal(zf.image, mmse.image)


def test_symbols_look_random_whatever_the_payload() -> None:
    image = torch.zeros(1, 3, 64, 64)  # nearly all of the payload is padding
    symbols = SeparateCodec(mcs="256qam-3/4").encode(image, 0.1).symbols
    assert abs(float(symbols.abs().square().mean()) - 1) < 5 * math.sqrt(0.4 / symbols.shape[1])
    assert abs(complex(symbols.mean())) < 5 / math.sqrt(symbols.shape[1])


def test_scheme_names() -> None:
    assert 8 <= len(MCS_TABLE) <= 16
    for text in ("16qam-1/2", "16QAM-1/2", "16-QAM 1/2"):
        assert str(parse_mcs(text)) == "16qam-1/2"
    with pytest.raises(ValueError, match=r"mcs='8psk-1/2' must be one of: 4qam-1/2, .*, 256qam-5/6"):
        parse_mcs("8psk-1/2")


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="source='gif' must be one of: jpeg"):
        SeparateCodec(source="gif")
    for ratio in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"ratio=.* must be a positive number"):
            SeparateCodec(ratio=ratio)
    codec = SeparateCodec(ratio=1 / 100)
    message = r"ratio=0.01 is too small for an image of 16×16×3: 7 channel uses; 16qam-1/2 needs at least 20"
    with pytest.raises(ValueError, match=message):
        codec.encode(torch.zeros(1, 3, 16, 16), 0.1)
    received = Received(torch.zeros(1, 500, dtype=torch.complex64), torch.ones(1, 500), image_shape=(3, 32, 32))
    with pytest.raises(
        ValueError, match=r"received has 500 symbols; an image of 32×32×3 at ratio 0.166667 is sent in 512"
    ):
        SeparateCodec().decode(received)


def test_joint_detection_of_several_antennas_loses_fewer_blocks_than_a_linear_one() -> None:
    images, rngs = sample_images(), [torch.Generator().manual_seed(i) for i in range(3)]
    lost = {}
    for detector in ("mmse", "k-best"):
        channel = Mimo("fast", antennas=Multiplexing(4, 4, detector))
        got = Link(SeparateCodec(), channel)(images, 11.0, rng=[g.clone_state() for g in rngs])
        assert got.block_errors is not None
        lost[detector] = int(got.block_errors.sum())
    assert lost["k-best"] < lost["mmse"]
