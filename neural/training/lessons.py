"""What a task codec learns from: labelled images, and what a teacher makes of each, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.classifiers import Seen, Teacher, build_task, find_teacher
from semlink.neural.training.recipe import Settings
from semlink.phy.documents import in_short, write_whole
from semlink.phy.progress import progress_of
from semlink.phy.sources import (
    CIFAR10_CLASSES,
    DataError,
    cifar10_bytes,
    cifar10_labels,
    cifar100_bytes,
    cifar100_labels,
)


class _Set(NamedTuple):
    """Labelled images: what they are called, their classes, and how they are read."""

    name: str
    classes: Callable[[], Sequence[str]]
    read: Callable[[], tuple[Tensor, Tensor]]


LABELLED: Mapping[str, _Set] = {
    "cifar10": _Set("CIFAR-10", lambda: CIFAR10_CLASSES, lambda: (cifar10_bytes("train"), cifar10_labels("train"))),
    "cifar100": _Set(
        "CIFAR-100",
        lambda: cifar100_labels("train")[1],
        lambda: (cifar100_bytes("train"), cifar100_labels("train")[0]),
    ),
}
"""The training images that task codecs learn from."""
KEPT = "teacher.safetensors"
"""The teacher's answers, in the folder of a run."""
ASKED_AT_ONCE = 500


class Lessons(NamedTuple):
    """Labelled images with the teacher's answers, and those kept for validation (perhaps none).

    `features` and `logits` have the answers for the images as they are, then for the mirrored ones; `contents` are as
    those of `Data`.
    """

    small: UInt8[Tensor, "n 3 32 32"]
    labels: Int[Tensor, " n"]
    features: Float[Tensor, "2 n f"]
    logits: Float[Tensor, "2 n k"]
    validation: UInt8[Tensor, "v 3 32 32"]
    validation_labels: Int[Tensor, " v"]
    contents: Mapping[str, Mapping[str, str]] = {}

    def to(self, device: str) -> Lessons:
        """The same on a device."""
        parts: dict[str, Any] = {
            name: part.to(device) for name, part in self._asdict().items() if isinstance(part, Tensor)
        }
        return self._replace(**parts)


class Lesson(NamedTuple):
    """A batch of them."""

    image: Float[Tensor, "b 3 32 32"]
    label: Int[Tensor, " b"]
    taught: Seen


def task_lessons(settings: Settings, out: Path) -> Lessons:
    """Labelled training images, and the teacher's answers from `out/teacher.safetensors`, or computed and kept there.

    Raises:
        ValueError: an unknown teacher, one of other classes or features than the network's, a network of other classes
            than the images, or more images to be kept than there are.
        DataError: data or teacher are not to be had.
    """
    classes, head = len(LABELLED[settings.labelled].classes()), build_task(settings.model, settings.network).head
    if not settings.teacher and head.out_features != classes:
        raise ValueError(f"network: classes={head.out_features} must be {classes}: labelled={settings.labelled!r}")
    images, labels = LABELLED[settings.labelled].read()
    if settings.validation >= len(images):
        raise DataError(f"validation={settings.validation} must be below {len(images)}")
    contents = {settings.labelled: {"training set": _digest(images)}}
    features = logits = torch.zeros(2, len(images), 0)  # where labels alone teach
    if settings.teacher:
        fits = partial(_check_teacher, settings, classes)
        features, logits = answers(settings.teacher, images, out / KEPT, fits=fits)
        contents["teacher"] = {settings.teacher: _digest(logits)}
    used = len(images) - settings.validation
    parts = images[:used], labels[:used], features[:, :used], logits[:, :used]
    return Lessons(*parts, images[used:], labels[used:], contents)


def _check_teacher(settings: Settings, classes: int, features: int, told: int) -> None:
    """Refuse a teacher of so many features and classes `told` for images of `classes`, or for the settings' network."""
    head, teacher = build_task(settings.model, settings.network).head, f"teacher={settings.teacher!r}"
    if told != classes:
        name = LABELLED[settings.labelled].name
        raise ValueError(f"{teacher} tells {told} classes apart; {name} has {classes}")
    if told != head.out_features:
        raise ValueError(f"{teacher} tells {told} classes apart; network: classes={head.out_features} must be as many")
    if settings.loss.get("features") and features != head.in_features:
        raise ValueError(f"{teacher} has {features} features; network: features={head.in_features} must be as many")


def answers(
    name: str,
    images: UInt8[Tensor, "n 3 h w"],
    path: Path,
    *,
    fits: Callable[[int, int], None] = lambda _features, _classes: None,
) -> tuple[Float[Tensor, "2 n f"], Float[Tensor, "2 n k"]]:
    """Features and logits that a teacher finds in images and in their mirror images, in float16; kept at `path`.

    Args:
        name: of the teacher.
        images: that it is asked.
        path: of the file.
        fits: raises ValueError for a teacher of so many features and classes; called before it is asked anything.

    Raises:
        ValueError: an unknown teacher, one that does not fit, or a damaged file.
    """
    of = hashlib.sha256(f"{name} {_digest(images)}".encode()).hexdigest()[:16]
    if path.is_file():
        try:
            kept = load(path.read_bytes())
            found = (
                [kept[f"{part} {of}"].float() for part in ("features", "logits")] if f"features {of}" in kept else []
            )
        except Exception as error:  # a damaged file raises any of half a dozen types
            raise ValueError(
                f"answers {path}: damaged ({in_short(error)}); remove it to ask the teacher anew"
            ) from error
        if found:
            fits(found[0].shape[2], found[1].shape[2])
            return found[0], found[1]
    teacher = find_teacher(name)
    fits(teacher.features, teacher.classes)
    features, logits = _ask(teacher, images)
    write_whole(path, save({f"features {of}": features.half(), f"logits {of}": logits.half()}))
    return features.half().float(), logits.half().float()


def _ask(teacher: Teacher, images: Tensor) -> tuple[Tensor, Tensor]:
    features, logits = torch.empty(2, len(images), teacher.features), torch.empty(2, len(images), teacher.classes)
    with progress_of("asking the teacher", len(images)) as show:
        for i in range(0, len(images), ASKED_AT_ONCE):
            rows = slice(i, i + ASKED_AT_ONCE)
            image = images[rows].float() / 255
            for mirrored, seen in enumerate((teacher(image), teacher(image.flip(3)))):
                features[mirrored, rows], logits[mirrored, rows] = seen
            show(min(i + ASKED_AT_ONCE, len(images)))
    return features, logits


def draw_lesson(lessons: Lessons, settings: Settings, rng: torch.Generator, *, share: int = 1) -> Lesson:
    """A batch of images, each mirrored or not and moved by up to `settings.shift` pixels; 1/`share` of a whole one.

    What the teacher answers is to the image that was not moved.
    """
    count = max(1, settings.batch // share)
    chosen = torch.randint(len(lessons.small), (count,), generator=rng).to(lessons.small.device)
    mirrored = torch.randint(2, (count,), generator=rng).to(lessons.small.device)
    image = lessons.small[chosen].float() / 255
    image = torch.where(mirrored[:, None, None, None] > 0, image.flip(3), image)
    taught = Seen(lessons.features[mirrored, chosen], lessons.logits[mirrored, chosen])
    return Lesson(moved(image, settings.shift, rng), lessons.labels[chosen], taught)


def moved(image: Float[Tensor, "b 3 h w"], most: int, rng: torch.Generator) -> Float[Tensor, "b 3 h w"]:
    """Each image moved by up to so many pixels each way, what comes in mirrored at the border."""
    if not most:
        return image
    b, _, h, w = image.shape
    padded = F.pad(image, (most, most, most, most), mode="reflect")
    top, left = torch.randint(2 * most + 1, (2, b, 1), generator=rng).to(image.device)
    rows, columns = (torch.arange(side, device=image.device) for side in (h, w))
    batch = torch.arange(b, device=image.device)[:, None, None]
    return padded[batch, :, (rows + top)[:, :, None], (columns + left)[:, None, :]].permute(0, 3, 1, 2)


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().data).hexdigest()
