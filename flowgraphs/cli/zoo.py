"""`semlink zoo`: what was trained, on what, and how well it does."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from semlink.flowgraphs.comparison import as_fraction, count_figures, make_console, measure_figures, progress_bar
from semlink.neural import zoo
from semlink.neural.diffusion import ReceiverCard, find_receiver, receiver_cards

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


def run_zoo(*, measure: str | None, as_json: bool) -> None:
    """`semlink zoo`."""
    if measure is not None:
        with progress_bar("measuring", count_figures(measure)) as advance:
            measure_figures(measure, advance)
    cards = {f"zoo:{name}": card for name, card in zoo.cards().items()}
    if measure is not None and measure.endswith(zoo.WEIGHTS):
        cards = {measure: zoo.run_card(measure), **cards}
    if as_json:
        receivers = receiver_cards().values()
        print(json.dumps([asdict(card) for card in cards.values()] + [asdict(card) for card in receivers], indent=2))
        return
    console = make_console()
    for place, card in cards.items():
        megabytes = zoo.find_weights(place).stat().st_size / 1e6
        told = f": {card.codec}, ratio {card.offer}, {card.parameters:,} parameters, {megabytes:.2f} MB"
        console.print(Text.assemble((card.name, "bold"), told), soft_wrap=True)
        console.print(
            f"  data: {card.data}\n  channel: {card.channel}\n  trained by: {card.command}\n  SHA-256: {card.sha256}\n"
            f"  {'measured' if card.figures else 'not measured yet on CIFAR-10; to be measured'} by: "
            f"semlink zoo --measure {place.removeprefix('zoo:')}, at ratio {as_fraction(card.ratio)}",
            soft_wrap=True,
        )
        for condition, figures in card.figures.items():
            values = ", ".join(f"{level} dB: {value:.2f}" for level, value in figures.items())
            console.print(f"  PSNR in dB, {condition}: {values}", soft_wrap=True)
    _print_receivers(console)


def _print_receivers(console: Console) -> None:
    """The receivers that ship, each with its card and its figures."""
    cards = receiver_cards().values()
    if not cards:
        console.print("No receivers ship with this version.")
        return
    table = Table(title="Receivers: CODEC+NAME in `semlink compare --codec`")
    for name in ("name", "network", "behind", "parameters", "MB", "channel"):
        table.add_column(name, justify="right" if name in ("parameters", "MB") else "left")
    for card in cards:
        size = find_receiver(card.name)[1].stat().st_size / 1e6
        codec = card.codec.removeprefix("zoo:")
        table.add_row(card.name, card.model, codec, f"{card.parameters:,}", f"{size:.2f}", card.channel)
    console.print(table)
    for card in cards:
        _print_card(card, console)


def _print_card(card: ReceiverCard, console: Console) -> None:
    console.print(card.name, style="bold", soft_wrap=True)
    console.print(
        f"  data: {card.data}\n  trained by: {card.command}\n  SHA-256: {card.sha256}\n"
        f"  measured by: semlink zoo --measure {card.name}, behind {card.codec.removeprefix('zoo:')} at ratio 1/6",
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
