"""Stored block error rates: complete, near capacity, and what the code does now."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from semlink.baselines import bler
from semlink.baselines.bler import Curve, curve, curves, gap_db, read_points, stored_points, write_points
from semlink.baselines.mcs import MCS, MCS_TABLE, NR_SCHEMES
from semlink.baselines.waterfall import ITERATIONS, Point, block_sizes, code_of, measure_curve, measure_point
from semlink.flowgraphs.bench import bler as bench_bler

Z = 4.5
ALL = [(mcs, k) for mcs in NR_SCHEMES for k in block_sizes(mcs)]
LARGE = [(mcs, k) for mcs, k in ALL if k >= 3840]


def test_every_row_of_the_tables_is_stored_at_every_size() -> None:
    assert set(stored_points()) == set(ALL)


@pytest.mark.parametrize(("mcs", "k"), LARGE, ids=str)
def test_no_large_block_is_further_than_two_decibels_from_constrained_capacity(mcs: MCS, k: int) -> None:
    assert 0.0 < gap_db(mcs, k) < 2.0


@pytest.mark.parametrize("mcs", [NR_SCHEMES[3], NR_SCHEMES[18], NR_SCHEMES[-1]], ids=str)
def test_below_capacity_nothing_arrives(mcs: MCS) -> None:
    """The strong converse: 0.3 dB below where constrained capacity is the rate."""
    k = block_sizes(mcs)[-1]
    capacity_db = curve(mcs, k).esno_db(0.5) - gap_db(mcs, k, bler=0.5)
    assert measure_point(mcs, k, capacity_db - 0.3, seed=0, most_blocks=40).bler == 1.0


def test_longer_blocks_and_lower_rates_need_less() -> None:
    for mcs, sizes in curves().items():
        for graph in (1, 2):
            at = [sizes[k].esno_db(1e-2) for k in sorted(sizes) if k >= 256 and code_of(mcs, k).base_graph == graph]
            assert all(after < before + 0.15 for before, after in pairwise(at)), mcs
    for order in (4, 16, 64, 256, 1024):
        at = [curve(mcs, 3000).esno_db(1e-2) for mcs in NR_SCHEMES if mcs.order == order]
        assert at == sorted(at)


def test_the_curve_goes_through_the_points() -> None:
    for key, points in stored_points().items():
        fitted = Curve.fit(points)
        for point in points:
            if 0 < point.errors < point.blocks:
                own = Z * math.sqrt(point.errors)
                assert abs(float(fitted.bler(point.esno_db)) * point.blocks - point.errors) < own, (key, point)
        assert (np.diff(fitted.levels_db) < 0).all()
        assert fitted.bler(np.array([-100.0, 100.0, -np.inf, np.inf])) == pytest.approx([1, 0, 1, 0])


POINTS = [("4qam-120/1024", 512), ("16qam-490/1024", 1024), ("64qam-873/1024", 256), ("256qam-797/1024", 2048)]


def stored(name: str, k: int) -> tuple[MCS, Point]:
    """The stored point nearest to one block in ten."""
    (mcs,) = [mcs for mcs in NR_SCHEMES if str(mcs) == name]
    points = stored_points()[mcs, k]
    return mcs, min(points, key=lambda point: abs(math.log(max(point.bler, 1e-9) / 0.1)))


def deviation(mcs: MCS, k: int, point: Point, off_db: float) -> float:
    """Another seed against a stored point, in standard errors of the difference."""
    got = measure_point(mcs, k, point.esno_db + off_db, seed=1, most_blocks=1500)
    pooled = (got.errors + point.errors) / (got.blocks + point.blocks)
    return (got.bler - point.bler) / math.sqrt(pooled * (1 - pooled) * (1 / got.blocks + 1 / point.blocks))


@pytest.mark.parametrize(("name", "k"), POINTS)
def test_the_code_still_does_what_is_stored(name: str, k: int) -> None:
    mcs, point = stored(name, k)
    assert abs(deviation(mcs, k, point, 0.0)) < Z


@pytest.mark.parametrize(("name", "k"), [POINTS[1], POINTS[3]])
def test_a_fifth_of_a_decibel_is_caught(name: str, k: int) -> None:
    mcs, point = stored(name, k)
    assert deviation(mcs, k, point, -0.2) > Z


def test_ctrl_c_ends_the_curves_that_are_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first curve comes at once, a second would take 20 seconds: what interrupts between them does not wait."""
    begun = threading.Event()

    def curve_of(mcs: MCS, k: int, *, seed: int, progress: Callable[[], None], code: str) -> Iterator[Point]:
        if k == 64:
            begun.wait(10)
            yield from stored_points()[mcs, k]
            return
        begun.set()
        for _ in range(2000):
            progress()
            time.sleep(0.01)

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_bler, "cores", lambda: 2)
    monkeypatch.setattr(bench_bler, "measure_curve", curve_of)
    monkeypatch.setattr(bench_bler, "write_points", interrupt)
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        bench_bler.run_bler(schemes=["nr1-9"], sizes=[64, 512], seed=0, out=tmp_path / "bler.csv", as_json=True)
    assert begun.is_set()
    assert time.perf_counter() - start < 10


def test_progress_is_called_at_every_batch_and_may_end_it() -> None:
    calls = []
    point = measure_point(NR_SCHEMES[10], 64, 30.0, seed=0, most_blocks=12_000, progress=lambda: calls.append(1))
    assert (point.errors, point.blocks) == (0, 12_000)
    assert len(calls) > 2
    curve_of = measure_curve(NR_SCHEMES[10], 64, seed=0, progress=lambda: (_ for _ in ()).throw(TimeoutError))
    with pytest.raises(TimeoutError):
        next(curve_of)


def test_the_fit_recovers_a_known_curve() -> None:
    esno_db = np.arange(3.0, 5.0, 0.2)
    points = [Point(float(x), round(float(ndtr((3.7 - x) / 0.3)) * 100_000), 100_000) for x in esno_db]
    fitted = Curve.fit(points)
    assert fitted.esno_db(0.5) == pytest.approx(3.7, abs=0.01)
    assert fitted.esno_db(1e-2) == pytest.approx(3.7 + 0.3 * 2.326, abs=0.02)
    assert fitted.esno_db(1e-6) == pytest.approx(3.7 + 0.3 * 4.753, abs=0.1)
    assert float(fitted.bler(fitted.esno_db(1e-2))) == pytest.approx(1e-2)


def test_sizes_between_the_stored_ones_lie_between() -> None:
    mcs = NR_SCHEMES[20]
    small, middle, large = (curve(mcs, k).esno_db(1e-2) for k in (512, 724, 1024))
    assert min(small, large) < middle < max(small, large)
    # Beyond the ends, the distance from capacity is that of the last size.
    assert gap_db(mcs, 40) == pytest.approx(gap_db(mcs, 64))
    assert gap_db(mcs, 9000) == pytest.approx(gap_db(mcs, 8448))
    with pytest.raises(ValueError, match="16qam-1/2 has no stored block error rates"):
        curve(MCS_TABLE["16qam-1/2"], 512)


def test_tables_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_points(stored_points(), tmp_path / "bler.csv", seed=0, iterations=ITERATIONS)
    text = (tmp_path / "bler.csv").read_text()
    assert read_points(text) == stored_points()
    assert text == (Path(bler.__file__).parent / "data/bler.csv").read_text()


def test_a_curve_runs_from_more_than_half_to_less_than_a_thousandth() -> None:
    points = sorted(measure_curve(NR_SCHEMES[10], 128, seed=3), key=lambda point: point.esno_db)
    assert points[0].bler > 0.5
    assert points[-1].bler <= 1e-3
    assert code_of(NR_SCHEMES[10], 128).k == 128
