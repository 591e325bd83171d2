"""Multipath channels of 3GPP TR 38.901: tapped and clustered delay lines, as impulse responses over time.

All have E|h|² = 1 between any two antennas, summed over the paths, and are never renormalised afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from threading import Lock
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy import special
from torch import Tensor

from semlink.phy.ofdm.delay_profile import Component, DelayProfile
from semlink.phy.parameters import check_choice, check_whole
from semlink.phy.rng import complex_normal

Array = np.ndarray
Direction = Literal["downlink", "uplink"]

LOS_DOPPLER = 0.7
"""Doppler shift of the line of sight over the Doppler spread (TR 38.901 clause 7.7.2)."""

_BLOCK = 1 << 22
_SIONNA = Lock()


@dataclass(frozen=True)
class Tdl(DelayProfile):
    """Tapped delay line of 3GPP TR 38.901 clause 7.7.2, tables 7.7.2-1 (A) to 7.7.2-5 (E).

    Every tap fades as Clarke's isotropic scattering does, Gaussian exactly, with the autocorrelation J0(2π f_D τ) to
    within 1e-6; all taps and all pairs of antennas are independent. The line of sight of D and E has a Doppler shift
    of 0.7 f_D and one random phase, the same for all antennas.

    Args:
        profile: "A", "B", "C" without and "D", "E" with a line of sight.
        delay_spread_s: root mean square delay spread, from 0 to 1e-4 s; 30e-9, 100e-9 and 300e-9 are common.
        carrier_hz: carrier frequency, 0.5 to 100 GHz.
        speed_mps: speed, in m/s.

    Raises:
        ValueError: an option outside of these.
    """

    @property
    def _kind(self) -> str:
        return "TDL"

    @property
    def los_power(self) -> float:
        """Power of the line of sight, of 1 in all."""
        return float(self._powers[0]) if self.has_los else 0.0

    @property
    def k_factor_db(self) -> float:
        """Rice factor of the first tap: its line of sight over its scatter, in dB (TR 38.901 calls it K_1)."""
        return 10 * math.log10(self.los_power / self._powers[1]) if self.has_los else -math.inf

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The scatter of all taps, then the line of sight if there is one."""
        f_d, los = self.doppler_hz, int(self.has_los)
        scatter = Component(self._delays[los:], self._powers[los:], lambda dt: special.j0(2 * np.pi * f_d * dt))
        direct = Component(
            self._delays[:los], self._powers[:los], lambda dt: np.exp(2j * np.pi * LOS_DOPPLER * f_d * dt)
        )
        return (scatter, direct)[: 1 + los]

    def taps(
        self, count: int, step_s: float, rng: torch.Generator, *, rx: int = 1, tx: int = 1
    ) -> Complex[Tensor, "rx tx p count"]:
        """Gains of the taps between all antennas at the times 0, step_s, …, (count - 1)·step_s."""
        amplitude = torch.from_numpy(np.sqrt(self._powers[int(self.has_los) :])).to(rng.device, torch.float32)
        scatter = _draw_rows(rx * tx * len(amplitude), count, step_s * self.doppler_hz, rng)
        gains = amplitude[:, None] * scatter.reshape(rx, tx, -1, count)
        if self.has_los:
            gains = torch.cat([gains[:, :, :1] + self._direct(count, step_s, rng), gains[:, :, 1:]], dim=2)
        return gains

    def _direct(self, count: int, step_s: float, rng: torch.Generator) -> Complex[Tensor, " count"]:
        start = torch.rand(1, generator=rng, dtype=torch.float64, device=rng.device)
        times = torch.arange(count, dtype=torch.float64, device=rng.device) * step_s
        turns = start + LOS_DOPPLER * self.doppler_hz * times
        return torch.polar(torch.full_like(turns, math.sqrt(self.los_power)), 2 * math.pi * turns).to(torch.complex64)


@dataclass(frozen=True)
class Cdl(DelayProfile):
    """Clustered delay line of 3GPP TR 38.901 clause 7.7.1, tables 7.7.1-1 (A) to 7.7.1-5 (E), as Sionna draws it.

    Both ends have omnidirectional antennas of vertical polarisation, half a wavelength apart: in a row, or in several.
    Each image has its own direction of travel. Sionna draws from a generator that all of a process share: it is
    lent, under a lock, the state that this channel's generator asks for, and then put back as it was.

    Args:
        profile: "A", "B", "C" without and "D", "E" with a line of sight.
        delay_spread_s: root mean square delay spread, from 0 to 1e-4 s.
        carrier_hz: carrier frequency, 0.5 to 100 GHz.
        speed_mps: speed of the terminal, in m/s.
        direction: "downlink": the base station sends and the terminal, which moves, receives; or "uplink".
        rx_rows: rows of the receiving array; the number of receive antennas is a multiple of it.
        tx_rows: the same of the transmitting array.

    Raises:
        ValueError: an option outside of these.
    """

    _: KW_ONLY
    direction: Direction = "downlink"
    rx_rows: int = 1
    tx_rows: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction", self.direction, get_args(Direction))
        for name, rows in (("rx_rows", self.rx_rows), ("tx_rows", self.tx_rows)):
            check_whole(name, rows, 1, of="rows")

    @property
    def _kind(self) -> str:
        return "CDL"

    @property
    def spec(self) -> str:
        """Name and parameters, as the command line takes them."""
        own = (("direction", self.direction), ("rx-rows", self.rx_rows), ("tx-rows", self.tx_rows))
        return super().spec + "".join(f",{key}={value}" for key, value in own if value not in (1, "downlink"))

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """One a cluster, and the line of sight, as they are on average over the directions of travel."""
        end, spread = ("zoa", "cZSA") if self.direction == "downlink" else ("zod", "cZSD")
        zeniths, los = np.radians(self._listed(end)), int(self.has_los)
        rays = np.radians(float(self._table[spread])) * _RAY_OFFSETS
        return tuple(
            Component(
                self._delays[i : i + 1],
                self._powers[i : i + 1],
                _ray_correlation(zenith + (0 * rays[:1] if i < los else rays), self.doppler_hz),
            )
            for i, zenith in enumerate(zeniths)
        )

    def taps(
        self, count: int, step_s: float, rng: torch.Generator, *, rx: int = 1, tx: int = 1
    ) -> Complex[Tensor, "rx tx p count"]:
        """Gains of the clusters between all antennas at the times 0, step_s, …, (count - 1)·step_s.

        Raises:
            ValueError: a number of antennas that does not fill the rows of its array.
        """
        for name, antennas, rows in (("rx", rx, self.rx_rows), ("tx", tx, self.tx_rows)):
            if antennas % rows:
                raise ValueError(f"{name}={antennas} antennas do not fill {name}_rows={rows} rows")
        seed = int(torch.randint(2**63 - 1, (1,), generator=rng, device=rng.device))
        drawn = 1 if self.doppler_hz == 0 or step_s == 0 else count
        gains = _draw_from_sionna(self, rx, tx, drawn, step_s or 1.0, seed).to(rng.device)
        return gains.expand(-1, -1, -1, count)


_RAY_OFFSETS = np.outer(
    [0.0447, 0.1413, 0.2492, 0.3715, 0.5129, 0.6797, 0.8844, 1.1481, 1.5195, 2.1551], [1.0, -1.0]
).ravel()
"""Angles of a cluster's rays for a spread of 1 (TR 38.901 table 7.5-3)."""


def _ray_correlation(zeniths: Float[Array, " r"], doppler_hz: float) -> Callable[[Float[Array, "*s"]], Array]:
    """Mean of exp(j2π f_D dt r·v) over the rays r and the directions of travel v, zenith and azimuth uniform."""
    travel = np.pi * (np.arange(32) + 0.5) / 32
    across, along = np.outer(np.sin(zeniths), np.sin(travel)).ravel(), np.outer(np.cos(zeniths), np.cos(travel)).ravel()

    def correlate(dt_s: Float[Array, "*s"]) -> Array:
        lags, inverse = np.unique(dt_s, return_inverse=True)
        phase = 2 * np.pi * doppler_hz * lags[:, None]
        values = (special.j0(phase * across) * np.cos(phase * along)).mean(axis=1)
        return np.asarray(values[inverse].reshape(np.shape(dt_s)))

    return correlate


def _draw_rows(rows: int, count: int, step: float, rng: torch.Generator) -> Complex[Tensor, "rows count"]:
    """`draw_scatter` of semlink.phy.fading.laws for many rows at once, each independent of the others.

    Plane waves come from the same equally spaced directions for all rows; their Gaussian amplitudes are independent.
    """
    if step == 0:
        return complex_normal(rows, rng)[:, None].expand(-1, count)
    span = 2 * math.pi * step * (count - 1)
    waves = math.ceil(span + 8 * span ** (1 / 3) + 16)
    amplitudes = complex_normal(rows * waves, rng).reshape(rows, waves) / math.sqrt(waves)
    directions = 2 * math.pi * (torch.arange(waves, dtype=torch.float64, device=rng.device) + 0.5) / waves
    doppler = 2 * math.pi * step * torch.cos(directions)
    times = torch.arange(count, dtype=torch.float64, device=rng.device)
    one = torch.ones(1, dtype=torch.float64, device=rng.device)
    size = max(1, _BLOCK // waves)
    pieces = [torch.outer(doppler, times[start : start + size]) for start in range(0, count, size)]
    return torch.cat([amplitudes @ torch.polar(one, phase).to(torch.complex64) for phase in pieces], dim=1)


def _draw_from_sionna(
    model: Cdl, rx: int, tx: int, count: int, step_s: float, seed: int
) -> Complex[Tensor, "rx tx p count"]:
    from sionna.phy import config

    with _SIONNA:
        generator = config.torch_rng("cpu")
        before = generator.get_state()
        try:
            generator.manual_seed(seed)
            gains, _ = _sionna_model(model, rx, tx)(1, count, 1 / step_s)
        finally:
            generator.set_state(before)
    drawn: Tensor = gains[0, 0, :, 0]
    return drawn


@lru_cache(maxsize=16)
def _sionna_model(model: Cdl, rx: int, tx: int) -> Callable[[int, int, float], tuple[Tensor, Tensor]]:
    from sionna.phy.channel.tr38901 import CDL, PanelArray

    def array(antennas: int, rows: int) -> object:
        return PanelArray(
            num_rows_per_panel=rows,
            num_cols_per_panel=antennas // rows,
            polarization="single",
            polarization_type="V",
            antenna_pattern="omni",
            carrier_frequency=model.carrier_hz,
            precision="single",
            device="cpu",
        )

    receiver, transmitter = array(rx, model.rx_rows), array(tx, model.tx_rows)
    down = model.direction == "downlink"
    made: Callable[[int, int, float], tuple[Tensor, Tensor]] = CDL(
        model.profile,
        model.delay_spread_s,
        model.carrier_hz,
        ut_array=receiver if down else transmitter,
        bs_array=transmitter if down else receiver,
        direction=model.direction,
        min_speed=model.speed_mps,
        max_speed=model.speed_mps,
        precision="single",
        device="cpu",
    )
    return made
