"""Labels by a simplex code: its geometry, its error rate against the closed form, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from semlink.neural.classifiers import LabelCodec, Teacher, least_uses, simplex_words
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Link, Received, check_frame


class Shade(nn.Module):
    """The class of an image is the step of its brightness."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: Tensor) -> Tensor:
        steps = (torch.arange(self.classes) + 0.5) / self.classes
        return -(image.mean(dim=(1, 2, 3))[:, None] - steps).abs()


def shades(labels: Tensor, classes: int) -> Tensor:
    return ((labels + 0.5) / classes)[:, None, None, None].expand(-1, 3, 8, 8)


def simplex_error(classes: int, energy_over_n0: float) -> float:
    """Word error rate of a regular simplex over AWGN (that of orthogonal words of M/(M − 1) times the energy)."""
    mean = math.sqrt(2 * energy_over_n0 * classes / (classes - 1))
    right, _ = integrate.quad(lambda y: stats.norm.pdf(y - mean) * stats.norm.cdf(y) ** (classes - 1), -8, mean + 9)
    return 1 - right


@pytest.mark.parametrize(("classes", "uses"), [(2, 1), (10, 5), (10, 32), (100, 50), (101, 77), (11, 5)])
def test_words_are_as_far_apart_as_can_be(classes: int, uses: int) -> None:
    words = simplex_words(classes, uses)
    products = (words @ words.mH).real
    expected = torch.full((classes, classes), -uses / (classes - 1)).fill_diagonal_(uses)
    torch.testing.assert_close(products, expected, atol=1e-3, rtol=1e-3)


def test_every_symbol_carries_some_of_every_word() -> None:
    for classes, uses in ((10, 32), (11, 5), (5, 9)):
        torch.testing.assert_close(simplex_words(classes, uses).abs().square().mean(dim=0), torch.ones(uses))


@pytest.mark.parametrize(("uses", "esno_db", "offset_db"), [(5, -1.0, 0.0), (32, -10.0, 0.0), (32, -10.0, 0.2)])
def test_error_rate_is_the_closed_form(uses: int, esno_db: float, offset_db: float) -> None:
    """And 0.2 dB more would be seen."""
    count = 40_000
    codec = LabelCodec(Teacher("shade", Shade(10)), uses=uses)
    labels = torch.arange(count) % 10
    sent = codec.words[labels]
    n0 = 10 ** (-(esno_db + offset_db) / 10)
    noise = torch.view_as_complex(torch.randn(count, uses, 2, generator=torch.Generator().manual_seed(3)))
    received = Received(sent + math.sqrt(n0 / 2) * noise, torch.full((count, uses), n0))
    wrong = float((codec.decode(received).image.argmax(dim=1) != labels).float().mean())
    expected = simplex_error(10, uses * 10 ** (esno_db / 10))
    error = math.sqrt(expected * (1 - expected) / count)
    assert (abs(wrong - expected) < 3 * error) is (offset_db == 0)


def test_link_carries_the_teachers_class_and_its_ledger() -> None:
    codec = LabelCodec(Teacher("shade", Shade(10)), uses=12)
    labels = torch.randint(10, (50,), generator=torch.Generator().manual_seed(0))
    got = Link(codec, Rayleigh("fast"))(shades(labels, 10), 25.0, rng=torch.Generator().manual_seed(0))
    assert torch.equal(got.image.argmax(dim=1), labels)
    assert dict(got.uses) == {"payload": 12}
    assert "0.0 M multiply-adds an image" in got.notes["transmitter"]
    assert got.notes["label"] == "one of 10 by a simplex code in 12 channel uses, 5 at least"
    check_frame(codec.encode(shades(labels, 10), 0.1), 50)


def test_logits_are_log_likelihoods() -> None:
    """Each symbol weighed by its own noise; what a fade erased counts for nothing."""
    codec = LabelCodec(Teacher("shade", Shade(4)), uses=3)
    rng = np.random.default_rng(0)
    y, n0 = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)), rng.uniform(0.2, 2, size=(2, 3))
    got = codec.decode(Received(torch.tensor(y).to(torch.complex64), torch.tensor(n0).float())).image
    words = codec.words.numpy()
    expected = -(np.abs(y[:, None] - words) ** 2 / n0[:, None]).sum(axis=2)
    difference = got.numpy() - expected
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-4)


def test_the_least_number_of_uses_is_asked_for() -> None:
    assert [least_uses(classes) for classes in (2, 3, 10, 11, 100)] == [1, 1, 5, 5, 50]
    assert LabelCodec(Teacher("shade", Shade(100))).uses == 50
    assert LabelCodec(Teacher("shade", Shade(10))).uses == 32
    with pytest.raises(ValueError, match=r"uses=4 must be at least 5: a simplex of 10 labels needs them"):
        LabelCodec(Teacher("shade", Shade(10)), uses=4)
    with pytest.raises(ValueError, match=r"6 symbols received; a label has 5"):
        LabelCodec(Teacher("shade", Shade(10)), uses=5).decode(
            Received(torch.zeros(1, 6, dtype=torch.complex64), torch.ones(1, 6))
        )
