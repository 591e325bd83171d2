"""Tables for papers: LaTeX's tabular with the rules of the package booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from semlink.flowgraphs.comparison.plots import as_fraction

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "∞": r"$\infty$", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    **{one: rf"\{one}" for one in "&%$#_{}"},
}  # fmt: skip
_LEFT = ("Codec", "Channel", "Modulation", "Scheme")


def escaped(text: str) -> str:
    """A text as LaTeX sets it: no character of it means anything."""
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found[0]], text)


def latex_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, said: str = "") -> str:
    r"""A tabular with booktabs' rules, for `\input` into a table of one's own.

    Args:
        head: of the columns, LaTeX already; those with words are set to the left, the others to the right.
        rows: cells, LaTeX already.
        said: the conditions, as a remark above it.
    """
    kinds = "".join("l" if name in _LEFT else "r" for name in head)
    remarks = [f"% {' '.join(said.split())}"] if said else []
    lines = [rf"{' & '.join(row)} \\" for row in rows]
    begin, end = rf"\begin{{tabular}}{{{kinds}}}", r"\end{tabular}"
    body = [begin, r"\toprule", rf"{' & '.join(head)} \\", r"\midrule", *lines, r"\bottomrule", end]
    return "\n".join([r"% \usepackage{booktabs}", *remarks, *body]) + "\n"


def results_table(table: pd.DataFrame, *, said: str = "", labels: Mapping[str, str] | None = None) -> str:
    """The table of a comparison or a study: a row a codec and Es/N0, and no column that would be empty.

    Intervals of 95 % are in brackets. A rate of which no error was seen is told as being below the end of its interval.

    Args:
        table: of a study, or of `semlink compare`.
        said: the conditions, as a remark above it.
        labels: what codecs are called; their names where there is none.
    """
    rows = [row for row in table.to_dict("records") if not _text(row.get("error"))]
    shown = {**(labels or {})}
    cells = [{"Codec": escaped(shown.get(row["codec"], row["codec"])), **_cells(row)} for row in rows]
    head = [name for name in (*cells[0],) if any(row[name] for row in cells)] if cells else ["Codec"]
    if "Channel" in head and len({row["Channel"] for row in cells}) == 1:
        head.remove("Channel")
    return latex_table(head, [[row[name] for name in head] for row in cells], said=said)


def _cells(row: Mapping[Any, Any]) -> dict[str, str]:
    sent = int(row["images"] * row["realisations"])
    failed = row["failed"] / sent if sent else math.nan
    return {
        "Channel": escaped(_text(row["spec"])),
        "Modulation": escaped(_text(row.get("modulation"))),
        "$k$": _number(row.get("k"), ".0f"),
        "$n$": _number(row.get("n"), ".0f"),
        "Ratio": escaped(as_fraction(float(row["ratio"]))) if _known(row["ratio"]) else "",
        "$E_s/N_0$ (dB)": _number(row["esno_db"], "g"),
        "$E_b/N_0$ (dB)": _number(row.get("ebno_db"), ".2f"),
        "PSNR (dB)": _with_interval(row, "psnr_db", ".2f"),
        "mean PSNR (dB)": _with_interval(row, "psnr_mean_db", ".2f"),
        "SSIM": _number(row.get("ssim"), ".4f"),
        "MS-SSIM": _number(row.get("ms_ssim"), ".4f"),
        "ST-LPIPS": _with_interval(row, "st_lpips", ".4f"),
        "LPIPS": _with_interval(row, "lpips", ".4f"),
        "Accuracy": _with_interval(row, "accuracy", ".4f"),
        "Top-5": _with_interval(row, "top5", ".4f"),
        "BER before": rate_cell(row.get("ber_before"), row.get("ber_before_high")),
        "BER after": rate_cell(row.get("ber_after"), row.get("ber_after_high")),
        "BLER": rate_cell(row.get("bler"), row.get("bler_high")),
        "Failed": f"{int(row['failed'])} of {sent}" if _known(row.get("bler")) or failed > 0 else "",
    }


def rate_cell(value: object, high: object = None) -> str:
    """A rate as a power of ten; "<" and the end of its interval where no error was seen, nothing where unknown."""
    if not _known(value):
        return ""
    if value == 0:
        return rf"$<{_power(float(high))}$" if _known(high) else "$0$"  # type: ignore[arg-type]
    return f"${_power(float(value))}$"  # type: ignore[arg-type]


def _power(value: float) -> str:
    if value >= 0.01:
        return f"{value:.3f}"
    digits, exponent = f"{value:.1e}".split("e")
    return rf"{digits}\cdot10^{{{int(exponent)}}}"


def _with_interval(row: Mapping[Any, Any], name: str, digits: str) -> str:
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    ends = f" [{_number(low, digits)}, {_number(high, digits)}]" if _known(low) and _known(high) else ""
    return f"{_number(value, digits)}{ends}"


def _number(value: object, digits: str) -> str:
    if not isinstance(value, int | float) or math.isnan(value):
        return ""
    return r"$\infty$" if math.isinf(value) else f"{value:{digits}}".replace("-", "$-$")


def _known(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
