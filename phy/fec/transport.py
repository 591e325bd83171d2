"""The transport block of 5G NR: its size, its checks, code blocks, rate matching and redundancy versions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from semlink.phy.fec import crc
from semlink.phy.fec.code import check_bits, check_llr
from semlink.phy.fec.layered import LayeredDecoder
from semlink.phy.fec.ldpc_encoder import NREncoder
from semlink.phy.fec.ldpc_graph import K_CRC16, K_MAX, K_MAX_BG2, nr_graph

# k, n, bits per symbol, base graph, redundancy versions, bits of the circular buffer.
_Code = tuple[int, int, int, int, tuple[int, ...], int | None]

_TOLD = 1 / 8  # of a block's bits, for zeros to be believed; whatever can be decoded is told all of them

VERSIONS = (0, 1, 2, 3)
"""Redundancy versions of TS 38.212 clause 5.4.2.1."""

# TS 38.214 table 5.1.3.2-1: sizes of transport blocks up to 3824 bits. Runs of equal steps: (first, step, last).
_RUNS = (
    (24, 8, 192), (208, 16, 384), (408, 24, 576), (608, 32, 768), (808, 40, 928), (984, 48, 1032), (1064, 64, 1128),
    (1160, 32, 1352), (1416, 64, 1928), (2024, 64, 2280), (2408, 64, 2856), (2976, 128, 3104), (3240, 128, 3752),
    (3824, 1, 3824),
)  # fmt: skip
SIZES = tuple(size for first, step, last in _RUNS for size in range(first, last + 1, step))
"""Transport block sizes of TS 38.214 table 5.1.3.2-1, in bits."""


def transport_block_size(symbols: int, *, rate: float | Fraction, bits_per_symbol: int, layers: int = 1) -> int:
    """Bits of the transport block that NR sends in so many resource elements (TS 38.214 clause 5.1.3.2).

    Args:
        symbols: resource elements N_RE, of one layer.
        rate: target code rate R.
        bits_per_symbol: Q_m of the modulation.
        layers: v.

    Raises:
        ValueError: nothing to send in.
    """
    if symbols < 1 or layers < 1:
        raise ValueError(f"symbols={symbols} and layers={layers} must be at least 1")
    exact = Fraction(rate).limit_denominator(10240) if isinstance(rate, float) else Fraction(rate)
    info = symbols * exact * bits_per_symbol * layers
    if info <= K_CRC16:
        step = 1 << max(3, _log2(info) - 6)
        least = max(24, step * math.floor(info / step))
        return next(size for size in SIZES if size >= least)
    step = 1 << (_log2(info - 24) - 5)
    near = max(3840, step * math.floor((info - 24) / step + Fraction(1, 2)))  # ties towards the larger
    largest = K_MAX_BG2 if exact <= Fraction(1, 4) else K_MAX
    blocks = -(-(near + 24) // (largest - 24))
    return 8 * blocks * -(-(near + 24) // (8 * blocks)) - 24


def _log2(value: Fraction) -> int:
    """The whole part of the binary logarithm of a number from 1, exactly."""
    return math.floor(value).bit_length() - 1 if value >= 1 else 0


@dataclass(frozen=True)
class TransportBlock:
    """A transport block of NR, from its bits to the coded bits of a code word and back.

    CRC (TS 38.212 clause 7.2.1), base graph (7.2.2), segmentation and the CRC of each code block (5.2.2), LDPC
    (5.3.2), rate matching with redundancy versions (5.4.2.1), bit interleaving (5.4.2.2) and concatenation (5.5). Of
    several blocks, the first ones are as short as whole symbols of all layers allow.

    Args:
        payload: bits A of the block; `transport_block_size` tells those of the standard.
        n: coded bits G of one transmission.
        rate: target code rate R, by which the base graph is chosen.
        bits_per_symbol: Q_m of the modulation.
        layers: over which the code word is sent.
        soft_bits: N_IR / C·C, that is the bits of all circular buffers that transmitter and receiver keep, at most
            (limited-buffer rate matching; TBS_LBRM / R_LBRM of clause 5.4.2.1); None leaves them whole.

    Raises:
        ValueError: a size out of range, or a payload that does not divide into code blocks of whole bits.
    """

    payload: int
    n: int
    rate: float | Fraction
    bits_per_symbol: int
    layers: int = 1
    soft_bits: int | None = None

    def __post_init__(self) -> None:
        if self.payload < 1:
            raise ValueError(f"payload={self.payload} must be at least 1 bit")
        if not 0 < self.rate < 1:
            raise ValueError(f"rate={self.rate} must be between 0 and 1")
        whole = self.bits_per_symbol * self.layers
        if self.bits_per_symbol < 1 or self.layers < 1:
            raise ValueError(f"bits_per_symbol={self.bits_per_symbol} and layers={self.layers} must be at least 1")
        if self.n < whole * self.blocks or self.n % whole:
            raise ValueError(
                f"n={self.n} must be a multiple of bits_per_symbol·layers={whole}, and at least one for each of "
                f"{self.blocks} code blocks"
            )
        if (self.payload + self.crc_length) % self.blocks:
            near = self.payload + -(self.payload + self.crc_length) % self.blocks
            raise ValueError(
                f"payload={self.payload} does not divide into {self.blocks} code blocks; {near} would "
                "(transport_block_size tells the sizes of TS 38.214)"
            )
        if self.soft_bits is not None and self.soft_bits < self.blocks * self.k:
            raise ValueError(f"soft_bits={self.soft_bits} must be at least {self.blocks * self.k}, the bits to be sent")

    @property
    def crc_length(self) -> int:
        """Bits of the CRC of the whole block: CRC-16 up to 3824 bits, then CRC-24A."""
        return 16 if self.payload <= K_CRC16 else 24

    @property
    def base_graph(self) -> int:
        """1 or 2 (TS 38.212 clause 7.2.2)."""
        small = self.payload <= 292 or (self.payload <= K_CRC16 and self.rate <= 0.67)
        return 2 if small or self.rate <= 0.25 else 1

    @property
    def blocks(self) -> int:
        """Code blocks."""
        bits, largest = self.payload + self.crc_length, K_MAX if self.base_graph == 1 else K_MAX_BG2
        return 1 if bits <= largest else -(-bits // (largest - 24))

    @property
    def k(self) -> int:
        """Bits of a code block, CRC included."""
        return (self.payload + self.crc_length) // self.blocks + self.block_crc

    @property
    def block_crc(self) -> int:
        """Bits of the CRC-24B of each code block; a single one has none."""
        return 24 if self.blocks > 1 else 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """Coded bits E_r of each code block (TS 38.212 clause 5.4.2.1)."""
        whole = self.bits_per_symbol * self.layers
        short, longer = divmod(self.n // whole, self.blocks)
        return (short * whole,) * (self.blocks - longer) + ((short + 1) * whole,) * longer

    def encode(self, bits: Num[Tensor, "b payload"], version: int = 0) -> Num[Tensor, "b n"]:
        """Rows of payload bits, 0 or 1, to the coded bits of one redundancy version, of the same dtype.

        Raises:
            ValueError: `bits` is not (b, payload), or not binary; an unknown version.
        """
        check_bits(bits, self.payload)
        _check_versions([version])
        parts = crc.append(bits, self.crc_length).reshape(len(bits) * self.blocks, -1)
        if self.block_crc:
            parts = crc.append(parts, polynomial=crc.CRC24B)
        blocks = parts.to("cpu", torch.uint8).reshape(len(bits), self.blocks, self.k)
        coded = []
        for at, count, n in self._runs:
            rows = blocks[:, at : at + count].reshape(-1, self.k).numpy()
            coded.append(torch.from_numpy(_encoder(self._code(n, (version,)))(rows)).reshape(len(bits), -1))
        return torch.cat(coded, dim=1).to(bits)

    def decode(
        self, llr: Float[Tensor, "b n_all"], versions: Sequence[int] = (0,), *, iterations: int = 30
    ) -> tuple[Num[Tensor, "b payload"], Bool[Tensor, "b blocks"]]:
        """Rows of LLRs log P(0)/P(1) to the payload bits and which code blocks arrived.

        LLRs of several transmissions, n of each, are combined: bits that were sent again add up (chase combining), and
        those of other versions lower the rate (incremental redundancy). A single code block is checked by the CRC of
        the whole; of several, each by its own, and all are taken for lost where only the CRC of the whole fails. Zeros
        are a code word whose CRCs hold: where LLRs say next to nothing, of which they are made, the block is lost.

        Raises:
            ValueError: `llr` is not (b, n·versions), or holds NaN; an unknown version, or none.
        """
        _check_versions(versions)
        check_llr(llr, self.n * len(versions))
        per_version = llr.detach().to("cpu", torch.float32).reshape(len(llr), len(versions), self.n)
        bits, start = torch.empty(len(llr), self.blocks, self.k, dtype=torch.uint8), 0
        told = torch.empty(len(llr), self.blocks)
        for at, count, n in self._runs:
            # (b, versions, count, n) to a row of all versions for each code block.
            part = per_version[:, :, start : start + count * n].reshape(len(llr), -1, count, n).transpose(1, 2)
            decode = _decoder(self._code(n, tuple(versions)))
            values = decode(part.reshape(-1, len(versions) * n).contiguous().numpy(), iterations).values
            bits[:, at : at + count] = torch.from_numpy(values).to(torch.uint8).reshape(len(llr), count, self.k)
            told[:, at : at + count] = part.square().sum(dim=(2, 3)) / (8 * math.log(2))
            start += count * n
        return self._checked(bits, told, llr)

    def _checked(
        self, blocks: Num[Tensor, "b blocks k"], told: Float[Tensor, "b blocks"], like: Tensor
    ) -> tuple[Tensor, Bool[Tensor, "b blocks"]]:
        """`told` are the bits that each block's LLRs tell at most: a weak LLR of variance σ² tells σ² / (8 ln 2)."""
        rows = blocks.flatten(0, 1)
        # Of LLRs that say next to nothing the decoder makes zeros, which are a code word and whose CRCs hold.
        arrived = (blocks != 0).any(dim=2) | (told > _TOLD * self.k)
        if self.block_crc:
            rows, ok = crc.check(rows, polynomial=crc.CRC24B)
            arrived &= ok.reshape(blocks.shape[:2])
        payload, whole = crc.check(rows.reshape(len(blocks), -1), self.crc_length)
        return payload.to(like), arrived & (whole | ~arrived.all(dim=1))[:, None]

    def coverage(
        self, n: int, versions: Sequence[int]
    ) -> tuple[Int[np.ndarray, "kinds rounds levels"], Float[np.ndarray, " kinds"]]:
        """How often transmissions of a code block, n coded bits in each, repeat its bits, and in which labels.

        Returns:
            kinds of bits: how often a bit is sent in each transmission in the labels of each level of an axis of the
            constellation (of which the first is the sign); and how many bits are of each kind, per n.

        Raises:
            ValueError: an unknown version, or none.
        """
        _check_versions(versions)
        return _coverage(self._code(n, tuple(versions)))

    @cached_property
    def _runs(self) -> list[tuple[int, int, int]]:
        """Code blocks of one length: the first, how many, and their coded bits."""
        lengths = self.lengths
        return [(lengths.index(n), lengths.count(n), n) for n in sorted(set(lengths))]

    def _code(self, n: int, versions: tuple[int, ...]) -> _Code:
        soft = None if self.soft_bits is None else self.soft_bits // self.blocks
        return self.k, n, self.bits_per_symbol, self.base_graph, versions, soft


def _check_versions(versions: Sequence[int]) -> None:
    if not versions:
        raise ValueError("versions=() must name the redundancy version of at least one transmission")
    for version in versions:
        if version not in VERSIONS:
            raise ValueError(f"redundancy version {version!r} must be one of: 0, 1, 2, 3 (TS 38.212 clause 5.4.2.1)")


@lru_cache(maxsize=1024)
def _coverage(code: _Code) -> tuple[Int[np.ndarray, "kinds rounds levels"], Float[np.ndarray, " kinds"]]:
    _, n, bits_per_symbol, _, versions, _ = code
    where = nr_graph(*code).where.reshape(len(versions), n)
    often = np.zeros((int(where.max()) + 1, len(versions), max(1, bits_per_symbol // 2)), dtype=np.int64)
    np.add.at(often, (where, np.arange(len(versions))[:, None], np.arange(n) % bits_per_symbol // 2), 1)
    # A sum with weights at random tells kinds apart, much faster than sorting rows does.
    weights = np.random.default_rng(0).integers(1, 2**48, often[0].size)
    key, first, count = np.unique(often.reshape(len(often), -1) @ weights, return_index=True, return_counts=True)
    return often[first[key > 0]], count[key > 0] / n


@lru_cache(maxsize=256)
def _encoder(code: _Code) -> NREncoder:
    return NREncoder(nr_graph(*code))


@lru_cache(maxsize=256)
def _decoder(code: _Code) -> LayeredDecoder:
    graph = nr_graph(*code)
    fillers = code[0], graph.info_columns * graph.full.z
    return LayeredDecoder(graph.pruned, where=graph.where, known=fillers, info=code[0])
