"""Codecs of a notebook's own cell, and workers that are not like this process."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from semlink.flowgraphs.specs import code_of, is_own, make_own
from semlink.flowgraphs.studies import Study, cluster
from semlink.flowgraphs.studies.cluster import OtherWorkerError, differences_of, known_here, send_point
from semlink.flowgraphs.studies.plan import Plan
from semlink.phy.link import Decoded, Frame, Received

ONE_POINT: dict[str, Any] = {"esno_db": [5.0], "ratios": [1 / 6], "pictures": 0}


class Thumb:
    """Sends ones and shows grey."""

    ratio = 1 / 6

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        symbols = torch.ones(len(image), image[0].numel() // 6, dtype=torch.complex64)
        return Frame(symbols, uses={"payload": symbols.shape[1]})

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.full((len(received.symbols), 3, 12, 12), 0.5))


class Other(Thumb):
    """One that shows something else under the same name."""

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.full((len(received.symbols), 3, 12, 12), 0.25))


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small picture, in a process whose main module is a notebook's: without a file or a specification."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "Thumb", Thumb, raising=False)
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.delattr(main, "__file__", raising=False)
    path = tmp_path / "small.png"
    Image.new("RGB", (12, 12), (200, 100, 0)).save(path)
    return str(path)


def study(image: str) -> Study:
    return Study(images=[image], codecs=["__main__:Thumb"], **ONE_POINT)


def test_a_codec_of_a_cell_is_found(image: str) -> None:
    assert is_own("__main__:Thumb", "codecs")
    assert not is_own("__main__:NotThere", "codecs")
    assert isinstance(make_own("__main__:Thumb", "codecs"), Thumb)


def test_it_runs_in_this_process_and_not_in_another(image: str, tmp_path: Path) -> None:
    table = study(image).run(tmp_path / "out", progress=lambda _: None)
    assert table["error"].tolist() == [""]
    for options in ({"workers": 2}, {"scheduler": "tcp://nowhere:1"}):
        with pytest.raises(ValueError, match="__main__:Thumb is of this process alone; give workers=0, or put it into"):
            study(image).run(progress=lambda _: None, **options)


def test_its_code_is_part_of_what_a_folder_was_begun_with(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(image).run(tmp_path / "out", progress=lambda _: None)
    before = code_of("__main__:Thumb", "codecs")
    study(image).run(tmp_path / "out", progress=lambda _: None)  # nothing has changed
    monkeypatch.setattr(sys.modules["__main__"], "Thumb", Other)
    assert code_of("__main__:Thumb", "codecs") != before
    with pytest.raises(ValueError, match="the code or weights of __main__:Thumb have changed"):
        study(image).run(tmp_path / "out", progress=lambda _: None)


def test_a_worker_that_differs_says_in_what(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(images=[image], codecs=["__main__:Thumb"], **ONE_POINT)
    here = {**known_here(plan, {image: "0" * 64, "gone.png": "1" * 64}), "torch": "1.0"}
    monkeypatch.setattr(cluster, "_engines", {})
    with pytest.raises(OtherWorkerError) as raised:
        send_point(plan.to_dict(), ("__main__:Thumb", "awgn", 1 / 6, 5.0), "another digest")
    arrived = pickle.loads(pickle.dumps(raised.value))
    assert arrived.where == raised.value.where
    found = differences_of(here, arrived.known)
    assert found[0] == f"torch 1.0 here, {torch.__version__} there"
    assert found[1:] == [f"image {image} is another one", "image gone.png is missing there"]
