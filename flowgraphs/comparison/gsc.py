"""The experiments of GSC's paper with one user (arXiv 2408.05112, figs. 4 to 6), its claims beside our figures.

What its figures compare: GSC (codec and semantic fine-tuning), NGF (the codec alone), DeepJSCC, and JPEG with LDPC and
QAM. Beside them stand here what a claim of a diffusion model must be held against: a plain residual CNN in its place,
an adaptive digital link, and that link with the same receiver. All are at ratio 1/6 and meet the same fades and noise.
The paper does not say which LPIPS it has; ours is ST-LPIPS, another metric, so only changes in per cent are compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from torch import Tensor

from semlink.flowgraphs.comparison import plots
from semlink.flowgraphs.comparison.cells import by_codec, in_brackets, psnr_cell
from semlink.flowgraphs.comparison.comparison import Comparison, compare
from semlink.flowgraphs.comparison.frames import try_codecs
from semlink.flowgraphs.comparison.margins import change_percent
from semlink.flowgraphs.comparison.receiver_report import margin_table, printed, receiver_margins
from semlink.flowgraphs.comparison.report import (
    MARGINS,
    describe,
    writable,
)
from semlink.flowgraphs.comparison.terminal import make_console, progress_bar
from semlink.flowgraphs.specs import (
    DEFAULT_MCS,
    JOINT,
    check_count,
    load_images,
    make_codecs,
    parse_esno,
    parse_metrics,
)
from semlink.neural import zoo
from semlink.neural.diffusion import receiver_names
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.documents import for_json
from semlink.phy.link import Channel

FIGURES: Mapping[int, str] = {4: "PSNR", 5: "perceptual distance (ST-LPIPS)", 6: "pictures of NGF and GSC"}
CHANNELS: Mapping[str, Channel] = {"awgn": AWGN(), "rayleigh": Rayleigh("block")}
GSC = (("swin-gsc", "sft-gsc"), ("swin", "sft-swin"))
"""Codec and receiver that stand for GSC: the paper's own codec where it ships, else ours."""
DEEPJSCC = "deepjscc"
METRIC = "st-lpips"
ESNO = {4: "0:15:3", 5: "0:15:3", 6: "0,5,10,15"}
IMAGES = {4: "cifar10:1000", 5: "cifar10:1000", 6: "cifar10:3"}


@dataclass(frozen=True)
class Claim:
    """What the paper says of GSC over DeepJSCC.

    Attributes:
        figure: of the paper.
        channel: of `CHANNELS`.
        esno_db: Es/N0 in dB.
        quantity: "PSNR" or "ST-LPIPS" (of the paper: LPIPS).
        percent: by how much it is above (PSNR), or below where negative (LPIPS).
    """

    figure: int
    channel: str
    esno_db: float
    quantity: str
    percent: float


CLAIMS = (
    Claim(4, "awgn", 15.0, "PSNR", 17.75),
    Claim(4, "rayleigh", 15.0, "PSNR", 20.86),
    Claim(5, "awgn", 0.0, "ST-LPIPS", -68.65),
    Claim(5, "rayleigh", 0.0, "ST-LPIPS", -28.18),
)


@dataclass(frozen=True)
class Verdict:
    """A claim beside what was measured.

    Attributes:
        claim: the paper's.
        gsc, deepjscc: the figures of the two here: PSNR in dB, or ST-LPIPS.
        percent: of the former over the latter.
        low, high: its 95 % interval; NaN for PSNR, whose percentage has no meaning of its own, and where unknown.
        holds: whether the measured change is at least the claimed one.
    """

    claim: Claim
    gsc: float
    deepjscc: float
    percent: float
    low: float
    high: float
    holds: bool


def default_gsc() -> str:
    """CODEC+RECEIVER that stands for GSC.

    Raises:
        ValueError: no such receiver ships.
    """
    known = {*zoo.names(), *zoo.cards()}
    for codec, receiver in GSC:
        if codec in known and receiver in receiver_names():
            return codec + JOINT + receiver
    having = ", ".join(receiver for _, receiver in GSC)
    raise ValueError(f"--gsc: none of {having} ships with this version; give CODEC+FILE.safetensors")


def contestants(gsc: str) -> list[str]:
    """What is compared: GSC, NGF, DeepJSCC, the digital link, and the controls that ship.

    Raises:
        ValueError: not CODEC+RECEIVER.
    """
    codec, joint, receiver = gsc.partition(JOINT)
    if not joint:
        raise ValueError(f"--gsc {gsc!r} must be CODEC+RECEIVER, such as swin+sft-swin")
    known, digital = receiver_names(), "jpeg-ldpc-qam:adaptive"
    behind_what = receiver.partition("-")[2]  # sft-gsc, cnn-gsc and cddm-gsc are of one codec
    controls = [f"{codec}+{kind}-{behind_what}" for kind in ("cnn", "cddm")]
    shown = [codec, *(one for one in controls if one.partition(JOINT)[2] in known), gsc, DEEPJSCC]
    behind = [f"{digital}+{'sft-jpeg' if 'sft-jpeg' in known else receiver}"]
    return list(dict.fromkeys([*shown, "jpeg-ldpc-qam", digital, *behind]))


def judge(claim: Claim, outcome: Comparison, gsc: str) -> Verdict:
    """A claim beside the figures of a comparison on its channel that has its Es/N0."""
    at = outcome.table.set_index(["codec", "esno_db"])
    if claim.quantity == "PSNR":
        ours, theirs = (float(at.loc[(name, claim.esno_db), "psnr_db"]) for name in (gsc, DEEPJSCC))
        percent = 100 * (ours / theirs - 1)
        return Verdict(claim, ours, theirs, percent, math.nan, math.nan, percent >= claim.percent)
    distances = [outcome.distances[METRIC, name, claim.esno_db] for name in (gsc, DEEPJSCC)]
    found = change_percent(*distances, fades=claim.channel != "awgn")
    ours, theirs = (float(one.mean()) for one in distances)
    return Verdict(claim, ours, theirs, found.value, found.low, found.high, found.value <= claim.percent)


def run_figure(
    *,
    figure: int,
    gsc: str | None,
    images: str | None,
    esno: str | None,
    realisations: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """`semlink gsc --figure 4`: one figure of `FIGURES`, over both channels.

    Raises:
        ValueError: an option that is refused, or images, weights or a metric that are not to be had.
        OSError: a folder that cannot be written.
    """
    check_count("--realisations", realisations, 1)
    check_count("--seed", seed, 0)
    metrics = parse_metrics([METRIC] if figure == 5 else [])
    wanted = {claim.esno_db for claim in CLAIMS if claim.figure == figure}
    levels = sorted({*parse_esno(esno or ESNO[figure]), *wanted})
    chosen = default_gsc() if gsc is None else gsc
    names = [chosen.partition(JOINT)[0], chosen] if figure == 6 else contestants(chosen)
    sent = load_images([images or IMAGES[figure]])
    with writable(out, stale=()) as folder:
        done = _send_all(names, sent, levels, metrics, realisations, seed)
        files = [name for channel, outcome in done.items() for name in _write(figure, channel, outcome, folder)]
    verdicts = [judge(claim, done[claim.channel], chosen) for claim in CLAIMS if claim.figure == figure]
    if as_json:
        told = _told(figure, done, verdicts, [str(out / name) for name in files])
        print(json.dumps(told, indent=2, allow_nan=False))
    else:
        _print(done, verdicts, [str(out / name) for name in files])


def _send_all(
    names: Sequence[str],
    images: Mapping[str, Tensor],
    levels: Sequence[float],
    metrics: Sequence[str],
    realisations: int,
    seed: int,
) -> dict[str, Comparison]:
    """The comparison over each channel; on the fading one the adaptive link still knows the average Es/N0 alone."""
    codecs = {
        key: make_codecs(names, ratio=1 / 6, mcs=DEFAULT_MCS, channel=channel) for key, channel in CHANNELS.items()
    }
    for chosen in codecs.values():
        try_codecs(chosen, images)
    with progress_bar("sending", sum(len(chosen) for chosen in codecs.values()) * len(levels)) as advance:

        def send(key: str, progress: Callable[[], None]) -> Comparison:
            return compare(
                images,
                codecs[key],
                CHANNELS[key],
                levels,
                realisations=realisations,
                seed=seed,
                pictures=plots.some(levels),
                metrics=metrics,
                progress=progress,
            )

        return {key: send(key, advance) for key in CHANNELS}


def _write(figure: int, channel: str, outcome: Comparison, folder: Path) -> list[str]:
    """The table, the margins and the picture of one channel; their names."""
    stem, title = f"figure{figure}-{channel}", f"GSC, fig. {figure}: {describe(outcome, DEFAULT_MCS)}"
    outcome.table.to_csv(folder / f"{stem}.csv", index=False)
    margin_table(receiver_margins(outcome)).to_csv(folder / f"{stem}-{MARGINS}", index=False)
    draw = plots.draw_contact_sheet if figure == 6 else plots.draw_curves
    draw(outcome, title, folder / f"{stem}.png")
    return [f"{stem}.csv", f"{stem}-{MARGINS}", f"{stem}.png"]


def _print(done: Mapping[str, Comparison], verdicts: Sequence[Verdict], files: Sequence[str]) -> None:
    console = make_console()
    for outcome in done.values():
        conditions = describe(outcome, DEFAULT_MCS)
        console.print(by_codec(outcome, f"PSNR in dB (95 % interval): {conditions}", psnr_cell))
        for table in printed(outcome, receiver_margins(outcome)):
            console.print(table)
    if verdicts:
        console.print(claim_table(verdicts))
    console.print("written: " + ", ".join(files), soft_wrap=True)


def claim_table(verdicts: Sequence[Verdict]) -> Table:
    """The paper's claims beside our figures."""
    table = Table(title="GSC over DeepJSCC: what arXiv 2408.05112 says of its own, and what was measured here")
    for name in ("claim", "paper", "here", "GSC here", "DeepJSCC here", "holds"):
        table.add_column(name, justify="left" if name == "claim" else "right")
    for one in verdicts:
        claim, digits = one.claim, 2 if one.claim.quantity == "PSNR" else 4
        table.add_row(
            f"{claim.quantity}, {claim.channel}, {claim.esno_db:g} dB",
            f"{claim.percent:+.2f} %",
            f"{one.percent:+.2f} %{in_brackets(one.low, one.high, '+.2f')}",
            f"{one.gsc:.{digits}f}",
            f"{one.deepjscc:.{digits}f}",
            "yes" if one.holds else "no",
        )
    return table


def _told(
    figure: int, done: Mapping[str, Comparison], verdicts: Sequence[Verdict], files: Sequence[str]
) -> dict[str, object]:
    """The same for machines."""
    tables = {key: [for_json(row) for row in one.table.to_dict(orient="records")] for key, one in done.items()}
    beyond = {key: [for_json(asdict(margin)) for margin in receiver_margins(one)] for key, one in done.items()}
    claims = [for_json(asdict(one)) for one in verdicts]
    return {"figure": figure, "rows": tables, "margins": beyond, "claims": claims, "files": list(files)}
