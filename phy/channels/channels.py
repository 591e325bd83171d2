"""Flat channels: additive noise and fading, with the receiver's knowledge of it paid for where it is not given.

Noise is CN(0, N0), N0/2 per real axis, and fading has E|h|² = 1 and is never renormalised: outage is real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass, replace
from typing import get_args

import torch
from jaxtyping import Complex
from torch import Tensor

from semlink.phy.fading import FadingLaw, FlatFading, NakagamiLaw, RayleighLaw, RicianLaw
from semlink.phy.impairments import IDEAL, Medium, Radio, Side, Stage
from semlink.phy.link import Received, Rng
from semlink.phy.mimo import Equaliser, Scheme, Single
from semlink.phy.parameters import check_choice
from semlink.phy.rng import complex_normal, rows, spawn


@dataclass(frozen=True)
class AWGN:
    """Additive white Gaussian noise: y = x + w, w ~ CN(0, N0)."""

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        return {"channel": "awgn", "spec": "awgn", "csi": "perfect", "coherence": "", "equaliser": ""}

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Add noise of variance `n0` to symbols of shape (b, n)."""
        return self.carry(symbols, n0, rng=rng, radio=IDEAL)

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """The same between the stages of a radio, whose linear gain the receiver divides by."""
        generators = rows(rng, len(symbols))
        sent = radio.send(symbols, rng=generators)
        noise = torch.stack([complex_normal(symbols.shape[1], g) for g in generators])
        got = radio.receive(sent.samples + math.sqrt(n0) * noise.to(symbols), rng=generators)
        if radio == IDEAL:
            return Received(got.samples, torch.full_like(symbols.real, n0))
        gain = got.gain * sent.gain
        variance = got.gain.abs().square() * (n0 + sent.variance) + got.variance
        power = gain.abs().square().clamp_min(1e-12)
        return Received(got.samples * gain.conj() / power, (variance / power).expand(symbols.shape))


@dataclass(frozen=True)
class _SingleAntenna(FlatFading):
    """One antenna at each end.

    Args:
        equaliser: with CSI, "zf" (y / h) or "mmse" (h* y / (|h|² + N0)). MMSE leaves a real bias
            |h|² / (|h|² + N0) on the symbol, handed back as `Received.bias`; taking it out gives the ZF output again,
            since with one tap the two differ by a known factor only. Either way Es/N0 of a symbol is |h|² / N0.
    """

    equaliser: Equaliser = "zf"

    def __post_init__(self) -> None:
        check_choice("equaliser", self.equaliser, get_args(Equaliser))
        super().__post_init__()

    @property
    def scheme(self) -> Scheme:
        """One tap."""
        return Single(self.equaliser)


@dataclass(frozen=True)
class Rayleigh(_SingleAntenna):
    """Flat Rayleigh fading: y = h x + w, h ~ CN(0, 1), w ~ CN(0, N0). Options as in `FlatFading`."""

    @property
    def law(self) -> FadingLaw:
        """CN(0, 1)."""
        return RayleighLaw()

    @property
    def name(self) -> str:
        """As the command line has it."""
        return "rayleigh"


@dataclass(frozen=True)
class Rician(_SingleAntenna):
    """Flat Rician fading: a direct path K times as strong as the Rayleigh scatter. Options as in `FlatFading`.

    Args:
        k_db: Rice factor K in dB.

    Raises:
        ValueError: `k_db` beyond ±60, or an option out of range.
    """

    k_db: float = 6.0

    def __post_init__(self) -> None:
        RicianLaw(self.k_db)
        super().__post_init__()

    @property
    def law(self) -> FadingLaw:
        """A constant and scatter."""
        return RicianLaw(self.k_db)

    @property
    def name(self) -> str:
        """As the command line has it."""
        return f"rician:K={self.k_db:.12g}"


@dataclass(frozen=True)
class Nakagami(_SingleAntenna):
    """Flat Nakagami-m fading: |h|² ~ Gamma(m, 1/m), uniform phase. Options as in `FlatFading`.

    Args:
        m: 1 is Rayleigh, more is milder, from 0.5 to 100.

    Raises:
        ValueError: `m` or another option out of range.
    """

    m: float = 2.0

    def __post_init__(self) -> None:
        NakagamiLaw(self.m)
        super().__post_init__()

    @property
    def law(self) -> FadingLaw:
        """Its own."""
        return NakagamiLaw(self.m)

    @property
    def name(self) -> str:
        """As the command line has it."""
        return f"nakagami:m={self.m:.12g}"


class Chain:
    """A channel between impairments: `Chain(PhaseNoise(…), Rapp(…), AWGN())`.

    What stands before the channel acts on what each transmit antenna sends, in that order; what stands after it acts
    on what each receive antenna gets, noise included and before anything is equalised. The receiver knows what its
    pilots would tell: the linear gain that the stages leave, and the variance of their distortion, image by image.
    With CSI from pilots, the gain is what the pilots met.

    Raises:
        ValueError: not exactly one channel, one that has no place for stages, or something that is no stage.
    """

    def __init__(self, *parts: Stage | Medium) -> None:
        media = [i for i, part in enumerate(parts) if isinstance(part, Medium)]
        if len(media) != 1:
            raise ValueError(
                f"Chain of {len(parts)} parts has {len(media)} channels; it must have exactly one that has a place for "
                "stages (`carry`)"
            )
        (place,) = media
        medium = parts[place]
        assert isinstance(medium, Medium)
        self.channel: Medium = medium
        self.radio = Radio(_stages(parts[:place]), _stages(parts[place + 1 :]))

    @property
    def labels(self) -> dict[str, str]:
        """Those of the channel, the stages in its specification."""
        labels: dict[str, str] = dict(getattr(self.channel, "labels", {"channel": type(self.channel).__name__}))
        sides: tuple[tuple[tuple[Stage, ...], Side], ...] = (
            (self.radio.transmitter, "transmitter"),
            (self.radio.receiver, "receiver"),
        )
        added = [_at(stage, side) for stages, side in sides for stage in stages]
        return {**labels, "spec": "+".join([labels.get("spec") or labels["channel"], *added])}

    @property
    def notes(self) -> dict[str, str]:
        """Those of the channel."""
        return dict(getattr(self.channel, "notes", {}))

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Carry symbols (b, n) through the stages and the channel."""
        return self.carry(symbols, n0, rng=rng, radio=IDEAL)

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """The same within an outer radio."""
        both = Radio(radio.transmitter + self.radio.transmitter, self.radio.receiver + radio.receiver)
        # Stages draw before and after the channel does: each image needs a generator of its own to be independent of
        # its batch.
        return self.channel.carry(symbols, n0, rng=spawn(rng, len(symbols)), radio=both)


def _at(stage: Stage, side: Side) -> str:
    """The specification of a stage that stands at this side."""
    if stage.side == side:
        return stage.spec
    if is_dataclass(stage) and "side" in [one.name for one in fields(stage)]:
        return replace(stage, side=side).spec
    return f"{stage.spec}{',' if ':' in stage.spec else ':'}side={side}"


def _stages(parts: Sequence[object]) -> tuple[Stage, ...]:
    stages = []
    for part in parts:
        if not isinstance(part, Stage):
            raise ValueError(f"{part!r} in a Chain must be a stage, such as an impairment, or the channel")
        stages.append(part)
    return tuple(stages)


@dataclass(frozen=True)
class Mimo(FlatFading):
    """Flat fading between several antennas, one or more users. Options as in `FlatFading`.

    Args:
        antennas: what the antennas do: a scheme of `semlink.phy.mimo`.
        fading: the law of each gain.
        tx_correlation: correlation of neighbouring transmit antennas, r^|i-j| between antennas i and j (Loyka 2001),
            Kronecker's model; 0 for independent ones.
        rx_correlation: the same of the receive antennas.

    Raises:
        ValueError: an option out of range.
    """

    _: KW_ONLY
    antennas: Scheme
    fading: FadingLaw = field(default_factory=RayleighLaw)
    tx_correlation: float = 0.0
    rx_correlation: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("tx_correlation", self.tx_correlation), ("rx_correlation", self.rx_correlation)):
            if not 0 <= value < 1:
                raise ValueError(f"{name}={value!r} must be from 0 to below 1")
        super().__post_init__()

    @property
    def law(self) -> FadingLaw:
        """Of each gain."""
        return self.fading

    @property
    def scheme(self) -> Scheme:
        """Of the antennas."""
        return self.antennas

    @property
    def name(self) -> str:
        """As the command line has it."""
        from semlink.phy.mimo import describe_scheme  # here and not above: one antenna needs no Numba

        correlated = {"tx-corr": self.tx_correlation, "rx-corr": self.rx_correlation}
        own = {"K": self.fading.k_db} if isinstance(self.fading, RicianLaw) else {}
        own |= {"m": self.fading.m} if isinstance(self.fading, NakagamiLaw) else {}
        own |= {key: value for key, value in correlated.items() if value}
        extra = [f"{key}={value:.12g}" for key, value in own.items()]
        return ",".join([describe_scheme(self.antennas), *extra])

    def _couple(self, h: Complex[Tensor, "b lags g rx tx"]) -> Complex[Tensor, "b lags g rx tx"]:
        if not self.tx_correlation and not self.rx_correlation:
            return h
        from semlink.phy.mimo import correlate, exponential_correlation, kronecker_root

        roots = [
            kronecker_root(exponential_correlation(size, rho)).to(h)
            for size, rho in ((self.antennas.rx, self.rx_correlation), (self.antennas.tx, self.tx_correlation))
        ]
        return correlate(h, *roots)
