"""Flat fading over any antennas: where pilots lie, what the receiver makes of them, and who knows what."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.fading.frame import Crossing, Layout, Path, apply
from semlink.phy.fading.laws import FadingLaw, draw_scatter, scatter_correlation
from semlink.phy.impairments import IDEAL, Radio
from semlink.phy.kept import kept
from semlink.phy.link import Received, Rng
from semlink.phy.mimo import Scheme, Single, add_distortion, antenna_energy, energy, from_antennas, groups, to_antennas
from semlink.phy.parameters import check_choice, is_whole
from semlink.phy.pilots import Estimator, make_interpolator
from semlink.phy.rng import rows, spawn

Csi = Literal["perfect", "estimated", "outdated", "none"]
"""What the receiver knows of the gains."""

MAX_PILOTS = 10_000
"""For each antenna and gain, and the most symbols between pilots."""


@dataclass(frozen=True)
class FlatFading(ABC):
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
        if length not in ("block", "fast") and not (is_whole(length) and int(length) >= 1):
            raise ValueError(f'coherence={length!r} must be "block", "fast" or a number of channel uses from 1')
        check_choice("csi", self.csi, get_args(Csi))
        check_choice("estimator", self.estimator, get_args(Estimator))
        for name, count in (("pilots", self.pilots), ("spacing", self.spacing)):
            if not is_whole(count) or not 1 <= count <= MAX_PILOTS:
                raise ValueError(
                    f"{name}={count!r} must be a whole number from 1 to {MAX_PILOTS}: CSI is not had without pilots"
                )
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
        span, length = self.scheme.span, self.coherence
        if isinstance(length, str):
            length = span if length == "block" or self.doppler else 1
        if length % span:
            raise ValueError(
                f"coherence={self.coherence!r} must be a multiple of {span}: {self.scheme.equaliser} spreads a group "
                f"of symbols over {span} channel uses, and takes the gain for the same"
            )
        if self.csi == "none" and not isinstance(self.scheme, Single):
            raise ValueError("csi='none' is for one antenna at each end: several cannot be told apart without CSI")

    @property
    @abstractmethod
    def law(self) -> FadingLaw:
        """The distribution of the gains."""

    @property
    @abstractmethod
    def scheme(self) -> Scheme:
        """What the antennas do."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name and own parameters, as the command line takes them."""

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
        scheme, single = self.scheme, isinstance(self.scheme, Single)
        # Other users' symbols are drawn after the fades and the noise of all images.
        generators = rows(rng, b) if single else spawn(rng, b)
        layout = self._layout(groups(n, scheme) * scheme.span)
        h, late, noise = (part.to(symbols) for part in self._draw(layout, generators, n0))
        path = Path(layout, h, noise, radio, generators)
        told = self._transmitter_knowledge(path, late, n0) if scheme.informed else None
        crossing = path.send(to_antennas(symbols, scheme, told, n0, rng=generators))
        payload = crossing.observed[:, layout.payload] if layout.heads else crossing.observed
        if self.csi == "none":
            return Received(payload[:, :, 0], torch.full_like(payload[:, :, 0].real, n0))
        known, variance = self._receiver_knowledge(path, crossing, late, n0)
        spread = distortion = None
        if radio == IDEAL:
            told = None  # both ends know the same
        elif scheme.span > 1 and self.csi != "estimated":
            # What repeats its symbols repeats their distortion: it stays on them.
            variance = (crossing.noise_gain[:, None] * variance[..., None] + crossing.behind[:, None]).mean(dim=2)
            distortion = scheme.tx * crossing.before.diagonal(dim1=1, dim2=2).real.mean(dim=1)
        else:
            spread = self._covariance(layout, crossing, known, variance)
        received = from_antennas(
            payload, scheme, known, variance, n0, n, told=told, covariance=spread, distortion=distortion
        )
        gain = known[:, :, 0, 0].expand(b, n) if single else None
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
        self, path: Path, late: Complex[Tensor, "b g rx tx"], n0: float
    ) -> Complex[Tensor, "b m rx tx"]:
        """What the receiver would tell before the frame is sent."""
        if self.csi == "estimated" and path.radio != IDEAL:
            raise ValueError("a transmitter that knows the channel from pilots takes no impairments; use csi=perfect")
        silent = torch.zeros_like(path.noise[:, : path.layout.uses, :1]).expand(-1, -1, self.scheme.tx)
        ideal = replace(path, radio=IDEAL)
        known, _ = self._receiver_knowledge(ideal, ideal.send(silent), late, n0)
        return known

    def _receiver_knowledge(
        self, path: Path, crossing: Crossing, late: Complex[Tensor, "b g rx tx"], n0: float
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        """The channel at each group as the receiver has it, and what it takes for noise but for the stages' doing."""
        if self.csi == "estimated":
            known, error = self._estimate(path, crossing, n0)
            return known, n0 + self._variation + self._energy * error
        known, kept = path.h, 1.0
        if self.csi == "outdated":
            kept = float(self.law.correlation(scatter_correlation(np.asarray(self.delay * self.doppler))))
            known = kept * late
        known = path.layout.by_group(known, self.scheme.span)
        if path.radio != IDEAL:
            known = known * crossing.gain[:, None]
        variance = n0 + self._variation + self._energy * (1 - kept**2)
        return known, torch.full_like(known.real[:, :, 0, 0], variance)

    def _covariance(
        self,
        layout: Layout,
        crossing: Crossing,
        known: Complex[Tensor, "b m rx tx"],
        variance: Float[Tensor, "b m"],
    ) -> Complex[Tensor, "b _ rx rx"]:
        """Of all that the receiver takes for noise, stages included."""
        if self.csi != "estimated":
            own = crossing.noise_gain[:, None] * variance[..., None] + crossing.behind[:, None]
            return add_distortion(own, known, crossing.before)
        # What the stages leave beside the estimate, as the receiver finds it once it has decided on the symbols.
        every = known if known.shape[1] == 1 else known.repeat_interleave(self.scheme.span, dim=1)
        rest = (crossing.observed[:, layout.payload] - apply(every, crossing.sent[:, layout.payload])).detach()
        mean = rest.mT @ rest.conj() / rest.shape[1]
        loading = 1e-3 * energy(rest).mean(dim=(1, 2))  # of a frame shorter than there are antennas
        return (mean + loading[:, None, None] * torch.eye(rest.shape[2]).to(mean))[:, None]

    @property
    def _variation(self) -> float:
        """Mean energy by which a channel that moves differs from what a group of several uses began with."""
        span = self.scheme.span
        if span == 1 or not self.doppler or self.coherence == "block":
            return 0.0
        steps = np.arange(1, span) * self.doppler
        return self._energy * float(np.sum(2 * (1 - self._correlation(steps)))) / span

    def _estimate(
        self, path: Path, crossing: Crossing, n0: float
    ) -> tuple[Complex[Tensor, "b m rx tx"], Float[Tensor, "b m"]]:
        """Channel and mean squared error at each group, from the pilots."""
        layout, power = path.layout, crossing.pilot_power
        pilots = crossing.observed[:, layout.pilots]  # (b, blocks, tx, pilots, rx)
        noise = crossing.pilot_noise(n0) / power
        if layout.closed:
            known, error = self._interpolate(layout, pilots[:, :, :, 0], noise)
        else:
            known, error = self._average(layout, pilots.mean(dim=3), noise)
        return known, error * power[:, None]

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


@kept(32)
def _cached(uses: int, length: int, heads: int, tx: int, closed: bool) -> Layout:
    return Layout(uses, length, heads, tx, closed)


def join_spec(name: str, options: Mapping[str, object]) -> str:
    """A specification as the command line takes it: name:key=value,…; a name may have options of its own."""
    listed = ",".join(f"{key}={value}" for key, value in options.items())
    return f"{name}{',' if ':' in name else ':'}{listed}" if listed else name
