"""The LDPC code of 5G NR (TS 38.212): one code block, rate-matched to any length."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from scipy.sparse import csr_matrix
from torch import Tensor

BACKENDS = ("sionna",)
K_MIN, K_MAX = 12, 8448
RATE_MAX = 948 / 1024

# Iterations between two looks at the parity checks.
_STRIDE = 2
# Variable nodes decoded at a time: more rows fall out of the processor's cache, and memory stays bounded.
_NODES_AT_ONCE = 1 << 16


class LDPC5G:
    """5G NR LDPC code with k information bits rate-matched to n coded bits.

    Base graph, lifting size, circular buffer at redundancy version 0 and bit interleaver as TS 38.212 clauses 5.3.2,
    5.4.2.1, 5.4.2.2 and 7.2.2 say, for a block that has its CRC already.

    Args:
        k: information bits of a block, CRC included.
        n: coded bits of a block.
        bits_per_symbol: bits of one modulation symbol for the interleaver of clause 5.4.2.2; None leaves it out.
        iterations: belief-propagation iterations at most; a block stops earlier once all its parity checks hold.
        backend: "sionna": sum-product with a flooding schedule.

    Raises:
        ValueError: k, n or an option out of range.
    """

    def __init__(
        self, k: int, n: int, *, bits_per_symbol: int | None = None, iterations: int = 20, backend: str = "sionna"
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend={backend!r} must be one of: {', '.join(BACKENDS)}")
        if iterations < 1:
            raise ValueError(f"iterations={iterations} must be at least 1")
        _check_size(k, n, bits_per_symbol)
        self.k = k
        self.n = n
        self.bits_per_symbol = bits_per_symbol
        self.iterations = iterations
        self.backend = backend

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, {self.k})")
        if not bool(((bits == 0) | (bits == 1)).all()):
            raise ValueError("bits holds other values than 0 and 1")
        encoder = _encoder(self.k, self.n, self.bits_per_symbol, str(bits.device))
        coded: Tensor = encoder(bits.float())
        return coded.to(bits.dtype)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`.

        LLRs beyond ±20 count as ±20.

        Raises:
            ValueError: `llr` is not (b, n).
        """
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise ValueError(f"llr has shape {tuple(llr.shape)}; it must be (b, {self.n})")
        decoder = _decoder(self.k, self.n, self.bits_per_symbol, str(llr.device))
        with torch.inference_mode():
            parts = [decoder(part.float(), self.iterations) for part in torch.split(llr, decoder.rows_at_once)]
        return torch.cat(parts).to(llr.dtype)


class _SumProduct:
    """Sionna's decoder, which has no early stopping, run a few iterations at a time on the rows not yet decoded.

    Sum-product by the tanh rule: the same decisions as Sionna's default "boxplus-phi" but for rounding, and faster.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401
        from sionna.phy.fec.ldpc import LDPC5GDecoder

        self._k = int(encoder.k)
        self._seen = threading.local()  # the object is cached and may serve several threads
        self._bp = LDPC5GDecoder(
            encoder, cn_update="boxplus", return_state=True, v2c_callbacks=[self._watch], device=encoder.device
        )
        self._checks = csr_matrix(self._bp.pcm, dtype=np.int32)
        self.rows_at_once = max(1, _NODES_AT_ONCE // self._checks.shape[1])

    def __call__(self, llr: Float[Tensor, "b n"], iterations: int) -> Float[Tensor, "b k"]:
        bits = llr.new_empty(llr.shape[0], self._k)
        rows = torch.arange(llr.shape[0], device=llr.device)
        state = None
        for done in range(0, iterations, _STRIDE):
            # Sionna's LLRs are log P(1) / P(0).
            hard, state = self._bp(-llr[rows], num_iter=min(_STRIDE, iterations - done), msg_v2c=state)
            bits[rows] = hard
            wrong = self._unsatisfied()
            rows, state = rows[wrong], state[wrong]
            if rows.numel() == 0:
                break
        return bits

    def _watch(self, messages: Tensor, iteration: int, posterior: Tensor) -> Tensor:  # noqa: ARG002
        self._seen.posterior = posterior
        return messages

    def _unsatisfied(self) -> Bool[Tensor, " b"]:
        posterior = self._seen.posterior
        hard = (posterior <= 0).T.to(torch.int32).cpu().numpy()  # here log P(0) / P(1), as Sionna has it inside
        return torch.from_numpy((self._checks @ hard & 1).any(axis=0)).to(posterior.device)


def _check_size(k: int, n: int, bits_per_symbol: int | None) -> None:
    if not K_MIN <= k <= K_MAX:
        raise ValueError(f"k={k} is out of range: {K_MIN} ≤ k ≤ {K_MAX} (TS 38.212 clause 5.2.2)")
    # Repetition below the mother rate of the base graph that clause 7.2.2 picks is not built.
    lowest = 5 if k <= 3824 else 3
    shortest, longest = int(np.ceil(k / RATE_MAX)), k * lowest
    if not shortest <= n <= longest:
        raise ValueError(f"n={n} is out of range for k={k}: {shortest} ≤ n ≤ {longest} (rate 1/{lowest} … 948/1024)")
    if bits_per_symbol is not None and (bits_per_symbol < 1 or n % bits_per_symbol):
        raise ValueError(f"n={n} must be a multiple of bits_per_symbol={bits_per_symbol}")


# Building a code takes tenths of a second; a link uses a few sizes over and over.


@lru_cache(maxsize=32)
def _encoder(k: int, n: int, bits_per_symbol: int | None, device: str) -> Any:  # noqa: ANN401
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    return LDPC5GEncoder(k, n, num_bits_per_symbol=bits_per_symbol, check_input=False, device=device)


@lru_cache(maxsize=32)
def _decoder(k: int, n: int, bits_per_symbol: int | None, device: str) -> _SumProduct:
    return _SumProduct(_encoder(k, n, bits_per_symbol, device))
