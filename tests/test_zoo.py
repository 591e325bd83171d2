from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.neural import evaluate, zoo
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link
from semlink.phy.metrics import psnr
from semlink.phy.sources import cifar10, sample_images

WEIGHTS = Path(__file__).parents[1] / "neural" / "weights"
GOLDEN = Path(__file__).parent / "golden"
CARDS = zoo.cards()
needs_data = pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set")


def test_what_ships() -> None:
    assert zoo.names() == ["deepjscc"]
    assert sorted(card.ratio for card in CARDS.values()) == pytest.approx([1 / 12, 1 / 6])


@pytest.mark.parametrize("name", CARDS)
def test_every_card_is_true(name: str) -> None:
    card, path = CARDS[name], WEIGHTS / f"{name}.safetensors"
    tensors = load_file(path)
    assert card.sha256 == zoo.sha256(path)
    assert path.stat().st_size < 2_000_000
    assert card.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert (WEIGHTS.parent / "recipes" / f"{name}.toml").is_file()
    assert f"neural/recipes/{name}.toml" in card.command
    assert set(card.figures) == set(evaluate.CONDITIONS)


@pytest.mark.parametrize("name", CARDS)
def test_the_figures_never_fall_with_esno(name: str) -> None:
    for figures in CARDS[name].figures.values():
        assert list(figures) == [f"{level:g}" for level in evaluate.ESNO_DB]
        values = list(figures.values())
        assert values == sorted(values)


def test_the_bar_at_10_db() -> None:
    assert CARDS["deepjscc-6"].figures["CIFAR-10 test, AWGN"]["10"] >= 29.0


@needs_data
@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("label", evaluate.CONDITIONS)
def test_the_figures_reproduce(name: str, label: str) -> None:
    """500 of the 10,000 test images, against the same images' share of the stored figure: within 4 standard errors."""
    codec = zoo.load(CARDS[name].codec, ratio=CARDS[name].ratio)
    images = cifar10("test")[:500]
    curve = evaluate.psnr_curve(codec, evaluate.CONDITIONS[label], images, [10])
    # Per-image errors of this model spread by about their mean (a factor 2 with block fading): 500 of them give 0.4 dB.
    assert abs(curve["10"] - CARDS[name].figures[label]["10"]) <= (0.8 if "block" in label else 0.5)


@pytest.mark.parametrize("name", CARDS)
def test_golden_outputs(name: str) -> None:
    """Another version of PyTorch must not shift a figure unseen; `SEMLINK_GOLDEN=write` stores them anew."""
    codec = zoo.load(CARDS[name].codec, ratio=CARDS[name].ratio)
    images = sample_images()
    measured = {}
    for label, channel in {"awgn": AWGN(), "rayleigh-fast": Rayleigh("fast")}.items():
        for level in (0, 10, 20):
            got = Link(codec, channel)(images, level, rng=torch.Generator().manual_seed(0)).image
            measured[f"{label} {level} dB"] = round(psnr(got, images), 4)
    path = GOLDEN / f"{name}.json"
    if os.environ.get("SEMLINK_GOLDEN") == "write":
        path.write_text(json.dumps(measured, indent=2) + "\n")
    assert measured == pytest.approx(json.loads(path.read_text()), abs=2e-3)


def test_unknown_names_and_ratios_list_what_there_is() -> None:
    with pytest.raises(ValueError, match="'swim' must be one of: deepjscc"):
        zoo.load("swim")
    with pytest.raises(ValueError, match=r"ratio=0.25 must be, for deepjscc, one of: 0.08333, 0.1667"):
        zoo.load("deepjscc", ratio=0.25)


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in WEIGHTS.glob("deepjscc-6.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "deepjscc-6.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "deepjscc-6.safetensors").write_bytes(data)
    monkeypatch.setattr(zoo.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="SHA-256 differs"):
        zoo.load("deepjscc")
