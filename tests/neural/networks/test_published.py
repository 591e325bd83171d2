from __future__ import annotations

import pytest
import torch

from semlink.neural import zoo
from semlink.neural.models import Network, build, parameters
from semlink.neural.networks import ADJSCC, FixedRate, PlainDeepJSCC, SwinGSC
from semlink.neural.networks.fixed_rate import unweighted
from semlink.neural.networks.published import GDN, Above
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received, channel_uses

CODECS = ("deepjscc-plain", "adjscc", "swin-gsc")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def make(name: str) -> FixedRate:
    torch.manual_seed(0)
    networks = {"deepjscc-plain": {"cell_symbols": 8}, "adjscc": {"cell_symbols": 8, "width": 16}}
    codec = build(name, networks.get(name, {})).eval().requires_grad_(False)
    assert isinstance(codec, FixedRate)
    return codec


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 30), (33, 47), (11, 64)])
@pytest.mark.parametrize("name", CODECS)
def test_any_size_goes_through_within_its_bandwidth(name: str, size: tuple[int, int]) -> None:
    codec = make(name)
    image = torch.rand(2, 3, *size, generator=generator())
    for channel in (AWGN(), Rayleigh("fast")):
        got = Link(codec, channel)(image, 10.0, rng=generator())
        assert got.image.shape == image.shape
        assert sum(got.uses.values()) == channel_uses((3, *size), 1 / 6)


@pytest.mark.parametrize("name", CODECS)
def test_small_images_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes RGB of at least 8x8"):
        make(name).encode(torch.rand(1, 3, 7, 32), 0.1)


def test_the_networks_are_of_the_published_size() -> None:
    """156,249 in the code it is taken from, whose decoder shares one PReLU slope of four."""
    assert parameters(PlainDeepJSCC(8)) == 156_249 + 3
    # 256 filters: kernels and biases, GDN of β and γ, PReLU, and the attention of 257 to 16 to 256.
    kernels = 3 * 256 * 81 + 3 * 256 * 256 * 25 + 256 * 16 * 25 + 4 * 256 + 16
    kernels += 16 * 256 * 25 + 3 * 256 * 256 * 25 + 256 * 3 * 81 + 4 * 256 + 3
    gdn = 8 * (256**2 + 256) + 16**2 + 16 + 3**2 + 3
    attention = 8 * (256 + 257 * 16 + 16 + 16 * 256 + 256)
    assert parameters(ADJSCC(8)) == kernels + gdn + attention


def test_gsc_sends_64_channels_of_a_grid_of_4() -> None:
    codec = SwinGSC()
    assert codec.analyse(torch.rand(1, 3, 32, 32), torch.zeros(1, 1)).shape == (1, 64, 4, 4)
    assert codec.ratio == pytest.approx(1 / 6)
    assert [type(layer).__name__ for layer in codec.modules() if "LU" in type(layer).__name__] == ["ReLU"] * 8
    assert {module.window for module in codec.modules() if hasattr(module, "window")} == {2}


@pytest.mark.parametrize(("name", "heeds"), [("deepjscc-plain", False), ("swin-gsc", False), ("adjscc", True)])
def test_which_codecs_heed_the_noise(name: str, heeds: bool) -> None:
    codec = make(name)
    image = torch.rand(1, 3, 32, 32, generator=generator())
    frames = [codec.encode(image, n0) for n0 in (0.01, 1.0)]
    symbols = frames[0].symbols
    shown = [codec.decode(Received(symbols, torch.full(symbols.shape, n0))).image for n0 in (0.01, 1.0)]
    assert ((frames[0].symbols - frames[1].symbols).abs().max() > 1e-4).item() is heeds
    assert ((shown[0] - shown[1]).abs().max() > 1e-4).item() is heeds
    assert ("transmitter" in frames[0].notes) is heeds


def test_adjscc_is_told_the_esno_in_db() -> None:
    codec, told = make("adjscc"), []
    for module in codec.modules():
        if hasattr(module, "squeeze"):
            module.squeeze.register_forward_hook(lambda _layer, given, _out: told.append(given[0][0, -1].item()))
    symbols = codec.encode(torch.rand(1, 3, 32, 32, generator=generator()), 0.05).symbols
    codec.decode(Received(symbols, torch.full(symbols.shape, 0.5)))
    assert told == pytest.approx([13.01] * 4 + [3.01] * 4, abs=0.01)


def test_symbols_come_as_they_are_where_all_are_alike() -> None:
    symbols = torch.randn(2, 6, 3, 3, generator=generator())
    factor = torch.tensor([0.9, 0.2]).reshape(2, 1, 1, 1).expand(2, 3, 3, 3)
    seen = torch.cat([symbols * factor.repeat(1, 2, 1, 1), factor], dim=1)
    torch.testing.assert_close(unweighted(seen), symbols)
    faded = factor.clone()
    faded[:, 0, 1, 1] = 1e-6  # in a deep fade
    got = unweighted(torch.cat([symbols.sign() * 1000 * faded.repeat(1, 2, 1, 1), faded], dim=1))
    assert got[:, 0, 1, 1].abs().max() < 0.01


def test_gdn_is_its_formula() -> None:
    torch.manual_seed(0)
    gdn, x = GDN(5), torch.randn(2, 5, 3, 4, generator=generator())
    gdn.beta_root.data, gdn.gamma_root.data = torch.rand(5) + 0.5, torch.rand(5, 5)
    norm = gdn.beta_root.square()[:, None] + gdn.gamma_root.square() @ x.square().flatten(2)
    torch.testing.assert_close(gdn(x).flatten(2), x.flatten(2) / norm.sqrt())
    gdn.inverse = True
    torch.testing.assert_close(gdn(x).flatten(2), x.flatten(2) * norm.sqrt())


def test_gdn_begins_as_published() -> None:
    x = torch.randn(1, 3, 2, 2, generator=generator())
    torch.testing.assert_close(GDN(3)(x), x / (1 + 0.1 * x.square()).sqrt())


def test_the_bound_lets_gradients_out_and_not_further_in() -> None:
    x = torch.tensor([0.5, 0.1, 0.1], requires_grad=True)
    Above.apply(x, 0.2).mul(torch.tensor([1.0, 1.0, -1.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("name", [*CODECS, "deepjscc", "swin"])
def test_what_no_codec_can_take_is_named(name: str) -> None:
    """Also without a `Link`, which looks at the images itself."""
    networks = {"deepjscc": {"cell_symbols": 8, "widths": (4, 6)}, "swin": {"widths": (8, 12), "depths": (1, 1)}}
    codec = build(name, networks[name]) if name in networks else make(name)
    assert isinstance(codec, Network)
    good = torch.rand(1, 3, 16, 16, generator=generator())
    for image, said in (
        (good[0], r"image has shape \(3, 16, 16\)"),
        (good[:0], r"image has shape \(0, 3, 16, 16\)"),
        (good * torch.nan, r"image spans \[nan, nan\]"),
        (good * 255, r"it must lie in \[0, 1\]"),
        (good.byte(), "torch.uint8"),
        (good.double(), f"image has dtype torch.float64; {name} takes torch.float32"),
    ):
        with pytest.raises(ValueError, match=said):
            codec.encode(image, 0.1)
    symbols = torch.ones(1, 300, dtype=torch.complex64)
    with pytest.raises(ValueError, match="300 symbols for an image of"):
        codec.decode(Received(symbols, torch.ones(1, 300), image_shape=(3, 16, 16)))


def test_adjscc_shows_something_of_the_deepest_fade() -> None:
    """Its inverse GDN would make infinities, and NaN, of what zero-forcing leaves there."""
    codec, image = zoo.load("adjscc"), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    symbols = codec.encode(image, 1.0).symbols
    noise = torch.view_as_complex(torch.randn(*symbols.shape, 2, generator=torch.Generator().manual_seed(1)))
    for gain in (1e-1, 1e-3, 1e-6):
        n0 = torch.full(symbols.shape, gain**-2)
        shown = codec.decode(Received(symbols + noise / gain, n0, image_shape=(3, 16, 16)))
        assert (shown if isinstance(shown, torch.Tensor) else shown[0]).isfinite().all()
