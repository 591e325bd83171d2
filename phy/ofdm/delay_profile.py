"""What multipath channels have in common: power-delay profiles, how paths go together, and the tables of TR 38.901."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

Array = np.ndarray
Profile = Literal["A", "B", "C", "D", "E"]

LIGHT_MPS = 299_792_458.0
CARRIER_HZ = 3.5e9


@dataclass(frozen=True)
class Component:
    """Paths whose gains have the same autocorrelation in time.

    Attributes:
        delays_s: (p,).
        powers: mean powers, (p,); over all components of a channel they add up to 1.
        time_correlation: E[g(t + d) g(t)*] / E|g|² at the lags d in seconds.
    """

    delays_s: Float[Array, " p"]
    powers: Float[Array, " p"]
    time_correlation: Callable[[Float[Array, "*s"]], Float[Array, "*s"] | Complex[Array, "*s"]]

    def frequency_correlation(self, df_hz: Float[Array, "*s"]) -> Complex[Array, "*s"]:
        """Σ p_l exp(-j2π df τ_l): this component's part of E[H(f + df) H(f)*]."""
        turns = df_hz[..., None] * self.delays_s
        return np.asarray(np.exp(-2j * np.pi * turns) @ self.powers)


@runtime_checkable
class Paths(Hashable, Protocol):
    """A multipath channel: where its paths lie, how they go together, and draws of their gains."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        ...

    @property
    def spec(self) -> str:
        """Name and parameters, as the command line takes them."""
        ...

    @property
    def doppler_hz(self) -> float:
        """Doppler spread f_D; 0 where nothing moves."""
        ...

    @property
    def delays_s(self) -> Float[Array, " p"]:
        """Delays of the paths."""
        ...

    @property
    def powers(self) -> Float[Array, " p"]:
        """Their mean powers, 1 in all."""
        ...

    @property
    def components(self) -> tuple[Component, ...]:
        """The paths by autocorrelation in time; a path may be in several."""
        ...

    def taps(
        self, count: int, step_s: float, rng: torch.Generator, *, rx: int = 1, tx: int = 1
    ) -> Complex[Tensor, "rx tx p count"]:
        """Gains of the paths between all antennas at the times 0, step_s, …, (count - 1)·step_s."""
        ...


def frequency_correlation(paths: Paths, df_hz: Float[Array, "*s"]) -> Complex[Array, "*s"]:
    """E[H(f + df) H(f)*] = Σ p_l exp(-j2π df τ_l), at the differences df in Hz."""
    return np.asarray(sum(part.frequency_correlation(df_hz) for part in paths.components))


def time_correlation(paths: Paths, dt_s: Float[Array, "*s"]) -> Complex[Array, "*s"]:
    """E[H(t + dt) H(t)*], at the differences dt in seconds."""
    parts = (float(part.powers.sum()) * part.time_correlation(dt_s) for part in paths.components)
    return np.asarray(sum(parts), dtype=np.complex128)


@dataclass(frozen=True)
class DelayProfile(ABC):
    """What tapped and clustered delay lines have in common.

    Args:
        profile: "A" to "C" without and "D", "E" with a line of sight.
        delay_spread_s: root mean square delay spread, which scales the table's delays, from 0 to 1e-4 s.
        carrier_hz: carrier frequency, 0.5 to 100 GHz.
        speed_mps: speed of the moving end.

    Raises:
        ValueError: an option outside of these.
    """

    profile: Profile
    delay_spread_s: float
    _: KW_ONLY
    carrier_hz: float = CARRIER_HZ
    speed_mps: float = 0.0

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise ValueError(f"profile={self.profile!r} must be one of: {', '.join(get_args(Profile))}")
        if not 0 <= self.delay_spread_s <= 1e-4:
            raise ValueError(f"delay_spread_s={self.delay_spread_s!r} must be from 0 to 1e-4 seconds")
        if not 0.5e9 <= self.carrier_hz <= 100e9:
            raise ValueError(f"carrier_hz={self.carrier_hz!r} must be from 0.5e9 to 100e9: TR 38.901 goes so far")
        if not 0 <= self.speed_mps <= 1000:
            raise ValueError(f"speed_mps={self.speed_mps!r} must be from 0 to 1000 m/s")

    @property
    def name(self) -> str:
        """Such as "tdl-c"."""
        return f"{self._kind.lower()}-{self.profile.lower()}"

    @property
    def spec(self) -> str:
        """Name and parameters, as the command line takes them."""
        carrier = "" if self.carrier_hz == CARRIER_HZ else f",fc={self.carrier_hz / 1e9:.12g}GHz"
        return f"{self.name}:ds={self.delay_spread_s * 1e9:.12g}ns,v={self.speed_mps:.12g}{carrier}"

    @property
    def doppler_hz(self) -> float:
        """Doppler spread f_D = v f_c / c."""
        return self.speed_mps / LIGHT_MPS * self.carrier_hz

    @cached_property
    def delays_s(self) -> Float[Array, " p"]:
        """Delays of the paths; a line of sight is part of the first."""
        return self._delays[self.has_los :]

    @cached_property
    def powers(self) -> Float[Array, " p"]:
        """Mean powers of the paths, 1 in all."""
        first = self._powers[: 1 + self.has_los].sum(keepdims=True)
        return np.concatenate([first, self._powers[1 + self.has_los :]])

    @property
    def has_los(self) -> bool:
        """Whether the first path has a line of sight in it."""
        return bool(self._table["los"])

    def frequency_correlation(self, df_hz: Float[Array, "*s"]) -> Complex[Array, "*s"]:
        """E[H(f + df) H(f)*] = Σ p_l exp(-j2π df τ_l), at the differences df in Hz."""
        return frequency_correlation(self, df_hz)

    def time_correlation(self, dt_s: Float[Array, "*s"]) -> Complex[Array, "*s"]:
        """E[H(t + dt) H(t)*], at the differences dt in seconds."""
        return time_correlation(self, dt_s)

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """The paths by autocorrelation in time; the line of sight is one by itself."""

    @abstractmethod
    def taps(
        self, count: int, step_s: float, rng: torch.Generator, *, rx: int = 1, tx: int = 1
    ) -> Complex[Tensor, "rx tx p count"]:
        """Gains of the paths between all antennas at the times 0, step_s, …, (count - 1)·step_s."""

    @property
    @abstractmethod
    def _kind(self) -> str: ...

    @property
    def _table(self) -> dict[str, Any]:
        return _table(self._kind, self.profile)

    @cached_property
    def _delays(self) -> Float[Array, " q"]:
        """In rising order, as Sionna hands clusters back; the line of sight by itself, first."""
        return self._listed("delays") * self.delay_spread_s

    @cached_property
    def _powers(self) -> Float[Array, " q"]:
        powers = 10 ** (self._listed("powers") / 10)
        return np.asarray(powers / powers.sum())

    def _listed(self, column: str) -> Float[Array, " q"]:
        # Tables A and D of the standard are not in the order of the delays.
        order = np.argsort(self._table["delays"], kind="stable")
        return np.array(self._table[column], dtype=np.float64)[order]


@lru_cache(maxsize=16)
def _table(kind: str, profile: str) -> dict[str, Any]:
    """The standard's table, out of Sionna's package data; Sionna itself need not be imported for it."""
    package = find_spec("sionna")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "phy/channel/tr38901/models/v19_2"
    table: dict[str, Any] = json.loads((folder / f"{kind}-{profile}.json").read_text())
    return table
