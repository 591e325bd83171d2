"""Peak-to-average power: what an amplifier must leave room for."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.parameters import check_whole
from semlink.phy.resampling import oversample


def papr_db(samples: Complex[Tensor, "b n"], *, oversampling: int = 1) -> Float[Tensor, " b"]:
    """Peak over mean power of each row, in dB.

    With `oversampling`, of the band-limited signal through the samples, taken as one period, by a zero-padded FFT.

    Raises:
        ValueError: `oversampling` is no whole number from 1 to 64, or a row is without energy.
    """
    check_whole("oversampling", oversampling, 1, 64)
    dense = samples if oversampling == 1 else oversample(samples, oversampling)
    power = dense.real.square() + dense.imag.square()
    if not samples.shape[1] or not bool((power.sum(dim=1) > 0).all()):
        raise ValueError(f"samples={tuple(samples.shape)} have a row without energy; it has no peak over its mean")
    return 10 * torch.log10(power.amax(dim=1) / power.mean(dim=1))
