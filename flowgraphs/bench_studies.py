"""`semlink bench studies`: a whole test set through a sweep, what the runner costs, and two workers against one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from semlink.flowgraphs.bench_neural import limited_threads
from semlink.flowgraphs.compare import Tally, batches
from semlink.flowgraphs.options import load_images, make_channel, make_codecs
from semlink.flowgraphs.studies.study import Study
from semlink.flowgraphs.timing import Measurement
from semlink.phy.link import Link
from semlink.phy.rng import image_rngs

CODECS = ("jpeg-ldpc-qam:adaptive", "deepjscc", "swin-gsc")
CHANNELS = ("awgn", "rayleigh")
PROGRAM = """
import sys
from semlink.flowgraphs.studies.runner import run_study
from semlink.flowgraphs.studies.study import read_study
run_study(read_study(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]))
"""


def study_of(images: int) -> Study:
    """The study of the target: 11 Es/N0, three codecs, two channels."""
    return Study(images=[f"cifar10:{images}"], codecs=CODECS, channels=CHANNELS, esno_db="0:20:2", name="bench")


def measure_studies(images: int, few: int, *, esno_db: str = "0:20:2") -> list[Measurement]:
    """All figures.

    Args:
        images: of CIFAR-10's test set, for the long sweep.
        few: of them, for what the runner costs and for one worker against two.
        esno_db: of all of it.

    Raises:
        ValueError: no CIFAR-10, or more images than its test set has.
    """
    whole, part = (replace(study_of(count), esno_db=esno_db) for count in (images, few))
    load_images(whole.images)
    plain, in_codecs = send_plainly(part)
    one, _ = sweep(part, workers=1)
    two, _ = sweep(part, workers=2)
    taken, peak = sweep(whole, workers=2)
    what = f"{images} images, {whole.size} points, two workers"
    measured = [Measurement(f"sweep, {what}", taken, "s")]
    if peak is not None:
        measured.append(Measurement(f"sweep, {what}: memory of all processes at most", peak / 1e9, "GB"))
    return [
        *measured,
        Measurement(f"{few} images, {part.size} points, one worker", one, "s"),
        Measurement("the same transmissions in a loop without the runner", plain, "s"),
        Measurement("of that within the codecs", in_codecs, "s"),
        Measurement("overhead of the runner, of the time in the codecs", 100 * (one - plain) / in_codecs, "%"),
        Measurement("two workers against one", one / two, "times as fast"),
    ]


def sweep(study: Study, *, workers: int) -> tuple[float, int | None]:
    """Seconds that a sweep takes as a program of its own, and bytes of all its processes at their most.

    Pages that processes share are counted for each of them. No bytes without psutil.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.json"
        path.write_text(json.dumps({"study": study.to_dict()}))
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, Path(folder) / "out", str(workers)])
        peak = _watch(process)
        if process.wait():
            raise RuntimeError(f"the sweep ended with status {process.returncode}")
        return time.perf_counter() - begin, peak()


def _watch(process: subprocess.Popen[bytes]) -> Callable[[], int | None]:
    """Watch the memory of a process and its children; what it returns tells the most, once the process has ended."""
    try:
        import psutil
    except ModuleNotFoundError:
        return lambda: None
    most = 0

    def resident(one: Any) -> int:  # noqa: ANN401 - a process of psutil, which has no types
        try:
            return int(one.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def look() -> None:
        nonlocal most
        try:
            parent = psutil.Process(process.pid)
            while process.poll() is None:
                most = max(most, sum(resident(one) for one in [parent, *parent.children(recursive=True)]))
                time.sleep(0.1)
        except psutil.NoSuchProcess:
            pass

    watcher = threading.Thread(target=look)
    watcher.start()

    def tell() -> int:
        watcher.join()
        return most

    return tell


def send_plainly(study: Study) -> tuple[float, float]:
    """Seconds for the transmissions of a study in a plain loop on one thread, and those of them within the codecs.

    It encodes once for all channels, as the runner does, and works out the same figures.
    """
    with limited_threads(1):
        begin = time.perf_counter()
        images = list(batches(load_images(study.images)))
        channels = [make_channel(one, coherence=None, csi=None, equaliser=None) for one in study.channels]
        within = 0.0

        def timed(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the codec takes
                nonlocal within
                start = time.perf_counter()
                found = call(*arguments, **named)
                within += time.perf_counter() - start
                return found

            return run

        ratio = float(study.ratios[0])
        for name in study.codecs:
            codec: Any = make_codecs([name], ratio=ratio, mcs=study.mcs, channel=channels[0])[name]
            codec.encode, codec.decode = timed(codec.encode), timed(codec.decode)
            links = [Link(codec, channel) for channel in channels]
            for level in map(float, study.esno_db):
                tallies = [Tally() for _ in links]
                for tally in tallies:
                    tally.begin_realisation(())
                for _, batch in images:
                    rng = image_rngs(study.seed, batch)
                    frame = links[0].encode(batch, level, rng=rng)
                    for link, tally in zip(links, tallies, strict=True):
                        rng = image_rngs(study.seed, batch)
                        tally.add(batch, link.carry(frame, batch.shape[1:], level, rng=rng), {})
                for tally in tallies:
                    tally.row()
        return time.perf_counter() - begin, within


def run_studies(*, images: int, few: int, as_json: bool) -> None:
    """`semlink bench studies`.

    Raises:
        ValueError: as `measure_studies`.
    """
    found = measure_studies(images, few)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return
    print_studies(found)


def print_studies(found: list[Measurement]) -> None:
    """The figures as a table."""
    table = Table(title=f"studies: {', '.join(CODECS)} over {', '.join(CHANNELS)}")
    table.add_column("what")
    table.add_column("measured", justify="right")
    for one in found:
        table.add_row(one.what, f"{one.value:.3g} {one.unit}")
    Console().print(table)
