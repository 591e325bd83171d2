"""`semlink bench bler`: the block error rates that the package stores, measured anew or in part."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from semlink.baselines import bler
from semlink.baselines.bler import Curve, Key, read_points, write_points
from semlink.baselines.capacity import esno_db_for
from semlink.baselines.mcs import NR_SCHEMES, parse_mcs
from semlink.baselines.waterfall import ITERATIONS, Point, block_sizes, code_of, measure_curve
from semlink.flowgraphs.comparison import escaped, latex_table, make_console, progress_bar, rate_cell
from semlink.phy.metrics import error_rate
from semlink.phy.parallel import cores

TARGET = 1e-2


def run_bler(
    *,
    schemes: Sequence[str],
    sizes: Sequence[int],
    seed: int,
    out: Path | None,
    as_json: bool,
    as_latex: bool = False,
) -> None:
    """`semlink bench bler`: with `out`, measure what that file lacks; without, tell what is stored.

    Raises:
        ValueError: an unknown scheme or a size without a stored curve.
        OSError: a file that cannot be written.
    """
    chosen = [parse_mcs(name) for name in schemes] or list(NR_SCHEMES)
    keys = [(mcs, k) for mcs in chosen for k in block_sizes(mcs) if not sizes or k in sizes]
    if not keys:
        stored = sorted({k for mcs in chosen for k in block_sizes(mcs)})
        raise ValueError(f"--k {', '.join(map(str, sizes))}: stored are {', '.join(map(str, stored))}")
    points = dict(bler.stored_points()) if out is None else _measured(keys, seed, out)
    rows = [_row(key, points[key]) for key in keys if key in points]
    if as_latex:
        print(bler_table(rows), end="")
    elif as_json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)


def _measured(keys: Sequence[Key], seed: int, out: Path) -> dict[Key, list[Point]]:
    """The curves of a file after adding those it lacks; it is written after every curve, so a run may be cut short."""
    points = _begun(out, seed)
    missing = [key for key in keys if key not in points]
    # The long ones first, or one would be left to run alone at the end.
    missing.sort(key=lambda key: -key[1])
    pool, stopped = ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)), threading.Event()
    try:
        futures = {pool.submit(_curve, key, seed, stopped): key for key in missing}
        with progress_bar("measuring", len(missing)) as advance:
            for future in as_completed(futures):
                points[futures[future]] = future.result()
                write_points(points, out, seed=seed, iterations=ITERATIONS)
                advance()
    finally:
        stopped.set()  # after Ctrl-C: a curve takes minutes, and Python waits for all threads
        pool.shutdown(wait=True, cancel_futures=True)
    return points


def _begun(out: Path, seed: int) -> dict[Key, list[Point]]:
    if not out.exists():
        return {}
    try:
        text = out.read_text()
        seeds, points = {row["seed"] for row in csv.DictReader(StringIO(text))}, read_points(text)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"--out {out}: holds no block error rates ({error!r}); give another file") from error
    if seeds - {str(seed)}:
        raise ValueError(f"--seed {seed}: {out} was measured with seed {', '.join(sorted(seeds))}; give another --out")
    return points


def _curve(key: Key, seed: int, stopped: threading.Event) -> list[Point]:
    def check() -> None:
        if stopped.is_set():
            raise CancelledError

    return list(measure_curve(*key, seed=seed, progress=check))


def _row(key: Key, points: Sequence[Point]) -> dict[str, object]:
    mcs, k = key
    fitted, n = Curve.fit(points), code_of(mcs, k).n
    capacity_db = float(esno_db_for(k / n * mcs.bits_per_symbol, order=mcs.order))
    esno_db = fitted.esno_db(TARGET)
    return {
        "scheme": str(mcs),
        "k": k,
        "n": n,
        "esno_db": round(esno_db, 3),
        "capacity_db": round(capacity_db, 3),
        "gap_db": round(esno_db - capacity_db, 3),
        "points": [_point(point) for point in sorted(points, key=lambda point: point.esno_db)],
    }


def _point(point: Point) -> dict[str, float | int]:
    interval = error_rate(point.errors, point.blocks)
    rate = {"bler": interval.value, "bler_low": interval.low, "bler_high": interval.high}
    return {"esno_db": point.esno_db, "errors": point.errors, "blocks": point.blocks, **rate}


def bler_table(rows: Sequence[dict[str, Any]]) -> str:
    """Every measured point for a paper: a row each, with the block sizes, errors of how many, and the rate."""
    head = ("Scheme", "$k$", "$n$", "$E_s/N_0$ (dB)", "Errors", "Blocks", "BLER")
    cells = [
        (escaped(row["scheme"]), f"{row['k']}", f"{row['n']}", f"{one['esno_db']:.2f}".replace("-", "$-$"),
         f"{one['errors']}", f"{one['blocks']}", rate_cell(one["bler"], one["bler_high"]))
        for row in rows
        for one in row["points"]
    ]  # fmt: skip
    return latex_table(head, cells, said=f"block error rates on AWGN, {ITERATIONS} layered iterations")


def _print(rows: Sequence[dict[str, object]]) -> None:
    table = Table(title=f"5G LDPC and QAM on AWGN, {ITERATIONS} layered iterations: Es/N0 at BLER {TARGET:g}")
    for column in ("scheme", "k", "Es/N0 (dB)", "capacity (dB)", "gap (dB)"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(str(row[name]) for name in ("scheme", "k", "esno_db", "capacity_db", "gap_db")))
    make_console().print(table)
