"""`semlink bench service --overload`, `--minutes` and `--with-keys`: what a service does under too much, for long, and
behind keys."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.bench.service import CHANNEL, ESNO_DB, SIDE, asker, textures
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.protocol import Keys, Pdu, Told, Users, make_keys, read_keys
from semlink.phy.documents import for_json
from semlink.phy.parallel import cores

TIMES = 10.0
"""How much more is asked for than is served, in an overload."""
LOAD = 0.8
"""Of the speed that was measured, for long."""
SLICE_S = 10.0
"""From one look at the memory to the next, at most."""
WARM = 0.1
"""Share of the time at whose end the memory counts: before, what is loaded once is loaded."""
BACKLOG_S = 0.5
"""Of the service in an overload: seconds of work that wait."""
PROBE_S = 3.0
"""For which the speed is measured, at most."""
Serve = Callable[[Sequence[str]], AbstractContextManager[str]]


def _serve(options: Sequence[str]) -> AbstractContextManager[str]:
    return worker_process(options, command="serve")


@dataclass(frozen=True)
class Overload:
    """Users who ask for more than is served.

    Attributes:
        codec: its name.
        users: how many.
        seconds: for how long.
        speed_per_s: images a second where each asks for one after another.
        asked_per_s: requests a second.
        served_per_s: of them, served.
        refused: requests that were answered by an error, by what it says; numbers in it are left out.
        unanswered: requests that got no answer.
        p95_ms: of those served, in the first half of them and in the second.
        unloaded_p95_ms: of `speed_per_s`.
        memory_mib: of the service, before and after.
    """

    codec: str
    users: int
    seconds: float
    speed_per_s: float
    asked_per_s: float
    served_per_s: float
    refused: Mapping[str, int]
    unanswered: int
    p95_ms: tuple[float, float]
    unloaded_p95_ms: float
    memory_mib: tuple[float, float]


@dataclass(frozen=True)
class Endurance:
    """Users who ask for what can be served, for long.

    Attributes:
        codec: its name.
        users: how many.
        minutes: for how long.
        asked_per_s: requests a second.
        served, refused, unanswered: requests.
        p95_ms: of those served.
        memory_mib: of the service, by seconds from the start.
        slope_mib_per_min: of the memory by least squares, without the first tenth.
        slope_error: its standard error.
    """

    codec: str
    users: int
    minutes: float
    asked_per_s: float
    served: int
    refused: int
    unanswered: int
    p95_ms: float
    slope_mib_per_min: float
    slope_error: float
    memory_mib: Sequence[tuple[float, float]] = field(default=())


@dataclass(frozen=True)
class Locked:
    """Users of a service without keys, and of one with keys, in turn.

    Attributes:
        codec: its name.
        users: how many.
        images_per_s, cpu_ms, p95_ms: without keys and with them, medians of the rounds; processor time is that of the
            service and its socket, an image.
    """

    codec: str
    users: int
    images_per_s: tuple[float, float]
    cpu_ms: tuple[float, float]
    p95_ms: tuple[float, float]


def run_endurance(
    *,
    codec: str,
    users: int,
    seconds: float,
    rounds: int,
    overload_s: float | None,
    minutes: float | None,
    with_keys: bool,
    options: Sequence[str],
    as_json: bool,
) -> None:
    """The options of `semlink bench service` that measure something else than speed.

    Raises:
        ValueError: an option that cannot be.
    """
    if overload_s is not None and not 1 <= overload_s <= 3600:
        raise ValueError(f"--overload {overload_s:g} must be from 1 to 3600 seconds")
    if minutes is not None and not 0.1 <= minutes <= 1440:
        raise ValueError(f"--minutes {minutes:g} must be from 0.1 to 1440")
    wanted: dict[str, Callable[[], Overload | Endurance | Locked]] = {}
    if overload_s is not None:
        wanted["overload"] = lambda: measure_overload(codec, users, overload_s, options)
    if minutes is not None:
        wanted["endurance"] = lambda: measure_endurance(codec, users, minutes, options)
    if with_keys:
        wanted["keys"] = lambda: measure_keys(codec, users, seconds, rounds, options)
    if as_json:
        told = {name: for_json(asdict(measure())) for name, measure in wanted.items()}
        print(json.dumps({"cores": cores(), **told}, indent=2, allow_nan=False))
        return
    console = make_console()
    console.print(f"{codec}, {SIDE}x{SIDE}, {CHANNEL}, {cores()} cores, nothing from a cache", soft_wrap=True)
    for measure in wanted.values():  # each is told when it is there: the next may take long
        for line in endurance_lines(measure()):
            console.print(line, soft_wrap=True)


def measure_overload(
    codec: str, users: int, seconds: float, options: Sequence[str] = (), *, serve: Serve = _serve
) -> Overload:
    """`TIMES` what a service can do is asked of it, at random times."""
    with serve([*_options(codec), f"--backlog={BACKLOG_S:g}", *options]) as address:
        unloaded = _drive(address, codec, users, min(PROBE_S, seconds))
        told = _drive(address, codec, users, seconds, rate_hz=TIMES * unloaded.rate_hz / users)
    half = len(told.latencies_s) // 2
    halves = told.latencies_s[:half], told.latencies_s[half:]
    count = len(told.latencies_s) + sum(told.refusals.values()) + told.unanswered
    return Overload(
        codec,
        users,
        seconds,
        unloaded.rate_hz,
        count / seconds,
        len(told.latencies_s) / seconds,
        dict(told.refusals.most_common(5)),
        told.unanswered,
        (_p95_ms(halves[0]), _p95_ms(halves[1])),
        unloaded.percentile_ms(95),
        (_mib(told.before), _mib(told.after)),
    )


def measure_endurance(
    codec: str, users: int, minutes: float, options: Sequence[str] = (), *, serve: Serve = _serve
) -> Endurance:
    """`LOAD` of what a service can do is asked of it, at random times, and its memory looked at."""
    seconds = 60 * minutes
    count = max(10, math.ceil(seconds / SLICE_S))
    latencies, seen, refused, unanswered, begun = list[float](), list[tuple[float, float]](), 0, 0, 0.0
    with serve([*_options(codec), *options]) as address:
        rate_hz = LOAD * _drive(address, codec, users, min(PROBE_S, seconds)).rate_hz / users
        driven = Users(address, users, _ask(codec, users), seed=1)
        try:
            for _ in range(count):
                told = driven.run(seconds / count, rate_hz=rate_hz)
                begun += told.seconds
                seen.append((begun, _mib(told.after)))
                latencies += told.latencies_s
                refused, unanswered = refused + sum(told.refusals.values()), unanswered + told.unanswered
        finally:
            driven.close()
    slope, error = slope_of([(when / 60, mib) for when, mib in seen[int(WARM * count) :]])
    asked = rate_hz * users
    return Endurance(
        codec, users, begun / 60, asked, len(latencies), refused, unanswered, _p95_ms(latencies), slope, error, seen
    )


def measure_keys(
    codec: str, users: int, seconds: float, rounds: int, options: Sequence[str] = (), *, serve: Serve = _serve
) -> Locked:
    """The same users of a service without keys and of one with keys, in turn, so that both meet what else there is."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory())) / "keys"
        make_keys(folder, ["user"])
        plain = ends.enter_context(serve([*_options(codec), *options]))
        locked = ends.enter_context(serve([*_options(codec), f"--keys={folder}", *options]))
        ways: list[tuple[str, Sequence[Keys]]] = [(plain, []), (locked, [read_keys(folder / "users" / "user.json")])]
        told = [[_drive(address, codec, users, seconds, keys=keys) for address, keys in ways] for _ in range(rounds)]
    rates, cpu, p95 = (
        tuple(statistics.median(of(pair[i]) for pair in told) for i in (0, 1))
        for of in (lambda one: one.rate_hz, _cpu_ms, lambda one: one.percentile_ms(95))
    )
    return Locked(codec, users, rates, cpu, p95)  # type: ignore[arg-type]  # pairs


def slope_of(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope by least squares of (x, y), and its standard error; NaN where there are too few points."""
    if len(points) < 3:
        return math.nan, math.nan
    x, y = np.array(points).T
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    rest = y - slope * x
    return slope, math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))


def endurance_lines(one: Overload | Endurance | Locked) -> list[str]:
    """For people."""
    if isinstance(one, Overload):
        asked = f"{one.asked_per_s:.0f} requests/s of {one.users} users for {one.seconds:g} s"
        said = "; ".join(f"{count} times {why!r}" for why, count in one.refused.items()) or "nothing"
        return [
            f"overload: {asked}, {one.asked_per_s / one.speed_per_s:.1f} times what it serves one after another",
            f"  served {one.served_per_s:.1f} images/s of {one.speed_per_s:.1f}; {one.unanswered} without an answer",
            f"  refused: {said}",
            f"  p95 of the served {one.p95_ms[0]:.0f} ms in the first half, {one.p95_ms[1]:.0f} ms in the second; "
            f"{one.unloaded_p95_ms:.0f} ms one after another",
            f"  memory {one.memory_mib[0]:.0f} MiB before, {one.memory_mib[1]:.0f} MiB after",
        ]
    if isinstance(one, Endurance):
        slope = f"{one.slope_mib_per_min:+.3f} ± {one.slope_error:.3f} MiB a minute"
        return [
            f"endurance: {one.asked_per_s:.1f} requests/s of {one.users} users for {one.minutes:.1f} minutes, "
            f"{LOAD:.0%} of what it serves one after another",
            f"  {one.served} served, {one.refused} refused, {one.unanswered} without an answer; "
            f"p95 {one.p95_ms:.0f} ms",
            f"  memory {one.memory_mib[0][1]:.0f} MiB at first, {one.memory_mib[-1][1]:.0f} MiB at last, {slope} after "
            f"the first {WARM:.0%}",
        ]
    pairs = zip(
        ("images/s", "processor ms an image", "p95, ms"), (one.images_per_s, one.cpu_ms, one.p95_ms), strict=True
    )
    told = "; ".join(f"{name} {plain:.1f} without keys, {locked:.1f} with" for name, (plain, locked) in pairs)
    return [f"keys: {one.users} users: {told}"]


def _options(codec: str) -> list[str]:
    return [f"--channel={CHANNEL}", "--cache=0", f"--codec={codec}", "--latency-ms=1000"]


def _ask(codec: str, users: int) -> Callable[[int, int], Pdu]:
    return asker(textures(1024, SIDE, 0), users, codec=codec, ratio=1 / 6, esno_db=ESNO_DB)


def _drive(
    address: str,
    codec: str,
    users: int,
    seconds: float,
    *,
    rate_hz: float | None = None,
    keys: Sequence[Keys] = (),
) -> Told:
    driven = Users(address, users, _ask(codec, users), keys=keys)
    try:
        return driven.run(seconds, rate_hz=rate_hz)
    finally:
        driven.close()


def _cpu_ms(told: Told) -> float:
    spent = float(told.after["cpu_s"]) - float(told.before["cpu_s"])
    return 1e3 * spent / max(1, len(told.latencies_s))


def _mib(status: Mapping[str, object]) -> float:
    return float(str(status["memory_bytes"])) / (1 << 20)


def _p95_ms(latencies_s: Sequence[float]) -> float:
    return 1e3 * float(np.percentile(latencies_s, 95)) if latencies_s else math.nan
