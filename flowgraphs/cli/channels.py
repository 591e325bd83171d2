"""`semlink channels`: what --channel takes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console

from semlink.phy.channels import CHANNELS, STAGES, UNITS, Entry, Option


def run_channels(*, as_json: bool) -> None:
    """Print the channels and the stages with their options."""
    if as_json:
        tables = {"channels": CHANNELS, "stages": STAGES}
        told = {kind: {name: entry.as_table() for name, entry in table.items()} for kind, table in tables.items()}
        print(json.dumps(told, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    console.print("NAME[:OPTION,...][+STAGE[:OPTION,...]]; an option is key=value, or a word in quotes alone.\n")
    for title, entries in (("channels", CHANNELS), ("stages, after a +", STAGES)):
        console.print(title, style="bold")
        for line in _lines(entries):
            console.print(line)


def _lines(entries: Mapping[str, Entry]) -> list[str]:
    lines = []
    for names, entry in _grouped(entries).items():
        lines.append(f"  {names}: {entry.help}")
        lines += [f"      {name}: {_describe(option)}" for name, option in entry.options.items()]
    return [*lines, ""]


def _grouped(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Entries by name; those of one help and options under all their names."""
    groups: dict[str, Entry] = {}
    for name, entry in entries.items():
        same = [names for names, other in groups.items() if (other.help, other.options) == (entry.help, entry.options)]
        key = f"{same[0]}, {name}" if same else name
        groups = {key if names in same else names: other for names, other in groups.items()}
        groups.setdefault(key, entry)
    return groups


def _describe(option: Option) -> str:
    return f"{option.help}{_takes(option)}{_default(option)}"


def _takes(option: Option) -> str:
    if option.words:
        quote = '"' if option.kind == "word" else ""
        return "; " + ", ".join(f"{quote}{word}{quote}" for word in option.words)
    if option.kind == "antennas":
        return "; such as 4x4"
    units = ", ".join(UNITS[option.unit]) if option.unit in UNITS else option.unit
    return f" ({units})" if units else ""


def _default(option: Option) -> str:
    if option.default is None:
        return "; must be given"
    return f"; default {option.default}" if option.default else ""
