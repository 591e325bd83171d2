"""The training of receivers behind a frozen codec."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.baselines.separate import SeparateCodec
from semlink.neural.diffusion import SFT, Refined, SymbolDenoiser, load_codec, load_receiver
from semlink.neural.networks import ConvSwin, noise_level
from semlink.neural.training import Data, Settings, read_recipe, train
from semlink.neural.training import loop as training
from semlink.neural.training.losses import importance
from semlink.neural.training.receivers import degrade, receiver_loss
from semlink.phy.channels import AWGN
from semlink.phy.link import Link
from semlink.phy.metrics import to_db
from semlink.phy.sources import load_image

TINY = {"width": 4, "dim": 8, "blocks": [1, 1, 1, 1], "refinement": 0, "extractor_blocks": 1}
FIRST = Settings(
    "tiny-1",
    "sft",
    TINY,
    task="sft-1",
    codec="tiny",
    steps=4,
    batch=8,
    groups=4,
    optimiser="adam",
    lr=3e-3,
    warmup=1,
    ema=0.9,
    large_share=0.0,
    checkpoint_every=2,
    validate_every=2,
    esno_db=(0.0, 5.0),
)
SECOND = replace(FIRST, name="tiny-2", task="sft-2")
CONTROL = replace(FIRST, name="control", model="residual-cnn", network={"width": 8, "blocks": 1}, task="control")
DENOISER = replace(FIRST, name="denoiser", model="cddm", network={"width": 16, "blocks": 1}, task="cddm")


@pytest.fixture(scope="module")
def data() -> Data:
    """Smooth images: what a codec's noise adds to them can be told from them."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(55, 3, 3, 3, generator=rng)
    small = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear", align_corners=True)
    small = (255 * small).to(torch.uint8)
    return Data(small[:50], torch.empty(0, 3, 128, 128, dtype=torch.uint8), small[50:])


@pytest.fixture(scope="module")
def codec() -> ConvSwin:
    torch.manual_seed(0)
    return ConvSwin(widths=(8, 8), depths=(1, 1), heads=2, window=4).eval().requires_grad_(False)


@pytest.mark.slow
def test_both_stages_lower_the_loss(
    tmp_path: Path, data: Data, codec: ConvSwin, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    """And the refined images gain over those of the codec alone, which the log has beside them."""
    longer = replace(FIRST, steps=80, checkpoint_every=20, validate_every=40)
    first = train(longer, tmp_path / "first", data=data, codec=codec)
    rows = log(tmp_path / "first")
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    second = replace(SECOND, steps=80, checkpoint_every=20, validate_every=40, init=str(first))
    weights = train(second, tmp_path / "second", data=data, codec=codec)
    rows = log(tmp_path / "second")
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    assert float(rows[-1]["psnr_db_at_5_db"]) > float(rows[-1]["codec_psnr_db_at_5_db"]) + 1
    frozen = {key: value for key, value in load_file(first).items() if key.startswith("oracle.")}
    after = load_file(weights)
    assert frozen
    assert all(torch.equal(after[key], value) for key, value in frozen.items())
    card = json.loads(weights.with_suffix(".json").read_text())
    assert (card["task"], card["codec"]) == ("sft-2", "tiny")
    assert [part[:23] for part in card["command"].split("; ")] == ["train(Settings('tiny-1'", "train(Settings('tiny-2'"]
    assert load_image(tmp_path / "second" / "samples" / "0000080.png").shape == (1, 3, 6 * 32, 5 * 32)
    _is_what_was_validated(weights, rows[-1], data, codec)


def _is_what_was_validated(weights: Path, row: dict[str, str], data: Data, codec: ConvSwin) -> None:
    """What is loaded from the files receives as the last row of the log says, but for the rounding to float16."""
    receiver = load_receiver(weights)
    assert isinstance(receiver, SFT)
    image = data.validation.float() / 255
    got = Link(Refined(codec, receiver), AWGN())(image, 5, rng=torch.Generator().manual_seed(0)).image
    psnr_db = to_db(((got * 255).round() / 255 - image).square().mean().item())
    assert psnr_db == pytest.approx(float(row["psnr_db_at_5_db"]), abs=0.05)


@pytest.mark.parametrize("settings", [CONTROL, DENOISER], ids=["control", "cddm"])
def test_the_other_receivers_learn_too(
    tmp_path: Path, data: Data, codec: ConvSwin, settings: Settings, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    longer = replace(settings, steps=60, checkpoint_every=15, validate_every=60)
    weights = train(longer, tmp_path, data=data, codec=codec)
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < 0.85 * float(rows[0]["loss"])
    assert float(rows[-1]["psnr_db_at_5_db"]) > float(rows[-1]["codec_psnr_db_at_5_db"])
    receiver = load_receiver(weights)
    if isinstance(receiver, SymbolDenoiser):
        assert receiver.residual.min() < 0.9  # of a Wiener filter's error, as it was measured


@pytest.mark.parametrize("settings", [SECOND, DENOISER], ids=["sft-2", "cddm"])
@pytest.mark.parametrize("kill_after", [1, 3])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path,
    data: Data,
    codec: ConvSwin,
    monkeypatch: pytest.MonkeyPatch,
    kill_after: int,
    settings: Settings,
    log: Callable[[Path], list[dict[str, str]]],
) -> None:
    whole = load_file(train(settings, tmp_path / "whole", data=data, codec=codec))
    calls, real = [0], training.receiver_loss

    def dying(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] > kill_after:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "receiver_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", data=data, codec=codec)
    monkeypatch.setattr(training, "receiver_loss", real)
    resumed = load_file(train(settings, tmp_path / "killed", data=data, codec=codec))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert log(tmp_path / "whole")[-1] == log(tmp_path / "killed")[-1]


def test_a_digital_codec_degrades_too(tmp_path: Path, data: Data) -> None:
    """Images that failed to decode weigh nothing; over a channel where all fail the loss is 0."""
    digital, image = SeparateCodec(mcs="16qam-1/2"), data.small[:8].float() / 255
    settings = replace(CONTROL, codec="jpeg-ldpc-qam", esno_db=(-3.0, 25.0), channels=("awgn",))
    decoded = degrade(digital, image, settings, torch.Generator().manual_seed(1))
    assert decoded.image.shape == image.shape
    lost = decoded.weight == 0
    assert torch.equal(lost, decoded.level[:, 0] < 0.7)  # this scheme's cliff is near 7 dB
    assert lost.any()
    assert not lost.all()
    n0 = 10**-decoded.level
    torch.testing.assert_close(decoded.weight, torch.where(lost, 0, importance(n0)))
    train(settings, tmp_path, data=data, codec=digital)
    assert json.loads((tmp_path / "control.json").read_text())["codec"] == "jpeg-ldpc-qam"
    hopeless = replace(settings, esno_db=(-5.0, -4.0))
    model = load_receiver(tmp_path / "control.safetensors")
    assert isinstance(model, torch.nn.Module)
    assert receiver_loss(model, digital, image, hopeless, torch.Generator().manual_seed(0)).item() == 0


def test_the_degraded_images_are_what_the_codec_decodes(data: Data, codec: ConvSwin) -> None:
    image = data.small[:8].float() / 255
    settings = replace(FIRST, channels=("awgn",), esno_db=(7.0, 7.0), even_out=False)
    got = degrade(codec, image, settings, torch.Generator().manual_seed(0))
    assert got.level.flatten().tolist() == pytest.approx([0.7] * 8)
    assert got.weight.tolist() == [1.0] * 8
    received = Link(codec, AWGN())(image, 7.0, rng=torch.Generator().manual_seed(5)).image
    errors = [to_db((one - image).square().mean().item()) for one in (got.image, received)]
    assert errors[0] == pytest.approx(errors[1], abs=0.5)
    assert noise_level(torch.full((1, 4), 10**-0.7)).item() == pytest.approx(0.7)


def test_stages_differ_in_what_is_known(data: Data, codec: ConvSwin) -> None:
    """The first one has no diffusion: it draws no more than the channel does."""
    model, image = SFT(**TINY), data.small[:8].float() / 255  # type: ignore[arg-type]
    drawn = []
    for settings in (FIRST, SECOND):
        rng = torch.Generator().manual_seed(0)
        receiver_loss(model, codec, image, settings, rng)
        drawn.append(torch.rand((), generator=rng).item())
    assert drawn[0] != drawn[1]


def test_a_checkpoint_of_before_a_setting_was_there_is_taken(tmp_path: Path, data: Data, codec: ConvSwin) -> None:
    """As one with the default; one whose setting differs is refused."""
    for settings, missing in ((CONTROL, "clip"), (CONTROL, "task")):
        out = tmp_path / missing
        train(settings, out, data=data, codec=codec)
        state = torch.load(out / "checkpoint.pt")
        del state["settings"][missing]
        torch.save(state, out / "checkpoint.pt")
        if missing == "clip":
            train(settings, out, data=data, codec=codec)
        else:
            with pytest.raises(ValueError, match="other settings"):
                train(settings, out, data=data, codec=codec)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("task = 'gan'", "task='gan' must be one of: codec, sft-1, sft-2, cddm, control"),
        ("task = 'sft-1'\nmodel = 'swin'\ncodec = 'zoo:swin'", "model='swin' must be one of: sft-paper, sft"),
        ("task = 'cddm'\nmodel = 'cddm'", "codec='' must name a codec"),
        ("task = 'cddm'\nmodel = 'cddm'\ncodec = 3", "codec=3 must be a string"),
        ("model = 'swin'\ncodec = 'zoo:swin'", "must be empty: task='codec' trains one"),
        (
            "task = 'cddm'\nmodel = 'cddm'\ncodec = 'x'\nnetwork = {depth = 3}",
            "depth must be, for cddm, among: symbols, width, blocks",
        ),
        ("task = 'sft-2'\nmodel = 'sft'\ncodec = 'x'\nnetwork = {steps = 0}", "steps=0 must be a whole number"),
        ("task = 'sft-2'\nmodel = 'sft'\ncodec = 'x'\nnetwork = {blocks = 3}", "sft cannot be built of it"),
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "recipe.toml").write_text(f"name = 'x'\n{text}")
    with pytest.raises(ValueError, match=named):
        read_recipe(tmp_path / "recipe.toml")


def test_a_codec_that_is_not_to_be_had_is_named(tmp_path: Path, data: Data) -> None:
    with pytest.raises(ValueError, match="codec='jpeg-ldpc-qam' must be zoo:NAME or a weights file"):
        train(replace(CONTROL, codec="jpeg-ldpc-qam"), tmp_path, data=data)
    with pytest.raises(ValueError, match=r"rates=\(8,\) must be empty: jpeg-ldpc-qam has one rate"):
        train(replace(CONTROL, codec="jpeg-ldpc-qam", rates=(8,)), tmp_path, data=data, codec=SeparateCodec())
    with pytest.raises(ValueError, match="is missing; train it first"):
        load_receiver(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="must be a neural one"):
        train(replace(DENOISER, codec="jpeg-ldpc-qam"), tmp_path, data=data, codec=SeparateCodec())


def test_frozen_codecs_come_from_the_zoo_or_a_training(tmp_path: Path, data: Data) -> None:
    zoo = load_codec("zoo:swin")
    assert not any(p.requires_grad for p in zoo.parameters())  # type: ignore[attr-defined]
    own = Settings("own", network={"cell_symbols": 8, "widths": [4, 6]}, steps=1, batch=4, large_share=0.0)
    weights = train(own, tmp_path / "codec", data=data)
    receiver = train(replace(CONTROL, codec=str(weights)), tmp_path / "control", data=data)
    card = receiver.with_suffix(".json")
    assert json.loads(card.read_text())["codec"] == str(weights)
    card.write_text(card.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(ValueError, match="SHA-256 differs"):
        load_receiver(receiver)
