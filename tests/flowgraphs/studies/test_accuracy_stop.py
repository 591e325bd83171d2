"""A study stops where the accuracy is known well enough."""

from __future__ import annotations

import math
from typing import Any

import pytest

from semlink.flowgraphs.studies import Study, run_study
from semlink.flowgraphs.studies.plan import Stop

ROW: dict[str, Any] = {
    "images": 100, "realisations": 1, "blocks": 0, "block_errors": 0, "failed": 0, "channel": "awgn",
    **dict.fromkeys(("psnr_db", "psnr_db_low", "psnr_db_high"), math.nan),
}  # fmt: skip


def test_the_exact_interval_decides() -> None:
    stop = Stop(accuracy_ci=0.05, most=50)
    assert stop.is_set
    assert not stop.is_met({**ROW, "accuracy_low": 0.4, "accuracy_high": 0.51})
    assert stop.is_met({**ROW, "accuracy_low": 0.41, "accuracy_high": 0.5})
    assert not stop.is_met({**ROW, "accuracy_low": math.nan, "accuracy_high": math.nan})  # a codec of images
    assert not Stop(psnr_ci_db=1.0).is_met({**ROW, "accuracy_low": 0.5, "accuracy_high": 0.5})


@pytest.mark.parametrize("wrong", [1.0, -0.1, math.nan, "5 %", True])
def test_a_share_that_is_none_is_refused(wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=r"stop.accuracy_ci=.* must be a share from 0 to below 1"):
        Stop(accuracy_ci=wrong)


def test_a_point_is_sent_until_its_accuracy_is_known() -> None:
    """Of n classifications with an error rate near 1/2 the half width is about 0.98 / sqrt(n): here n is 96 or more."""
    given: dict[str, Any] = {"images": ["cifar10:8"], "codecs": ["label:tiniest:uses=5"], "channels": ["awgn"]}
    study = Study(**given, esno_db=[-8], realisations=2, pictures=0, stop=Stop(accuracy_ci=0.12, most=60))
    row = run_study(study, workers=0).iloc[0]
    assert (row["accuracy_high"] - row["accuracy_low"]) / 2 <= 0.12
    assert 2 < row["realisations"] < 20
