"""Tables as figures, in a notebook and in a paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.studies import Study, plot_psnr, plot_quantity, run_study, save_figure


def test_three_lines_in_a_notebook(small: Callable[..., Study]) -> None:
    table = small(channels=["awgn", "rayleigh"]).run(workers=0)
    figure = plot_psnr(table)
    assert [axes.get_title() for axes in figure.axes] == ["awgn", "rayleigh"]
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), table[table["spec"] == "awgn"]["psnr_db"])


def test_figures_for_a_paper(tmp_path: Path, small: Callable[..., Study]) -> None:
    study = small(codecs=["jpeg-ldpc-qam:16qam-1/2"], esno_db=[0, 20])
    table = run_study(study, tmp_path / "out", workers=0)
    figure = plot_quantity(table, "outage", ieee=True)
    assert figure.get_size_inches()[0] == 3.5
    path = save_figure(figure, tmp_path / "f.pdf")
    assert b"/Type3" not in path.read_bytes()
    with pytest.raises(ValueError, match=r"ending must be one of: .png, .pdf, .svg"):
        save_figure(figure, tmp_path / "f.doc")
    with pytest.raises(ValueError, match="quantity='beauty' must be one of"):
        plot_quantity(table, "beauty")
    with pytest.raises(ValueError, match="the table has no st_lpips over esno_db"):
        plot_quantity(table, "st_lpips")
    row = table.iloc[0]
    bits = 10 ** ((row["esno_db"] - row["ebno_db"]) / 10)
    assert 1.8 < bits <= 2.0  # 16qam-1/2 carries 2 bits a symbol, less the CRC's
