"""`semlink zoo`: a table of all, or all that is known of those that are named."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from semlink.neural import zoo
from semlink.neural.diffusion import receiver_cards

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_table_has_a_line_for_each(run_semlink: Run) -> None:
    status, told, _ = run_semlink("zoo")
    lines = told.splitlines()
    assert status == 0
    assert all(len(line) <= 80 for line in lines if "semlink zoo" not in line)
    begun = [line.strip("│ ").partition(" ")[0] for line in lines]
    assert all(begun.count(name) == 1 for name in (*zoo.cards(), *receiver_cards()))
    assert len(lines) < 16 + len(zoo.cards()) + len(receiver_cards())
    figures = zoo.cards()["swin"].figures["CIFAR-10 test, AWGN"]
    row = next(line for line in lines if " swin " in line and "1/24 to 1/3" in line)
    assert [f"{figures[level]:.2f}" in row for level in ("0", "10", "20")] == [True] * 3
    assert "swin: PSNR at ratio 1/6\n" in told
    assert "`semlink zoo NAME`" in told
    assert "SHA-256" not in told


def test_a_narrow_terminal_cuts_nothing_off(run_semlink: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "…" not in run_semlink("zoo")[1]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("swin-photo", ["swin-photo"]),
        ("deepjscc", ["deepjscc-12", "deepjscc-6"]),  # a codec of two networks
        ("sft-gsc", ["sft-gsc"]),
        ("cddm", ["cddm-plain-16", "cddm-swin"]),  # a kind of receiver
    ],
)
def test_by_name_all_is_told(name: str, there: list[str], run_semlink: Run) -> None:
    cards = {**zoo.cards(), **receiver_cards()}
    status, told, _ = run_semlink("zoo", name)
    assert status == 0
    assert {one for one in cards for line in told.splitlines() if line.startswith(f"{one}: ")} == set(there)
    for one in there:
        for said in (cards[one].sha256, cards[one].data, cards[one].command, cards[one].channel):
            assert said in told
    _, as_json, _ = run_semlink("zoo", name, "--json")
    assert [card["name"] for card in json.loads(as_json)] == there


def test_a_wrong_name(run_semlink: Run) -> None:
    status, told, error = run_semlink("zoo", "swim")
    assert (status, told) == (2, "")
    assert "name 'swim' (did you mean 'swin'?) must be FILE.safetensors of a training, or one of: " in error
    assert "sft-gsc" in error
