"""Flat fading over any antennas: where pilots lie, what the receiver makes of them, and who knows what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from semlink.phy.estimation import Estimator, make_interpolator
from semlink.phy.fading import FadingLaw, draw_scatter, scatter_correlation
from semlink.phy.frontend import IDEAL, Distorted, Radio
from semlink.phy.link import Received, Rng
from semlink.phy.rng import rows
from semlink.phy.spatial import Scheme, Single, antenna_energy, energy, from_antennas, groups, to_antennas

Csi = Literal["perfect", "estimated", "outdated", "none"]


@dataclass(frozen=True)
class FlatFading:
    """Gains that multiply the symbols, and noise: y = H x + w at every channel use.

    Args:
        coherence: "block" for one gain an image, "fast" for one a channel use, or the number of channel uses that
            share a gain.
        csi: "perfect": the receiver knows the gains; "estimated": it estimates them from pilots, which are sent beside
            the symbols and counted in the ledger; "outdated": it knows what they were `delay` channel uses before;
            "none": it gets y as it is and believes the channel AWGN. A transmitter that needs the channel's state has
            the receiver's knowledge.
        doppler: Doppler spread f_D times the duration of a channel use; gains have the autocorrelation J0(2π f_D τ).
            0 makes them independent from one to the next.
        pilots: with estimated CSI, pilot symbols for each antenna and gain. Each precedes the symbols that meet its
            gain, and the gain lasts for `coherence` symbols beside its pilots: with "fast", every symbol has a pilot.
        spacing: with estimated CSI and Doppler, symbols between pilots; a last one follows the frame.
        estimator: "ls" (least squares; straight lines between pilots) or "mmse" (Wiener; knows N0 and the Doppler).
        delay: with outdated CSI, its age in channel uses. The receiver knows age and Doppler, and what they make of
            its knowledge.

    Raises:
        ValueError: an option out of range, or without the ones it needs.
    """

    coherence: Literal["block", "fast"] | int = "block"
    csi: Csi = "perfect"
    _: KW_ONLY
    doppler: float = 0.0
    pilots: int = 1
    spacing: int = 16
    estimator: Estimator = "mmse"
    delay: float = 0.0

    def __post_init__(self) -> None:
        length = self.coherence
        if length not in ("block", "fast") and not (_is_count(length) and int(length) >= 1):
            raise ValueError(f'coherence={length!r} must be "block", "fast" or a number of channel uses from 1')
        one_of("csi", self.csi, get_args(Csi))
        one_of("estimator", self.estimator, get_args(Estimator))
        for name, count in (("pilots", self.pilots), ("spacing", self.spacing)):
            if not _is_count(count) or count < 1:
                raise ValueError(f"{name}={count!r} must be a whole number from 1: CSI is not had without pilots")
        if not 0 <= self.doppler <= 0.5:
            raise ValueError(f"doppler={self.doppler!r} must be from 0 to 0.5 cycles per channel use")
        self._check_csi()

    def _check_csi(self) -> None:
        if not 0 <= self.delay < math.inf or (self.delay > 0) != (self.csi == "outdated"):
            raise ValueError(f"delay={self.delay!r} and csi={self.csi!r}: only outdated CSI has a delay")
        if self.csi == "outdated" and self.doppler == 0:
            raise ValueError("csi='outdated' needs doppler above 0: without it nothing ages")
        if self.doppler and self.coherence == "block" and self.csi != "outdated":
            raise ValueError(
                f'doppler={self.doppler:g} needs coherence "fast" or a number: "block" has one gain an image'
            )
        if self.doppler and self.csi == "estimated" and (self.coherence != "fast" or self.pilots != 1):
            raise ValueError(
                f"doppler={self.doppler:g} with csi='estimated' takes coherence='fast' and pilots=1; set `spacing`"
            )
        if self.csi == "none" and not isinstance(self.scheme, Single):
            raise ValueError("csi='none' is for one antenna at each end: several cannot be told apart without CSI")

    @property
    def law(self) -> FadingLaw:
        """The distribution of the gains."""
        raise NotImplementedError

    @property
    def scheme(self) -> Scheme:
        """What the antennas do."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Name and own parameters, as the command line takes them."""
        raise NotImplementedError

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        return {
            "channel": self.name.partition(":")[0],
            "spec": self._spec(),
            "csi": self.csi,
            "coherence": str(self.coherence),
            "equaliser": self.scheme.equaliser if self.csi != "none" else "",
        }

    def _spec(self) -> str:
        said: dict[str, object] = {"coherence": self.coherence, "csi": self.csi}
        if self.csi != "none" and isinstance(self.scheme, Single):
            said["equaliser"] = self.scheme.equaliser
        if self.doppler:
            said["doppler"] = f"{self.doppler:.12g}"
        if self.csi == "estimated":
            said |= {"spacing": self.spacing} if self.doppler else {"pilots": self.pilots}
            said["estimator"] = self.estimator
        if self.csi == "outdated":
            said["delay"] = f"{self.delay:.12g}"
        return join_spec(self.name, said)

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Fade, add noise of variance `n0` to each antenna and equalise as the CSI allows; symbols (b, n)."""
        return self.carry(symbols, n0, rng=rng, radio=IDEAL)

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """The same between the stages of a radio."""
        b, n = symbols.shape
        scheme, generators = self.scheme, rows(rng, b)
        layout = self._layout(groups(n, scheme) * scheme.span)
        h, late, noise = (part.to(symbols) for part in self._draw(layout, generators, n0))
        path = _Path(layout, h, noise, radio, generators)
        csit = self._transmitter_knowledge(path, late, n0) if scheme.informed else None
        crossing = path.send(to_antennas(symbols, scheme, csit, n0, rng=generators))
        payload = crossing.observed[:, layout.payload] if layout.heads else crossing.observed
        if self.csi == "none":
            return Received(payload[:, :, 0], torch.full_like(payload[:, :, 0].real, n0))
        known, variance = self._receiver_knowledge(path, crossing, late, n0)
        received = from_antennas(payload, scheme, known, variance, n0, n)
        gain = known[:, :, 0, 0].expand(b, n) if isinstance(scheme, Single) else None
        return replace(received, gain=gain, uses=layout.account(n))

    def _layout(self, uses: int) -> Layout:
        length = {"block": uses, "fast": 1}.get(str(self.coherence), self.coherence)
        assert isinstance(length, int)
        if self.csi != "estimated":
            return _cached(uses, length, 0, 1, False)
        if self.doppler:
            return _cached(uses, self.spacing, 1, self.scheme.tx, True)
        return _cached(uses, length, self.pilots, self.scheme.tx, False)

    def _draw(
        self, layout: Layout, rng: Sequence[torch.Generator], n0: float
    ) -> tuple[Complex[Tensor, "b g rx tx"], Complex[Tensor, "b g rx tx"], Complex[Tensor, "b slots rx"]]:
        """Gains, what they were `delay` before, and noise; gain before noise, image after image."""
        count, period = (layout.slots, 1) if layout.closed else (layout.blocks, layout.period)
        step = period * self.doppler if self.doppler else math.inf
        lags = (0.0, self.delay * self.doppler) if self.csi == "outdated" else (0.0,)
        links, device = self.scheme.rx * self.scheme.tx, rng[0].device
        scatter = torch.empty(len(rng), links, len(lags) * count, dtype=torch.complex64, device=device)
        turns = torch.zeros(len(rng), links, 1, device=device)
        noise = torch.empty(len(rng), layout.slots, self.scheme.rx, dtype=torch.complex64, device=device)
        for i, g in enumerate(rng):
            if math.isinf(step):
                _fill(scatter[i], 1.0, g)
            else:
                for link in scatter[i]:
                    link.copy_(draw_scatter(count, step, g, lags=lags).flatten())
            if self.law.direct:
                torch.rand((links, 1), generator=g, device=device, out=turns[i])
            _fill(noise[i], n0, g)
        h = self.law.shape(scatter, turns)
        shape = (len(rng), self.scheme.rx, self.scheme.tx, len(lags), count)
        gains = self._couple(h.reshape(shape).permute(0, 3, 4, 1, 2))
        return gains[:, 0], gains[:, -1], noise

    def _couple(self, h: Complex[Tensor, "b lags g rx tx"]) -> Complex[Tensor, "b lags g rx tx"]:
        """Gains of antennas that are not independent, from independent ones."""
        return h

    def _transmitter_knowledge(
        self, path: _Path, late: Complex[Tensor, "b g rx tx"], n0: float
    ) -> Complex[Tensor, "b m rx tx"]:
        """What the receiver would tell before the frame is sent."""
        if self.csi == "estimated" and path.radio != IDEAL:
            raise ValueError("a transmitter that knows the channel from pilots takes no impairments; use csi=perfect")
        silent = torch.zeros_like(path.noise[:, : path.layout.uses, :1]).expand(-1, -1, self.scheme.tx)
        known, _ = self._receiver_knowledge(path, path.send(silent), late, n0)
        return known

    def _receiver_knowledge(
        self, path: _Path, crossing: _Crossing, late: Complex[Tensor, "b g rx tx"], n0: float
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        """The channel at each group as the receiver has it, and the variance of all that it takes for noise."""
        if self.csi == "estimated":
            return self._estimated(path, crossing, n0)
        known = late if self.csi == "outdated" else path.h
        error = 0.0
        if self.csi == "outdated":
            age = np.asarray(self.delay * self.doppler)
            kept = float(self.law.correlation(scatter_correlation(age)))
            known, error = kept * known, self._energy * (1 - kept**2)
        known = path.layout.by_group(known, self.scheme.span)
        if path.radio != IDEAL:
            known = known * crossing.gain[:, None]
        return known, crossing.variance(known, n0) + error * crossing.gain.abs().square().mean(dim=(1, 2))[:, None]

    def _estimated(
        self, path: _Path, crossing: _Crossing, n0: float
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        layout = path.layout
        pilots = crossing.observed[:, layout.pilots]  # (b, blocks, tx, pilots, rx)
        noise = crossing.variance(torch.zeros_like(path.h[:, :1]), n0)[:, 0]
        if layout.closed:
            known, error = self._interpolate(layout, pilots[:, :, :, 0], noise)
        else:
            known, error = self._average(layout, pilots.mean(dim=3), noise)
        if path.radio == IDEAL:
            return known, n0 + self._energy * error
        # What the stages leave beside the estimate, as the receiver finds it once it has decided on the symbols.
        payload = crossing.observed[:, layout.payload]
        every = known if known.shape[1] == 1 else known.repeat_interleave(self.scheme.span, dim=1)
        rest = payload - apply(every, crossing.sent[:, layout.payload])
        return known, rest.detach().abs().square().mean(dim=(1, 2))[:, None].expand(-1, known.shape[1])

    def _average(
        self, layout: Layout, observed: Complex[Tensor, "b g tx rx"], noise: Float[Tensor, " b"]
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        """One estimate a gain, from its own pilots."""
        error = noise / self.pilots
        shrink = 1 / (1 + error) if self.estimator == "mmse" else torch.ones_like(error)
        known = observed.transpose(2, 3) * shrink[:, None, None, None]
        known = layout.by_group(known, self.scheme.span)
        return known, (error * shrink)[:, None].expand(-1, known.shape[1])

    def _interpolate(
        self, layout: Layout, observed: Complex[Tensor, "b p tx rx"], noise: Float[Tensor, " b"]
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        """Estimates between pilots, each transmit antenna from its own."""
        places = layout.payload[:: self.scheme.span].numpy() * self.doppler
        known = observed.new_empty(len(observed), len(places), self.scheme.rx, self.scheme.tx)
        error = torch.zeros(len(observed), len(places), dtype=observed.real.dtype)
        for value in sorted(set(noise.tolist())):  # rows differ where impairments do
            same = noise == value
            for antenna in range(self.scheme.tx):
                pilots = layout.pilots[:, antenna, 0].numpy() * self.doppler
                line = make_interpolator(pilots, places, self._correlation, value, estimator=self.estimator)
                known[same, :, :, antenna] = line(observed[same, :, antenna].transpose(1, 2)).transpose(1, 2)
                error[same] += torch.from_numpy(line.error(value)).to(error) / self.scheme.tx
        return known, error

    @property
    def _energy(self) -> float:
        """Of all transmit antennas in a channel use."""
        return sum(antenna_energy(self.scheme))

    def _correlation(self, difference: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
        return self.law.correlation(scatter_correlation(difference))


def _fill(out: Complex[Tensor, "*s"], variance: float, rng: torch.Generator) -> None:
    """Draw CN(0, variance) into a tensor."""
    torch.view_as_real(out).normal_(0.0, math.sqrt(variance / 2), generator=rng)


@lru_cache(maxsize=32)
def _cached(uses: int, length: int, heads: int, tx: int, closed: bool) -> Layout:
    return Layout(uses, length, heads, tx, closed)


@dataclass(frozen=True)
class Layout:
    """Where the payload and the pilots of a frame lie, and which gain each slot meets.

    Blocks of `length` payload uses (the last may be shorter) each follow `heads` pilots of every transmit antenna, one
    antenna after another; a `closed` frame ends in pilots, too.
    """

    uses: int
    length: int
    heads: int
    tx: int
    closed: bool

    @property
    def blocks(self) -> int:
        """Blocks of payload."""
        return -(-self.uses // self.length)

    @property
    def period(self) -> int:
        """Slots from one block to the next."""
        return self.length + self.heads * self.tx

    @property
    def slots(self) -> int:
        """Channel uses of the frame."""
        return self.uses + (self.blocks + self.closed) * self.heads * self.tx

    @cached_property
    def payload(self) -> Int[Tensor, " uses"]:
        """Slots of the payload."""
        i = torch.arange(self.uses)
        return i + (i // self.length + 1) * self.heads * self.tx

    @cached_property
    def pilots(self) -> Int[Tensor, "p tx heads"]:
        """Slots of the pilots."""
        starts = torch.arange(self.blocks + self.closed) * self.period
        starts = starts.clamp(max=self.slots - self.heads * self.tx)  # the last block may be short
        return starts[:, None, None] + torch.arange(self.tx * self.heads).reshape(self.tx, self.heads)

    @cached_property
    def gains(self) -> Int[Tensor, " slots"]:
        """The gain that each slot meets."""
        return torch.arange(self.slots) // (1 if self.closed else self.period)

    def by_group(self, h: Complex[Tensor, "b g rx tx"], span: int) -> Complex[Tensor, "b m rx tx"]:
        """The gain that each group of `span` uses begins with; one for all, and one each, as they are."""
        if h.shape[1] == 1 or (h.shape[1] == self.uses and span == 1):
            return h
        return h[:, self.gains[self.payload[::span]]]

    @property
    def is_pilot(self) -> Bool[Tensor, " slots"] | None:
        """Which slots hold pilots; None where none do."""
        if not self.heads:
            return None
        mask = torch.ones(self.slots, dtype=torch.bool)
        mask[self.payload] = False
        return mask

    def account(self, symbols: int) -> dict[str, int] | None:
        """Channel uses by purpose; None where each symbol has one and there are no others."""
        if self.slots == symbols:
            return None
        pilots = {"pilot": self.slots - self.uses} if self.heads else {}
        return {"payload": self.uses, **pilots}


@dataclass(frozen=True)
class _Crossing:
    """A frame that has crossed.

    Attributes:
        sent: what the antennas were given, (b, slots, tx).
        observed: what the receiver's baseband has, (b, slots, rx).
        gain: linear gain of the stages from each antenna to each, (b, rx, tx).
        before: distortion of each transmit antenna over its linear gain, (b, tx).
        noise_gain: what the receiver's stages make of the energy of the noise, (b, rx).
        behind: distortion of each receive antenna, (b, rx).
    """

    sent: Complex[Tensor, "b slots tx"]
    observed: Complex[Tensor, "b slots rx"]
    gain: Complex[Tensor, "b rx tx"]
    before: Float[Tensor, "b tx"]
    noise_gain: Float[Tensor, "b rx"]
    behind: Float[Tensor, "b rx"]

    def variance(self, h: Complex[Tensor, "b m rx tx"], n0: float) -> Float[Tensor, "b m"]:
        """Noise and distortion at a receive antenna, where the channel is `h`: the mean over antennas.

        As if the distortion of several transmit antennas were white there. It comes from where the signal does, and a
        detector lets less of it through: n0 is then too high, never too low.
        """
        own = (self.noise_gain * n0 + self.behind).mean(dim=1)[:, None]
        if not self.before.any():
            return own.expand(-1, h.shape[1])
        return own + (energy(h) * self.before[:, None, None]).sum(dim=3).mean(dim=2)


@dataclass(frozen=True)
class _Path:
    """Everything between the antennas, drawn before anything is sent."""

    layout: Layout
    h: Complex[Tensor, "b g rx tx"]
    noise: Complex[Tensor, "b slots rx"]
    radio: Radio
    rng: Sequence[torch.Generator]

    def send(self, payload: Complex[Tensor, "b uses tx"]) -> _Crossing:
        """Let a frame cross, with its pilots: one antenna at a time, of energy 1."""
        sent = self._with_pilots(payload)
        out, gain_tx, before = self._distort(self.radio.send, sent)
        h = self.h if self.h.shape[1] in (1, self.layout.slots) else self.h[:, self.layout.gains]
        arrived = apply(h, out).add_(self.noise)
        observed, gain_rx, behind = self._distort(self.radio.receive, arrived)
        gain = gain_rx[:, :, None] * gain_tx[:, None]
        return _Crossing(sent, observed, gain, before / energy(gain_tx).clamp_min(1e-12), energy(gain_rx), behind)

    def _with_pilots(self, payload: Complex[Tensor, "b uses tx"]) -> Complex[Tensor, "b slots tx"]:
        if not self.layout.heads:
            return payload
        frame = payload.new_zeros(len(payload), self.layout.slots, payload.shape[2])
        frame = frame.index_copy(1, self.layout.payload, payload)
        for antenna in range(self.layout.tx):
            frame[:, self.layout.pilots[:, antenna].flatten(), antenna] = 1
        return frame

    def _distort(
        self, stage: Callable[..., Distorted], samples: Complex[Tensor, "b slots a"]
    ) -> tuple[Complex[Tensor, "b slots a"], Complex[Tensor, "b a"], Float[Tensor, "b a"]]:
        b, slots, antennas = samples.shape
        if self.radio == IDEAL:
            ones = samples.new_ones(b, antennas)
            return samples, ones, torch.zeros_like(ones.real)
        rng = [g for g in self.rng for _ in range(antennas)]
        one = stage(samples.transpose(1, 2).reshape(-1, slots), rng=rng, pilots=self.layout.is_pilot)
        back = one.samples.reshape(b, antennas, slots).transpose(1, 2)
        return back, one.gain.reshape(b, antennas), one.variance.reshape(b, antennas)


def apply(h: Complex[Tensor, "b m rx tx"], sent: Complex[Tensor, "b slots tx"]) -> Complex[Tensor, "b slots rx"]:
    """H x at every channel use; one H for all where m = 1."""
    if h.shape[3] == 1:  # an outer product: no sum to take
        return h[..., 0] * sent
    return (h @ sent[..., None])[..., 0] if h.shape[1] > 1 else sent @ h[:, 0].transpose(1, 2)


def join_spec(name: str, options: Mapping[str, object]) -> str:
    """A specification as the command line takes it: name:key=value,…; a name may have options of its own."""
    listed = ",".join(f"{key}={value}" for key, value in options.items())
    return f"{name}{',' if ':' in name else ':'}{listed}" if listed else name


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless an option has one of its values."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of: {', '.join(allowed)}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
