from __future__ import annotations

import pytest
import torch

from semlink.neural.networks import DeepJSCC, noise_level
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received, channel_uses


@pytest.fixture(scope="module")
def codec() -> DeepJSCC:
    torch.manual_seed(0)
    return DeepJSCC(8, (8, 12)).eval()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 30), (33, 47), (50, 41), (11, 64)])
@pytest.mark.parametrize("cell_symbols", [8, 4])
def test_any_size_goes_through_within_its_bandwidth(size: tuple[int, int], cell_symbols: int) -> None:
    codec = DeepJSCC(cell_symbols, (4, 6))
    image = torch.rand(2, 3, *size, generator=generator())
    got = Link(codec, Rayleigh("fast"))(image, 10.0, rng=generator())
    assert got.image.shape == image.shape
    assert 0 <= got.image.min() <= got.image.max() <= 1
    assert sum(got.uses.values()) == channel_uses((3, *size), cell_symbols / 48)
    assert got.ratio <= cell_symbols / 48


def test_what_is_not_sent_is_at_the_padded_border(codec: DeepJSCC) -> None:
    """33×32 pixels: a ninth row of cells with one true row in four, of which a fourth of the symbols are sent."""
    sent = codec.sent(33, 32)
    rows = (sent % (9 * 8)) // 8
    assert len(sent) == channel_uses((3, 33, 32), 1 / 6)
    assert (rows < 8).sum() == 8 * 8 * 8
    assert torch.equal(sent, sent.sort().values)
    assert torch.equal(codec.sent(32, 32), torch.arange(512))


def test_an_image_does_not_see_its_batch(codec: DeepJSCC) -> None:
    images = torch.rand(4, 3, 16, 16, generator=generator())
    whole = codec.encode(images, 0.1).symbols
    alone = torch.cat([codec.encode(one, 0.1).symbols for one in torch.split(images, 1)])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)


def test_every_image_has_unit_energy(codec: DeepJSCC) -> None:
    images = torch.rand(3, 3, 20, 24, generator=generator()) * torch.tensor([0.01, 0.5, 1]).reshape(3, 1, 1, 1)
    energy = codec.encode(images, 0.1).symbols.abs().square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones(3), rtol=1e-4, atol=1e-4)


def test_encoder_and_decoder_heed_the_noise(codec: DeepJSCC) -> None:
    image = torch.rand(1, 3, 16, 16, generator=generator())
    quiet, loud = (codec.encode(image, n0).symbols for n0 in (0.01, 1.0))
    assert (quiet - loud).abs().max() > 1e-3
    symbols = quiet
    low, high = (codec.decode(Received(symbols, torch.full(symbols.shape, n0))).image for n0 in (0.01, 1.0))
    assert (low - high).abs().max() > 1e-3


def test_the_decoder_heeds_the_noise_of_each_symbol(codec: DeepJSCC) -> None:
    """A symbol of endless noise counts as erased, whatever it is."""
    symbols = codec.encode(torch.rand(1, 3, 16, 16, generator=generator()), 0.1).symbols
    n0 = torch.full(symbols.shape, 0.1)
    n0[:, 5] = 1e12
    changed = symbols.clone()
    changed[:, 5] += 1000
    torch.testing.assert_close(codec.decode(Received(symbols, n0)).image, codec.decode(Received(changed, n0)).image)
    assert (
        codec.decode(Received(changed, n0 * 0 + 0.1)).image - codec.decode(Received(symbols, n0)).image
    ).abs().max() > 1e-3


def test_equalisers_make_no_difference(codec: DeepJSCC) -> None:
    image = torch.rand(2, 3, 16, 16, generator=generator())
    zf, mmse = (Link(codec, Rayleigh("fast", equaliser=e))(image, 5.0, rng=generator()).image for e in ("zf", "mmse"))
    torch.testing.assert_close(zf, mmse, rtol=1e-3, atol=1e-3)


def test_noise_level_is_in_tens_of_decibels_and_limited() -> None:
    n0 = torch.tensor([[0.1, 0.01], [1e9, 1e9], [1e-9, 1e-9]])
    torch.testing.assert_close(noise_level(n0), torch.tensor([[1.5], [-2.0], [3.0]]))


@pytest.mark.parametrize("shape", [(1, 3, 7, 40), (1, 3, 40, 7), (1, 1, 32, 32), (1, 3, 1, 1)])
def test_images_it_cannot_take_are_refused(codec: DeepJSCC, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 8x8"):
        Link(codec, AWGN())(torch.zeros(shape), 10.0, rng=generator())
