"""The page of a service and its figures: what is told, to whom, and how it looks in a browser."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import WorkerClient, WorkerError, carry_request
from semlink.flowgraphs.service import Service, Worker, run_serve
from semlink.flowgraphs.service.board import IMAGES, KEPT, SIDE, Board
from semlink.flowgraphs.service.page import Page, answer
from semlink.flowgraphs.service.record import Timed
from semlink.flowgraphs.specs import make_channel

pytest.importorskip("zmq", reason="pyzmq is not installed")
parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")
pytest.importorskip("waitress", reason="waitress is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOST = "127.0.0.1:80"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str]]:
    """Addresses of a page and of its service, which has carried images of two users, and refused one."""
    channel = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    board = Board()
    worker = Worker(Service(threads=1, channel=channel), "tcp://127.0.0.1:*", latency_s=0.01, board=board)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with closing(Page(board, 0)) as shown:
        for i in range(2):
            with WorkerClient(worker.address, timeout_s=60.0) as client:
                client.call(request(i))
                if i:
                    with pytest.raises(WorkerError):
                        client.carry(np.zeros((8, 8, 3), np.uint8), codec="<b>nix", esno_db=10)
        end = time.monotonic() + 30
        while not board.snapshot.images or board.snapshot.status["refused"] != 1:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield shown.address, worker.address
    worker.stop()
    thread.join(30)


@pytest.fixture(scope="module")
def page(served: tuple[str, str]) -> str:
    return served[0]


def request(value: int) -> Any:  # noqa: ANN401
    ramp = np.add.outer(np.arange(24), np.arange(24))[:, :, None] * np.array([5, 4, 3 + value])
    return carry_request(ramp.astype(np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=20)


def fetched(url: str, **headers: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_the_figures_are_as_prometheus_reads_them(page: str) -> None:
    status, kind, text = fetched(page + "metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {
        (one.name, *sorted(one.labels.items())): one.value
        for family in parser.text_string_to_metric_families(text.decode())
        for one in family.samples
    }
    assert found["semlink_served_total",] == 2
    assert found["semlink_refused_total",] == 1
    assert found["semlink_queue",] == 0
    assert found["semlink_users",] == 2
    assert found["process_cpu_seconds_total",] > 0
    for name, count in (("served", 1), ("refused", 1), ("requests", 2)):
        assert found[f"semlink_user_{name}_total", ("user", "connection 2")] == count
    labels = ("cached", "no"), ("op", "carry")
    assert found["semlink_latency_seconds_count", *labels] == 2
    assert found["semlink_latency_seconds_bucket", labels[0], ("le", "+Inf"), labels[1]] == 2
    assert found["semlink_latency_seconds_sum", *labels] > 0


def test_the_state_has_images_beside_what_was_sent(page: str) -> None:
    status, _, text = fetched(page + "state")
    state = json.loads(text)
    assert status == 200
    assert [row["user"] for row in state["users"]] == ["connection 2", "connection 1"]
    assert {image["user"] for image in state["images"]} <= {"connection 1", "connection 2"}
    first = state["images"][0]
    assert first["psnr_db"] > 15
    for what in ("sent", "received"):
        status, kind, png = fetched(f"{page}image/{first['number']}/{what}")
        assert (status, kind, png[:4]) == (200, "image/png", b"\x89PNG")
    assert fetched(f"{page}image/999/sent")[0] == 404
    assert sum(row[1] for row in state["history"]) > 0


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""]
)
def test_other_hosts_names_are_refused(page: str, host: str) -> None:
    """As a page from elsewhere has whose name was made to mean this machine."""
    for path in ("", "state", "metrics", "image/1/sent"):
        status, _, text = fetched(page + path, Host=host)
        assert status == 403
        assert b"for this machine alone" in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:80"])
def test_this_machines_own_names_are_not(host: str) -> None:
    assert answer(Board(), "GET", host, "/").status == "200 OK"


def test_nothing_else_is_to_be_had() -> None:
    board = Board()
    for path in ("/x", "/../pyproject.toml", "/image/1/else", "/image/x/sent", "/service/page.html"):
        assert answer(board, "GET", HOST, path).status.startswith("404")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert answer(board, method, HOST, "/state").status.startswith("405")
    assert answer(board, "GET", HOST, "/metrics").status == "200 OK"  # before anything was told


def test_only_this_machine_can_reach_it(page: str) -> None:
    port = int(page.rstrip("/").rpartition(":")[2])
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", port)) != 0  # of this machine too, but not where it listens


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semlink.flowgraphs.service.board.PAUSE_S", -1.0)
    board = Board()
    large = np.zeros((1000, 700, 3), np.uint8)
    for _ in range(KEPT + 3):
        board.show("anna", "swin", 0.01, None, large, False)
    board.answered(0.02, refused=False)
    board.look({"queue": 4}, [], {("carry", True): Timed()})
    told = board.snapshot.images
    assert [one["number"] for one in told] == list(range(KEPT + 3, KEPT + 3 - IMAGES, -1))
    assert (told[0]["height"], told[0]["width"], told[0]["sent"], told[0]["psnr_db"]) == (1000, 700, False, None)
    assert board.picture(3, "received") is None
    assert board.picture(4, "sent") is None
    png = board.picture(4, "received") or b""  # still to be had by who was told of it before
    assert max(int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) <= SIDE
    assert board.snapshot.history[0][1:] == [pytest.approx(1.0, rel=0.5), 20.0, 20.0, 4, 0.0]  # by a clock that runs
    monkeypatch.setattr("semlink.flowgraphs.service.board.PAUSE_S", 1e9)
    board.show("anna", "swin", 0.01, None, large, False)
    board.look({}, [], {})
    assert board.snapshot.images == told


def test_ports_that_cannot_be(page: str) -> None:
    port = int(page.rstrip("/").rpartition(":")[2])
    with pytest.raises(ValueError, match=rf"^--page {port}: Address already in use$"):
        run_serve(address="tcp://127.0.0.1:*", channel="awgn", page=port)
    with pytest.raises(ValueError, match="--page 70000 must be a port from 1 to 65535, or 0"):
        run_serve(address="tcp://127.0.0.1:*", channel="awgn", page=70000)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow  # a browser
def test_a_phone_shows_it_live_and_without_a_complaint(served: tuple[str, str]) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    page, said = served[0], list[str]()
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 360, "height": 740})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda one: said.append(one.url) if not one.url.startswith((page, "data:")) else None)
        tab.goto(page)
        tab.wait_for_selector("#images img")
        tab.wait_for_selector("#latency path.p95[d^=M]", state="attached")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        loaded = "[...document.querySelectorAll('#images img')].every((one) => one.complete && one.naturalWidth === 24)"
        until(lambda: bool(tab.evaluate(loaded)))
        assert tab.evaluate("document.querySelectorAll('#images figure:first-child img').length") == 2
        cells = tab.evaluate("[...document.querySelectorAll('#users tr:first-child td')].map((one) => one.textContent)")
        assert cells[:5] == ["connection 2", "2", "1", "1", "0"]
        assert re.search(r"served\s+2", tab.inner_text("#numbers"))
        with WorkerClient(served[1], timeout_s=60.0) as client:
            client.call(request(9))
        until(lambda: bool(re.search(r"served\s+3", tab.inner_text("#numbers"))))  # it is live
        assert "connection 3" in tab.evaluate("document.querySelector('#images figcaption').textContent")
        assert tab.locator("#away").is_hidden()
        browser.close()
    assert said == []
