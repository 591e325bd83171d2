"""A report loads no set of images that it need not, and downloads none."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.comparison import digest_of, sent_file
from semlink.flowgraphs.specs import load_images
from semlink.flowgraphs.studies import html_report
from semlink.flowgraphs.studies.plan import Plan

PIXELS = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
CIFAR10 = Plan(images=["cifar10:1"], codecs=["deepjscc"])


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which sets were loaded, on a machine without data or network."""
    sets: list[list[str]] = []

    def load(words: list[str]) -> object:
        sets.append(words)
        return load_images(words)

    def fetch(*_: object, **__: object) -> None:
        pytest.fail("a download")

    monkeypatch.delenv("SEMLINK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", fetch)
    monkeypatch.setattr(html_report, "load_images", load)
    return sets


def test_what_is_kept_is_shown_without_its_set(asked: list[list[str]], tmp_path: Path) -> None:
    fingerprint = digest_of(PIXELS)
    path = tmp_path / sent_file(fingerprint)
    path.parent.mkdir(parents=True)
    Image.fromarray(PIXELS).save(path)
    shown = html_report._sent(CIFAR10, {"cifar10-00000"}, {"cifar10-00000": fingerprint}, tmp_path)
    assert shown["cifar10-00000"].startswith("data:image/webp")
    assert asked == []


def test_a_set_that_is_not_here_is_not_fetched(asked: list[list[str]], tmp_path: Path) -> None:
    shown = html_report._sent(CIFAR10, {"cifar10-00000"}, {"cifar10-00000": "0" * 64}, tmp_path)
    assert shown == {"cifar10-00000": "data:,"}
    assert asked == []


def test_a_packaged_set_still_shows(asked: list[list[str]], tmp_path: Path) -> None:
    (name, image), *_ = load_images(["samples"]).items()
    fingerprint = digest_of(html_report.pixels(image))
    study = Plan(images=["samples", "cifar10:1"], codecs=["deepjscc"])
    shown = html_report._sent(study, {name}, {name: fingerprint}, tmp_path)
    assert shown[name].startswith("data:image/webp")
    assert asked == [["samples"]]
