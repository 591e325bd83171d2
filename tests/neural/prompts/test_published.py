from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import SCHEDULE, PublishedPrompt, corrupt, load_published, sent_bytes
from semlink.neural.prompts.published import published_times
from semlink.neural.prompts.published_unet import FFHQ256, Plan, PublishedAutoencoder

SMALL = Plan(side=32, width=32, widths=(1, 2), encoder_widths=(1, 2, 2), embed=64, attention=(16,))


class Gaussian(PublishedAutoencoder):
    """The exact noise within images of standard deviation 1/4."""

    def forward(self, x: Tensor, t: Tensor, code: Tensor) -> Tensor:
        kept = torch.tensor(SCHEDULE.alpha_bars)[t + 1][:, None, None, None]
        return (1 - kept).sqrt() / (kept / 16 + 1 - kept) * x


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return PublishedAutoencoder(SMALL).state_dict()


def checkpoint(path: Path, weights: dict[str, Tensor], **more: object) -> Path:
    """As Lightning writes it."""
    state = {f"ema_model.{key}": value for key, value in weights.items()}
    torch.save(
        {"epoch": 1, "state_dict": {**state, "model.out.0.weight": torch.zeros(2), "x_T": torch.zeros(2)}, **more}, path
    )
    return path


def test_the_layout_is_that_of_ffhq256_autoenc() -> None:
    """168.49 million parameters, as its authors' notebook counts them, and shapes at the ends of all its subtrees."""
    with torch.device("meta"):
        model = PublishedAutoencoder(FFHQ256)
    assert sum(one.numel() for one in model.parameters()) == 168_492_291
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    known = {
        "time_embed.time_embed.2.weight": (512, 512),
        "input_blocks.0.0.weight": (128, 3, 3, 3),
        "input_blocks.1.0.emb_layers.1.weight": (256, 512),
        "input_blocks.1.0.cond_emb_layers.1.weight": (128, 512),
        "input_blocks.3.0.out_layers.3.weight": (128, 128, 3, 3),
        "input_blocks.13.0.skip_connection.weight": (512, 256, 1, 1),
        "input_blocks.13.1.qkv.weight": (1536, 512, 1),
        "middle_block.1.proj_out.weight": (512, 512, 1),
        "output_blocks.2.1.in_layers.2.weight": (512, 512, 3, 3),
        "output_blocks.17.0.in_layers.0.weight": (256,),
        "out.2.weight": (3, 128, 3, 3),
        "encoder.input_blocks.20.0.in_layers.2.weight": (512, 512, 3, 3),
        "encoder.middle_block.1.norm.weight": (512,),
        "encoder.out.3.weight": (512, 512, 1, 1),
    }
    assert {key: state.get(key) for key in known} == known
    assert not [key for key in state if key.startswith("encoder.") and "out_layers" in key]


def test_a_checkpoint_loads_and_tells_what_it_had_no_use_for(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    found = load_published(checkpoint(tmp_path / "last.ckpt", {**weights, "latent_net.a": torch.zeros(1)}), SMALL)
    assert found.unused == ("model.out.0.weight", "x_T", "ema_model.latent_net.a")
    assert torch.equal(found.model.state_dict()["out.2.bias"], weights["out.2.bias"])
    prompt, image = PublishedPrompt(found.model), torch.rand(2, 3, 32, 32)
    code = prompt.code(image)
    shown = prompt.render(prompt.invert(image, code, steps=4), code, steps=2)
    assert code.shape == (2, 64)
    assert shown.shape == image.shape
    assert bool(shown.isfinite().all())


@pytest.mark.slow  # 168 million weights
def test_the_whole_network_loads_and_renders(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in PublishedAutoencoder(FFHQ256).state_dict().items()}
    weights = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    found = load_published(checkpoint(tmp_path / "last.ckpt", weights))
    prompt, image = PublishedPrompt(found.model), torch.rand(1, 3, 64, 64)
    code = prompt.code(image)
    assert code.shape == (1, 512)
    assert prompt.render(prompt.invert(image, code, steps=2), code, steps=1).shape == image.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"input_blocks.1.0.in_layers.2.weight": torch.zeros(3, 3)},
            r"input_blocks.1.0.in_layers.2.weight has shape \(3, 3\), must be \(32, 32, 3, 3\)",
        ),
        (
            {"out.2.bias": torch.zeros(7), "encoder.out.3.bias": torch.zeros(7)},
            r"ema_model.out.2.bias has shape \(7,\), must be \(3,\)",
        ),
        ({"middle_block.1.norm.bias": None}, "lacks ema_model.middle_block.1.norm.bias, and 0 more"),
    ],
)
def test_the_first_thing_that_differs_is_named(
    tmp_path: Path, weights: dict[str, Tensor], change: dict[str, Tensor | None], said: str
) -> None:
    changed = {key: value for key, value in {**weights, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=said):
        load_published(checkpoint(tmp_path / "last.ckpt", changed), SMALL)


def test_what_is_no_tensor_is_named_and_not_run(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = checkpoint(tmp_path / "last.ckpt", weights, hyper_parameters=argparse.Namespace(lr=1e-4))
    with pytest.raises(ValueError, match=r"beside tensors it holds argparse\.Namespace, which cannot be read without"):
        load_published(path, SMALL)
    (tmp_path / "none.ckpt").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(ValueError, match="no checkpoint, or a damaged one"):
        load_published(tmp_path / "none.ckpt", SMALL)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="no key begins with ema_model"):
        load_published(tmp_path / "other.ckpt", SMALL)
    with pytest.raises(ValueError, match="no such file"):
        load_published(tmp_path / "missing.ckpt", SMALL)


def test_inversion_and_rendering_undo_each_other() -> None:
    rng = torch.Generator().manual_seed(0)
    image = (0.5 + 0.125 * torch.randn(2, 3, 16, 16, generator=rng)).clamp(0, 1)
    prompt, code = PublishedPrompt(Gaussian(SMALL)), torch.zeros(2, 64)
    noise = prompt.invert(image, code, steps=250)
    assert float(noise.std()) == pytest.approx(1, abs=0.06)
    assert float((prompt.render(noise, code, steps=250) - image).std()) < 0.05 * float(image.std())


def test_as_published_images_are_not_centred_and_are_stretched() -> None:
    image = 0.3 + 0.2 * torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    prompt, code = PublishedPrompt(Gaussian(SMALL), as_published=True), torch.zeros(1, 64)
    right = PublishedPrompt(Gaussian(SMALL))
    noise = prompt.invert(image, code, steps=20)
    assert torch.allclose(noise, right.invert((image + 1) / 2, code, steps=20))
    shown = prompt.render(noise, code, steps=20)
    assert (float(shown.min()), float(shown.max())) == (0, 1)


def test_steps_are_those_of_the_published_code() -> None:
    times = published_times(250)
    assert (times[0], times[1], times[-1], len(times)) == (1, 5, 997, 250)
    with pytest.raises(ValueError, match="steps=3 must divide 1000"):
        published_times(3)


def test_the_published_channel_replaces_whole_pixel_positions() -> None:
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    got = corrupt(x, 0.1, rng=torch.Generator().manual_seed(1))
    hit = (got != x).all(dim=1)
    assert torch.equal(hit, (got != x).any(dim=1))
    assert float(hit.float().mean()) == pytest.approx(0.1, abs=4 * (0.09 / hit.numel()) ** 0.5)
    assert bool((got.amax(dim=(2, 3)) <= x.amax(dim=(2, 3))).all())
    assert torch.equal(corrupt(x, 0.0, rng=torch.Generator()), x)
    with pytest.raises(ValueError, match="rate=2 must be from 0 to 1"):
        corrupt(x, 2, rng=torch.Generator())


def test_it_sends_four_times_the_picture() -> None:
    assert sent_bytes((3, 256, 256), "A man") == 786_432 + 5
