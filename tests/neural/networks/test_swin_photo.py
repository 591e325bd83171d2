from __future__ import annotations

import pytest
import torch

from semlink.neural.networks import level_code
from semlink.neural.networks import photo_side as side
from semlink.neural.networks.linear_code import NODES
from semlink.neural.networks.photo_plan import BASE, LATENTS, LEVELS, SHARES, UNKNOWN, Layout, choose, extras
from semlink.neural.networks.swin_photo import SwinPhoto
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import ERASED, Link, Received, channel_uses, esno_to_n0
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def photographs(count: int = 4, side: int = 96) -> torch.Tensor:
    """Parts of the samples."""
    images = [image for image in sample_images() if min(image.shape[-2:]) >= side]
    return torch.stack([image[:, :side, :side] for image in images])[:count]


def make() -> SwinPhoto:
    """A small one that knows its transform."""
    torch.manual_seed(0)
    codec = SwinPhoto(widths=(4, 8, 8, 12), depths=(1, 1, 2), decoder_depths=(1, 1, 2), heads=2, window=4)
    codec.fit(photographs(side=256))
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def codec() -> SwinPhoto:
    return make()


@pytest.fixture(autouse=True)
def usual_ratio(codec: SwinPhoto) -> None:
    codec.ratio = 1 / 16


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 30), (65, 130), (129, 257)])
@pytest.mark.parametrize("ratio", [1 / 48, 1 / 16, 0.1, 1 / 6])
def test_any_size_goes_through_within_its_bandwidth(codec: SwinPhoto, size: tuple[int, int], ratio: float) -> None:
    codec.ratio = ratio
    image = torch.rand(2, 3, *size, generator=generator())
    got = Link(codec, Rayleigh("fast"))(image, 10.0, rng=generator())
    assert got.image.shape == image.shape
    assert 0 <= got.image.min() <= got.image.max() <= 1
    assert sum(got.uses.values()) == channel_uses((3, *size), ratio)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_images_without_detail_go_through(codec: SwinPhoto, value: float) -> None:
    got = Link(codec, AWGN())(torch.full((1, 3, 128, 128), value), 20.0, rng=generator())
    assert got.image.isfinite().all()


@pytest.mark.parametrize("ratio", [0.02, 0.2, 0.0])
def test_other_ratios_are_refused(codec: SwinPhoto, ratio: float) -> None:
    with pytest.raises(ValueError, match="must be, for swin-photo, from 1/48 to 1/6"):
        SwinPhoto(ratio=ratio)
    codec.ratio = ratio
    with pytest.raises(ValueError, match="from 1/48 to 1/6"):
        codec.encode(torch.rand(1, 3, 16, 16), 0.1)


def test_every_image_has_unit_energy(codec: SwinPhoto) -> None:
    images = photographs(side=128) * torch.tensor([1.0, 0.5, 0.1, 0.0])[: len(photographs()), None, None, None]
    energy = codec.encode(images, 0.1).symbols.abs().square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones_like(energy))


def test_an_image_does_not_see_its_batch(codec: SwinPhoto) -> None:
    images = photographs(side=128)
    together = codec.encode(images, 0.1).symbols
    alone = torch.cat([codec.encode(image[None], 0.1).symbols for image in images])
    torch.testing.assert_close(together, alone)
    n0 = torch.full(together.shape, 0.1)
    shape = (3, 128, 128)
    got = codec.decode(Received(together, n0, image_shape=shape)).image
    first = codec.decode(Received(together[:1], n0[:1], image_shape=shape)).image
    torch.testing.assert_close(got[:1], first)


def test_the_same_seed_gives_the_same_network_and_image(codec: SwinPhoto) -> None:
    again = make()
    image = photographs(1)
    first, second = (Link(one, AWGN())(image, 5.0, rng=generator()).image for one in (codec, again))
    assert torch.equal(first, second)


def test_the_linear_code_alone_carries_a_photograph(codec: SwinPhoto) -> None:
    image = photographs(1, side=256)
    got = Link(codec, AWGN())(image, 10.0, rng=generator())
    assert psnr(got.image, image) > 22


def test_a_receiver_that_misses_the_plan_shows_the_base(codec: SwinPhoto) -> None:
    image = photographs(1, side=256)
    symbols = codec.encode(image, 0.1).symbols
    layout = Layout(256, 256, symbols.shape[1])
    n0 = torch.full(symbols.shape, 0.01)
    start = layout.base + side.SCALE_BITS * side.REPEATED
    n0[:, start : layout.base + layout.side] = ERASED
    got = codec.decode(Received(symbols, n0, image_shape=(3, 256, 256))).image
    assert psnr(got, image) > 16


def test_a_gradient_reaches_every_weight() -> None:
    codec = make()
    for part in (codec.encoder, codec.decoder, codec.allocation, codec.expectation):
        part.requires_grad_(True)
    n0 = torch.tensor([0.1])
    image = photographs(1, side=128)
    symbols = codec.symbols(image, n0)
    got = codec.reconstruct(Received(symbols, n0.expand(symbols.shape)), (3, 128, 128))
    (got - image).square().mean().backward()  # type: ignore[no-untyped-call]
    unused = {name for name, p in codec.named_parameters() if p.grad is None and not name.startswith("linear.")}
    assert not unused


def test_detail_gets_more_symbols_than_a_plain_cell() -> None:
    energies = torch.zeros(1, LATENTS, 4, dtype=torch.float64)
    energies[:, :3] = 1.0
    energies[:, :, 0] = 1.0
    levels, step = choose(energies, 48.0)
    assert levels[0, 0] > levels[0, 1:].max()
    assert step.shape == (1,)


def test_extras_are_shared_out_by_level() -> None:
    levels = torch.tensor([[0, LEVELS - 1, 1, UNKNOWN]])
    places = extras(levels, 16, 64, 120)
    assert places.shape == (1, 120)
    assert len(set(places[0].tolist())) == 120
    count = torch.bincount(places[0] % 4, minlength=4) + BASE
    assert count[1] / count[2] == pytest.approx(SHARES[-1] / SHARES[1], rel=0.2)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (8, 8), (32, 48), (86, 128)])
def test_any_levels_fit_and_come_back(rows: int, columns: int) -> None:
    count = rows * columns
    wild = torch.randint(LEVELS, (count,), generator=generator()).tolist()
    for levels in (wild, [0] * count, [LEVELS - 1] * count, [(i // 4) % 2 for i in range(count)]):
        told = level_code.simplified(levels, columns)
        number = level_code.encode(told, columns)
        assert number.bit_length() <= level_code.length(count)
        assert level_code.decode(number, count, columns) == told


def test_likely_levels_are_told_as_they_are() -> None:
    levels = [1 + (i % 48 > 20) for i in range(32 * 48)]
    assert level_code.simplified(levels, 48) == levels


@pytest.mark.parametrize(("esno_db", "count"), [(0.0, 400), (10.0, 400), (1.0, 20_001)])
def test_what_is_told_digitally_arrives(esno_db: float, count: int) -> None:
    bits = torch.randint(2, (3, count), generator=generator())
    symbols = side.encode(bits)
    assert symbols.shape == (3, side.uses(count))
    received = AWGN()(symbols, esno_to_n0(esno_db), rng=generator())
    got, fine = side.decode(received.symbols, received.n0, count)
    assert bool(fine.all())
    assert torch.equal(got, bits)


def test_a_fade_is_noticed() -> None:
    bits = torch.randint(2, (3, 400), generator=generator())
    received = AWGN()(side.encode(bits), esno_to_n0(-12.0), rng=generator())
    assert not bool(side.decode(received.symbols, received.n0, 400)[1].any())


def test_of_nothing_no_plan_is_read() -> None:
    symbols = torch.zeros(1, side.uses(400), dtype=torch.complex64)
    assert not bool(side.decode(symbols, torch.full(symbols.shape, ERASED), 400)[1].any())


def test_the_bases_scale_survives_a_fade() -> None:
    scale = torch.arange(-8, 8) / 4
    received = AWGN()(side.encode_scale(scale), esno_to_n0(-5.0), rng=generator())
    assert torch.equal(side.decode_scale(received.symbols, received.n0), scale)


def test_layouts_add_up() -> None:
    for ratio in NODES:
        layout = Layout(512, 768, channel_uses((3, 512, 768), ratio))
        assert layout.base + layout.side + layout.extra == layout.n
