"""`semlink sweep`: a study from a file, with progress and the time left."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import typer
from rich.console import Console

from semlink.flowgraphs.comparison import make_console, results_table
from semlink.flowgraphs.specs import parse_labels, with_eavesdropper
from semlink.flowgraphs.studies import (
    Study,
    estimate_seconds,
    plot_quantity,
    read_results,
    read_shown,
    read_study,
    run_study,
    save_figure,
    study_progress,
    write_report,
)
from semlink.phy.documents import written_whole
from semlink.phy.parallel import cores

MANY = 20_000
"""Points above which a sweep asks first."""


def run_sweep(
    path: Path,
    out: Path,
    *,
    workers: int | None,
    scheduler: str | None,
    resources: Sequence[str],
    yes: bool,
    csv: bool,
    as_json: bool,
    eavesdropper: str | None = None,
) -> int:
    """Run what is missing of a study; return the exit status, 1 where points ended in an error.

    Raises:
        ValueError: a study, an option or a results folder that is refused.
        OSError: the results cannot be written.
    """
    study = read_study(path)
    study = replace(study, codecs=with_eavesdropper(study.codecs, eavesdropper))
    console = make_console(stderr=True)
    if study.size > MANY and not yes:
        _ask(study, workers, console)
    try:
        with study_progress(console) as show:
            table = run_study(
                study, out, workers=workers, scheduler=scheduler, resources=parse_resources(resources), progress=show
            )
    except KeyboardInterrupt:
        console.print(_kept(out), soft_wrap=True)
        raise
    except OSError as error:
        raise OSError(f"{error}; {_kept(out)}") from error
    files = [str(out / "table.parquet")]
    if csv:
        with written_whole(out / "table.csv") as partial:
            table.to_csv(partial, index=False)
        files.append(str(out / "table.csv"))
    wrong = table[table["error"] != ""]
    if as_json:
        print(json.dumps({"points": len(table), "errors": len(wrong), "files": files}))
    else:
        print(f"{len(table)} points; written: {', '.join(files)}")
    for row in wrong.to_dict("records"):
        said = f"{row['codec']} on {row['spec']} at {row['esno_db']:g} dB, ratio {row['asked_ratio']:.4g}"
        console.print(f"error: {said}: {row['error']}", style="red", soft_wrap=True)
    return 1 if len(wrong) else 0


def _kept(out: Path) -> str:
    count = len(read_results(out)[1]) if (out / "study.json").exists() else 0
    return f"{count} points are kept in {out}; the same command goes on from there"


def parse_resources(texts: Sequence[str]) -> dict[str, float]:
    """What a worker must offer, from "GPU=1".

    Raises:
        ValueError: another form, or an amount that is not above 0.
    """
    found = {}
    for text in texts:
        name, equals, amount = text.partition("=")
        try:
            found[name] = float(amount if equals else "nan")
        except ValueError:
            found[name] = math.nan
        if not name or not 0 < found[name] < math.inf:
            raise ValueError(f"--resource {text!r}: give NAME=AMOUNT, such as GPU=1")
    return found


def run_report(results: Path, out: Path, *, as_latex: bool = False) -> None:
    """Write the report of a results folder or a comparison, or print its table for a paper.

    Raises:
        ValueError: neither of the two, or one without a point.
        OSError: it cannot be written.
    """
    if not as_latex:
        print(f"written: {write_report(results, out)}")
        return
    shown = read_shown(results)
    if shown.table.empty:
        raise ValueError(f"results {results}: no point is finished; run the sweep first")
    print(results_table(shown.table, said=f"{shown.study.name}: {', '.join(shown.study.images)}"), end="")


def run_figure(
    results: Path,
    out: Path,
    *,
    quantity: str,
    over: str,
    labels: Sequence[str] = (),
    codecs: Sequence[str] = (),
    channels: Sequence[str] = (),
    columns: int | None = None,
    ebno: str | None = None,
) -> None:
    """Draw a figure of a results folder or a comparison.

    Raises:
        ValueError: neither of the two, an ending, quantity, axis, codec, channel or label that is refused.
        OSError: it cannot be written.
    """
    table = read_shown(results).table
    for option, column, chosen in (("--channel", "spec", channels), ("--codec", "codec", codecs)):
        table = _chosen(table, option, column, chosen)
    shown_as = parse_labels(labels, list(dict.fromkeys(table["codec"])))
    if ebno is not None and ebno not in set(table["codec"]):
        raise ValueError(f"--ebno {ebno} must be one of the codecs drawn: {', '.join(dict.fromkeys(table['codec']))}")
    table = table.assign(codec=table["codec"].replace(shown_as))
    ebno_of = None if ebno is None else shown_as.get(ebno, ebno)
    figure = plot_quantity(table, quantity, over=over, ieee=True, columns=columns, ebno_of=ebno_of)
    print(f"written: {save_figure(figure, out)}")


def _chosen(table: pd.DataFrame, option: str, column: str, chosen: Sequence[str]) -> pd.DataFrame:
    """The rows of what was chosen, in its order; all of them where nothing was."""
    known = list(dict.fromkeys(table[column]))
    if unknown := [one for one in chosen if one not in known]:
        raise ValueError(f"{option} {unknown[0]} must be one of the results: {', '.join(known)}")
    parts = [table[table[column] == one] for one in dict.fromkeys(chosen)]
    return pd.concat(parts, ignore_index=True) if parts else table


def _ask(study: Study, workers: int | None, console: Console) -> None:
    seconds = estimate_seconds(study) / max(1, workers or cores())
    console.print(
        f"{study.size} points, about {duration(seconds)} on {max(1, workers or cores())} cores of this machine",
        soft_wrap=True,
    )
    try:
        sure = typer.confirm("Run them all?", err=True)
    except typer.Abort:
        sure = False
    if not sure:
        raise ValueError(f"{study.size} points were not confirmed; --yes goes ahead without asking")


def duration(seconds: float) -> str:
    """In words, to two places."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}" if seconds / length < 100 else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} seconds"
