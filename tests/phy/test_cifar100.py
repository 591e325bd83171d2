"""CIFAR-100: both splits, the fine and the coarse classes by name."""

from __future__ import annotations

import os

import pytest

from semlink.phy import sources
from semlink.phy.sources import CIFAR100_GROUPS, DataError, cifar100, cifar100_labels

pytestmark = pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("SEMLINK_DATA", ""), "cifar100")), reason="no CIFAR-100 here"
)


def test_names_are_texts_and_groups_are_the_official_ones() -> None:
    fine, names = cifar100_labels()
    coarse, groups = cifar100_labels(coarse=True)
    assert (names[0], names[99], len(names)) == ("apple", "worm", 100)
    assert groups == CIFAR100_GROUPS
    assert fine[:200].tolist() == [*range(100), *range(100)]
    group_of = {names[i]: groups[int(coarse[i])] for i in range(100)}
    assert group_of["beaver"] == "aquatic_mammals"
    assert group_of["skyscraper"] == "large_man-made_outdoor_things"
    assert group_of["worm"] == "non-insect_invertebrates"
    assert group_of["train"] == "vehicles_1"
    assert group_of["tank"] == "vehicles_2"
    assert len(cifar100_labels("train")[0]) == len(cifar100_labels("train", coarse=True)[0]) == 50_000


def test_training_images_are_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def mosaic(path: sources.Path) -> object:
        read.append(path.name)
        return sources.np.full((2, 3, 32, 32), len(read), sources.np.uint8)

    monkeypatch.setattr(sources, "_mosaic", mosaic)
    images = cifar100("train")
    assert read == [f"train{i}.avif" for i in range(1, 6)]
    assert (images[:, 0, 0, 0] * 255).round().tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    with pytest.raises(DataError, match="split='valid' must be one of: train, test"):
        cifar100("valid")  # type: ignore[arg-type]
