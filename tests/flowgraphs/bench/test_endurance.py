"""What a service does under too much, for long, and behind keys, in short; and what the command makes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.bench import endurance
from semlink.flowgraphs.bench.endurance import (
    Endurance,
    Locked,
    Overload,
    endurance_lines,
    measure_endurance,
    measure_keys,
    measure_overload,
    slope_of,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.specs import make_channel

pytest.importorskip("zmq", reason="pyzmq is not installed")


def option(options: Sequence[str], name: str) -> str | None:
    return next((one.partition("=")[2] for one in options if one.startswith(f"--{name}=")), None)


@contextmanager
def served(options: Sequence[str]) -> Iterator[str]:
    """`semlink serve` with these options, in this process."""
    over = make_channel(option(options, "channel") or "", coherence=None, csi=None, equaliser=None)
    keys, backlog = option(options, "keys"), option(options, "backlog")
    seconds = float(backlog) if backlog else float("inf")
    worker = Worker(
        Service(channel=over), "tcp://127.0.0.1:*", queue=64, keys=Path(keys) if keys else None, seconds=seconds
    )
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker.address
    finally:
        worker.stop()
        thread.join(60)


def test_an_overload_is_refused_in_words_and_who_is_let_in_does_not_wait_longer_and_longer() -> None:
    found = measure_overload("deepjscc", 4, 2.0, serve=served)
    assert found.asked_per_s > 3 * found.speed_per_s  # 10 times, as far as this process can ask
    assert found.unanswered == 0
    assert sum(found.refused.values()) > found.seconds * found.served_per_s
    assert all("queue is full" in why for why in found.refused)
    assert found.p95_ms[0] > 0
    assert found.p95_ms[1] < 10_000
    lines = endurance_lines(found)
    assert lines[0].startswith("overload: ")
    assert "'the queue is full" in lines[2]


def test_what_can_be_served_is_served_and_the_memory_is_looked_at() -> None:
    found = measure_endurance("deepjscc", 2, 0.02, serve=served)
    assert found.served > 0
    assert (found.refused, found.unanswered, len(found.memory_mib)) == (0, 0, 10)
    assert abs(found.slope_mib_per_min) < 1e4
    assert "MiB a minute" in endurance_lines(found)[2]


def test_a_service_with_keys_is_measured_beside_one_without() -> None:
    found = measure_keys("deepjscc", 2, 0.5, 1, serve=served)
    assert min(*found.images_per_s, *found.cpu_ms, *found.p95_ms) > 0
    assert "with keys" not in endurance_lines(found)[0]
    assert "without keys" in endurance_lines(found)[0]


def test_a_slope_is_that_of_a_line() -> None:
    x = np.linspace(0, 20, 41)
    slope, error = slope_of([(float(one), 3 + 0.5 * float(one)) for one in x])
    assert (slope, error) == (pytest.approx(0.5), pytest.approx(0, abs=1e-12))
    noise = np.random.default_rng(0).normal(size=41)
    slope, error = slope_of(list(zip(x.tolist(), noise.tolist(), strict=True)))
    assert error == pytest.approx(1 / np.sqrt(((x - 10) ** 2).sum()), rel=0.3)
    assert abs(slope) < 3 * error
    assert np.isnan(slope_of([(0, 1), (1, 2)])).all()


def test_the_command_does_what_it_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {}

    def note(name: str, result: object) -> Any:  # noqa: ANN401
        return lambda *rest: given.setdefault(name, rest) and result

    monkeypatch.setattr(
        endurance, "measure_overload", note("overload", Overload("c", 4, 1, 1, 1, 1, {}, 0, (1, 2), 1, (1, 2)))
    )
    monkeypatch.setattr(endurance, "measure_endurance", note("minutes", Endurance("c", 4, 1, 1, 1, 0, 0, 1, 0, 0)))
    monkeypatch.setattr(endurance, "measure_keys", note("keys", Locked("c", 4, (1, 1), (1, 1), (1, 1))))
    asked: dict[str, Any] = {"codec": "swin", "users": 4, "seconds": 1.0, "rounds": 2, "options": ["--threads=1"]}
    endurance.run_endurance(**asked, overload_s=60, minutes=20, with_keys=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["overload"]["p95_ms"] == [1, 2]
    assert told["endurance"]["minutes"] == 1
    assert told["keys"]["cpu_ms"] == [1, 1]
    assert given["overload"] == ("swin", 4, 60, ["--threads=1"])
    assert given["keys"] == ("swin", 4, 1.0, 2, ["--threads=1"])
    with pytest.raises(ValueError, match="--overload 0 must be from 1 to 3600 seconds"):
        endurance.run_endurance(**asked, overload_s=0, minutes=None, with_keys=False, as_json=False)
    with pytest.raises(ValueError, match=r"--minutes 0 must be from 0\.1 to 1440"):
        endurance.run_endurance(**asked, overload_s=None, minutes=0, with_keys=False, as_json=False)
