"""The response of a channel to known OFDM words. NumPy alone.

Source: channel estimation within the span of delays: O. Edfors et al., "OFDM channel estimation by singular value
decomposition", IEEE Trans. Commun. 46 (1998) 931-939.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Samples
from semlink.phy.waveform.ofdm_words import CARRIERS, EVEN, FFT, HEADER_WORDS, PREFIX
from semlink.phy.waveform.sync import energy

SPREAD = 18
"""Samples over which the channel estimator lets the delays spread: prefix and a pulse's skirts."""


class _Basis(NamedTuple):
    """Eigenvectors of the carriers' correlation for delays spread evenly around 0, (52, r), and their eigenvalues."""

    vectors: NDArray[np.float64]
    values: NDArray[np.float64]


@lru_cache(maxsize=1)
def _basis() -> _Basis:
    apart = CARRIERS[:, None] - CARRIERS
    values, vectors = np.linalg.eigh(np.sinc(apart * SPREAD / FFT))
    keep = values > 1e-7 * values[-1]
    return _Basis(vectors[:, keep], values[keep])


def estimate(words: Samples, sent: Samples) -> tuple[Samples, float]:
    """Channel of each carrier from known words: the Wiener filter for delays spread evenly over `SPREAD` samples.

    Args:
        words: received, (w, 52).
        sent: what was sent, 0 where nothing was or it is not known, (w, 52).

    Returns:
        The response (52,), and the noise variance of an element.
    """
    vectors, values = _basis()
    weight = np.sum(energy(sent), axis=0)
    middle = np.exp(2j * np.pi * CARRIERS * PREFIX / 2 / FFT)  # brings the middle of the delays to 0
    observed = np.sum(words * sent.conj(), axis=0) * middle
    gram = vectors.T @ (weight[:, None] * vectors)
    power = float(np.sum(energy(observed)) / np.sum(weight**2))
    n0 = 1e-2 * power
    for _ in range(3):
        loading = np.diag(n0 / (max(power, 1e-30) * values))
        found = vectors @ np.linalg.solve(gram + loading, vectors.T @ observed) * middle.conj()
        rest = energy(words - sent * found)[sent != 0]
        n0 = max(float(np.sum(rest)) / (len(rest) - SPREAD), 1e-12 * power)
    return found, n0


def estimation_error(response: Samples, n0: float) -> NDArray[np.float64]:
    """Variance of the estimate from a whole head, over that of the noise, (52,)."""
    vectors, values = _basis()
    weight = np.full(len(CARRIERS), HEADER_WORDS + 1.0) + 2 * EVEN
    loading = np.diag(n0 / (max(float(np.mean(energy(response))), 1e-30) * values))
    inverse = np.linalg.solve(vectors.T @ (weight[:, None] * vectors) + loading, vectors.T)
    variance: NDArray[np.float64] = np.einsum("kr,rk->k", vectors, inverse)
    return variance
