"""Teachers by name and hash, those of one's own, and what each costs."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from semlink.neural.classifiers import TEACHERS, Teacher, load_teacher, multiply_adds, teachers
from semlink.neural.classifiers.resnet import ResNet
from semlink.neural.zoo import sha256
from semlink.phy.sources import cifar10, cifar10_labels

needs_teachers = pytest.mark.skipif(
    not (Path(os.environ.get("SEMLINK_DATA", "-")) / "teachers").is_dir(), reason="no SEMLINK_DATA/teachers"
)
needs_cifar = pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set")


@pytest.mark.parametrize(("name", "parameters"), [("tiniest", 97_530), ("resnet20", 269_722), ("resnet56", 853_018)])
def test_the_networks_have_the_published_sizes(name: str, parameters: int) -> None:
    network = TEACHERS[name].make()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_multiply_adds_are_those_of_the_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 5, padding=2, groups=4), nn.Flatten())
    assert multiply_adds(network, torch.zeros(1, 3, 10, 10)) == 100 * (8 * 3 * 9 + 8 * 2 * 25)
    assert multiply_adds(nn.Linear(7, 5), torch.zeros(1, 7)) == 35


@needs_cifar
def test_the_teacher_that_ships_knows_cifar10() -> None:
    """94.67 % of the first 1,500; of these 24 it knows 22 at least."""
    teacher = load_teacher("tiniest")
    images, labels = cifar10("test")[:24], cifar10_labels("test")[:24]
    seen = teacher(images)
    assert (teacher.classes, teacher.features, teacher.multiply_adds) == (10, 80, 43_878_176)
    assert int((seen.logits.argmax(dim=1) == labels).sum()) >= 22
    alone = torch.cat([teacher(image).logits for image in images[:2].split(1)])
    torch.testing.assert_close(alone, seen.logits[:2], rtol=1e-4, atol=1e-4)


@needs_teachers
@needs_cifar
def test_a_residual_network_knows_cifar10() -> None:
    teacher = load_teacher("resnet20")
    assert (teacher.features, teacher.multiply_adds) == (64, 40_551_040)
    right = teacher(cifar10("test")[:40]).logits.argmax(dim=1) == cifar10_labels("test")[:40]
    assert int(right.sum()) >= 34


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A residual network of eight layers that stands for one by name, as DataParallel would have left it."""
    torch.manual_seed(0)
    network = ResNet(8)
    path = tmp_path / "teachers" / "small.th"
    path.parent.mkdir()
    torch.save({"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, path)
    known = replace(TEACHERS["resnet20"], make=partial(ResNet, 8), file="small.th", sha256=sha256(path))
    monkeypatch.setattr(teachers, "TEACHERS", {"small": known})
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    return path


def test_pixels_are_normalised_as_in_its_training(small: Path) -> None:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    teacher = load_teacher("small")
    mean, std = (torch.tensor(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(teacher(image), tuple(teacher.network((image - mean) / std)), check_dtype=False)


def test_a_file_that_is_another_one_or_not_there_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"teacher 'large' must be one of: small; or MODULE:NAME"):
        load_teacher("large")
    small.write_bytes(small.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"teacher small: .*small\.th: SHA-256 is not [0-9a-f]{16}…; the file"):
        load_teacher("small")
    small.unlink()
    with pytest.raises(ValueError, match=r"teacher small: set SEMLINK_DATA to a folder that holds teachers/small\.th"):
        load_teacher("small")
    monkeypatch.delenv("SEMLINK_DATA")
    with pytest.raises(ValueError, match=r"teacher small: set SEMLINK_DATA"):
        load_teacher("small")


def test_images_of_another_size_are_refused(small: Path) -> None:
    with pytest.raises(ValueError, match=r"image of 48x48 with 3 channels: teacher small takes RGB of 32x32 pixels"):
        load_teacher("small").check_image(torch.zeros(1, 3, 48, 48))


class Mean(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=(2, 3))


class Both(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image.amax(dim=(2, 3)), image.mean(dim=(2, 3))[:, :2]


def test_a_module_of_ones_own_gives_logits_with_or_without_features() -> None:
    image = torch.rand(3, 3, 32, 32)
    mean, both = Teacher("mean", Mean()), Teacher("both", Both())
    torch.testing.assert_close(mean(image).logits, image.mean(dim=(2, 3)))
    torch.testing.assert_close(mean(image).features, mean(image).logits)
    assert (both.classes, both.features) == (2, 3)
    torch.testing.assert_close(both(image).features, image.amax(dim=(2, 3)))


def test_a_module_that_gives_no_logits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"teacher same: gives \(1, 3, 32, 32\); it must give logits \(b, k\)"):
        Teacher("same", nn.Identity())
    with pytest.raises(ValueError, match=r"teacher one: tells 1 class apart; it must be 2 or more"):
        Teacher("one", nn.Sequential(Mean(), nn.Linear(3, 1)))
