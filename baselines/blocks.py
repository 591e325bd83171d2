"""The code blocks of a transmission: segmentation to a budget of channel uses, their CRC and their channel coding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from semlink.baselines.doors import INTERLEAVERS, OWN_CODES, code_spec, limits, make_code, order_of
from semlink.baselines.mcs import MCS
from semlink.phy.fec import (
    K_MAX,
    K_MAX_BG2,
    LDPC5G,
    N_MAX,
    BlockCode,
    Gallager,
    TransportBlock,
    Uncoded,
    crc,
    deinterleave,
    interleave,
    transport_block_size,
)

CODES = ("ldpc", "nr", "polar", "gallager", "conv", "uncoded")
"""Channel codes by name: 5G LDPC block by block, in NR's transport block; 5G polar, Gallager's, IEEE 802.11's, none."""

RATE_MOST = 0.95
"""Code rate above which a receiver of NR need not decode a transport block (TS 38.214 clause 5.1.3)."""

K_LEAST = 40
"""Least information bits of a code block: its CRC and two or three bytes."""

CRC_MOST = 24
"""Bits of a code block's CRC where there are several: a code of one's own may have no blocks that are long enough."""


@dataclass(frozen=True)
class Plan:
    """How the bits of one image are cut into code blocks: `counts[i]` blocks of size `sizes[i]`, in this order.

    Attributes:
        mcs: modulation and coding.
        counts: number of blocks of each size.
        sizes: (k, symbols) of each size: information bits, CRC included, and channel uses.
        code: the channel code, one of `CODES` or of one's own, as `semlink.baselines.doors` names it.
    """

    mcs: MCS
    counts: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    code: str = "ldpc"

    @property
    def transport(self) -> TransportBlock | None:
        """The transport block of code "nr"; None with the others."""
        if code_spec(self.code).name != "nr":
            return None
        rate, bits = self.mcs.rate, self.mcs.bits_per_symbol
        size = transport_block_size(self.symbols, rate=rate, bits_per_symbol=bits)
        return TransportBlock(size, self.coded_bits, rate, bits)

    @property
    def blocks(self) -> int:
        """Number of code blocks."""
        return sum(self.counts)

    @property
    def block_size(self) -> tuple[int, int]:
        """(k, n) of the largest code block: information bits, CRC included, and coded bits."""
        k, symbols = max(self.sizes)
        return k, symbols * self.mcs.bits_per_symbol

    @property
    def symbols(self) -> int:
        """Channel uses of all blocks."""
        return sum(count * symbols for count, (_, symbols) in zip(self.counts, self.sizes, strict=True))

    @property
    def coded_bits(self) -> int:
        """Bits that the symbols carry."""
        return self.symbols * self.mcs.bits_per_symbol

    @property
    def info_bits(self) -> int:
        """Bits of all blocks without CRC."""
        return self.bits_of(self.blocks)

    @property
    def crc_length(self) -> int:
        """Bits of one CRC: 16 for a single block of up to 3824 bits without it, else 24 (TS 38.212 clause 7.2.1)."""
        return 16 if self.blocks == 1 and self.sizes[0][0] - 16 <= 3824 else 24

    @property
    def crc_bits(self) -> int:
        """Bits of all CRCs."""
        if block := self.transport:
            return block.crc_length + block.blocks * block.block_crc
        return self.blocks * self.crc_length

    @property
    def payload_bytes(self) -> int:
        """Whole bytes for the source coding."""
        return self.info_bits // 8

    def bits_of(self, blocks: int) -> int:
        """Bits without CRC that the first `blocks` blocks carry."""
        if block := self.transport:
            return min(block.payload, blocks * (block.k - block.block_crc))
        total = 0
        for count, (k, _) in zip(self.counts, self.sizes, strict=True):
            total += min(blocks, count) * (k - self.crc_length)
            blocks -= min(blocks, count)
        return total


def plan_blocks(symbols: int, mcs: MCS, code: str = "ldpc") -> Plan:
    """Cut `symbols` channel uses into the fewest code blocks that the code has, as even as whole symbols allow.

    Of 5G LDPC they have at most 8448 bits, 3840 up to rate 1/4 (TS 38.212 clause 5.2.2); of other codes no more, and
    as many as they say. Code "nr" is a transport block as the standard sizes and cuts it.

    Raises:
        ValueError: too few for one code block.
    """
    name = code_spec(code).name
    return _plan_transport_block(symbols, mcs, code) if name == "nr" else _cut(symbols, mcs, code, *_limits(mcs, name))


@lru_cache(maxsize=4096)
def _cut(symbols: int, mcs: MCS, code: str, largest: int, longest: float) -> Plan:
    if _k(symbols, mcs) < K_LEAST:
        least = math.ceil(K_LEAST / (mcs.rate * mcs.bits_per_symbol))
        raise ValueError(f"{symbols} channel uses; {mcs} needs at least {least} for one code block")
    blocks = math.ceil(symbols * mcs.bits_per_symbol * mcs.rate / largest)
    while _k(-(-symbols // blocks), mcs) > largest or -(-symbols // blocks) * mcs.bits_per_symbol > longest:
        blocks += 1
    short, longer = divmod(symbols, blocks)
    groups = [(longer, short + 1), (blocks - longer, short)]
    kept = [(count, (_k(size, mcs), size)) for count, size in groups if count]
    if (least := min(k for _, (k, _) in kept)) <= CRC_MOST:
        raise ValueError(f"code={code!r} cuts {symbols} channel uses of {mcs} into blocks of {least} bits, less than "
                         f"a CRC of {CRC_MOST} and a bit take: it has no longer ones")  # fmt: skip
    return Plan(mcs, tuple(count for count, _ in kept), tuple(size for _, size in kept), code)


@lru_cache(maxsize=4096)
def _plan_transport_block(symbols: int, mcs: MCS, code: str) -> Plan:
    size = transport_block_size(symbols, rate=mcs.rate, bits_per_symbol=mcs.bits_per_symbol) if symbols > 0 else 24
    block = TransportBlock(size, symbols * mcs.bits_per_symbol, mcs.rate, mcs.bits_per_symbol)
    if block.k > RATE_MOST * min(block.lengths):
        raise ValueError(
            f"{symbols} channel uses; {mcs} would send its transport block of {size} bits at rate "
            f"{block.k / min(block.lengths):.3g}, and NR decodes up to {RATE_MOST}"
        )
    return plan_of(block, mcs, code)


def plan_of(block: TransportBlock, mcs: MCS, code: str = "nr") -> Plan:
    """The code blocks of a transport block; one of a size that is not of the standard is not its plan's `transport`."""
    groups = [(block.lengths.count(n), (block.k, n // mcs.bits_per_symbol)) for n in sorted(set(block.lengths))]
    return Plan(mcs, tuple(count for count, _ in groups), tuple(size for _, size in groups), code)


def channel_encode(bits: Num[Tensor, "b k"], plan: Plan) -> Num[Tensor, "b n"]:
    """Cut into blocks, add CRCs and encode: information bits (b, k) to coded bits (b, n).

    The parity bits of a CRC are sent inverted. The word of all zeros, which a decoder makes of LLRs that say nothing,
    is a code word, and its own CRC would hold. A transport block is the standard's, with CRCs as they are.
    """
    coded = plan.transport.encode(bits) if plan.transport else _encode_blocks(bits, plan)
    interleaver = code_spec(plan.code).interleaver
    return interleave(coded, order_of(interleaver, plan.coded_bits)) if interleaver else coded


def _encode_blocks(bits: Num[Tensor, "b k"], plan: Plan) -> Num[Tensor, "b n"]:
    coded, at = [], 0
    for code, count in _codes(plan):
        length = code.k - plan.crc_length
        blocks = bits[:, at : at + count * length].reshape(-1, length)
        coded.append(code.encode(_mask(crc.append(blocks, plan.crc_length), plan)).reshape(bits.shape[0], -1))
        at += count * length
    return torch.cat(coded, dim=1)


def channel_decode(llr: Float[Tensor, "b n"], plan: Plan) -> tuple[Num[Tensor, "b k"], Bool[Tensor, "b blocks"]]:
    """Decode LLRs (b, n) to information bits (b, k) and which blocks' CRCs hold."""
    if interleaver := code_spec(plan.code).interleaver:
        llr = deinterleave(llr, order_of(interleaver, plan.coded_bits))
    if block := plan.transport:
        return block.decode(llr)
    bits, ok, at = [], [], 0
    for code, count in _codes(plan):
        blocks = llr[:, at : at + count * code.n].reshape(-1, code.n)
        decoded, good = crc.check(_mask(code.decode(blocks), plan), plan.crc_length)
        bits.append(decoded.reshape(llr.shape[0], -1))
        ok.append(good.reshape(llr.shape[0], -1))
        at += count * code.n
    return torch.cat(bits, dim=1), torch.cat(ok, dim=1)


def _mask(blocks: Num[Tensor, "b k"], plan: Plan) -> Num[Tensor, "b k"]:
    """With the parity bits of the CRC inverted."""
    parity = 1 - blocks[:, -plan.crc_length :]
    return torch.cat([blocks[:, : -plan.crc_length], parity], dim=1)


def check_code(code: str, mcs: MCS) -> None:
    """Raise ValueError unless a code can carry a scheme at all, and is installed."""
    spec = code_spec(code)
    if spec.name not in {*CODES, *OWN_CODES}:
        raise ValueError(f"code={code!r} must be one of: {', '.join(dict.fromkeys([*CODES, *OWN_CODES]))}")
    if spec.interleaver not in {None, *INTERLEAVERS}:
        raise ValueError(f"code={code!r}: the interleaver must be one of: {', '.join(INTERLEAVERS)}")
    highest = {"conv": Fraction(3, 4), "gallager": Fraction(7, 8)}.get(spec.name)
    if highest is not None and mcs.rate > highest:
        raise ValueError(f"mcs='{mcs}': code={code!r} goes up to rate {highest}")
    if spec.name == "gallager":
        Gallager(8, 16)


def _codes(plan: Plan) -> Sequence[tuple[BlockCode, int]]:
    m = plan.mcs.bits_per_symbol
    sizes = zip(plan.sizes, plan.counts, strict=True)
    return [(_make_code(plan.code, k, symbols * m, m, plan.info_bits), count) for (k, symbols), count in sizes]


def _make_code(code: str, k: int, n: int, bits_per_symbol: int, payload: int) -> BlockCode:
    name = code_spec(code).name
    return make_code(name, k, n) if name in OWN_CODES else _ours(name, k, n, bits_per_symbol, payload)


@lru_cache(maxsize=256)
def _ours(name: str, k: int, n: int, bits_per_symbol: int, payload: int) -> BlockCode:
    if name == "ldpc":
        return LDPC5G(k, n, payload=payload, bits_per_symbol=bits_per_symbol)
    return Gallager(k, n) if name == "gallager" else Uncoded(k)


def _limits(mcs: MCS, name: str) -> tuple[int, float]:
    """The most information bits and coded bits of a block."""
    if name in OWN_CODES:
        k_max, n_max = limits(name)
        return k_max if n_max is None else min(k_max, math.floor(n_max * mcs.rate)), n_max or math.inf
    if name == "gallager":
        return math.floor(N_MAX * mcs.rate), N_MAX
    return K_MAX if mcs.rate > 0.25 else K_MAX_BG2, math.inf


def _k(symbols: int, mcs: MCS) -> int:
    return math.floor(symbols * mcs.bits_per_symbol * mcs.rate)
