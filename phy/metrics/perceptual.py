"""Learned perceptual metrics: LPIPS, and ST-LPIPS, which is another metric with other weights.

LPIPS (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018; version 0.1,
AlexNet): the features of five layers, each normalised over its channels, differ by squares that are weighted channel by
channel and averaged over the picture. ST-LPIPS (Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV
2022) has an AlexNet of its own training, which keeps a stride of 1 in its first layer and blurs, with reflected
borders, wherever it subsamples. The figures of the one are not to be held against those of the other.

The weights are read from the files of other packages, whose code is not imported: it wants torchvision.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from semlink.phy.kept import kept
from semlink.phy.metrics.checks import check_reference

SHIFT = (-0.030, -0.088, -0.188)  # of the values on [-1, 1], by colour; the same in both metrics
SCALE = (0.458, 0.448, 0.450)
PADDING = (2, 2, 1, 1, 1)  # of AlexNet's five convolutions

ST_LPIPS_WEIGHTS = Path("weights") / "vST0.0" / "alex_shift_tolerant.pth"
ST_LPIPS_LAYERS = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")

LPIPS_WEIGHTS = {  # the same file in either package
    "torchmetrics": Path("functional") / "image" / "lpips_models" / "alex.pth",
    "lpips": Path("weights") / "v0.1" / "alex.pth",
}
TRUNK = "SEMLINK_LPIPS_TRUNK"
"""The environment variable that names the file of AlexNet's weights."""
TRUNK_FILE = "alexnet-owt-7be5be79.pth"
TRUNK_SHA256 = "7be5be79"
"""How the SHA-256 of that file begins; torchvision puts it in the name. Replace it to try another file."""
TRUNK_LAYERS = ("features.0", "features.3", "features.6", "features.8", "features.10")

State = Mapping[str, Tensor]


class MissingWeightsError(ValueError):
    """The weights are not there, or are not those of the metric; the message says how to get them."""


@dataclass(frozen=True)
class Weights:
    """What a metric has learned: kernels and biases of the five convolutions, and the weights of their channels."""

    kernels: Sequence[Float[Tensor, "_out _in _k _k"]]
    biases: Sequence[Float[Tensor, " _out"]]
    channels: Sequence[Float[Tensor, " _out"]]

    def like(self, image: Tensor) -> Weights:
        """The same where, and as precise as, an image is."""
        return Weights(*([part.to(image) for part in parts] for parts in (self.kernels, self.biases, self.channels)))


@dataclass(frozen=True)
class LearnedMetric:
    """A distance between images by the features of a network; 0 for equal ones, lower is better.

    Attributes:
        label: what it is called in print.
        least_side: pixels that an image must have on both sides.
        load: its weights; raises `MissingWeightsError`.
        layers: what the five layers give after ReLU for an image whose values are scaled.
    """

    label: str
    least_side: int
    load: Callable[[], Weights]
    layers: Callable[[Tensor, Weights], list[Tensor]]

    def features(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """The five layers' features of images in [0, 1], of length 1 at every place.

        Raises:
            ValueError: a side below `least_side`.
            MissingWeightsError: the weights are not to be had.
        """
        if min(image.shape[-2:]) < self.least_side:
            size = "x".join(map(str, image.shape[-2:]))
            raise ValueError(f"image of {size}: {self.label} needs at least {self.least_side} pixels a side")
        shift, scale = (torch.tensor(values).to(image)[:, None, None] for values in (SHIFT, SCALE))
        # Pooling is many times as fast with the channels of a pixel side by side.
        scaled = ((2 * image - 1 - shift) / scale).contiguous(memory_format=torch.channels_last)
        return [_unit(x) for x in self.layers(scaled, self.load().like(image))]

    def between(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Float[Tensor, " b"]:
        """The distance of each image from its reference, given the features of both."""
        channels = self.load().like(features[0]).channels
        pairs = zip(features, others, channels, strict=True)
        layers = [((a - b).square().mean(dim=(2, 3)) * weights).sum(dim=1) for a, b, weights in pairs]
        return torch.stack(layers).sum(dim=0)

    def __call__(self, image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """The distance of each image in [0, 1] from its reference, differentiable.

        Raises:
            ValueError: no floating-point pair (b, 3, h, w), a reference outside [0, 1], or what `features` raises.
        """
        check_reference(image, reference)
        return self.between(self.features(image), self.features(reference))


def st_lpips_distances(image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """ST-LPIPS (alex) of each image in [0, 1] from its reference, differentiable; 0 for equal ones, about 1 for grey.

    Raises:
        ValueError: no floating-point pair (b, 3, h, w), a reference outside [0, 1], or a side below 21 pixels.
        MissingWeightsError: `stlpips_pytorch` is not installed.
    """
    return METRICS["st-lpips"](image, reference)


def _alexnet(image: Tensor, weights: Weights) -> list[Tensor]:
    """The five layers of torchvision's AlexNet after ReLU."""
    x, features = image, []
    for i, (kernel, bias, padding) in enumerate(zip(weights.kernels, weights.biases, PADDING, strict=True)):
        x = F.max_pool2d(x, 3, stride=2) if i in (1, 2) else x
        x = F.relu(F.conv2d(x, kernel, bias, stride=4 if i == 0 else 1, padding=padding))
        features.append(x)
    return features


def _blurring_alexnet(image: Tensor, weights: Weights) -> list[Tensor]:
    """The five layers of the shift-tolerant AlexNet after ReLU."""
    x, features = image, []
    for i, (kernel, bias, padding) in enumerate(zip(weights.kernels, weights.biases, PADDING, strict=True)):
        x = _blur(F.max_pool2d(x, 3, stride=1)) if i in (1, 2) else x
        x = F.conv2d(x, kernel, bias, padding=padding) if i else blurred_convolution(x, kernel, bias, padding=padding)
        x = F.relu(x)
        features.append(x)
    return features


def blurred_convolution(
    x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "out c k k"], bias: Float[Tensor, " out"], *, padding: int
) -> Float[Tensor, "b out _h _w"]:
    """`_blur(conv2d(x, kernel, bias))` as one convolution of stride 2 by the kernel blurred: a third of the work.

    What the blur reflects at the borders is another matter. Its filter is symmetric, so its first row and column are
    its second ones over again; the last ones are convolved and blurred one after the other.
    """
    x = F.pad(x, [padding] * 4)
    side = kernel.shape[-1] + 2
    smooth = F.conv2d(kernel.flatten(0, 1)[:, None], _binomial(kernel, 1), padding=2).view(
        *kernel.shape[:2], side, side
    )
    out = F.conv2d(x, smooth.contiguous(memory_format=torch.channels_last), bias, stride=2, padding=2)
    for dim in (2, 3):
        out.narrow(dim, 0, 1).copy_(out.narrow(dim, 1, 1))
        # The last 3 or 4 of the convolution's rows, from an even one: what the blur's last row is made of.
        start = (x.shape[dim] - kernel.shape[dim] - 2) // 2 * 2
        tail = _blur(F.conv2d(x.narrow(dim, start, x.shape[dim] - start), kernel, bias))
        out.narrow(dim, -1, 1).copy_(tail.narrow(dim, -1, 1))
    return out


def _blur(x: Tensor) -> Tensor:
    """Every second value of what the binomial filter (1, 2, 1)² makes of x."""
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), _binomial(x, x.shape[1]), stride=2, groups=x.shape[1])


def _binomial(like: Tensor, channels: int) -> Tensor:
    taps = torch.tensor([1.0, 2.0, 1.0]).to(like) / 4
    return torch.outer(taps, taps).expand(channels, 1, 3, 3)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


@kept(1)
def _st_lpips_weights() -> Weights:
    folder = _package("stlpips_pytorch")
    if folder is None:
        raise MissingWeightsError("ST-LPIPS: its weights are in another package: pip install 'semlink[st-lpips]'")
    path = folder / ST_LPIPS_WEIGHTS
    if not path.is_file():
        raise MissingWeightsError(f"ST-LPIPS: {path}: no such file; install stlpips_pytorch 0.0.2 anew")
    state = _read(path)
    return _weights(state, ST_LPIPS_LAYERS, [state[f"lin{i}.model.1.weight"] for i in range(5)])


def _lpips_weights() -> Weights:
    named = os.environ.get(TRUNK, "")
    if not named:
        raise MissingWeightsError(
            f"LPIPS: set {TRUNK} to the path of torchvision's {TRUNK_FILE} (244 MB, from "
            f"https://download.pytorch.org/models/{TRUNK_FILE})"
        )
    return _lpips_weights_of(named)


@kept(1)
def _lpips_weights_of(trunk: str) -> Weights:
    folders = {name: _package(name) for name in LPIPS_WEIGHTS}
    paths = [folder / LPIPS_WEIGHTS[name] for name, folder in folders.items() if folder is not None]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise MissingWeightsError("LPIPS: its linear weights are in another package: pip install 'semlink[lpips]'")
    linear = _read(path)
    return _weights(_read_trunk(trunk), TRUNK_LAYERS, [linear[f"lin{i}.model.1.weight"] for i in range(5)])


def _read_trunk(name: str) -> State:
    if not Path(name).is_file():
        raise MissingWeightsError(f"{TRUNK}={name}: no such file; give the path of torchvision's {TRUNK_FILE}")
    with Path(name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(TRUNK_SHA256):
        start = digest[: len(TRUNK_SHA256)]
        raise MissingWeightsError(
            f"{TRUNK}={name}: its SHA-256 begins with {start}, which must be {TRUNK_SHA256}: that of torchvision's "
            f"{TRUNK_FILE}"
        )
    return _read(Path(name))


def _weights(state: State, layers: Sequence[str], channels: Sequence[Tensor]) -> Weights:
    kernels = [state[f"{name}.weight"].contiguous(memory_format=torch.channels_last) for name in layers]
    return Weights(kernels, [state[f"{name}.bias"].clone() for name in layers], [part.flatten() for part in channels])


def _package(name: str) -> Path | None:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _read(path: Path) -> State:
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state


METRICS: Mapping[str, LearnedMetric] = {
    "st-lpips": LearnedMetric("ST-LPIPS", 21, _st_lpips_weights, _blurring_alexnet),
    "lpips": LearnedMetric("LPIPS", 31, _lpips_weights, _alexnet),
}
"""By the name on the command line. A side below the least leaves nothing to pool, or less than a border reflects."""
