"""The residual networks of CIFAR-10: He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.classifiers.seen import Seen

WIDTHS = (16, 32, 64)


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut without weights (option A): every second pixel, new channels of zeros."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.added = (outputs - inputs) // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d v u"]:
        """Features at the next layer."""
        y: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(kept, (0, 0, 0, 0, self.added, self.added)))


class ResNet(nn.Module):
    """A residual network of 6n + 2 layers for small images: normalised pixels to features and logits.

    Args:
        depth: its layers, 20 or 56 say.
        classes: that it tells apart.
    """

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(*[Residual(before if i == 0 else width, width) for i in range(blocks)])
            for before, width in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)
        )
        self.linear = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Seen:
        """The mean of the last features over the image, and the logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        features = torch.mean(x, dim=(2, 3))
        return Seen(features, self.linear(features))
