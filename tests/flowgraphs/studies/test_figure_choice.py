"""Figures of what is chosen: channels in a grid, codecs, a second axis of Eb/N0, and bounds with arrows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

from semlink.flowgraphs.studies import plot_quantity, read_shown, write_report

CHANNELS = ("awgn", "rayleigh", "rician:K=6", "tdl-c:ds=100ns")


def results(channels: int = 4, codecs: tuple[str, ...] = ("digital", "neural")) -> pd.DataFrame:
    """Four Es/N0 of each; the digital one has two bits a channel use, the neural one none."""
    rows = [
        {
            "codec": codec, "spec": spec, "channel": spec.partition(":")[0], "esno_db": level, "ratio": 1 / 6,
            "psnr_db": 20.0 + level, "bler": 0.1 * (level < 3), "bler_low": 0.05 * (level < 3), "bler_high": 0.2,
            "failed": 0, "images": 3, "realisations": 2, "seed": 0,
            "ebno_db": level - 10 * math.log10(2) if codec == "digital" else math.nan,
        }
        for spec in CHANNELS[:channels]
        for codec in codecs
        for level in (0.0, 2.0, 4.0, 6.0)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("channels", "columns", "shape"), [(1, None, (1, 1)), (2, None, (2, 1)), (4, None, (2, 2)), (4, 3, (2, 3))]
)
def test_channels_stand_in_a_grid(channels: int, columns: int | None, shape: tuple[int, int]) -> None:
    figure = plot_quantity(results(channels), "psnr_db", ieee=True, columns=columns)
    assert len(figure.axes) == channels
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape  # type: ignore[union-attr]
    assert figure.get_size_inches()[0] == (3.5 if shape[1] == 1 else 7.16)
    legends = sum(axes.get_legend() is not None for axes in figure.axes), len(figure.legends)
    assert legends == ((0, 1) if channels > 2 else (channels, 0))


def test_a_second_axis_is_the_eb_n0_of_one_codec() -> None:
    axes = plot_quantity(results(1), "psnr_db", ebno_of="digital").axes[0]
    (top,) = axes.child_axes
    assert top.get_xlabel() == "Eb/N0 (dB) of digital"
    there, back = top._functions  # type: ignore[attr-defined]
    x = np.array([-3.0, 0.0, 1.0, 6.0, 9.0])
    np.testing.assert_allclose(there(x), x - 10 * math.log10(2))
    np.testing.assert_allclose(back(there(x)), x)


@pytest.mark.parametrize(("codec", "said"), [("neural", "of a codec that sends bits"), ("digital", "does not rise")])
def test_a_codec_that_has_no_one_eb_n0_is_refused(codec: str, said: str) -> None:
    table = results(1)
    table.loc[table["codec"] == "digital", "ebno_db"] = 1.0  # it adapts, and sends more
    with pytest.raises(ValueError, match=f"Eb/N0 of {codec}: .*{said}"):
        plot_quantity(table, "psnr_db", ebno_of=codec)


def test_over_eb_n0_it_is_said_who_has_none() -> None:
    axes = plot_quantity(results(1), "psnr_db", over="ebno_db").axes[0]
    assert axes.get_legend_handles_labels()[1] == ["digital", "neural: sends no bits, has no Eb/N0"]


def test_a_rate_of_which_no_error_was_seen_points_down_from_its_bound() -> None:
    axes = plot_quantity(results(1, ("digital",)), "bler").axes[0]
    arrows = [one for one in axes.texts if isinstance(one, Annotation)]
    assert [(one.xyann[0], one.xyann[1], one.xy[1]) for one in arrows] == [(4.0, 0.2, 0.1), (6.0, 0.2, 0.1)]
    assert axes.get_ylim()[0] < 0.1


def test_the_command_draws_what_is_chosen(tmp_path: Path, run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    folder = tmp_path / "o"
    folder.mkdir()
    results().to_csv(folder / "compare.csv", index=False)
    out = tmp_path / "f.svg"
    given = ["figure", str(folder), "--out", str(out), "--channel", "rayleigh", "--codec", "digital"]
    status, said, err = run_semlink(*given, "--ebno", "digital", "--label", "digital=JPEG")
    assert (status, said) == (0, f"written: {out}\n"), err
    drawn = out.read_text()
    assert ">JPEG<" in drawn
    assert ">Eb/N0 (dB) of JPEG<" in drawn
    assert "neural" not in drawn
    for option, wrong in (("--channel", "awgn2"), ("--codec", "swin"), ("--ebno", "neural")):
        status, _, err = run_semlink(*given, option, wrong)
        assert (status, f"{option} {wrong} must be one of" in " ".join(err.split())) == (2, True)


def test_results_of_before_are_read_and_their_intervals_told(tmp_path: Path) -> None:
    """Without the columns that came with them."""
    folder = tmp_path / "o"
    folder.mkdir()
    results().to_csv(folder / "compare.csv", index=False)
    table = read_shown(folder).table
    assert table[["failed_high", "ber_after", "uses_payload"]].isna().all(axis=None)
    assert set(table["modulation"]) == {""}
    page = write_report(folder, tmp_path / "r.html").read_text()
    assert "as an earlier version told them" in page
    results().assign(failed_low=0.0, failed_high=0.46).to_csv(folder / "compare.csv", index=False)
    page = write_report(folder, tmp_path / "r.html").read_text()
    assert "as an earlier version told them" not in page
    assert "Blocks of one transmission share its fade" in page
