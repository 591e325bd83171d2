"""`semlink bench studies`: a whole test set through a sweep, what the runner costs, and two workers against one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from semlink.flowgraphs.bench.timing import Measurement, one_by_one, print_measurements
from semlink.flowgraphs.comparison import Tally, make_console
from semlink.flowgraphs.specs import load_images
from semlink.flowgraphs.studies import Engine, Study, run_study
from semlink.phy.link import Link

CODECS = ("jpeg-ldpc-qam:adaptive", "deepjscc", "swin-gsc")
CHANNELS = ("awgn", "rayleigh")
PROGRAM = """
import sys
from semlink.flowgraphs.studies.runner import run_study
from semlink.flowgraphs.studies.study import read_study
table = run_study(read_study(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]))
sys.exit("; ".join(sorted({one for one in table["error"] if one})) or None)
"""


def study_of(images: int) -> Study:
    """The study of the target: 11 Es/N0, three codecs, two channels."""
    return Study(
        images=[f"cifar10:{images}"], codecs=CODECS, channels=CHANNELS, esno_db="0:20:2", name="bench", realisations=1
    )


def measure_studies(images: int, few: int, *, esno_db: str = "0:20:2") -> list[Measurement]:
    """All figures.

    Args:
        images: of CIFAR-10's test set, for the long sweep.
        few: of them, for what the runner costs and for one worker against two.
        esno_db: of all of it.

    Raises:
        ValueError: no CIFAR-10, or more images than its test set has.
        RuntimeError: a sweep that fails.
    """
    whole, part = (replace(study_of(count), esno_db=esno_db) for count in (images, few))
    load_images(whole.images)
    jobs: dict[str, Callable[[], tuple[float, Any]]] = {
        "the runner": partial(time_runner, part),
        "one worker": partial(sweep, part, workers=1),
        "two workers": partial(sweep, part, workers=2),
        "the whole": partial(sweep, whole, workers=2),
    }
    (in_codecs, elsewhere), (one, _), (two, _), (taken, peak) = (jobs[name]() for name in one_by_one(list(jobs)))
    what = f"{images} images, {whole.size} points, two workers"
    measured = [Measurement(f"sweep, {what}", taken, "s")]
    if peak is not None:
        measured.append(Measurement(f"sweep, {what}: memory of all processes at most", peak / 1e9, "GB"))
    return [
        *measured,
        Measurement(f"{few} images, {part.size} points, in one process: within the codecs", in_codecs, "s"),
        Measurement("overhead of the runner, of the time in the codecs", 100 * elsewhere / in_codecs, "%"),
        Measurement(f"{few} images, {part.size} points, one worker, start and all", one, "s"),
        Measurement("two workers against one", one / two, "times as fast"),
    ]


def sweep(study: Study, *, workers: int) -> tuple[float, int | None]:
    """Seconds that a sweep takes as a program of its own, and bytes of all its processes at their most.

    Pages that processes share are counted once where the system tells (Linux). No bytes without psutil.
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
            found = one.memory_full_info()
            return int(getattr(found, "pss", found.rss))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0

    def look() -> None:
        nonlocal most
        try:
            parent = psutil.Process(process.pid)
            while process.poll() is None:
                most = max(most, sum(resident(one) for one in [parent, *parent.children(recursive=True)]))
                time.sleep(0.25)
        except psutil.NoSuchProcess:
            pass

    watcher = threading.Thread(target=look)
    watcher.start()

    def tell() -> int:
        watcher.join()
        return most

    return tell


def time_runner(study: Study) -> tuple[float, float]:
    """Seconds of a study in one process on one thread: within the codecs, and outside of links and figures of merit.

    The latter is what the runner costs: points in turn, frames that are kept, rows and pictures that are written.
    """
    engine = Engine(study)
    for point in study.points():  # what is compiled and loaded at first use
        engine.seconds(point)
    spent: Counter[str] = Counter()
    codecs = {id(codec): codec for codec in map(engine.codec, study.points())}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for codec in codecs.values():
            for name in ("encode", "decode"):
                stack.enter_context(_timed(codec, name, spent, "codecs"))
        for owner, name in ((Link, "encode"), (Link, "carry"), (Tally, "add"), (Tally, "row")):
            stack.enter_context(_timed(owner, name, spent, "work"))
        begin = time.perf_counter()
        run_study(study, folder, workers=0, engine=engine)
        total = time.perf_counter() - begin
    return spent["codecs"], total - spent["work"]


@contextmanager
def _timed(owner: Any, name: str, spent: Counter[str], what: str) -> Iterator[None]:  # noqa: ANN401 - class or object
    """Meanwhile, the seconds that a method takes are added up."""
    call, own = getattr(owner, name), name in vars(owner)

    def timed(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes
        begin = time.perf_counter()
        try:
            return call(*arguments, **named)
        finally:
            spent[what] += time.perf_counter() - begin  # type: ignore[assignment]  # a counter of seconds

    setattr(owner, name, timed)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, call)
        else:
            delattr(owner, name)


def run_studies(*, images: int, few: int, as_json: bool) -> None:
    """`semlink bench studies`.

    Raises:
        ValueError: as `measure_studies`.
    """
    if find_spec("psutil") is None:
        make_console(stderr=True).print("left out: memory; install psutil", soft_wrap=True)
    found = measure_studies(images, few)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return
    print_studies(found)


def print_studies(found: list[Measurement]) -> None:
    """The figures as a table."""
    print_measurements(f"studies: {', '.join(CODECS)} over {', '.join(CHANNELS)}", found)
