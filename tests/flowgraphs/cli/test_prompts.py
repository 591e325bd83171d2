from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from semlink.baselines.mcs import NR_SCHEMES
from semlink.flowgraphs.cli.app import app
from semlink.flowgraphs.cli.prompt import DEFAULT_MODEL, parse_budget
from semlink.flowgraphs.protocol import codebook
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.specs import codec_groups, make_codecs, prompt_coder
from semlink.neural.prompts import Renderer, load_prompt_model, prompt_cards
from semlink.phy.channels import AWGN
from semlink.phy.link import Link, Received
from semlink.phy.sources import sample_images

RUN = CliRunner()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "a.png"
    pixels = (sample_images()[0, :, 100:148, 100:140] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def prompt(picture: Path) -> Path:
    done = RUN.invoke(app, ["prompt", "encode", str(picture), "--budget", "150B", "--text", "grass [x]"])
    assert done.exit_code == 0, done.output
    return picture.with_name("a.png.prompt")


def test_a_picture_goes_through_a_file(prompt: Path, picture: Path, tmp_path: Path) -> None:
    assert prompt.stat().st_size <= 150
    out = tmp_path / "b.png"
    done = RUN.invoke(app, ["prompt", "decode", str(prompt), "--out", str(out)])
    assert done.exit_code == 0, done.output
    shown, meant = (np.asarray(Image.open(one), dtype=np.float64) for one in (out, picture))
    assert shown.shape == meant.shape
    assert ((shown - meant) ** 2).mean() < 0.8 * ((meant - meant.mean()) ** 2).mean()


def test_samples_have_pictures_of_their_own(prompt: Path, tmp_path: Path) -> None:
    done = RUN.invoke(app, ["prompt", "decode", str(prompt), "--out", str(tmp_path / "c.png"), "--samples", "2"])
    assert done.exit_code == 0, done.output
    assert "2 samples: spread" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"c.png", "c-mean.png", "c-spread.png"}


def test_a_file_is_told(prompt: Path) -> None:
    told = json.loads(RUN.invoke(app, ["prompt", "show", str(prompt), "--json"]).output)
    assert (told["width"], told["height"], told["text"]) == (40, 48, "grass [x]")
    assert sum(told["bytes"].values()) == prompt.stat().st_size
    assert "text: 'grass [x]'" in RUN.invoke(app, ["prompt", "show", str(prompt)]).output


def test_damage_is_an_image_and_an_exit_status(prompt: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.prompt"
    path.write_bytes(prompt.read_bytes()[:-30])
    done = RUN.invoke(app, ["prompt", "decode", str(path), "--out", str(tmp_path / "d.png")])
    assert done.exit_code == 1
    assert "failed" in done.output
    assert (tmp_path / "d.png").is_file()
    path.write_bytes(b"no prompt")
    refused = RUN.invoke(app, ["prompt", "decode", str(path)])
    assert isinstance(refused.exception, ValueError)
    assert "does not begin with SLP" in str(refused.exception)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--budget", "20B"], "budget=20 must be at least"),
        (["--budget", "many"], "--budget 'many' must be whole bytes"),
        (["--metric", "beauty"], "--metric 'beauty' must be one of: psnr, st-lpips"),
        (["--model", "other"], "prompt model 'other' must be one of: prompt-32"),
    ],
)
def test_refusals_are_one_line(picture: Path, given: list[str], said: str) -> None:
    done = RUN.invoke(app, ["prompt", "encode", str(picture), *given])
    assert isinstance(done.exception, ValueError)
    assert said in str(done.exception)


def test_budgets_are_bytes() -> None:
    assert [parse_budget(text) for text in ("800B", "2kB", "1.5kB", "64")] == [800, 2000, 1500, 64]
    for text in ("0", "1.5B", "-3", "2MB", ""):
        with pytest.raises(ValueError, match="must be whole bytes"):
            parse_budget(text)


def test_the_model_that_ships_is_small_and_whole() -> None:
    model, card = load_prompt_model()
    assert list(prompt_cards()) == [DEFAULT_MODEL]
    assert card.parameters == sum(one.numel() for one in model.parameters()) < 3_000_000
    assert torch.allclose(model.basis @ model.basis.T, torch.eye(model.components), atol=0.01)


def test_the_published_command_wants_a_condition_with_its_mode(picture: Path) -> None:
    done = RUN.invoke(app, ["prompt", "published", "none.ckpt", str(picture), "--as-published"])
    assert "--as-published and --condition go together" in str(done.exception)
    missing = RUN.invoke(app, ["prompt", "published", "none.ckpt", str(picture)])
    assert "checkpoint none.ckpt: no such file" in str(missing.exception)


def test_prompts_are_codecs_like_others() -> None:
    """Over the air in as many channel uses as JPEG, and 30 dB of a smooth image with the weights that ship."""
    names = ["prompt-ldpc-qam:16qam-1/2", "jpeg-ldpc-qam:16qam-1/2", "prompt-analogue"]
    codecs = make_codecs(names, ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    image = sample_images()[:1, :, 96:128, 96:128]
    got = {name: Link(codec, AWGN())(image, 12, rng=torch.Generator().manual_seed(0)) for name, codec in codecs.items()}
    errors = {name: float((one.image - image).square().mean()) for name, one in got.items()}
    assert max(errors.values()) < 1e-3
    assert all(sum(one.uses.values()) == 512 for one in got.values())
    assert "decoder's weights" in str(got[names[0]].notes["source"])
    listed = [name for group in codec_groups() for name in group.names]
    assert {"prompt-ldpc-qam", "prompt-analogue"} <= set(listed)
    assert codebook.codec_number("prompt-ldpc-qam:adaptive") == 37


def test_a_worker_has_them_by_number() -> None:
    """What a request to encode sends, a decoder that knows the header alone reads."""
    shelf = Shelf({})
    shelf.check("prompt-ldpc-qam:adaptive", 1 / 6)
    frame = shelf.encoder("prompt-ldpc-qam:adaptive", 1 / 6).encode(sample_images()[:1, :, 96:128, 96:128], 0.1)
    assert frame.header is not None
    mcs = codebook.SCHEMES.index(NR_SCHEMES[frame.header[0]])  # type: ignore[index, call-overload]
    name = f"prompt-ldpc-qam:{codebook.scheme_name(mcs)}"
    decoded = shelf.encoder(name, 1 / 6).decode(
        Received(frame.symbols, torch.full(frame.symbols.shape, 0.01), image_shape=(3, 32, 32))
    )
    error = (decoded.image - sample_images()[:1, :, 96:128, 96:128]).square().mean()  # type: ignore[union-attr]
    assert float(error) < 0.01
    assert shelf.weights("prompt-ldpc-qam", 1 / 6) == load_prompt_model()[1].sha256


def test_a_rendering_takes_a_second_at_most() -> None:
    """Of 64×64 in 10 steps: 90 passes of a tile. Counted in multiply-adds, for clocks are shared: below 10 G."""
    model = prompt_coder().model
    taken = 0

    def count(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal taken
        if isinstance(module, torch.nn.Conv2d):
            taken += out[0].numel() * module.weight[0].numel()

    hooks = [one.register_forward_hook(count) for one in model.denoiser.modules()]
    scene = prompt_coder().scene(prompt_coder().code_at(torch.zeros(1, 3, 32, 32), 40, 0), 32, 32)  # type: ignore[arg-type]
    Renderer(model).render(scene, torch.zeros(1, 3, 32, 32), steps=1)
    for hook in hooks:
        hook.remove()
    assert 0 < 90 * taken < 10e9
