"""Joint detection of the streams of a channel use: max-log LLRs from the best candidates that a tree search keeps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.phy.link import Spatial
from semlink.phy.parallel import run_in_threads

Array = np.ndarray

LLR_CLIP = 5.0
"""Largest magnitude of an LLR of which the list has candidates of one kind only."""
_LEAST = 1 << 7


def kbest_llr(
    spatial: Spatial, order: int, *, symbols: int | None = None, clip: float = LLR_CLIP
) -> Float[Tensor, "b n_bits"]:
    """Max-log LLRs log P(bit = 0) / P(bit = 1) of Gray square QAM, (b, n·m), by symbol and then by bit as `QAM.llr`.

    With d the squared distance ‖y - H s‖² / N0, an LLR is the least d of the listed s whose bit is 1, less the least of
    those whose bit is 0. Where no s of one kind is on the list, what stands for it is the best s of the list with one
    level of that symbol changed, but at most `clip` beyond the least d. The list is that of a breadth-first search over
    the real and the imaginary axis of one stream after the other, of which the best `spatial.width` are kept; with
    `spatial.width` from order^streams on it holds every s. Streams that do not arrive take no place on it.

    The search starts from a sorted QR decomposition of the channel above sqrt(N0) I (D. Wübben, R. Böhnke, V. Kühn and
    K.-D. Kammeyer, "MMSE extension of V-BLAST based on sorted QR decomposition", VTC 2003-Fall), which any channel has,
    without rank or with more streams than antennas too. What the extension adds to a distance, N0 |s|², is taken off
    again. K-best: Z. Guo and P. Nilsson, "Algorithm and implementation of the K-best sphere decoding for MIMO
    detection", IEEE J. Sel. Areas Commun. 24 (2006) 491-503.

    Args:
        spatial: what several antennas received; `width` is the number of candidates kept.
        order: number of points of the constellation, one of `constellation.ORDERS`.
        symbols: how many symbols there are, n: whatever streams and uses come after them are padding of zeros. By
            default every stream of every use carries a symbol.
        clip: see above.

    Raises:
        ValueError: another order, or more symbols than the uses have streams.
    """
    from semlink.phy.mimo.kbest_kernel import search  # here and not above: a channel needs no Numba until it is used
    from semlink.phy.mimo.kernels import flatten

    levels, labels = _axis(order)
    b, most, _, streams = spatial.h.shape
    count = most * streams if symbols is None else symbols
    if not 1 <= count <= most * streams:
        raise ValueError(f"symbols={symbols} must be from 1 to {most * streams}: {most} uses of {streams} streams")
    m = -(-count // streams)
    h = spatial.h[:, :m].detach().cpu()
    if count < m * streams:
        h = h.clone(memory_format=torch.contiguous_format)
        h[:, -1, :, count - m * streams :] = 0
    seen = flatten(spatial.observed[:, :m].cpu(), 1), flatten(h, 2), flatten(spatial.n0[:, :m].cpu(), 0)
    llr = torch.empty(b, m * streams, 2 * labels.shape[1])
    out = llr.view(b * m, streams, -1).numpy()

    def kernel(first: int, last: int) -> None:
        part = [array[first:last] for array in seen]
        search(*part, levels, labels, spatial.width, clip, out[first:last])

    run_in_threads(kernel, b * m, least=_LEAST)
    return llr[:, :count].flatten(1).to(spatial.h.device)


@lru_cache(maxsize=8)
def _axis(order: int) -> tuple[Float[Array, " levels"], UInt8[Array, "levels bits"]]:
    """The levels of one axis with their labels: the even bits of a symbol are those of the real axis."""
    from semlink.phy.constellation import QAM

    qam = QAM(order)
    bits = qam.bits_per_symbol // 2
    labels = (np.arange(1 << bits)[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    both = torch.zeros(1 << bits, 2 * bits)
    both[:, ::2] = torch.from_numpy(labels)
    points: Array = qam.map(both).real[:, 0].double().numpy()
    return points, labels
