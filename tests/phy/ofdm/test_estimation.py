"""Trust tests of the pilots of a resource grid and of what is estimated from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from semlink.phy.mimo import Multiplexing
from semlink.phy.ofdm import OFDM, Tdl
from semlink.phy.ofdm.estimation import estimate
from semlink.phy.ofdm.grid import Grid, Lattice, make_grid
from semlink.phy.rng import complex_normal

SLOW, FAST = Tdl("C", 100e-9, speed_mps=3), Tdl("C", 100e-9, speed_mps=100)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ones(n: int) -> torch.Tensor:
    return torch.ones(1, n, dtype=torch.complex64)


def estimation_error(channel: OFDM, n0: float, images: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error of the estimate at each image and element, and the mean that is expected, (b, s, u) and (s, u)."""
    grid, numerology = channel.grid(72 * 14), channel.numerology
    rng = generator(6)
    taps = torch.stack(
        [channel.path.taps(grid.symbols, numerology.symbol_s, rng).permute(3, 2, 0, 1)[..., 0] for _ in range(images)]
    )
    turns = np.outer(numerology.carriers * channel.spacing_hz, channel.path.delays_s)
    h = torch.from_numpy(np.exp(-2j * np.pi * turns)).to(torch.complex64) @ taps
    noise = math.sqrt(n0) * complex_normal(h.numel(), rng).reshape(h.shape)
    silent = grid.fill(torch.zeros(images, grid.uses, 1, dtype=torch.complex64))
    found = estimate(h * silent + noise, grid, channel.path, numerology, n0, (1.0,), estimator=channel.estimator)
    return (found.response(0, grid.symbols)[..., 0] - h)[..., 0].abs().square(), found.error


@pytest.mark.parametrize("estimator", ["ls", "mmse"])
@pytest.mark.parametrize("path", [SLOW, FAST, Tdl("D", 100e-9, speed_mps=100), Tdl("A", 300e-9, speed_mps=30)])
@pytest.mark.filterwarnings("ignore:cp=9")
def test_estimation_error_is_the_formula_s(estimator: str, path: Tdl) -> None:
    channel = OFDM(path, csi="estimated", estimator=estimator)  # type: ignore[arg-type]
    error, expected = estimation_error(channel, 0.05)
    each = (error / expected).mean(dim=(1, 2))
    assert abs(each.mean().item() - 1) <= 4 * each.std().item() / math.sqrt(len(each))
    assert abs(each.mean().item() - 1.3) > 4 * each.std().item() / math.sqrt(len(each))
    place = error.mean(dim=0) / expected  # at each element, too: exponential, or so
    assert (place - 1).abs().max() <= 7 / math.sqrt(len(error))


@pytest.mark.parametrize("path", [SLOW, FAST, Tdl("D", 30e-9, speed_mps=30)])
def test_mmse_is_better_than_least_squares(path: Tdl) -> None:
    ls, mmse = (estimation_error(OFDM(path, csi="estimated", estimator=one), 0.1)[0].mean() for one in ("ls", "mmse"))  # type: ignore[arg-type]
    assert mmse < 0.6 * ls


def test_pilots_are_counted_as_by_hand() -> None:
    # 72 carriers, a pilot at every 4th and at the last: 0, 4, …, 68 and 71, so 19. OFDM symbols 0, 7 and the last.
    channel = OFDM(SLOW, csi="estimated")
    got = channel(ones(72 * 15 - 3 * 19), 0.1, rng=generator())
    assert got.uses == {"payload": 72 * 15 - 57, "pilot": 57, "padding": 0}
    assert got.symbols.shape == (1, 72 * 15 - 57)
    got = channel(ones(72 * 15 - 3 * 19 + 1), 0.1, rng=generator())
    assert got.uses == {"payload": 72 * 15 - 56, "pilot": 76, "padding": 72 * 16 - 76 - (72 * 15 - 56)}
    # Four antennas side by side: each 4th carrier of each, which fills the OFDM symbols 0, 7 and 8.
    four = OFDM(SLOW, Multiplexing(4, 4), csi="estimated")(ones(4 * 72 * 6), 0.1, rng=generator())
    assert four.uses == {"payload": 72 * 6, "pilot": 2 * 72, "padding": 0}
    assert OFDM(SLOW)(ones(100), 0.1, rng=generator()).uses == {"payload": 100, "padding": 44}


@pytest.mark.parametrize("tx", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("uses", [1, 71, 500, 2000])
def test_pilots_are_disjoint_and_reach_the_edges(tx: int, uses: int) -> None:
    lattice = Lattice(tx, 4, 7)
    grid = make_grid(72, uses, lattice)
    taken = np.zeros((grid.symbols, 72), dtype=int)
    for rows, columns in grid.pilots:
        taken[np.ix_(rows, columns)] += 1
        assert columns[0] < 4
        assert columns[-1] >= 72 - 4
        assert np.diff(columns).max() <= 4 + min(tx, 4)
        assert rows[0] < lattice.high
        assert grid.symbols - rows[-1] <= 2 * lattice.high
    assert taken.max() == 1
    assert taken.sum() == grid.account["pilot"] == lattice.count(72, grid.symbols)
    assert sum(grid.account.values()) == grid.symbols * 72
    assert not taken.flatten()[grid.payload.numpy()].any()
    assert len(grid.payload) == uses
    assert grid.symbols == lattice.high or uses > (grid.symbols - 1) * 72 - lattice.count(72, grid.symbols - 1)


def test_pilots_have_energy_one_on_one_antenna_each() -> None:
    grid = Grid(72, 14, 700, Lattice(2, 4, 7))
    filled = grid.fill(torch.zeros(1, 700, 2, dtype=torch.complex64))[0]
    energy = filled.abs().square()
    assert energy.sum(dim=2).unique().tolist() == pytest.approx([0, 1])
    assert int((energy > 0.5).sum()) == grid.account["pilot"]
