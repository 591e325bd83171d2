"""Values between samples: of the signal Σ x_i sinc(t - i), or of the periodic one through the samples."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

TAPS = 16
"""Taps on either side of the windowed sinc, in half samples."""

KAISER_BETA = 14.0
"""Puts the window's side lobes beyond -100 dB; half of the band is free for its slope."""


def resample(samples: Complex[Tensor, "b n"], times: Float[Tensor, " n"]) -> Complex[Tensor, "b n"]:
    """The signal Σ x_i sinc(t - i) at `times`, in samples (float64): zeros lie outside of the frame.

    Symbols fill the whole band up to half the sample rate, and a windowed sinc of any length is wrong at its edge.
    Hence two steps: the values halfway by the full sinc, then a Kaiser-windowed sinc of ±`TAPS` taps over samples
    twice as dense, of whose band half is empty.
    """
    index = torch.arange(len(times), dtype=torch.float64, device=samples.device)
    margin = int((times - index).abs().max().ceil()) + TAPS // 2 + 1
    return _interpolate(_twice_as_dense(F.pad(samples, (margin, margin))), 2 * (times + margin))


def oversample(samples: Complex[Tensor, "b n"], factor: int) -> Complex[Tensor, "b m"]:
    """`factor` times as many samples of the periodic band-limited signal through those given, by a zero-padded FFT."""
    n = samples.shape[1]
    spectrum = torch.fft.fft(samples)
    # Half the sample rate is a positive and a negative frequency at once, and shared.
    middle = spectrum[:, n // 2 : n // 2 + 1] / 2 if n % 2 == 0 else spectrum[:, :0]
    zeros = spectrum.new_zeros(len(samples), n * factor - n - middle.shape[1])
    low, high = spectrum[:, : (n + 1) // 2], spectrum[:, n // 2 + 1 :]
    dense: Tensor = torch.fft.ifft(torch.cat([low, middle, zeros, middle, high], dim=1)) * factor
    return dense


def _twice_as_dense(samples: Complex[Tensor, "b m"]) -> Complex[Tensor, "b 2*m"]:
    """The samples and, after each, Σ x_j sinc(i + 1/2 - j): a linear convolution, by FFT."""
    m = samples.shape[1]
    length = next_fast_len(2 * m)
    lags = torch.arange(length, dtype=torch.float64, device=samples.device)
    kernel = torch.sinc(torch.where(lags < m, lags, lags - length) + 0.5).to(samples)
    between = torch.fft.ifft(torch.fft.fft(samples, length) * torch.fft.fft(kernel))[:, :m]
    return torch.stack([samples, between], dim=-1).flatten(1)


def _interpolate(dense: Complex[Tensor, "b m"], places: Float[Tensor, " n"]) -> Complex[Tensor, "b n"]:
    first = places.floor()
    beta = torch.tensor(KAISER_BETA, dtype=torch.float64, device=dense.device)
    # Time first and complex numbers as pairs: a tap then moves whole runs of memory.
    runs = torch.view_as_real(dense.T.resolve_conj().contiguous()).flatten(1)  # (m, 2 b)
    total = torch.zeros_like(runs[: len(places)])
    for tap in range(1 - TAPS, TAPS + 1):
        away = places - first - tap
        window = torch.special.i0(beta * (1 - (away / TAPS).square()).clamp_min(0).sqrt()) / torch.special.i0(beta)
        weight = (torch.sinc(away) * window).to(runs)[:, None]
        total.addcmul_(weight, runs.index_select(0, first.long() + tap))
    return torch.view_as_complex(total.reshape(len(places), -1, 2)).T
