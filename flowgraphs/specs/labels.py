"""Which class each image is of: of the sets with labels, and of a folder with a folder of images for each class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semlink.phy.sources import CIFAR10_CLASSES, cifar10_labels, cifar100_labels, find_images

LABELLED = "cifar10:COUNT, cifar100:COUNT, or a folder with a folder of images for each class"
"""The images that have labels, in words."""


@dataclass(frozen=True)
class Labels:
    """The classes of images.

    Attributes:
        classes: their names, in the order in which a classifier counts them.
        of: the index of each image's class, by name of the image.

    Raises:
        ValueError: fewer than two classes, or an index out of range.
    """

    classes: Sequence[str]
    of: Mapping[str, int]

    def __post_init__(self) -> None:
        count = len(self.classes)
        if count < 2:
            raise ValueError(f"labels of {count} class: there must be 2 or more")
        for name, label in self.of.items():
            if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < count:
                raise ValueError(f"label {label!r} of image {name!r} must be from 0 to {count - 1}: {count} classes")

    def check(self, names: Iterable[str]) -> None:
        """Raise ValueError unless each of these images has one."""
        missing = [name for name in names if name not in self.of]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"image {missing[0]!r}{more}: has no label; give {LABELLED}")


def load_labels(words: Sequence[str]) -> Labels | None:
    """The labels of the images that `load_images` gives for these words; None where none of them has any.

    Raises:
        ValueError: images of different classes, or some with and some without labels.
    """
    found = [(word, _labels(word)) for word in words or ["samples"]]
    having = [(word, one) for word, one in found if one is not None]
    if not having:
        return None
    without = [word for word, one in found if one is None]
    if without:
        raise ValueError(f"image {without[0]}: has no label, {having[0][0]} has; give one kind, or {LABELLED}")
    word, first = having[0]
    for other, one in having[1:]:
        if tuple(one.classes) != tuple(first.classes):
            counts = f"{len(first.classes)} and {len(one.classes)} classes"
            raise ValueError(f"images {word} and {other}: of different classes ({counts}); compare one set at a time")
    return Labels(first.classes, {name: label for _, one in having for name, label in one.of.items()})


def class_folders(folder: Path) -> list[Path]:
    """The folders within a folder that has no image itself, one for each class, by name; none for any other folder.

    A folder of images with no label stays what it is, whatever folders there are beside the images.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path for path in inside if path.is_dir()]
    return folders if len(folders) > 1 and len(folders) == len(inside) else []


def _labels(word: str) -> Labels | None:
    if match := re.fullmatch(r"(cifar100?)(?::(\d+))?", word):
        labels, classes = (cifar10_labels("test"), CIFAR10_CLASSES) if match[1] == "cifar10" else cifar100_labels()
        count = len(labels) if match[2] is None else int(match[2])
        return Labels(classes, {numbered(match[1], i): label for i, label in enumerate(labels[:count].tolist())})
    path = Path(word)
    folders = class_folders(path) if path.is_dir() else []
    if not folders:
        return None
    of = {str(image): i for i, one in enumerate(folders) for image in find_images(one)}
    return Labels([one.name for one in folders], of)


def numbered(name: str, i: int) -> str:
    """What an image of a set is called."""
    return f"{name}-{i:05d}"
