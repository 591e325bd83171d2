"""`semlink gsc --table 1`: the time of an image of one user after another, and of several users of the service at once.

Table I of GSC's paper (arXiv 2408.05112) has 15.66 s an image for the single-user system and 8.87 s for that of several
users, three as we read it; on which work, and how much of it from a cache, it does not say. Here every step stands by
itself: stages that overlap, then batches, then the cache, nothing from a cache before that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from rich.table import Table

from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.bench.service import CHANNEL, ESNO_DB, PAPER, SIDE, Image, textures
from semlink.flowgraphs.comparison import default_gsc, make_console, progress_bar, writable
from semlink.flowgraphs.protocol import Pdu, Told, Users, carry_request
from semlink.flowgraphs.service import STAGES, Service
from semlink.flowgraphs.specs import make_channel
from semlink.phy.documents import for_json
from semlink.phy.parallel import cores

PAPER_S = {"GSC": 15.66, "MU-GSC": 8.87}
"""Table I, seconds an image."""
SEQUENTIAL = "one after another"
CACHED = "batches, with cache"
GSC_WAYS: Mapping[str, Sequence[str]] = {
    "asynchronous": ("--batch=1", "--cache=0"),
    "asynchronous, batches": ("--cache=0",),
    CACHED: ("--cache=256",),
}
"""Options of `semlink serve` by what they stand for."""
REPEATS = 10
"""How often each image is asked for where there is a cache."""
APART = 1009
"""Images from the first of one number of users to the first of the next."""
Serve = Callable[[Sequence[str]], AbstractContextManager[str]]


@dataclass(frozen=True)
class GscTime:
    """One way to serve a number of users.

    Attributes:
        way: `SEQUENTIAL`, or of `GSC_WAYS`.
        users: who ask for one image after another, each for her own; 0 for any number where it makes no difference.
        image_s: seconds an image: the time of all over the number of images.
        times: as fast as one after another.
        p95_ms: from request to reply.
        shares: of the time in the stages, by stage; 0 each where all came from the cache.
        stages_s: seconds in the stages, an image.
        encoded_hits, result_hits: share of the images of which symbols, or what was received, came from the cache.
    """

    way: str
    users: int
    image_s: float
    times: float
    p95_ms: float
    shares: Mapping[str, float]
    stages_s: float
    encoded_hits: float = 0.0
    result_hits: float = 0.0


def run_gsc_table(*, gsc: str | None, users: Sequence[int], seconds: float, out: Path, as_json: bool) -> None:
    """`semlink gsc --table 1`.

    Raises:
        ValueError: an option that cannot be.
        OSError: a folder that cannot be written.
    """
    if not 0.5 <= seconds <= 600:
        raise ValueError(f"--seconds {seconds:g} must be from 0.5 to 600")
    codec = default_gsc() if gsc is None else gsc
    with writable(out, stale=()) as folder:
        with progress_bar("measuring", 1 + len(GSC_WAYS) * (len(users) + 1)) as advance:
            rows = measure_gsc_table(codec, users, seconds, progress=advance)
        pd.DataFrame([_flat(row) for row in rows]).to_csv(folder / "table1.csv", index=False)
    file = str(out / "table1.csv")
    if as_json:
        told = {"codec": codec, "channel": CHANNEL, "cores": cores(), "paper_s": PAPER_S, "files": [file]}
        print(json.dumps({**told, "rows": [for_json(_flat(row)) for row in rows]}, indent=2, allow_nan=False))
        return
    console = make_console()
    console.print(gsc_table(codec, rows))
    for line in gsc_lines(rows):
        console.print(line, soft_wrap=True)
    console.print(f"written: {file}", soft_wrap=True)


def measure_gsc_table(
    codec: str,
    users: Sequence[int],
    seconds: float,
    *,
    ways: Mapping[str, Sequence[str]] = GSC_WAYS,
    serve: Serve = lambda options: worker_process(options, command="serve"),
    progress: Callable[[], None] = lambda: None,
) -> list[GscTime]:
    """One image after another in this process, then users of a service in every way.

    Args:
        codec: CODEC or CODEC+RECEIVER.
        users: how many at once, in turn.
        seconds: of each measurement.
        ways: options of `semlink serve` by what they are called.
        serve: starts a service with options of `semlink serve`, and gives its address.
        progress: is called after each measurement.

    Raises:
        ValueError: a codec that is not there, or requests without an answer.
    """
    pictures, found = textures(4096, SIDE, 0), list[tuple[str, int, Told]]()
    alone = [_one_after_another(codec, pictures, seconds)]
    progress()
    for way, options in ways.items():
        again = REPEATS if way == CACHED else 1
        with serve([f"--channel={CHANNEL}", f"--codec={codec}", "--latency-ms=1000", *options]) as address:
            for count in users:
                found.append((way, count, _drive(address, count, repeating(codec, pictures, count, again), seconds)))
                progress()
        alone.append(_one_after_another(codec, pictures, seconds))  # again: what else the machine does changes
        progress()
    usual = sorted(alone, key=_image_s)[len(alone) // 2]
    return [_row(way, count, told, _image_s(usual)) for way, count, told in [(SEQUENTIAL, 0, usual), *found]]


def repeating(codec: str, pictures: Sequence[Image], users: int, again: int) -> Callable[[int, int], Pdu]:
    """Requests by user and number: each image `again` times, one for each user at a time, then others.

    Other numbers of users begin with other images.
    """

    def ask(user: int, number: int) -> Pdu:
        at = user + users * number
        index = APART * users + at // (again * users) * users + at % users
        image, over = pictures[index % len(pictures)], index // len(pictures)
        return carry_request(image, codec=codec, ratio=1 / 6, esno_db=ESNO_DB, realisation=over)

    return ask


def _one_after_another(codec: str, pictures: Sequence[Image], seconds: float) -> Told:
    """The same stages without sockets, threads and company, by all of PyTorch's threads or by one: the faster."""
    ask, tries = repeating(codec, pictures, 1, 1), []
    for threads in sorted({1, cores()}):
        service = Service(threads=threads, channel=make_channel(CHANNEL, coherence=None, csi=None, equaliser=None))
        service.warm(codec, ESNO_DB)
        told, begin = Told(before=service.record.summary()), time.perf_counter()
        while told.seconds < seconds / 2:
            sent = time.perf_counter()
            told.add(service.handle([ask(0, len(told.latencies_s))])[0], time.perf_counter() - sent)
            told.seconds = time.perf_counter() - begin
        told.after = service.record.summary()
        service.close()
        tries.append(told)
    return min(tries, key=_image_s)


def _image_s(told: Told) -> float:
    """Seconds an image."""
    return told.seconds / len(told.latencies_s)


def _drive(address: str, users: int, ask: Callable[[int, int], Pdu], seconds: float) -> Told:
    driven = Users(address, users, ask)
    try:
        driven.run(min(0.5, seconds))
        told = driven.run(seconds)
    finally:
        driven.close()
    if told.refusals or told.unanswered or not told.latencies_s:
        raise ValueError(f"{users} users: {dict(told.refusals)}, {told.unanswered} unanswered: not a fair measurement")
    return told


def _row(way: str, users: int, told: Told, alone_s: float) -> GscTime:
    count = len(told.latencies_s)
    spent = {stage: float(told.after[f"{stage}_s"]) - float(told.before[f"{stage}_s"]) for stage in STAGES}
    whole = sum(spent.values())
    return GscTime(
        way,
        users,
        _image_s(told),
        alone_s / _image_s(told),
        told.percentile_ms(95),
        {stage: seconds / whole if whole else 0.0 for stage, seconds in spent.items()},
        whole / count,
        told.encoded_hits / count,
        told.result_hits / count,
    )


def _flat(row: GscTime) -> dict[str, object]:
    """One value a column."""
    shares = {f"{stage}_share": share for stage, share in row.shares.items()}
    return {name: value for name, value in asdict(row).items() if name != "shares"} | shares


def gsc_table(codec: str, rows: Sequence[GscTime]) -> Table:
    """The times, and each stage's share of them, for people."""
    table = Table(title=f"{codec}, {SIDE}x{SIDE}, {CHANNEL}, {ESNO_DB:g} dB, {cores()} cores")
    table.add_column("", no_wrap=True)
    for name in ("users", "ms an image", "times as fast", "p95, ms"):
        table.add_column(name, justify="right")
    table.add_column(f"% in {', '.join(STAGES)}", justify="right", min_width=3 * len(STAGES))
    for row in rows:
        spent = " ".join(f"{100 * row.shares[stage]:.0f}" for stage in STAGES)
        users, image_ms = str(row.users or "any"), 1e3 * row.image_s
        table.add_row(row.way, users, f"{image_ms:.1f}", f"{row.times:.2f}", f"{row.p95_ms:.0f}", spent)
    return table


def gsc_lines(rows: Sequence[GscTime]) -> list[str]:
    """What came from the cache, and the paper's ratio beside ours with three users, or the number next to it."""
    kept = [
        f"{row.users}: {row.encoded_hits:.0%} of the symbols, {row.result_hits:.0%} of the images"
        for row in rows
        if row.way == CACHED
    ]
    paper = f"Table I of arXiv 2408.05112: GSC {PAPER_S['GSC']} s, MU-GSC {PAPER_S['MU-GSC']} s an image, {PAPER} times"
    several = [row for row in rows if row.users > 1]
    near = min((row.users for row in several), key=lambda users: abs(users - 3), default=0)
    here = [f"{row.way} {row.times:.2f} times, {_verdict(row.times)}" for row in several if row.users == near]
    lines = [f"each image {REPEATS} times; from the cache, by users: {'; '.join(kept)}"] if kept else []
    return [*lines, paper, *([f"here with {near} users: {'; '.join(here)}"] if here else [])]


def _verdict(times: float) -> str:
    if abs(times - PAPER) < 0.005:
        return "equal, to within 0.01"
    return f"met, by {times - PAPER:.2f}" if times >= PAPER else f"not met, {PAPER - times:.2f} short"
