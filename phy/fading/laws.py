"""Laws of flat fading: the distribution of one gain, and how gains at different times go together.

All have E|h|² = 1. In time they follow Clarke's isotropic scattering (R. H. Clarke, "A statistical theory of
mobile-radio reception", Bell Syst. Tech. J. 47 (1968) 957-1000): autocorrelation J0(2π f_D τ), Jakes' spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy import special
from torch import Tensor

from semlink.phy.rng import complex_normal

Array = np.ndarray


@runtime_checkable
class FadingLaw(Protocol):
    """A distribution of gains of unit mean power, made of Rayleigh scatter."""

    @property
    def direct(self) -> bool:
        """Whether there is a direct path, whose phase is drawn once a row."""
        ...

    def shape(
        self, scatter: Complex[Tensor, "... m"], turns: Float[Tensor, "... 1"] | None = None
    ) -> Complex[Tensor, "... m"]:
        """Gains of this law from CN(0, 1) scatter; `turns` is the phase of a direct path, uniform in [0, 1)."""
        ...

    def correlation(self, scatter: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """E[h1 h2*] of two gains whose scatter has this (real) correlation."""
        ...


@dataclass(frozen=True)
class RayleighLaw:
    """h ~ CN(0, 1)."""

    direct = False

    def shape(
        self,
        scatter: Complex[Tensor, "... m"],
        turns: Float[Tensor, "... 1"] | None = None,  # noqa: ARG002
    ) -> Complex[Tensor, "... m"]:
        """The scatter itself."""
        return scatter

    def correlation(self, scatter: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """That of the scatter."""
        return scatter


@dataclass(frozen=True)
class RicianLaw:
    """A constant path of random phase beside Rayleigh scatter: h = sqrt(K/(K+1)) exp(jφ) + sqrt(1/(K+1)) CN(0, 1).

    The direct path has no Doppler shift of its own: a receiver takes that out with its carrier offset.

    Attributes:
        k_db: Rice factor K in dB, the power of the direct path over that of the scatter.

    Raises:
        ValueError: `k_db` beyond ±60.
    """

    k_db: float

    def __post_init__(self) -> None:
        if not -60 <= self.k_db <= 60:
            raise ValueError(f"k_db={self.k_db!r} must be from -60 to 60")

    direct = True

    def shape(
        self, scatter: Complex[Tensor, "... m"], turns: Float[Tensor, "... 1"] | None = None
    ) -> Complex[Tensor, "... m"]:
        """`turns` is the phase of the direct path of each row; 0 without."""
        turns = torch.zeros_like(scatter.real[..., :1]) if turns is None else turns
        k = 10 ** (self.k_db / 10)
        direct = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
        return math.sqrt(k / (k + 1)) * direct.to(scatter) + math.sqrt(1 / (k + 1)) * scatter

    def correlation(self, scatter: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The direct path stays as it is."""
        k = 10 ** (self.k_db / 10)
        return (k + scatter) / (k + 1)


@dataclass(frozen=True)
class NakagamiLaw:
    """|h|² ~ Gamma(m, 1/m) and a uniform phase (M. Nakagami, "The m-distribution", 1960).

    The power is that of Rayleigh scatter carried over from one distribution to the other at equal probability, and the
    phase is the scatter's: so gains close in time stay close, for any m.

    Attributes:
        m: 1 is Rayleigh, more is milder, from 0.5.

    Raises:
        ValueError: `m` outside of 0.5 … 100.
    """

    m: float

    def __post_init__(self) -> None:
        if not 0.5 <= self.m <= 100:
            raise ValueError(f"m={self.m!r} must be from 0.5 to 100")

    direct = False

    def shape(
        self,
        scatter: Complex[Tensor, "... m"],
        turns: Float[Tensor, "... 1"] | None = None,  # noqa: ARG002
    ) -> Complex[Tensor, "... m"]:
        """Each gain from its scatter."""
        amplitude = scatter.abs().clamp_min(1e-12)
        power = self._power(amplitude.square().double().cpu().numpy())
        scaled: Tensor = scatter * (torch.from_numpy(np.sqrt(power)).to(amplitude) / amplitude)
        return scaled

    def correlation(self, scatter: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Σ c_k² ρ|ρ|^(2k) over the Laguerre coefficients c_k of the amplitude, as for any memoryless nonlinearity.

        Source: J. H. Van Vleck and D. Middleton, "The spectrum of clipped noise", Proc. IEEE 54 (1966) 2-19.
        """
        return np.asarray(scatter * np.polynomial.polynomial.polyval(scatter**2, _laguerre_powers(self)))

    def _power(self, scatter_power: Float[Array, "*s"]) -> Float[Array, "*s"]:
        # The upper tail, exp(-|g|²), is what keeps its precision at both ends.
        upper = np.exp(-scatter_power)
        return np.asarray(special.gammainccinv(self.m, upper) / self.m)


@lru_cache(maxsize=16)
def _laguerre_powers(law: NakagamiLaw, terms: int = 40) -> Float[Array, " terms"]:
    """Shares c_k² of the gain's power in g L_k^(1)(|g|²) / sqrt(k + 1), which are orthonormal for g ~ CN(0, 1).

    What lies beyond the last term goes into it, so that the correlation at no lag is 1.
    """
    u, weight = special.roots_genlaguerre(120, 0.5)  # ∫ √u e^-u f(u) du
    amplitude = np.sqrt(law._power(u))
    coefficients = [
        float(weight @ (amplitude * special.eval_genlaguerre(k, 1, u))) / math.sqrt(k + 1) for k in range(terms)
    ]
    powers = np.array(coefficients) ** 2
    powers[-1] += max(0.0, 1 - powers.sum())
    return np.asarray(powers / powers.sum())


def draw_scatter(
    count: int, step: float, rng: torch.Generator, *, lags: Sequence[float] = (0.0,)
) -> Complex[Tensor, "lags count"]:
    """CN(0, 1) scatter at the times i·step - lag, i = 0 … count - 1, in units of one over the Doppler spread f_D.

    Gaussian exactly, and its autocorrelation is J0(2π·difference) to within 1e-6: plane waves from equally spaced
    directions with independent Gaussian amplitudes, so many that the rectangle rule for Bessel's integral has
    converged over the whole span. With `step` infinite the gains are independent.
    """
    if math.isinf(step):
        return complex_normal(count * len(lags), rng).reshape(len(lags), count)
    span = 2 * math.pi * (step * (count - 1) + max(lags) - min(lags))
    waves = math.ceil(span + 8 * span ** (1 / 3) + 16)
    start = torch.rand(1, generator=rng, dtype=torch.float64, device=rng.device)
    amplitudes = complex_normal(waves, rng).to(torch.complex128) / math.sqrt(waves)
    directions = 2 * math.pi * (torch.arange(waves, dtype=torch.float64, device=rng.device) + start) / waves
    doppler = 2 * math.pi * torch.cos(directions)
    # exp(jω(a + b)) for times a + b: about 2·sqrt(count) exponentials a wave instead of `count`, and a matrix product.
    inner = math.ceil(math.sqrt(count))
    times = torch.arange(inner, dtype=torch.float64, device=rng.device) * step
    fine = torch.polar(torch.ones(1, dtype=torch.float64, device=rng.device), torch.outer(doppler, times))
    outer = torch.arange(-(-count // inner), dtype=torch.float64, device=rng.device) * (inner * step)
    parts = [
        torch.polar(torch.ones(1, dtype=torch.float64, device=rng.device), torch.outer(outer - lag, doppler))
        * amplitudes
        for lag in lags
    ]
    gains = torch.cat(parts).to(torch.complex64) @ fine.to(torch.complex64)
    return gains.reshape(len(lags), -1)[:, :count]


def scatter_correlation(difference: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """J0(2π·difference) of two times in units of 1 / f_D; an infinite difference has correlation 0."""
    finite = np.where(np.isinf(difference), 0.0, difference)
    return np.where(np.isinf(difference), 0.0, special.j0(2 * np.pi * finite))
