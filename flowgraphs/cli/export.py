"""The command `semlink export`."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from semlink.flowgraphs.specs import parse_ratio
from semlink.neural import zoo
from semlink.neural.onnx.export import export_codec
from semlink.phy.devices import computing_on

MAX_SIDE = 4096


def run_export(*, codec: str, ratio: str | None, size: str, name: str | None, out: Path) -> None:
    """Write a trained codec as two ONNX files and tell their paths and sizes.

    Raises:
        ValueError: an unknown codec, a ratio or a size that it does not have, or the extra `onnx` is not installed.
    """
    height, width = parse_size(size)
    with computing_on("cpu"):  # what is traced; the files are for any device
        model = zoo.load(codec, ratio=None if ratio is None else parse_ratio(ratio))
    for path in export_codec(model, out, name=Path(codec).stem if name is None else name, size=(height, width)):
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "WIDTHxHEIGHT".

    Raises:
        ValueError: not of this form, or a side out of range.
    """
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match or not all(8 <= int(side) <= MAX_SIDE for side in match.groups()):
        raise ValueError(f"--size {text!r} must be WIDTHxHEIGHT in pixels, each from 8 to {MAX_SIDE}, such as 32x32")
    return int(match[2]), int(match[1])
