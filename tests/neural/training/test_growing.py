"""A deeper network that starts from the weights of a shallower one: only blocks that it has more begin at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural import zoo
from semlink.neural.models import build
from semlink.neural.training import Settings
from semlink.neural.training.loop import Run

NETWORK = {"widths": [4, 8], "depths": [1, 1], "heads": 2}
DEEPER = {**NETWORK, "depths": [1, 3]}
ADDED = ("encoder.coarse.1", "encoder.coarse.2", "decoder.coarse.1", "decoder.coarse.2")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    torch.manual_seed(7)
    zoo.write_weights(build("swin", NETWORK), tmp_path / "first.safetensors")
    return Settings("deep", model="swin", network=DEEPER, init=str(tmp_path / "first.safetensors"), anew=ADDED)


def test_all_but_the_blocks_added_is_taken(settings: Settings, tmp_path: Path) -> None:
    first = build("swin", NETWORK)
    zoo.read_weights(first, Path(settings.init))
    given, got = first.state_dict(), Run(settings, tmp_path / "run").model.state_dict()
    assert {key for key in got if key not in given} == {key for key in got if zoo.is_within(key, ADDED)}
    assert all(value.equal(got[key]) for key, value in given.items())
    assert got["decoder.coarse.2.expand.weight"].abs().max() > 0


def test_as_it_begins_it_shows_nearly_what_the_shallower_one_shows(settings: Settings, tmp_path: Path) -> None:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    deeper, first = Run(settings, tmp_path / "run").model.eval(), build("swin", NETWORK)
    zoo.read_weights(first, Path(settings.init))
    sent = [network.encode(image, 0.1).symbols for network in (first, deeper)]  # type: ignore[operator]
    assert (sent[0] - sent[1]).abs().square().mean() < 1e-3


def test_a_block_is_named_by_a_digit_whole(settings: Settings) -> None:
    assert zoo.is_within("decoder.coarse.1.expand.weight", ["decoder.coarse.1"])
    assert not zoo.is_within("decoder.coarse.12.expand.weight", ["decoder.coarse.1"])


def test_blocks_that_are_missing_or_unknown_are_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no weights of this network \(.*Missing key.* \"decoder.coarse.2"):
        Run(replace(settings, anew=ADDED[:3]), tmp_path / "a")
    for unknown in ("decoder.coarse.3", ""):
        with pytest.raises(ValueError, match=r"among the network's parts: analysis, .* such as decoder.coarse.2"):
            Run(replace(settings, anew=(unknown,)), tmp_path / "b")
    with pytest.raises(ValueError, match=r"anew=decoder.coarse.1, decoder.coarse.2 must be among parts too"):
        replace(settings, anew=ADDED, parts=("encoder",))
