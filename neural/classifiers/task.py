"""The task codec: a student and a channel-aware transformer, which send what a classifier needs instead of the image.

After Ding et al., "Large Scale Model Enabled Semantic Communications Based on Robust Knowledge Distillation", IEEE TCCN
12, 2026 (arXiv 2508.02148), of which the abstract is followed and the public code is not: there attention runs across
the batch. The design is ours: learned queries pick tokens out of the student's map of features, the first ones being
the most important because training sends prefixes of random length; the receiver's tokens look at each other and at
the noise of each. Both add to a linear path, by which the codec begins as the student's feature sent as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.student import Student, TokenBlock, drawn
from semlink.neural.classifiers.task_link import SIDE, TaskLink
from semlink.neural.networks import as_pairs, as_symbols, within
from semlink.phy.link import Received, normalise_power


class TaskCodec(TaskLink):
    """A `Codec` of 32×32 RGB images whose `decode` gives logits.

    Args:
        classes: that it tells apart.
        features: of the teacher that it is distilled from.
        tokens: that the transmitter can send, a multiple of 4.
        token_symbols: complex symbols of each.
        width: features of a token at the transmitter.
        seen_width: at the receiver.
        depths: blocks of tokens at transmitter and receiver.
        heads: of their attention.
        widths: features of the student's stages.
        blocks: of the student's stages.
        cells: the kind of each of them, one after the other, as `semlink.neural.classifiers.student.make_cell` has
            them; the usual one where it is empty.
        told: whether both ends make use of the noise level: the transmitter of the average, the receiver of that of
            each token, after fading its own. Without, the receiver still weighs the symbols of an image against each
            other, or a symbol of a deep fade would drown all others.
        csi: whether the receiver has the noise level of each symbol at all. Without, it limits what is received to
            amplitude 1, softly, and nothing tells it which symbols are from a deep fade; for `told=False` alone.

    Raises:
        ValueError: a size out of range.

    Each image has power 1 exactly, over the tokens that are sent. The first tokens are the same whatever follows them,
    but for their power.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        features: int = 64,
        tokens: int = 16,
        token_symbols: int = 2,
        width: int = 64,
        seen_width: int = 96,
        depths: tuple[int, int] = (1, 2),
        heads: int = 4,
        widths: Sequence[int] = (24, 48, 96),
        blocks: Sequence[int] = (2, 2, 2),
        cells: Sequence[str] = (),
        told: bool = True,
        csi: bool = True,
    ) -> None:
        if told and not csi:
            raise ValueError(f"csi={csi} must be True where told={told}: what is told is the noise level")
        _check_sizes({"width": width, "seen_width": seen_width}, heads)
        student = Student(widths, blocks, cells=cells)
        shape: dict[str, int] = {"classes": classes, "features": features}
        super().__init__(student, **shape, tokens=tokens, token_symbols=token_symbols, told=told)
        self.csi = csi
        self.enter, self.places = nn.Linear(widths[-1], width), drawn((SIDE // self.student.cell) ** 2, width)
        self.queries, self.query_level = drawn(tokens, width), nn.Linear(1, width)
        self.encoder = nn.ModuleList([TokenBlock(width, heads=heads) for _ in range(depths[0])])
        self.to_symbols = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * token_symbols))
        self.see, self.seen_level = nn.Linear(3 * token_symbols, seen_width), nn.Linear(1, seen_width)
        self.seen_places, self.judge = drawn(tokens, seen_width), drawn(1, seen_width)
        self.decoder = nn.ModuleList([TokenBlock(seen_width, heads=heads) for _ in range(depths[1])])
        self.to_received = nn.Sequential(nn.LayerNorm(seen_width), nn.Linear(seen_width, features))
        self.direct = nn.Linear(features, 2 * tokens * token_symbols)
        nn.init.orthogonal_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        back = self.direct.weight.detach().reshape(tokens, 2 * token_symbols, features).clone()
        self.direct_back = nn.Parameter(back)
        for last in (self.to_symbols[1], self.to_received[1]):  # what is added to the linear path is small at first
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, std=0.02)

    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable and with an average noise variance for each image."""
        seen = self.student(image)
        asked = self.enter(seen.flatten(2).transpose(1, 2)) + self.places  # (b, places, d)
        x = self.queries[: self.sent_tokens].expand(len(image), -1, -1)
        if self.told:
            x = x + self.query_level(within(_level(n0[:, None, None]), self.sent_db))
        for block in self.encoder:
            x = block(x, asked)
        added = self.to_symbols(x).float().flatten(1)  # (b, 2 · symbols)
        pairs = added + self.direct(self._features(seen))[:, : added.shape[1]]
        pairs = pairs.unflatten(1, (-1, 2))
        return normalise_power(as_symbols(pairs))

    def see_received(self, received: Received) -> Seen:
        """What the receiver makes of a reception without bias, differentiable: features like the teacher's, logits.

        Raises:
            ValueError: another number of symbols than of whole tokens that can be sent.
        """
        count = self.received_tokens(received)
        weight = self._weights(received)
        weighed = as_pairs(received.symbols) * weight[..., None]
        seen = torch.cat([weighed, weight[..., None]], dim=2)
        x = self.see(seen.reshape(-1, count, 3 * self.token_symbols)) + self.seen_places[:count]
        if self.told:
            level = _level(received.n0.reshape(-1, count, self.token_symbols))
            x = x + self.seen_level(within(level, self.seen_db))
        x = torch.cat([self.judge.expand(len(x), 1, -1), x], dim=1)
        for block in self.decoder:
            x = block(x, x)
        direct = torch.einsum(
            "btr,trf->bf", weighed.reshape(-1, count, 2 * self.token_symbols), self.direct_back[:count]
        )
        return self._judged(self.to_received(x[:, 0]) + direct)

    def _weights(self, received: Received) -> Float[Tensor, "b n"]:
        """Of the symbols: by the noise of each, by that against the best of the image, or by the symbol alone."""
        if not self.csi:
            return (1 + received.symbols.abs().square()).rsqrt()
        weight = 1 / (1 + received.n0)
        return weight if self.told else weight / weight.amax(dim=1, keepdim=True)


def _level(n0: Float[Tensor, "b t s"]) -> Float[Tensor, "b t 1"]:
    """Mean Es/N0 of each token in units of 10 dB, each symbol's limited to −20 … 30 dB."""
    return -torch.log10(n0.clamp(1e-3, 1e2)).mean(dim=2, keepdim=True)


def _check_sizes(sizes: dict[str, int], heads: int) -> None:
    for name, size in sizes.items():
        if size < heads or size % heads:
            raise ValueError(f"{name}={size} must be a multiple of heads={heads}")
