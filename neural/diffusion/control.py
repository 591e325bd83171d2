"""The control of the diffusion receivers: a plain residual CNN of the same size, told and trained the same."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.diffusion.refiner import check_decoded, in_parts
from semlink.neural.diffusion.restorer import MULTIPLE, padded
from semlink.neural.inference import at_home
from semlink.neural.networks import EMBEDDING, ConvBlock, Held, within
from semlink.phy.link import Rng


class ResidualCNN(Held, nn.Module):
    """A `Refiner` without prior and diffusion: residual 3×3 blocks at half resolution (EDSR, Lim et al., CVPRW 2017).

    Args:
        channels: of the images.
        width: features.
        blocks: residual blocks of two convolutions. The defaults make as many parameters as the light `SFT` has as a
            receiver.
        knows_level: whether the received noise level scales and shifts the features.
    """

    least_side = MULTIPLE
    draws = False

    def __init__(self, *, channels: int = 3, width: int = 112, blocks: int = 11, knows_level: bool = True) -> None:
        super().__init__()
        self.channels, self.knows_level = channels, knows_level
        self.level = nn.Sequential(nn.Linear(1, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.enter = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.blocks = nn.ModuleList([ConvBlock(width) for _ in range(blocks)])
        self.leave = nn.Conv2d(width, 4 * channels, 3, padding=1)
        with torch.no_grad():
            self.leave.weight *= 0.1

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the kernels between features."""
        return [p for p in self.blocks.parameters() if p.ndim == 4]

    def forward(self, decoded: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"]) -> Float[Tensor, "b c h w"]:
        """The refined images, of sides that are multiples of 2; differentiable, not clipped."""
        embedding = F.gelu(self.level(level - 1 if self.knows_level else torch.zeros_like(level)))
        x = self.enter(F.pixel_unshuffle(decoded, 2) * 2 - 1)
        for block in self.blocks:
            x = block(x, embedding)
        return decoded + F.pixel_shuffle(self.leave(x).float(), 2)

    @at_home
    def refine(
        self,
        decoded: Float[Tensor, "b c h w"],
        level: Float[Tensor, "b 1"],
        *,
        rng: Rng,  # noqa: ARG002
    ) -> Float[Tensor, "b c h w"]:
        """The refined images, not clipped; nothing is drawn.

        Raises:
            ValueError: images of another number of channels, below 8 pixels a side, or with values that are not finite.
        """
        check_decoded(decoded, self)
        level = within(level, self.seen_db)
        with torch.no_grad():
            return in_parts(lambda rows, part: self.restore(part, level[rows]), decoded)

    def restore(self, decoded: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"]) -> Float[Tensor, "b c h w"]:
        """`forward` for any size of at least 8 pixels a side."""
        restored: Tensor = self(padded(decoded), level)
        return restored[..., : decoded.shape[-2], : decoded.shape[-1]]
