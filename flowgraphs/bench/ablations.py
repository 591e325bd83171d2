"""`semlink bench task`: what each part of the task codec is worth, all trained alike, in one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.specs import FeatureLink, make_codecs
from semlink.neural.classifiers import LabelCodec, TaskLink, load_task
from semlink.neural.training import KEPT, Settings, read_recipe, train
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.documents import write_whole
from semlink.phy.link import Channel, Codec, InformedCodec, Link
from semlink.phy.metrics import error_rate
from semlink.phy.rng import image_rngs
from semlink.phy.sources import cifar10, cifar10_labels

PLACES: Mapping[str, tuple[Channel, float]] = {
    "awgn -10": (AWGN(), -10.0),
    "awgn 0": (AWGN(), 0.0),
    "awgn 10": (AWGN(), 10.0),
    "rayleigh:16 0": (Rayleigh(16), 0.0),
    "rayleigh:16 10": (Rayleigh(16), 10.0),
}
"""Where accuracy is measured: a channel and an Es/N0 in dB."""
LABELS_ALONE: Mapping[str, Any] = {"teacher": "", "loss": {"labels": 1.0}}
AT_ONCE = 250


@dataclass(frozen=True)
class Arm:
    """A way to train the task codec.

    Attributes:
        name: what the table calls it.
        both: settings of both stages that differ from the recipes'.
        second: of the second stage alone; None where there is none.
    """

    name: str
    both: Mapping[str, Any]
    second: Mapping[str, Any] | None


ARMS = (
    Arm("whole", {}, {}),
    Arm("not distilled", LABELS_ALONE, {}),
    Arm("without stage 2", {}, None),
    Arm("not told the noise", {}, {"network": {"told": False}}),
    Arm("no CSI at the receiver", {}, {"network": {"told": False, "csi": False}}),
    Arm("paper's codec, mended", {"model": "task-paper"}, {}),
)
"""What is trained. Beside these stand the student's own label and its features as bits."""
OPPONENTS = (
    "label:{}",
    "features-ldpc-qam:adaptive,teacher={},bits=2,uses=32",
    "features-ldpc-qam:adaptive,teacher={},bits=3,uses=128",
)
"""Links of the student that was distilled, without stage 2; `{}` is its weights file."""


@dataclass(frozen=True)
class Row:
    """One link of the table.

    Attributes:
        name: of the arm or opponent.
        seed: of the training.
        uses: channel uses of an image.
        multiply_adds: at the transmitter.
        right: images that were classified right, by place.
        images: of how many.
    """

    name: str
    seed: int
    uses: int
    multiply_adds: int
    right: Mapping[str, int]
    images: int


def run_ablations(
    out: Path,
    *,
    first: Path,
    second: Path,
    steps: tuple[int, int],
    seeds: Sequence[int],
    images: int,
    batch: int | None = None,
    as_json: bool = False,
) -> list[Row]:
    """Train what is not trained yet, resumable, measure all, write `out/ablations.json` and print the table.

    Args:
        out: folder of the trainings.
        first: recipe of the first stage.
        second: recipe of the second.
        steps: of the two stages, for every arm alike.
        seeds: of the trainings.
        images: of CIFAR-10's test set, the first ones.
        batch: images a step; None for the recipes' own.

    Raises:
        ValueError: a recipe that is none of a task codec, or data that are not to be had.
    """
    changes = {} if batch is None else {"batch": batch}
    recipes = read_recipe(first, changes), read_recipe(second, changes)
    if tuple(recipe.task for recipe in recipes) != ("distil", "robust"):
        raise ValueError(f"--first {first} and --second {second} must be recipes of task distil and robust")
    rows = [row for seed in seeds for row in _rows_of(out, recipes, steps, seed, images)]
    write_whole(out / "ablations.json", json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        make_console().print(ablation_table(rows, steps, recipes[0].batch))
    return rows


def ablation_table(rows: Sequence[Row], steps: tuple[int, int], batch: int) -> Table:
    """Accuracy in % over all seeds, with the lowest and highest where there are several."""
    length = " + ".join(f"{count:,}" for count in steps)
    seeds = len({row.seed for row in rows})
    trained = f"{length} steps of {batch} images each, {seeds} seed{'s' * (seeds > 1)}"
    table = Table(title=f"Accuracy in %, {trained}, on {rows[0].images} images")
    for head in ("link", "uses", "M multiply-adds sent by", *PLACES):
        table.add_column(head, justify="left" if head == "link" else "right")
    for name in dict.fromkeys(row.name for row in rows):
        own = [row for row in rows if row.name == name]
        cells = [_share([row.right[place] for row in own], own[0].images) for place in PLACES]
        table.add_row(name, str(own[0].uses), f"{own[0].multiply_adds / 1e6:.2f}", *cells)
    return table


def _share(right: Sequence[int], images: int) -> str:
    shares = [100 * one / images for one in right]
    mean = sum(shares) / len(shares)
    if len(shares) > 1:
        return f"{mean:.1f} ({min(shares):.1f}-{max(shares):.1f})"
    spread = error_rate(right[0], images)
    return f"{mean:.1f} ± {50 * (spread.high - spread.low):.1f}"


def _rows_of(
    out: Path, recipes: tuple[Settings, Settings], steps: tuple[int, int], seed: int, images: int
) -> Iterator[Row]:
    distilled = ""
    for arm in one_by_one(ARMS, named=lambda one: one.name):
        stage = _trained(out, _settings(recipes[0], arm.both, steps[0], seed), _folder(arm.both))
        distilled = distilled or str(stage)
        path = stage
        if arm.second is not None:
            both = {**arm.both, **arm.second, "init": str(stage)}
            path = _trained(out, _settings(recipes[1], both, steps[1], seed), f"{_folder(both)}-2")
        trained = load_task(path)
        yield _measured(arm.name, trained, trained.uses, trained.multiply_adds["transmitter"], seed, images)
    student = load_task(distilled).multiply_adds["student"]
    names = {form.format(distilled): form.format("STUDENT") for form in OPPONENTS}
    links = make_codecs(list(names), ratio=1 / 6, mcs="", channel=AWGN())
    for name, link in links.items():
        assert isinstance(link, LabelCodec | FeatureLink)
        yield _measured(names[name], link, link.uses, student, seed, images)


def _settings(recipe: Settings, changed: Mapping[str, Any], steps: int, seed: int) -> Settings:
    warmup = max(1, min(recipe.warmup, steps // 10))
    lasting = {"checkpoint_every": min(recipe.checkpoint_every, steps), "validate_every": steps}
    ema = min(recipe.ema, 1 - 10 / steps) if steps > 10 else 0.0
    return replace(recipe, **{"steps": steps, "warmup": warmup, "seed": seed, "ema": ema, **lasting, **changed})


def _folder(changed: Mapping[str, Any]) -> str:
    """A name for what differs from the recipe, but for where it starts from."""
    words = [str(changed["model"])] if "model" in changed else ["task"]
    words += ["labels"] if "loss" in changed else []
    network = changed.get("network", {})
    words += [] if network.get("told", True) else ["untold" if network.get("csi", True) else "blind"]
    return "-".join(words)


def _trained(out: Path, settings: Settings, name: str) -> Path:
    """The weights of a training, in a folder of its own; what is there already is not trained again."""
    folder = out / f"{name}-{settings.steps}x{settings.batch}-{settings.seed}"
    done = folder / f"{settings.name}.safetensors"
    if done.is_file():
        return done
    shared, own = out / KEPT, folder / KEPT
    folder.mkdir(parents=True, exist_ok=True)
    if settings.teacher and shared.is_file() and not own.is_file():
        shutil.copyfile(shared, own)  # the teacher is asked once for all
    path = train(settings, folder)
    if settings.teacher and not shared.is_file():
        shutil.copyfile(own, shared)
    return path


def _measured(
    name: str, codec: Codec | InformedCodec | TaskLink, uses: int, multiply_adds: int, seed: int, images: int
) -> Row:
    right = {place: _right(codec, channel, esno_db, images) for place, (channel, esno_db) in PLACES.items()}
    return Row(name, seed, uses, multiply_adds, right, images)


def _right(codec: Codec | InformedCodec | TaskLink, channel: Channel, esno_db: float, images: int) -> int:
    link, total = Link(codec, channel), 0
    tested = (torch.split(part[:images], AT_ONCE) for part in (cifar10("test"), cifar10_labels("test")))
    for image, label in zip(*tested, strict=True):
        got = link(image, esno_db, rng=image_rngs(0, image))
        total += int((got.image.argmax(dim=1) == label).sum())
    return total
