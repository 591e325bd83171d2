"""How often codecs that classify are right, with exact intervals; and whether they fit the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.specs import LABELLED, Labels
from semlink.phy.link import Codec, InformedCodec, Transmission
from semlink.phy.metrics import error_rate

Labelled = Labels | Callable[[], Labels | None] | None
"""The labels of images, or what loads them: asked for only where a codec classifies."""
TOP5_CLASSES = 100
"""From how many classes on top-5 is told: of ten, five are half of them."""


@dataclass(frozen=True)
class Score:
    """How many classifications were right.

    Attributes:
        sent: images classified, each realisation counted.
        right: whose likeliest class was theirs.
        among_five: whose class was among the five likeliest.
        classes: that were told apart; 0 where nothing was classified.
    """

    sent: int = 0
    right: int = 0
    among_five: int = 0
    classes: int = 0

    def __add__(self, other: Score) -> Score:
        """Both together."""
        counts = (self.sent + other.sent, self.right + other.right, self.among_five + other.among_five)
        return Score(*counts, max(self.classes, other.classes))

    def columns(self) -> dict[str, float]:
        """Accuracy and top-5 as shares with their exact binomial 95 % intervals (Clopper and Pearson); NaN for none.

        Each transmission meets a fade of its own, and is a trial, of several realisations each. For these very images
        the interval is then on the safe side: outcomes whose chances differ vary less than those of one coin
        (Hoeffding 1956). What it would be of other images, several realisations of few tell less of.
        """
        top5 = self.among_five if self.classes >= TOP5_CLASSES else None
        right = self.right if self.sent else None
        return {**_share("accuracy", right, self.sent), **_share("top5", top5, self.sent)}


def _share(name: str, right: int | None, sent: int) -> dict[str, float]:
    names = (name, f"{name}_low", f"{name}_high")
    if right is None:
        return dict.fromkeys(names, math.nan)
    rate = error_rate(right, sent)  # a share like any other
    return dict(zip(names, (rate.value, rate.low, rate.high), strict=True))


def score(logits: Float[Tensor, "b k"], labels: Sequence[int] | None, classes: int) -> Score:
    """How many of these logits are largest at the image's class.

    Raises:
        ValueError: no labels, or another number of classes than theirs.
    """
    if labels is None:
        raise ValueError(f"logits {tuple(logits.shape)}, and images without labels; give {LABELLED}")
    if logits.shape[1] != classes:
        raise ValueError(f"logits of {logits.shape[1]} classes; the images are of {classes}")
    wanted = torch.tensor(labels, device=logits.device)[:, None]
    best = logits.topk(min(5, classes), dim=1).indices == wanted
    return Score(len(labels), int(best[:, 0].sum()), int(best.any(dim=1).sum()), classes)


def check_classes(codecs: Mapping[str, Codec | InformedCodec], labels: Labelled, images: Iterable[str]) -> None:
    """Refuse codecs that say how many `classes` they tell apart where the images have no label, or other classes.

    Raises:
        ValueError: naming the codec, and what it would need; or as what loads the labels.
    """
    for name, codec in codecs.items():
        classes = getattr(codec, "classes", None)
        if not isinstance(classes, int):
            continue
        labels = _loaded(labels)
        if labels is None:
            raise ValueError(f"--codec {name}: tells classes apart, and the images have no label; give {LABELLED}")
        if classes != len(labels.classes):
            said = f"the images are of {len(labels.classes)}"
            raise ValueError(f"--codec {name}: tells {classes} classes apart; {said}: give a teacher of these classes")
        labels.check(images)


def is_logits(got: Transmission) -> bool:
    """Whether a codec has classified, and shows no image."""
    return got.image.ndim == 2


def labels_of(labels: Labelled, names: Sequence[str], got: Transmission) -> tuple[list[int] | None, int]:
    """The classes of these images, and how many there are; None and 0 where it is not known, or `got` shows images.

    Raises:
        ValueError: an image without a label, or as what loads the labels.
    """
    known = _loaded(labels) if is_logits(got) else None
    if known is None:
        return None, 0
    known.check(names)
    return [known.of[name] for name in names], len(known.classes)


def _loaded(labels: Labelled) -> Labels | None:
    return labels() if callable(labels) else labels
