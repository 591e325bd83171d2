"""The search for the finest setting within a budget, and the lengths it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from jaxtyping import UInt8

from semlink.baselines.sources import AVIF, Resolutions, SourceCoder, code_image, find_source
from semlink.baselines.sources.ladder import Known, best_within, key_of, known_of

Pixels = UInt8[np.ndarray, "h w c"]


@pytest.mark.parametrize("c", [1, 3])
def test_a_coding_depends_on_nothing_that_was_asked_before(
    coder: SourceCoder, name: str, c: int, photograph: Callable[..., Pixels]
) -> None:
    """Budgets in any order, from several threads at once, or each asked first of all, as lengths become known."""
    image = photograph(72, 88, c, index=1)
    slow = name in ("avif", "heic")
    budgets = [int(x) for x in np.geomspace(600, 9000, 5 if slow else 30)]
    alone = {}
    for budget in budgets:
        known_of.cache_clear()
        alone[budget] = coder.encode(image, budget)
    assert len(set(alone.values())) > len(budgets) // 2
    for order in (budgets, budgets[::-1], [int(x) for x in np.random.default_rng(0).permutation(budgets)]):
        known_of.cache_clear()
        assert {budget: coder.encode(image, budget) for budget in order} == {b: alone[b] for b in order}
    known_of.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(partial(coder.encode, image), budgets)) == [alone[budget] for budget in budgets]


def test_what_is_known_is_kept_by_all_that_changes_it(photograph: Callable[..., Pixels]) -> None:
    image = photograph(40, 40, 3)
    kept = known_of(key_of(find_source("jpeg"), image))
    kept.lengths[1] = 10
    assert known_of(key_of(find_source("jpeg"), image.copy())) is kept
    key = key_of(find_source("jpeg"), image)
    others = [
        known_of(key_of(find_source("webp"), image)),
        known_of(key, "4:4:4"),
        known_of(replace(key, size=(20, 20))),
        known_of(key_of(find_source("jpeg"), image.reshape(20, 80, 3))),
        known_of(key_of(find_source("jpeg"), 255 - image)),
        known_of(key_of(AVIF(), image)),
        known_of(key_of(AVIF(speed=4), image)),
    ]
    assert [one.lengths for one in others] == [{}] * len(others)
    assert len({id(one) for one in others}) == len(others)


def test_codings_are_kept_by_the_coders_options(photograph: Callable[..., Pixels]) -> None:
    """Every cache on the way: of settings, of resolutions and of whole codings."""
    image = photograph(48, 48, 3)
    fast, slow = (Resolutions(AVIF(speed=speed)) for speed in (10, 7))
    for budget in (700, 1200):
        codings = [code_image(source, image, budget).data for source in (fast, slow, fast)]
        assert codings[0] == codings[2] != codings[1]
        assert codings[1] == slow.encode(image, budget)


def test_known_lengths_spare_codings_and_change_nothing() -> None:
    """Where lengths fall now and then, what a search finds hangs on its path: that must be the same."""
    rng, missed, anew, informed = np.random.default_rng(4), 0, 0, 0
    for _ in range(30):
        lengths = np.cumsum(rng.integers(-20, 60, 150)) + 500
        tried: list[int] = []

        def coding_at(setting: int, lengths: np.ndarray = lengths, tried: list[int] = tried) -> bytes:
            tried.append(setting)
            return setting.to_bytes(1) * int(lengths[setting])

        known = Known()
        for budget in rng.integers(400, lengths.max() + 100, 25):
            options = {"low": 0, "high": 149, "start": 90, "growth": 0.01}
            plain = best_within(int(budget), coding_at, **options)
            anew, before = anew + len(tried), len(tried)
            assert best_within(int(budget), coding_at, **options, known=known) == plain
            informed += len(tried) - before
            tried.clear()
            missed += plain is not None and plain[0] != np.flatnonzero(lengths <= budget)[-1]
        assert all(length == lengths[setting] for setting, length in known.lengths.items())
    assert missed > 30  # the test bites: other paths would end elsewhere
    assert informed < 0.7 * anew


@pytest.mark.parametrize("growth", [0.001, 0.05, 3.0])
@pytest.mark.parametrize("start", [-5, 1, 50, 100, 300])
def test_the_search_finds_what_a_plain_one_finds(growth: float, start: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        lengths = np.cumsum(rng.integers(0, 1 + int(rng.integers(1, 500)), 100)) + int(rng.integers(200))
        tried: list[int] = []

        def coding_at(setting: int, lengths: np.ndarray = lengths, tried: list[int] = tried) -> bytes:
            tried.append(setting)
            return bytes(int(lengths[setting - 1]))

        budget = int(rng.integers(lengths[-1] + 100))
        best = best_within(budget, coding_at, low=1, high=100, start=start, growth=growth)
        assert (best[0] if best else 0) == int(np.sum(lengths <= budget))
        assert best is None or len(best[1]) == lengths[best[0] - 1]
        assert len(tried) <= 24
        assert len(set(tried)) == len(tried)
