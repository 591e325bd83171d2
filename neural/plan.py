"""Which cell of a photograph gets how many symbols: levels that the transmitter chooses and tells the receiver.

A cell is 16×16 pixels. Its level says how many symbols it gets for each one that the average cell gets (`SHARES`), so
that detail has more channel uses than sky. For transform coefficients of known energies the level is the one of least
squared error for a given number of symbols: the Lagrangian of bit allocation (Shoham and Gersho, "Efficient Bit
Allocation for an Arbitrary Set of Quantizers", IEEE Trans. ASSP 36(9), 1988), with coefficients for bits.

Whatever the levels are, the first `BASE` symbols of every cell are sent first, so that a receiver that has missed the
levels still knows what those are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CELL = 16  # pixels a side
MAX_SYMBOLS = 192  # of a cell
LATENTS = 2 * MAX_SYMBOLS
BASE = 4  # symbols of every cell, whatever its level
SHARES = (6, 18, 36, 72)  # of a cell at each level, in 1/24 of the average cell's
AVERAGE = 24
LEVELS = len(SHARES)
UNKNOWN = LEVELS  # stands for a level that nobody was told
_GOLDEN = 2654435769  # odd, 2³² over the golden ratio: multiples of it modulo 2³² are all different and well spread
_HALVINGS = 40


def cells(h: int, w: int) -> tuple[int, int]:
    """Rows and columns of cells of an image, the last of them perhaps in part beyond its border."""
    return -(-h // CELL), -(-w // CELL)


def choose(
    coefficients: Float[Tensor, "b latents cells"], symbols: float
) -> tuple[Int[Tensor, "b cells"], Float[Tensor, " b"]]:
    """The level of each cell for an average of `symbols` each, and log2 of the energy that a coefficient must have.

    Beyond that energy a coefficient is worth sending: the Lagrange multiplier, in quarters of an octave.
    """
    shares = torch.tensor(SHARES, dtype=coefficients.dtype) / AVERAGE
    counts = (2 * symbols * shares).round().long().clamp(1, LATENTS)
    energy = coefficients.square().cumsum(1)[:, counts - 1]  # (b, levels, cells)
    low, high = (torch.full((len(energy),), end, dtype=energy.dtype) for end in (-30.0, 20.0))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        many = shares[_best(energy, counts, middle)].mean(1) > 1
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return _best(energy, counts, high), (4 * high).round() / 4


def _best(energy: Tensor, counts: Tensor, log_step: Tensor) -> Tensor:
    return (energy - counts[:, None] * log_step.exp2()[:, None, None]).argmax(1)


def extras(levels: Int[Tensor, "b cells"], h: int, w: int, n: int) -> Int[Tensor, "b n"]:
    """Which n of the (symbol, cell) pairs beyond the base are sent, as ascending indices symbol·cells + cell.

    Symbol j of a cell comes when its level's share, and the share of its pixels within the image, warrant more than j
    symbols; the division is IEEE's, so that every machine finds the same.
    """
    shares = torch.tensor([*SHARES, AVERAGE], dtype=torch.float64)[levels]
    true = (CELL - F.relu(CELL * torch.arange(1, -(-side // CELL) + 1) - side) for side in (h, w))
    weight = shares * torch.outer(*true).flatten()
    spread = (torch.arange(levels.shape[1]) * _GOLDEN % 2**32).double() / 2**32
    place = torch.arange(BASE, MAX_SYMBOLS, dtype=torch.float64)[:, None] + spread
    keys = (place / weight[:, None]).flatten(1)  # (b, symbols · cells)
    chosen = keys.argsort(dim=1, stable=True)[:, :n].sort(dim=1).values
    return chosen + BASE * levels.shape[1]
