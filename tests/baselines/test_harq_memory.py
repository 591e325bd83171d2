"""Of frames that are long, with their waiting, only what is asked for is looked up."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.baselines import harq as module
from semlink.baselines.blocks import plan_blocks
from semlink.baselines.harq import Harq, _Drawn, _mean_failures
from semlink.baselines.mcs import parse_mcs


def test_nothing_is_kept_of_long_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of 2^24 symbols, most of them others', sixteen times and once for each QAM would take 13 GB."""
    plan, delay = plan_blocks(300, parse_mcs("nr1-9"), "nr"), 5000
    esno = np.random.default_rng(1).exponential(4.0, (4, 3 * plan.symbols + 2 * delay))
    kept, asked = _Drawn(esno), _Drawn(esno)
    expected = _mean_failures(plan, Harq(3, delay=delay), kept)
    looked_up: list[int] = []
    plain = module.bicm_missing
    monkeypatch.setattr(module, "bicm_missing", lambda order, of: (looked_up.append(of.size), plain(order, of))[1])
    monkeypatch.setattr(module, "_KEPT", esno.size - 1)
    np.testing.assert_allclose(_mean_failures(plan, Harq(3, delay=delay), asked), expected, atol=1e-12)
    assert np.ptp(expected) > 0.01  # says something
    assert list(kept._known) == [4]
    assert not asked._known
    assert sum(looked_up) <= 4 * 3 * 128
