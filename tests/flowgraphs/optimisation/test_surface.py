"""The measured surface: what it says between its points, and files that hold none."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.optimisation import (
    Covert,
    measure_surface,
    read_surface,
    references,
    stored_curves,
    stored_surface,
)

STORED = resources.files("semlink.flowgraphs.optimisation").joinpath("data/quality.csv").read_text()


def test_the_points_are_met_and_what_lies_between_is_between() -> None:
    surface = stored_surface()
    at = torch.tensor(surface.esno_db)
    for k in surface.steps:
        assert torch.allclose(surface.quality(at, torch.full_like(at, k)), surface.psnr_db[k])
    middle = surface.quality(torch.tensor([2.0]), torch.tensor([0.5]))
    assert float(middle) == pytest.approx(float(surface.psnr_db[:2, 3:5].mean()), abs=1e-4)


def test_it_is_flat_beyond_its_ends_and_has_a_slope_within() -> None:
    surface = stored_surface()
    esno_db = torch.tensor([-50.0, 1.0, 50.0], requires_grad=True)
    steps = torch.tensor([1.5, 1.5, 1.5], requires_grad=True)
    surface.quality(esno_db, steps).sum().backward()  # type: ignore[no-untyped-call]
    assert esno_db.grad is not None
    assert steps.grad is not None
    assert esno_db.grad[0] == esno_db.grad[2] == 0 < esno_db.grad[1]
    assert (steps.grad > 0).all()


def test_more_signal_is_better_at_any_number_of_steps() -> None:
    assert (stored_surface().psnr_db.diff(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "grid"),
        (lambda text: "a,b\n1,2\n", "steps"),
        (lambda text: text.rsplit("\n", 2)[0], "full grid"),
        (lambda text: text + text.splitlines()[1], "full grid"),
        (lambda text: text.replace(",0,-12,11.166", ",0,-12,nan"), "not finite"),
        (lambda text: text.replace(",-12,", ",-13,"), "evenly spaced"),
        (lambda text: text.replace("gsc,4,", "gsc,5,"), "steps must be"),
        (lambda text: text.replace("11.166", "x"), "could not convert"),
    ],
)
def test_another_file_is_refused(change: object, said: str, tmp_path: Path) -> None:
    assert callable(change)
    path = tmp_path / "surface.csv"
    path.write_text(change(STORED))
    with pytest.raises(ValueError, match=rf"--surface .*surface\.csv: holds no quality surface .*{said}"):
        read_surface(path)


@pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set: CIFAR-10 is there")
def test_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "surface.csv"
    measure_surface(path, steps=(0, 1), esno_db=(0, 10), images=3)
    surface = read_surface(path)
    assert surface.psnr_db.shape == (2, 2)
    assert (surface.psnr_db[:, 1] > surface.psnr_db[:, 0]).all()
    assert (surface.spread_db > 0).all()


@pytest.mark.parametrize("name", ["water-filling", "covert", "covert-partial"])
def test_stored_curves_are_whole_trainings(name: str) -> None:
    """Every seed from its random weights to its last update, never above the optimum."""
    curves = stored_curves(name)
    assert {"gdm", "mlp", "gradient"} <= set(curves["policy"])
    ends = curves.groupby(["policy", "seed"])["updates"].agg(["min", "max"])
    assert (ends["min"] == 0).all()
    assert ends["max"].nunique() == 1
    assert curves["value"].max() <= (0.0 if name == "water-filling" else 30.0)


@pytest.mark.parametrize("csi", ["perfect", "partial"])
def test_stored_curves_are_of_the_stored_surface(csi: str) -> None:
    """A new surface without new curves, or the other way round, would show policies far off or above the optimum."""
    curves = stored_curves("covert" if csi == "perfect" else "covert-partial")
    learned = curves[curves["policy"] == "gradient"].groupby("seed")["value"].last()
    best = float(references(Covert(stored_surface(), csi=csi))["oracle"].mean())
    assert ((1 - learned / best > 0) & (1 - learned / best < 0.01)).all()


def test_other_curves_are_not_stored() -> None:
    with pytest.raises(ValueError, match="name='moon' must be one of: water-filling, covert, covert-partial"):
        stored_curves("moon")
