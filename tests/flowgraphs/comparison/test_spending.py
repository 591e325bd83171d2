"""What `compare` and a study tell of codecs whose images take what they need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from semlink.flowgraphs.cli import main
from semlink.flowgraphs.comparison import Tally, check_codec, compare, pixels, write_image
from semlink.flowgraphs.comparison.throughput import heard
from semlink.flowgraphs.specs import make_codecs
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Decoded, Frame, Link, Received, Spent, Transmission, normalise_power
from semlink.phy.sources import sample_images

IMAGE = torch.nn.functional.avg_pool2d(sample_images()[:1], 8)[:, :, :32, :32]
NAMES = ("jpeg-nr-qam:nr1-5", "jpeg-nr-qam:nr1-5,harq=4,round=1/6")


def test_ratio_mean_and_percentile_are_of_what_was_sent() -> None:
    channel = Rayleigh(512)
    codecs = make_codecs(NAMES, ratio=1 / 6, mcs="4qam-1/2", channel=channel)
    got = compare({"one": IMAGE}, codecs, channel, [1.0], realisations=40)
    plain, harq = (got.table[got.table["codec"] == name].iloc[0] for name in NAMES)
    assert (plain["uses_mean"], plain["uses_p95"]) == (512, 512)
    assert 512 < harq["uses_mean"] < harq["uses_p95"] <= 2048
    assert harq["uses_p95"] % 512 == 0
    assert harq["ratio"] == pytest.approx(harq["uses_mean"] / 3072)
    assert harq["failed"] < plain["failed"]
    arrived = 40 - harq["failed"]
    bits = plain["throughput"] * 512 * 40 / (40 - plain["failed"])  # of one image: the same block
    assert harq["throughput"] == pytest.approx(bits * arrived / (40 * harq["uses_mean"]))
    assert harq[["source_share", "padding_share", "crc_share", "parity_share"]].sum() == pytest.approx(1)
    assert heard(got.table, got.notes) == [NAMES[1]]


def test_waiting_takes_nothing_of_the_ledger() -> None:
    """The frame holds what others send while an image waits for its answer; of the image's uses that is none."""
    name, channel = "jpeg-nr-qam:nr1-5,harq=4,delay=300,round=1/6", Rayleigh(512)
    codecs = make_codecs([name], ratio=1 / 6, mcs="4qam-1/2", channel=channel)
    row = compare({"one": IMAGE}, codecs, channel, [1.0], realisations=20).table.iloc[0]
    assert 512 < row["uses_mean"] < 2048
    assert row["uses_payload"] == pytest.approx(row["uses_mean"])
    assert row["uses_other"] == 0
    assert row["modulation"] == "4qam"


class Halved:
    """A codec of which half the symbols need not be sent."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        return Frame(normalise_power(torch.ones(len(image), 96, dtype=torch.complex64)), {"payload": 96})

    def decode(self, received: Received) -> Decoded:
        count = len(received.symbols)
        half = Spent(torch.full((count,), 48), {})
        return Decoded(torch.full((count, 3, 32, 32), 0.5), spent=half)


def test_pilots_are_those_of_what_was_sent() -> None:
    """Of two pilots in a frame of two gains, one."""
    got = Link(Halved(), Rayleigh(48, "estimated"))(IMAGE, 10.0, rng=torch.Generator().manual_seed(0))
    assert got.uses == {"payload": 96, "pilot": 2}
    assert got.spent is not None
    assert got.spent.tolist() == [49.0]
    assert got.ratio == pytest.approx(49 / 3072)


def test_spent_has_an_entry_an_image() -> None:
    class Wrong(Halved):
        def decode(self, received: Received) -> Decoded:
            return Decoded(torch.full((1, 3, 32, 32), 0.5), spent=Spent(torch.zeros(3), {}))

    with pytest.raises(ValueError, match=r"decoded spent has symbols of shape \(3,\); they must be \(1,\)"):
        Link(Wrong(), Rayleigh())(IMAGE, 10.0, rng=torch.Generator().manual_seed(0))


def test_a_tally_knows_the_95th_percentile() -> None:
    tally = Tally()
    tally.begin_realisation([])
    spent = torch.tensor([*[10.0] * 94, *[20.0] * 4, 30.0, 40.0]).double()
    image = IMAGE.expand(100, -1, -1, -1)
    sent = Transmission(image, torch.zeros(100, dtype=torch.bool), {"payload": 40}, 0.0, 0.0, spent=spent)
    tally.add(image, sent, {})
    row = tally.row()
    assert (row["uses_mean"], row["uses_p95"]) == (pytest.approx(float(spent.mean())), 20)
    assert np.isnan(row["throughput"])


def test_it_is_a_codec_as_the_check_has_it() -> None:
    (codec,) = make_codecs(["jpeg-nr-qam:nr1-5,harq=2"], ratio=1 / 6, mcs="4qam-1/2", channel=Rayleigh()).values()
    assert [one for one in check_codec(codec) if one.good is False] == []


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["semlink", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_commands_write_tables_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = str(tmp_path / "one.png"), tmp_path / "out"
    write_image(pixels(IMAGE), Path(picture))
    channel = ("--channel", "rayleigh:coherence=512", "--esno", "5,8", "--realisations", "3")
    assert run(monkeypatch, "compare", picture, "--codec", NAMES[1], *channel, "--out", str(out)) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "channel uses an image: mean, and what 95 % do not exceed" in told
    assert "incremental redundancy, versions 0, 2, 3, 1" in told
    assert (out / "throughput.png").exists()
    loop = ("--repeat", "8", "--target", "0.1,0.3", "--bias", "2", "--channel", "awgn")
    assert run(monkeypatch, "olla", picture, *loop, "--out", str(out / "olla")) == 0
    assert "reports +2 dB off" in " ".join(capsys.readouterr().out.split())
    table, trace = (pd.read_csv(out / "olla" / name) for name in ("olla.csv", "trace.csv"))
    kinds = {(target, loop) for target in (0.1, 0.3) for loop in ("outer", "inner")}
    assert set(zip(table["target"], table["loop"], strict=True)) == kinds
    assert len(trace) == 32
    assert (out / "olla" / "olla.png").exists()
    assert run(monkeypatch, "olla", picture, "--target", "0.1,x", "--out", str(out)) == 2
    assert "--target '0.1,x' must be block error rates" in capsys.readouterr().err
