"""The garbage collector is off while tests are collected, and on while they run."""

from __future__ import annotations

import gc


def test_it_is_on_and_leaves_out_what_stays() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000
