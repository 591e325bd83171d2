"""What the engine sends once and keeps, and what a codec that fails leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from semlink.flowgraphs.cli import studies as commands
from semlink.flowgraphs.specs import codecs
from semlink.flowgraphs.studies import Engine, Study, engine, run_study
from semlink.phy.link import Frame, Received, normalise_power


@pytest.mark.parametrize(
    ("codec", "expected"), [("jpeg-uncoded-qam:4qam-1/2", 1), ("swin-gsc", 1), ("deepjscc", 3), ("swin-gsc+sft", 1)]
)
def test_frames_are_encoded_once_for_all_channels(
    codec: str, expected: int, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study]
) -> None:
    """And for all Es/N0, where the codec makes no use of it."""
    study = small(codecs=[codec], ratios=["1/6"], channels=["awgn", "rayleigh"], realisations=3)
    sender = Engine(study)
    sends = sender.codec(study.points()[0])
    calls: list[float] = []
    encode = sends.encode
    monkeypatch.setattr(sends, "encode", lambda image, n0: calls.append(n0) or encode(image, n0))
    alone = {}
    for point in engine.in_turn(study, study.points()):
        alone[point] = sender.run(point).row["psnr_db"]
    assert len(calls) == expected
    monkeypatch.undo()
    for point, psnr_db in alone.items():
        assert Engine(study).run(point).row["psnr_db"] == psnr_db


def test_frames_hold_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study], own_code: str
) -> None:
    """A network of one's own has trainable weights; kept with its graph, a frame would keep all activations."""
    monkeypatch.chdir(tmp_path)
    network = "class Grey(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    network += "        self.scale = torch.nn.Parameter(torch.ones(()))"
    code = (
        own_code.replace("LEVEL", "0.5")
        .replace("torch.ones(", "self.scale * torch.ones(")
        .replace("class Grey:", network)
    )
    Path("nets_of_mine.py").write_text(code)
    study = small(codecs=["nets_of_mine:Grey"])
    sender = Engine(study)
    assert sender.run(study.points()[0]).row["error"] == ""
    assert not any(frame.symbols.requires_grad for frame in sender._frames._kept.values())


class Fussy:
    """A codec that will not have one of the images."""

    ratio = 1 / 3

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """Pairs of pixels as symbols."""
        if (image.mean(dim=(1, 2, 3)) > 0.52).any():
            raise RuntimeError("too bright\nfor me")
        values = image.flatten(1)[:, : 2 * (image[0].numel() // 3)] - 0.5
        symbols = torch.view_as_complex(values.reshape(len(image), -1, 2).contiguous())
        return Frame(normalise_power(symbols), {"payload": symbols.shape[1]})

    def decode(self, received: Received) -> torch.Tensor:
        """Grey."""
        assert received.image_shape is not None
        return torch.full((len(received.symbols), *received.image_shape), 0.5)


def test_a_codec_that_raises_leaves_an_error_row_and_the_rest_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small: Callable[..., Study],
    write_study: Callable[[Study, Path], Path],
) -> None:
    made = codecs._make_codec
    monkeypatch.setattr(codecs, "_make_codec", lambda name, **rest: Fussy() if name == "fussy" else made(name, **rest))
    study = small(codecs=["fussy", "jpeg-uncoded-qam:4qam-1/2"])
    path = write_study(study, tmp_path / "s.toml")
    assert (
        commands.run_sweep(
            path, tmp_path / "out", workers=0, scheduler=None, resources=[], yes=False, csv=True, as_json=False
        )
        == 1
    )
    table = pd.read_csv(tmp_path / "out" / "table.csv", keep_default_na=False)
    bad = table[table["codec"] == "fussy"]
    assert len(bad) == 3
    assert all("RuntimeError: too bright for me" in said and ".png" in said for said in bad["error"])
    assert set(bad["images"]) == {0}
    assert set(table[table["codec"] != "fussy"]["error"]) == {""}
    assert "too bright for me" in capsys.readouterr().err


class Cropping(Fussy):
    """A codec whose images have lost a row."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """As dark as it may be."""
        return super().encode(0.5 * image, n0)

    def decode(self, received: Received) -> torch.Tensor:
        """Grey."""
        return super().decode(received)[..., 1:, :]


def test_images_that_cannot_be_measured_leave_an_error_row(
    monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study]
) -> None:
    made = codecs._make_codec
    monkeypatch.setattr(codecs, "_make_codec", lambda name, **rest: Cropping() if name == "c" else made(name, **rest))
    table = run_study(small(codecs=["c", "jpeg-uncoded-qam:4qam-1/2"]), workers=0)
    assert [bool(error) for error in table["error"]] == [True] * 3 + [False] * 3
    assert "0.png" in table["error"][0]


@pytest.mark.parametrize(
    ("codec", "mcs", "shared"),
    [
        ("jpeg-ldpc-qam+sft-jpeg", "16qam-1/2", True),
        ("jpeg-ldpc-qam:outage", "16qam-1/2", False),
        ("jpeg-ldpc-qam:outage+sft-jpeg:steps=1", "16qam-1/2", False),
        ("jpeg-ldpc-qam", "outage", False),
    ],
)
def test_a_codec_that_knows_the_fading_is_built_for_each_channel(
    codec: str, mcs: str, shared: bool, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study]
) -> None:
    study = small(codecs=[codec], mcs=mcs, channels=["awgn", "rayleigh"], esno_db=[0])
    monkeypatch.setattr(engine, "make_codecs", lambda names, **_: {names[0]: object()})
    sender = Engine(study)
    one, other = (sender.codec(point) for point in study.points())
    assert (one is other) is shared
