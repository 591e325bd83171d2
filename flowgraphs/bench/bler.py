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

import numpy as np
import torch
from rich.table import Table

from semlink.baselines import bler
from semlink.baselines.adaptation import failure_at
from semlink.baselines.bler import Curve, Key, needed_db, read_points, write_points
from semlink.baselines.blocks import plan_of
from semlink.baselines.doors import OWN_CODES, QAM_NAME, SHIPPED, parse_scheme
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.baselines.waterfall import (
    ITERATIONS,
    Point,
    block_sizes,
    length_of,
    measure_curve,
    own_sizes,
    transport_of,
    transport_sizes,
)
from semlink.flowgraphs.comparison import escaped, latex_table, make_console, progress_bar, rate_cell
from semlink.flowgraphs.specs import DigitalName, register_doors
from semlink.phy.metrics import error_rate
from semlink.phy.modulation import APSK_RADII
from semlink.phy.parallel import cores

TARGET = 1e-2


RATES = ("1/3", "1/2", "2/3", "3/4", "5/6")
"""Code rates that are measured where none are named, of constellations whose standard names none."""


def run_bler(
    *,
    schemes: Sequence[str],
    sizes: Sequence[int],
    seed: int,
    out: Path | None,
    as_json: bool,
    as_latex: bool = False,
    code: str = "ldpc",
    constellation: str = QAM_NAME,
) -> None:
    """`semlink bench bler`: with `out`, measure what that file lacks; without, tell what is stored.

    Of another code than 5G LDPC, or of another constellation than square QAM, nothing is stored: `out` is needed, and
    is what `table=FILE` of an adaptive link takes. Of "nr" whole transport blocks are measured, and told beside what an
    adaptive link expects of them, which has it from their code blocks: those of 5G LDPC.

    Raises:
        ValueError: an unknown code, constellation or scheme, or a size without a stored curve.
        OSError: a file that cannot be written.
    """
    register_doors(DigitalName("jpeg", code, None, constellation, None, None))
    if code not in (known := ["ldpc", "nr", "gallager", *OWN_CODES]):
        raise ValueError(f"--code {code}: must be one of: {', '.join(known)}, or MODULE:NAME")
    chosen = [parse_scheme(name, constellation) for name in schemes or _all(constellation)]
    ours = (code, constellation) == ("ldpc", QAM_NAME)
    if ours:
        keys = [(mcs, k) for mcs in chosen for k in block_sizes(mcs) if not sizes or k in sizes]
    else:
        keys = [(mcs, k) for mcs in chosen for k in sizes or _usual_sizes(mcs, code)]
    if not keys:
        stored = sorted({k for mcs in chosen for k in block_sizes(mcs)})
        raise ValueError(f"--k {', '.join(map(str, sizes))}: stored are {', '.join(map(str, stored))}")
    if not ours and out is None:
        raise ValueError(f"code {code} with {constellation}: nothing is stored of it; give --out FILE to measure it")
    points = dict(bler.stored_points()) if out is None else _measured(keys, seed, out, code)
    rows = [_row(key, points[key], code) for key in keys if key in points and _has_slope(points[key])]
    if as_latex:
        print(bler_table(rows, code), end="")
    elif as_json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows, code, constellation)


_SHORT = (256, 1024, 4224)  # of 5G LDPC with other points than QAM's, where no sizes are named


def _usual_sizes(mcs: MCS, code: str) -> tuple[int, ...]:
    """The sizes that are measured where none are named."""
    if code == "ldpc":
        return _SHORT
    return transport_sizes(mcs) if code == "nr" else own_sizes(mcs, code)


def _all(constellation: str) -> list[str]:
    if constellation == QAM_NAME:
        return [str(mcs) for mcs in NR_SCHEMES]
    order = int("".join(filter(str.isdigit, constellation)) or 0) if constellation.endswith("apsk") else 0
    return list(APSK_RADII.get(order, dict.fromkeys(RATES)))


def _measured(keys: Sequence[Key], seed: int, out: Path, code: str) -> dict[Key, list[Point]]:
    """The curves of a file after adding those it lacks; it is written after every curve, so a run may be cut short.

    Blocks that the code does not have are left out, and said.
    """
    points = _begun(out, seed, code)
    missing = [key for key in keys if key not in points]
    # The long ones first, or one would be left to run alone at the end.
    missing.sort(key=lambda key: -key[1])
    refused: list[str] = []
    at_once = cores() if code in SHIPPED else 1  # one's own code may not be made for several threads
    pool, stopped = ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(1,)), threading.Event()
    try:
        futures = {pool.submit(_curve, key, seed, stopped, code): key for key in missing}
        with progress_bar("measuring", len(missing)) as advance:
            for future in as_completed(futures):
                mcs, k = futures[future]
                try:
                    points[mcs, k] = future.result()
                except ValueError as error:
                    refused.append(f"{mcs}, k={k}: {error}")
                    continue
                write_points(points, out, seed=seed, iterations=ITERATIONS, code=code)
                advance()
    finally:
        for one in refused:
            make_console(stderr=True).print(f"left out: {one}")
        stopped.set()  # after Ctrl-C: a curve takes minutes, and Python waits for all threads
        pool.shutdown(wait=True, cancel_futures=True)
    if not points:
        raise ValueError(f"code {code}: none of its blocks can be measured: {'; '.join(refused)}")
    return points


def _begun(out: Path, seed: int, code: str) -> dict[Key, list[Point]]:
    if not out.exists():
        return {}
    try:
        text = out.read_text()
        rows, points = list(csv.DictReader(StringIO(text))), read_points(text)
        seeds, codes = {row["seed"] for row in rows}, {row.get("code") or "ldpc" for row in rows}
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"--out {out}: holds no block error rates ({error!r}); give another file") from error
    if seeds - {str(seed)}:
        raise ValueError(f"--seed {seed}: {out} was measured with seed {', '.join(sorted(seeds))}; give another --out")
    if codes - {code}:
        raise ValueError(f"--code {code}: {out} was measured with {', '.join(sorted(codes))}; give another --out")
    return points


def _curve(key: Key, seed: int, stopped: threading.Event, code: str) -> list[Point]:
    def check() -> None:
        if stopped.is_set():
            raise CancelledError

    return list(measure_curve(*key, seed=seed, progress=check, code=code))


def _has_slope(points: Sequence[Point]) -> bool:
    return sum(0 < point.errors < point.blocks for point in points) >= 2


def _row(key: Key, points: Sequence[Point], code: str) -> dict[str, object]:
    mcs, k = key
    fitted, n, capacity_db = Curve.fit(points), length_of(mcs, k), needed_db(mcs, k)
    esno_db = fitted.esno_db(TARGET)
    return {
        "scheme": str(mcs),
        "k": k,
        "n": n,
        "esno_db": round(esno_db, 3),
        "capacity_db": round(capacity_db, 3),
        "gap_db": round(esno_db - capacity_db, 3),
        **({"expected_db": round(_expected_db(mcs, k), 3)} if code == "nr" and mcs in bler.curves() else {}),
        "points": [_point(point) for point in sorted(points, key=lambda point: point.esno_db)],
    }


def _expected_db(mcs: MCS, k: int) -> float:
    """Es/N0 in dB at which a transport block is expected to be lost as often as `TARGET`."""
    levels = needed_db(mcs, k) + np.arange(-2.0, 10.0, 0.01)
    lost = failure_at(plan_of(transport_of(mcs, k), mcs), levels[:, None])
    return float(np.interp(-TARGET, -lost, levels))


def _point(point: Point) -> dict[str, float | int]:
    interval = error_rate(point.errors, point.blocks)
    rate = {"bler": interval.value, "bler_low": interval.low, "bler_high": interval.high}
    return {"esno_db": point.esno_db, "errors": point.errors, "blocks": point.blocks, **rate}


def bler_table(rows: Sequence[dict[str, Any]], code: str = "ldpc") -> str:
    """Every measured point for a paper: a row each, with the block sizes, errors of how many, and the rate."""
    head = ("Scheme", "$k$", "$n$", "$E_s/N_0$ (dB)", "Errors", "Blocks", "BLER")
    cells = [
        (escaped(row["scheme"]), f"{row['k']}", f"{row['n']}", f"{one['esno_db']:.2f}".replace("-", "$-$"),
         f"{one['errors']}", f"{one['blocks']}", rate_cell(one["bler"], one["bler_high"]))
        for row in rows
        for one in row["points"]
    ]  # fmt: skip
    how = f", {ITERATIONS} layered iterations" if code == "ldpc" else ""
    return latex_table(head, cells, said=f"block error rates of {escaped(code)} on AWGN{how}")


def _print(rows: Sequence[dict[str, object]], code: str, constellation: str) -> None:
    title = f"5G LDPC and QAM on AWGN, {ITERATIONS} layered iterations" if code == "ldpc" else f"{code} on AWGN"
    if constellation != QAM_NAME:
        title = f"{code} and {constellation} on AWGN"
    table = Table(title=f"{title}: Es/N0 at BLER {TARGET:g}")
    columns = {"scheme": "scheme", "k": "k", "esno_db": "Es/N0 (dB)", "capacity_db": "capacity (dB)"}
    columns["gap_db"] = "gap (dB)"
    if any("expected_db" in row for row in rows):
        columns["expected_db"] = "expected (dB)"
    for column in columns.values():
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in columns))
    make_console().print(table)
