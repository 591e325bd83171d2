"""Figures of a trained model or receiver: what it reaches on the CIFAR-10 test set, over Es/N0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison.comparison import Comparison, compare
from semlink.flowgraphs.comparison.margins import change_percent, psnr_margin
from semlink.flowgraphs.comparison.tally import column_of
from semlink.flowgraphs.specs import DEFAULT_MCS, make_codecs
from semlink.neural import zoo
from semlink.neural.diffusion import ReceiverCard, keep_receiver_card, receiver_cards
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec
from semlink.phy.metrics import METRICS, Estimate, MissingWeightsError
from semlink.phy.sources import cifar10

ESNO_DB = (0, 2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18, 20)
CONDITIONS: Mapping[str, Channel] = {
    "CIFAR-10 test, AWGN": AWGN(),
    "CIFAR-10 test, Rayleigh block, perfect CSI": Rayleigh("block"),
    "CIFAR-10 test, Rayleigh fast, perfect CSI": Rayleigh("fast"),
}
RECEIVER_ESNO_DB = (0, 5, 10, 15)
RECEIVER_IMAGES = 2000
"""The first ones of the test set: margins are paired, and need no more."""
RECEIVER_CONDITIONS: Mapping[str, Channel] = {
    label.replace("test", f"test, the first {RECEIVER_IMAGES}"): channel
    for label, channel in list(CONDITIONS.items())[:2]
}
CONTROL = "cnn"  # how the plain control's name begins, before that of its codec

Images = Float[Tensor, "b c h w"]
Curves = dict[str, dict[str, float]]


def psnr_curve(
    codec: Codec,
    channel: Channel,
    images: Images,
    esno_db: Sequence[float],
    *,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """PSNR in dB, from the mean squared error over all images, by Es/N0 in dB; one realisation an image, seed 0."""
    table = compare(named(images), {"codec": codec}, channel, esno_db, progress=progress).table
    return {f"{level:g}": round(psnr, 3) for level, psnr in zip(table["esno_db"], table["psnr_db"], strict=True)}


def measure_figures(name: str, progress: Callable[[], None] = lambda: None) -> None:
    """Measure a model or a receiver on all of the CIFAR-10 test set and write the figures to its card in the package.

    Args:
        name: of a card, of a codec or of a receiver.
        progress: called after each of `count_figures`.

    Raises:
        ValueError: no such card, or CIFAR-10 is not to be had.
    """
    known = [*zoo.cards(), *receiver_cards()]
    if name not in known and not name.endswith(zoo.WEIGHTS):
        raise ValueError(f"--measure {name!r} must be FILE{zoo.WEIGHTS} of a training, or one of: {', '.join(known)}")
    if name not in receiver_cards():
        measure_card(name, progress)
    else:
        measure_receiver_card(name, cifar10("test")[:RECEIVER_IMAGES], progress)


def count_figures(name: str) -> int:
    """How often `measure_figures` reports its progress; 0 for an unknown name."""
    if name in zoo.cards() or name.endswith(zoo.WEIGHTS):
        return len(CONDITIONS) * len(ESNO_DB)
    card = receiver_cards().get(name)
    return len(RECEIVER_CONDITIONS) * len(RECEIVER_ESNO_DB) * len(_contestants(card)) if card else 0


def measure_card(name: str, progress: Callable[[], None] = lambda: None) -> zoo.Card:
    """Measure a codec on all of the CIFAR-10 test set and write the figures to its card, in the package or of a run."""
    codec, images = zoo.load(name), cifar10("test")
    figures = {
        label: psnr_curve(codec, channel, images, ESNO_DB, progress=progress) for label, channel in CONDITIONS.items()
    }
    if name.endswith(zoo.WEIGHTS):
        card = replace(zoo.run_card(name), figures=figures)
        zoo.write_card(card, Path(name).parent)
        return card
    card = replace(zoo.cards()[name], figures=figures)
    with resources.as_file(resources.files(zoo.PACKAGE)) as folder:
        zoo.write_card(card, Path(folder))
    return card


def measure_receiver_card(name: str, images: Images, progress: Callable[[], None] = lambda: None) -> ReceiverCard:
    """Measure a receiver that ships behind the codec it was trained with, and write the figures to its card.

    For each of `RECEIVER_CONDITIONS` and by Es/N0: `psnr_db` and, where the metric is installed, `st_lpips`, of the
    receiver, of the codec alone (`codec_…`) and of the plain control behind the same codec (`control_…`) if that ships;
    `margin_db` over the codec alone and `control_margin_db`, with the ends of their 95 % intervals (`…_low`, `…_high`),
    and likewise `st_lpips_change_percent` and `control_st_lpips_change_percent`. One realisation an image, seed 0.
    """
    card = receiver_cards()[name]
    contestants = _contestants(card)
    codecs = {
        role: make_codecs([text], ratio=1 / 6, mcs=DEFAULT_MCS, channel=AWGN())[text]
        for role, text in contestants.items()
    }
    metrics, sent = installed_metrics(), named(images)
    figures = {}
    for label, channel in RECEIVER_CONDITIONS.items():
        outcome = compare(sent, codecs, channel, RECEIVER_ESNO_DB, metrics=metrics, progress=progress)
        figures[label] = _figures(outcome)
    measured = replace(card, figures=figures)
    keep_receiver_card(measured)
    return measured


def _contestants(card: ReceiverCard) -> dict[str, str]:
    """What is measured, by its part: the receiver, the codec alone, and the control if it is another one."""
    codec = card.codec.removeprefix("zoo:")
    control = CONTROL + "".join(card.name.partition("-")[1:])  # of sft-swin-perceptual, cnn-swin-perceptual
    shown = {"receiver": f"{codec}+{card.name}", "codec": codec}
    known = receiver_cards()
    if control != card.name and control in known and known[control].codec == card.codec:
        shown["control"] = f"{codec}+{control}"
    return shown


def _figures(outcome: Comparison) -> Curves:
    """The quantities of `measure_receiver_card`, by Es/N0."""
    curves: Curves = {}
    metrics = [column_of(name) for name in outcome.metrics]
    for row in outcome.table.to_dict(orient="records"):
        prefix = "" if row["codec"] == "receiver" else f"{row['codec']}_"
        for quantity in ("psnr_db", *metrics):
            curves.setdefault(prefix + quantity, {})[f"{row['esno_db']:g}"] = round(float(row[quantity]), 4)
    for other in dict.fromkeys(name for name, _ in outcome.errors if name != "receiver"):
        prefix = "" if other == "codec" else f"{other}_"
        for level in RECEIVER_ESNO_DB:
            found = psnr_margin(outcome.errors["receiver", level], outcome.errors[other, level])
            _keep(curves, f"{prefix}margin_db", level, found)
            for name in outcome.metrics:
                pair = (outcome.distances[name, one, level] for one in ("receiver", other))
                _keep(curves, f"{prefix}{column_of(name)}_change_percent", level, change_percent(*pair))
    return curves


def _keep(curves: Curves, quantity: str, level: float, found: Estimate) -> None:
    for end, value in (("", found.value), ("_low", found.low), ("_high", found.high)):
        curves.setdefault(quantity + end, {})[f"{level:g}"] = round(value, 4)


def installed_metrics() -> list[str]:
    """ST-LPIPS where it is installed."""
    try:
        METRICS["st-lpips"].load()
    except MissingWeightsError:
        return []
    return ["st-lpips"]


def named(images: Images) -> dict[str, Tensor]:
    """Images by their number, (1, c, h, w) each."""
    return {str(i): images[i : i + 1] for i in range(len(images))}
