"""`semlink bench heads`: tasks that the transmitter does not know, by heads at the receiver."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from rich.table import Table
from torch import Tensor, nn

from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.specs import make_codecs
from semlink.neural.classifiers import LabelCodec, TaskLink
from semlink.phy.channels import AWGN
from semlink.phy.link import Codec, InformedCodec, Received, esno_to_n0
from semlink.phy.metrics import error_rate
from semlink.phy.rng import image_rngs
from semlink.phy.sources import cifar10, cifar10_labels, cifar100, cifar100_labels

ANIMALS = (2, 3, 4, 5, 6, 7)
"""Of CIFAR-10's classes."""
HEAD_LINKS = ("task", "label:task", "label:resnet56")
"""What is compared where nothing is said: all made for the ten classes of CIFAR-10."""
AT_ONCE = 250
DECAY, ROUNDS = 1e-3, 60  # of the heads, by L-BFGS


@dataclass(frozen=True)
class HeadRow:
    """One link and task.

    Attributes:
        link: its name.
        task: what the receiver wants to know.
        classes: of it.
        uses: channel uses of an image.
        multiply_adds: at the transmitter.
        right: images of the test set that were classified right by a head that was trained on receptions.
        images: of how many.
    """

    link: str
    task: str
    classes: int
    uses: int
    multiply_adds: int
    right: int
    images: int


@dataclass(frozen=True)
class _Task:
    """Images of the splits "train" and "test", and what is to be known of them."""

    name: str
    images: Callable[[Literal["train", "test"]], Tensor]
    labels: Callable[[Literal["train", "test"]], Tensor]


def run_heads(*, links: Sequence[str], esno_db: float, train: int, images: int, as_json: bool = False) -> list[HeadRow]:
    """Train a linear head for each task on what each link delivers, test it, and print the table.

    Args:
        links: codecs by name that deliver features or a label.
        esno_db: over AWGN, in training and test.
        train: images that the heads are trained on.
        images: of the test sets, the first ones.

    Raises:
        ValueError: a link that delivers neither features nor a label, or data that are not to be had.
    """
    made = make_codecs(links, ratio=1 / 6, mcs="", channel=AWGN())
    codecs = {name: _checked(name, codec) for name, codec in made.items()}
    counts: Mapping[Literal["train", "test"], int] = {"train": train, "test": images}
    rows, kept = [], dict[tuple[str, object], list[Tensor]]()
    for task in one_by_one(_TASKS, named=lambda one: one.name):
        wanted, labels = (task.labels(split)[:count] for split, count in counts.items())
        for name, codec in codecs.items():
            if (name, task.images) not in kept:  # tasks of the same images share what is delivered of them
                parts = [task.images(split)[:count] for split, count in counts.items()]
                kept[name, task.images] = [_delivered(codec, part, esno_db) for part in parts]
            seen, tested = kept[name, task.images]
            right = int((fit_head(seen, wanted)(tested).argmax(dim=1) == labels).sum())
            classes, cost = int(wanted.max()) + 1, _multiply_adds(codec)
            rows.append(HeadRow(name, task.name, classes, codec.uses, cost, right, len(labels)))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        make_console().print(heads_table(rows, esno_db, train))
    return rows


def heads_table(rows: Sequence[HeadRow], esno_db: float, train: int) -> Table:
    """Accuracy in % by link and task, with 95 % intervals."""
    title = f"Accuracy in % of heads at the receiver, trained on {train} receptions, AWGN {esno_db:g} dB"
    table = Table(title=title, caption="CIFAR-100's training images are AVIF at 42 dB, its test images lossless")
    tasks = list(dict.fromkeys((row.task, row.classes) for row in rows))
    for head in ("link", "uses", "M multiply-adds sent by", *(f"{task}, {classes} classes" for task, classes in tasks)):
        table.add_column(head, justify="left" if head == "link" else "right")
    for link in dict.fromkeys(row.link for row in rows):
        own = {row.task: row for row in rows if row.link == link}
        one = next(iter(own.values()))
        table.add_row(link, str(one.uses), f"{one.multiply_adds / 1e6:.2f}", *(_told(own[task]) for task, _ in tasks))
    return table


def fit_head(features: Float[Tensor, "n f"], labels: Int[Tensor, " n"]) -> Callable[[Float[Tensor, "b f"]], Tensor]:
    """A linear classifier on features, each scaled to variance 1, by cross-entropy with a little decay."""
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    scaled, layer = (features - mean) / std, nn.Linear(features.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = nn.functional.cross_entropy(layer(scaled), labels) + DECAY * layer.weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    layer.requires_grad_(False)
    return lambda given: layer((given - mean) / std)


def _checked(name: str, codec: Codec | InformedCodec) -> TaskLink | LabelCodec:
    if not isinstance(codec, TaskLink | LabelCodec):
        raise ValueError(f"link {name}: delivers neither features nor a label; give task or label:TEACHER")
    return codec


def _delivered(codec: TaskLink | LabelCodec, images: Float[Tensor, "n 3 h w"], esno_db: float) -> Float[Tensor, "n f"]:
    """What a receiver has of each image: the features, or how likely each label is."""
    n0, parts = esno_to_n0(esno_db), []
    for image in torch.split(images, AT_ONCE):
        received = AWGN()(codec.encode(image, n0).symbols, n0, rng=image_rngs(0, image))
        parts.append(_seen(codec, received))
    return torch.cat(parts)


def _seen(codec: TaskLink | LabelCodec, received: Received) -> Tensor:
    if isinstance(codec, LabelCodec):
        return codec.decode(received).image.softmax(dim=1)
    with torch.no_grad():
        return codec.see_received(received.unbiased()).features


def _multiply_adds(codec: TaskLink | LabelCodec) -> int:
    if isinstance(codec, LabelCodec):
        return codec.teacher.multiply_adds
    return codec.multiply_adds["transmitter"]


def _told(row: HeadRow) -> str:
    share = error_rate(row.right, row.images)
    return f"{100 * share.value:.1f} ± {50 * (share.high - share.low):.1f}"


def _animals(split: Literal["train", "test"]) -> Int[Tensor, " n"]:
    return torch.isin(cifar10_labels(split), torch.tensor(ANIMALS)).long()


_TASKS: Sequence[_Task] = (
    _Task("CIFAR-10, the task of all", cifar10, cifar10_labels),
    _Task("animal or vehicle", cifar10, _animals),
    _Task("CIFAR-100, coarse", cifar100, lambda split: cifar100_labels(split, coarse=True)[0]),
    _Task("CIFAR-100, fine", cifar100, lambda split: cifar100_labels(split)[0]),
)
