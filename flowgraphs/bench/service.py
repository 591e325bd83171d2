"""`semlink bench service`: users of a service against one request after another, and the figures of `semlink load`."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.protocol import Pdu, Told, Users, carry_request, with_deadline
from semlink.flowgraphs.specs import DEFAULT_MCS, make_channel, make_codecs
from semlink.phy.documents import for_json
from semlink.phy.link import Link
from semlink.phy.parallel import cores, limited_threads
from semlink.phy.rng import image_rngs

Image = NDArray[np.uint8]
CODECS = ("swin", "swin+sft")
CHANNEL = "uplink:users=3,rx=3,zf"
ESNO_DB = 15.0
SIDE = 32
"""Pixels a side of the images: CIFAR-10's, as in the paper."""
PAPER = 1.77
"""15.66 s for the single-user system over 8.87 s for that of several users, with three: Table I of the paper."""
TARGETS = {3: 2.5, 16: 5.0}
"""How many times as fast as one request after another, by users."""
HALF_TARGET = 3.0
"""Times the p95 of one user that the p95 at half of the capacity may be."""
HALF_S = 3.0
"""Of that measurement at least: a p95 needs requests."""
LATENCY_MS = 100.0
"""Of the service there, unless one user waits for half as long: waiting for others of a slot must not decide."""


@dataclass(frozen=True)
class ServiceSpeed:
    """One codec by one number of users; no answer comes from a cache.

    Attributes:
        codec: its name, with the receiver behind it.
        users: who ask for one image after another, each for her own.
        images_per_s: of all users, the median of the rounds.
        alone_per_s: encode, channel, decode, restore of one image after another in one process without a socket.
        one_user_per_s: one user of the service, one request after another.
        times_alone: the median over the rounds of the ratio to `alone_per_s`.
        times_one_user: the same of the ratio to `one_user_per_s`.
        p95_ms: from request to reply.
        batch_mean: images in a batch of a stage.
        slot_mean: users in a slot.
        cores: processor seconds of the service a second.
        cpu_ms: processor time of the service an image, which hardly depends on what else the machine does.
        half_p95_ms: from request to reply where as many users ask at random times for half of `images_per_s` in all,
            with the most users; NaN else.
        half_times: that over the p95 of one user.
    """

    codec: str
    users: int
    images_per_s: float
    alone_per_s: float
    one_user_per_s: float
    times_alone: float
    times_one_user: float
    p95_ms: float
    batch_mean: float
    slot_mean: float
    cores: float
    cpu_ms: float
    half_p95_ms: float = math.nan
    half_times: float = math.nan


def run_service(
    *,
    codecs: Sequence[str],
    users: Sequence[int],
    seconds: float,
    rounds: int,
    serving: Sequence[str],
    as_json: bool,
) -> None:
    """`semlink bench service`.

    Raises:
        ValueError: an option that cannot be.
    """
    if not 0.5 <= seconds <= 600 or not 1 <= rounds <= 100:
        raise ValueError(f"--seconds {seconds:g} must be from 0.5 to 600, --rounds {rounds} from 1 to 100")
    found = [
        speed for codec in codecs or CODECS for speed in measure_service(codec, users, seconds, rounds, serving=serving)
    ]
    if as_json:
        rows = [for_json(asdict(one)) for one in found]
        print(json.dumps({"cores": cores(), "paper": PAPER, "speeds": rows}, indent=2, allow_nan=False))
    else:
        print_service(found)


def measure_service(
    codec: str, users: Sequence[int], seconds: float, rounds: int, *, serving: Sequence[str] = ()
) -> list[ServiceSpeed]:
    """One codec, all in turn in every round, so that what else the machine does meets all alike.

    Args:
        codec: its name, with the receiver behind it.
        users: how many at once, in turn.
        seconds: of each measurement.
        rounds: of all of them.
        serving: further options of `semlink serve`.

    Raises:
        ValueError: a codec that is not there.
    """
    pictures, alone = textures(4096, SIDE, 0), _one_after_another(codec)
    options = [f"--channel={CHANNEL}", "--cache=0", f"--codec={codec}", *serving]
    counts = [1, *(count for count in users if count != 1)]
    most = max(counts)
    rates: dict[int, list[float]] = {count: [] for count in counts}
    lonely, rows = [], dict[int, list[dict[str, Any]]]()
    with worker_process([*options, "--latency-ms=1000"], command="serve") as address:
        for _ in range(rounds):
            lonely.append(_rate(alone, pictures, seconds / 2))
            for count in counts:
                told = _drive(address, count, codec, pictures, seconds)
                rates[count].append(told.rate_hz)
                rows.setdefault(count, []).append(load_figures(count, told))
    alone_ms = statistics.median(row["p95_ms"] for row in rows[1])
    with worker_process([*options, f"--latency-ms={max(LATENCY_MS, 2 * alone_ms):.0f}"], command="serve") as address:
        rate_hz = statistics.median(rates[most]) / 2 / most
        half_ms = _drive(address, most, codec, pictures, max(seconds, HALF_S), rate_hz=rate_hz).percentile_ms(95)
    return [
        ServiceSpeed(
            codec,
            count,
            statistics.median(rates[count]),
            statistics.median(lonely),
            statistics.median(rates[1]),
            statistics.median(a / b for a, b in zip(rates[count], lonely, strict=True)),
            statistics.median(a / b for a, b in zip(rates[count], rates[1], strict=True)),
            *(statistics.median(row[name] for row in rows[count]) for name in MEDIANS),
            *((half_ms, half_ms / alone_ms) if count == most else ()),
        )
        for count in counts
    ]


MEDIANS = ("p95_ms", "batch_mean", "slot_mean", "cpu_cores", "cpu_ms")


def print_service(speeds: Sequence[ServiceSpeed]) -> None:
    """A table for each codec."""
    for codec in dict.fromkeys(one.codec for one in speeds):
        title = f"{codec}, {SIDE}x{SIDE}, {CHANNEL}, {cores()} cores, nothing from a cache"
        rows = [(f"{one.users} user{'s' * (one.users > 1)}", _speed(one)) for one in speeds if one.codec == codec]
        make_console().print(_columns(title, rows))


def _speed(one: ServiceSpeed) -> dict[str, str]:
    return {
        "images/s": f"{one.images_per_s:.1f}",
        "one user, one after another": f"{one.one_user_per_s:.1f}",
        "times as fast": f"{one.times_one_user:.2f}",
        "  target": f"{TARGETS[one.users]:g}" if one.users in TARGETS else "",
        "  the paper's": f"{PAPER:g}" if one.users == 3 else "",
        "without a service": f"{one.alone_per_s:.1f}",
        "  times as fast": f"{one.times_alone:.2f}",
        "p95, ms": f"{one.p95_ms:.0f}",
        "  at half of that speed": f"{one.half_p95_ms:.0f}" if math.isfinite(one.half_p95_ms) else "",
        f"  times that of one user, {HALF_TARGET:g} at most": f"{one.half_times:.2f}" * math.isfinite(one.half_times),
        "images in a batch": f"{one.batch_mean:.1f}",
        "users in a slot": f"{one.slot_mean:.1f}",
        "CPU, cores": f"{one.cores:.2f}",
        "CPU, ms an image": f"{one.cpu_ms:.1f}",
    }


def asker(
    pictures: Sequence[Image], users: int, *, codec: str, ratio: float, esno_db: float, deadline_ms: float | None = None
) -> Callable[[int, int], Pdu]:
    """Requests by user and number: every user has images of its own as far as there are, and new fades each time."""

    def ask(user: int, number: int) -> Pdu:
        at = user + users * number
        image, again = pictures[at % len(pictures)], at // len(pictures)
        asked = carry_request(image, codec=codec, ratio=ratio, esno_db=esno_db, realisation=again)
        return asked if deadline_ms is None else with_deadline(asked, deadline_ms)

    return ask


def textures(count: int, side: int, seed: int) -> list[Image]:
    """Images that differ, smooth enough for every codec: waves of random directions in three colours."""
    if not (1 <= count <= 100_000 and 8 <= side <= 4096):
        raise ValueError(f"--distinct {count} must be from 1 to 100000, --side {side} from 8 to 4096")
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    made = []
    for _ in range(count):
        waves = [np.sin(2 * np.pi * (rng.uniform(0, 3) * x + rng.uniform(0, 3) * y + rng.uniform())) for _ in range(3)]
        made.append((127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8))
    return made


def load_figures(users: int, told: Told) -> dict[str, Any]:
    """A row of the table, for JSON as well."""
    cpu = float(told.after["cpu_s"]) - float(told.before["cpu_s"])
    return {
        "users": users,
        "images_per_s": told.rate_hz,
        **{f"p{share}_ms": told.percentile_ms(share) for share in (50, 95, 99)},
        "queue_mean": float(np.mean(told.queue)) if told.queue else 0.0,
        "queue_max": max(told.queue, default=0),
        "batch_mean": told.after["batch_mean"],
        "batch_max": told.after["batch_max"],
        "slot_mean": float(np.mean(told.slots)) if told.slots else 0.0,
        "encoded_hits": told.encoded_hits,
        "result_hits": told.result_hits,
        "refused": sum(told.refusals.values()),
        "refusals": dict(told.refusals),
        "unanswered": told.unanswered,
        "failed": told.failed,
        "cpu_cores": cpu / told.seconds,
        "cpu_ms": 1e3 * cpu / max(1, len(told.latencies_s)),
        "memory_mib": float(told.after["memory_bytes"]) / (1 << 20),
    }


def load_table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """The figures for people, a column for each number of users."""
    return _columns(title, [(f"{row['users']} user{'s' * (row['users'] > 1)}", _told(row)) for row in rows])


def _told(row: dict[str, Any]) -> dict[str, str]:
    return {
        "images/s": f"{row['images_per_s']:.1f}",
        **{f"p{share}, ms": f"{row[f'p{share}_ms']:.0f}" for share in (50, 95, 99)},
        "waiting, mean and most": f"{row['queue_mean']:.1f}, {row['queue_max']}",
        "batch, mean and most": f"{row['batch_mean']:.1f}, {row['batch_max']}",
        "users in a slot": f"{row['slot_mean']:.1f}",
        "symbols from the cache": str(row["encoded_hits"]),
        "images from the cache": str(row["result_hits"]),
        "refused": str(row["refused"]),
        "unanswered": str(row["unanswered"]),
        "failed": str(row["failed"]),
        "CPU, cores": f"{row['cpu_cores']:.2f}",
        "CPU, ms an image": f"{row['cpu_ms']:.1f}",
        "memory, MiB": f"{row['memory_mib']:.0f}",
    }


def _columns(title: str, columns: Sequence[tuple[str, dict[str, str]]]) -> Table:
    """A table that grows to the right by who is measured, not by what."""
    table = Table(title=title)
    table.add_column("")
    for name, _ in columns:
        table.add_column(name, justify="right")
    for what in columns[0][1]:
        table.add_row(what, *(values[what] for _, values in columns))
    return table


def _drive(
    address: str, users: int, codec: str, pictures: Sequence[Image], seconds: float, *, rate_hz: float | None = None
) -> Told:
    driven = Users(address, users, asker(pictures, users, codec=codec, ratio=1 / 6, esno_db=ESNO_DB))
    try:
        driven.run(0.5, rate_hz=rate_hz)
        told = driven.run(seconds, rate_hz=rate_hz)
    finally:
        driven.close()
    if told.refusals or told.unanswered or told.encoded_hits or told.result_hits:
        raise ValueError(f"{users} users: {dict(told.refusals)}, {told.unanswered} unanswered: not a fair measurement")
    return told


def _one_after_another(codec: str) -> Callable[[Image], object]:
    """Everything that the service does to an image, by the link itself."""
    channel = make_channel(CHANNEL, coherence=None, csi=None, equaliser=None)
    made = make_codecs([codec], ratio=1 / 6, mcs=DEFAULT_MCS, channel=channel)[codec]
    link = Link(made, channel)

    def carry(image: Image) -> object:
        sent = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float() / 255
        with torch.no_grad():
            return to_uint8(link(sent, ESNO_DB, rng=image_rngs(0, sent)).image)

    return carry


def _rate(carry: Callable[[Image], object], pictures: Sequence[Image], seconds: float) -> float:
    """Images a second, one after another, by as many of PyTorch's threads as there are cores, or by one: the faster."""
    best = 0.0
    for threads in {1, cores()}:
        with limited_threads(threads):
            carry(pictures[0])
            begin, count = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds / 2:
                carry(pictures[count % len(pictures)])
                count += 1
            best = max(best, count / (time.perf_counter() - begin))
    return best
