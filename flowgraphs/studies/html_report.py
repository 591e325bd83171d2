"""One self-contained HTML file of a study: curves, what was received, figures, definitions, how to have it again."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from torch import Tensor

from semlink.flowgraphs.comparison import LEDGER, Pixels, digest_of, pixels, sent_file
from semlink.flowgraphs.specs import load_images
from semlink.flowgraphs.studies.compared import read_shown
from semlink.flowgraphs.studies.figures import AXES, LOGARITHMIC, QUANTITIES, ends_of
from semlink.flowgraphs.studies.plan import Plan
from semlink.phy.documents import for_json, write_whole
from semlink.phy.pictures import DataError, read_levels
from semlink.phy.sources import has_cifar10

SETS_OF_IMAGES = re.compile(r"samples(:[a-z]+)?|kodak|cifar10(:\d+)?")
"""What a study's `images` may name that is no path."""
LOSSLESS_SIDE = 64
"""Pixels: larger pictures are embedded as WebP of quality 90, smaller ones losslessly."""
_KEPT = (
    "codec", "spec", "asked_ratio", "ratio", "esno_db", "ebno_db", "psnr_db", "psnr_mean_db", "ssim", "ms_ssim",
    "st_lpips", "lpips", "bler", "outage", "ber_before", "ber_after", "failed", "failed_source", "images",
    "realisations", "accuracy", "top5",
)  # fmt: skip
_COLUMNS = {
    "codec": "codec",
    "spec": "channel",
    "asked_ratio": "ratio",
    "esno_db": "Es/N0 dB",
    "accuracy": "accuracy",
    "top5": "top-5",
    "psnr_db": "PSNR dB",
    "psnr_mean_db": "mean PSNR dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "st_lpips": "ST-LPIPS",
    "lpips": "LPIPS",
    "ber_before": "BER before decoding",
    "ber_after": "BER after",
    "bler": "BLER",
    "outage": "failed",
    "modulation": "modulation",
    "k": "k",
    "n": "n",
    "images": "images",
    "realisations": "realisations",
    **{name: f"{name.removeprefix('uses_')} uses" for name in LEDGER},
}
_EARLIER = (
    "95 %, as an earlier version told them: PSNR by Student's t, and BLER as if blocks of one transmission did not "
    "share its fade. On channels that fade both are too narrow; sending anew tells those that hold."
)
_DEFINITIONS = {
    "Es/N0": "average energy per transmitted complex symbol over N0, per image, pilots included; noise is CN(0, N0).",
    "Eb/N0": "of a digital codec: Es/N0 less its information bits per channel use in dB, those that were sent at this "
    "Es/N0, padding included. A label only; a code that sends no bits has none.",
    "Ratio": "complex channel uses / (channels × height × width) of the image; the axis shows what was asked for. "
    "Curves at different ratios are not equals.",
    "PSNR": "on 8-bit images, from the mean squared error over all images and realisations.",
    "Mean PSNR": "the mean of the PSNR of each image and realisation: what published curves are. Where one codec is "
    "ahead by one average and behind by the other, it is so.",
    "ST-LPIPS, LPIPS": "perceptual distances, lower is better; not to be held against each other.",
    "Accuracy, top-5": "share of images whose class was the likeliest one, or among the five likeliest. Of codecs "
    "whose ratios differ from what was asked for, the table of `semlink sweep` has the true ones.",
    "Failed": "images of which a code block failed its CRC, which is the channel's doing, or for which the source "
    "coder had nothing that fits or made nothing of what arrived whole; what is missing is mid-grey. Never dropped.",
    "BLER": "code blocks in error, of all sent.",
    "BER": "of hard decisions before decoding, and of information bits after it, padding included; k and n are bits of "
    "a code block, CRC included, before and after the channel code.",
    "Uses": "channel uses of an image by purpose, the mean over images; together they are the ratio times its values. "
    "What a header or an answer takes beside them is told in the codec's notes.",
    "Intervals": "95 %, over noise and fading for these images (over images with one realisation); accuracy, top-5 and "
    "failed: exact. Blocks of one transmission share its fade: BLER by transmissions on channels that fade, exact in "
    "noise alone. PSNR and distances: by Student's t where noise alone varies, else with one transmission as bad as "
    "any put to those seen; none where none holds: of fewer than 10 that may be lost, or without any difference.",
    "Pictures": "the first realisation; larger than 64 pixels they are embedded as WebP of quality 90.",
}


def write_report(folder: str | Path, out: str | Path) -> Path:
    """Write the report of a results folder or a comparison; it needs nothing beside itself.

    The folder may be a stranger's: it is read as data alone. Nothing that it names is imported, and no picture is read
    from elsewhere.

    Args:
        folder: of `semlink sweep` or `semlink compare`, or the compare.csv in one.
        out: the HTML file.

    Raises:
        ValueError: no such folder, or one without a point.
        OSError: a file cannot be read or written.
    """
    out = Path(out)
    study, table, about, files, swept = read_shown(folder)
    if table.empty:
        raise ValueError(f"results {folder}: no point is finished; run the sweep first")
    page = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    parts = {
        "title": html.escape(study.name),
        "conditions": html.escape(_conditions(study, table)),
        "table": _table(table),
        "definitions": _definitions(table),
        "commands": html.escape(_commands(study, table, swept=swept)),
        "provenance": html.escape(_provenance(about)),
        # Within a script nothing but "</script" or "<!--" would end it early.
        "data": json.dumps(_data(study, table, files, about["images"]), allow_nan=False).replace("<", "\\u003c"),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
    write_whole(out, page)
    return out


def _conditions(study: Plan, table: pd.DataFrame) -> str:
    sent = table[table["error"] == ""] if (table["error"] == "").any() else table
    images = int(sent["images"].max())
    low, high = int(sent["realisations"].min()), int(sent["realisations"].max())
    times = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"{images} images ({', '.join(study.images)}), realisations of noise and fading of each: {times}, "
        f"seed {study.seed}; {len(table)} points"
    )


def _data(study: Plan, table: pd.DataFrame, folder: Path, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    quantities = {name: label for name, label in QUANTITIES.items() if table[name].notna().any()}
    ends = [f"{name}_{end}" for name in quantities for end in ("low", "high") if f"{name}_{end}" in table]
    rows: list[dict[str, Any]] = []
    for row in table[table["error"] == ""].to_dict("records"):
        kept = {name: _plain(row[name]) for name in (*_KEPT, *ends)}
        kept["outage_low"], kept["outage_high"] = ends_of(row, "outage")
        files = json.loads(row["pictures"])
        rows.append({**kept, "pictures": {name: _embedded(folder, file) for name, file in files.items()}})
    axes = {"esno_db": AXES["esno_db"]}
    if table["ebno_db"].notna().any():
        axes["ebno_db"] = AXES["ebno_db"]
    if len(study.ratios) > 1:
        axes["asked_ratio"] = AXES["ratio"]
    shown = {name for row in rows for name in row["pictures"]}
    return {
        "rows": rows,
        "codecs": list(study.codecs),
        "channels": list(study.channels),
        "ratios": list(study.ratios),
        "ratio_names": {f"{float(ratio)!r}": _ratio(float(ratio)) for ratio in study.ratios},
        "levels": list(study.esno_db),
        "quantities": quantities,
        "logarithmic": list(LOGARITHMIC),
        "axes": axes,
        "sent": _sent(study, shown, fingerprints, folder),
    }


def _sent(study: Plan, names: set[str], fingerprints: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The images whose receptions are shown, as far as they have the pixels that were sent.

    They are those that the folder keeps or, of results of before it kept them, those of a packaged or named set that
    need not be fetched; the files that a study was made of are not looked for.
    """
    shown = dict.fromkeys((name for name in fingerprints if name in names), "data:,")
    found = {name: _kept(folder, fingerprints[name]) for name in shown}
    images = _of_sets(study) if any(levels is None for levels in found.values()) else {}
    for name, kept in found.items():
        levels = pixels(images[name]) if kept is None and name in images else kept
        if levels is not None and digest_of(levels) == fingerprints[name]:
            shown[name] = _data_uri(Image.fromarray(levels))
    return shown


def _of_sets(study: Plan) -> Mapping[str, Tensor]:
    """The images of a study that are of a set on this machine: a report fetches none."""
    sets = [word for word in study.images if SETS_OF_IMAGES.fullmatch(word)]
    try:
        here = [word for word in sets if not word.startswith("cifar10") or has_cifar10()]
        return load_images(here) if here else {}
    except (ValueError, OSError):
        return {}


def _kept(folder: Path, fingerprint: str) -> Pixels | None:
    """The image of a fingerprint that the folder keeps; None where there is none, or a damaged one."""
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        return None
    try:
        return read_levels(_within(folder, sent_file(fingerprint)))
    except (ValueError, OSError):
        return None


def _embedded(folder: Path, file: str) -> str:
    path = folder / file
    try:
        return _data_uri(Image.fromarray(read_levels(_within(folder, file))))
    except DataError as error:  # which names it
        raise ValueError(f"{error}; remove the results' pictures") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"picture {path}: cannot be read ({error}); remove the results' pictures") from error


def _within(folder: Path, file: str) -> Path:
    """A file of a folder: no link leads out of it.

    Raises:
        ValueError: one does.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"it lies at {path}, outside the folder")
    return path


def _data_uri(image: Image.Image) -> str:
    packed = io.BytesIO()
    image.convert("RGB").save(packed, "WEBP", quality=90, lossless=max(image.size) <= LOSSLESS_SIDE)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}"


def _table(table: pd.DataFrame) -> str:
    columns = {name: label for name, label in _COLUMNS.items() if _is_told(table[name])}
    head = "".join(f'<th scope="col">{html.escape(label)}</th>' for label in columns.values())
    body = []
    for row in table.to_dict("records"):
        if row["error"]:
            cells = "".join(f"<td>{_cell(name, row)}</td>" for name in list(columns)[:4])
            wrong = f'<td class="wrong" colspan="{len(columns) - 4}">{html.escape(row["error"])}</td>'
            body.append(f"<tr>{cells}{wrong}</tr>")
        else:
            body.append("<tr>" + "".join(f"<td>{_cell(name, row)}</td>" for name in columns) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _is_told(values: pd.Series) -> bool:
    """Whether there is a figure of a column, or any use of a purpose."""
    if str(values.name) in LEDGER:
        return bool((values > 0).any())
    return bool((values.notna() & (values != "")).any())


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if isinstance(value, str):
        return html.escape(value)
    if value is None or math.isnan(value):
        return ""
    if name == "asked_ratio":
        return _ratio(value)
    if name == "outage":
        least, most = ends_of(row, name)
        at_source = row.get("failed_source", 0)  # NaN of what an earlier version wrote, or of a published curve
        cause = f", {at_source:g} by the source coder" if at_source > 0 else ""
        return f"{row['failed']} of {row['images'] * row['realisations']} [{least:.3f}, {most:.3f}]{cause}"
    if name in ("images", "realisations"):
        return f"{value:d}"
    if name in ("k", "n", *LEDGER):
        return f"{value:.6g}"
    if math.isinf(value):
        return "∞"
    digits = {
        "psnr_db": ".2f",
        "psnr_mean_db": ".2f",
        "esno_db": "g",
        "bler": ".3g",
        "ber_before": ".3g",
        "ber_after": ".3g",
    }.get(name, ".4f")
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    interval = ""
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        interval = f" [{low:{digits}}, {high:{digits}}]"
    return f"{value:{digits}}{interval}"


def _definitions(table: pd.DataFrame) -> str:
    known = dict(_DEFINITIONS)
    if not table[["st_lpips", "lpips"]].notna().any().any():
        del known["ST-LPIPS, LPIPS"]
    if not table["ebno_db"].notna().any():
        del known["Eb/N0"]
    if not table["ber_before"].notna().any():
        del known["BER"]
    if not _is_told(table["uses_payload"]):
        del known["Uses"]
    if not table["accuracy"].notna().any():
        del known["Accuracy, top-5"]
    if table["failed_high"].isna().all():
        known["Intervals"] = _EARLIER
    entries = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in known.items())
    return f"<dl>{''.join(entries)}</dl>"


def _commands(study: Plan, table: pd.DataFrame, *, swept: bool) -> str:
    lines = ["semlink sweep RESULTS/study.json --out AGAIN"] if swept else []
    if study.stop.is_set:  # realisations differ from point to point, which `compare` cannot do
        return lines[0]
    alike = ["codec", "spec", "asked_ratio"] if swept else ["spec", "asked_ratio"]  # one comparison is one command
    for _, rows in table.groupby(alike, sort=False):
        first = rows.iloc[0]
        levels = ",".join(f"{level:.9g}" for level in sorted(set(rows["esno_db"])))
        words = ["semlink", "compare", *study.images]
        words += [word for codec in dict.fromkeys(rows["codec"]) for word in ("--codec", codec)]
        words += ["--channel", first["spec"], f"--esno={levels}", "--ratio", _ratio(first["asked_ratio"])]
        words += ["--seed", f"{study.seed}"]
        if study.realisations is not None:
            words += ["--realisations", f"{study.realisations}"]
        words += ["--mcs", study.mcs]
        words += [word for metric in study.metrics for word in ("--metric", metric)]
        lines.append(shlex.join(words))
    return "\n".join(lines)


def _provenance(about: Mapping[str, Any]) -> str:
    if "created" not in about:
        return "How it came about is not known: it was made by an earlier version."
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    git = f"; commit {about['git']}" if about.get("git") else ""
    machine = about.get("machine", {})
    where = f"; {machine.get('processor')}, {machine.get('cores')} cores" if machine else ""
    return f"Begun {about['created']} with {versions}{git}{where}."


def _ratio(ratio: float) -> str:
    return f"1/{round(1 / ratio)}" if abs(1 / ratio - round(1 / ratio)) < 1e-6 else f"{ratio:.6g}"


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float) and not math.isfinite(value):
        return for_json(value)
    return value.item() if hasattr(value, "item") else value
