"""The task codecs that ship: their cards, and what they do on the first test images of CIFAR-10."""

from __future__ import annotations

import os
from importlib import resources

import pytest

from semlink.flowgraphs.specs import make_codecs
from semlink.neural.classifiers import load_task, task_cards
from semlink.neural.classifiers.task_cards import PACKAGE
from semlink.phy.channels import AWGN
from semlink.phy.link import Link
from semlink.phy.rng import image_rngs
from semlink.phy.sources import cifar10, cifar10_labels

CARDS = task_cards()


@pytest.mark.parametrize("name", CARDS)
def test_cards_say_what_the_weights_are(name: str) -> None:
    card, codec = CARDS[name], load_task(name)
    assert card.name == name
    assert card.parameters == sum(value.numel() for value in codec.parameters())
    assert card.multiply_adds == codec.multiply_adds
    assert card.figures
    assert len(resources.files(PACKAGE).joinpath(f"{name}.safetensors").read_bytes()) <= 3_000_000


@pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set")
@pytest.mark.parametrize("name", CARDS)
def test_the_figures_are_those_of_the_first_images(name: str) -> None:
    """Within four standard errors of 100 images; fewer tokens and more noise cost some."""
    images, labels = cifar10("test")[:100], cifar10_labels("test")[:100]
    channel, rngs = AWGN(), lambda: image_rngs(0, images)
    right = {}
    for uses, esno_db in ((32, 10.0), (32, -10.0), (8, 10.0)):
        spec = f"{name}:uses={uses}"
        codec = make_codecs([spec], ratio=1 / 6, mcs="16qam-1/2", channel=channel)[spec]
        got = Link(codec, channel)(images, esno_db, rng=rngs())
        assert sum(got.uses.values()) == uses
        right[uses, esno_db] = float((got.image.argmax(dim=1) == labels).float().mean())
    told = next(figures for condition, figures in CARDS[name].figures.items() if "awgn, 32 uses" in condition)
    for level in (10, -10):
        share = told[f"{level}"]
        assert abs(right[32, level] - share) < 4 * (share * (1 - share) / 100) ** 0.5
    assert right[32, 10.0] > right[32, -10.0]
    assert right[32, 10.0] >= right[8, 10.0] - 0.05
