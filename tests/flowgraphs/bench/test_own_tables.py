"""`semlink bench bler` of a code of one's own: a table, gone on with, by which an adaptive link chooses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from semlink.baselines import bler, waterfall
from semlink.baselines.adaptation import average_failures, outage_failures
from semlink.baselines.bler import curve, own_curves, read_points, schemes_of
from semlink.baselines.blocks import channel_decode, channel_encode, plan_blocks
from semlink.baselines.doors import mapper
from semlink.baselines.separate import AdaptiveCodec, separate_codec
from semlink.flowgraphs.bench import bler as bench_bler
from semlink.flowgraphs.bench import run_bler
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, esno_to_n0
from semlink.phy.sources import sample_images


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The code of IEEE 802.11 with 8-PSK at two rates, 200 bits."""
    path = tmp_path_factory.mktemp("table") / "conv.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waterfall, "LEAST_BLOCKS", 1000)
        patch.setattr(waterfall, "MOST_BLOCKS", 1000)
        for rate in ("1/2", "3/4"):  # the second run goes on with the first one's file
            run_bler(schemes=[rate], sizes=[200], seed=0, out=path, as_json=True, code="conv", constellation="8psk")
    yield path
    own_curves.cache_clear()


def test_it_names_code_and_constellation(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {(row["code"], row["constellation"], row["order"]) for row in rows} == {("conv", "8psk", "8")}
    assert {str(mcs) for mcs, _ in read_points(table.read_text())} == {"8psk-1/2", "8psk-3/4"}
    run_bler(schemes=["1/2"], sizes=[200], seed=0, out=table, as_json=True, code="conv", constellation="8psk")
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["scheme"], told["k"], told["n"]) == ("8psk-1/2", 200, 402)
    assert 0.5 < told["gap_db"] < 5
    with pytest.raises(ValueError, match=r"--code polar: .* was measured with conv; give another --out"):
        run_bler(schemes=["1/2"], sizes=[], seed=0, out=table, as_json=True, code="polar", constellation="8psk")


def test_an_adaptive_link_takes_it(table: Path) -> None:
    code = f"conv,table={table}"
    assert [str(mcs) for mcs in schemes_of(code)] == ["8psk-1/2", "8psk-3/4"]
    codec = separate_codec(mcs="adaptive", ratio=1 / 6, code=code, constellation="8psk")
    assert isinstance(codec, AdaptiveCodec)
    image = sample_images()[:1, :, :32, :48]
    modes, header = [], []
    for level in (6.0, 25.0):
        got = Link(codec, AWGN())(image, level, rng=torch.Generator().manual_seed(0))
        assert got.failed is not None
        assert not bool(got.failed.any())
        modes += list(got.modes or [])
        header.append(int(got.bits["header"][0]))
    assert modes == ["8psk-1/2", "8psk-3/4"]
    assert header == [1, 1]


def test_what_it_expects_is_what_happens(table: Path) -> None:
    code, blocks = f"conv,table={table}", 300
    scheme = schemes_of(code)[0]
    plan = plan_blocks(134, scheme, code)
    assert plan.blocks == 1
    level = curve(scheme, plan.sizes[0][0], code).esno_db(0.3)
    expected = float(average_failures(134, level, code)[0])
    assert expected == pytest.approx(0.3, abs=0.02)
    rng = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (blocks, plan.info_bits), generator=rng, dtype=torch.uint8)
    got = AWGN()(mapper(scheme).map(channel_encode(bits, plan)), esno_to_n0(level), rng=rng)
    _, good = channel_decode(mapper(scheme).llr(got.symbols, got.n0), plan)
    assert abs(float((~good).float().mean()) - expected) < 4.5 * (0.3 * 0.7 / blocks) ** 0.5 + 0.03


def test_an_interleaver_makes_of_varying_fades_their_mean(table: Path) -> None:
    """Code blocks in slow fades: interleaved, all meet the mean of all symbols, which seldom fails at high Es/N0."""
    plain, mixed = f"conv,table={table}", f"conv-random,table={table}"
    channel = Rayleigh(200)
    alone, spread = outage_failures(800, 14.0, channel, plain), outage_failures(800, 14.0, channel, mixed)
    assert spread[0] < alone[0]


def test_what_a_table_cannot_be_is_said(table: Path, tmp_path: Path) -> None:
    (tmp_path / "no.csv").write_text("x,y\n1,2\n")
    for code, constellation, words in (
        (f"polar,table={table}", "8psk", "was measured with conv, and the code is polar"),
        (f"conv,table={table}", "qam", "is of 8psk; the constellation is qam"),
        (f"conv,table={tmp_path / 'no.csv'}", "8psk", "holds no block error rates"),
    ):
        with pytest.raises(ValueError, match=words):
            separate_codec(mcs="adaptive", code=code, constellation=constellation)
    with pytest.raises(ValueError, match="nothing is stored of it; give --out FILE"):
        run_bler(schemes=[], sizes=[], seed=0, out=None, as_json=True, code="conv")
    with pytest.raises(ValueError, match="--code uncoded: must be one of: ldpc, nr, gallager, conv, polar"):
        run_bler(schemes=[], sizes=[], seed=0, out=tmp_path / "u.csv", as_json=True, code="uncoded")


def test_blocks_that_a_code_does_not_have_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_bler, "measure_curve", bler_of_three)
    run_bler(schemes=["4qam-1/2", "nr2-27"], sizes=[64], seed=0, out=tmp_path / "p.csv", as_json=True, code="polar")
    told = capsys.readouterr()
    assert [row["scheme"] for row in json.loads(told.out)] == ["4qam-1/2"]
    assert "left out: 256qam-948/1024, k=64" in told.err
    assert bler.stored_points()  # what is in the package is as it was


def bler_of_three(mcs: object, k: int, **options: object) -> list[bench_bler.Point]:
    """Three points without a decoder; refused as the code itself would."""
    from semlink.baselines.doors import make_code
    from semlink.baselines.waterfall import length_of

    make_code("polar", k, length_of(mcs, k))  # type: ignore[arg-type]
    return [bench_bler.Point(0.0, 90, 100), bench_bler.Point(1.0, 50, 100), bench_bler.Point(2.0, 5, 100)]
