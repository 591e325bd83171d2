"""The code blocks of a transmission: segmentation to a budget of channel uses, and their CRC and LDPC coding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from semlink.baselines.mcs import MCS
from semlink.phy import crc
from semlink.phy.ldpc import LDPC5G
from semlink.phy.ldpc_graph import K_MAX

K_LEAST = crc.CRC_BITS + 16
"""Least information bits of a code block: its CRC and two bytes."""


@dataclass(frozen=True)
class Plan:
    """How the bits of one image are cut into code blocks: `counts[i]` blocks of size `sizes[i]`, in this order.

    Attributes:
        mcs: modulation and coding.
        counts: number of blocks of each size.
        sizes: (k, symbols) of each size: information bits, CRC included, and channel uses.
    """

    mcs: MCS
    counts: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def blocks(self) -> int:
        """Number of code blocks."""
        return sum(self.counts)

    @property
    def symbols(self) -> int:
        """Channel uses of all blocks."""
        return sum(count * symbols for count, (_, symbols) in zip(self.counts, self.sizes, strict=True))

    @property
    def info_bits(self) -> int:
        """Bits of all blocks without CRC."""
        return self.bits_of(self.blocks)

    @property
    def payload_bytes(self) -> int:
        """Whole bytes for the source coding."""
        return self.info_bits // 8

    def bits_of(self, blocks: int) -> int:
        """Bits without CRC that the first `blocks` blocks carry."""
        total = 0
        for count, (k, _) in zip(self.counts, self.sizes, strict=True):
            total += min(blocks, count) * (k - crc.CRC_BITS)
            blocks -= min(blocks, count)
        return total


def plan_blocks(symbols: int, mcs: MCS) -> Plan:
    """Cut `symbols` channel uses into the fewest code blocks of at most 8448 bits, as even as whole symbols allow.

    Raises:
        ValueError: too few for one code block.
    """
    if _k(symbols, mcs) < K_LEAST:
        least = math.ceil(K_LEAST / (mcs.rate * mcs.bits_per_symbol))
        raise ValueError(f"{symbols} channel uses; {mcs} needs at least {least} for one code block")
    blocks = math.ceil(symbols * mcs.bits_per_symbol * mcs.rate / K_MAX)
    while _k(-(-symbols // blocks), mcs) > K_MAX:
        blocks += 1
    short, longer = divmod(symbols, blocks)
    groups = [(longer, short + 1), (blocks - longer, short)]
    kept = [(count, (_k(size, mcs), size)) for count, size in groups if count]
    return Plan(mcs, tuple(count for count, _ in kept), tuple(size for _, size in kept))


def channel_encode(bits: Num[Tensor, "b k"], plan: Plan) -> Num[Tensor, "b n"]:
    """Cut into blocks, add CRCs and encode: information bits (b, k) to coded bits (b, n)."""
    coded, at = [], 0
    for code, count in _codes(plan):
        length = code.k - crc.CRC_BITS
        blocks = bits[:, at : at + count * length].reshape(-1, length)
        coded.append(code.encode(crc.append(blocks)).reshape(bits.shape[0], -1))
        at += count * length
    return torch.cat(coded, dim=1)


def channel_decode(llr: Float[Tensor, "b n"], plan: Plan) -> tuple[Num[Tensor, "b k"], Bool[Tensor, "b blocks"]]:
    """Decode LLRs (b, n) to information bits (b, k) and which blocks' CRCs hold."""
    bits, ok, at = [], [], 0
    for code, count in _codes(plan):
        blocks = llr[:, at : at + count * code.n].reshape(-1, code.n)
        decoded, good = crc.check(code.decode(blocks))
        bits.append(decoded.reshape(llr.shape[0], -1))
        ok.append(good.reshape(llr.shape[0], -1))
        at += count * code.n
    return torch.cat(bits, dim=1), torch.cat(ok, dim=1)


def _codes(plan: Plan) -> Sequence[tuple[LDPC5G, int]]:
    m = plan.mcs.bits_per_symbol
    sizes = zip(plan.sizes, plan.counts, strict=True)
    return [(LDPC5G(k, symbols * m, bits_per_symbol=m), count) for (k, symbols), count in sizes]


def _k(symbols: int, mcs: MCS) -> int:
    return math.floor(symbols * mcs.bits_per_symbol * mcs.rate)
