"""`semlink bench play`: from the start to the page, from the slider to new pictures, over HTTP as a browser asks."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from semlink.flowgraphs.bench.timing import Measurement, one_by_one, print_measurements
from semlink.phy.documents import for_json
from semlink.phy.parallel import cores

LEVELS = (0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5)
"""Es/N0 in dB that the slider is moved to."""


def run_play_bench(*, rounds: int, as_json: bool) -> None:
    """Print the figures of a page that this command starts; the four codecs of `semlink compare`, 256x256 pixels."""
    found = measure_play(rounds=rounds)
    if as_json:
        print(json.dumps([for_json(asdict(one)) for one in found], indent=2))
    else:
        print_measurements(f"semlink play, {cores()} cores", found)


def measure_play(*, rounds: int) -> list[Measurement]:
    """Seconds to the page and to its first pictures, milliseconds from the slider to new ones of four codecs.

    Args:
        rounds: through all `LEVELS`, after one in which symbols are encoded, which is told by itself.
    """
    with _started() as (address, number, begun):
        _fetched(address)
        page = time.perf_counter() - begun
        about = json.loads(_fetched(f"{address}catalogue", {}))
        live = time.perf_counter() - begun
        scene = {"picture": about["pictures"][0], "channel": "awgn", "ratio": "1/6", "seed": 0}
        slide = partial(_slide, address, scene, about["start"]["codecs"])
        slide(10.25)
        first = time.perf_counter() - begun
        anew = [1e3 * slide(level) for level in LEVELS]
        before = _processor_s(number)
        rows = one_by_one(range(1, 1 + rounds), named="round {}".format)  # of other noise, over the same symbols
        kept = [1e3 * slide(level, seed=seed) for seed in rows for level in LEVELS]
        spent = 1e3 * (_processor_s(number) - before) / len(kept)
    return [
        Measurement("start to page", page, "s"),
        Measurement("start to controls", live, "s"),
        Measurement("start to the first four pictures", first, "s"),
        Measurement("slider to four pictures, encoded anew, median", statistics.median(anew), "ms"),
        Measurement("slider to four pictures, symbols kept, median", statistics.median(kept), "ms"),
        Measurement("slider to four pictures, symbols kept, p95", _p95(kept), "ms"),
        Measurement("the same in processor time, mean", spent, "ms"),
    ]


@contextmanager
def _started() -> Iterator[tuple[str, int, float]]:
    """The address of a page in a process of its own, its number, and when it was begun."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "semlink.flowgraphs", "play", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise ValueError("semlink play did not start; what it said is above")
        yield found[0], process.pid, begun
    finally:
        process.terminate()
        process.wait(30)


def _fetched(address: str, document: dict[str, Any] | None = None) -> bytes:
    body = None if document is None else json.dumps(document).encode()
    origin = "/".join(address.split("/")[:3])
    with urllib.request.urlopen(urllib.request.Request(address, body, {"Origin": origin}), timeout=300) as reply:
        return bytes(reply.read())


def _slide(address: str, scene: dict[str, Any], codecs: Sequence[str], esno_db: float, *, seed: int = 0) -> float:
    """Seconds until the pictures of all codecs are there, asked for at once as the page does: the slowest first."""
    begun = time.perf_counter()
    wish = {**scene, "seed": seed, "esno_db": esno_db, "judged": False}  # the SSIM comes when the slider rests
    wishes = [{**wish, "codec": codec} for codec in reversed(codecs)]
    with ThreadPoolExecutor(len(wishes)) as pool:
        list(pool.map(_fetched, repeat(f"{address}send"), wishes))
    return time.perf_counter() - begun


def _processor_s(number: int) -> float:
    """Seconds of all cores that a process has had; unknown where there is no /proc."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
