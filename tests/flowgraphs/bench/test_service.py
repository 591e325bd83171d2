"""What `semlink bench service` makes of what users were told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from semlink.flowgraphs.bench import service
from semlink.flowgraphs.protocol import Told

NAMED = {"cpu_s": 0.0, "batch_mean": 2.0, "batch_max": 4, "memory_bytes": 0}


def test_at_half_of_the_speed_users_ask_half_as_often(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Sequence[str]] = []
    asked: list[tuple[int, float | None]] = []

    @contextmanager
    def process(options: Sequence[str], *, command: str) -> Iterator[str]:
        assert command == "serve"
        started.append(options)
        yield "tcp://nowhere"

    def drive(address: str, users: int, *rest: object, rate_hz: float | None = None) -> Told:
        asked.append((users, rate_hz))
        images = {1: 10, 3: 24, 16: 40}[users]  # a second
        latency_s = 0.08 if users == 1 else 0.2 if rate_hz else 0.5
        return Told(1.0, [latency_s] * images, before=dict(NAMED), after=dict(NAMED))

    monkeypatch.setattr(service, "worker_process", process)
    monkeypatch.setattr(service, "_drive", drive)
    monkeypatch.setattr(service, "_one_after_another", lambda codec: None)
    monkeypatch.setattr(service, "_rate", lambda carry, pictures, seconds: 20.0)
    one, three, many = service.measure_service("swin", [3, 16], 1.0, 1)
    assert asked == [(1, None), (3, None), (16, None), (16, 40 / 2 / 16)]
    assert (three.times_one_user, many.times_one_user) == (pytest.approx(2.4), pytest.approx(4.0))
    assert many.half_p95_ms == pytest.approx(200)
    assert many.half_times == pytest.approx(2.5)
    assert one.half_times != one.half_times  # NaN
    assert "--latency-ms=160" in started[1]  # twice what one user waits
    service.print_service([one, three, many])
    printed = capsys.readouterr().out
    assert "at half of that speed" in printed
    assert "2.50" in printed
    assert "nan" not in printed
