from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from semlink.neural.networks import MAX_SYMBOLS, ConvSwin, WindowAttention, by_tiles, sent_indices, swin, visible
from semlink.neural.networks.swin import transform
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received, channel_uses
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images

RATIOS = (1 / 24, 1 / 12, 0.1, 1 / 6, 1 / 3)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def make(*, window: int = 4, depths: tuple[int, int] = (1, 3)) -> ConvSwin:
    """A small one, shaken out of its initial symmetries."""
    torch.manual_seed(0)
    codec = ConvSwin(widths=(8, 12), depths=depths, heads=2, window=window)
    for parameter in codec.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def codec() -> ConvSwin:
    return make()


@pytest.fixture(autouse=True)
def usual_ratio(codec: ConvSwin) -> None:
    codec.ratio = 1 / 6


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 30), (33, 47), (50, 41), (11, 64)])
@pytest.mark.parametrize("ratio", RATIOS)
def test_any_size_goes_through_within_its_bandwidth(codec: ConvSwin, size: tuple[int, int], ratio: float) -> None:
    codec.ratio = ratio
    image = torch.rand(2, 3, *size, generator=generator())
    got = Link(codec, Rayleigh("fast"))(image, 10.0, rng=generator())
    assert got.image.shape == image.shape
    assert 0 <= got.image.min() <= got.image.max() <= 1
    assert sum(got.uses.values()) == channel_uses((3, *size), ratio)


@pytest.mark.parametrize("ratio", [0.03, 0.4, 0.0])
def test_other_ratios_are_refused(codec: ConvSwin, ratio: float) -> None:
    with pytest.raises(ValueError, match="must be, for swin, from 1/24 to 1/3"):
        ConvSwin(ratio=ratio)
    codec.ratio = ratio
    with pytest.raises(ValueError, match="from 1/24 to 1/3"):
        codec.encode(torch.rand(1, 3, 16, 16), 0.1)


@pytest.mark.parametrize("shape", [(1, 3, 7, 40), (1, 3, 40, 7), (1, 1, 32, 32)])
def test_images_it_cannot_take_are_refused(codec: ConvSwin, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 8x8"):
        Link(codec, AWGN())(torch.zeros(shape), 10.0, rng=generator())


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (9, 30)])
def test_a_lower_rate_sends_a_subset_of_a_higher_ones_latents(size: tuple[int, int]) -> None:
    total = channel_uses((3, *size), 1 / 3)
    sent = [set(sent_indices(*size, n).tolist()) for n in range(1, total + 1)]
    assert all(len(now) == n for n, now in enumerate(sent, 1))
    assert all(before < now for before, now in pairwise(sent))


def test_whole_rounds_send_the_first_symbols_of_every_cell() -> None:
    assert torch.equal(sent_indices(32, 32, 512), torch.arange(512))
    part = sent_indices(32, 32, 96)[64:] - 64  # half of the cells get a second symbol, and not the first rows only
    counts = torch.bincount(part // 8, minlength=8)
    assert counts.min() >= 3
    assert counts.max() <= 5


def test_a_cell_of_the_border_gets_its_share() -> None:
    """33×32 pixels: a ninth row of cells with one true row in four."""
    rows = sent_indices(33, 32, channel_uses((3, 33, 32), 1 / 6)) % (9 * 8) // 8
    assert torch.bincount(rows).tolist() == [64] * 8 + [16]


def test_the_order_holds_on_every_machine() -> None:
    """Golden: the receiver must find the transmitter's order."""
    assert sent_indices(18, 14, 40).tolist()[-20:] == [
        20,
        21,
        22,
        24,
        25,
        26,
        28,
        29,
        30,
        32,
        33,
        34,
        40,
        42,
        44,
        45,
        49,
        50,
        52,
        53,
    ]


def test_an_image_does_not_see_its_batch(codec: ConvSwin) -> None:
    images = torch.rand(4, 3, 24, 20, generator=generator())
    whole = codec.encode(images, 0.1).symbols
    alone = torch.cat([codec.encode(one, 0.1).symbols for one in torch.split(images, 1)])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)
    n0 = torch.full(whole.shape, 0.1)
    shown = codec.decode(Received(whole, n0, image_shape=(3, 24, 20))).image
    first = codec.decode(Received(whole[:1], n0[:1], image_shape=(3, 24, 20))).image
    torch.testing.assert_close(shown[:1], first, rtol=1e-4, atol=1e-5)


def test_a_large_image_in_tiles_is_the_same_as_in_one(monkeypatch: pytest.MonkeyPatch, codec: ConvSwin) -> None:
    image = torch.rand(1, 3, 203, 310, generator=generator())
    monkeypatch.setattr(swin, "TILE", 10**6)
    frame = codec.encode(image, 0.1)
    received = Received(frame.symbols, torch.full(frame.symbols.shape, 0.1), image_shape=(3, 203, 310))
    shown = codec.decode(received).image
    monkeypatch.setattr(swin, "TILE", 8)
    torch.testing.assert_close(codec.encode(image, 0.1).symbols, frame.symbols, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codec.decode(received).image, shown, rtol=1e-4, atol=1e-5)
    # The test bites: with less of the surroundings, the tiles show.
    monkeypatch.setattr(codec.encoder, "reach", 4)
    assert (codec.encode(image, 0.1).symbols - frame.symbols).abs().max() > 1e-3


def test_tiles_bound_what_goes_through_at_once() -> None:
    sizes: list[tuple[int, ...]] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(x.shape[2:]))
        return x * 2

    x = torch.rand(1, 2, 100, 70, generator=generator())
    assert torch.equal(by_tiles(network, x, reach=8, tile=16), 2 * x)
    assert max(max(size) for size in sizes) == 32
    assert len(sizes) == 7 * 5


def test_every_image_has_unit_energy(codec: ConvSwin) -> None:
    images = torch.rand(3, 3, 20, 24, generator=generator()) * torch.tensor([0.01, 0.5, 1]).reshape(3, 1, 1, 1)
    energy = codec.encode(images, 0.1).symbols.abs().square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones(3), rtol=1e-4, atol=1e-4)


def test_encoder_and_decoder_heed_the_noise_and_the_rate(codec: ConvSwin) -> None:
    image = torch.rand(1, 3, 16, 16, generator=generator())
    quiet, loud = (codec.encode(image, n0).symbols for n0 in (0.01, 1.0))
    assert (quiet - loud).abs().max() > 1e-3
    low, high = (codec.decode(Received(quiet, torch.full(quiet.shape, n0))).image for n0 in (0.01, 1.0))
    assert (low - high).abs().max() > 1e-3
    codec.ratio = 1 / 12
    half = codec.encode(image, 0.01).symbols
    assert half.shape == (1, 64)
    # Beyond another normalisation: the encoder knows the rate.
    scale = quiet[0, 0] / half[0, 0]
    assert (quiet[:, :64] - scale * half).abs().max() > 1e-3


def test_the_decoder_heeds_the_noise_of_each_symbol(codec: ConvSwin) -> None:
    """A symbol of endless noise counts as erased, whatever it is."""
    symbols = codec.encode(torch.rand(1, 3, 16, 16, generator=generator()), 0.1).symbols
    n0 = torch.full(symbols.shape, 0.1)
    n0[:, 5] = 1e12
    changed = symbols.clone()
    changed[:, 5] += 1000
    torch.testing.assert_close(codec.decode(Received(symbols, n0)).image, codec.decode(Received(changed, n0)).image)
    seen = codec.decode(Received(changed, n0 * 0 + 0.1)).image
    assert (seen - codec.decode(Received(symbols, n0)).image).abs().max() > 1e-3


def test_equalisers_make_no_difference(codec: ConvSwin) -> None:
    image = torch.rand(2, 3, 16, 16, generator=generator())
    zf, mmse = (Link(codec, Rayleigh("fast", equaliser=e))(image, 5.0, rng=generator()).image for e in ("zf", "mmse"))
    torch.testing.assert_close(zf, mmse, rtol=1e-3, atol=1e-3)


def test_the_linear_path_alone_carries_an_image() -> None:
    """Before any training: a photograph over the analogue transform code, blurred but there."""
    torch.manual_seed(0)
    images = sample_images()
    blurred = Link(ConvSwin(ratio=1 / 3).eval(), AWGN())(images, 20.0, rng=generator()).image
    assert psnr(blurred, images) > 15


def test_the_transform_is_orthonormal_with_falling_energies() -> None:
    analysis, energy = transform()
    torch.testing.assert_close(analysis @ analysis.T, torch.eye(2 * MAX_SYMBOLS), rtol=0, atol=1e-5)
    assert (energy.diff() <= 1e-6).all()
    assert analysis[0].std() < 0.02  # the mean grey of the cell, nearly


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (5, 11), (4, 4), (9, 3)])
def test_windows_are_what_they_should_be(rows: int, columns: int) -> None:
    """Against attention over all pairs of tokens, masked to those of one window."""
    torch.manual_seed(0)
    k, shift, width, heads = 4, 2, 6, 2
    attention = WindowAttention(width, heads=heads, window=k, shift=shift).requires_grad_(False)
    nn.init.normal_(attention.bias)
    x = torch.randn(2, rows, columns, width, generator=generator())
    moved = shift if max(rows, columns) > k else 0
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    window = (place + k - moved) // k  # the first window starts `shift` before the image
    same = (window[:, None] == window).all(dim=-1)
    apart = place[:, None] - place + k - 1
    index = (apart[..., 0] * (2 * k - 1) + apart[..., 1]).clamp(0, (2 * k - 1) ** 2 - 1)
    q, key, v = attention.qkv(x.flatten(1, 2)).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ key.transpose(-1, -2) / (width / heads) ** 0.5 + attention.bias[:, index]
    mixed = scores.masked_fill(~same, -torch.inf).softmax(dim=-1) @ v
    expected = attention.out(mixed.transpose(1, 2).flatten(2)).reshape(x.shape)
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_no_token_sees_padding_or_the_other_side() -> None:
    seen = visible(6, 8, window=4, shift=2)
    assert seen.shape == (4, 16, 16)
    assert seen.diagonal(dim1=1, dim2=2).all()
    assert seen[0].all()  # rows 2 to 5 and columns 2 to 5
    assert seen[1].sum() == 2 * 8 * 8  # columns 6 and 7 beside 0 and 1, brought round
