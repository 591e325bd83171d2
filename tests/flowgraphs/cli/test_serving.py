"""`semlink user` and `semlink load` against a service, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.bench import asker, textures
from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.cli.users import parse_rate, read_folder, run_load, run_user, user_counts

pytest.importorskip("zmq", reason="pyzmq is not installed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with worker_process(["--codec=deepjscc", "--channel=awgn", "--cache=8"], command="serve") as where:
        yield where


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, image in enumerate(textures(3, 40, 0)):
        Image.fromarray(image).save(tmp_path / f"image{i}.png")
    return tmp_path


def user_options(**changed: object) -> dict[str, Any]:
    usual = {"rate": None, "count": None, "codec": "deepjscc", "esno_db": 20.0, "ratio": 1 / 6, "side": None}
    return {**usual, "deadline_ms": None, "seed": 0, "out": None, **changed}


def load_options(**changed: object) -> dict[str, Any]:
    usual = {"users": "1,4", "rate": None, "seconds": 0.5, "images": None, "distinct": 8, "side": 24}
    rest = {"codec": "deepjscc", "esno_db": 20.0, "ratio": 1 / 6, "deadline_ms": None, "seed": 0, "as_json": True}
    return {**usual, **rest, **changed}


@pytest.mark.parametrize("rate", [None, "200/s"])
def test_a_user_sends_a_folder_and_has_it_back(
    address: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str | None
) -> None:
    out = tmp_path / "received"
    assert run_user(service=address, images=folder, **user_options(rate=rate, count=4, out=out)) == 0
    told = capsys.readouterr().out
    assert "semlink user: 4 received, 0 refused, 0 failed" in told
    pictures = sorted(out.iterdir())
    assert [path.name for path in pictures] == [f"{i:05d}-image{i % 3}.png" for i in range(4)]
    for path, (_, sent) in zip(pictures, [*read_folder(folder, None)] * 2, strict=False):
        assert np.square(np.asarray(Image.open(path)).astype(float) - sent).mean() < 200


def test_what_a_user_asks_in_vain_is_told(address: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_user(service=address, images=folder, **user_options(codec="nix")) == 1
    assert "image0: codec='nix' must be one of" in capsys.readouterr().out


def test_a_load_is_a_row_a_number_of_users(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_load(service=address, **load_options())
    rows = json.loads(capsys.readouterr().out)
    assert [row["users"] for row in rows] == [1, 4]
    for row in rows:
        assert row["images_per_s"] > 1
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["refused"] == row["unanswered"] == 0
        assert row["cpu_cores"] > 0
        assert row["memory_mib"] > 10
    assert rows[1]["encoded_hits"] > 0  # the same images again
    run_load(service=address, **load_options(as_json=False, rate="20/s", users="2"))
    assert "images/s" in capsys.readouterr().out


def test_every_user_has_images_of_her_own() -> None:
    images = textures(6, 16, 0)
    ask = asker(images, 3, codec="swin", ratio=1 / 6, esno_db=10)
    met = [(int(ask(user, number).arrays["image"].sum()), ask(user, number).meta["realisation"])
           for number in range(4) for user in range(3)]  # fmt: skip
    assert len(set(met)) == 12
    assert len({pixels for pixels, _ in met}) == 6


@pytest.mark.parametrize(("text", "rate"), [("5/s", 5.0), ("90/min", 1.5), ("0.25", 0.25), (None, None)])
def test_rates(text: str | None, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0/s", "-1", "5/h", "x", "nan"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"--rate .* must be requests a second, such as 5/s"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "0", "257", "1,,2", "1;2", "-1"])
def test_numbers_of_users_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"--users .* must be numbers from 1 to 256"):
        user_counts(text)


def test_options_that_cannot_be_are_refused_in_a_line(folder: Path) -> None:
    with pytest.raises(ValueError, match="--images /nowhere: no such folder"):
        run_user(service="tcp://127.0.0.1:9", images=Path("/nowhere"), **user_options())
    with pytest.raises(ValueError, match="is smaller than --side 64"):
        run_user(service="tcp://127.0.0.1:9", images=folder, **user_options(side=64))
    with pytest.raises(ValueError, match="--count 0 must be 1 or more"):
        run_user(service="tcp://127.0.0.1:9", images=folder, **user_options(count=0))
    with pytest.raises(ValueError, match="--seconds 0 must be from"):
        run_load(service="tcp://127.0.0.1:9", **load_options(seconds=0.0))
    with pytest.raises(ValueError, match="--service 'nix': "):
        run_load(service="nix", **load_options())
    with pytest.raises(ValueError, match="--distinct 0 must be from"):
        run_load(service="tcp://127.0.0.1:9", **load_options(distinct=0))
