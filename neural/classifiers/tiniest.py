"""`tiniest`, a classifier of CIFAR-10 with 97,530 parameters: the network of github.com/xvel/cifar10-tiniest (MIT).

Six blocks of depthwise 3×3, 7×7 and dilated 7×7 convolutions, each on a quarter of the channels, and a gated pair of
1×1 convolutions. The gate is Liu's TeLU, x·tanh(eˣ).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.classifiers.seen import Seen

WIDTHS = (48, 80)


class Norm(nn.Module):
    """Layer normalisation over the channels of each pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalised features."""
        y: Tensor = self.ln(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise convolutions of three reaches, and the gated pair, beside a scaled shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        part = width // 4
        self.dwconv1 = nn.Conv2d(part, part, 3, padding=1, groups=part)
        self.dwconv2 = nn.Conv2d(part, part, 7, padding=3, groups=part)
        self.dwconv3 = nn.Conv2d(part, part, 7, padding=9, dilation=3, groups=part)
        self.ln = Norm(width)
        self.fc1 = nn.Conv2d(width, 2 * width, 1)
        self.fc2 = nn.Conv2d(width, width, 1)
        self.rs = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features at the next layer."""
        same, near, far, farthest = x.chunk(4, dim=1)
        smooth = F.avg_pool2d(farthest, 3, stride=1, padding=1)
        mixed = torch.cat([same, self.dwconv1(near), self.dwconv2(far), self.dwconv3(smooth)], dim=1)
        gate, value = self.fc1(self.ln(mixed)).chunk(2, dim=1)
        out: Tensor = self.fc2(gate * torch.tanh(torch.exp(gate)) * value)
        return out + x * self.rs


class Tiniest(nn.Module):
    """Pixels less one half to features and logits of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        wide, deep = WIDTHS
        self.conv1 = nn.Conv2d(3, wide, 3, padding=1)
        self.ln1 = Norm(wide)
        self.dsconv = nn.Conv2d(wide, deep, 4, stride=2, padding=1, groups=16)
        self.ln2 = Norm(deep)
        self.l1, self.l2, self.l3 = (Block(wide) for _ in range(3))
        self.l4, self.l5, self.l6 = (Block(deep) for _ in range(3))
        self.fc = nn.Linear(deep, 10)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Seen:
        """The mean of the last features over the image, and the logits."""
        x = self.l3(self.l2(self.l1(self.ln1(self.conv1(x)))))
        x = self.l6(self.l5(self.l4(self.ln2(self.dsconv(x)))))
        features = torch.mean(x, dim=(2, 3))
        return Seen(features, self.fc(features))
