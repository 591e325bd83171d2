"""The page in a real browser: every control, photographs, a fast slider, two tabs, a walk, dark and light, a phone."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.server import PlayServer
from semlink.flowgraphs.play.widget import page_parts

pytest.importorskip("waitress", reason="waitress is not installed")
pytestmark = pytest.mark.slow  # a browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FRESH = "[...document.querySelectorAll('#gallery .frame')].every((one) => !one.classList.contains('old'))"
LEVELS = "[...document.querySelectorAll('#gallery figure[data-esno]')].map((one) => one.dataset.esno)"
PIXELS = "(n) => document.querySelectorAll('#gallery .frame canvas')[n].toDataURL()"


@pytest.fixture(scope="module")
def address(desk: Desk) -> Iterator[str]:
    with closing(PlayServer(0)) as server:
        server.furnish(desk)
        yield server.address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen, one for all."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def tab(browser: Any, address: str, *, refusals: bool = False, **options: Any) -> Iterator[Any]:  # noqa: ANN401
    """A page that shows its pictures; whatever its console says, or that it asks of anybody else, is an error.

    Chromium itself says on the console that a request was refused, which with `refusals` is meant to be.
    """
    page = browser.new_page(**({"viewport": {"width": 1200, "height": 900}} | options))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: said.append(one.url) if not one.url.startswith((address, "data:", "blob:")) else 0)
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_selector("#gallery figure[data-esno]")
    until(page, FRESH)
    yield page
    page.close()
    assert [one for one in said if not (refusals and one.startswith("Failed to load resource"))] == []


def until(page: Any, true: str, arg: object = None) -> None:  # noqa: ANN401
    """Wait until an expression or a function of `arg` is true; the page's policy forbids Playwright's own way."""
    end = time.monotonic() + 60
    while not page.evaluate(true, arg):
        assert time.monotonic() < end, true
        page.wait_for_timeout(30)


def slide(page: Any, place: int) -> None:  # noqa: ANN401
    """Move the slider as a hand does."""
    page.evaluate("(at) => { const one = document.querySelector('#slider'); one.value = at;"
                  " one.dispatchEvent(new Event('input', { bubbles: true })) }", place)  # fmt: skip


def png(levels: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(levels).save(packed, "png")
    return packed.getvalue()


def test_the_slider_shows_the_cliff(browser: Any, address: str) -> None:  # noqa: ANN401
    with tab(browser, address) as page:
        assert page.inner_text("#level") == "10 dB"
        jpeg, neural = "#gallery figure >> nth=1", "#gallery figure >> nth=2"
        assert "arrived" in page.inner_text(jpeg)
        before = [page.evaluate(PIXELS, n) for n in range(3)]
        page.focus("#slider")
        page.keyboard.press("Home")
        assert page.inner_text("#level") == "0 dB"
        until(page, FRESH)
        assert page.evaluate(LEVELS) == ["0", "0"]
        assert "failed" in page.inner_text(jpeg)
        assert "arrived" in page.inner_text(neural)
        after = [page.evaluate(PIXELS, n) for n in range(3)]
        assert before[0] == after[0]
        assert all(a != b for a, b in zip(before[1:], after[1:], strict=True))
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        until(page, FRESH)
        assert page.evaluate(LEVELS) == ["3", "3"]
        assert page.get_attribute("#slider", "aria-valuetext") == "3 dB"
        # The curve fills itself in while one looks, whole in the end.
        until(page, "document.querySelectorAll('#curve circle').length === 30")
        names = "[...document.querySelectorAll('#curve polyline')].map((one) => one.dataset.name)"
        assert page.evaluate(names) == ["jpeg-ldpc-qam", "deepjscc"]
        # What is there now is shown at once.
        slide(page, 14)
        assert page.evaluate(FRESH)
        assert page.evaluate(LEVELS) == ["14", "14"]


def test_every_control_changes_what_is_shown(browser: Any, address: str, ask: Callable[..., Any]) -> None:  # noqa: ANN401
    with tab(browser, address) as page:

        def changed(act: Callable[[], object], *, sent: bool = False) -> None:
            before = page.evaluate(PIXELS, 2)
            act()
            until(page, FRESH)
            until(page, f"(before) => ({PIXELS})(2) !== before", arg=before)
            assert sent or page.inner_text("#said") == ""

        changed(lambda: page.click("#again"))
        assert page.input_value("#seed") == "1"
        changed(lambda: page.fill("#seed", "3") or page.press("#seed", "Tab"))
        changed(lambda: page.select_option("#view", "difference"))
        changed(lambda: page.select_option("#view", "received"))
        page.select_option("#zoom", "4")
        scale = "getComputedStyle(document.querySelector('#gallery canvas')).transform"
        assert page.evaluate(scale).startswith("matrix(4,")
        page.select_option("#zoom", "1")
        changed(lambda: page.select_option("#picture", "chelsea"))
        changed(lambda: page.select_option("#picture", "coffee"))
        changed(lambda: page.select_option("#channel", "rayleigh"))
        assert page.inner_text("#spec") == "rayleigh"
        changed(lambda: page.select_option("[data-option=csi]", "estimated"))
        page.select_option("#stage", "clip")
        page.click("#add-stage")
        until(page, "document.querySelector('#gallery').innerText.includes('lacks level')")
        changed(lambda: page.fill("#stages [data-option=level]", "1") or page.press("#stages input", "Tab"))
        assert page.inner_text("#spec") == "rayleigh:csi=estimated+clip:level=1"
        changed(lambda: page.click("#stages button"))
        page.fill("#codec", "jpeg-ldpc-qam:outage")
        page.press("#codec", "Enter")
        until(page, "document.querySelectorAll('#gallery figure[data-esno]').length === 3")
        until(page, FRESH)
        page.click("#codecs button >> nth=2")
        assert page.locator("#gallery figure").count() == 3
        # What is shown is what the server gives for what the controls say.
        until(page, FRESH)
        own = ask("send", codec="deepjscc", channel="rayleigh:csi=estimated", esno_db=10)
        assert f"{own['psnr_db']:.2f} dB PSNR" in page.inner_text("#gallery figure >> nth=2")
        page.click("#copy summary")
        until(page, "document.querySelector('#command').textContent.includes('--seed 3')")
        told = ask("copy", codecs=["jpeg-ldpc-qam", "deepjscc"], channel="rayleigh:csi=estimated", esno_db=10)
        assert page.inner_text("#command") == told["command"]
        assert page.text_content("#python") == told["python"]
        page.click("#copy-command")
        until(page, "/^(Copied|Selected)/.test(document.querySelector('#said').innerText)")
        changed(lambda: page.fill("#ratio", "1/12") or page.press("#ratio", "Tab"), sent=True)
        with page.expect_download() as saving:
            page.click("#save")
        assert (np.asarray(Image.open(saving.value.path())) == ask("pixels", picture="coffee")["levels"]).all()


def test_what_was_sent_is_seen_while_a_picture_is_held(browser: Any, address: str) -> None:  # noqa: ANN401
    with tab(browser, address) as page:
        sent, received = page.evaluate(PIXELS, 0), page.evaluate(PIXELS, 2)
        place = page.locator("#gallery .frame").nth(2).bounding_box()
        page.mouse.move(place["x"] + 50, place["y"] + 50)
        page.mouse.down()
        assert page.evaluate(PIXELS, 2) != received
        page.mouse.up()
        assert page.evaluate(PIXELS, 2) == received
        page.locator("#gallery .frame").nth(2).focus()
        page.keyboard.down(" ")
        assert page.evaluate(PIXELS, 2) == sent
        page.keyboard.up(" ")
        assert page.evaluate(PIXELS, 2) == received
        assert sent == page.evaluate(PIXELS, 0)


def test_photographs_are_dropped_and_odd_files_told(browser: Any, address: str) -> None:  # noqa: ANN401
    with tab(browser, address, refusals=True) as page:

        def drop(name: str, data: bytes) -> None:
            page.evaluate(
                """([name, data]) => { const carried = new DataTransfer();
                carried.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
                document.querySelector('#gallery').dispatchEvent(
                  new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true })) }""",
                [name, base64.b64encode(data).decode()],
            )

        ramp = (np.add.outer(np.arange(90), np.arange(120))[:, :, None] * np.array([1.2, 1.0, 0.7])).astype(np.uint8)
        drop("<b>mine</b>.png", png(ramp))
        until(page, "document.querySelector('#gallery').innerText.includes('120×90')")
        until(page, FRESH)
        assert page.evaluate("document.querySelectorAll('#gallery canvas')[0].width") == 120
        before = page.evaluate(PIXELS, 0)
        for name, data, said in [
            ("text.jpg", b"no picture", "image text.jpg: not a readable image"),
            ("cut.png", png(ramp)[:-200], "image cut.png: damaged or unreadable"),
            ("empty.png", b"", "image empty.png: the file is empty"),
            ("large.png", png(np.zeros((4100, 4000), np.uint8)), "megapixels; at most 16 are allowed"),
        ]:
            drop(name, data)
            until(page, "(said) => document.querySelector('#said').innerText.includes(said)", arg=said)
        assert page.evaluate(PIXELS, 0) == before  # the picture that was there stays
        page.set_input_files("#file", {"name": "grey.png", "mimeType": "image/png", "buffer": png(ramp[:, :, 0])})
        until(page, "document.querySelector('#said').innerText === ''")
        until(page, "document.querySelector('#picture').value.startsWith('grey')")
        until(page, FRESH)


def test_a_fast_slider_never_shows_an_older_answer(browser: Any, address: str) -> None:  # noqa: ANN401
    with tab(browser, address) as page:
        page.fill("#seed", "77")
        page.press("#seed", "Tab")
        held: list[Any] = []

        def delay(route: Any) -> None:  # noqa: ANN401
            asked = json.loads(route.request.post_data)
            if asked["esno_db"] == 2 and asked["codec"] == "deepjscc":
                held.append(route)  # which will be answered after the newer ones
            else:
                route.continue_()

        page.route("**/send", delay)
        for place in (9, 7, 5, 2):
            slide(page, place)
        while not held:
            page.wait_for_timeout(20)
        for place in (4, 9, 12, 13):
            slide(page, place)
        until(page, "document.querySelectorAll('#gallery figure')[1].dataset.esno === '13'")
        held[0].continue_()
        until(page, FRESH)
        assert page.evaluate(LEVELS) == ["13", "13"]
        page.wait_for_timeout(300)
        assert page.evaluate(LEVELS) == ["13", "13"]
        # Between the two, the nearest that is there, and it says so.
        slide(page, 11)
        assert set(page.evaluate(LEVELS)) <= {"11", "12", "13", "10"}
        until(
            page,
            "[...document.querySelectorAll('#gallery .words')].slice(1).every("
            "(one) => /SSIM 0\\.\\d{4}$/m.test(one.innerText))",
        )  # which comes when it rests


def test_two_tabs_have_their_own(browser: Any, address: str) -> None:  # noqa: ANN401
    with tab(browser, address) as first, tab(browser, address) as second:
        first.select_option("#picture", "chelsea")
        slide(second, 1)
        for page in (first, second):
            until(page, FRESH)
        assert first.evaluate(LEVELS) == ["10", "10"]
        assert second.evaluate(LEVELS) == ["1", "1"]
        assert "chelsea" in first.inner_text("#gallery figure >> nth=0")
        assert "astronaut" in second.inner_text("#gallery figure >> nth=0")


def test_a_walk_freezes_and_comes_back_and_is_recorded(browser: Any, address: str, tmp_path: Path) -> None:  # noqa: ANN401
    with tab(browser, address) as page:
        page.click("#walk summary")
        page.fill("#seed", "4")
        page.fill("#doppler", "0.25")  # gains of +1, -15, 0 dB, …
        page.press("#doppler", "Tab")
        words = "document.querySelector('#walk-gallery figure .words').innerText"
        page.click("#walk-step")
        until(page, f"document.querySelector('#walk-said').innerText.startsWith('picture 0') && {words}")
        assert page.evaluate(words).startswith("arrived")
        page.click("#walk-step")
        until(page, "document.querySelector('#walk-said').innerText.startsWith('picture 1')")
        assert page.evaluate(words) == "frozen since picture 0"
        page.uncheck("#hold")
        assert page.evaluate(words).startswith("failed")
        page.check("#hold")
        assert page.get_attribute("#walk-play", "aria-pressed") == "false"
        page.click("#walk-record")
        assert page.get_attribute("#walk-play", "aria-pressed") == "true"
        until(page, f"{words}.startsWith('arrived')")
        until(page, "Number(/\\d+/.exec(document.querySelector('#walk-record').innerText)) >= 3")
        assert not page.inner_text("#walk-gallery figure >> nth=1").startswith("frozen")
        with page.expect_download() as saving:
            page.click("#walk-record")
        with Image.open(saving.value.path()) as gif:
            assert gif.n_frames >= 3  # type: ignore[attr-defined]
            assert gif.size[0] == 512
        page.click("#walk-play")
        assert page.get_attribute("#walk-play", "aria-pressed") == "false"
        assert page.locator("#walk-curve polyline").count() == 3
        page.click("#walk-restart")
        assert page.inner_text("#walk-said") == ""
        page.evaluate("() => { for (let i = 0; i < 7; i++) document.querySelector('#walk-play').click(); }")  # in haste
        until(page, "Number(/\\d+/.exec(document.querySelector('#walk-said').innerText)) >= 3")
        page.click("#walk-play")
        steps = "document.querySelector('#walk-curve polyline').getAttribute('points').split(' ').length"
        told = "Number(/\\d+/.exec(document.querySelector('#walk-said').innerText))"
        assert page.evaluate(f"{steps} - {told}") == 1  # a point a picture


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_dark_and_light(browser: Any, address: str, scheme: str) -> None:  # noqa: ANN401
    with tab(browser, address, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        for panel in ("walk", "copy"):
            page.click(f"#{panel} summary")
        page.select_option("#channel", "cdl-a")
        until(page, FRESH)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        paper = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(paper)
        assert (before == "rgb(255, 255, 255)") == (scheme == "light")
        page.focus("#theme")
        page.keyboard.press("Enter")
        assert page.evaluate(paper) != before
        unnamed = """[...document.querySelectorAll('input, select, button')].filter((one) =>
          !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).length"""
        assert page.evaluate(unnamed) == 0


def test_a_server_that_ends_is_told(browser: Any, desk: Desk) -> None:  # noqa: ANN401
    with closing(PlayServer(0)) as server:
        server.furnish(desk)
        with tab(browser, server.address, refusals=True) as page:
            server.close()
            slide(page, 6)
            page.click("#again")
            until(page, "document.querySelector('#said').innerText.includes('does not answer')")


def test_the_widget_of_a_notebook_is_the_same_script(browser: Any, address: str) -> None:  # noqa: ANN401
    """With a model that stands for the notebook's line, and asks the server what the kernel would answer."""
    page = browser.new_page(bypass_csp=True)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}page.css")  # a document of this origin on which nothing is alive
    page.evaluate(
        """async (parts) => {
          const { default: widget } = await import('./page.js');
          let hear;
          const model = {
            get: (name) => parts[name],
            on: (_, listener) => { hear = listener; },
            send: async ({ number, name, query }, _, [body]) => {
              const reply = await fetch(`${name}?${query}`, { method: 'POST', body });
              if (!reply.ok) hear({ number, wrong: await reply.text() }, []);
              else hear({ number, kind: '' }, [new DataView(await reply.arrayBuffer())]);
            },
          };
          const el = document.body.appendChild(document.createElement('div'));
          widget.render({ model, el });
          window.shown = () => [...el.shadowRoot.querySelectorAll('#gallery figure[data-esno]')]
            .map((one) => one.dataset.esno);
          window.slide = (at) => { const one = el.shadowRoot.querySelector('#slider'); one.value = at;
            one.dispatchEvent(new Event('input')); };
        }""",
        page_parts(),
    )
    until(page, "window.shown().join() === '10,10'")
    page.evaluate("window.slide(3)")
    until(page, "window.shown().join() === '3,3'")
    page.close()
    assert [one for one in said if "Failed to load resource" not in one] == []  # of an icon
