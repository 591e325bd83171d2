from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts import SCHEDULE, Condition, PromptAutoencoder, PromptCoder, Renderer, Scene, draw_noise
from semlink.neural.prompts.tiles import Grid


class Gaussian(PromptAutoencoder):
    """The exact denoiser of tiles whose difference from the sketch is white, of variance 1/4 in units of the spread."""

    def velocity(self, x: Tensor, t: Tensor, known: Condition) -> Tensor:
        kept = torch.tensor(SCHEDULE.alpha_bars)[t][:, None, None, None]
        clean = kept.sqrt() * 0.25 / (0.25 * kept + 1 - kept) * x
        return (kept.sqrt() * x - clean) / (1 - kept).sqrt()


def plain_scene(model: PromptAutoencoder, images: Tensor) -> Scene:
    grid = Grid(images.shape[2], images.shape[3], model.side)
    many = grid.tiles * len(images)
    sketch = torch.zeros_like(images)
    spread = torch.full((len(images),), 0.25)
    return Scene(sketch, spread, torch.zeros(many, model.first), torch.zeros(many, model.semantic))


@pytest.fixture
def gaussian() -> Gaussian:
    return Gaussian(side=16, widths=(8, 16), components=16, first=4, semantic=2, embed=16).eval()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 24), (5, 70), (31, 33)])
def test_tiles_blend_to_what_they_were_cut_of(height: int, width: int) -> None:
    image, grid = torch.rand(2, 3, height, width), Grid(height, width, 16)
    tiles = grid.cut(image)
    assert tiles.shape == (2 * grid.tiles, 3, 16, 16)
    assert torch.allclose(grid.blend(tiles), image, atol=1e-6)


def test_neighbouring_tiles_overlap() -> None:
    tops = sorted({top for top, _ in Grid(100, 16, 16).places})
    assert tops[-1] == 84
    assert max(b - a for a, b in pairwise(tops)) <= 12


def test_inversion_and_rendering_undo_each_other(gaussian: Gaussian) -> None:
    """With an exact denoiser x_T is standard normal, and a rendering of it the image, the closer the more steps."""
    rng = torch.Generator().manual_seed(0)
    images = 0.125 * torch.randn(2, 3, 40, 24, generator=rng)
    scene, renderer = plain_scene(gaussian, images), Renderer(gaussian)
    noise = renderer.invert(scene, images, steps=100)
    assert float(noise.std()) == pytest.approx(1, abs=0.06)
    errors = []
    for steps in (10, 50, 100):
        back = renderer.render(scene, renderer.invert(scene, images, steps=steps), steps=steps)
        errors.append(float((back - images).square().mean().sqrt() / images.std()))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.08


def test_steps_of_both_ways_are_free(gaussian: Gaussian) -> None:
    images = 0.125 * torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scene, renderer = plain_scene(gaussian, images), Renderer(gaussian)
    back = renderer.render(scene, renderer.invert(scene, images, steps=200), steps=37)
    assert float((back - images).std() / images.std()) < 0.2
    with pytest.raises(ValueError, match="steps=0 must be from 1"):
        renderer.render(scene, images, steps=0)


def test_a_seed_gives_the_same_image_alone_and_in_a_batch(coder: PromptCoder, images: Tensor) -> None:
    code = coder.code_at(images[:1] * 2 - 1, 100, 0)
    assert code is not None
    noisy = replace(code, noise=3)
    one, again = coder.render(noisy, 16, 16, seed=5), coder.render(noisy, 16, 16, seed=5)
    assert torch.equal(one, again)
    assert not torch.allclose(one, coder.render(noisy, 16, 16, seed=6))
    scene = coder.scene(noisy, 16, 16)
    both = Scene(*(torch.cat([part, part]) for part in (scene.sketch, scene.spread, scene.first, scene.learned)))
    drawn = draw_noise((3, 16, 16), [6, 5])
    assert torch.allclose(coder.renderer.render(both, drawn)[1:], one, atol=1e-5)


def test_a_thumbnail_holds_the_rendering_to_itself(gaussian: Gaussian) -> None:
    scene = plain_scene(gaussian, torch.zeros(1, 3, 16, 16))
    thumbnail = 0.3 * torch.ones(1, 3, 4, 4)
    noise = draw_noise((3, 16, 16), [0])
    free = Renderer(gaussian).render(scene, noise)
    held = Renderer(gaussian).render(replace(scene, thumbnail=thumbnail), noise)
    assert float((F.adaptive_avg_pool2d(held, 4) - 0.3).abs().mean()) < 0.3 * float(
        (F.adaptive_avg_pool2d(free, 4) - 0.3).abs().mean()
    )


def test_one_step_without_noise_is_the_mean(gaussian: Gaussian) -> None:
    scene = replace(plain_scene(gaussian, torch.zeros(1, 3, 16, 16)), sketch=torch.full((1, 3, 16, 16), 0.2))
    shown = Renderer(gaussian).render(scene, torch.zeros(1, 3, 16, 16), steps=1)
    assert torch.allclose(shown, scene.sketch, atol=1e-6)


def test_principal_components_are_orthonormal_and_in_order(model: PromptAutoencoder, images: Tensor) -> None:
    assert torch.allclose(model.basis @ model.basis.T, torch.eye(128), atol=1e-4)
    assert bool((model.scale.diff() <= 0).all())
    tiles = images * 2 - 1
    lacks = (model.sketch(model.project(tiles)) - tiles).square().mean()
    assert float(lacks) < 0.05 * float((tiles - model.mean.reshape(3, 16, 16)).square().mean())
    with pytest.raises(ValueError, match="64, half the components"):
        PromptAutoencoder(side=16, widths=(8, 16), components=128).fit(images)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"side": 30}, "side=30 must be a multiple of 8"), ({"components": 5000}, "from first=64 to 3072")],
)
def test_sizes_that_do_not_fit_are_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PromptAutoencoder(**given)  # type: ignore[arg-type]
