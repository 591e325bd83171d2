"""The same page in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

from semlink.flowgraphs.play.wishes import LEVELS

NEEDS = "Playground needs anywidget: pip install 'semlink[notebook]'; `semlink play` is the same as a page"
WAITING = 8
"""Requests that a widget waits for at once; what they wait for is done by as many threads as there are cores."""


def Playground(  # noqa: N802 - what a user makes is a widget, whose class is made when anywidget is there
    images: Sequence[str] = (),
    codecs: Sequence[str] = (),
    *,
    channel: str = "awgn",
    esno: str = LEVELS,
    ratio: str = "1/6",
    seed: int = 0,
) -> Any:  # noqa: ANN401 - an `anywidget.AnyWidget`
    """The page of `semlink play` as a widget, for the last line of a notebook's cell; `.close()` ends it.

    Args:
        images: files, folders and sets beside the samples.
        codecs: shown first; those of `semlink compare` without any.
        channel: as --channel takes it.
        esno: of the slider in dB, START:STOP:STEP or A,B,C.
        ratio: as --ratio takes it.
        seed: of noise and fading.

    Raises:
        ImportError: anywidget is not installed.
        ValueError: an option that is refused.
    """
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise ImportError(NEEDS) from None
    from semlink.flowgraphs.play.opening import open_desk

    desk, parts = open_desk(images, codecs, channel=channel, esno=esno, ratio=ratio, seed=seed), page_parts()

    class _Playground(anywidget.AnyWidget):  # type: ignore[misc]  # of a library without types
        _esm = parts["_esm"]
        _html = traitlets.Unicode(parts["_html"]).tag(sync=True)
        _style = traitlets.Unicode(parts["_style"]).tag(sync=True)

        def __init__(self) -> None:
            super().__init__()
            self._waiting = ThreadPoolExecutor(WAITING, "semlink-playground")  # the kernel goes on meanwhile
            self.on_msg(self._ask)

        def _ask(self, _: object, content: Any, buffers: Sequence[Any]) -> None:  # noqa: ANN401
            given = [bytes(one) for one in buffers]
            self._waiting.submit(lambda: self.send(*answered(desk, content, given)))

        def settle(self) -> None:
            """Wait until everything that was asked is answered."""
            self._waiting.shutdown()
            self._waiting = ThreadPoolExecutor(WAITING, "semlink-playground")

        def close(self) -> None:
            """End it."""
            desk.close()
            self._waiting.shutdown(wait=False, cancel_futures=True)
            super().close()

    return _Playground()


def answered(desk: Any, content: Any, buffers: Sequence[Any]) -> tuple[dict[str, Any], list[bytes]]:  # noqa: ANN401
    """The reply to a message of the page in a notebook: its number, and bytes or what is wrong.

    Args:
        desk: a `Desk`.
        content: {"number", "name", "query"} of the request.
        buffers: its body, if there is any.
    """
    number = content.get("number") if isinstance(content, dict) else None
    try:
        name, query = str(content["name"]), str(content.get("query", ""))
        kind, body = desk.answer(name, bytes(buffers[0]) if buffers else b"", query)
    except Exception as error:  # the page tells it, and goes on
        return {"number": number, "wrong": str(error) or type(error).__name__}, []
    return {"number": number, "kind": kind}, [body]


def page_parts() -> dict[str, str]:
    """The page's script, what is within its frame, and its style, by the names that the widget has for them."""
    page = _file("page.html")
    body = page[page.index("<main") : page.index("</main>") + len("</main>")]
    return {"_esm": _file("page.js"), "_html": body, "_style": _file("page.css")}


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
