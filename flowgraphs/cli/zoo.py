"""`semlink zoo`: what was trained, on what, and how well it does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from semlink.flowgraphs.comparison import as_fraction, count_figures, make_console, measure_figures, progress_bar
from semlink.neural import zoo
from semlink.neural.diffusion import ReceiverCard, find_receiver, receiver_cards
from semlink.phy.named import meant

ROWS = {
    "psnr_db": "PSNR (dB)",
    "codec_psnr_db": "of the codec alone",
    "control_psnr_db": "of the control",
    "margin_db": "above the codec alone (dB)",
    "control_margin_db": "above the control (dB)",
    "st_lpips": "ST-LPIPS",
    "codec_st_lpips": "of the codec alone",
    "st_lpips_change_percent": "against the codec alone (%)",
    "control_st_lpips_change_percent": "against the control (%)",
}
"""What of a card's figures is shown, and how it is called."""

SHOWN = "CIFAR-10 test, AWGN"
"""Whose figures are in the table of all networks."""
LEVELS = ("0", "10", "20")
"""The Es/N0 of that table, in dB."""


def run_zoo(names: Sequence[str] = (), *, measure: str | None, as_json: bool) -> None:
    """`semlink zoo`.

    Raises:
        ValueError: a name that none of the cards has.
    """
    if measure is not None:
        with progress_bar("measuring", count_figures(measure)) as advance:
            measure_figures(measure, advance)
    wanted = [*names, *([measure] if measure is not None and measure not in names else [])]
    cards = {f"zoo:{name}": card for name, card in zoo.cards().items()}
    cards = {name: zoo.run_card(name) for name in wanted if name.endswith(zoo.WEIGHTS)} | cards
    receivers = receiver_cards()
    if as_json:
        if names:
            cards, receivers = _named(names, cards, receivers)
        told = [asdict(card) for card in cards.values()] + [asdict(one) for one in receivers.values()]
        print(json.dumps(told, indent=2))
        return
    console = make_console()
    if not wanted:
        _print_all(cards, receivers, console)
        return
    cards, receivers = _named(wanted, cards, receivers)
    for place, card in cards.items():
        _print_network(place, card, console)
    for receiver in receivers.values():
        _print_receiver(receiver, console)


def _named(
    names: Sequence[str], cards: dict[str, zoo.Card], receivers: dict[str, ReceiverCard]
) -> tuple[dict[str, zoo.Card], dict[str, ReceiverCard]]:
    """The cards that are called so, or are of a codec or a kind of receiver that is called so."""
    calls = {place: {place.removeprefix("zoo:"), card.codec} for place, card in cards.items()}
    calls |= {name: {name, card.model, name.partition("-")[0]} for name, card in receivers.items()}
    for name in names:
        if not any(name in called for called in calls.values()):
            known = list(dict.fromkeys(one.removeprefix("zoo:") for one in calls))
            allowed = f"FILE{zoo.WEIGHTS} of a training, or one of: {', '.join(known)}"
            raise ValueError(f"name {name!r}{meant(name, known)} must be {allowed}")
    found = {one for one, called in calls.items() if called & set(names)}
    return (
        {one: card for one, card in cards.items() if one in found},
        {one: card for one, card in receivers.items() if one in found},
    )


def _print_all(cards: dict[str, zoo.Card], receivers: dict[str, ReceiverCard], console: Console) -> None:
    """A line each."""
    table = Table(title="Networks: PSNR in dB by Es/N0, CIFAR-10's test set, AWGN")
    for name in ("name", "ratio"):
        table.add_column(name, overflow="fold")
    for name in ("parameters", *(f"{level} dB" for level in LEVELS)):
        table.add_column(name, justify="right", overflow="fold")
    for card in cards.values():
        figures = card.figures.get(SHOWN, {})
        cells = (f"{figures[level]:.2f}" if level in figures else "" for level in LEVELS)
        table.add_row(card.name, card.offer, f"{card.parameters:,}", *cells)
    console.print(table)
    for card in cards.values():
        if card.ratios and SHOWN in card.figures:
            console.print(f"{card.name}: PSNR at ratio {as_fraction(card.ratio)}", soft_wrap=True)
    if receivers:
        table = Table(title="Receivers: CODEC+NAME in `semlink compare --codec`")
        for name in ("name", "network", "behind", "parameters"):
            table.add_column(name, justify="right" if name == "parameters" else "left", overflow="fold")
        for one in receivers.values():
            table.add_row(one.name, one.model, one.codec.removeprefix("zoo:"), f"{one.parameters:,}")
        console.print(table)
    else:
        console.print("No receivers ship with this version.")
    console.print(
        "`semlink zoo NAME` tells data, channel, training command, hash and all figures of one.", soft_wrap=True
    )


def _print_network(place: str, card: zoo.Card, console: Console) -> None:
    megabytes = zoo.find_weights(place).stat().st_size / 1e6
    told = f": {card.codec}, ratio {card.offer}, {card.parameters:,} parameters, {megabytes:.2f} MB"
    console.print(Text.assemble((card.name, "bold"), told), soft_wrap=True)
    console.print(
        f"  data: {card.data}\n  channel: {card.channel}\n  trained by: {card.command}\n  SHA-256: {card.sha256}\n"
        f"  {'measured' if card.figures else 'not measured yet on CIFAR-10; to be measured'} by: "
        f"semlink zoo --measure {place.removeprefix('zoo:')}, at ratio {as_fraction(card.ratio)}",
        soft_wrap=True,
    )
    if not card.figures:
        return
    table = Table(title=f"{card.name}: PSNR in dB")
    table.add_column("Es/N0 (dB)", justify="right")
    for condition in card.figures:
        table.add_column(condition, justify="right")
    for level in next(iter(card.figures.values())):
        cells = (figures.get(level) for figures in card.figures.values())
        table.add_row(level, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    console.print(table)


def _print_receiver(card: ReceiverCard, console: Console) -> None:
    size = find_receiver(card.name)[1].stat().st_size / 1e6
    codec = card.codec.removeprefix("zoo:")
    told = f": {card.model} behind {codec}, {card.parameters:,} parameters, {size:.2f} MB"
    console.print(Text.assemble((card.name, "bold"), told), soft_wrap=True)
    console.print(
        f"  data: {card.data}\n  channel: {card.channel}\n  trained by: {card.command}\n  SHA-256: {card.sha256}\n"
        f"  measured by: semlink zoo --measure {card.name}, behind {codec} at ratio 1/6",
        soft_wrap=True,
    )
    for condition, curves in card.figures.items():
        table = Table(title=f"{card.name}, {condition}")
        table.add_column("")
        levels = list(next(iter(curves.values()), {}))
        for level in levels:
            table.add_column(f"{level} dB", justify="right")
        for quantity, label in ROWS.items():
            if quantity in curves:
                table.add_row(label, *(_cell(card, condition, quantity, level) for level in levels))
        console.print(table)


def _cell(card: ReceiverCard, condition: str, quantity: str, level: str) -> str:
    """Nothing where the card has no such figure."""
    curves = card.figures[condition]
    value, low, high = (curves.get(f"{quantity}{end}", {}).get(level) for end in ("", "_low", "_high"))
    if value is None:
        return ""
    if low is None or high is None:
        return f"{value:.4f}" if "lpips" in quantity else f"{value:.2f}"
    return f"{value:+.2f} ({low:+.2f} … {high:+.2f})"
