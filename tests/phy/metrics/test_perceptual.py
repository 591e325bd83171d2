"""ST-LPIPS against what its authors' package gives, LPIPS against its formula over plain layers.

`golden/st_lpips.json` holds the outputs of `stlpips.LPIPS(net="alex", variant="shift_tolerant")(2·image − 1,
2·reference − 1)` of stlpips_pytorch 0.0.2 for the pairs made here. AlexNet's ImageNet weights are not in any package:
LPIPS is tried on a trunk of random ones, whose SHA-256 takes the place of that of torchvision's file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.phy.metrics import MissingWeightsError, Perceptual, lpips, perceptual, st_lpips, st_lpips_distances
from semlink.phy.metrics import image as image_metrics
from semlink.phy.metrics.perceptual import blurred_convolution
from semlink.phy.sources import sample_images

GOLDEN = json.loads((Path(__file__).parent / "golden" / "st_lpips.json").read_text())


def pair(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    kind, side = name.rsplit(" ", 1)
    whole, length = sample_images(), int(side)
    reference = whole[:, :, 64 : 64 + length, 64 : 64 + length]
    made = {
        "blurred": F.interpolate(F.avg_pool2d(reference, 4), scale_factor=4),
        "few levels": (reference * 4).round() / 4,
        "shifted": whole[:, :, 64 : 64 + length, 65 : 65 + length],
        "grey": torch.full_like(reference, 0.5),
    }
    return made[kind], reference


@pytest.mark.parametrize("name", GOLDEN)
def test_it_is_that_of_its_authors(name: str) -> None:
    assert st_lpips_distances(*pair(name)).tolist() == pytest.approx(GOLDEN[name], rel=1e-3, abs=1e-5)


def test_the_metric_is_the_mean_on_8_bits() -> None:
    image, reference = pair("blurred 128")
    assert st_lpips(image, reference) == pytest.approx(sum(GOLDEN["blurred 128"]) / 3, abs=2e-3)
    assert st_lpips(reference + 0.4 / 255, reference) == 0
    assert st_lpips(reference, reference) == 0


def test_it_has_a_gradient() -> None:
    image, reference = pair("blurred 32")
    image.requires_grad_()
    st_lpips_distances(image, reference).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().max() > 0


@pytest.mark.parametrize("shape", [(21, 21), (21, 300), (47, 33)])
def test_the_least_sides(shape: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    assert st_lpips_distances(image, image.flip(3)).min() > 0
    with pytest.raises(ValueError, match="ST-LPIPS needs at least 21 pixels a side"):
        st_lpips_distances(image[:, :, :20], image[:, :, :20])
    with pytest.raises(ValueError, match="shapes differ"):
        st_lpips_distances(image, image[:1])


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = torch.rand(1, 3, 32, 32)
    perceptual._st_lpips_weights.cache_clear()
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match=r"pip install 'semlink\[st-lpips\]'"):
        st_lpips(image, image)
    monkeypatch.undo()
    monkeypatch.setattr(perceptual, "ST_LPIPS_WEIGHTS", tmp_path / "none.pth")
    with pytest.raises(MissingWeightsError, match=r"none.pth: no such file"):
        st_lpips(image, image)


@pytest.mark.parametrize("shape", [(21, 22), (22, 21), (32, 32), (47, 33), (64, 48)])
def test_one_convolution_does_for_convolution_and_blur(shape: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    x, kernel = torch.randn(2, 3, *shape, generator=rng), torch.randn(4, 3, 11, 11, generator=rng)
    bias = torch.randn(4, generator=rng)
    plain = F.pad(F.conv2d(x, kernel, bias, padding=2), (2, 2, 2, 2), mode="reflect")
    rows = (plain[:, :, :-2:2] + 2 * plain[:, :, 1:-1:2] + plain[:, :, 2::2]) / 4
    blurred = (rows[..., :-2:2] + 2 * rows[..., 1:-1:2] + rows[..., 2::2]) / 4
    torch.testing.assert_close(blurred_convolution(x, kernel, bias, padding=2), blurred, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keep_bytes", [0, 1_000_000, 1 << 29])
def test_batches_and_kept_features_change_nothing(keep_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_metrics, "CHUNK_PIXELS", 2 * 32 * 32)
    rng = torch.Generator().manual_seed(0)
    images, references = torch.rand(2, 3, 3, 3, 32, 32, generator=rng)  # three batches of three
    batches = list(zip(images, references, strict=True))
    alone = [[st_lpips(a[None], b[None]) for a, b in zip(*batch, strict=True)] for batch in batches]
    measure = Perceptual("st-lpips", keep_bytes=keep_bytes)
    for _ in range(2):
        got = [measure(*batch, key=i).tolist() for i, batch in enumerate(batches)]
        assert got == [pytest.approx(values, rel=1e-4) for values in alone]
    assert measure(references[0], images[0]).tolist() == pytest.approx(alone[0], rel=1e-4)  # no key: nothing kept


def test_references_go_through_the_network_once_and_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    layers = perceptual.METRICS["st-lpips"].layers
    counting = perceptual.LearnedMetric(
        "ST-LPIPS",
        21,
        perceptual.METRICS["st-lpips"].load,
        lambda image, weights: seen.append(len(image)) or layers(image, weights),  # type: ignore[func-returns-value]
    )
    monkeypatch.setattr(image_metrics, "METRICS", {"st-lpips": counting})
    first, second = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one = sum(x.nbytes for x in counting.features(first))
    for keep_bytes, passes in ((2 * one, 4), (one, 5), (one - 1, 6)):  # of four, five or six batches in three calls
        measure = Perceptual("st-lpips", keep_bytes=keep_bytes)
        measure(second, first, key="first")
        measure(first, second, key="second")
        seen.clear()
        measure(second, first, key="first")
        measure(first, second, key="second")
        measure(first, second)
        assert len(seen) == passes, keep_bytes


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="metric 'vmaf' must be one of: st-lpips, lpips"):
        Perceptual("vmaf")


needs_linear = pytest.mark.skipif(find_spec("torchmetrics") is None, reason="the extra semlink[lpips] is not installed")


def alexnet() -> nn.Sequential:
    """The features of torchvision's AlexNet (torchvision/models/alexnet.py)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(),
    )


def lpips_by_its_formula(features: nn.Sequential, image: Tensor, reference: Tensor) -> float:
    """Equation 1 of the paper for one pair in [0, 1]; its weights are the squares that the package stores."""
    path = perceptual._package("torchmetrics")
    assert path is not None
    linear = torch.load(path / perceptual.LPIPS_WEIGHTS["torchmetrics"], map_location="cpu", weights_only=True)
    values = [2 * one - 1 for one in (image, reference)]  # on [-1, 1], then by colour as in the package
    shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)
    a, b = ((one - shift) / scale for one in values)
    total, layer = 0.0, 0
    for module in features:
        a, b = module(a), module(b)
        if isinstance(module, nn.ReLU):
            difference = F.normalize(a, dim=1, eps=1e-10) - F.normalize(b, dim=1, eps=1e-10)
            weighted = difference.square() * linear[f"lin{layer}.model.1.weight"].reshape(1, -1, 1, 1)
            total += weighted.sum(dim=1).mean().item()
            layer += 1
    assert layer == 5
    return total


@pytest.fixture
def trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[nn.Sequential]:
    """A trunk of random weights, in a file like torchvision's whose SHA-256 is the one asked for."""
    torch.manual_seed(0)
    features, path = alexnet().requires_grad_(False), tmp_path / "trunk.pth"
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save({**state, "classifier.1.weight": torch.zeros(8, 8)}, path)
    monkeypatch.setattr(perceptual, "TRUNK_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    monkeypatch.setenv("SEMLINK_LPIPS_TRUNK", str(path))
    perceptual._lpips_weights_of.cache_clear()
    yield features
    perceptual._lpips_weights_of.cache_clear()


@needs_linear
@pytest.mark.parametrize("shape", [(32, 32), (31, 45), (96, 64)])
def test_lpips_is_its_formula(shape: tuple[int, int], trunk: nn.Sequential) -> None:
    rng = torch.Generator().manual_seed(0)
    reference = torch.rand(3, 3, *shape, generator=rng)
    image = (reference + 0.2 * torch.randn(3, 3, *shape, generator=rng)).clamp(0, 1)
    formula = [lpips_by_its_formula(trunk, image[i : i + 1], reference[i : i + 1]) for i in range(3)]
    assert perceptual.METRICS["lpips"](image, reference).tolist() == pytest.approx(formula, rel=1e-4)
    on_8_bits = [lpips_by_its_formula(trunk, *((255 * x[i : i + 1]).round() / 255 for x in (image, reference)))
                 for i in range(3)]  # fmt: skip
    assert lpips(image, reference) == pytest.approx(sum(on_8_bits) / 3, rel=1e-4)
    assert perceptual.METRICS["lpips"](reference, reference).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="image of 30x40: LPIPS needs at least 31 pixels a side"):
        perceptual.METRICS["lpips"](
            image[..., :1, :1].expand(3, 3, 30, 40), reference[..., :1, :1].expand(3, 3, 30, 40)
        )


@needs_linear
@pytest.mark.usefixtures("trunk")
def test_lpips_has_a_gradient() -> None:
    image, reference = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    image.requires_grad_()
    before = perceptual.METRICS["lpips"](image, reference)
    before.sum().backward()
    assert image.grad is not None
    closer = image.detach() - 0.02 * image.grad.sign()
    assert perceptual.METRICS["lpips"](closer, reference) < before


@needs_linear
def test_the_linear_weights_are_those_of_version_0_1() -> None:
    """The SHA-256 is that of lpips/weights/v0.1/alex.pth in the authors' package lpips 0.1.4."""
    path = perceptual._package("torchmetrics")
    assert path is not None
    content = (path / perceptual.LPIPS_WEIGHTS["torchmetrics"]).read_bytes()
    digest = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
    assert hashlib.sha256(content).hexdigest() == digest


@needs_linear
@pytest.mark.usefixtures("trunk")
def test_a_trunk_that_is_not_named_or_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(1, 3, 32, 32)
    other = tmp_path / "alexnet-owt-7be5be79.pth"
    other.write_bytes(b"something else")
    for name, said in (
        (None, r"set SEMLINK_LPIPS_TRUNK to the path of torchvision's alexnet-owt-7be5be79.pth"),
        (str(tmp_path / "none.pth"), r"SEMLINK_LPIPS_TRUNK=.*none.pth: no such file"),
        (str(other), r"SEMLINK_LPIPS_TRUNK=.*its SHA-256 begins with [0-9a-f]{8}, which must be [0-9a-f]{8}"),
    ):
        monkeypatch.delenv("SEMLINK_LPIPS_TRUNK") if name is None else monkeypatch.setenv("SEMLINK_LPIPS_TRUNK", name)
        with pytest.raises(MissingWeightsError, match=said):
            lpips(image, image)
    monkeypatch.undo()
    assert perceptual.TRUNK_SHA256 == "7be5be79"


@needs_linear
@pytest.mark.usefixtures("trunk")
def test_missing_linear_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match=r"pip install 'semlink\[lpips\]'"):
        lpips(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
