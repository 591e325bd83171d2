"""The digital link in NR's transport blocks: accounts, images, and what its adaptation expects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semlink.baselines.adaptation import image_failure
from semlink.baselines.blocks import CODES, channel_decode, channel_encode, plan_blocks
from semlink.baselines.mcs import parse_mcs
from semlink.baselines.separate import AdaptiveCodec, GenieCodec, SeparateCodec, separate_codec
from semlink.flowgraphs.specs import make_codecs
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.constellation import QAM
from semlink.phy.link import Link
from semlink.phy.sources import sample_images


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("symbols", [512, 4096, 30_001])
@pytest.mark.parametrize("mcs", ["nr1-0", "nr1-13", "nr2-27"])
def test_bits_add_up_and_come_back(symbols: int, mcs: str) -> None:
    plan = plan_blocks(symbols, parse_mcs(mcs), "nr")
    assert plan.symbols == symbols
    assert plan.info_bits == plan.transport.payload  # type: ignore[union-attr]
    assert plan.bits_of(plan.blocks - 1) < plan.info_bits <= sum(k for k, _ in plan.sizes for _ in range(plan.blocks))
    assert plan.info_bits + plan.crc_bits == sum(
        count * k for count, (k, _) in zip(plan.counts, plan.sizes, strict=True)
    )
    bits = torch.randint(0, 2, (2, plan.info_bits), generator=torch.Generator().manual_seed(0))
    back, arrived = channel_decode(8 - 16 * channel_encode(bits, plan).float(), plan)
    assert torch.equal(back.to(bits), bits)
    assert arrived.shape == (2, plan.blocks)
    assert bool(arrived.all())


def test_an_image_arrives_and_its_bits_are_told() -> None:
    image = sample_images()[:1, :, :64, :96]
    sent = Link(SeparateCodec(mcs="nr1-13", ratio=1 / 6, code="nr"), AWGN())(image, esno_db=20.0, rng=seeded())
    assert not bool(sent.failed.any())
    plan = plan_blocks(sent.uses["payload"], parse_mcs("nr1-13"), "nr")
    told = {name: int(value) for name, value in sent.bits.items()}
    assert sum(told.values()) == plan.coded_bits
    assert told["crc"] == plan.crc_bits
    lost = Link(SeparateCodec(mcs="nr1-13", ratio=1 / 6, code="nr"), AWGN())(image, esno_db=0.0, rng=seeded())
    assert bool(lost.failed.all())


def test_what_adaptation_expects_is_what_happens() -> None:
    """At the Es/N0 where half is expected to be lost: within 5 standard deviations and 0.1 dB, some 15 %, of it."""
    plan, blocks = plan_blocks(700, parse_mcs("nr1-13"), "nr"), 400
    levels = np.linspace(5, 10, 501)
    expected = image_failure(plan, 10 ** (levels[:, None] / 10))
    esno_db = float(levels[np.argmin(abs(expected - 0.5))])
    bits = torch.randint(0, 2, (blocks, plan.info_bits), generator=torch.Generator().manual_seed(0))
    qam, n0 = QAM(plan.mcs.order), 10 ** (-esno_db / 10)
    sent = qam.map(channel_encode(bits, plan))
    noise = torch.randn(sent.shape, dtype=sent.dtype, generator=torch.Generator().manual_seed(1))
    _, arrived = channel_decode(qam.llr(sent + n0**0.5 * noise, torch.full(sent.shape, n0)), plan)
    assert abs(1 - float(arrived.all(dim=1).float().mean()) - 0.5) < 5 * (0.25 / blocks) ** 0.5 + 0.15


def test_its_rate_is_not_quite_the_schemes() -> None:
    """A block that NR makes larger than the scheme's rate says needs more, and one that it makes smaller less."""
    mcs = parse_mcs("nr1-13")
    for symbols in (512, 700, 901):
        nr, ldpc = plan_blocks(symbols, mcs, "nr"), plan_blocks(symbols, mcs)
        larger = nr.sizes[0][0] > ldpc.sizes[0][0]
        esno = np.array([10**0.7])
        assert (float(image_failure(nr, esno)) > float(image_failure(ldpc, esno))) == larger


@pytest.mark.parametrize("mode", ["adaptive", "outage", "genie"])
def test_every_way_of_choosing_has_it(mode: str) -> None:
    codec = make_codecs([f"jpeg-nr-qam:{mode}"], ratio=1 / 6, mcs="16qam-1/2", channel=Rayleigh("block"))
    (made,) = codec.values()
    assert isinstance(made, GenieCodec if mode == "genie" else AdaptiveCodec)
    image = sample_images()[:1, :, :32, :32]
    sent = Link(made, AWGN())(image, esno_db=25.0, rng=seeded())
    assert not bool(sent.failed.any())
    plan = plan_blocks(512, parse_mcs(sent.modes[0]), "nr")
    assert (int(sent.bits["crc"]), int(sent.bits["parity"])) == (plan.crc_bits, plan.coded_bits - plan.sizes[0][0])


def test_what_does_not_fit_is_told() -> None:
    assert "nr" in CODES
    with pytest.raises(ValueError, match=r"30 channel uses; .* at rate 0\.978, and NR decodes up to 0\.95"):
        plan_blocks(30, parse_mcs("nr1-28"), "nr")
    with pytest.raises(ValueError, match=r"adaptation needs code='ldpc' or 'nr'.*code='conv' has none"):
        separate_codec(code="conv", mcs="adaptive")
    with pytest.raises(ValueError, match=r"ratio=0\.001 is too small"):
        Link(SeparateCodec(ratio=0.001, code="nr"), AWGN())(
            sample_images()[:1, :, :32, :32], esno_db=10.0, rng=seeded()
        )
