"""Trained classifiers of others, by name and hash, and any `torch.nn.Module` of one's own: teachers, and judges.

`resnet20` and `resnet56` lie as PyTorch files in `SEMLINK_DATA/teachers`; `tiniest` ships in float16.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from semlink.neural import zoo
from semlink.neural.classifiers.resnet import ResNet
from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.tiniest import Tiniest
from semlink.neural.inference import by_parts
from semlink.phy.devices import chosen_device
from semlink.phy.documents import in_short, short
from semlink.phy.sources import DataError, data_folder

PACKAGE = "semlink.neural.weights.teachers"
SIDE = 32  # pixels a side of what the teachers by name were trained on
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PARTS = 64  # images that a network sees at once


@dataclass(frozen=True)
class Known:
    """A teacher by name.

    Attributes:
        make: builds the network.
        file: in `SEMLINK_DATA/teachers`; of one that ships, in the package.
        sha256: of the file.
        normalised: mean and standard deviation that the network takes its pixels by.
        accuracy: on CIFAR-10's test set, as measured here.
        source: where the weights are from, and their licence.
    """

    make: Callable[[], nn.Module]
    file: str
    sha256: str
    normalised: tuple[tuple[float, ...], tuple[float, ...]]
    accuracy: str
    source: str


TEACHERS: Mapping[str, Known] = {
    "tiniest": Known(
        Tiniest,
        "tiniest.safetensors",
        "af198e4cbdb4292f4cc5ec7b8f111a1021970ca9690ee6c4897ac60ada7f8d60",
        ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        "94.67 % of the first 1,500",
        "github.com/xvel/cifar10-tiniest by github.com/ThalesGroup/scio, MIT",
    ),
    "resnet20": Known(
        partial(ResNet, 20),
        "resnet20-12fca82f.th",
        "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
        IMAGENET,
        "91.73 %",
        "github.com/akamaster/pytorch_resnet_cifar10, BSD-2-Clause",
    ),
    "resnet56": Known(
        partial(ResNet, 56),
        "resnet56-4bfd9763.th",
        "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
        IMAGENET,
        "93.39 %",
        "github.com/akamaster/pytorch_resnet_cifar10, BSD-2-Clause",
    ),
}
"""The teachers by name, all of CIFAR-10's ten classes."""


class Teacher:
    """A frozen classifier of images in [0, 1].

    Args:
        name: what messages and notes call it.
        network: normalised pixels to logits (b, k), or to features (b, f) and logits.
        mean: taken off the pixels of each channel.
        std: that they are divided by then.
        side: pixels a side of the images that it takes; None for any.

    Raises:
        ValueError: a network that gives something else, takes no such images or gives logits of fewer than two
            classes, or a side that is none.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        std: tuple[float, ...] = (1.0, 1.0, 1.0),
        side: int | None = None,
    ) -> None:
        if side is not None and (not isinstance(side, int) or isinstance(side, bool) or side < 1):
            raise ValueError(f"teacher {name}: side={short(side)} must be None or a whole number of pixels from 1")
        self.name, self.side = name, side
        self.network = network.eval().requires_grad_(False)
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        size = side or SIDE
        try:
            probe = torch.zeros(1, 3, size, size)
            self.multiply_adds = multiply_adds(self.network, probe)
        except Exception as error:  # whatever a module of one's own raises
            said = f"takes no RGB images of {size}x{size} pixels ({type(error).__name__}: {in_short(error)})"
            raise ValueError(f"teacher {name}: {said}") from error
        seen = self(probe)
        self.classes, self.features = seen.logits.shape[1], seen.features.shape[1]
        if self.classes < 2:
            raise ValueError(f"teacher {name}: tells {self.classes} class apart; it must be 2 or more")
        self.to(chosen_device())

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Seen:
        """Features and logits of images in [0, 1]; what an image gives does not depend on the others of its batch.

        Raises:
            ValueError: the network gives neither logits nor features and logits.
        """
        with torch.no_grad():
            both = by_parts(self._joined, image.float().to(self._mean.device), size=PARTS).to(image.device)
        return Seen(both[:, : -self._width], both[:, -self._width :])

    @property
    def head(self) -> nn.Linear:
        """The last layer: features to logits, for a receiver that has the features alone.

        Raises:
            ValueError: the network has no linear layer that makes its logits of its features.
        """
        probe = torch.linspace(0, 1, 3 * (self.side or SIDE) ** 2).reshape(1, 3, self.side or SIDE, self.side or SIDE)
        seen = self(probe)
        for part in self.network.modules():
            if not isinstance(part, nn.Linear) or part.in_features != self.features:
                continue
            if torch.allclose(part(seen.features), seen.logits, rtol=1e-3, atol=1e-3):
                return part
        raise ValueError(f"teacher {self.name}: has no linear layer that makes its logits of its features")

    def check_image(self, image: Float[Tensor, "b c h w"]) -> None:
        """Raise ValueError for images of a shape that it was not made for."""
        c, h, w = image.shape[1:]
        if c != 3 or (self.side is not None and (h, w) != (self.side, self.side)):
            size = "RGB" if self.side is None else f"RGB of {self.side}x{self.side} pixels"
            raise ValueError(f"image of {w}x{h} with {c} channels: teacher {self.name} takes {size}")

    def to(self, device: str) -> Teacher:
        """Itself, on a device."""
        self.network.to(device)
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        return self

    def _joined(self, image: Tensor) -> Tensor:
        found = self.network((image - self._mean) / self._std)
        features, logits = found if isinstance(found, tuple) and len(found) == 2 else (found, found)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(image):
            kind = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(f"teacher {self.name}: gives {kind}; it must give logits (b, k), or features and logits")
        if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(image):
            kind = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"teacher {self.name}: gives features {kind}; they must be (b, f)")
        self._width = logits.shape[1]
        return torch.cat([features.flatten(1), logits], dim=1)


def multiply_adds(work: Callable[..., object], *given: object) -> int:
    """Multiply-adds of the convolutions and products of matrices in a network, or in what it is asked to do."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work(*given)
    return int(counter.get_total_flops() // 2)


def load_teacher(name: str) -> Teacher:
    """One of `TEACHERS`, its file checked by its hash.

    Raises:
        ValueError: an unknown name, or a file that is missing, damaged or another one.
    """
    if name not in TEACHERS:
        raise ValueError(f"teacher {name!r} must be one of: {', '.join(TEACHERS)}; or MODULE:NAME of a torch.nn.Module")
    known = TEACHERS[name]
    network = known.make()
    if known.file.endswith(".safetensors"):
        with resources.as_file(resources.files(PACKAGE)) as folder:
            _check_hash(name, folder / known.file, known.sha256)
            zoo.read_weights(network, folder / known.file)
    else:
        network.load_state_dict(_read_foreign(name, _file_of(name, known.file), known.sha256))
    mean, std = known.normalised
    return Teacher(name, network, mean=mean, std=std, side=SIDE)


def _file_of(name: str, file: str) -> Path:
    folder = data_folder()
    if folder is None or not (folder / "teachers" / file).is_file():
        raise DataError(f"teacher {name}: set SEMLINK_DATA to a folder that holds teachers/{file}")
    return folder / "teachers" / file


def _check_hash(name: str, path: Path, expected: str) -> None:
    if zoo.sha256(path) != expected:
        raise ValueError(f"teacher {name}: {path}: SHA-256 is not {expected[:16]}…; the file is damaged or another one")


def _read_foreign(name: str, path: Path, expected: str) -> dict[str, Any]:
    """The weights of a file that a training in DataParallel has left."""
    _check_hash(name, path, expected)
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    except (pickle.UnpicklingError, LookupError, RuntimeError, TypeError) as error:
        raise ValueError(f"teacher {name}: {path}: no weights ({error})") from error
    return {key.removeprefix("module."): value for key, value in state.items()}
