"""Tables for papers: what LaTeX would take for its own is escaped, and what was not seen is a bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from semlink.flowgraphs.comparison import escaped, latex_table, rate_cell, results_table


def test_nothing_of_a_text_means_anything() -> None:
    assert escaped("a_b & 5 % of {x} #1 $2 ~ ^ \\") == (
        r"a\_b \& 5 \% of \{x\} \#1 \$2 \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("jpeg-ldpc-qam:adaptive") == "jpeg-ldpc-qam:adaptive"


def test_the_rules_are_booktabs() -> None:
    lines = latex_table(["Codec", "BLER"], [["a", "$0.1$"], ["b", ""]], said="awgn;\n1/6").splitlines()
    assert lines == [
        r"% \usepackage{booktabs}", "% awgn; 1/6", r"\begin{tabular}{lr}", r"\toprule", r"Codec & BLER \\", r"\midrule",
        r"a & $0.1$ \\", r"b &  \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "high", "cell"),
    [
        (0.128, 0.2, "$0.128$"),
        (2.34e-5, 1e-4, r"$2.3\cdot10^{-5}$"),
        (0.0, 3e-3, r"$<3.0\cdot10^{-3}$"),
        (0.0, math.nan, "$0$"),
        (math.nan, math.nan, ""),
        (None, None, ""),
    ],
)
def test_a_rate_is_a_power_of_ten_or_a_bound(value: float | None, high: float | None, cell: str) -> None:
    assert rate_cell(value, high) == cell


def test_only_columns_that_say_something_are_told() -> None:
    known = {"ratio": 1 / 6, "spec": "awgn", "images": 3, "realisations": 2, "failed": 0, "esno_db": -2.0}
    rows = [
        {**known, "codec": "a_b", "psnr_db": 20.0, "psnr_db_low": 19.5, "psnr_db_high": 20.5, "bler": math.nan},
        {**known, "codec": "c", "psnr_db": math.inf, "bler": 0.0, "bler_high": 0.05, "modulation": "16qam", "k": 64.0},
    ]
    text = results_table(pd.DataFrame(rows), labels={"c": "C & D"})
    head = r"Codec & Modulation & $k$ & Ratio & $E_s/N_0$ (dB) & PSNR (dB) & BLER & Failed \\"
    assert head in text
    assert r"a\_b &  &  & 1/6 & $-$2 & 20.00 [19.50, 20.50] &  &  \\" in text
    assert r"C \& D & 16qam & 64 & 1/6 & $-$2 & $\infty$ & $<0.050$ & 0 of 6 \\" in text


def test_the_commands_print_them(run_semlink: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    given = [
        "samples",
        "--codec",
        "jpeg-ldpc-qam",
        "--esno",
        "0,16",
        "--realisations",
        "1",
        "--out",
        str(tmp_path / "o"),
    ]
    status, out, err = run_semlink("compare", *given, "--latex")
    assert status == 0, err
    assert out.startswith("% \\usepackage{booktabs}\n% awgn; ratio 1/6, digital MCS 16qam-1/2; images 3")
    for name in ("Modulation", "$k$", "$n$", "$E_b/N_0$ (dB)", "BER before", "BER after", "BLER", "Failed"):
        assert name in out
    assert out.count(r"\\") == 3
    status, again, err = run_semlink("report", str(tmp_path / "o"), "--latex")
    assert status == 0, err
    assert [line for line in again.splitlines() if "&" in line] == [line for line in out.splitlines() if "&" in line]
    status, _, err = run_semlink("compare", *given, "--latex", "--json")
    assert (status, "--json and --latex: give one of them" in err) == (2, True)
    status, out, err = run_semlink("bench", "bler", "--scheme", "nr1-13", "--k", "64", "--latex")
    assert status == 0, err
    assert r"Scheme & $k$ & $n$ & $E_s/N_0$ (dB) & Errors & Blocks & BLER \\" in out
