"""ST-LPIPS: the shift-tolerant learned perceptual metric, with the weights of the package `stlpips_pytorch`.

Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV 2022: LPIPS (Zhang et al., CVPR 2018) whose
AlexNet keeps a stride of 1 in its first layer and blurs, with reflected borders, wherever it subsamples. The package's
weights file is read and its code is not imported, which wants IPython, torchsummary and torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

MIN_SIDE = 21  # pixels: below this a reflected border is wider than what it reflects
WEIGHTS = Path("weights") / "vST0.0" / "alex_shift_tolerant.pth"
CONVOLUTIONS = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")


class MissingWeightsError(ValueError):
    """The weights are not installed; the message says how to get them."""


def st_lpips_distances(image: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """ST-LPIPS (alex) of each image in [0, 1] from its reference, differentiable; 0 for equal ones, about 1 for grey.

    Raises:
        ValueError: the shapes differ, or a side is below `MIN_SIDE` pixels.
        MissingWeightsError: `stlpips_pytorch` is not installed.
    """
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {tuple(image.shape)} against {tuple(reference.shape)}")
    if min(image.shape[-2:]) < MIN_SIDE:
        size = "x".join(map(str, image.shape[-2:]))
        raise ValueError(f"image of {size}: ST-LPIPS needs at least {MIN_SIDE} pixels a side")
    weights = {key: value.to(image) for key, value in _weights().items()}
    pairs = zip(_features(image, weights), _features(reference, weights), strict=True)
    layers = [
        F.conv2d((_unit(a) - _unit(b)).square(), weights[f"lin{i}.model.1.weight"]).mean(dim=(1, 2, 3))
        for i, (a, b) in enumerate(pairs)
    ]
    return torch.stack(layers).sum(dim=0)


def _features(image: Tensor, weights: Mapping[str, Tensor]) -> list[Tensor]:
    """What the five layers give after ReLU."""
    x = (2 * image - 1 - weights["scaling_layer.shift"]) / weights["scaling_layer.scale"]
    features = []
    for i, (name, padding) in enumerate(zip(CONVOLUTIONS, (2, 2, 1, 1, 1), strict=True)):
        if i in (1, 2):
            x = _blur(F.max_pool2d(x, 3, stride=1))
        x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)
        x = F.relu(_blur(x) if i == 0 else x)
        features.append(x)
    return features


def _blur(x: Tensor) -> Tensor:
    """Every second value of what the binomial filter (1, 2, 1)² makes of x."""
    taps = torch.tensor([1.0, 2.0, 1.0]).to(x) / 4
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


@lru_cache(maxsize=1)
def _weights() -> dict[str, Tensor]:
    package = find_spec("stlpips_pytorch")
    if package is None or not package.submodule_search_locations:
        raise MissingWeightsError("ST-LPIPS: its weights are in another package: pip install 'semlink[st-lpips]'")
    path = Path(package.submodule_search_locations[0]) / WEIGHTS
    if not path.is_file():
        raise MissingWeightsError(f"ST-LPIPS: {path}: no such file; install stlpips_pytorch 0.0.2 anew")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
