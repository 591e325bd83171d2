from __future__ import annotations

import os
from dataclasses import replace

import pytest

from semlink.flowgraphs.bench import studies as bench_studies
from semlink.flowgraphs.cli import main
from semlink.flowgraphs.studies import Study
from semlink.phy.link import Link

pytestmark = pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set")


@pytest.mark.slow
def test_every_figure_of_a_sweep_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sweep stands for all three: each would start processes of its own."""
    taken = bench_studies.sweep(replace(bench_studies.study_of(10), esno_db=(0.0,)), workers=2)
    asked: list[int] = []

    def sweep(_: Study, *, workers: int) -> tuple[float, int | None]:
        asked.append(workers)
        return taken

    monkeypatch.setattr(bench_studies, "sweep", sweep)
    found = bench_studies.measure_studies(20, 10, esno_db="0:6:6")
    values = {one.what: one.value for one in found}
    assert len(values) == len(found) == 6
    assert all(value > 0 for value in values.values())
    assert sorted(asked) == [1, 2, 2]
    assert Link.carry.__name__ == "carry"  # the clocks are gone
    bench_studies.print_studies(found)
    assert "two workers against one" in capsys.readouterr().out


def test_a_sweep_that_fails_is_no_measurement() -> None:
    broken = bench_studies.study_of(10)
    object.__setattr__(broken, "codecs", ("no-such-codec",))
    with pytest.raises(RuntimeError, match="ended with status"):
        bench_studies.sweep(broken, workers=0)


def test_more_images_than_there_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["semlink", "bench", "studies", "--images", "10001"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "10001" in capsys.readouterr().err


def test_the_figures_are_of_the_study_that_the_target_names() -> None:
    study = bench_studies.study_of(10_000)
    assert study.size == 11 * 3 * 2
    assert study.codecs == ("jpeg-ldpc-qam:adaptive", "deepjscc", "swin-gsc")
    assert study.channels == ("awgn", "rayleigh")
    assert study.esno_db == tuple(range(0, 21, 2))
    assert study.images == ("cifar10:10000",)
