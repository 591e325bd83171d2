"""`semlink bench --against REV`: this tree and another commit of it, the same jobs in turn, by processor time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

from rich.table import Table

from semlink.flowgraphs.bench import jobs
from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import make_console
from semlink.phy import link
from semlink.phy.documents import write_whole

WINGS = ("phy", "neural", "baselines", "flowgraphs")
NOISY = 0.2
"""Spread of the ratios, as a part of the median, above which the machine was too noisy to tell."""

_ROOT = Path(link.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Against:
    """One job done by both commits.

    Attributes:
        mbps, other_mbps: information bits per second of processor time, in millions, at the shortest run: ours, theirs.
        ratio: median over the rounds of the other's time over ours.
        low, high: quartiles of those ratios.
        noisy: whether they are further apart than `NOISY` of the median.
    """

    job: str
    mbps: float
    other_mbps: float
    ratio: float
    low: float
    high: float
    noisy: bool


def run_against(rev: str, *, rounds: int, as_json: bool, out: Path | None) -> None:
    """`semlink bench --against REV`.

    Raises:
        ValueError: no such commit, or this is no git tree.
    """
    rows = measure_against(rev, rounds=rounds)
    report = json.dumps([asdict(row) for row in rows], indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, report + "\n")
    if as_json:
        print(report)
    else:
        _print(rev, rows)


def measure_against(rev: str, *, rounds: int, names: Sequence[str] = jobs.NAMES) -> list[Against]:
    """Both commits at every job, in turn, each in a process of its own on one thread.

    Raises:
        ValueError: as `run_against`.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _check_out(rev, folder)
        ours = stack.enter_context(_contestant(_namespace(_ROOT, folder / "ours")))
        theirs = stack.enter_context(_contestant(_namespace(folder, folder / "theirs")))
        return [_compare(name, ours, theirs, rounds) for name in one_by_one(names)]


def ratios_of(job: str, ours: Sequence[float], theirs: Sequence[float], bits: float) -> Against:
    """What the times of both in the same rounds tell, in seconds, of a job of so many information bits."""
    ratios = sorted(other / own for own, other in zip(ours, theirs, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    rates = bits / min(ours) / 1e6, bits / min(theirs) / 1e6
    return Against(job, *rates, middle, low, high, (high - low) > NOISY * middle)


def _compare(job: str, ours: Callable[[str], float], theirs: Callable[[str], float], rounds: int) -> Against:
    taken: tuple[list[float], list[float]] = ([], [])
    for i in range(-1, rounds):  # the first warms up
        for which in (0, 1) if i % 2 else (1, 0):
            seconds = (ours, theirs)[which](job)
            if i >= 0:
                taken[which].append(seconds)
    return ratios_of(job, *taken, jobs.make(job)[1])


def _check_out(rev: str, folder: Path) -> None:
    """The wings of a commit, in a folder."""
    told = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if told.returncode:
        raise ValueError(f"--against {rev}: not a commit of {_ROOT}")
    packed = _git("archive", "--format=tar", told.stdout.decode().strip(), *WINGS)
    if packed.returncode:
        raise ValueError(f"--against {rev}: {packed.stderr.decode().strip().splitlines()[-1]}")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(_ROOT), *words], capture_output=True, check=False)
    except OSError as error:
        raise ValueError(f"--against needs git: {error}") from error


def _namespace(tree: Path, folder: Path) -> Path:
    """A folder from which `semlink` is the four wings of a tree."""
    (folder / "semlink").mkdir(parents=True)
    for wing in WINGS:
        (folder / "semlink" / wing).symlink_to(tree / wing, target_is_directory=True)
    return folder


@contextmanager
def _contestant(namespace: Path) -> Iterator[Callable[[str], float]]:
    """A process that times jobs on one tree."""
    command = [sys.executable, "-P", jobs.__file__]
    paths = [str(namespace), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def seconds(job: str) -> float:
            print(job, file=asked, flush=True)
            answer = answers.readline()
            if not answer:
                raise ValueError(f"{job}: the tree in {namespace} cannot do it; its error is above")
            return float(answer)

        try:
            yield seconds
        finally:
            process.terminate()


def _print(rev: str, rows: Sequence[Against]) -> None:
    table = Table(title=f"this tree against {rev}, one thread each, processor time")
    table.add_column("job", no_wrap=True)
    for column in ("Mb/s", rev, "ratio", "quartiles", ""):
        table.add_column(column, justify="right")
    for row in rows:
        spread, said = f"{row.low:.2f} to {row.high:.2f}", "noisy" if row.noisy else ""
        table.add_row(row.job, f"{row.mbps:.3g}", f"{row.other_mbps:.3g}", f"{row.ratio:.2f}", spread, said)
    console = make_console()
    console.print(table)
    noisy = sum(row.noisy for row in rows)
    if noisy:
        said = f"too noisy a machine to tell: {noisy} of {len(rows)} jobs have quartiles {NOISY:.0%} or more apart"
        console.print(said, soft_wrap=True)
