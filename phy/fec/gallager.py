"""Regular LDPC codes after Gallager: the matrices of pyldpc, and our decoder."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from scipy.sparse import csr_matrix
from torch import Tensor

from semlink.phy.fec.code import check_bits, check_llr_shape
from semlink.phy.fec.layered import LayeredDecoder
from semlink.phy.fec.ldpc_graph import Graph

N_MAX = 2048
"""Most coded bits: pyldpc's generator matrix is dense and takes a second at this length, growing with its cube."""

COLUMN_WEIGHT = 3
_SEED = 0


class Gallager:
    """A regular LDPC code, three checks a bit, of k information bits in n coded bits.

    The mother code has the smallest row weight whose design rate 1 - 3/weight is at least k/n, and is long enough for k
    bits; information bits it has beyond k are known zeros that are not sent, and what is still more than n is
    punctured from the end. The matrix is pyldpc's, `make_ldpc(…, seed=0)`, the same on every machine.

    Source: R. G. Gallager, "Low-density parity-check codes", IRE Trans. Inf. Theory 8 (1962) 21–28, section II.

    Args:
        k: information bits of a block.
        n: coded bits of a block.
        iterations: of the decoder at most; it stops earlier once all parity checks hold.

    Raises:
        ValueError: k or n out of range, or pyldpc is not installed.
    """

    def __init__(self, k: int, n: int, *, iterations: int = 30) -> None:
        if k < 1 or not k * 8 <= n * 7:
            raise ValueError(f"k={k}, n={n}: k must be from 1 and k/n up to 7/8")
        if n > N_MAX:
            raise ValueError(f"n={n} must be at most {N_MAX}")
        if iterations < 1:
            raise ValueError(f"iterations={iterations} must be at least 1")
        self.k = k
        self.n = n
        self.iterations = iterations
        weight = max(COLUMN_WEIGHT + 1, math.ceil(COLUMN_WEIGHT / (1 - k / n) - 1e-9))
        checks, self._generator = _mother(k, n, weight)
        length, info = self._generator.shape
        # Sent: the k information bits, then the parity bits; not the known zeros between the two.
        self._sent = np.concatenate([np.arange(k), np.arange(info, length)])[:n]
        self._decoder = LayeredDecoder(Graph.from_matrix(checks), where=self._sent, known=(k, info), info=k)

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        check_bits(bits, self.k)
        # Sums of at most 2048 ones are exact in float32, and its matrix product is the fast one.
        sums = bits.to("cpu", torch.float32).numpy() @ self._generator[self._sent, : self.k].T
        return torch.from_numpy(np.remainder(sums, 2)).to(bits)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`.

        Raises:
            ValueError: `llr` is not (b, n), or holds NaN.
        """
        check_llr_shape(llr, self.n)
        result = self._decoder(llr.detach().to("cpu", torch.float32).contiguous().numpy(), self.iterations)
        return torch.from_numpy(result.values).to(llr)


@lru_cache(maxsize=64)
def _mother(k: int, n: int, weight: int) -> tuple[csr_matrix, Float[np.ndarray, "length info"]]:
    """Parity checks and systematic generator of the shortest mother code that shortens to k and punctures to n."""
    length = weight * math.ceil((n - k) / COLUMN_WEIGHT)
    while True:
        checks, generator = _pyldpc(length, weight)
        info = generator.shape[1]  # more than the design rate says: some checks follow from others
        if info >= k and length - (info - k) >= n:
            return csr_matrix(checks), generator.astype(np.float32)
        length += weight


def _pyldpc(length: int, weight: int) -> tuple[Int[np.ndarray, "m length"], Int[np.ndarray, "length info"]]:
    try:
        from pyldpc import make_ldpc
    except ImportError:
        raise ValueError(
            "the Gallager code needs pyldpc: `pip install numpy setuptools wheel`, then "
            "`pip install --no-build-isolation 'semlink[gallager]'`"
        ) from None
    checks, generator = make_ldpc(length, COLUMN_WEIGHT, weight, systematic=True, sparse=False, seed=_SEED)
    return np.asarray(checks), np.asarray(generator)
