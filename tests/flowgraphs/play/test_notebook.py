"""The page as a widget of a notebook: what it is told, what it answers, and what is said without anywidget."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from semlink.flowgraphs.play import Playground
from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.widget import answered, page_parts


def test_without_anywidget_there_is_a_clear_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"pip install 'semlink\[notebook\]'; `semlink play` is the same as a page"):
        Playground()


def test_a_message_is_answered_as_a_request_is(desk: Desk, scene: dict[str, Any]) -> None:
    body = json.dumps({**scene, "codec": "deepjscc", "esno_db": 8}).encode()
    told, (given,) = answered(desk, {"number": 5, "name": "send"}, [memoryview(body)])
    assert told == {"number": 5, "kind": "application/octet-stream"}
    assert given == desk.answer("send", body)[1]
    assert answered(desk, {"number": 6, "name": "drop", "query": "name=x&side=256"}, []) == (
        {"number": 6, "wrong": "image x: the file is empty"},
        [],
    )
    assert answered(desk, {"number": 7, "name": "nix"}, [])[0]["number"] == 7
    assert "wrong" in answered(desk, "nothing", [])[0]


def test_the_widget_has_what_the_page_has_between_its_frame() -> None:
    parts = page_parts()
    assert parts["_html"].startswith('<main id="play"')
    assert parts["_html"].endswith("</main>")
    assert "<script" not in parts["_html"]
    assert "export default" in parts["_esm"]
    assert ".play" in parts["_style"]


def test_the_widget_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    made = Playground(codecs=["deepjscc"], esno="0:10:5")
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(type(made), "send", lambda _, content, buffers: sent.append((content, buffers)))
    made._handle_custom_msg({"number": 1, "name": "catalogue"}, [b"{}"])
    made.settle()
    content, (body,) = sent[0]
    assert content["number"] == 1
    assert json.loads(body)["start"]["codecs"] == ["deepjscc"]
    made.close()
