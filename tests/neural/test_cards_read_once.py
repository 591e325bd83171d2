"""Cards are read once, and again when one of them was changed, is new or is gone."""

from __future__ import annotations

import os
import shutil
from importlib import resources
from pathlib import Path

import pytest

from semlink.neural import zoo
from semlink.neural.diffusion import find_receiver
from semlink.neural.diffusion import zoo as receivers

SHIPPED = Path(zoo.__file__).parent / "weights"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cards, in a folder that stands for that of the package."""
    for name in ("deepjscc-6", "deepjscc-12"):
        shutil.copy(SHIPPED / f"{name}.json", tmp_path)
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cards as they are read, by name."""
    names = list[str]()
    for module in (zoo, receivers):
        fields = module.read_fields
        monkeypatch.setattr(
            module, "read_fields", lambda path, *rest, fields=fields: names.append(path.stem) or fields(path, *rest)
        )
    return names


def test_a_card_is_looked_for_without_reading_all_of_them_again(folder: Path, read: list[str]) -> None:
    first = zoo.find_card("deepjscc")
    assert sorted(read) == ["deepjscc-12", "deepjscc-6"]
    assert zoo.find_card("deepjscc", ratio=1 / 12).name == "deepjscc-12"
    assert zoo.names() == ["deepjscc"]
    assert len(read) == 2
    zoo.cards().clear()  # what is given is the asker's own
    assert zoo.find_card("deepjscc") is first
    assert len(read) == 2
    assert folder.is_dir()


def test_a_card_that_was_changed_is_read_again(folder: Path, read: list[str]) -> None:
    path = folder / "deepjscc-6.json"
    before, digest = path.read_text(), zoo.find_card("deepjscc").sha256
    path.write_text(before.replace(digest, digest[::-1]))  # of the same size
    os.utime(path, ns=(1, 1))
    assert zoo.find_card("deepjscc").sha256 == digest[::-1]
    assert len(read) == 4
    path.unlink()
    with pytest.raises(ValueError, match=r"ratio=0\.166667 must be, for deepjscc, one of: 1/12"):
        zoo.find_card("deepjscc", ratio=1 / 6)
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"deepjscc-6\.json: no card of a codec"):
            zoo.find_card("deepjscc")


def test_receivers_are_read_once_as_well(shipped: Path, read: list[str]) -> None:
    for _ in range(3):
        assert find_receiver("sft", codec="swin")[1] == shipped / "sft-swin.safetensors"
    assert len(read) == 4
