"""Classify at the transmitter and send the label: the ceiling of any link for one task that both ends know.

The label is a vertex of a simplex, a code of M words each as far from every other as can be: the best there is for M
equally likely words of equal energy over AWGN, coherently received (the weak simplex conjecture; Pastore, "A Proof of
the Weak Simplex Conjecture", 2023, arXiv 2306.13478). It has M − 1 real dimensions, two to a channel use.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.neural.classifiers.teachers import Teacher
from semlink.phy.link import Decoded, Frame, Received, check_image

LABEL_USES = 32
"""Channel uses of a label where nothing is said, or as many as its code needs."""


class LabelCodec:
    """A `Codec` that sends which class a teacher at the transmitter sees.

    Args:
        teacher: looks at the image before it is sent.
        uses: complex channel uses of an image; None for `LABEL_USES`, or as many as the code needs.

    Raises:
        ValueError: fewer channel uses than the simplex of so many classes has dimensions for.

    `decode` gives the logarithm of each class's likelihood, but for a common term: with equal shares of the classes,
    logits. How sure the teacher was is not sent.
    """

    ignores_n0 = True
    """Whether an image is sent as the same symbols at every Es/N0."""

    def __init__(self, teacher: Teacher, *, uses: int | None = None) -> None:
        self.teacher, self.classes = teacher, teacher.classes
        least = least_uses(self.classes)
        self.uses = max(LABEL_USES, least) if uses is None else uses
        if self.uses < least:
            raise ValueError(f"uses={uses} must be at least {least}: a simplex of {self.classes} labels needs them")
        self.words = simplex_words(self.classes, self.uses)

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:  # noqa: ARG002 - its words have one power
        """The word of the class that the teacher sees in each image.

        Raises:
            ValueError: images out of range, or of a shape that the teacher was not made for.
        """
        check_image(image)
        self.teacher.check_image(image)
        label = self.teacher(image).logits.argmax(dim=1)
        symbols = self.words.to(image.device)[label]
        cost = f"{self.teacher.multiply_adds / 1e6:.1f} M multiply-adds an image"
        least = least_uses(self.classes)
        notes = {
            "transmitter": f"{self.teacher.name} classifies before sending ({cost}), for this one task",
            "label": f"one of {self.classes} by a simplex code in {self.uses} channel uses, {least} at least",
        }
        return Frame(symbols, {"payload": self.uses}, power="exact", notes=notes)

    def decode(self, received: Received) -> Decoded:
        """Log-likelihoods of the labels, (b, classes), each symbol weighed by its own noise.

        Raises:
            ValueError: another number of symbols than a word has.
        """
        received = received.unbiased()
        if received.symbols.shape[1] != self.uses:
            raise ValueError(f"{received.symbols.shape[1]} symbols received; a label has {self.uses}")
        words = self.words.to(received.symbols.device)
        # |y − s|² without |y|², which all words share.
        match = 2 * ((received.symbols / received.n0) @ words.mH).real
        energy = received.n0.reciprocal() @ words.abs().square().T
        return Decoded(match - energy)


def least_uses(classes: int) -> int:
    """Complex channel uses that a simplex of so many words needs at least."""
    return math.ceil((classes - 1) / 2)


def simplex_words(classes: int, uses: int) -> Complex[Tensor, "classes uses"]:
    """A word for each class: mean energy 1 a symbol, and an inner product of −uses/(classes − 1) of any two.

    The vertices lie along waves over the 2·uses real dimensions: every symbol has the same mean energy over the words,
    and a fade within an image does not strike one label alone.
    """
    pairs = (_vertices(classes) @ _waves(classes - 1, 2 * uses) * math.sqrt(uses)).reshape(classes, uses, 2)
    return torch.view_as_complex(pairs.contiguous()).to(torch.complex64)


def _waves(count: int, size: int) -> Float[Tensor, "count size"]:
    """Orthonormal waves whose squares add up to the same at every place: sines with their cosines, and constants."""
    place = torch.arange(size, dtype=torch.float64)
    constants = [torch.ones_like(place), 1 - 2 * (place % 2)][: count % 2 if count < size else 2]
    frequencies = 2 * math.pi / size * torch.arange(1, (count - len(constants)) // 2 + 1)[:, None]
    pairs = [math.sqrt(2) * wave(frequencies * place) for wave in (torch.cos, torch.sin)]
    return torch.cat([*(one[None] for one in constants), *pairs]) / math.sqrt(size)


def _vertices(classes: int) -> Float[Tensor, "classes dimensions"]:
    """Vertices of a regular simplex of `classes` − 1 dimensions around the origin, at a distance of 1 from it."""
    k = torch.arange(1, classes, dtype=torch.float64)
    helmert = torch.tril(torch.ones(classes - 1, classes, dtype=torch.float64)) / (k * (k + 1)).sqrt()[:, None]
    i = torch.arange(classes - 1)
    helmert[i, i + 1] = -(k / (k + 1)).sqrt()
    return helmert.T * math.sqrt(classes / (classes - 1))
