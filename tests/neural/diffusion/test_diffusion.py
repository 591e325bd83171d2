"""Diffusion in a few steps, and the networks of semantic fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from semlink.neural.diffusion import CONFIGS, SFT, Schedule, absolute_errors
from semlink.neural.diffusion.prior import PriorDenoiser, PriorExtractor
from semlink.neural.diffusion.refiner import in_parts
from semlink.neural.diffusion.restorer import ChannelAttention, ChannelNorm, Restorer, padded
from semlink.neural.models import parameters

TINY: dict[str, Any] = {"width": 4, "dim": 8, "blocks": (1, 1, 1, 1), "refinement": 0, "extractor_blocks": 1}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(**changed: object) -> SFT:
    torch.manual_seed(0)
    network = SFT(**{**TINY, **changed})  # type: ignore[arg-type]
    for one in network.levels:  # which begins without effect
        torch.nn.init.normal_(one.leave.weight)
    return network.eval().requires_grad_(False)


def each(count: int, seed: int = 0) -> list[torch.Generator]:
    return [generator(seed + i) for i in range(count)]


@pytest.mark.parametrize(
    ("rule", "betas", "alpha_bars"),
    [
        # β by hand; ᾱ: 0.9, · 0.603333, · 0.306667, · 0.01.
        ("linear", [0.1, 0.396667, 0.693333, 0.99], [1, 0.9, 0.543, 0.16652, 0.0016652]),
        # √β: 0.316228, 0.542481, 0.768734, 0.994987.
        ("sqrt-linear", [0.1, 0.294286, 0.590952, 0.99], [1, 0.9, 0.635143, 0.259804, 0.00259804]),
    ],
)
def test_the_schedule_by_hand(rule: str, betas: list[float], alpha_bars: list[float]) -> None:
    schedule = Schedule(4, rule)
    assert schedule.betas == pytest.approx(betas, rel=1e-5)
    assert schedule.alpha_bars == pytest.approx(alpha_bars, rel=1e-5)


def test_one_step_alone_still_ends_in_noise() -> None:
    assert Schedule(1).betas == pytest.approx([0.99])


def test_the_forward_process_by_hand() -> None:
    """ᾱ_2 = 0.543: √ = 0.736885 of the signal, √0.457 = 0.676018 of the noise."""
    got = Schedule(4).diffuse(torch.tensor([[2.0]]), 2, torch.tensor([[-1.0]]))
    assert got.item() == pytest.approx(2 * 0.736885 - 0.676018, rel=1e-5)


def test_the_posterior_by_hand() -> None:
    """t = 2 of the linear rule: β 0.396667, ᾱ 0.543, ᾱ_1 0.9.

    Weight of x_0: √0.9 · 0.396667 / 0.457 = 0.823445; of x_2: √0.603333 · 0.1 / 0.457 = 0.169966; variance
    0.396667 · 0.1 / 0.457 = 0.0867979.
    """
    schedule, one, zero = Schedule(4), torch.ones(1, 1), torch.zeros(1, 1)
    assert schedule.posterior_mean(one, zero, 2).item() == pytest.approx(0.823445, rel=1e-5)
    assert schedule.posterior_mean(zero, one, 2).item() == pytest.approx(0.169966, rel=1e-5)
    assert schedule.posterior_variance(2) == pytest.approx(0.0867979, rel=1e-5)
    assert schedule.posterior_variance(1) == 0.0


def test_a_reverse_step_by_hand() -> None:
    """t = 2, x_2 = 1: eq. (12) with ε = 0.5 is (1 − 0.396667 / √0.457 · 0.5) / √0.603333 = 0.909712."""
    schedule, x = Schedule(4), torch.ones(1, 1)
    noise = torch.tensor([[0.5]])
    assert schedule.reverse_step(x, noise, 2, predicts="noise").item() == pytest.approx(0.909712, rel=1e-5)
    assert schedule.reverse_step(x, 0.4 * x, 2, predicts="x0").item() == pytest.approx(0.499344, rel=1e-5)
    noisy = schedule.reverse_step(x, 0.4 * x, 2, predicts="x0", noise=torch.tensor([[-2.0]]))
    assert noisy.item() == pytest.approx(0.499344 - 2 * math.sqrt(0.0867979), abs=1e-5)


@pytest.mark.parametrize("t", [1, 2, 3, 4])
@pytest.mark.parametrize("rule", ["linear", "sqrt-linear"])
def test_predicting_noise_or_x0_is_one_step(rule: str, t: int) -> None:
    schedule = Schedule(4, rule)
    x0, noise = (torch.randn(3, 5, generator=generator(i), dtype=torch.float64) for i in (0, 1))
    x = schedule.diffuse(x0, t, noise)
    torch.testing.assert_close(schedule.clean(x, noise, t, predicts="noise"), x0)
    torch.testing.assert_close(
        schedule.reverse_step(x, noise, t, predicts="noise"), schedule.reverse_step(x, x0, t, predicts="x0")
    )
    for to in range(t):  # DDIM with the truth stays on the path of this noise
        expected = schedule.diffuse(x0, to, noise) if to else x0
        for predicts, predicted in (("noise", noise), ("x0", x0)):
            torch.testing.assert_close(schedule.ddim_step(x, predicted, t, to=to, predicts=predicts), expected)


@pytest.mark.parametrize(("steps", "visited"), [(1, [4, 0]), (2, [4, 2, 0]), (3, [4, 3, 1, 0]), (4, [4, 3, 2, 1, 0])])
def test_the_steps_of_a_fast_sampler(steps: int, visited: list[int]) -> None:
    assert Schedule(4).times(steps) == visited
    asked: list[int] = []

    def predict(x: torch.Tensor, t: int) -> torch.Tensor:
        asked.append(t)
        return torch.full_like(x, 0.3)

    got = Schedule(4).sample(predict, torch.ones(1, 1), predicts="x0", sampler="ddim", steps=steps)
    assert asked == visited[:-1]
    torch.testing.assert_close(got, torch.tensor([[0.3]]))


def test_the_samplers_find_the_moments_of_a_gaussian() -> None:
    """With the exact E[x_0 | x_t] of x_0 ~ N(1, 0.2²), ancestral sampling and DDIM in many steps give N(1, 0.2²).

    The means alone, without their noise, give far less than its spread.
    """
    schedule, spread = Schedule(1000, start=1e-4, end=0.02), 0.2

    def predict(x: torch.Tensor, t: int) -> torch.Tensor:
        kept = schedule.alpha_bars[t]
        gain = math.sqrt(kept) * spread**2 / (kept * spread**2 + 1 - kept)
        return 1 + gain * (x - math.sqrt(kept))

    start = torch.randn(4, 1000, generator=generator(), dtype=torch.float64)
    rng = each(4, seed=1)
    got = {
        sampler: schedule.sample(predict, start, predicts="x0", sampler=sampler, rng=rng)
        for sampler in ("ancestral", "ddim", "mean")
    }
    # Four standard errors of mean and spread of 4,000 draws: 0.0126 and 0.0089, and 2 % for the finite steps.
    for sampler in ("ancestral", "ddim"):
        assert got[sampler].mean().item() == pytest.approx(1, abs=0.013)
        assert got[sampler].std().item() == pytest.approx(spread, abs=0.013)
    assert got["mean"].std().item() < 0.05


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"steps": 0}, "steps=0 must be a whole number from 1 to 1000"),
        ({"steps": 1001}, "steps=1001"),
        ({"steps": 2.0}, r"steps=2\.0"),
        ({"steps": True}, "steps=True"),
        ({"rule": "cosine"}, "schedule='cosine' must be one of: linear, sqrt-linear"),
        ({"start": 0.0}, "0 < start <= end < 1"),
        ({"end": 1.0}, "0 < start <= end < 1"),
    ],
)
def test_bad_schedules_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Schedule(**arguments)


def test_steps_out_of_range_are_refused() -> None:
    schedule, x = Schedule(4), torch.zeros(1, 1)
    for t in (0, 5, -1):
        with pytest.raises(ValueError, match=f"t={t} must be a step from 1 to 4"):
            schedule.diffuse(x, t, x)
        with pytest.raises(ValueError, match=f"t={t} must be"):
            schedule.reverse_step(x, x, t, predicts="x0")
    with pytest.raises(ValueError, match="to=2 must be a step from 0 to below t=2"):
        schedule.ddim_step(x, x, 2, to=2, predicts="x0")
    with pytest.raises(ValueError, match="predicts='v' must be one of: x0, noise"):
        schedule.reverse_step(x, x, 1, predicts="v")
    with pytest.raises(ValueError, match="steps=5 must be from 1 to the schedule's 4"):
        schedule.sample(lambda x, t: x, x, predicts="x0", sampler="ddim", steps=5)
    with pytest.raises(ValueError, match="steps=2 must be 4 with sampler='mean'"):
        schedule.sample(lambda x, t: x, x, predicts="x0", steps=2)
    with pytest.raises(ValueError, match="draws noise and needs a generator"):
        schedule.sample(lambda x, t: x, x, predicts="x0", sampler="ancestral")


def test_the_layers_have_the_parameters_of_diffir() -> None:
    """Those of DiffIR's deblurring network: 25.67 M, 1.07 M, 1.05 M and 0.20 M; with C' = 96, 31.31 M and 31.71 M."""
    assert parameters(Restorer(256)) == 25_669_374
    assert parameters(PriorExtractor(2)) == 1_072_832
    assert parameters(PriorExtractor(1)) == 1_045_184
    assert parameters(PriorDenoiser(256, steps=4)) == 197_376
    with torch.device("meta"):
        paper = SFT(**CONFIGS["sft-paper"])
    parts = {name: parameters(part) for name, part in paper.named_children()}
    assert parts["restorer"] + parts["oracle"] == 31_309_086
    assert parts["restorer"] + parts["extractor"] + parts["denoiser"] == 31_711_134
    assert parameters(paper) == 31_711_134 + parts["oracle"]


def test_the_light_network_is_light() -> None:
    """Its file in float16 is within the 12 MB that ship, what only training needs included."""
    assert 2 * parameters(SFT(**CONFIGS["sft"])) < 12_000_000


def test_attention_is_between_channels_with_unit_norms() -> None:
    """Against the formula, written out for one image and one head after the other."""
    attention = ChannelAttention(8, heads=2)
    attention.temperature.data = torch.tensor([2.0, 0.5]).reshape(2, 1, 1)
    x = torch.randn(1, 8, 4, 6, generator=generator())
    query, key, value = attention.depthwise(attention.qkv(x))[0].flatten(1).chunk(3)
    heads = []
    for i, temperature in enumerate((2.0, 0.5)):
        q, k, v = (part[4 * i : 4 * i + 4] for part in (query, key, value))
        cosine = (q @ k.T) / q.norm(dim=1)[:, None] / k.norm(dim=1)
        heads.append((temperature * cosine).softmax(dim=1) @ v)
    torch.testing.assert_close(attention(x), attention.out(torch.cat(heads).reshape(1, 8, 4, 6)))


def test_the_prior_scales_and_shifts() -> None:
    norm = ChannelNorm(6, 3)
    x, prior = torch.randn(2, 6, 3, 5, generator=generator()), torch.randn(2, 3, generator=generator(1))
    k1, k2 = (norm.modulation.weight @ prior.T).T[:, :, None, None].chunk(2, dim=1)
    normed = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(x, prior), normed * k1 + k2)


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (33, 47), (32, 32)])
def test_any_size_is_refined(size: tuple[int, int]) -> None:
    decoded = torch.rand(2, 3, *size, generator=generator())
    got = tiny().refine(decoded, torch.ones(2, 1), rng=each(2))
    assert got.shape == decoded.shape
    assert bool(got.isfinite().all())


@pytest.mark.parametrize("shrink", [1, 2, 4])
def test_a_restorer_at_lower_resolution_holds_all_pixels(shrink: int) -> None:
    """What its last layer adds lands on every pixel."""
    network = tiny(shrink=shrink)
    side = network.least_side
    assert side == 8 * shrink
    image = torch.rand(1, 3, side, 2 * side, generator=generator())
    restored = network.restore(image, torch.ones(1, 16), torch.ones(1, 1))
    assert restored.shape == image.shape
    assert bool((restored != image).all())
    with pytest.raises(ValueError, match=f"image of {2 * side}x{side - 1}: .* at least {side}x"):
        network.refine(image[..., 1:, :], torch.ones(1, 1), rng=each(1))


@pytest.mark.parametrize("shrink", [0, True, 1.5])
def test_a_bad_shrink_is_refused(shrink: object) -> None:
    with pytest.raises(ValueError, match=f"shrink={shrink} must be a whole number from 1"):
        tiny(shrink=shrink)


def test_samplers_can_be_changed_afterwards() -> None:
    network = tiny()
    network.sample_by(steps=1)
    assert (network.sampler, network.sampling_steps) == ("ddim", 1)
    network.sample_by("ancestral")
    assert (network.sampler, network.sampling_steps) == ("ancestral", None)
    with pytest.raises(ValueError, match="fewer take sampler='ddim'"):
        network.sample_by("mean", steps=2)
    assert network.sampler == "ancestral"


def test_padding_reflects_and_is_cropped() -> None:
    image = torch.arange(9.0).reshape(1, 1, 1, 9).expand(1, 1, 8, 9)
    assert padded(image)[0, 0, 0].tolist() == [*range(9), *range(7, 0, -1)]
    with pytest.raises(ValueError, match="image of 7x9: a refiner takes images of at least 8x8 pixels"):
        padded(torch.rand(1, 3, 9, 7))


@pytest.mark.parametrize("changed", [{}, {"predicts": "x0"}, {"knows_level": False}, {"sampler": "ancestral"}], ids=str)
def test_an_image_does_not_depend_on_the_others_of_its_batch(changed: dict[str, Any]) -> None:
    """In float64: an untrained network enlarges the rounding errors of float32, in which batches do differ."""
    network = tiny(**changed).double()
    decoded = torch.rand(5, 3, 16, 24, generator=generator(), dtype=torch.float64)
    level = torch.linspace(0, 2, 5, dtype=torch.float64)[:, None]
    together = network.refine(decoded, level, rng=each(5))
    for i in (0, 3):
        alone = network.refine(decoded[i : i + 1], level[i : i + 1], rng=[generator(i)])
        torch.testing.assert_close(alone[0], together[i])
    one = generator(7)
    in_turn = [network.refine(decoded[i : i + 1], level[i : i + 1], rng=one) for i in range(5)]
    torch.testing.assert_close(network.refine(decoded, level, rng=generator(7)), torch.cat(in_turn))
    other = network.refine(decoded, level, rng=each(5, seed=9))
    assert (other - together).abs().max() > 1e-5


def test_the_noise_level_is_heeded_or_not() -> None:
    decoded = torch.rand(1, 3, 16, 16, generator=generator())
    for knows in (True, False):
        network = tiny(knows_level=knows)
        low, high = (network.refine(decoded, torch.tensor([[level]]), rng=each(1)) for level in (0.0, 2.0))
        assert ((low - high).abs().max() > 1e-4).item() is knows


def test_the_algorithm_at_the_receiver_by_hand() -> None:
    """Algorithm 2, line by line, with the network's own parts."""
    network = tiny(predicts="noise", knows_level=False)
    decoded = torch.rand(1, 3, 16, 16, generator=generator())
    z = torch.randn(16, generator=generator(int(torch.randint(2**63 - 1, (1,), generator=generator(5)))))[None]
    condition = network.extractor(decoded)
    for beta, kept, t in ((0.99, 0.0016652, 4), (0.693333, 0.16652, 3), (0.396667, 0.543, 2), (0.1, 0.9, 1)):
        noise = network.denoiser(z, t, condition)
        z = (z - beta / math.sqrt(1 - kept) * noise) / math.sqrt(1 - beta)
    expected = network.restorer(decoded, z)
    torch.testing.assert_close(
        network.refine(decoded, torch.ones(1, 1), rng=[generator(5)]), expected, rtol=1e-4, atol=1e-4
    )


def test_the_losses_are_the_papers() -> None:
    network = tiny()
    sent, decoded = (torch.rand(2, 3, 16, 16, generator=generator(i)) for i in (0, 1))
    level, noise = torch.tensor([[0.5], [1.5]]), torch.randn(2, 16, generator=generator(2))
    target = network.oracle(decoded, sent)
    pretrained = network.restore(decoded, target, level)
    torch.testing.assert_close(
        network.pretraining_loss(decoded, sent, level), (pretrained - sent).abs().mean(dim=(1, 2, 3))
    )
    prior = network.estimate(decoded, level, math.sqrt(0.0016652) * target + math.sqrt(0.9983348) * noise)
    expected = absolute_errors(network.restore(decoded, prior, level), sent) + (prior - target).abs().mean(dim=1)
    torch.testing.assert_close(network.diffusion_loss(decoded, sent, level, noise=noise), expected)
    doubled = network.diffusion_loss(decoded, sent, level, noise=noise, distance=lambda a, b: 2 * absolute_errors(a, b))
    torch.testing.assert_close(doubled - expected, absolute_errors(network.restore(decoded, prior, level), sent))


def test_the_gradient_goes_through_all_steps() -> None:
    """What t = 4 of the unrolled steps predicts moves the loss; the first stage's N1 is not touched."""
    network = tiny(predicts="noise").requires_grad_(True)
    asked: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, inputs: Sequence[Any], output: torch.Tensor) -> None:
        output.retain_grad()
        asked.append(output)

    network.denoiser.register_forward_hook(watch)
    sent, decoded = (torch.rand(2, 3, 16, 16, generator=generator(i)) for i in (0, 1))
    noise = torch.randn(2, 16, generator=generator(2))
    network.diffusion_loss(decoded, sent, torch.ones(2, 1), noise=noise).sum().backward()
    assert len(asked) == 4
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in asked)
    assert all(p.grad is None for p in network.oracle.parameters())
    for part in (network.extractor, network.denoiser, network.restorer):
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())


def test_large_images_go_in_tiles_and_many_in_parts() -> None:
    sizes: list[tuple[int, ...]] = []

    def restore(rows: slice, part: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(part.shape))
        return part + torch.arange(float(len(image)))[rows, None, None, None]

    for shape in ((5, 1, 256, 300), (1, 1, 512, 512), (2, 1, 900, 30)):
        sizes.clear()
        image = torch.rand(shape, generator=generator())
        got = in_parts(restore, image)
        torch.testing.assert_close(got, image + torch.arange(float(len(image)))[:, None, None, None])
        assert all(b * h * w <= 512**2 for b, _, h, w in sizes)
        assert len(sizes) == {5: 2, 1: 1, 2: 3}[shape[0]]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 0}, "steps=0"),
        ({"predicts": "v"}, "predicts='v' must be one of: x0, noise"),
        ({"schedule": "cosine"}, "schedule='cosine'"),
        ({"sampler": "euler"}, "sampler='euler' must be one of: mean, ancestral, ddim"),
        ({"sampling_steps": 2}, "steps=2 must be 4 with sampler='mean'"),
        ({"sampler": "ddim", "sampling_steps": 9}, "steps=9 must be from 1 to the schedule's 4"),
        ({"blocks": (1, 1, 1)}, "must have 4 entries"),
        ({"dim": 6, "heads": (1, 2, 4, 5)}, "must divide"),
    ],
)
def test_bad_networks_are_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SFT(**{**TINY, **changed})


def test_bad_images_are_refused() -> None:
    network = tiny()
    with pytest.raises(ValueError, match="image with 1 channels: the refiner takes 3"):
        network.refine(torch.rand(1, 1, 16, 16), torch.ones(1, 1), rng=each(1))
    with pytest.raises(ValueError, match="not finite"):
        network.refine(torch.full((1, 3, 16, 16), torch.nan), torch.ones(1, 1), rng=each(1))
    with pytest.raises(ValueError, match="at least 8x8"):
        network.refine(torch.rand(1, 3, 16, 7), torch.ones(1, 1), rng=each(1))
