"""A training goes on with the images, first weights and codec that it began with, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from semlink.neural import zoo
from semlink.neural.models import build
from semlink.neural.training import Data, Settings, train
from semlink.phy.link import Decoded, Frame, Received

SETTINGS = Settings(
    "tiny",
    network={"cell_symbols": 8, "widths": [4, 6]},
    steps=3,
    batch=4,
    groups=2,
    warmup=1,
    checkpoint_every=1,
    cifar10=False,
    photographs=8,
    large_photographs=0,
)


class Repeated:
    """A codec that is no network: it sends the top left corner, so strongly as it is told."""

    ratio = 1 / 6

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        symbols = self.sign * torch.ones(len(image), image[0].numel() // 6, dtype=torch.complex64)
        return Frame(symbols, uses={"payload": symbols.shape[1]})

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.full((len(received.symbols), 3, 32, 32), 0.5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    rng = torch.Generator().manual_seed(0)
    for i in range(4):
        pixels = torch.randint(0, 256, (40, 40, 3), generator=rng).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(made / f"{i}.png")
    return made


def first_weights(path: Path, seed: int) -> str:
    torch.manual_seed(seed)
    zoo.write_weights(build("deepjscc", SETTINGS.network), path)
    return str(path)


def test_images_that_went_came_or_changed_are_named(tmp_path: Path, folder: Path) -> None:
    settings, out = replace(SETTINGS, images=str(folder)), tmp_path / "run"
    train(settings, out, minutes=0)  # one step, and a checkpoint
    (folder / "0.png").unlink()
    (folder / "1.png").rename(folder / "new.png")
    Image.new("RGB", (40, 40)).save(folder / "2.png")
    with pytest.raises(ValueError, match=r"images='.*mine': gone: 0.png, 1.png; new: new.png; changed: 2.png; choose"):
        train(settings, out)


def test_the_same_images_go_on_and_the_card_says_which(tmp_path: Path, folder: Path) -> None:
    settings, out = replace(SETTINGS, images=str(folder)), tmp_path / "run"
    train(settings, out, minutes=0)
    (folder / "0.png").touch()
    card = json.loads(train(settings, out).with_suffix(".json").read_text())
    assert "mine (4 files, SHA-256 " in card["data"]


def test_images_handed_in_count_by_their_pixels(tmp_path: Path) -> None:
    none = torch.empty(0, 3, 128, 128, dtype=torch.uint8)
    small = torch.arange(8).to(torch.uint8)[:, None, None, None].expand(8, 3, 32, 32).contiguous()
    train(SETTINGS, tmp_path, data=Data(small, none, small[:2]), minutes=0)
    with pytest.raises(ValueError, match="data: changed: validation; choose another folder"):
        train(SETTINGS, tmp_path, data=Data(small, none, small[1:3]))


def test_other_first_weights_are_named(tmp_path: Path, folder: Path) -> None:
    init = first_weights(tmp_path / "first.safetensors", 0)
    settings, out = replace(SETTINGS, images=str(folder), init=init), tmp_path / "run"
    train(settings, out, minutes=0)
    first_weights(tmp_path / "first.safetensors", 1)
    with pytest.raises(ValueError, match=r"init='.*first.safetensors': changed: weights; choose"):
        train(settings, out)


def test_another_codec_of_the_same_name_is_named(tmp_path: Path, folder: Path) -> None:
    network = {"width": 4, "blocks": 1}
    settings = replace(SETTINGS, task="control", model="residual-cnn", network=network, codec="mine")
    settings = replace(settings, images=str(folder))
    train(settings, tmp_path / "run", codec=Repeated(1.0), minutes=0)
    with pytest.raises(ValueError, match="codec='mine': changed: symbols; choose"):
        train(settings, tmp_path / "run", codec=Repeated(-1.0))


def test_a_setting_that_differs_is_named(tmp_path: Path, folder: Path) -> None:
    settings, out = replace(SETTINGS, images=str(folder)), tmp_path / "run"
    train(settings, out, minutes=0)
    with pytest.raises(ValueError, match=r"of other settings: batch was 4, is 8; lr was 0\.001, is 0\.01; choose"):
        train(replace(settings, lr=0.01, batch=8), out)


def test_a_checkpoint_of_before_goes_on_with_a_warning_once(tmp_path: Path, folder: Path) -> None:
    settings, out = replace(SETTINGS, images=str(folder)), tmp_path / "run"
    train(settings, out, minutes=0)
    state = torch.load(out / "checkpoint.pt")
    del state["contents"]
    torch.save(state, out / "checkpoint.pt")
    with pytest.warns(UserWarning, match="whether images are those it began with is not known"):
        train(settings, out, minutes=0)
    train(settings, out)  # what it goes on with is kept from then on
