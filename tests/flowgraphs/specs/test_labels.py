"""Which class each image is of, and images whose classes nobody knows or that do not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.specs import Labels, load_images, load_labels

KEPT = ("test.webp", "labels.npz")


@pytest.fixture
def animals(tmp_path: Path) -> str:
    for i, name in enumerate(("cat", "ant", "bee")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for j in range(i + 1):
            Image.fromarray(np.full((32, 32, 3), 40 * i + j, np.uint8)).save(tmp_path / "animals" / name / f"{j}.png")
    return str(tmp_path / "animals")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both CIFARs, grey but for a level that tells the class."""
    for name, classes in (("cifar10", 10), ("cifar100", 100)):
        (tmp_path / name).mkdir()
        labels = np.arange(10_000) % classes
        tiles = np.broadcast_to(labels.reshape(100, 100, 1, 1, 1), (100, 100, 32, 32, 3)).astype(np.uint8)
        Image.fromarray(tiles.transpose(0, 2, 1, 3, 4).reshape(3200, 3200, 3)).save(
            tmp_path / name / "test.webp", lossless=True, method=0
        )
        names = np.array([f"class{i:02d}" for i in range(classes)])
        np.savez(tmp_path / name / "labels.npz", test_y=labels.astype(np.uint8), classes=names)
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    return tmp_path


def test_a_folder_with_a_folder_for_each_class(animals: str) -> None:
    labels, images = load_labels([animals]), load_images([animals])
    assert labels is not None
    assert list(labels.classes) == ["ant", "bee", "cat"]
    assert {Path(name).parent.name: label for name, label in labels.of.items()} == {"ant": 0, "bee": 1, "cat": 2}
    assert list(images) == list(labels.of)
    assert len(images) == 6


def test_the_sets_have_labels_of_their_own(data: Path) -> None:
    for name, classes in (("cifar10", 10), ("cifar100", 100)):
        labels, images = load_labels([f"{name}:120"]), load_images([f"{name}:120"])
        assert labels is not None
        assert len(labels.classes) == classes
        assert list(labels.of) == list(images)
        assert [round(255 * float(image.mean())) for image in images.values()] == list(labels.of.values())
    assert labels is not None
    assert labels.classes[7] == "class07"


def test_images_without_labels_have_none(animals: str) -> None:
    assert load_labels([]) is None
    assert load_labels(["samples", f"{animals}/cat"]) is None


def test_images_that_do_not_go_together_are_refused(data: Path, animals: str) -> None:
    with pytest.raises(ValueError, match=r"image samples: has no label, .*animals has; give one kind, or cifar10"):
        load_labels([animals, "samples"])
    with pytest.raises(ValueError, match=r"cifar100:3: of different classes \(10 and 100 classes\)"):
        load_labels(["cifar10:3", "cifar100:3"])
    with pytest.raises(ValueError, match=r"image set cifar100:10001: the count must be 1 … 10000"):
        load_images(["cifar100:10001"])


def test_labels_out_of_range_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"label 3 of image 'a' must be from 0 to 2: 3 classes"):
        Labels(["x", "y", "z"], {"a": 3})
    with pytest.raises(ValueError, match=r"image 'b' and 1 more: has no label"):
        Labels(["x", "y"], {"a": 1}).check(["a", "b", "c"])
    np.savez(data / "cifar10" / "labels.npz", test_y=np.full(10_000, 10))
    with pytest.raises(ValueError, match=r"labels\.npz: test_y must be classes from 0 to 9"):
        load_labels(["cifar10:3"])
    np.savez(data / "cifar10" / "labels.npz", test_y=np.array(["a"] * 10_000))
    with pytest.raises(ValueError, match=r"labels\.npz: test_y must be classes from 0 to 9"):
        load_labels(["cifar10:3"])
    whole = (data / "cifar100" / "labels.npz").read_bytes()
    for damaged in (b"PK", b"", whole[:500], whole[:200] + bytes(50) + whole[250:]):
        (data / "cifar10" / "labels.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"labels\.npz: no labels test_y that can be read"):
            load_labels(["cifar10:3"])
