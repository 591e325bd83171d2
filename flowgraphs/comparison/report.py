"""What the commands do: options in, progress on stderr, a table or JSON on stdout, files in a folder."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semlink.baselines.capacity import shannon
from semlink.baselines.kodak_rd import kodak_psnr_at_capacity
from semlink.flowgraphs.comparison import plots
from semlink.flowgraphs.comparison.account import spent
from semlink.flowgraphs.comparison.accuracy import check_classes
from semlink.flowgraphs.comparison.causes import turned_round
from semlink.flowgraphs.comparison.cells import (
    by_codec,
    coded_bits,
    distance_cell,
    is_one_average,
    mean_psnr_cell,
    psnr_cell,
    share_cell,
)
from semlink.flowgraphs.comparison.cliff import find_cliff
from semlink.flowgraphs.comparison.comparison import Comparison, compare, pixels, usual_realisations
from semlink.flowgraphs.comparison.frames import Frames, try_codecs
from semlink.flowgraphs.comparison.intervals import NONE_KNOWN
from semlink.flowgraphs.comparison.latex import results_table
from semlink.flowgraphs.comparison.plots import as_fraction
from semlink.flowgraphs.comparison.receiver_report import margin_table, printed, receiver_margins
from semlink.flowgraphs.comparison.record import RECORD, SENT, digest_of, record, sent_file
from semlink.flowgraphs.comparison.tally import column_of
from semlink.flowgraphs.comparison.terminal import count_of, make_console, progress_bar
from semlink.flowgraphs.comparison.throughput import THROUGHPUT, draw_throughput, heard, spending_cell
from semlink.flowgraphs.comparison.uncertainty import BRIGHTNESS, Spread, check_samples, samplers, spreads
from semlink.flowgraphs.comparison.uncertainty import describe as describe_spreads
from semlink.flowgraphs.specs import (
    JOINT,
    PRINTED,
    PUBLISHED,
    check_count,
    default_codecs,
    load_images,
    load_labels,
    make_channel,
    make_codecs,
    parse_digital,
    parse_esno,
    parse_labels,
    parse_metrics,
    parse_ratio,
    published_curves,
    split_listener,
    with_eavesdropper,
)
from semlink.phy.documents import for_json
from semlink.phy.metrics import METRICS
from semlink.phy.security import channel_of

SHEET = "contact.png"  # where images were received
FILES = ("compare.csv", RECORD, "compare.png")
LONG_S = 120.0
"""Seconds of processor time from which what encoding takes is said before it starts."""
MARGINS = "margins.csv"  # of receivers, where there are any
Sampled = Mapping[tuple[str, str, float], Spread]


def run_compare(
    *,
    words: Sequence[str],
    codecs: Sequence[str],
    channel: str,
    coherence: str | None,
    csi: str | None,
    equaliser: str | None,
    esno: str,
    ratio: str,
    mcs: str,
    realisations: int | None,
    metrics: Sequence[str],
    seed: int,
    out: Path,
    as_json: bool,
    samples: int | None = None,
    against: str | None = None,
    labels_of_codecs: Sequence[str] = (),
    eavesdropper: str | None = None,
    as_latex: bool = False,
) -> int:
    """`semlink compare`: everything is checked before anything is sent, and all files are written at the end.

    Returns:
        The exit status: 1 where pictures of a folder could not be read, which are named and left out.

    Raises:
        ValueError: an option that is refused; the message names it and what is allowed.
        OSError: a folder that cannot be written.
    """
    if as_json and as_latex:
        raise ValueError("--json and --latex: give one of them")
    levels = parse_esno(esno)
    check_count("--realisations", realisations, 1)
    check_count("--seed", seed, 0)
    measured = parse_metrics(metrics)
    over = make_channel(channel, coherence=coherence, csi=csi, equaliser=equaliser)
    names = with_eavesdropper(list(codecs) or default_codecs(over), eavesdropper)
    share = parse_ratio(ratio)
    chosen = make_codecs(names, ratio=share, mcs=mcs, channel=over)
    published = published_curves(names, words, channel=over)
    broken: list[str] = []
    images, labels = load_images(words, broken=broken), cache(partial(load_labels, tuple(words)))
    check_classes(chosen, labels, images)
    check_samples(samples, chosen)
    if against is not None and against not in chosen:
        raise ValueError(f"--against {against} must be one of the codecs that are compared: {', '.join(chosen)}")
    shown_as = parse_labels(labels_of_codecs, [*chosen, *(f"{PUBLISHED}{name}" for name in published)])
    frames = Frames()
    taken = try_codecs(chosen, images, esno_db=levels[0], frames=frames)
    _tell_cost(
        taken, {name: 1 if getattr(codec, "ignores_n0", False) else len(levels) for name, codec in chosen.items()}
    )
    listeners = [channel_of(codec, over) for codec in chosen.values()]
    repeats = realisations or max(usual_realisations(one, len(images)) for one in listeners)
    shown = plots.some(levels)
    with writable(out) as folder:
        with count_of("sending", len(chosen) * len(levels) * len(images) * repeats) as advance:
            outcome = compare(
                images,
                chosen,
                over,
                levels,
                realisations=repeats,
                seed=seed,
                pictures=shown,
                metrics=measured,
                labels=labels,
                sent=advance,
                frames=frames,
            )
        table = add_published(outcome.table, published, share)
        outcome = replace(outcome, table=table, against=against, labels=shown_as)
        sampled: dict[tuple[str, str, float], Spread] = {}
        if samples is not None:
            with progress_bar("sampling", len(samplers(chosen)) * len(shown)) as advance:
                sampled = spreads(images, chosen, over, shown, count=samples, seed=seed, progress=advance)
        fixed = any(map(_takes_mcs, chosen))
        files, received = write_comparison(outcome, mcs if fixed else None, folder, sampled)
        about = record(outcome, received, words=words, ratio=share, mcs=mcs)
        (folder / RECORD).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(_as_json(outcome, [str(out / name) for name in files], sampled), indent=2, allow_nan=False))
    elif as_latex:
        said = describe(outcome, mcs if fixed else None)
        print(results_table(outcome.table, said=said, labels=outcome.labels), end="")
    else:
        _print_comparison(outcome, [str(out / name) for name in files if "/" not in name], sampled)
    return _tell_broken(broken, len(images))


def _takes_mcs(codec: str) -> bool:
    """Whether a codec is a digital link, with receivers behind it or without, whose scheme is that of --mcs."""
    digital = parse_digital(split_listener(codec)[0].partition(JOINT)[0])
    return digital is not None and digital.takes_default


def _tell_cost(seconds: Mapping[str, float], times: Mapping[str, int]) -> None:
    """Before it starts, what will take long: codecs that take minutes to encode all images so many times."""
    for name, once in seconds.items():
        if once * times[name] >= LONG_S:
            minutes = once * times[name] / 60
            said = f"{name}: encoding takes about {minutes:.0f} min of processor time, by the first image of each size"
            make_console(stderr=True).print(said, soft_wrap=True)


def _tell_broken(broken: Sequence[str], good: int) -> int:
    console = make_console(stderr=True)
    for one in broken:
        console.print(f"left out: {one}", soft_wrap=True)
    if broken:
        console.print(f"{len(broken)} of {len(broken) + good} pictures could not be read", soft_wrap=True)
    return 1 if broken else 0


def add_published(table: pd.DataFrame, names: Sequence[str], ratio: float) -> pd.DataFrame:
    """Rows for published curves: of rate and distortion at capacity, where only a mean PSNR is known, or accuracies."""
    levels = sorted(set(table["esno_db"]))
    rows = [
        {**_unmeasured(table, name), **known}
        for name in names
        for known in (_printed(name) if name in PRINTED else _at_capacity(name, ratio, levels))
    ]
    return pd.concat([table, pd.DataFrame(rows, columns=table.columns)], ignore_index=True) if rows else table


def _unmeasured(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """What a published row has in common with those that were measured."""
    like = table.iloc[0]
    columns = ("channel", "spec", "csi", "coherence", "equaliser", "seed", "images")
    said = {column: like[column] for column in columns}
    return {**said, "codec": f"{PUBLISHED}{name}", "failed": 0, "realisations": 1}


def _at_capacity(name: str, ratio: float, levels: Sequence[float]) -> Iterator[dict[str, float]]:
    for level in levels:
        known = float(kodak_psnr_at_capacity(name, ratio, shannon(level)))
        yield {"esno_db": level, "ratio": ratio, "psnr_mean_db": known}


def _printed(name: str) -> Iterator[dict[str, float]]:
    """At the Es/N0 at which they were printed, and at the ratio of images of their own size."""
    curve = PRINTED[name]
    for level, share in zip(curve.esno_db, curve.accuracy, strict=True):
        yield {"esno_db": level, "ratio": curve.uses / curve.values, "accuracy": share}


@contextmanager
def writable(
    out: Path,
    *,
    stale: Sequence[str] = ("received", SENT, MARGINS, SHEET, THROUGHPUT),
    files: Sequence[str] = (*FILES, SHEET, MARGINS, THROUGHPUT),
) -> Iterator[Path]:
    """A folder to write to, whose files move to `out` when all has gone well; otherwise nothing is left behind.

    Args:
        out: the folder that they move to.
        stale: what an earlier run may have left there, and must not mix with this one's.
        files: what may be written there, and must not be a folder.

    Raises:
        OSError: `out` cannot be made or written, or holds a file or folder of another kind under a name it needs.
    """
    made = [path for path in (out, *out.parents) if not path.exists()]
    try:
        try:
            out.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".semlink-", dir=out))
        except OSError as error:
            why = "a file is there" if isinstance(error, FileExistsError) else error.strerror
            raise OSError(f"--out {out}: cannot be written ({why}); give a folder that can") from error
        try:
            _refuse_clashes(out, files)
            yield folder
            for path in map(out.joinpath, stale):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            for path in folder.iterdir():
                path.replace(out / path.name)
            made = []
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # whatever went wrong is the error to tell
            for path in made:
                path.rmdir()


def _refuse_clashes(out: Path, files: Sequence[str]) -> None:
    for name in files:
        if (out / name).is_dir():
            raise OSError(f"--out {out}: {name} is a folder there; give another folder")
    for name in ("received", SENT):
        if (out / name).exists() and not (out / name).is_dir():
            raise OSError(f"--out {out}: {name} is a file there; give another folder")


def write_comparison(
    outcome: Comparison, mcs: str | None, folder: Path, sampled: Sampled
) -> tuple[list[str], dict[tuple[str, str, float], str]]:
    """Write compare.csv and compare.png; where there are any contact.png, margins.csv, throughput.png and pictures.

    Returns:
        the names of all files, and which of them are what was received, by image, codec and Es/N0.
    """
    title = describe(outcome, mcs)
    outcome.table.to_csv(folder / "compare.csv", index=False)
    plots.draw_curves(outcome, title, folder / "compare.png")
    if outcome.pictures:
        plots.draw_contact_sheet(outcome, title, folder / SHEET)
    found = receiver_margins(outcome)
    if found:
        margin_table(found).to_csv(folder / MARGINS, index=False)
    early = heard(outcome.table, outcome.notes)
    if early:
        draw_throughput(outcome, title, folder / THROUGHPUT)
    shown = folder / "received"
    if outcome.pictures:
        shown.mkdir()
    number = {name: f"{i}-{_file_name(Path(name).stem)}" for i, name in enumerate(outcome.sent)}
    pictures = {(*key, ""): picture for key, picture in outcome.pictures.items()}
    for key, one in sampled.items():
        pictures |= {(*key, "_mean"): one.mean, (*key, "_spread"): one.spread}
    received: dict[tuple[str, str, float], str] = {}
    for (image, codec, level, end), picture in pictures.items():
        file = f"received/{number[image]}_{_file_name(codec)}_{level:g}dB{end}.png"
        plots.write_image(picture, folder / file)
        received |= {} if end else {(image, codec, level): file}
    if received:
        (folder / SENT).mkdir()
    for name in dict.fromkeys(image for image, _, _ in received):
        picture = pixels(outcome.sent[name])
        plots.write_image(picture, folder / sent_file(digest_of(picture)))
    written = sorted(f"{part}/{path.name}" for part in ("received", SENT) for path in (folder / part).glob("*"))
    return [
        *FILES,
        *[SHEET] * bool(outcome.pictures),
        *[MARGINS] * bool(found),
        *[THROUGHPUT] * bool(early),
        *written,
    ], received


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)


def describe(outcome: Comparison, mcs: str | None) -> str:
    """The conditions in one line: what a plot must state to be worth anything."""
    row = outcome.table.iloc[0]
    scheme = f", digital MCS {mcs}" if mcs else ""
    counts = f"images {row['images']} × realisations {row['realisations']}"
    tasks = bool(outcome.table["accuracy"].notna().any())
    least, most = (as_fraction(end) for end in (outcome.table["ratio"].min(), outcome.table["ratio"].max()))
    ratio = f"ratio {least}" if least == most else f"ratio {least} to {most}"  # a receiver's answers may end one early
    ratio = "ratio of each curve beside its name" if tasks else ratio
    return f"{row['spec']}; {ratio}{scheme}; {counts}"


def _print_comparison(outcome: Comparison, files: Sequence[str], sampled: Sampled) -> None:
    console = make_console()
    table = outcome.table
    if table["accuracy"].notna().any():
        title = "accuracy in % (95 % interval); failed images of those sent"
        console.print(by_codec(outcome, title, partial(share_cell, "accuracy")))
    if table["top5"].notna().any():
        title = "class among the five likeliest in % (95 % interval)"
        console.print(by_codec(outcome, title, partial(share_cell, "top5")))
    if table["accuracy"].isna().any():
        title = "PSNR in dB from the mean squared error (95 % interval); failed images of those sent"
        console.print(by_codec(outcome, title, psnr_cell))
        if not is_one_average(table):
            console.print(by_codec(outcome, "mean of the images' PSNR in dB (95 % interval)", mean_psnr_cell))
    for metric in outcome.metrics:
        title = f"{METRICS[metric].label} (95 % interval); lower is better"
        console.print(by_codec(outcome, title, partial(distance_cell, column_of(metric))))
    if heard(table, outcome.notes):
        title = "channel uses an image: mean, and what 95 % do not exceed; bits that arrived per channel use"
        console.print(by_codec(outcome, title, spending_cell))
    for margins in printed(outcome, receiver_margins(outcome)):
        console.print(margins)
    if (np.isfinite(table["psnr_db"]) & table["psnr_db_low"].isna()).any():
        console.print(NONE_KNOWN, soft_wrap=True)
    for codec, rows in outcome.table.groupby("codec", sort=False):
        if table["accuracy"].notna().any():
            uses = f"ratio {as_fraction(float(rows['ratio'].mean()))} of channel uses per image value"
            console.print(f"{codec}: {uses}", soft_wrap=True)
        cliff = find_cliff(rows)
        if cliff is not None:
            console.print(f"{codec}: {cliff}: below it more than half of the images fail", soft_wrap=True)
        if turned := turned_round(rows):
            console.print(f"{codec}: {turned}", soft_wrap=True)
        if split_listener(str(codec))[1] is not None:  # of what is sent, all has been said
            continue
        if np.isfinite(rows["papr_db"]).any():
            papr = f"{codec}: peak-to-average power of the symbols {rows['papr_db'].mean():.1f} dB"
            console.print(papr, soft_wrap=True)
        if ledger := spent(rows):
            console.print(f"{codec}: {ledger}", soft_wrap=True)
        if np.isfinite(rows["source_share"]).any():
            console.print(f"{codec}: {coded_bits(rows)}", soft_wrap=True)
        for topic, notes in outcome.notes.get(str(codec), {}).items():
            console.print(f"{codec}: {topic}: {'; or: '.join(notes)}", soft_wrap=True)
    for line in describe_spreads(sampled):
        where = f"; received/*_mean.png and *_spread.png, {BRIGHTNESS} times as bright"
        console.print(line + where, soft_wrap=True)
    console.print("written: " + ", ".join(files), soft_wrap=True)


def _as_json(outcome: Comparison, files: Sequence[str], sampled: Sampled) -> dict[str, object]:
    rows = [for_json(row) for row in outcome.table.to_dict(orient="records")]
    cliffs = {str(codec): find_cliff(of) for codec, of in outcome.table.groupby("codec", sort=False)}
    told: dict[str, object] = {"rows": rows, "cliff_db": cliffs, "notes": outcome.notes, "files": list(files)}
    beyond = [for_json(asdict(one)) for one in receiver_margins(outcome)]
    spread = [
        {"image": image, "codec": codec, "esno_db": level, "spread": one.average, "most": one.most}
        for (image, codec, level), one in sampled.items()
    ]
    return told | ({"margins": beyond} if beyond else {}) | ({"samples": spread} if spread else {})
