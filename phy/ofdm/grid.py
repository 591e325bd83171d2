"""The resource grid of an OFDM frame: which elements hold payload, pilots of each antenna, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Complex, Int
from torch import Tensor

from semlink.phy.parameters import check_whole, is_whole

Array = np.ndarray


@dataclass(frozen=True)
class Numerology:
    """Carriers and samples of an OFDM symbol.

    Attributes:
        spacing_hz: carrier spacing.
        fft: carriers, and samples of an OFDM symbol without its cyclic prefix.
        cp: samples of the cyclic prefix.
        guards: empty carriers at the lower and at the upper edge of the band.
        dc: whether the carrier in the middle is empty.
    """

    spacing_hz: float
    fft: int
    cp: int
    guards: tuple[int, int]
    dc: bool

    @cached_property
    def carriers(self) -> Int[Array, " u"]:
        """Numbers of the used carriers, rising, 0 in the middle of the band."""
        every = np.arange(-(self.fft // 2) + self.guards[0], self.fft - self.fft // 2 - self.guards[1])
        return every[every != 0] if self.dc else every

    @property
    def used(self) -> int:
        """Number of used carriers."""
        return len(self.carriers)

    @property
    def sample_hz(self) -> float:
        """Samples a second."""
        return self.fft * self.spacing_hz

    @property
    def length(self) -> int:
        """Samples of an OFDM symbol with its cyclic prefix."""
        return self.fft + self.cp

    @property
    def symbol_s(self) -> float:
        """Duration of an OFDM symbol with its cyclic prefix."""
        return self.length / self.sample_hz


def check_numerology(given: Numerology) -> None:
    """Raise ValueError unless carriers, prefix and guards go together."""
    if not 1 <= given.spacing_hz <= 1e7:
        raise ValueError(f"spacing_hz={given.spacing_hz!r} must be from 1 to 1e7 Hz")
    check_whole("fft", given.fft, 8, 8192, of="carriers")
    if not is_whole(given.cp) or not 0 <= given.cp < given.fft:
        raise ValueError(f"cp={given.cp!r} must be a whole number of samples from 0 to below fft={given.fft}")
    guards = given.guards
    if len(guards) != 2 or not all(isinstance(guard, Integral) and guard >= 0 for guard in guards):
        raise ValueError(f"guards={guards!r} must be two numbers of empty carriers from 0, lower and upper edge")
    if given.used < 1:
        raise ValueError(f"guards={guards!r} of fft={given.fft} carriers leave none to use")


@dataclass(frozen=True)
class Lattice:
    """Pilots of several transmit antennas: each sends alone on elements of its own, on a grid as regular as fits.

    Antennas lie side by side, up to `carriers` of them in frequency and then in time, in blocks; blocks repeat every
    `carriers` used carriers and every `symbols` OFDM symbols, and the last ones end with the band and with the frame.
    """

    tx: int
    carriers: int
    symbols: int

    @property
    def wide(self) -> int:
        """Antennas of a block side by side in frequency."""
        return min(self.tx, self.carriers)

    @property
    def high(self) -> int:
        """OFDM symbols of a block."""
        return -(-self.tx // self.carriers)

    def places(self, antenna: int, used: int, symbols: int) -> tuple[Int[Array, " p"], Int[Array, " q"]]:
        """OFDM symbols and used carriers (as indices) of an antenna's pilots; they lie where the two cross."""
        rows = _starts(symbols, self.symbols, self.high) + antenna // self.carriers
        return rows, _starts(used, self.carriers, self.wide) + antenna % self.carriers

    def count(self, used: int, symbols: int) -> int:
        """Pilots of all antennas."""
        blocks = len(_starts(used, self.carriers, self.wide)) * len(_starts(symbols, self.symbols, self.high))
        return blocks * self.tx


def _starts(length: int, every: int, width: int) -> Int[Array, " p"]:
    """Where blocks of `width` begin: one in `every`, and the last one at the end."""
    last = max(0, length - width)
    starts = np.arange(0, last + 1, every)
    if starts[-1] == last:
        return starts
    overlapping = len(starts) > 1 and last - starts[-1] < width
    if not overlapping and last - starts[-1] < width:
        return starts
    return np.append(starts[:-1] if overlapping else starts, last)


@dataclass(frozen=True)
class Grid:
    """A frame of `symbols` OFDM symbols on `used` carriers, filled frequency first; element s·used + u is (s, u).

    Attributes:
        used: used carriers.
        symbols: OFDM symbols.
        uses: elements of the payload.
        lattice: the pilots; None for none.
    """

    used: int
    symbols: int
    uses: int
    lattice: Lattice | None

    @cached_property
    def pilots(self) -> tuple[tuple[Int[Array, " p"], Int[Array, " q"]], ...]:
        """OFDM symbols and used carriers of each antenna's pilots."""
        if self.lattice is None:
            return ()
        return tuple(self.lattice.places(t, self.used, self.symbols) for t in range(self.lattice.tx))

    @cached_property
    def payload(self) -> Int[Tensor, " uses"]:
        """Elements of the payload."""
        free = np.ones((self.symbols, self.used), dtype=bool)
        for rows, columns in self.pilots:
            free[np.ix_(rows, columns)] = False
        return torch.from_numpy(np.flatnonzero(free)[: self.uses])

    @cached_property
    def account(self) -> dict[str, int]:
        """Elements by purpose; they add up to those of the grid."""
        pilots = self.lattice.count(self.used, self.symbols) if self.lattice else 0
        padding = self.symbols * self.used - self.uses - pilots
        return {"payload": self.uses, **({"pilot": pilots} if pilots else {}), "padding": padding}

    @property
    def pilot_symbols(self) -> Int[Array, " p"]:
        """OFDM symbols with pilots in them."""
        return np.unique(np.concatenate([rows for rows, _ in self.pilots])) if self.pilots else np.zeros(0, dtype=int)

    def pilot_values(self, antenna: int) -> Complex[Tensor, "p q"]:
        """QPSK of energy 1, the same in every frame."""
        rows, columns = self.pilots[antenna]
        turns = np.random.default_rng(antenna).integers(4, size=(len(rows), len(columns)))
        return torch.from_numpy(np.exp(0.5j * np.pi * (turns + 0.5)).astype(np.complex64))

    def fill(self, payload: Complex[Tensor, "b uses tx"]) -> Complex[Tensor, "b s u tx"]:
        """The grid of each antenna, pilots included."""
        b, _, tx = payload.shape
        empty = payload.new_zeros(b, self.symbols * self.used, tx)
        grid = empty.index_copy(1, self.payload.to(payload.device), payload).reshape(b, self.symbols, self.used, tx)
        for antenna, (rows, columns) in enumerate(self.pilots):
            at = np.ix_(rows, columns)
            grid[:, at[0], at[1], antenna] = self.pilot_values(antenna).to(payload)
        return grid

    def observed_pilots(self, observed: Complex[Tensor, "b s u rx"], antenna: int) -> Complex[Tensor, "b p q rx"]:
        """What came of an antenna's pilots, over what was sent: the channel and noise of the same variance."""
        rows, columns = np.ix_(*self.pilots[antenna])
        return observed[:, rows, columns] * self.pilot_values(antenna).to(observed).conj()[..., None]


@lru_cache(maxsize=64)
def make_grid(used: int, uses: int, lattice: Lattice | None) -> Grid:
    """The shortest grid that holds `uses` elements of payload beside its pilots."""
    symbols = max(-(-uses // used), lattice.high if lattice else 1)
    while lattice and (lack := uses + lattice.count(used, symbols) - symbols * used) > 0:
        symbols += max(1, lack // used)
    while lattice and symbols > lattice.high and _fits(used, uses, lattice, symbols - 1):
        symbols -= 1
    return Grid(used, symbols, uses, lattice)


def _fits(used: int, uses: int, lattice: Lattice, symbols: int) -> bool:
    return uses + lattice.count(used, symbols) <= symbols * used
