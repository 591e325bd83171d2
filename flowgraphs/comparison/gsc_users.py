"""`semlink gsc --figure 4c` (4d, 5c, 5d): one of several users of GSC's paper against a user alone.

Three users of one antenna send to an array of three, which tells them apart by zero-forcing, MMSE or successive
cancellation. The paper says no more of it than that, so the channels are ours: on "rayleigh" block fading with
independent gains, on "awgn" a line of sight of unit gains and noise alone, the antennas half a wavelength apart and the
users at broadside and 30° to either side. Beside them stand the user alone with one antenna, which is GSC of figures 4a
and 4b, and alone on the same array, which is what the company costs and not what the antennas bring.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.flowgraphs.comparison import plots
from semlink.flowgraphs.comparison.cells import by_codec
from semlink.flowgraphs.comparison.comparison import Comparison, compare
from semlink.flowgraphs.comparison.frames import try_codecs
from semlink.flowgraphs.comparison.gsc import (
    CHANNELS,
    CLAIMS,
    DEEPJSCC,
    ESNO,
    FIGURES,
    METRIC,
    default_gsc,
    run_figure,
)
from semlink.flowgraphs.comparison.margins import change_percent
from semlink.flowgraphs.comparison.report import describe, writable
from semlink.flowgraphs.comparison.tally import column_of
from semlink.flowgraphs.comparison.terminal import make_console, progress_bar
from semlink.flowgraphs.specs import DEFAULT_MCS, check_count, load_images, make_codecs, parse_esno, parse_metrics
from semlink.phy.channels import Mimo
from semlink.phy.documents import for_json
from semlink.phy.link import Channel
from semlink.phy.metrics import METRICS
from semlink.phy.mimo import Uplink

USERS = ANTENNAS = 3
ANGLES_DEG = (0.0, 30.0, -30.0)
"""Of the users from broadside, in the line of sight; the first is the one who is measured.

All three have the same SINR there, so that successive cancellation takes nobody off before another: it is MMSE.
"""
RIVALS = (DEEPJSCC, "jpeg-ldpc-qam")
"""Those of the paper, which meet the same users, fades and noise."""
DETECTORS = ("zf", "mmse", "sic")
SHOWN = "mmse"
"""The detector behind which a panel shows the rivals."""
IMAGES = "cifar10:300"
ALONE = "1 user, 1 antenna"
ON_ARRAY = f"1 user, {ANTENNAS} antennas"
CLOSE_DB = 1.0
"""What we take "close to 35" and "trends similarly" to leave room for, in dB; the paper gives no figure."""
RESOLUTION = 0.01
"""Of what is told, in dB or percentage points: what is closer to a claim is neither beyond it nor short of it."""
AT_15_DB = 35.0
"""PSNR of MU-GSC at Es/N0 of 15 dB in dB, as the paper says of figures 4c and 4d."""


class Panel(NamedTuple):
    """One of the paper's four with several users: its channel, and whether it shows PSNR or a distance."""

    channel: str
    quantity: str


PANELS: Mapping[str, Panel] = {
    f"{number}{letter}": Panel(channel, quantity)
    for number, quantity in ((4, "PSNR"), (5, "ST-LPIPS"))
    for letter, channel in (("c", "awgn"), ("d", "rayleigh"))
}
"""By the paper's numbers."""


@dataclass(frozen=True)
class LineOfSight:
    """Gains of users who are seen by a row of antennas half a wavelength apart: a `semlink.phy.fading.FadingLaw`.

    Args:
        angles_deg: of each user from broadside.
    """

    angles_deg: tuple[float, ...]
    direct = False

    def shape(
        self,
        scatter: Complex[Tensor, "... links m"],
        turns: Float[Tensor, "... 1"] | None = None,  # noqa: ARG002
    ) -> Complex[Tensor, "... links m"]:
        """exp(jπ k sin θ) of antenna k and the user at θ, whatever the scatter; links go by antenna, then user."""
        rows = torch.arange(scatter.shape[-2] // len(self.angles_deg))
        phases = math.pi * torch.outer(rows, torch.deg2rad(torch.tensor(self.angles_deg)).sin()).flatten()
        gains = torch.polar(torch.ones_like(phases), phases).to(scatter)
        return gains[:, None].expand(scatter.shape)

    def correlation(self, scatter: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
        """They do not change."""
        return np.ones_like(scatter)


@dataclass(frozen=True)
class Seen(Mimo):
    """An uplink in the line of sight, with its own name in tables."""

    @property
    def name(self) -> str:
        """No channel of the command line has it."""
        return f"{super().name},line-of-sight"


def links(channel: str) -> dict[str, Channel]:
    """The channels of one panel by what they are called in tables: a user alone, alone on the array, with others.

    Args:
        channel: of `semlink.flowgraphs.comparison.gsc.CHANNELS`.
    """
    several = {named(detector): _array(channel, USERS, detector) for detector in DETECTORS}
    return {ALONE: CHANNELS[channel], ON_ARRAY: _array(channel, 1, "zf"), **several}


def named(detector: str) -> str:
    """What several users behind a detector are called in tables."""
    return f"{USERS} users, {detector}"


def _array(channel: str, users: int, detector: str) -> Channel:
    antennas = Uplink(users, ANTENNAS, detector)  # type: ignore[arg-type]  # one of its words
    if channel == "awgn":
        return Seen(antennas=antennas, fading=LineOfSight(ANGLES_DEG[:users]))
    return Mimo(antennas=antennas)


@dataclass(frozen=True)
class UsersVerdict:
    """A claim of the paper on several users beside what was measured behind one detector.

    Attributes:
        figure: of `PANELS`.
        detector: that tells the users apart.
        claim: in words.
        holds: whether it is met.
        by: how far beyond what is claimed, below 0 what is missing.
        unit: of `by`.
        found: what was measured, in words.
    """

    figure: str
    detector: str
    claim: str
    holds: bool
    by: float
    unit: str
    found: str

    def line(self) -> str:
        """For people."""
        how = f"met, by {self.by:.2f} {self.unit}" if self.holds else f"not met, {-self.by:.2f} {self.unit} short"
        if abs(self.by) < RESOLUTION / 2:
            how = f"equal, to within {RESOLUTION:g} {self.unit}"
        return f"fig. {self.figure}, {self.detector}: {self.claim}: {how}; {self.found}"


def judge_users(figure: str, done: Mapping[str, Comparison], gsc: str) -> list[UsersVerdict]:
    """The paper's claims on one panel, for every detector.

    Args:
        figure: of `PANELS`.
        done: the comparison over each of `links`, of `gsc` and `RIVALS`, at 0 and 15 dB among others.
        gsc: the codec, with its receiver, that stands for GSC.
    """
    judges = (_trend, _close, _ahead) if PANELS[figure].quantity == "PSNR" else (_nearer,)
    return [judge(figure, detector, done, gsc) for detector in DETECTORS for judge in judges]


def _trend(figure: str, detector: str, done: Mapping[str, Comparison], gsc: str) -> UsersVerdict:
    curve = _psnr(done[named(detector)], gsc)
    apart = curve - _psnr(done[ALONE], gsc)
    room, rises = CLOSE_DB - float(apart.max() - apart.min()), bool((curve.diff().dropna() > 0).all())
    claim = f"PSNR goes with Es/N0 as the single user's (their distance changes by {CLOSE_DB:g} dB at most)"
    found = f"{apart.min():+.2f} … {apart.max():+.2f} dB from it{'' if rises else ', and it falls in between'}"
    return UsersVerdict(figure, detector, claim, rises and room >= 0, room, "dB", found)


def _close(figure: str, detector: str, done: Mapping[str, Comparison], gsc: str) -> UsersVerdict:
    high = float(_psnr(done[named(detector)], gsc)[15.0])
    room = CLOSE_DB - abs(high - AT_15_DB)
    claim = f"PSNR close to {AT_15_DB:g} dB at 15 dB (within {CLOSE_DB:g} dB)"
    return UsersVerdict(figure, detector, claim, room >= 0, room, "dB", f"{high:.2f} dB")


def _ahead(figure: str, detector: str, done: Mapping[str, Comparison], gsc: str) -> UsersVerdict:
    here = done[named(detector)]
    others = pd.concat([_psnr(here, name) for name in RIVALS], axis=1)
    ahead = _psnr(here, gsc) - others.max(axis=1)
    least, level = float(ahead.min()), ahead.idxmin()
    found = f"{least:+.2f} dB from {others.loc[level].idxmax()} at {level:g} dB"
    claim = f"PSNR above {' and '.join(RIVALS)} at every Es/N0"
    return UsersVerdict(figure, detector, claim, least > 0, least, "dB", found)


def _nearer(figure: str, detector: str, done: Mapping[str, Comparison], gsc: str) -> UsersVerdict:
    percent = next(one.percent for one in CLAIMS if one.figure == 5 and one.channel == PANELS[figure].channel)
    fading = PANELS[figure].channel != "awgn"
    several, alone = (
        change_percent(*(done[link].distances[METRIC, name, 0.0] for name in (gsc, DEEPJSCC)), fades=fading)
        for link in (named(detector), ALONE)
    )
    room = percent - several.value
    claim = f"LPIPS, here ST-LPIPS, {-percent:g} % below {DEEPJSCC}'s at 0 dB"
    found = f"{several.value:+.2f} % ({several.low:+.2f} … {several.high:+.2f}), of the user alone {alone.value:+.2f} %"
    return UsersVerdict(figure, detector, claim, room >= 0, room, "points", found)


def _psnr(outcome: Comparison, codec: str) -> pd.Series:
    """By Es/N0, in dB."""
    rows = outcome.table[outcome.table["codec"] == codec]
    return rows.set_index("esno_db")["psnr_db"].sort_index().rename(codec)


def measure_users(
    figure: str,
    names: Sequence[str],
    images: Mapping[str, Tensor],
    levels: Sequence[float],
    *,
    realisations: int = 1,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Comparison]:
    """The same images over all links of one panel, by `links`; `progress` is called after each codec and Es/N0.

    Raises:
        ValueError: a codec, or the metric, that is not to be had.
    """
    panel = PANELS[figure]
    metrics = parse_metrics([METRIC] if panel.quantity != "PSNR" else [])
    codecs = make_codecs(names, ratio=1 / 6, mcs=DEFAULT_MCS, channel=CHANNELS[panel.channel])
    try_codecs(codecs, images)

    def send(over: Channel) -> Comparison:
        return compare(
            images, codecs, over, levels, realisations=realisations, seed=seed, metrics=metrics, progress=progress
        )

    return {link: send(over) for link, over in links(panel.channel).items()}


def users_table(done: Mapping[str, Comparison]) -> pd.DataFrame:
    """The rows of all comparisons, each with the link that it is of."""
    table = pd.concat([one.table.assign(link=link) for link, one in done.items()], ignore_index=True)
    return table[["link", *(column for column in table if column != "link")]]


def users_curves(done: Mapping[str, Comparison], gsc: str) -> Comparison:
    """What a panel shows, as one comparison: GSC over every link, and its rivals among several users."""
    parts = [(gsc, link) for link in done] + [(name, named(SHOWN)) for name in RIVALS]
    tables = []
    for name, link in parts:
        rows = done[link].table
        said = "GSC" if name == gsc else name
        tables.append(rows[rows["codec"] == name].assign(codec=f"{said}, {link}"))
    first = next(iter(done.values()))
    return Comparison(pd.concat(tables, ignore_index=True), {}, first.sent, {}, first.metrics)


def run_gsc(
    *,
    figure: str,
    gsc: str | None,
    images: str | None,
    esno: str | None,
    realisations: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """`semlink gsc --figure`: one figure of one user, or one panel of several.

    Raises:
        ValueError: an option that is refused, or images, weights or a metric that are not to be had.
        OSError: a folder that cannot be written.
    """
    every = [*map(str, FIGURES), *PANELS]
    if figure not in every:
        raise ValueError(f"--figure {figure} must be one of: {', '.join(every)}")
    check_count("--realisations", realisations, 1)
    check_count("--seed", seed, 0)
    run = partial(run_panel, figure=figure) if figure in PANELS else partial(run_figure, figure=int(figure))
    run(gsc=gsc, images=images, esno=esno, realisations=realisations, seed=seed, out=out, as_json=as_json)


def run_panel(
    *,
    figure: str,
    gsc: str | None,
    images: str | None,
    esno: str | None,
    realisations: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """`semlink gsc --figure 4c`: one of `PANELS`.

    Raises:
        ValueError: as `run_gsc`.
        OSError: a folder that cannot be written.
    """
    levels = sorted({*parse_esno(esno or ESNO[4]), 0.0, 15.0})
    chosen = default_gsc() if gsc is None else gsc
    names, sent = [chosen, *RIVALS], load_images([images or IMAGES])
    with writable(out, stale=()) as folder:
        with progress_bar("sending", len(links(PANELS[figure].channel)) * len(names) * len(levels)) as advance:
            done = measure_users(figure, names, sent, levels, realisations=realisations, seed=seed, progress=advance)
        verdicts = judge_users(figure, done, chosen)
        files = [str(out / name) for name in _write(figure, done, chosen, verdicts, folder)]
    if as_json:
        rows = [for_json(row) for row in users_table(done).to_dict(orient="records")]
        claims = [for_json(asdict(one)) for one in verdicts]
        print(json.dumps({"figure": figure, "rows": rows, "claims": claims, "files": files}, indent=2, allow_nan=False))
    else:
        _print(figure, done, chosen, verdicts, files)


def _write(
    figure: str, done: Mapping[str, Comparison], gsc: str, verdicts: Sequence[UsersVerdict], folder: Path
) -> list[str]:
    """The table, the claims and the picture; their names."""
    stem = f"figure{figure}"
    users_table(done).to_csv(folder / f"{stem}.csv", index=False)
    pd.DataFrame([asdict(one) for one in verdicts]).to_csv(folder / f"{stem}-claims.csv", index=False)
    plots.draw_curves(users_curves(done, gsc), _title(figure, done, gsc), folder / f"{stem}.png")
    return [f"{stem}.csv", f"{stem}-claims.csv", f"{stem}.png"]


def _title(figure: str, done: Mapping[str, Comparison], gsc: str) -> str:
    return f"fig. {figure}, {PANELS[figure].channel}, GSC: {gsc}; {describe(done[named(SHOWN)], DEFAULT_MCS)}"


def _print(
    figure: str,
    done: Mapping[str, Comparison],
    gsc: str,
    verdicts: Sequence[UsersVerdict],
    files: Sequence[str],
) -> None:
    column = "psnr_db" if PANELS[figure].quantity == "PSNR" else column_of(METRIC)
    label, digits = ("PSNR in dB", 2) if column == "psnr_db" else (f"{METRICS[METRIC].label}, lower is better", 4)

    def cell(row: pd.Series) -> str:
        return f"{row[column]:.{digits}f}"

    console = make_console()
    console.print(by_codec(users_curves(done, gsc), f"{label}: {_title(figure, done, gsc)}", cell))
    console.print("What arXiv 2408.05112 says of its own, and what was measured here:")
    for one in verdicts:
        console.print(one.line(), soft_wrap=True)
    console.print("written: " + ", ".join(files), soft_wrap=True)
