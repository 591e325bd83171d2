"""The report of a study, opened in a real browser."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.specs import codecs
from semlink.flowgraphs.studies import Study, read_study, run_study, write_report
from semlink.flowgraphs.studies.checked import write_row

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Broken:
    """A codec that sends nothing."""

    ratio = 1 / 3

    def encode(self, image: object, n0: float) -> object:
        """Never."""
        raise RuntimeError("no <b>carrier</b> </script>")

    def decode(self, received: object) -> object:
        """Never."""
        raise AssertionError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a cliff, two channels, two ratios, and a codec that fails."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        smooth = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((6, 6, 1)))
        Image.fromarray(smooth.astype(np.uint8)).save(folder / "images" / f"{name}.png")
    compared = ["jpeg-uncoded-qam:4qam-1/2", "jpeg-ldpc-qam:16qam-1/2", "broken"]
    study = Study(
        images=[str(folder / "images")], codecs=compared, channels=["awgn", "rayleigh"], esno_db=[0, 4, 14],
        ratios=["1/2", "1/3"], realisations=2, pictures=2, name="Cliffs & <slopes>",
    )  # fmt: skip
    made = codecs._make_codec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "_make_codec", lambda name, **rest: Broken() if name == "broken" else made(name, **rest))
        run_study(study, folder / "out", workers=0)
    return folder / "out"


@pytest.fixture(scope="module")
def report(results: Path) -> Path:
    """The page."""
    return write_report(results, results.parent / "report.html")


def test_the_page_is_whole_without_javascript(report: Path, results: Path) -> None:
    page = report.read_text()
    assert "Cliffs &amp; &lt;slopes&gt;" in page
    assert page.count("</script>") == 2
    assert not re.search(r"\{\{\w+\}\}", page)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    table = re.search(r"<table>.*</table>", page, re.DOTALL)
    assert table is not None
    assert table[0].count("<tr>") == 1 + 3 * 2 * 3 * 2
    assert "RuntimeError: no &lt;b&gt;carrier" in table[0]
    assert "semlink compare" in page
    assert read_study(results / "study.json").name == "Cliffs & <slopes>"


def test_what_cannot_be_reported_is_refused(tmp_path: Path, results: Path) -> None:
    with pytest.raises(ValueError, match=r"no study.json that can be read"):
        write_report(tmp_path, tmp_path / "report.html")
    shutil.copy(results / "study.json", tmp_path)
    with pytest.raises(ValueError, match="no point is finished"):
        write_report(tmp_path, tmp_path / "report.html")


@pytest.fixture
def exact(results: Path, tmp_path: Path) -> Path:
    """The same results, had one codec sent everything without an error."""
    shutil.copytree(results, tmp_path / "exact")
    path = tmp_path / "exact" / "points.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        if entry["row"]["codec"].startswith("jpeg-uncoded"):
            entry["row"] |= dict.fromkeys(("psnr_db", "psnr_db_low", "psnr_db_high"), math.inf)
    path.write_text("".join(write_row(entry["key"], entry["row"]) for entry in entries))
    return tmp_path / "exact"


def test_the_conditions_are_of_what_was_sent(report: Path) -> None:
    assert "realisations of noise and fading of each: 2, seed 0" in report.read_text()


def test_pictures_that_were_changed_are_not_shown_as_sent(exact: Path) -> None:
    about = json.loads((exact / "study.json").read_text())
    changed = next(iter(about["images"]))
    about["images"][changed] = "0" * 64
    (exact / "study.json").write_text(json.dumps(about))
    page = write_report(exact, exact / "report.html").read_text()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    sent = json.loads(found[1])["sent"]
    assert [name for name, source in sent.items() if source == "data:,"] == [changed]
    assert "<td>∞</td>" in page


@pytest.mark.slow
def test_an_infinite_psnr_breaks_nothing(browser: Any, exact: Path) -> None:  # noqa: ANN401
    page, said = opened(browser, write_report(exact, exact / "report.html"))
    assert "∞ dB PSNR over all images" in page.inner_text("#gallery")
    assert page.locator("#chart polyline").count() == 1
    assert said == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def opened(browser: Any, report: Path, **options: Any) -> tuple[Any, list[str]]:  # noqa: ANN401 - Playwright's own
    """The page in a tab, and what its console says; every request beyond the file is an error."""
    page = browser.new_page(**options)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else 0
    )
    page.goto(report.as_uri())
    page.wait_for_selector("#gallery img")
    return page, said


@pytest.mark.slow
def test_the_slider_moves_the_pictures(browser: Any, report: Path, tmp_path: Path) -> None:  # noqa: ANN401
    page, said = opened(browser, report, viewport={"width": 1200, "height": 1000})
    sources = "[...document.querySelectorAll('#gallery img')].map((image) => image.src)"
    assert page.inner_text("#level") == "4 dB"
    middle = page.evaluate(sources)
    place = page.get_attribute("#marker", "x1")
    page.focus("#slider")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#level") == "14 dB"
    right = page.evaluate(sources)
    assert len(right) == len(middle) == 2 * (1 + 2)
    assert right[0] == middle[0]  # what was sent stays
    assert right[1] != middle[1]
    assert page.get_attribute("#marker", "x1") != place
    page.keyboard.press("Home")
    assert page.inner_text("#level") == "0 dB"
    assert "4 of 4 failed" in page.inner_text("#gallery")
    broken = "[...document.images].filter((image) => !image.complete || !image.naturalWidth).length"
    assert page.evaluate(broken) == 0
    page.screenshot(path=tmp_path / "wide.png", full_page=True)
    assert said == []


@pytest.mark.slow
def test_curves_follow_what_is_chosen(browser: Any, report: Path) -> None:  # noqa: ANN401
    page, said = opened(browser, report, viewport={"width": 1000, "height": 900})
    drawn = "[...document.querySelectorAll('#chart polyline')].map((line) => line.dataset.codec)"
    assert page.evaluate(drawn) == ["jpeg-uncoded-qam:4qam-1/2", "jpeg-ldpc-qam:16qam-1/2"]
    points = page.get_attribute("#chart polyline >> nth=1", "points")
    page.select_option("#channel", "rayleigh")
    assert page.get_attribute("#chart polyline >> nth=1", "points") != points
    page.uncheck("#codecs input >> nth=0")
    assert page.evaluate(drawn) == ["jpeg-ldpc-qam:16qam-1/2"]
    assert page.locator("#gallery img").count() == 2 * 2
    page.select_option("#over", "asked_ratio")
    assert page.inner_text("#fixed-label").startswith("Es/N0")
    assert len(page.get_attribute("#chart polyline", "points").split()) == 2
    page.select_option("#over", "ebno_db")
    page.select_option("#quantity", "outage")
    assert page.evaluate(drawn) == ["jpeg-ldpc-qam:16qam-1/2"]
    marks = "#chart circle title, #chart path.bound title"  # where nothing failed there is a bound
    titles = page.evaluate(f"[...document.querySelectorAll('{marks}')].map((title) => title.textContent)")
    assert len(titles) == 3
    assert all("share of failed images" in title for title in titles)
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_dark_and_light(browser: Any, report: Path, scheme: str) -> None:  # noqa: ANN401
    page, said = opened(browser, report, viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    assert (before == "rgb(255, 255, 255)") == (scheme == "light")
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate(paper) != before
    assert said == []


def test_data_are_embedded_as_they_are(report: Path, results: Path) -> None:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', report.read_text(), re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    rows = [json.loads(line)["row"] for line in (results / "points.jsonl").read_text().splitlines()]
    told = {(row["codec"], row["spec"], row["asked_ratio"], row["esno_db"]): row["psnr_db"] for row in data["rows"]}
    assert len(told) == 2 * 2 * 3 * 2
    assert all(told[key] == row["psnr_db"] for row in rows if (key := tuple(row[n] for n in (
        "codec", "spec", "asked_ratio", "esno_db"))) in told)  # fmt: skip
