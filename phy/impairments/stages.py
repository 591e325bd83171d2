"""Impairments of a radio's circuits: amplifiers, oscillators, clocks, mixers and converters.

Each is a `Stage` of a front end, takes one antenna's samples a row, (b, n), and is differentiable in them. A level such
as an amplifier's back-off or a converter's full scale is set against the mean power of the row itself, as an automatic
gain control would; no gradient flows through that reference. What is drawn is drawn for each row by itself, so antennas
have oscillators of their own. The linear gain and the variance of the distortion are those of the row (`regress`).
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from semlink.phy.impairments.frontend import Distorted, Side, regress
from semlink.phy.parameters import Described, check_choice, check_number, check_whole
from semlink.phy.resampling import resample
from semlink.phy.rng import rows

Rngs = Sequence[torch.Generator]
Pilots = Bool[Tensor, " n"] | None


@dataclass(frozen=True)
class Rapp(Described):
    """A solid-state amplifier: r / (1 + (r/A)^(2p))^(1/(2p)), without phase distortion.

    The small-signal gain is 1 and A is the largest output. Es/N0 counts the energy that the codec handed out: what
    the amplifier compresses away is lost.

    Source: C. Rapp, "Effects of HPA-nonlinearity on a 4-DPSK/OFDM-signal for a digital sound broadcasting system",
    2nd European Conf. on Satellite Communications, Liège 1991, 179-184.

    Attributes:
        ibo_db: input back-off in dB: A² over the mean power of the row.
        smoothness: p of the transition to saturation; the larger, the harder.

    Raises:
        ValueError: `ibo_db` outside of -20 … 60 or `smoothness` of 0.5 … 100.
    """

    ibo_db: float
    smoothness: float = 2.0
    side: ClassVar[Side] = "transmitter"
    name: ClassVar[str] = "rapp"
    keys: ClassVar[Mapping[str, str]] = {"ibo_db": "ibo", "smoothness": "p"}

    def __post_init__(self) -> None:
        check_number("ibo_db", self.ibo_db, -20, 60, "dB")
        check_number("smoothness", self.smoothness, 0.5, 100)

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Compress samples (b, n)."""
        # By logarithms: (r/A)^(2p) itself overflows where the amplifier is deep in saturation.
        over = self.smoothness * _relative_power(samples, self.ibo_db).clamp_min(1e-30).log()
        log_gain = -torch.logaddexp(torch.zeros_like(over), over) / (2 * self.smoothness)
        return regress(samples, samples * log_gain.exp())


@dataclass(frozen=True)
class Saleh(Described):
    """A travelling-wave tube: amplitude r / (1 + β_a r²), phase advanced by α_p r² / (1 + β_p r²).

    The small-signal gain is taken to 1, which removes the model's α_a = 2.1587. The output is largest, half the linear
    one, at the saturation point r = 1 / √β_a and falls beyond it. Es/N0 counts the energy that the codec handed out:
    what the amplifier compresses away is lost.

    Source: A. A. M. Saleh, "Frequency-independent and frequency-dependent nonlinear models of TWT amplifiers", IEEE
    Trans. Commun. 29 (1981) 1715-1720; the parameters are those of its fits that are in common use.

    Attributes:
        ibo_db: input back-off in dB: the saturation point 1 / β_a over the mean power of the row.
        beta_a: β_a.
        alpha_p: α_p in radians.
        beta_p: β_p.

    Raises:
        ValueError: `ibo_db` outside of -20 … 60, or another parameter of 0.001 … 100 (α_p: ±100).
    """

    ibo_db: float
    beta_a: float = 1.1517
    alpha_p: float = 4.0033
    beta_p: float = 9.1040
    side: ClassVar[Side] = "transmitter"
    name: ClassVar[str] = "saleh"
    keys: ClassVar[Mapping[str, str]] = {"ibo_db": "ibo", "beta_a": "beta-a", "alpha_p": "alpha-p", "beta_p": "beta-p"}

    def __post_init__(self) -> None:
        check_number("ibo_db", self.ibo_db, -20, 60, "dB")
        check_number("beta_a", self.beta_a, 0.001, 100)
        check_number("alpha_p", self.alpha_p, -100, 100, "radians")
        check_number("beta_p", self.beta_p, 0.001, 100)

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Compress and turn samples (b, n)."""
        over = _relative_power(samples, self.ibo_db)  # β_a r²
        power = over / self.beta_a
        phase = self.alpha_p * power / (1 + self.beta_p * power)
        return regress(samples, samples * torch.polar(1 / (1 + over), phase))


@dataclass(frozen=True)
class Clip(Described):
    """A soft envelope limiter: what exceeds the amplitude A is brought down to it, the phase stays.

    Es/N0 counts the energy that the codec handed out: what is clipped away is lost.

    Source: H. Ochiai and H. Imai, "Performance analysis of deliberately clipped OFDM signals", IEEE Trans. Commun. 50
    (2002) 89-101.

    Attributes:
        level_db: clipping ratio in dB: A² over the mean power of the row.

    Raises:
        ValueError: `level_db` outside of -20 … 60.
    """

    level_db: float
    side: ClassVar[Side] = "transmitter"
    name: ClassVar[str] = "clip"
    keys: ClassVar[Mapping[str, str]] = {"level_db": "level"}

    def __post_init__(self) -> None:
        check_number("level_db", self.level_db, -20, 60, "dB")

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Limit samples (b, n)."""
        return regress(samples, samples * _relative_power(samples, self.level_db).clamp_min(1.0).rsqrt())


@dataclass(frozen=True)
class CarrierOffset(Described):
    """Sample k is turned by φ + 2π·offset·k: a positive offset is a transmitter's carrier above the receiver's.

    Attributes:
        offset: frequency offset in cycles per sample.
        phase: φ in radians; "random" draws it uniformly for each row.
        side: the end it acts at.

    Raises:
        ValueError: `offset` beyond ±0.5 or `phase` beyond ±2π.
    """

    offset: float
    phase: float | Literal["random"] = "random"
    side: Side = "receiver"
    name: ClassVar[str] = "cfo"
    keys: ClassVar[Mapping[str, str]] = {"offset": "offset", "phase": "phase", "side": "side"}

    def __post_init__(self) -> None:
        check_number("offset", self.offset, -0.5, 0.5, "cycles per sample")
        if self.phase != "random":
            check_number("phase", self.phase, -2 * math.pi, 2 * math.pi, 'radians, or "random"')
        check_choice("side", self.side, get_args(Side))

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Turn samples (b, n)."""
        start = torch.stack([self._start(one) for one in rows(rng, len(samples))]).to(samples.device)
        steps = 2 * math.pi * self.offset * _indices(samples)
        return regress(samples, samples * (_phasor(start) * _phasor(steps)).to(samples))

    def _start(self, rng: torch.Generator) -> Float[Tensor, " 1"]:
        if isinstance(self.phase, str):
            return 2 * math.pi * torch.rand(1, generator=rng, device=rng.device, dtype=torch.float64)
        return torch.full((1,), self.phase, dtype=torch.float64, device=rng.device)


@dataclass(frozen=True)
class PhaseNoise(Described):
    """A free-running oscillator: the phase is a Wiener process of variance 2π·linewidth a sample, from 0.

    Its spectrum is a Lorentzian of this full width at half the power: E[exp(j(φ(k+d) - φ(k)))] = exp(-π·linewidth·|d|).

    Source: A. Demir, A. Mehrotra and J. Roychowdhury, "Phase noise in oscillators: a unifying theory and numerical
    methods for characterization", IEEE Trans. Circuits Syst. I 47 (2000) 655-674.

    Attributes:
        linewidth: two-sided 3 dB linewidth over the sample rate.
        side: the end it acts at.

    Raises:
        ValueError: `linewidth` outside of 0 … 0.5.
    """

    linewidth: float
    side: Side = "transmitter"
    name: ClassVar[str] = "phase-noise"
    keys: ClassVar[Mapping[str, str]] = {"linewidth": "linewidth", "side": "side"}

    def __post_init__(self) -> None:
        check_number("linewidth", self.linewidth, 0, 0.5, "of the sample rate")
        check_choice("side", self.side, get_args(Side))

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Turn samples (b, n)."""
        b, n = samples.shape
        steps = torch.stack([torch.randn(n, generator=one, device=one.device) for one in rows(rng, b)]).double()
        steps[:, :1] = 0
        phase = math.sqrt(2 * math.pi * self.linewidth) * steps.cumsum(dim=1)
        return regress(samples, samples * _phasor(phase).to(samples))


@dataclass(frozen=True)
class SamplingOffset(Described):
    """Sample k is taken at k·(1 + ppm·1e-6) - delay: a positive ppm is a clock that runs slow, and the drift adds up.

    Between samples the signal is Σ x_i sinc(t - i), with zeros outside of the frame.

    Attributes:
        ppm: by how much the sampling period is too long, in parts per million.
        delay: how much later than the clock believes the signal arrives, in samples.
        side: the end it acts at.

    Raises:
        ValueError: `ppm` beyond ±10000 or `delay` beyond ±1000.
    """

    ppm: float
    delay: float = 0.0
    side: Side = "receiver"
    name: ClassVar[str] = "sfo"
    keys: ClassVar[Mapping[str, str]] = {"ppm": "ppm", "delay": "delay", "side": "side"}

    def __post_init__(self) -> None:
        check_number("ppm", self.ppm, -10_000, 10_000)
        check_number("delay", self.delay, -1000, 1000, "samples")
        check_choice("side", self.side, get_args(Side))

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Resample samples (b, n)."""
        times = _indices(samples) * (1 + self.ppm * 1e-6) - self.delay
        return regress(samples, resample(samples, times))


@dataclass(frozen=True)
class IqImbalance(Described):
    """A quadrature mixer whose Q branch has gain g and phase error φ: y = μ x + ν x*.

    At a transmitter μ, ν = (1 ± g exp(jφ)) / 2; at a receiver μ = (1 + g exp(-jφ)) / 2 and ν = (1 - g exp(jφ)) / 2.
    Both are scaled to |μ|² + |ν|² = 1, so that a circular signal keeps its energy. The image rejection ratio is
    |μ|²/|ν|² = (1 + 2 g cos φ + g²) / (1 - 2 g cos φ + g²).

    Source: M. Valkama, M. Renfors and V. Koivunen, "Advanced methods for I/Q imbalance compensation in communication
    receivers", IEEE Trans. Signal Process. 49 (2001) 2335-2344.

    Attributes:
        gain_db: g in dB.
        phase_deg: φ in degrees.
        side: the end it acts at.

    Raises:
        ValueError: `gain_db` beyond ±20 or `phase_deg` beyond ±90.
    """

    gain_db: float = 0.0
    phase_deg: float = 0.0
    side: Side = "receiver"
    name: ClassVar[str] = "iq"
    keys: ClassVar[Mapping[str, str]] = {"gain_db": "gain", "phase_deg": "phase", "side": "side"}

    def __post_init__(self) -> None:
        check_number("gain_db", self.gain_db, -20, 20, "dB")
        check_number("phase_deg", self.phase_deg, -90, 90, "degrees")
        check_choice("side", self.side, get_args(Side))

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Add their image to samples (b, n)."""
        branch = 10 ** (self.gain_db / 20) * cmath.exp(1j * math.radians(self.phase_deg))
        scale = 1 / math.sqrt(2 + 2 * abs(branch) ** 2)
        direct = scale * (1 + (branch if self.side == "transmitter" else branch.conjugate()))
        return regress(samples, direct * samples + scale * (1 - branch) * samples.conj())


@dataclass(frozen=True)
class DcOffset(Described):
    """A constant is added, the same on both axes: leakage of the local oscillator.

    Attributes:
        level_db: power of the constant over the mean power of the row, in dB.
        side: the end it acts at.

    Raises:
        ValueError: `level_db` outside of -200 … 60.
    """

    level_db: float
    side: Side = "receiver"
    name: ClassVar[str] = "dc"
    keys: ClassVar[Mapping[str, str]] = {"level_db": "level", "side": "side"}

    def __post_init__(self) -> None:
        check_number("level_db", self.level_db, -200, 60, "dB")
        check_choice("side", self.side, get_args(Side))

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Add the constant to samples (b, n)."""
        axis = (_mean_power(samples) * 10 ** (self.level_db / 10) / 2).sqrt()
        return regress(samples, samples + torch.complex(axis, axis))


@dataclass(frozen=True)
class Quantiser(Described):
    """A converter: uniform mid-rise quantisation of each real axis into 2^bits levels within ± full scale.

    The gradient is straight-through within full scale, and 0 where the converter clips.

    Source: N. S. Jayant and P. Noll, "Digital Coding of Waveforms", 1984, chapter 4.

    Attributes:
        bits: of each axis.
        headroom_db: full scale over the root mean square of an axis (half the mean power of the row), in dB.

    Raises:
        ValueError: `bits` is no whole number from 1 to 16, or `headroom_db` outside of -20 … 60.
    """

    bits: int
    headroom_db: float = 12.0
    keys: ClassVar[Mapping[str, str]] = {"bits": "bits", "headroom_db": "headroom"}

    def __post_init__(self) -> None:
        check_whole("bits", self.bits, 1, 16)
        check_number("headroom_db", self.headroom_db, -20, 60, "dB")

    def __call__(self, samples: Complex[Tensor, "b n"], *, rng: Rngs, pilots: Pilots = None) -> Distorted:  # noqa: ARG002
        """Quantise samples (b, n)."""
        full = (_mean_power(samples) / 2 * 10 ** (self.headroom_db / 10)).sqrt()[..., None]
        step = full * 2 / 2**self.bits
        clipped = torch.view_as_real(samples.resolve_conj()).clamp(-full, full)
        level = ((clipped.detach() / step).floor() + 0.5) * step
        level = level.clamp(step / 2 - full, full - step / 2)
        # What is added has the value 0 and the gradient of the clipped samples.
        return regress(samples, torch.view_as_complex(level + (clipped - clipped.detach())))


@dataclass(frozen=True)
class Adc(Quantiser):
    """An analogue-to-digital converter."""

    name: ClassVar[str] = "adc"
    side: ClassVar[Side] = "receiver"


@dataclass(frozen=True)
class Dac(Quantiser):
    """A digital-to-analogue converter."""

    name: ClassVar[str] = "dac"
    side: ClassVar[Side] = "transmitter"


def _power(samples: Tensor) -> Tensor:
    return samples.real.square() + samples.imag.square()


def _mean_power(samples: Complex[Tensor, "b n"]) -> Float[Tensor, "b 1"]:
    return _power(samples.detach()).mean(dim=1, keepdim=True).clamp_min(1e-20)


def _relative_power(samples: Complex[Tensor, "b n"], level_db: float) -> Float[Tensor, "b n"]:
    """Of each sample, over the level that is so many dB above the mean power of its row."""
    return _power(samples) / (_mean_power(samples) * 10 ** (level_db / 10))


def _indices(samples: Tensor) -> Tensor:
    return torch.arange(samples.shape[1], dtype=torch.float64, device=samples.device)


def _phasor(phase: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(phase), phase)
