"""In the report, too, a rate of which no error was seen is a bound and no point: nothing leads below the axis."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.studies import Study, run_study, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Of a link that loses everything at 0 dB and nothing at 10 and 14 dB, one image in two realisations."""
    smooth = np.kron(np.random.default_rng(0).integers(0, 255, (4, 4, 3)), np.ones((6, 6, 1)))
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "one.png")
    study = Study(
        images=[str(tmp_path / "one.png")], codecs=["jpeg-ldpc-qam:16qam-1/2"], esno_db=[0, 10, 14], ratios=["1/2"],
        realisations=2,
    )  # fmt: skip
    run_study(study, tmp_path / "out", workers=0)
    return write_report(tmp_path / "out", tmp_path / "report.html")


@pytest.fixture
def page(report: Path) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(report.as_uri())
        yield page
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(("quantity", "bound"), [("outage", "0.842"), ("bler", "0.842")])
def test_what_was_not_seen_is_a_bound(page: Any, quantity: str, bound: str) -> None:  # noqa: ANN401
    """Of two that arrived, 1 - 0.025^(1/2) may be lost at most."""
    page.select_option("#quantity", quantity)
    assert page.locator("#chart circle").count() == 1
    assert page.locator("#chart polyline").count() == 1
    assert len(page.get_attribute("#chart polyline", "points").split()) == 1
    marks = page.evaluate("[...document.querySelectorAll('#chart path.bound title')].map((one) => one.textContent)")
    assert len(marks) == 2
    assert all(re.search(rf"none seen at 1[04]; .* below {re.escape(bound)}$", one) for one in marks)
    assert "NaN" not in page.inner_html("#chart")
