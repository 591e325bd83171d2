"""The tables of the task codec: its parts, and heads at the receiver, on a few images."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from semlink.flowgraphs.bench import ablations, heads, run_ablations
from semlink.flowgraphs.specs import feature_link, make_codecs
from semlink.neural.training import Settings
from semlink.phy.channels import AWGN

RECIPES = Path(__file__).parents[3] / "neural" / "recipes"


def test_every_arm_is_trained_once_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Settings] = []
    weights = Path(str(resources.files("semlink.neural.weights.tasks"))) / "task.safetensors"

    def train(settings: Settings, folder: Path) -> Path:
        asked.append(settings)
        for suffix in (".safetensors", ".json"):
            (folder / settings.name).with_suffix(suffix).write_bytes(weights.with_suffix(suffix).read_bytes())
        (folder / "teacher.safetensors").write_bytes(b"answers")
        return folder / f"{settings.name}.safetensors"

    monkeypatch.setattr(ablations, "train", train)
    monkeypatch.setattr(ablations, "PLACES", {"awgn 10": (AWGN(), 10.0)})
    monkeypatch.setattr(feature_link, "TRAINED", 40)
    given: dict[str, Any] = {"first": RECIPES / "task-distil.toml", "second": RECIPES / "task.toml"}
    given |= {"steps": (30, 20), "seeds": [3], "images": 12}
    rows = run_ablations(tmp_path, **given)
    stages = [(one.task, one.steps, one.teacher, one.model, dict(one.network), dict(one.loss)) for one in asked]
    whole = {"features": 1.0, "logits": 0.5, "labels": 0.5}
    assert stages == [
        ("distil", 30, "resnet56", "task", {}, whole),
        ("robust", 20, "resnet56", "task", {}, whole),
        ("distil", 30, "", "task", {}, {"labels": 1.0}),
        ("robust", 20, "", "task", {}, {"labels": 1.0}),
        ("robust", 20, "resnet56", "task", {"told": False}, whole),
        ("robust", 20, "resnet56", "task", {"told": False, "csi": False}, whole),
        ("distil", 30, "resnet56", "task-paper", {}, whole),
        ("robust", 20, "resnet56", "task-paper", {}, whole),
    ]
    assert {one.seed for one in asked} == {3}
    assert (tmp_path / "teacher.safetensors").read_bytes() == b"answers"
    assert [row.name for row in rows][:2] == ["whole", "not distilled"]
    assert [row.uses for row in rows[6:]] == [32, 32, 128]
    assert all(8 <= row.right["awgn 10"] <= 12 for row in rows[:7])
    assert len(json.loads((tmp_path / "ablations.json").read_text())) == len(rows) == 9
    assert "30 + 20 steps of 128 images each, 1 seed, on 12 images" in capsys.readouterr().out
    with pytest.raises(ValueError, match="must be recipes of task distil and robust"):
        run_ablations(tmp_path, **{**given, "first": given["second"]})


def test_a_head_learns_what_features_tell() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    features = torch.randn(300, 5, generator=rng) * 0.1 + torch.eye(5)[labels] * torch.tensor([1, 100, 0.01, 1, 1.0])
    features[:, 2] *= 1e-3
    head = heads.fit_head(features, labels)
    assert int((head(features).argmax(dim=1) == labels).sum()) >= 298
    assert heads.fit_head(torch.randn(300, 5, generator=rng), labels)(features).shape == (300, 3)


def test_what_is_delivered_is_the_features_or_the_label() -> None:
    codecs = make_codecs(["task", "label:tiniest", "deepjscc"], ratio=1 / 6, mcs="", channel=AWGN())
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features, label = (
        heads._delivered(heads._checked(name, codecs[name]), images, 10.0) for name in ("task", "label:tiniest")
    )
    assert features.shape == (3, 64)
    assert label.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
    assert label.amax(dim=1).min() > 0.99
    with pytest.raises(ValueError, match="link deepjscc: delivers neither features nor a label"):
        heads._checked("deepjscc", codecs["deepjscc"])
