"""What links made for a task have in common: a student, features and a head, and the contract of a `Codec`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.student import Student, hidden_kernels
from semlink.neural.classifiers.teachers import multiply_adds
from semlink.neural.inference import at_home
from semlink.neural.networks import Limits
from semlink.phy.link import Decoded, Frame, Received, check_image

L = TypeVar("L", bound="TaskLink")
SIDE = 32  # pixels a side of the images
SHARE = 4  # the least part of the tokens that is sent is one in so many


class TaskLink(Limits, nn.Module, ABC):
    """A `Codec` of 32×32 RGB images whose `decode` gives logits, for a channel codec of tokens to be added to.

    Args:
        student: pixels to a map of features.
        classes: that it tells apart.
        features: of the teacher that it is distilled from.
        tokens: that the transmitter can send, a multiple of 4.
        token_symbols: complex symbols of each.
        told: whether the transmitter makes use of the average noise level.

    Raises:
        ValueError: a size out of range.

    Each image has power 1 exactly, over the tokens that are sent.
    """

    def __init__(
        self, student: Student, *, classes: int, features: int, tokens: int, token_symbols: int, told: bool
    ) -> None:
        super().__init__()
        if tokens < SHARE or tokens % SHARE:
            raise ValueError(f"tokens={tokens} must be a multiple of {SHARE}, so that a quarter of them is whole")
        if token_symbols < 1:
            raise ValueError(f"token_symbols={token_symbols} must be at least 1")
        self.classes, self.tokens, self.token_symbols, self.told = classes, tokens, token_symbols, told
        self.sent_tokens = tokens
        self.student = student
        self.to_features, self.head = nn.Linear(student.width, features), nn.Linear(features, classes)

    @property
    def uses(self) -> int:
        """Complex channel uses of an image."""
        return self.sent_tokens * self.token_symbols

    @property
    def least_uses(self) -> int:
        """Those of the shortest transmission."""
        return self.tokens // SHARE * self.token_symbols

    @property
    def ratio(self) -> float:
        """Complex channel uses / (c·h·w)."""
        return self.uses / (3 * SIDE**2)

    @property
    def ignores_n0(self) -> bool:
        """Whether an image is sent as the same symbols at every Es/N0."""
        return not self.told

    @property
    def multiply_adds(self) -> dict[str, int]:
        """Of an image, at the "student", the whole "transmitter" and the "receiver"."""
        image, n = torch.zeros(1, 3, SIDE, SIDE), self.uses
        received = Received(torch.zeros(1, n, dtype=torch.complex64), torch.ones(1, n))
        return {
            "student": multiply_adds(self.student, image),
            "transmitter": multiply_adds(self.symbols, image, torch.ones(1)),
            "receiver": multiply_adds(self.see_received, received),
        }

    def send(self: L, uses: int) -> L:
        """Itself, to send so many channel uses from now on.

        Raises:
            ValueError: no whole number of tokens, fewer than a quarter of them, or more than there are.
        """
        step = self.token_symbols
        if uses % step or not self.least_uses <= uses <= self.tokens * step:
            allowed = f"a multiple of {step}, its token, from {self.least_uses} to {self.tokens * step}"
            raise ValueError(f"uses={uses} must be, for a task codec of {self.tokens} tokens, {allowed}")
        self.sent_tokens = uses // step
        return self

    @at_home
    def encode(self, image: Float[Tensor, "b 3 32 32"], n0: float) -> Frame:
        """What the tokens become, normalised to unit mean energy for each image.

        Raises:
            ValueError: images that are not RGB of 32×32 pixels in [0, 1].
        """
        check_image(image)
        if image.shape[1:] != (3, SIDE, SIDE):
            c, h, w = image.shape[1:]
            raise ValueError(f"image of {w}x{h} with {c} channels: a task codec takes RGB of {SIDE}x{SIDE} pixels")
        with torch.no_grad():
            symbols = self.symbols(image.float(), torch.full((len(image),), n0, device=image.device))
        notes = {"transmitter": "average Es/N0 known"} if self.told else {}
        return Frame(symbols, {"payload": symbols.shape[1]}, power="exact", notes=notes)

    @at_home
    def decode(self, received: Received) -> Decoded:
        """Logits (b, classes)."""
        with torch.no_grad():
            return Decoded(self.see_received(received.unbiased()).logits)

    @abstractmethod
    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable and with an average noise variance for each image."""

    @abstractmethod
    def see_received(self, received: Received) -> Seen:
        """What the receiver makes of a reception without bias, differentiable: features like the teacher's, logits.

        Raises:
            ValueError: another number of symbols than of whole tokens that can be sent.
        """

    def see_image(self, image: Float[Tensor, "b 3 h w"]) -> Seen:
        """What the student makes of images without a channel: the first stage of the training."""
        return self._judged(self._features(self.student(image)))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train."""
        return list(hidden_kernels(self))

    def received_tokens(self, received: Received) -> int:
        """How many tokens were received.

        Raises:
            ValueError: another number of symbols than of whole tokens that can be sent.
        """
        n = received.symbols.shape[1]
        count = n // self.token_symbols
        if n % self.token_symbols or not 1 <= count <= self.tokens:
            raise ValueError(f"{n} symbols received: they must be 1 to {self.tokens} tokens of {self.token_symbols}")
        return count

    def _features(self, seen: Float[Tensor, "b d rows columns"]) -> Float[Tensor, "b f"]:
        features: Tensor = self.to_features(seen.mean(dim=(2, 3)))
        return features

    def _judged(self, features: Tensor) -> Seen:
        return Seen(features.float(), self.head(features).float())
