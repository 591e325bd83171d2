"""What a network takes from images before its training, where some of its parts begin anew; and which parts learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from semlink.neural import zoo
from semlink.neural.models import build
from semlink.neural.training import Data, Settings
from semlink.neural.training.loop import Run

NETWORK = {"widths": [4, 8, 8, 12], "depths": [0, 1, 1], "decoder_depths": [0, 1, 1], "heads": 2}


@pytest.fixture
def large() -> Data:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 8, 8, generator=rng)
    images = (255 * nn.functional.interpolate(coarse, 128, mode="bilinear")).to(torch.uint8)
    return Data(images[:0], images, images[:0])


def settings(model: str, **given: object) -> Settings:
    return Settings("mine", model=model, network=NETWORK, large_share=1.0, **given)  # type: ignore[arg-type]


def fitted(run: Run, data: Data) -> set[str]:
    """Parts that changed."""
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    run.fit(data)
    after = run.model.state_dict()
    return {key.partition(".")[0] for key, value in before.items() if not value.equal(after[key])}


def kept(folder: Path, data: Data) -> str:
    """The weights of a network that has taken something from other images."""
    run = Run(settings("swin-photo", seed=1), folder)
    run.fit(data._replace(large=data.large.flip(3)))
    zoo.write_weights(run.model, folder / "first.safetensors")
    return str(folder / "first.safetensors")


@pytest.mark.parametrize(("anew", "changed"), [(("decoder",), set()), (("linear", "decoder"), {"linear"})])
def test_what_does_not_begin_anew_stays_as_it_was_given(
    tmp_path: Path, large: Data, anew: tuple[str, ...], changed: set[str]
) -> None:
    given = settings("swin-photo", init=kept(tmp_path, large), anew=anew)
    assert fitted(Run(given, tmp_path / "run"), large) == changed


def test_the_hybrid_link_takes_all_it_needs_from_nothing(tmp_path: Path, large: Data) -> None:
    run = Run(settings("hybrid"), tmp_path)
    assert fitted(run, large) == {"linear", "rest"}
    basis = run.model.state_dict()["linear.basis"]
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=1e-4, rtol=0)
    given = settings("hybrid", init=kept(tmp_path, large), anew=("rest",))
    assert fitted(Run(given, tmp_path / "run"), large) == {"rest"}


def test_parts_that_cannot_learn_are_refused() -> None:
    given = settings("hybrid", init="zoo:hybrid", parts=("decoder",), anew=("rest",))  # which is fitted
    learning = [name for name, part in build("hybrid", NETWORK).named_children() if name not in ("linear", "rest")]
    with pytest.raises(ValueError, match=f"parts=rest have nothing to learn; .* among: {', '.join(learning)}$"):
        replace(given, parts=("rest",))
    with pytest.raises(ValueError, match="anew=encoder must be among parts too: what does not learn would stay random"):
        replace(given, anew=("encoder",))
