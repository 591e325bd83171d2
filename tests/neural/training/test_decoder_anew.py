"""A decoder that is trained anew behind a frozen denoiser, as CDDM's authors do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.neural import zoo
from semlink.neural.diffusion import (
    Denoised,
    ReceiverCard,
    SymbolDenoiser,
    build_receiver,
    load_receiver,
    write_receiver_card,
)
from semlink.neural.models import Network, build, parameters
from semlink.neural.training import Data, Settings, train
from semlink.neural.training import loop as training
from semlink.neural.training.losses import batch_loss
from semlink.phy.channels import AWGN
from semlink.phy.link import Link
from semlink.phy.metrics import to_db

NETWORK = {"widths": [8, 8], "depths": [1, 1], "heads": 2, "window": 4}
BLOCKS = {"width": 8, "blocks": 1}
Weights = dict[str, torch.Tensor]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A decoder behind a random denoiser, whose residual is small enough to be believed."""
    torch.manual_seed(0)
    zoo.write_weights(build("swin", NETWORK), tmp_path / "codec.safetensors")
    return Settings(
        "anew",
        "swin",
        NETWORK,
        init=str(tmp_path / "codec.safetensors"),
        parts=("decoder", "synthesis"),
        denoiser=keep_denoiser(tmp_path / "denoiser.safetensors", BLOCKS),
        steps=6,
        batch=8,
        groups=4,
        warmup=1,
        ema=0.9,
        large_share=0.0,
        checkpoint_every=2,
        validate_every=6,
        esno_db=(0.0, 5.0),
    )


def keep_denoiser(path: Path, network: dict[str, int], *, task: str = "cddm") -> str:
    model = build_receiver("cddm", network)
    assert isinstance(model, SymbolDenoiser)
    torch.nn.init.normal_(model.leave.weight, std=0.2)
    model.residual.fill_(0.5)
    zoo.write_weights(model, path)
    write_receiver_card(
        ReceiverCard(path.stem, "cddm", network, parameters(model), task, "swin", "", "", "", zoo.sha256(path)),
        path.parent,
    )
    return str(path)


def test_only_the_named_parts_learn(tmp_path: Path, settings: Settings, data: Data) -> None:
    before = load_file(settings.init)
    after = load_file(train(settings, tmp_path / "run", data=data))
    learnt = {key.partition(".")[0] for key, value in after.items() if not torch.equal(value, before[key])}
    assert learnt == {"decoder", "synthesis"}


def test_the_loss_is_that_of_denoised_symbols(settings: Settings, data: Data) -> None:
    """What the decoder shows of what the receiver gives it, over the same channel."""
    model = build("swin", NETWORK)
    zoo.read_weights(model, Path(settings.init))
    assert isinstance(model, Network)
    denoiser = load_receiver(settings.denoiser)
    assert isinstance(denoiser, SymbolDenoiser)
    image, at = data.small[:4].float() / 255, replace(settings, esno_db=(5.0, 5.0), even_out=False, channels=("awgn",))
    loss = batch_loss(model, image, replace(at, groups=1), torch.Generator().manual_seed(3), denoiser)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in denoiser.parameters())
    rng = torch.Generator().manual_seed(3)
    torch.rand(1, generator=rng), torch.randint(1, (1,), generator=rng)  # Es/N0 and channel
    shown = Link(Denoised(model, denoiser), AWGN())(image, 5.0, rng=rng).image
    alone = batch_loss(model, image, replace(at, groups=1), torch.Generator().manual_seed(3))
    expected = (shown - image).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=2e-3)  # the link clips to 0 … 1
    assert abs(alone.item() - expected.item()) > 0.1 * expected.item()


def test_the_log_shows_what_the_link_reaches(
    tmp_path: Path, settings: Settings, data: Data, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    weights = train(settings, tmp_path / "run", data=data)
    card = zoo.run_card(weights)
    assert card.channel.endswith(f", behind {settings.denoiser}; Es/N0 0 to 5 dB")
    denoiser = load_receiver(settings.denoiser)
    assert isinstance(denoiser, SymbolDenoiser)
    image = data.validation.float() / 255
    codec = Denoised(zoo.load(str(weights)), denoiser)
    got = Link(codec, AWGN())(image, 5, rng=torch.Generator().manual_seed(0)).image
    psnr_db = to_db(((got * 255).round() / 255 - image).square().mean().item())
    assert psnr_db == pytest.approx(float(log(tmp_path / "run")[-1]["psnr_db_at_5_db"]), abs=0.02)


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path,
    settings: Settings,
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    equal: Callable[[Weights, Weights], bool],
) -> None:
    whole = load_file(train(settings, tmp_path / "whole", data=data))
    calls, real = [0], training.batch_loss

    def dying(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] > 3:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", data=data)
    monkeypatch.setattr(training, "batch_loss", real)
    assert equal(whole, load_file(train(settings, tmp_path / "killed", data=data)))
    torch.manual_seed(9)
    keep_denoiser(Path(settings.denoiser), BLOCKS)
    with pytest.raises(ValueError, match=r"began with other contents: denoiser=.*: changed: weights"):
        train(settings, tmp_path / "whole", data=data)


def test_a_denoiser_of_another_grid_is_refused_before_the_first_step(
    tmp_path: Path, settings: Settings, data: Data
) -> None:
    other = keep_denoiser(tmp_path / "other.safetensors", {**BLOCKS, "symbols": 8})
    with pytest.raises(ValueError, match="codec has 16 symbols a cell; the denoiser was built for 8"):
        train(replace(settings, denoiser=other), tmp_path / "run", data=data)


def test_settings_that_cannot_be(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ValueError, match="parts=decode must be among the network's parts: analysis, allocation, "):
        replace(settings, parts=("decode",))
    with pytest.raises(ValueError, match=r"parts=\('decoder', 3\) must be names of parts"):
        replace(settings, parts=("decoder", 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="init='' must name weights: parts that do not learn would stay random"):
        replace(settings, init="")
    with pytest.raises(ValueError, match="receiver 'cddm-none' must be "):
        replace(settings, denoiser="cddm-none")
    control = keep_denoiser(tmp_path / "control.safetensors", BLOCKS, task="control")
    with pytest.raises(ValueError, match=r"control.safetensors' must denoise symbols \(task 'cddm'\)"):
        replace(settings, denoiser=control)
    kept = {"model": "residual-cnn", "network": {}, "task": "control", "codec": "zoo:swin"}
    with pytest.raises(ValueError, match=r"parts=\('decoder', 'synthesis'\) must be empty with task='control'"):
        replace(settings, **kept)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="denoiser='cddm-swin' must be empty with task='control'"):
        replace(settings, **kept, parts=(), denoiser="cddm-swin")  # type: ignore[arg-type]
