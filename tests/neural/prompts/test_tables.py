"""Both ends take the same tables, the encoder for all numbers at once, the decoder one after the other."""

from __future__ import annotations

import numpy as np

from semlink.neural.prompts.statistics import QUIET, UNIT, expected, pick, table_numbers, tables_after


def test_the_decoder_takes_the_tables_of_the_encoder() -> None:
    """For tiles far livelier and far quieter than was to be expected, where their say ends, too."""
    rng = np.random.default_rng(0)
    scale = np.linspace(90, -60, 60).round().astype(np.int64)
    values = np.stack([rng.integers(-size, size + 1, len(scale)) for size in (0, 1, 3, 40, 3000)])
    numbers, hoped = table_numbers(values, scale), expected()[pick(scale)].tolist()
    seen, hope, moves = [0] * len(values), 0, set[int]()
    for k in range(len(scale)):
        told = tables_after(int(scale[k]), seen, hope)
        assert told == numbers[:, k].tolist()
        moves |= {one - int(pick(scale)[k]) for one in told}
        if k >= QUIET:
            seen = [size + abs(int(one)) * UNIT for size, one in zip(seen, values[:, k], strict=True)]
            hope += hoped[k]
    assert (min(moves), max(moves)) == (-24, 24)
