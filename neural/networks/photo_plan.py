"""Which cell of a photograph gets how many symbols: a plan that the transmitter makes and tells the receiver.

A cell is 16×16 pixels. Its level says how many symbols it gets for each one that the average cell gets (`SHARES`), so
that detail has more channel uses than sky. For transform coefficients of known energies the level is the one of least
squared error for a given number of symbols: the Lagrangian of bit allocation (Shoham and Gersho, "Efficient Bit
Allocation for an Arbitrary Set of Quantizers", IEEE Trans. ASSP 36(9), 1988), with coefficients for bits.

Whatever the levels are, the first `BASE` symbols of every cell are sent first, so that a receiver that has missed the
levels still knows what those are. A frame is base, side and extra: the side is the plan, digitally.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.networks import level_code
from semlink.neural.networks import photo_side as side
from semlink.neural.networks.grid import GOLDEN
from semlink.phy.link import Received

CELL = 16  # pixels a side
MAX_SYMBOLS = 192  # of a cell
LATENTS = 2 * MAX_SYMBOLS
BASE = 4  # symbols of every cell, whatever its level
SHARES = (6, 18, 36, 72)  # of a cell at each level, in 1/24 of the average cell's
AVERAGE = 24
LEVELS = len(SHARES)
UNKNOWN = LEVELS  # stands for a level that nobody was told
MOST_SIDE = 0.2  # of the channel uses, for the plan: where it would take more, all cells are alike
NUMBERS = 2  # of a plan beside the levels
WIDTH = 12  # bits of each
FINE = 64  # parts of an octave in which they are told
SCALE_USES = side.SCALE_BITS * side.REPEATED  # of the base's scale, which even a deep fade should leave readable
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
    shares = coefficients.new_tensor(SHARES) / AVERAGE
    counts = (2 * symbols * shares).round().long().clamp(1, LATENTS)
    energy = coefficients.square().cumsum(1)[:, counts - 1]  # (b, levels, cells)
    low, high = (energy.new_full((len(energy),), end) for end in (-30.0, 20.0))
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
    shares = torch.tensor([*SHARES, AVERAGE], dtype=torch.float64)
    true = (CELL - F.relu(CELL * torch.arange(1, -(-length // CELL) + 1) - length) for length in (h, w))
    spread = (torch.arange(levels.shape[1]) * GOLDEN % 2**32).double() / 2**32
    place = torch.arange(BASE, MAX_SYMBOLS)[:, None] + spread
    weight = shares.to(levels.device)[levels] * torch.outer(*true).flatten().to(levels.device)
    keys = (place.to(levels.device) / weight[:, None]).flatten(1)  # (b, symbols · cells)
    chosen = keys.argsort(dim=1, stable=True)[:, :n].sort(dim=1).values
    return chosen + BASE * levels.shape[1]


class Plan:
    """What the receiver is told of an image: levels, step and scales.

    Attributes:
        levels: of cells, `UNKNOWN` where nothing was told.
        numbers: log2 of the step between energies that are sent and that are not, and of the scale of extra symbols.
        base: log2 of the scale of the base, in whole quarters.
    """

    def __init__(
        self, levels: Int[Tensor, "b cells"], numbers: Float[Tensor, "b 2"], base: Float[Tensor, " b"]
    ) -> None:
        self.levels, self.numbers, self.base = levels, numbers, base

    @property
    def known(self) -> Bool[Tensor, " b"]:
        """Of which images anything is known."""
        return self.levels[:, 0] != UNKNOWN

    def apart(self) -> list[Plan]:
        """That of each image."""
        each = zip(*(torch.split(x, 1) for x in (self.levels, self.numbers, self.base)), strict=True)
        return [Plan(*one) for one in each]

    def send(self, layout: Layout) -> Complex[Tensor, "b n"]:
        """As symbols, the base's scale first."""
        told = [level_code.encode(row, layout.columns) for row in self.levels.tolist()]
        bits = [[int(bit) for bit in f"{number:0{layout.level_bits}b}"] for number in told]
        numbers = ((self.numbers * FINE).round().long() + (1 << WIDTH - 1)).clamp(0, (1 << WIDTH) - 1)
        message = torch.cat([numbers.new_tensor(bits), side.to_bits(numbers, WIDTH)], dim=1)
        return torch.cat([side.encode_scale(self.base), side.encode(message)], dim=1)

    @staticmethod
    def receive(symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"], layout: Layout) -> Plan:
        """From what `send` gave; the levels are `UNKNOWN` where the CRC says that they did not arrive."""
        bits, fine = side.decode(symbols[:, SCALE_USES:], n0[:, SCALE_USES:], layout.bits)
        plan = Plan.unknown(len(bits), layout.cells, bits.device)
        for i in fine.nonzero().flatten().tolist():
            number = int("".join(map(str, bits[i, : layout.level_bits].tolist())), 2)
            plan.levels[i] = bits.new_tensor(level_code.decode(number, layout.cells, layout.columns))
        numbers = (side.from_bits(bits[:, layout.level_bits :], WIDTH) - (1 << WIDTH - 1)).float() / FINE
        plan.numbers = numbers * fine[:, None]
        plan.base = side.decode_scale(symbols[:, :SCALE_USES], n0[:, :SCALE_USES])
        return plan

    @staticmethod
    def unknown(images: int, count: int, device: torch.device) -> Plan:
        """Of images of `count` cells that nobody was told anything of."""
        numbers = torch.zeros(images, NUMBERS, device=device)
        return Plan(torch.full((images, count), UNKNOWN, device=device), numbers, numbers[:, 0].clone())


@dataclass(frozen=True)
class Layout:
    """How the n symbols of an image of h×w pixels are divided: base, side, extra, in that order."""

    h: int
    w: int
    n: int

    @property
    def cells(self) -> int:
        """Cells of the image."""
        return math.prod(cells(self.h, self.w))

    @property
    def columns(self) -> int:
        """Cells of a row."""
        return cells(self.h, self.w)[1]

    @property
    def level_bits(self) -> int:
        """Bits of the levels of a plan."""
        return level_code.length(self.cells)

    @property
    def bits(self) -> int:
        """Bits of a plan; 0 where it would take too many symbols."""
        bits = self.level_bits + NUMBERS * WIDTH
        return bits if side.uses(bits) + SCALE_USES <= MOST_SIDE * self.n else 0

    @property
    def side(self) -> int:
        """Symbols of the plan: the base's scale, then the rest."""
        return SCALE_USES + side.uses(self.bits) if self.bits else 0

    @property
    def base(self) -> int:
        """Symbols that are known without a plan."""
        return min(BASE * self.cells, self.n - self.side)

    @property
    def extra(self) -> int:
        """The rest."""
        return self.n - self.side - self.base

    def places(self, levels: Int[Tensor, "b cells"]) -> Int[Tensor, "b n"]:
        """Where among the (symbol, cell) pairs base and extra belong."""
        base = torch.arange(self.base, device=levels.device).expand(len(levels), -1)
        return torch.cat([base, extras(levels, self.h, self.w, self.extra)], dim=1)

    def plan_of(self, received: Received) -> Plan:
        """The plan that was received."""
        if not self.bits:
            return Plan.unknown(len(received.symbols), self.cells, received.symbols.device)
        part = slice(self.base, self.base + self.side)
        return Plan.receive(received.symbols[:, part].detach(), received.n0[:, part].detach(), self)

    def without_side(self, x: Tensor) -> Tensor:
        """Base and extra of what was received."""
        return torch.cat([x[:, : self.base], x[:, self.base + self.side :]], dim=1)
