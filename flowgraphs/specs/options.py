"""Options of the command line, turned into values and channels: a refusal names the value and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import cast

import torch

from semlink.flowgraphs.specs.own_blocks import is_own, make_own
from semlink.phy.channels import CHANNELS, parse_channel, with_options
from semlink.phy.impairments import Medium
from semlink.phy.metrics import METRICS, MissingWeightsError
from semlink.phy.rng import probe

MAX_LEVELS = 1000


def parse_esno(text: str) -> list[float]:
    """Es/N0 in dB from "START:STOP:STEP" (both ends included), "A,B,C" or a single number.

    Raises:
        ValueError: none of these, not finite, reversed, or more than 1,000 values.
    """
    form = f"--esno {text!r}: give START:STOP:STEP with START ≤ STOP and STEP > 0, or A,B,C in rising order, in dB"
    form += ", such as 0:20:2"
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            if not (math.isfinite(start) and math.isfinite(stop) and 0 < step < math.inf and start <= stop):
                raise ValueError(form)
            count = math.floor((stop - start) / step + 1e-9) + 1
            values = [round(start + i * step, 9) for i in range(min(count, MAX_LEVELS + 1))]
        else:
            values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(form) from error
    if not all(-100 <= v <= 100 for v in values):
        raise ValueError(f"{form}; each from -100 to 100")
    if len(values) > MAX_LEVELS or any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"{form}; at most {MAX_LEVELS} values")
    return values


def parse_ratio(text: str) -> float:
    """A bandwidth ratio from "1/6" or "0.1667".

    Raises:
        ValueError: not a number in (0, 1].
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(?:/\s*([0-9.eE+-]+)\s*)?", text)
    try:
        ratio = float(match[1]) / float(match[2] or 1) if match else math.nan
    except (ValueError, ZeroDivisionError):
        ratio = math.nan
    if not 0 < ratio <= 1:
        raise ValueError(f"--ratio {text!r} must be a number above 0 and up to 1, such as 1/6")
    # 0.1666667 is 1/6 to all codecs alike, or one would get a symbol more than another.
    near = float(Fraction(ratio).limit_denominator(100))
    return near if abs(near - ratio) < 1e-6 else ratio


def make_channel(spec: str, *, coherence: str | None, csi: str | None, equaliser: str | None) -> Medium:
    """The channel of a specification, with what the options beside it say; None stands for an option not given.

    Raises:
        ValueError: an unknown channel, or an option that it does not have or take.
    """
    given = {"coherence": coherence, "csi": csi, "equaliser": equaliser}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        channel = _own_channel(spec) or parse_channel(with_options(spec, options))
        # What a channel refuses only when it is used shows now, not in the middle of a run.
        channel(probe(1, 64), 0.1, rng=torch.Generator().manual_seed(0))
        return channel
    except ValueError as error:
        raise ValueError(f"--channel: {error}") from error


def _own_channel(spec: str) -> Medium | None:
    """The channel that a name of an entry point or MODULE:NAME stands for; None where it is neither.

    Raises:
        ValueError: it cannot be had, or is no channel.
    """
    if spec.partition(":")[0] in CHANNELS or not is_own(spec, "channels"):
        return None
    channel = make_own(spec, "channels")
    if not callable(channel):
        raise ValueError(f"{spec} is no channel: it must be callable, channel(symbols, n0, rng=...)")
    return cast(Medium, channel)


def check_count(option: str, value: int | None, least: int) -> None:
    """Raise ValueError unless a count is at least so much, or not given."""
    if value is not None and value < least:
        raise ValueError(f"{option} {value} must be at least {least}")


def parse_labels(given: Sequence[str], codecs: Sequence[str]) -> dict[str, str]:
    """What curves are called, by codec, from CODEC=TEXT.

    Raises:
        ValueError: not of this form, none of these codecs, or two that would be called the same.
    """
    shown: dict[str, str] = {}
    for one in given:
        # A codec's own name may have an equals sign (steps=1), and so may the text.
        codec = next((name for name in sorted(codecs, key=len, reverse=True) if one.startswith(f"{name}=")), None)
        if codec is None or not one.removeprefix(f"{codec}=").strip():
            raise ValueError(f"--label {one!r} must be CODEC=TEXT, CODEC one of: {', '.join(codecs)}")
        shown[codec] = one.removeprefix(f"{codec}=").strip()
    names = [shown.get(codec, codec) for codec in codecs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"--label: two codecs would be called {twice!r}")
    return shown


def parse_metrics(names: Sequence[str]) -> list[str]:
    """Perceptual metrics by name, each once.

    Raises:
        ValueError: an unknown one, or one whose weights are not to be had.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(f"--metric {name!r} must be one of: {', '.join(METRICS)}")
        try:
            METRICS[name].load()
        except MissingWeightsError as error:
            raise ValueError(f"--metric {name}: {error}") from error
    return list(dict.fromkeys(names))
