"""Accuracies that others have printed, for pictures that say what they are: never measured here, and no equals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PrintedAccuracy:
    """A curve that was printed.

    Attributes:
        images: of which set its test images are.
        uses: channel uses of an image.
        values: how many values an image of its own has.
        esno_db: where it was measured, over AWGN.
        accuracy: there, as shares.
        preparation: in what it is no equal.
    """

    images: str
    uses: int
    values: int
    esno_db: tuple[float, ...]
    accuracy: tuple[float, ...]
    preparation: str


PRINTED: Mapping[str, PrintedAccuracy] = {
    "rkd-sc": PrintedAccuracy(
        "cifar100",
        256,
        3 * 224 * 224,
        tuple(range(-10, 25, 2)),
        (
            *(0.268, 0.352, 0.451, 0.521, 0.580, 0.625, 0.651, 0.676, 0.693),
            *(0.698, 0.701, 0.706, 0.710, 0.711, 0.710, 0.710, 0.711, 0.713),
        ),
        "images of 224x224, CLIP ViT-B/32 as the teacher; attention across the batch",
    )
}
"""By name: RKD-SC's log over AWGN at github.com/echojayne/RKD-SC, commit 509907b."""
