"""Channel uses by purpose, and bit error rates before and after decoding against closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special

from semlink.baselines.separate import SeparateCodec
from semlink.flowgraphs.comparison import LEDGER, compare
from semlink.flowgraphs.comparison.account import spent
from semlink.flowgraphs.specs import make_channel
from semlink.phy.sources import sample_images

IMAGES = {f"{i}": sample_images()[i : i + 1, :, 96:160, 96:160] for i in range(3)}


def table(mcs: str, code: str, channel: str, levels: list[float], realisations: int = 2) -> pd.DataFrame:
    codec = SeparateCodec(mcs=mcs, code=code)
    over = make_channel(channel, coherence=None, csi=None, equaliser=None)
    return compare(IMAGES, {"digital": codec}, over, levels, realisations=realisations, workers=1).table


@pytest.mark.parametrize(("mcs", "per_bit"), [("4qam-1/2", 1.0), ("16qam-1/2", 0.2)])
def test_bit_errors_before_decoding_are_those_of_the_constellation(mcs: str, per_bit: float) -> None:
    """Gray QAM: Q(√(Es/N0)) with 4 points, (3 Q(x) + 2 Q(3x) - Q(5x)) / 4 with x² = Es/N0 / 5 with 16 (Proakis)."""
    row = table(mcs, "ldpc", "awgn", [6.0], realisations=12).iloc[0]

    def q(x: float) -> float:
        return float(special.ndtr(-x))

    x = math.sqrt(per_bit * 10**0.6)
    closed = q(x) if mcs == "4qam-1/2" else (3 * q(x) + 2 * q(3 * x) - q(5 * x)) / 4
    bits = 36 * 2048 * (2 if mcs == "4qam-1/2" else 4)
    assert abs(row["ber_before"] - closed) < 4 * math.sqrt(closed * (1 - closed) / bits)
    assert row["ber_before_low"] < row["ber_before"] < row["ber_before_high"]
    beside = 10**0.62  # the twin: 0.2 dB off
    x = math.sqrt(per_bit * beside)
    wrong = q(x) if mcs == "4qam-1/2" else (3 * q(x) + 2 * q(3 * x) - q(5 * x)) / 4
    assert abs(row["ber_before"] - wrong) > 4 * math.sqrt(closed * (1 - closed) / bits)


def test_decoding_takes_them_away_above_the_cliff_alone() -> None:
    rows = table("16qam-1/2", "ldpc", "awgn", [0.0, 12.0])
    low, high = rows.iloc[0], rows.iloc[1]
    assert low["ber_after"] > 0.05
    assert (high["ber_after"], high["ber_after_low"], high["bler"]) == (0, 0, 0)
    assert high["ber_after_high"] == high["bler_high"] > 0  # no more bits are wrong than blocks
    assert high["ber_before"] > 1e-3
    plain = table("4qam-1/2", "uncoded", "awgn", [6.0]).iloc[0]
    assert plain["ber_after"] == pytest.approx(plain["ber_before"], rel=0.2)  # of all bits but the CRC's


def test_the_size_of_blocks_is_told() -> None:
    row = table("16qam-1/2", "ldpc", "awgn", [12.0]).iloc[0]
    assert (row["modulation"], row["k"], row["n"]) == ("16qam", 4096, 8192)
    assert row["ebno_db"] == pytest.approx(12 - 10 * math.log10((4096 - 24) / 2048))


@pytest.mark.parametrize("channel", ["awgn", "rayleigh:csi=estimated,pilots=2,coherence=64"])
def test_channel_uses_add_up_to_the_ratio(channel: str) -> None:
    rows = table("4qam-1/2", "ldpc", channel, [10.0])
    row = rows.iloc[0]
    assert sum(row[name] for name in LEDGER) == pytest.approx(row["ratio"] * 3 * 64 * 64)
    assert row["uses_payload"] == 2048
    assert row["uses_pilot"] == (0 if channel == "awgn" else 2 * 32)
    assert spent(rows) == ("" if channel == "awgn" else "channel uses an image: payload 2048, pilot 64")


def test_a_code_without_bits_has_none(tmp_path: Path) -> None:
    from semlink.neural import zoo

    over = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    rows = compare({"0": torch.rand(1, 3, 32, 32)}, {"neural": zoo.load("deepjscc")}, over, [10.0]).table
    row = rows.iloc[0]
    assert row[["ber_before", "ber_after", "k", "n", "ebno_db"]].isna().all()
    assert row["modulation"] == ""
    assert row["uses_payload"] == 512
    rows.to_csv(tmp_path / "one.csv", index=False)
    assert np.isnan(pd.read_csv(tmp_path / "one.csv")["ber_after_high"].iloc[0])
