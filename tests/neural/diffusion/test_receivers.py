"""Receivers that are codecs again, the denoiser of received symbols, and the plain control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from semlink.baselines.separate import SeparateCodec, separate_codec
from semlink.neural.diffusion import CONFIGS, SFT, Denoised, Refined, Refiner, ResidualCNN, SymbolDenoiser, grid_of
from semlink.neural.diffusion.cddm import KNOTS, Grid
from semlink.neural.models import parameters
from semlink.neural.networks import ConvSwin, DeepJSCC, SwinGSC, as_pairs, as_symbols
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Codec, Decoded, Frame, InformedCodec, Link, Received, Rng
from semlink.phy.rng import image_rngs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=generator())


def deepjscc() -> DeepJSCC:
    torch.manual_seed(0)
    return DeepJSCC(8, (4, 6)).eval().requires_grad_(False)


def swin() -> ConvSwin:
    torch.manual_seed(0)
    return ConvSwin(widths=(8, 8), depths=(1, 1), heads=2, window=4).eval().requires_grad_(False)


def sft() -> SFT:
    torch.manual_seed(0)
    network = SFT(width=4, dim=8, blocks=(1, 1, 1, 1), refinement=0, extractor_blocks=1, predicts="x0")
    with torch.no_grad():
        network.restorer.leave.weight *= 10
    return network.eval().requires_grad_(False)


class Brighter:
    """Adds the noise level and a draw of its own, so that both can be read off the image."""

    channels, least_side, draws = 3, 8, True

    def __init__(self) -> None:
        self.levels: list[float] = []

    def refine(self, decoded: torch.Tensor, level: torch.Tensor, *, rng: Rng) -> torch.Tensor:
        self.levels += level[:, 0].tolist()
        assert not isinstance(rng, torch.Generator)
        drawn = torch.stack([torch.rand((), generator=one) for one in rng])
        return decoded * 0.5 + 0.2 * drawn[:, None, None, None]


class Half:
    """A codec that decodes to a given image, of which the second one of a batch failed."""

    ratio = 1 / 6

    def __init__(self, image: torch.Tensor) -> None:
        self.image = image

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        return Frame(torch.ones(len(image), 512, dtype=torch.complex64), {"payload": 500, "pilot": 12})

    def decode(self, received: Received) -> Decoded:
        count = len(self.image)
        failed = torch.arange(count) == 1
        return Decoded(self.image, failed, block_errors=failed.int(), blocks=torch.full((count,), 4))


def test_a_refined_codec_keeps_what_the_codec_says() -> None:
    """Symbols, ledger, notes and bits are the codec's; so is what failed, and what it was decoded to."""
    codec, image = SeparateCodec(mcs="16qam-1/2"), images(2)
    plain, refined = Link(codec, AWGN()), Link(Refined(codec, Brighter()), AWGN())
    for esno_db in (20.0, -5.0):
        alone, got = (link(image, esno_db, rng=image_rngs(0, image)) for link in (plain, refined))
        assert (got.uses, got.notes, got.modes, got.ratio) == (alone.uses, alone.notes, alone.modes, alone.ratio)
        assert got.bits.keys() == alone.bits.keys()
        assert all(torch.equal(got.bits[purpose], alone.bits[purpose]) for purpose in got.bits)
        assert torch.equal(got.failed, alone.failed)
        assert got.failed.all().item() is (esno_db < 0)
        for count, other in ((got.block_errors, alone.block_errors), (got.blocks, alone.blocks)):
            assert count is not None
            assert other is not None
            assert torch.equal(count, other)
        assert torch.equal(got.image, alone.image) is (esno_db < 0)


def test_a_failed_image_passes_through_untouched() -> None:
    image, refiner = images(3), Brighter()
    received = Received(torch.zeros(3, 512, dtype=torch.complex64), torch.full((3, 512), 0.1))
    got = Refined(Half(image), refiner).decode(received)
    assert got.failed is not None
    assert got.failed.tolist() == [False, True, False]
    assert torch.equal(got.image[1], image[1])
    assert not torch.equal(got.image[0], image[0])
    assert refiner.levels == pytest.approx([1.0, 1.0])


def test_the_level_is_that_after_equalisation() -> None:
    """A biased reception tells the noise of its symbols once they are scaled to what was sent."""
    refiner, n0 = Brighter(), torch.tensor([[0.1], [0.001], [10.0]]).expand(3, 512)
    received = Received(torch.zeros(3, 512, dtype=torch.complex64), n0 * 0.25, bias=torch.full((3, 512), 0.5))
    Refined(Half(images(3)), refiner).decode(received)
    assert refiner.levels == pytest.approx([1.0, -1.0])
    refiner.levels.clear()
    Refined(Half(images(3)), refiner).decode(received.unbiased())
    assert refiner.levels == pytest.approx([1.0, -1.0])


def test_a_genies_codec_stays_one() -> None:
    genie = separate_codec(mcs="genie")
    refined = Refined(genie, Brighter())
    assert isinstance(refined, InformedCodec)
    assert not isinstance(Refined(deepjscc(), Brighter()), InformedCodec)
    assert isinstance(Refined(deepjscc(), Brighter()), Codec)
    image = images(1)
    assert Link(refined, Rayleigh("block"))(image, 15.0, rng=generator()).image.shape == image.shape
    with pytest.raises(ValueError, match="genie's encoder needs the channel"):
        refined.encode(image, 0.1)


@pytest.mark.parametrize("refiner", [sft(), ResidualCNN(width=8, blocks=1)], ids=["sft", "control"])
def test_a_reception_is_refined_alike_in_any_batch(refiner: Refiner) -> None:
    refined, image = Refined(deepjscc(), refiner), images(4)
    together = Link(refined, AWGN())(image, 5.0, rng=image_rngs(0, image)).image
    for i in (0, 2):
        alone = Link(refined, AWGN())(image[i : i + 1], 5.0, rng=image_rngs(0, image[i : i + 1])).image
        torch.testing.assert_close(alone[0], together[i], rtol=1e-3, atol=1e-4)
    reordered = image[[2, 0, 3, 1]]
    other = Link(refined, AWGN())(reordered, 5.0, rng=image_rngs(0, reordered)).image
    torch.testing.assert_close(other, together[[2, 0, 3, 1]], rtol=1e-3, atol=1e-4)


def test_mean_and_spread_of_several_samples() -> None:
    """Against the samples themselves, which other seeds give too; the first is the one that is shown."""
    image = images(3) * 0.5
    refined = Refined(Half(image), Brighter(), seed=3)
    received = Received(torch.zeros(3, 512, dtype=torch.complex64), torch.full((3, 512), 0.1))
    got = refined.samples(received, 5)
    draws = [torch.rand((), generator=generator(3 * 1_000_003 + i)) for i in range(5)]
    singles = torch.stack([image * 0.5 + 0.2 * draw for draw in draws])
    torch.testing.assert_close(got.mean[0], singles[:, 0].mean(dim=0))
    torch.testing.assert_close(got.spread[0], singles[:, 0].std(dim=0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(refined.decode(received).image[0], singles[0, 0])
    assert got.failed.tolist() == [False, True, False]
    torch.testing.assert_close(got.mean[1], image[1])
    assert got.spread[1].max() < 1e-6
    assert Refined(Half(image), ResidualCNN(width=8, blocks=1)).samples(received, 3).spread.max() < 1e-5
    with pytest.raises(ValueError, match="count=1 must be at least 2"):
        refined.samples(received, 1)


def test_bad_decoded_images_are_refused() -> None:
    received = Received(torch.zeros(2, 512, dtype=torch.complex64), torch.full((2, 512), 0.1))
    broken = images(2)
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        Refined(Half(broken), Brighter()).decode(received)
    with pytest.raises(ValueError, match="image with 1 channels: the refiner takes 3"):
        Refined(Half(images(2)[:, :1]), sft()).decode(received)
    with pytest.raises(ValueError, match="at least 8x8 pixels"):
        Refined(Half(images(2, side=7)), sft()).decode(received)
    with pytest.raises(ValueError, match="not logits"):
        Refined(Half(torch.rand(2, 10)), sft()).decode(received)


def test_the_control_is_of_the_size_of_the_light_receiver() -> None:
    light = SFT(**CONFIGS["sft"])  # type: ignore[arg-type]
    receiver = parameters(light) - parameters(light.oracle)
    assert parameters(ResidualCNN()) == pytest.approx(receiver, rel=0.03)


def test_the_control_is_told_the_noise_level() -> None:
    image = images(2)
    for knows in (True, False):
        torch.manual_seed(0)
        control = ResidualCNN(width=8, blocks=1, knows_level=knows)
        for block in control.blocks:
            torch.nn.init.normal_(block.modulation.weight)  # which begins without effect
        low, high = (control.restore(image, torch.full((2, 1), level)) for level in (0.0, 2.0))
        assert ((low - high).abs().max() > 1e-4).item() is knows


@pytest.mark.parametrize("codec", [swin(), deepjscc(), SwinGSC()], ids=["swin", "deepjscc", "swin-gsc"])
@pytest.mark.parametrize("size", [(32, 32), (33, 21)])
def test_the_grid_is_where_the_codec_has_its_symbols(codec: Codec, size: tuple[int, int]) -> None:
    """What the codec's decoder sees of a symbol is where the grid has put it."""
    image = torch.rand(1, 3, *size, generator=generator())
    symbols = codec.encode(image, 0.1).symbols
    grid = grid_of(codec, *size, symbols.shape[1])
    seen: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
        seen.append(inputs[0])

    if isinstance(codec, ConvSwin):
        hook = codec.decoder.register_forward_pre_hook(watch)
        codec.decode(Received(symbols, torch.full(symbols.shape, 1e-6), image_shape=(3, *size)))
        hook.remove()
        placed = seen[0]
    else:
        real = codec.synthesise
        codec.synthesise = lambda x, level: (seen.append(x), real(x, level))[1]  # type: ignore[method-assign]
        codec.decode(Received(symbols, torch.full(symbols.shape, 1e-6), image_shape=(3, *size)))
        del codec.synthesise
        placed = seen[0]
    torch.testing.assert_close(grid.place(as_pairs(symbols)), placed[:, : 2 * grid.symbols], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(grid.pick(grid.place(as_pairs(symbols))), as_pairs(symbols))


@pytest.mark.parametrize("make", [swin, deepjscc])
def test_an_untrained_denoiser_changes_nothing(make: type) -> None:
    """It hands on symbols and noise as they were: over AWGN, through fades, and where nothing arrived."""
    codec = make()
    torch.manual_seed(0)
    denoiser = SymbolDenoiser(symbols=16 if isinstance(codec, ConvSwin) else 8, width=8, blocks=1)
    image = images(2)
    for channel in (AWGN(), Rayleigh("fast", equaliser="mmse")):
        plain, denoised = (
            Link(one, channel)(image, 5.0, rng=image_rngs(0, image)) for one in (codec, Denoised(codec, denoiser))
        )
        torch.testing.assert_close(denoised.image, plain.image, rtol=1e-4, atol=1e-5)
        assert denoised.uses == plain.uses
    symbols = codec.encode(image, 0.1).symbols
    n0 = torch.full(symbols.shape, 0.1)
    n0[:, 7] = 1e9
    shape = (3, 32, 32)
    torch.testing.assert_close(
        Denoised(codec, denoiser, steps=3).decode(Received(symbols, n0, image_shape=shape)).image,
        codec.decode(Received(symbols, n0, image_shape=shape)).image,
        rtol=1e-4,
        atol=1e-5,
    )


class Gaussian(SymbolDenoiser):
    """Knows that its symbols are CN(0, 0.5): the exact E[x | y], which is y · 0.5 / (0.5 + n0)."""

    def estimate(self, pairs: torch.Tensor, n0: torch.Tensor, grid: Grid) -> torch.Tensor:
        return pairs * (0.5 / (0.5 + n0))[:, :, None]


def test_each_symbol_is_denoised_from_its_own_noise() -> None:
    """One step gives the mean; many follow the flow, which keeps y's place in its law: y · √(0.5 / (0.5 + n0))."""
    denoiser = Gaussian(symbols=8, width=8, blocks=1)
    grid = Grid(8, 2, 2, torch.arange(32))
    y = torch.randn(1, 32, dtype=torch.complex64, generator=generator())
    n0 = torch.logspace(-2, 1, 32)[None]
    mean, handed = denoiser.denoise(y, n0, grid)
    torch.testing.assert_close(mean / (1 + n0), y * 0.5 / (0.5 + n0))  # the residual was not measured yet
    torch.testing.assert_close(handed, n0)
    sample, _ = denoiser.denoise(y, n0, grid, steps=100)
    torch.testing.assert_close(sample / (1 + n0).sqrt(), y * (0.5 / (0.5 + n0)).sqrt(), rtol=0.03, atol=1e-3)


def test_the_residual_is_measured() -> None:
    """CN(0, 0.5) leaves 0.5 · n0 / (0.5 + n0); what is handed on is such that a Wiener factor gives x̂ back."""
    denoiser = Gaussian(symbols=8, width=8, blocks=1).train()
    grid, rng = Grid(8, 16, 16, torch.arange(2048)), generator()
    for _ in range(200):
        x = torch.randn(8, 2048, dtype=torch.complex64, generator=rng) * 0.5**0.5
        n0 = 10 ** (4 * torch.rand(8, 2048, generator=rng) - 2.5)
        y = x + torch.randn(8, 2048, dtype=torch.complex64, generator=rng) * n0.sqrt()
        loss = denoiser.noise_loss(x, y, n0, grid)
    # Of the noise of unit variance the part 0.5 / (0.5 + n0) stays unknown, in every image.
    torch.testing.assert_close(loss, (0.5 / (0.5 + n0)).mean(dim=1), rtol=0, atol=0.08)
    n0 = torch.logspace(-2, 1, 13)[None]
    expected = 0.5 / (0.5 + n0) * (1 + n0)  # over a Wiener filter's n0 / (1 + n0)
    torch.testing.assert_close(denoiser.residual_share(n0), expected, rtol=0.05, atol=0.02)
    y = torch.randn(1, 13, dtype=torch.complex64, generator=rng)
    symbols, left = denoiser.eval().denoise(y, n0, Grid(8, 2, 1, torch.arange(13)))
    torch.testing.assert_close(symbols / (1 + left), y * 0.5 / (0.5 + n0))
    error = 0.5 * n0 / (0.5 + n0)
    torch.testing.assert_close(left / (1 + left), error, rtol=0.05, atol=0.02)
    before = denoiser.residual.clone()
    denoiser.noise_loss(y, y, n0, Grid(8, 2, 1, torch.arange(13)))
    assert torch.equal(denoiser.residual, before)  # not in training
    assert before.shape == (KNOTS,)


def test_a_denoiser_learns_and_helps() -> None:
    """Symbols that repeat over the cells: the network finds the mean, and the error falls below a Wiener filter's."""
    torch.manual_seed(0)
    denoiser = SymbolDenoiser(symbols=2, width=16, blocks=1).train()
    grid, rng = Grid(2, 4, 4, torch.arange(32)), generator()
    adam = torch.optim.Adam(denoiser.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        cell = torch.randn(32, 2, 1, dtype=torch.complex64, generator=rng)
        x = cell.expand(32, 2, 16).flatten(1)
        n0 = torch.full(x.shape, 0.5)
        y = x + torch.randn(x.shape, dtype=torch.complex64, generator=rng) * n0.sqrt()
        loss = denoiser.noise_loss(x, y, n0, grid).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1 / 1.5, abs=0.05)  # a Wiener filter's: 1 / (1 + n0)
    assert sum(losses[-10:]) / 10 < 0.5 * losses[0]
    symbols, left = denoiser.eval().denoise(y, n0, grid)
    assert (symbols - x).abs().square().mean() < 0.6 * n0.mean()
    assert left.mean() < 0.6 * n0.mean()


def test_codecs_without_a_grid_are_refused() -> None:
    denoiser = SymbolDenoiser(symbols=16, width=8, blocks=1)
    with pytest.raises(ValueError, match="SeparateCodec must be a neural one"):
        Denoised(SeparateCodec(), denoiser)
    with pytest.raises(ValueError, match="codec has 8 symbols a cell; the denoiser was built for 16"):
        Denoised(deepjscc(), denoiser)
    for steps in (0, 101):
        with pytest.raises(ValueError, match=f"steps={steps} must be from 1 to 100"):
            Denoised(swin(), denoiser, steps=steps)
    with pytest.raises(ValueError, match="500 symbols: the codec sends 512"):
        grid_of(deepjscc(), 32, 32, 500)


def test_a_large_grid_in_tiles_is_as_the_whole() -> None:
    torch.manual_seed(0)
    denoiser = SymbolDenoiser(symbols=1, width=4, blocks=1).eval()
    torch.nn.init.normal_(denoiser.leave.weight)
    grid = Grid(1, 150, 140, torch.arange(150 * 140))
    y = torch.randn(1, 150 * 140, dtype=torch.complex64, generator=generator())
    n0 = torch.full(y.shape, 0.3)
    with torch.no_grad():
        tiled = denoiser.estimate(as_pairs(y), n0, grid)
    torch.testing.assert_close(denoiser.estimate(as_pairs(y), n0, grid), tiled, rtol=1e-4, atol=1e-4)
    assert as_symbols(tiled).shape == y.shape


def test_both_receivers_in_a_row() -> None:
    codec = swin()
    denoiser = SymbolDenoiser(width=8, blocks=1)
    both, image = Refined(Denoised(codec, denoiser), sft()), images(2)
    got = Link(both, Rayleigh("block"))(image, 10.0, rng=image_rngs(0, image))
    assert got.image.shape == image.shape
    assert both.ratio == codec.ratio
    assert torch.equal(both.encode(image, 0.1).symbols, replace(codec.encode(image, 0.1)).symbols)
