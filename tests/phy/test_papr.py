"""Trust tests of the peak-to-average power ratio."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import comb

from semlink.phy.papr import papr_db


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(b: int, n: int, *, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(b, n, dtype=dtype, generator=generator(99))


def tones(*cycles: int, n: int = 64) -> torch.Tensor:
    k = torch.arange(n, dtype=torch.float64) / n
    return torch.stack([torch.exp(2j * math.pi * c * k) for c in cycles]).sum(dim=0)[None]


@pytest.mark.parametrize("oversampling", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [63, 64])
def test_papr_of_one_and_of_two_tones(oversampling: int, n: int) -> None:
    assert papr_db(3 * tones(5, n=n), oversampling=oversampling).item() == pytest.approx(0, abs=1e-9)
    assert papr_db(tones(3, -7, n=n), oversampling=oversampling).item() == pytest.approx(10 * math.log10(2))
    assert papr_db(tones(1, 2, 3, 4, n=n), oversampling=oversampling).item() == pytest.approx(10 * math.log10(4))


def test_oversampling_finds_peaks_between_samples() -> None:
    k = torch.arange(64, dtype=torch.float64)
    sent = torch.cos(math.pi / 2 * k + math.pi / 4)[None] + 0j  # every sample at ±√½, every peak between two
    assert papr_db(sent).item() == pytest.approx(0, abs=1e-9)
    assert papr_db(sent, oversampling=2).item() == pytest.approx(10 * math.log10(2))
    both = 1 + torch.cos(math.pi * k)[None] + 0j  # half the sample rate is shared by its two signs: 1 + cos(πt)
    assert papr_db(both, oversampling=4).item() == pytest.approx(10 * math.log10(4 / 1.5))
    loud = papr_db(gaussian(50, 64), oversampling=4)
    assert bool((loud > papr_db(gaussian(50, 64)) - 0.6).all())
    assert float((loud - papr_db(gaussian(50, 64))).mean()) > 0.2


def exceedance(z: float, n: int) -> float:
    """P(max > z · mean) of n independent exponentials (R. A. Fisher, Proc. R. Soc. A 125 (1929) 54-59)."""
    return float(sum((-1) ** (j - 1) * comb(n, j) * (1 - j * z / n) ** (n - 1) for j in range(1, int(n / z) + 1)))


@pytest.mark.parametrize("z_db", [6.0, 7.0, 8.0])
def test_papr_of_gaussian_samples_has_fishers_distribution(z_db: float) -> None:
    expected, rows = exceedance(10 ** (z_db / 10), 32), 20_000
    error = 4 * math.sqrt(expected * (1 - expected) / rows)
    measured = papr_db(gaussian(rows, 32, dtype=torch.complex64))
    assert abs(float((measured > z_db).double().mean()) - expected) <= error
    assert abs(float((measured > z_db + 0.2).double().mean()) - expected) > error  # the twin


@pytest.mark.parametrize("z_db", [6.0, 7.0, 8.0, 9.0])
def test_papr_of_ofdm_has_the_usual_approximation(z_db: float) -> None:
    """1 - (1 - exp(-z))^n for Nyquist samples of n QPSK carriers, which holds to within 0.02 for 256."""
    n, rows = 256, 8000
    points = torch.randint(2, (rows, n, 2), generator=generator(2)).float() * 2 - 1
    measured = papr_db(torch.fft.ifft(torch.view_as_complex(points)))
    expected = 1 - (1 - math.exp(-(10 ** (z_db / 10)))) ** n
    error = 4 * math.sqrt(expected * (1 - expected) / rows)
    assert abs(float((measured > z_db).double().mean()) - expected) <= error + 0.02


def test_papr_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match="oversampling=0 must be a whole number from 1 to 64"):
        papr_db(gaussian(1, 4), oversampling=0)
    for silent in (torch.zeros(2, 4, dtype=torch.complex64), gaussian(2, 0)):
        with pytest.raises(ValueError, match=r"samples=\(2, .\) have a row without energy"):
            papr_db(silent)
