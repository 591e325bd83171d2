"""Block error rate curves on AWGN, measured: what `semlink bench bler` runs and `semlink.baselines.bler` reads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Num
from torch import Tensor

from semlink.baselines.doors import OWN_CODES, limits, make_code, mapper
from semlink.baselines.information import esno_db_for
from semlink.baselines.mcs import MCS
from semlink.phy.channels import AWGN
from semlink.phy.fec import K_MAX, K_MAX_BG2, LDPC5G, BlockCode, Gallager, TransportBlock, transport_block_size
from semlink.phy.link import esno_to_n0

ITERATIONS = 30
ENOUGH_ERRORS = 100
LEAST_BLOCKS, MOST_BLOCKS, MOST_BITS = 5_000, 30_000, 30_000_000  # of a point that has fewer errors
_BATCH_BITS = 1 << 19


@dataclass(frozen=True)
class Point:
    """Block errors of so many blocks at an Es/N0."""

    esno_db: float
    errors: int
    blocks: int

    @property
    def bler(self) -> float:
        """Block error rate."""
        return self.errors / self.blocks


FILLED = ("4qam-379/1024", "16qam-490/1024", "64qam-666/1024", "64qam-822/1024", "64qam-948/1024")
"""Schemes of which a block with many filler bits is measured."""


def block_sizes(mcs: MCS) -> tuple[int, ...]:
    """The k of the stored curves of a scheme, up to the largest code block that NR has at its rate.

    Where the base graph changes, between k = 308 and 309 above rate 0.67 and between 3840 and 3841 from 1/4 to that
    (TS 38.212 clause 7.2.2), there are at least two sizes on each side, 3840 and 4224 among them. Of some schemes there
    is 4225 too, the first size of the next lifting, of which one bit in 13 is a filler. Of 1024-QAM there are fewer.
    """
    if mcs.rate <= 0.25:
        return (64, 128, 256, 512, 1024, 2048, K_MAX_BG2)
    filled = (4225,) if str(mcs) in FILLED else ()
    if mcs.order > 256:
        return (64, 256, 1024, 4224, K_MAX)
    if mcs.rate <= 0.67:
        return (64, 128, 256, 512, 1024, 2048, K_MAX_BG2, 4224, *filled, K_MAX)
    return (64, 128, 256, 512, 1024, 2048, 4224, *filled, K_MAX)


def own_sizes(mcs: MCS, code: str) -> tuple[int, ...]:
    """The k that are measured of another code than 5G LDPC where none are named: from 64 to all that it has."""
    k_max, n_max = limits(code) if code in OWN_CODES else (1024, None)
    largest = min(k_max, 2048, math.floor((n_max or math.inf) * mcs.rate) if n_max else 2048)
    while n_max and length_of(mcs, largest) > n_max:
        largest -= 1
    return tuple(sorted({*(k for k in (64, 128, 256, 512, 1024, 2048) if k < largest), largest}))


def length_of(mcs: MCS, k: int) -> int:
    """The coded bits of the fewest symbols in which k bits, CRC included, keep to the rate."""
    return math.ceil(k / (mcs.rate * mcs.bits_per_symbol)) * mcs.bits_per_symbol


def code_of(mcs: MCS, k: int, iterations: int = ITERATIONS) -> LDPC5G:
    """The 5G LDPC code of k bits, CRC included, in the fewest symbols that keep to the rate."""
    return LDPC5G(k, length_of(mcs, k), bits_per_symbol=mcs.bits_per_symbol, iterations=iterations)


def transport_of(mcs: MCS, k: int) -> TransportBlock:
    """The transport block of k bits, its CRC included, in the fewest symbols that keep to the rate.

    Raises:
        ValueError: none has so many bits.
    """
    crc = 16 if k <= K_MAX_BG2 else 24
    if k <= crc or K_MAX_BG2 < k <= K_MAX_BG2 + 8:  # up to 3824 bits the CRC has 16, from 3825 on 24
        raise ValueError(f"k={k} must be from 17 to 3840, or from 3849 on: no transport block has so many bits")
    return TransportBlock(k - crc, length_of(mcs, k), mcs.rate, mcs.bits_per_symbol)


def transport_sizes(mcs: MCS) -> tuple[int, ...]:
    """The k of transport blocks, CRC included, that are measured where none are named: of one code block to several."""
    sizes = [
        transport_block_size(math.ceil(about / mcs.efficiency), rate=mcs.rate, bits_per_symbol=mcs.bits_per_symbol)
        for about in (64, 256, 1024, 3800, 8000, 20_000)
    ]
    return tuple(size + (16 if size + 16 <= K_MAX_BG2 else 24) for size in dict.fromkeys(sizes))


class _Transport:
    """A transport block as a code of its payload: all of it arrives, or it is lost."""

    def __init__(self, block: TransportBlock) -> None:
        self._block, self.k, self.n = block, block.payload, block.n

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        return self._block.encode(bits)

    def decode(self, llr: Float[Tensor, "b n"]) -> Num[Tensor, "b k"]:
        return self._block.decode(llr, iterations=ITERATIONS)[0]


def _make(mcs: MCS, k: int, code: str) -> BlockCode:
    if code == "ldpc":
        return code_of(mcs, k)
    if code == "nr":
        return _Transport(transport_of(mcs, k))
    return Gallager(k, length_of(mcs, k)) if code == "gallager" else make_code(code, k, length_of(mcs, k))


def measure_point(
    mcs: MCS,
    k: int,
    esno_db: float,
    *,
    seed: int,
    most_blocks: int,
    progress: Callable[[], None] = lambda: None,
    code: str = "ldpc",
) -> Point:
    """Send random blocks until there are 100 errors, or `most_blocks` blocks; `progress` is called at every batch.

    Raises:
        ValueError: the code has no such block.
    """
    coder, points, n0 = _make(mcs, k, code), mapper(mcs), esno_to_n0(esno_db)
    key = hashlib.blake2b(f"{seed} {mcs} {k} {esno_db:.3f}".encode(), digest_size=7).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(key))
    errors = blocks = 0
    while errors < ENOUGH_ERRORS and blocks < most_blocks:
        progress()
        count = min(max(16, _BATCH_BITS // coder.n), most_blocks - blocks)
        bits = torch.randint(0, 2, (count, coder.k), generator=rng, dtype=torch.uint8)
        received = AWGN()(points.map(coder.encode(bits)), n0, rng=rng)
        decoded = coder.decode(points.llr(received.symbols, received.n0))
        errors += int((decoded != bits).any(dim=1).sum())
        blocks += count
    return Point(esno_db, errors, blocks)


def measure_curve(
    mcs: MCS, k: int, *, seed: int, progress: Callable[[], None] = lambda: None, code: str = "ldpc"
) -> Iterator[Point]:
    """The waterfall, in steps of 0.1 to 0.5 dB, from more than 1 block in 2 lost to fewer than 1 in 1,000.

    `progress` is called every tenths of a second, and may raise to end it.

    Raises:
        ValueError: the code has no such block.
    """
    step = next(step for least, step in ((4000, 0.1), (2000, 0.15), (500, 0.2), (200, 0.3), (0, 0.5)) if k >= least)
    most_blocks = max(LEAST_BLOCKS, min(MOST_BLOCKS, MOST_BITS // k))
    capacity_db = float(esno_db_for(mcs, k / length_of(mcs, k) * mcs.bits_per_symbol))
    start = round((capacity_db + 0.4) / step) * step
    measure = partial(measure_point, mcs, k, seed=seed, most_blocks=most_blocks, progress=progress, code=code)
    first = measure(round(start, 3))
    yield first
    below, i = first, 1
    while below.bler < 0.5 and i < 40:
        below = measure(round(start - i * step, 3))
        yield below
        i += 1
    above, i = first, 1
    while above.bler > 1e-3 and start + i * step < capacity_db + 15:
        above = measure(round(start + i * step, 3))
        yield above
        i += 1
