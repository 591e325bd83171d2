"""The LDPC code of 5G NR (TS 38.212): one code block, rate-matched to any length."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from scipy.sparse import csr_matrix
from torch import Tensor

from semlink.phy.fec.code import check_bits, check_llr, check_llr_shape
from semlink.phy.fec.layered import LayeredDecoder
from semlink.phy.fec.ldpc_encoder import NREncoder
from semlink.phy.fec.ldpc_graph import base_graph_of, check_size, filler_bits, nr_graph

BACKENDS = ("numba", "sionna")
PRECISIONS = ("int8", "float32")

# Sionna's decoder: iterations between two looks at the parity checks, and variable nodes decoded at a time (more rows
# fall out of the processor's cache, and memory stays bounded).
_STRIDE = 2
_NODES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Decoding:
    """What a decoder made of some blocks.

    Attributes:
        llr: (b, k) posterior LLRs log P(0)/P(1) of the information bits.
        iterations: (b,) iterations run, those of a second try included.
        converged: (b,) whether all parity checks hold.
    """

    llr: Float[Tensor, "b k"]
    iterations: Int[Tensor, " b"]
    converged: Bool[Tensor, " b"]


class LDPC5G:
    """5G NR LDPC code with k information bits rate-matched to n coded bits.

    Base graph, lifting size, circular buffer at redundancy version 0 and bit interleaver as TS 38.212 clauses 5.3.2,
    5.4.2.1, 5.4.2.2 and 7.2.2 say, for a block that has its CRC already; n beyond the buffer repeats its bits.
    The standard picks the base graph by the size before the CRC, which makes a difference for k from 293 to 308 above
    rate 0.67 and from 3825 to 3840 at rates between 1/4 and 0.67; Sionna's own choice is by k.

    Args:
        k: information bits of a block, CRC included.
        n: coded bits of a block.
        payload: bits of the whole transport block before its CRC, by which the base graph is chosen; None for a single
            code block, k less its CRC of 16 bits (24 above k = 3840). A block that has no CRC at all has k.
        bits_per_symbol: bits of one modulation symbol for the interleaver of clause 5.4.2.2; None leaves it out.
        iterations: of the decoder at most; a block stops earlier once all its parity checks hold.
        backend: "numba": layered offset min-sum on the CPU (`semlink.phy.fec.LayeredDecoder`), on any device's tensors;
            "sionna": sum-product with a flooding schedule, which takes about twice the iterations; None: "sionna" for
            tensors on a GPU, else "numba".
        precision: of the messages of "numba": "int8", with a second try in float32 where 20 iterations or more leave
            one to four parity checks broken, or "float32", which is slower.

    Attributes:
        base_graph: 1 or 2.
        fillers: known zeros beside the k information bits, which are not sent: a ninth of them where the lifting size
            has just grown, none where it is full.

    Raises:
        ValueError: k, n or an option out of range.
    """

    def __init__(
        self,
        k: int,
        n: int,
        *,
        payload: int | None = None,
        bits_per_symbol: int | None = None,
        iterations: int = 30,
        backend: str | None = None,
        precision: str = "int8",
    ) -> None:
        if backend is not None and backend not in BACKENDS:
            raise ValueError(f"backend={backend!r} must be one of: {', '.join(BACKENDS)}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r} must be one of: {', '.join(PRECISIONS)}")
        if iterations < 1:
            raise ValueError(f"iterations={iterations} must be at least 1")
        check_size(k, n, bits_per_symbol)
        _check_payload(payload, k)
        self.base_graph = base_graph_of(k, n, payload)
        if backend == "sionna":
            _check_sionna(k, n, self.base_graph)
        self.fillers = filler_bits(k, self.base_graph)
        self.k = k
        self.n = n
        self.bits_per_symbol = bits_per_symbol
        self.iterations = iterations
        self.backend = backend
        self.precision = precision

    def __repr__(self) -> str:
        """The code, without what its decoder was told."""
        return f"LDPC5G(k={self.k}, n={self.n}, base_graph={self.base_graph})"

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        sionna = self._backend_for(bits) == "sionna"
        if sionna or bits.dtype != torch.uint8 or bits.ndim != 2 or bits.shape[1] != self.k:
            check_bits(bits, self.k)  # our encoder looks at bytes itself
        if sionna:
            encoder = _sionna_encoder(self.k, self.n, self.bits_per_symbol, str(bits.device), self.base_graph)
            coded: Tensor = encoder(bits.float())
        else:
            encode = _encoder(self.k, self.n, self.bits_per_symbol, self.base_graph)
            coded = torch.from_numpy(encode(bits.to("cpu", torch.uint8).contiguous().numpy()))
        return coded.to(bits)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`.

        LLRs beyond some 16 or 20 count as that; ±inf may be given. What becomes of a block does not depend on the
        others.

        Raises:
            ValueError: `llr` is not (b, n), or holds NaN.
        """
        return self._run(llr, soft=False)[0]

    def decode_soft(self, llr: Float[Tensor, "b n"]) -> Decoding:
        """Decode to posterior LLRs, of the dtype of `llr`, with the iterations each block took and whether it settled.

        Raises:
            ValueError: as `decode`.
        """
        return Decoding(*self._run(llr, soft=True))

    def _run(self, llr: Float[Tensor, "b n"], *, soft: bool) -> tuple[Tensor, Tensor, Tensor]:
        if self._backend_for(llr) == "sionna" and llr.shape[0] > 0:
            check_llr(llr, self.n)
            decoder = _sum_product(self.k, self.n, self.bits_per_symbol, str(llr.device), self.base_graph)
            with torch.inference_mode():
                parts = [decoder(part.float(), self.iterations) for part in torch.split(llr, decoder.rows_at_once)]
            values, iterations, converged = (torch.cat(part) for part in zip(*parts, strict=True))
            return (values if soft else values < 0).to(llr.dtype), iterations, converged
        check_llr_shape(llr, self.n)
        layered = _layered(self.k, self.n, self.bits_per_symbol, self.precision, self.base_graph)
        result = layered(llr.detach().to("cpu", torch.float32).contiguous().numpy(), self.iterations, soft=soft)
        values, iterations, converged = map(torch.from_numpy, (result.values, result.iterations, result.converged))
        return values.to(llr), iterations.to(llr.device), converged.to(llr.device)

    def _backend_for(self, tensor: Tensor) -> str:
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{self!r} takes a tensor of rows, not a {type(tensor).__name__}")
        on_gpu = tensor.is_cuda and not _beyond_sionna(self.k, self.n, self.base_graph)
        return self.backend or ("sionna" if on_gpu else "numba")


class _SumProduct:
    """Sionna's decoder, which has no early stopping, run a few iterations at a time on the rows not yet decoded.

    Sum-product by the tanh rule: the same decisions as Sionna's default "boxplus-phi" but for rounding, and faster.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401
        from sionna.phy.fec.ldpc import LDPC5GDecoder

        self._k = int(encoder.k)
        self._seen = threading.local()  # the object is cached and may serve several threads
        self._bp = LDPC5GDecoder(
            encoder,
            cn_update="boxplus",
            hard_out=False,
            return_state=True,
            v2c_callbacks=[self._watch],
            device=encoder.device,
        )
        self._checks = csr_matrix(self._bp.pcm, dtype=np.int32)
        self.rows_at_once = max(1, _NODES_AT_ONCE // self._checks.shape[1])

    def __call__(self, llr: Float[Tensor, "b n"], iterations: int) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior LLRs (b, k), iterations (b,) and whether the checks hold (b,)."""
        values = llr.new_empty(llr.shape[0], self._k)
        rows = torch.arange(llr.shape[0], device=llr.device)
        used, converged = torch.full_like(rows, iterations), torch.ones_like(rows, dtype=torch.bool)
        state = None
        for done in range(0, iterations, _STRIDE):
            # Sionna's LLRs are log P(1) / P(0).
            posterior, state = self._bp(-llr[rows], num_iter=min(_STRIDE, iterations - done), msg_v2c=state)
            values[rows] = -posterior
            wrong = self._unsatisfied()
            used[rows[~wrong]] = min(done + _STRIDE, iterations)
            rows, state = rows[wrong], state[wrong]
            if rows.numel() == 0:
                break
        converged[rows] = False
        return values, used, converged

    def _watch(self, messages: Tensor, iteration: int, posterior: Tensor) -> Tensor:  # noqa: ARG002
        self._seen.posterior = posterior
        return messages

    def _unsatisfied(self) -> Bool[Tensor, " b"]:
        posterior = self._seen.posterior
        hard = (posterior <= 0).T.to(torch.int32).cpu().numpy()  # here log P(0) / P(1), as Sionna has it inside
        return torch.from_numpy((self._checks @ hard & 1).any(axis=0)).to(posterior.device)


def _check_payload(payload: int | None, k: int) -> None:
    least = max(1, k - 24)
    if payload is not None and payload < least:
        raise ValueError(f"payload={payload} is out of range for k={k}: payload ≥ {least}, k less a CRC of 24 bits")


def _beyond_sionna(k: int, n: int, base_graph: int) -> bool:
    return n > k * (5 if base_graph == 2 else 3)


def _check_sionna(k: int, n: int, base_graph: int) -> None:
    if _beyond_sionna(k, n, base_graph):
        lowest = "1/5" if base_graph == 2 else "1/3"
        raise ValueError(
            f"n={n} is out of range for k={k} with backend='sionna': of base graph {base_graph}, that of this block, "
            f"it has rates from {lowest}; backend='numba' has all"
        )


# Building a code takes up to tenths of a second; a link uses some sizes over and over.


@lru_cache(maxsize=256)
def _encoder(k: int, n: int, bits_per_symbol: int | None, base_graph: int) -> NREncoder:
    return NREncoder(nr_graph(k, n, bits_per_symbol, base_graph))


@lru_cache(maxsize=256)
def _layered(k: int, n: int, bits_per_symbol: int | None, precision: str, base_graph: int) -> LayeredDecoder:
    code = nr_graph(k, n, bits_per_symbol, base_graph)
    filler = (k, code.info_columns * code.full.z)
    return LayeredDecoder(code.pruned, where=code.where, known=filler, info=k, dtype=precision)


@lru_cache(maxsize=32)
def _sionna_encoder(k: int, n: int, bits_per_symbol: int | None, device: str, base_graph: int | None = None) -> Any:  # noqa: ANN401
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    graph = f"bg{base_graph or base_graph_of(k, n)}"
    return LDPC5GEncoder(k, n, num_bits_per_symbol=bits_per_symbol, bg=graph, check_input=False, device=device)


@lru_cache(maxsize=32)
def _sum_product(k: int, n: int, bits_per_symbol: int | None, device: str, base_graph: int) -> _SumProduct:
    return _SumProduct(_sionna_encoder(k, n, bits_per_symbol, device, base_graph))
