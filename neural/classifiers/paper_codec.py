"""The channel codec of the paper's repository, mended: attention among the tokens of an image, not across the batch.

After github.com/echojayne/RKD-SC: the student's features are sent as they are many reals, through two layers at each
end, a residual MLP and residual attention, told nothing of the noise. There attention runs over the batch, so that what
an image is taken for depends on its neighbours, and the output matrix is applied twice; here neither. What remains is
an opponent for the channel-aware codec, `semlink.neural.classifiers.TaskCodec`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.student import Attention, Student
from semlink.neural.classifiers.task_link import TaskLink
from semlink.neural.networks import as_pairs, as_symbols
from semlink.phy.link import Received, normalise_power


class FeatureMLP(nn.Module):
    """Two layers over all features, the inner one of twice as many, beside a shortcut."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(features), nn.Linear(features, 2 * features)
        self.back = nn.Linear(2 * features, features)

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f"]:
        """Features as many."""
        y: Tensor = self.back(F.relu(self.mlp(self.norm(x))))
        return x + y


class FeatureAttention(nn.Module):
    """Attention among parts of the features of one image, beside a shortcut."""

    def __init__(self, part: int, parts: int, *, width: int, heads: int) -> None:
        super().__init__()
        self.enter, self.places = nn.Linear(part, width), nn.Parameter(0.02 * torch.randn(parts, width))
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads=heads)
        self.leave = nn.Linear(width, part)

    def forward(self, x: Float[Tensor, "b t r"]) -> Float[Tensor, "b t r"]:
        """Parts of the same shape; any number of the first ones."""
        asking = self.norm(self.enter(x) + self.places[: x.shape[1]])
        y: Tensor = self.leave(self.attention(asking, asking))
        return x + y


class PaperTaskCodec(TaskLink):
    """A `Codec` of 32×32 RGB images whose `decode` gives logits, the features sent as so many reals.

    Args:
        classes: that it tells apart.
        features: of the teacher that it is distilled from, one real of a symbol for each.
        tokens: parts of the features that look at each other, a multiple of 4 that divides them.
        layers: of MLP and attention, at each end.
        width: features of a token within the attention.
        heads: of it.
        widths: features of the student's stages.
        blocks: of the student's stages.
        cells: as of `TaskCodec`.

    Raises:
        ValueError: a size out of range.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        features: int = 64,
        tokens: int = 16,
        layers: int = 2,
        width: int = 64,
        heads: int = 4,
        widths: Sequence[int] = (24, 48, 96),
        blocks: Sequence[int] = (2, 2, 2),
        cells: Sequence[str] = (),
    ) -> None:
        if tokens < 1 or features % (2 * tokens):
            raise ValueError(f"tokens={tokens}: twice as many must divide features={features}, two to a symbol")
        if width < heads or width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}")
        part = features // tokens
        sizes = {"classes": classes, "features": features, "tokens": tokens, "token_symbols": part // 2}
        super().__init__(Student(widths, blocks, cells=cells), **sizes, told=False)
        ends = [
            nn.ModuleList(
                module
                for _ in range(layers)
                for module in (FeatureMLP(features), FeatureAttention(part, tokens, width=width, heads=heads))
            )
            for _ in range(2)
        ]
        self.encoder, self.decoder = ends

    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:  # noqa: ARG002
        """What `encode` sends, differentiable; no use is made of `n0`."""
        x = self._features(self.student(image))
        for layer in self.encoder:
            x = self._by(layer, x, self.tokens)
        pairs = x.float().reshape(len(x), -1, 2)[:, : self.sent_tokens * self.token_symbols]
        return normalise_power(as_symbols(pairs))

    def see_received(self, received: Received) -> Seen:
        """What the receiver makes of a reception without bias, differentiable: features like the teacher's, logits.

        Raises:
            ValueError: another number of symbols than of whole tokens that can be sent.
        """
        count = self.received_tokens(received)
        x = as_pairs(received.symbols).flatten(1)
        x = F.pad(x, (0, 2 * self.token_symbols * (self.tokens - count)))
        for layer in reversed(self.decoder):
            x = self._by(layer, x, count)
        return self._judged(x)

    def _by(self, layer: nn.Module, x: Float[Tensor, "b f"], count: int) -> Float[Tensor, "b f"]:
        """A layer; attention among the first `count` tokens, the others stay."""
        if isinstance(layer, FeatureMLP):
            whole: Tensor = layer(x)
            return whole
        tokens = x.reshape(len(x), self.tokens, -1)
        return torch.cat([layer(tokens[:, :count]), tokens[:, count:]], dim=1).flatten(1)
