"""Outer-loop link adaptation: the target is met whatever the reports say, and the loop's own arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semlink.baselines.outer_loop import OuterLoop, run_outer_loop
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.sources import sample_images


def images(count: int) -> list[Tensor]:
    """Always the same one: it is coded once for each scheme."""
    return [torch.nn.functional.avg_pool2d(sample_images(), 16)[:1, :, :16, :16]] * count


def run(loop: OuterLoop, channel: object = None, *, count: int = 140, esno_db: float = 12.0):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return run_outer_loop(images(count), channel or AWGN(), esno_db, loop, ratio=1 / 3)  # type: ignore[arg-type]


def test_the_loop_takes_back_what_the_reports_say_too_much() -> None:
    """On AWGN, with reports 3 dB too high: without the loop every image is lost, with it the target's share."""
    steps = run(OuterLoop(0.1, step_db=0.5, bias_db=3.0))
    late = steps[60:]
    assert -4.2 < sum(step.offset_db for step in late) / len(late) < -2.0
    assert sum(step.lost for step in late) / len(late) == pytest.approx(0.1, abs=0.08)
    alone = run(OuterLoop(0.1, step_db=0.0, bias_db=3.0), count=30)
    assert sum(step.lost for step in alone[1:]) > 25
    assert {step.offset_db for step in alone} == {0.0}


def test_losses_and_offset_are_one_account() -> None:
    """E / L = t - (Δ_L - Δ_0) (1 - t) / (step L), exactly, of the images whose answers have arrived."""
    target, step = 0.2, 0.4
    steps = run(OuterLoop(target, step_db=step), Rayleigh("fast", doppler=1e-3), count=60)
    lost = sum(one.lost for one in steps[:-1])  # the last one's answer moves nothing
    told = len(steps) - 1
    assert lost / told == pytest.approx(target - steps[-1].offset_db * (1 - target) / (step * told), abs=1e-9)


def test_late_reports_are_worse_and_the_loop_holds_them() -> None:
    """Of a fade that changes little from image to image, what was 20 images ago says little."""
    slow, late = Rayleigh("fast", doppler=0.01 / 256), 20 * 256
    lost = {
        (delay, step): sum(one.lost for one in run(OuterLoop(0.1, step_db=step, delay=delay), slow, count=120))
        for delay, step in ((0, 0.0), (late, 0.0), (late, 0.5))
    }
    assert lost[late, 0.0] > lost[0, 0.0] + 10
    assert lost[late, 0.5] < 0.7 * lost[late, 0.0]


def test_nothing_is_known_before_it_is_told() -> None:
    """The first images go out by the average, and answers are as late as they are said to be."""
    steps = run(OuterLoop(0.1, step_db=0.5, delay=3 * 256 - 1, bias_db=30.0), count=8)
    assert [step.reported_db != step.reported_db for step in steps] == [True] * 4 + [False] * 4
    assert [step.offset_db for step in steps[:4]] == [0.0] * 4
    assert len({step.scheme for step in steps[:4]}) == 1
    assert steps[4].scheme != steps[3].scheme


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, "target=0.0 must be a block error rate"),
        ({"step_db": -1.0}, "step=-1.0 must be from 0 to 10 dB"),
        ({"delay": -1}, "delay=-1 must be at least 0"),
        ({"bias_db": 99.0}, "bias=99.0 must be from -30 to 30"),
    ],
)
def test_what_is_no_loop_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OuterLoop(**options)  # type: ignore[arg-type]


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"delay=1024: longer than the run: no feedback .* 1024 channel uses"):
        run(OuterLoop(delay=1024), count=5)
    with pytest.raises(ValueError, match="noise that does not depend on what is sent"):
        run(OuterLoop(), Rayleigh("block", "none"), count=2)
    with pytest.raises(ValueError, match="images is empty"):
        run(OuterLoop(), count=0)
