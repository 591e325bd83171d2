"""The README's table of blocks has the labels by which GNU Radio Companion lists them."""

import re
from pathlib import Path

import pytest

RADIO = Path(__file__).parents[3] / "flowgraphs" / "radio"


def rows() -> dict[str, str]:
    """Labels by block, of the table."""
    table = re.search(r"\| block \|.*?\n\n", (RADIO / "README.md").read_text(), re.DOTALL)
    assert table
    labels = {}
    for line in table[0].splitlines()[2:-1]:
        _, blocks, named, *_ = (cell.strip() for cell in line.split("|"))
        names = re.findall(r"`(\w+)`", blocks)
        labels |= dict(zip(names, re.split(r", (?![^(]*\))", named), strict=True))
    return labels


def test_each_block_is_in_the_table() -> None:
    assert sorted(rows()) == sorted(
        p.name.split(".")[0].removeprefix("semlink_") for p in RADIO.glob("grc/*.block.yml")
    )


@pytest.mark.parametrize("block", sorted(rows()))
def test_its_label_is_the_companions(block: str) -> None:
    text = (RADIO / "grc" / f"semlink_{block}.block.yml").read_text()
    assert re.search(rf"^label: {re.escape(rows()[block])}$", text, re.MULTILINE)
