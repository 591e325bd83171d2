"""A few numbers sent digitally beside analogue symbols: CRC-16, an LDPC code of 5G NR of rate 1/3, QPSK."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from semlink.phy.constellation import QAM
    from semlink.phy.fec import LDPC5G

# Codes and constellation are imported where they are used: a machine that trains needs no Numba to have the networks.

CHECK = 16  # bits of the CRC
MOST = 8000  # bits of a block
EXPANSION = 3  # coded bits for each bit
SCALE_BITS, REPEATED = 4, 32


def uses(bits: int) -> int:
    """Channel uses that `bits` bits take."""
    count, k = _blocks(bits)
    return count * -(-EXPANSION * (k + CHECK) // 2)


def encode(bits: Int[Tensor, "b k"]) -> Complex[Tensor, "b n"]:
    """Bits to symbols of unit energy."""
    from semlink.phy.fec import crc

    count, k = _blocks(bits.shape[1])
    blocks = F.pad(bits, (0, count * k - bits.shape[1])).reshape(-1, k)
    coded = _code(k).encode(1 - crc.append(blocks, CHECK))  # inverted: of nothing the decoder makes zeros
    return qpsk().map(coded).reshape(len(bits), -1)


def decode(
    symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"], k: int
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, " b"]]:
    """Symbols to k bits, and in which images the CRCs say that these are what was sent."""
    from semlink.phy.fec import crc

    count, each = _blocks(k)
    llr = qpsk().llr(symbols, n0).reshape(len(symbols) * count, -1)
    blocks, fine = crc.check(1 - _code(each).decode(llr), CHECK)
    return blocks.long().reshape(len(symbols), -1)[:, :k], fine.reshape(-1, count).all(dim=1)


def _blocks(bits: int) -> tuple[int, int]:
    """Blocks of a message and the bits of each."""
    count = -(-bits // MOST)
    return count, -(-bits // count)


@lru_cache(maxsize=1)
def qpsk() -> QAM:
    from semlink.phy.constellation import QAM

    return QAM(4)


@lru_cache(maxsize=64)
def _code(k: int) -> LDPC5G:
    from semlink.phy.fec import LDPC5G

    return LDPC5G(k + CHECK, 2 * (-(-EXPANSION * (k + CHECK) // 2)))


def encode_scale(log_scale: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
    """A multiple of 1/4 from −2 to 1.75 as BPSK symbols, each bit `REPEATED` times."""
    label = (4 * log_scale).round().long() + 8
    signs = 1 - 2 * to_bits(label[:, None], SCALE_BITS)
    return signs.repeat(1, REPEATED).to(torch.complex64)


def decode_scale(symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """The likeliest of what `encode_scale` takes."""
    bits = (symbols.real / n0).reshape(-1, REPEATED, SCALE_BITS).sum(dim=1) < 0
    return (from_bits(bits.long(), SCALE_BITS)[:, 0] - 8) / 4


def to_bits(values: Int[Tensor, "b n"], width: int) -> Int[Tensor, "b n_width"]:
    """Whole numbers from 0 to bits, the highest first."""
    return (values[:, :, None] >> _places(width, values) & 1).flatten(1)


def from_bits(bits: Int[Tensor, "b n_width"], width: int) -> Int[Tensor, "b n"]:
    """What `to_bits` took."""
    return (bits.reshape(len(bits), -1, width) << _places(width, bits)).sum(2)


def _places(width: int, like: Tensor) -> Int[Tensor, " width"]:
    return torch.arange(width - 1, -1, -1, device=like.device)
