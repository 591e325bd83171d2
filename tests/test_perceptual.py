"""ST-LPIPS against what its authors' package gives.

`golden/st_lpips.json` holds the outputs of `stlpips.LPIPS(net="alex", variant="shift_tolerant")(2·image − 1,
2·reference − 1)` of stlpips_pytorch 0.0.2 for the pairs made here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from semlink.phy import perceptual
from semlink.phy.metrics import st_lpips
from semlink.phy.perceptual import MissingWeightsError, st_lpips_distances
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
    perceptual._weights.cache_clear()
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match=r"pip install 'semlink\[st-lpips\]'"):
        st_lpips(image, image)
    monkeypatch.undo()
    monkeypatch.setattr(perceptual, "WEIGHTS", tmp_path / "none.pth")
    with pytest.raises(MissingWeightsError, match=r"none.pth: no such file"):
        st_lpips(image, image)
