"""A study that can be run, read from a file, and read back from its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from semlink.flowgraphs.specs import is_own
from semlink.flowgraphs.studies.engine import Engine
from semlink.flowgraphs.studies.plan import Plan
from semlink.flowgraphs.studies.progress import study_progress
from semlink.flowgraphs.studies.results import make_table, read_about, read_rows
from semlink.flowgraphs.studies.runner import Progress, run_study
from semlink.phy.channels import parse_channel
from semlink.phy.documents import in_short, read_json, read_toml


@dataclass(frozen=True)
class Study(Plan):
    """A `Plan` that runs: attributes and errors are those of `semlink.flowgraphs.studies.plan.Plan`.

    `study.run()` returns the table, one row a point; `semlink sweep STUDY.toml` is the same from a file. Channels of
    one's own must be there.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for channel in self.channels:
            if not is_own(channel, "channels"):
                parse_channel(channel)

    def run(
        self,
        out: str | Path | None = None,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        resources: Mapping[str, float] | None = None,
        progress: Callable[[Progress], None] | None = None,
        engine: Engine | None = None,
    ) -> pd.DataFrame:
        """Send what is missing and return the table: `semlink.flowgraphs.studies.run_study`, whose options these are.

        With a progress bar, unless `progress` is given.
        """
        run = partial(run_study, self, out, workers=workers, scheduler=scheduler, resources=resources, engine=engine)
        if progress is not None:
            return run(progress=progress)
        with study_progress() as show:
            return run(progress=show)


def read_study(path: str | Path) -> Study:
    """The study in a TOML file, of the fields of `Study`; [stop] and [refine] are tables. Or `study.json` of results.

    Raises:
        ValueError: the file is missing or no TOML, has an unknown field, or a value is refused.
    """
    try:
        values = _study_of(read_json(Path(path))) if Path(path).suffix == ".json" else read_toml(Path(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"study {path}: {in_short(error)}") from error
    try:
        return Study.from_dict({"name": Path(path).stem, **values})
    except ValueError as error:
        raise ValueError(f"study {path}: {in_short(error)}") from error


def _study_of(about: object) -> dict[str, Any]:
    found = about.get("study") if isinstance(about, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it must hold a table named study, as study.json of a results folder does")
    return found


def read_results(folder: str | Path) -> tuple[Plan, pd.DataFrame]:
    """What was asked of a results folder and its table so far; nothing is locked, written, or imported.

    `read_study` of its study.json is the same as a `Study`, which runs.

    Raises:
        ValueError: no results folder, or one of another format.
    """
    about = read_about(Path(folder))
    try:
        study = Plan.from_dict(about["study"])
    except ValueError as error:
        raise ValueError(f"results {folder}: study.json: {in_short(error)}") from error
    return study, make_table(study, read_rows(Path(folder)))
