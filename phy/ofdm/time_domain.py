"""OFDM sample by sample: waveform, delay line with fractional delays, and what it leaves between the carriers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from scipy.fft import next_fast_len
from torch import Tensor

from semlink.phy.impairments import IDEAL, Distorted, Radio
from semlink.phy.ofdm.delay_profile import Paths
from semlink.phy.ofdm.grid import Grid, Numerology

Array = np.ndarray

REACH = 12
"""Samples to either side of a path's delay over which its windowed sinc reaches."""
SHAPE = 6.0
"""Of the sinc's Kaiser window: the pass band, flat to 0.1 dB, is 80 % of the sample rate."""
KNOT = 0.01
"""Gains are drawn at least so often, in units of 1 / f_D, and run straight in between: -70 dB off at most."""


@dataclass(frozen=True)
class DelayLine:
    """The paths of a channel as filters at the sample rate.

    The receiver's FFT window begins `advance` samples before the end of the cyclic prefix: the spare part of the prefix
    is shared out between what reaches beyond the last path's delay and what comes before the first's. The phase that
    this brings is taken out.

    Attributes:
        numerology: carriers and samples.
        delays: of the paths, in samples.
        powers: of the paths.
    """

    numerology: Numerology
    delays: tuple[float, ...]
    powers: tuple[float, ...]

    @cached_property
    def weights(self) -> Float[Array, "p lags"]:
        """Impulse response of each path at the lags `lags`."""
        offset = self.lags - np.array(self.delays)[:, None]
        inside = np.clip(1 - (offset / REACH) ** 2, 0, None)
        weights = np.sinc(offset) * np.i0(SHAPE * np.sqrt(inside)) / np.i0(SHAPE) * (inside > 0)
        return np.asarray(np.where(np.abs(weights) < 1e-9, 0.0, weights))

    @cached_property
    def lags(self) -> Int[Array, " lags"]:
        """Delays of the taps, in samples; a filter's precursors have negative ones."""
        whole = all(abs(delay - round(delay)) < 1e-9 for delay in self.delays)
        reach = 0 if whole else REACH - 1
        return np.arange(-reach, round(max(self.delays)) + reach + 1)

    @property
    def advance(self) -> int:
        """Samples between the beginning of the FFT window and the end of the cyclic prefix."""
        spare = self.numerology.cp - math.ceil(max(self.delays) - 1e-9)
        return int(min(-self.lags[0], max(0, spare // 2)))

    @cached_property
    def response(self) -> Complex[Array, "u p"]:
        """Frequency response of each path at the used carriers, but for what the FFT window misses."""
        n = self.numerology.fft
        missed = np.maximum(0, self.lags - (self.numerology.cp - self.advance)) + np.maximum(
            0, -self.lags - self.advance
        )
        kept = 1 - np.minimum(missed, n) / n
        return np.asarray(self._turn(-self.lags) @ (kept * self.weights).T)

    @cached_property
    def interference(self) -> Float[Array, " u"]:
        """Mean energy at each used carrier of what reaches beyond the cyclic prefix, if all elements have energy 1.

        What a sample of the FFT window misses of its own OFDM symbol comes from a neighbouring one instead. The first
        is orthogonal to none of the symbol's carriers and the second has the same spectrum.
        """
        n, used = self.numerology.fft, self.numerology.carriers
        window = np.arange(-self.advance, n - self.advance)
        sources = window[:, None] - self.lags
        beyond = [(sources < -self.numerology.cp), (sources >= n)]
        total = np.zeros(len(used))
        for power, weights in zip(self.powers, self.weights, strict=True):
            parts = [self._outside(window, mask, weights) for mask in beyond]
            both = parts[0] + parts[1]
            own = np.abs(np.einsum("ru,ru->u", self._turn(-window).T, both)) ** 2
            spread = [self._seen(window, part) for part in (*parts, both)]
            total += power * (sum(spread) - own) / n
        return total

    def _turn(self, samples: Int[Array, " m"]) -> Complex[Array, "u m"]:
        return np.asarray(np.exp(2j * np.pi / self.numerology.fft * np.outer(self.numerology.carriers, samples)))

    def _outside(self, window: Int[Array, " r"], mask: Array, weights: Float[Array, " lags"]) -> Complex[Array, "r u"]:
        """What samples of the window have of each carrier by way of the lags in `mask`, over 1/√n."""
        rows = mask.any(axis=1)
        seen = np.zeros((len(window), len(self.numerology.carriers)), dtype=np.complex128)
        seen[rows] = ((mask[rows] * weights) @ self._turn(-self.lags).T) * self._turn(window[rows]).T
        return seen / math.sqrt(self.numerology.fft)

    def _seen(self, window: Int[Array, " r"], part: Complex[Array, "r u"]) -> Float[Array, " u"]:
        """Energy at each carrier of samples that are independent from carrier to carrier."""
        rows = np.abs(part).any(axis=1)
        across = self._turn(-window[rows]) @ part[rows]
        return np.asarray(np.square(np.abs(across)).sum(axis=1))

    @property
    def before(self) -> int:
        """Samples that come before those that they bear on."""
        return int(max(0, self.lags[-1]))

    @property
    def after(self) -> int:
        """Samples that come after those that they bear on."""
        return int(-self.lags[0])

    @cached_property
    def block(self) -> int:
        """Length of the FFT by which an OFDM symbol is filtered."""
        return int(next_fast_len(self.numerology.length + self.before + self.after))

    @cached_property
    def spectrum(self) -> Complex[Tensor, "f p"]:
        """Of each path's filter, over `block` samples."""
        filters = np.zeros((self.block, len(self.delays)))
        filters[self.lags % self.block] = self.weights.T
        return torch.from_numpy(np.fft.fft(filters, axis=0).astype(np.complex64))


@lru_cache(maxsize=32)
def make_line(numerology: Numerology, delays_s: tuple[float, ...], powers: tuple[float, ...]) -> DelayLine:
    """The delay line of paths with these delays."""
    return DelayLine(numerology, tuple(delay * numerology.sample_hz for delay in delays_s), powers)


@lru_cache(maxsize=32)
def doppler_interference(numerology: Numerology, drift: float) -> Float[Array, " u"]:
    """Mean energy that leaks to each used carrier where gains drift by E|h(t + T) - h(t)|² = `drift` over the FFT's T.

    The gains are taken to run straight over an OFDM symbol; of all carriers it would be drift / 12 (Y. Li and
    L. J. Cimini, "Bounds on the interchannel interference of OFDM in time-varying impairments", IEEE Trans. Commun. 49
    (2001) 401-404, eq. (19)).
    """
    n, used = numerology.fft, numerology.carriers
    leak = np.square(np.abs(np.fft.fft(np.arange(n) / n) / n))
    leak[0] = 0.0
    between = leak[(used[:, None] - used) % n]
    return np.asarray(drift * between.sum(axis=1))


@dataclass(frozen=True)
class Gains:
    """Gains of the paths at the knots of each OFDM symbol, between which they run straight.

    Attributes:
        knots: (b, s, k, p, links), from the first sample of an OFDM symbol to that of the next; k = 1 where nothing
            moves.
    """

    knots: Complex[Tensor, "b s k p links"]

    def shares(self, length: int) -> Float[Tensor, "k length"]:
        """How much of each knot's gain holds at each sample of an OFDM symbol."""
        steps = self.knots.shape[2] - 1
        place = torch.arange(length) / length * steps
        return (1 - (place - torch.arange(steps + 1)[:, None]).abs()).clamp_min(0)

    def mean(self, line: DelayLine) -> Complex[Tensor, "b s p links"]:
        """Over the FFT window of each OFDM symbol."""
        start = line.numerology.cp - line.advance
        shares = self.shares(line.numerology.length)[:, start : start + line.numerology.fft].mean(dim=1)
        return torch.einsum("bskpl,k->bspl", self.knots, shares.to(self.knots))


def draw_gains(
    paths: Paths, numerology: Numerology, symbols: int, rng: torch.Generator, *, rx: int, tx: int
) -> Complex[Tensor, "s k p links"]:
    """Gains of one frame at the knots of each of its OFDM symbols."""
    steps = math.ceil(paths.doppler_hz * numerology.symbol_s / KNOT)
    if not steps:
        taps = paths.taps(1, numerology.symbol_s, rng, rx=rx, tx=tx)
        return taps.permute(3, 2, 0, 1).reshape(1, 1, -1, rx * tx).expand(symbols, -1, -1, -1)
    taps = paths.taps(symbols * steps + 1, numerology.symbol_s / steps, rng, rx=rx, tx=tx)
    frames = taps.unfold(3, steps + 1, steps)  # (rx, tx, p, s, k)
    return frames.permute(3, 4, 2, 0, 1).reshape(symbols, steps + 1, -1, rx * tx)


def modulate(grid: Complex[Tensor, "b s u a"], numerology: Numerology) -> Complex[Tensor, "b t a"]:
    """Samples of each antenna: unitary inverse FFT of each OFDM symbol, and its cyclic prefix before it."""
    bins = torch.from_numpy(numerology.carriers % numerology.fft)
    shape = (grid.shape[0], grid.shape[1], numerology.fft, grid.shape[3])
    body = torch.fft.ifft(grid.new_zeros(shape).index_copy(2, bins, grid), dim=2, norm="ortho")
    return torch.cat([body[:, :, numerology.fft - numerology.cp :], body], dim=2).flatten(1, 2)


def demodulate(
    samples: Complex[Tensor, "b t a"], numerology: Numerology, advance: int = 0
) -> Complex[Tensor, "b s u a"]:
    """The used carriers of each OFDM symbol, by a unitary FFT that begins `advance` samples early."""
    start = numerology.cp - advance
    b, _, antennas = samples.shape
    frames = samples.reshape(b, -1, numerology.length, antennas)[:, :, start : start + numerology.fft]
    bins = torch.from_numpy(numerology.carriers % numerology.fft)
    carriers = torch.from_numpy(2 * np.pi / numerology.fft * advance * numerology.carriers)
    turn = torch.polar(torch.ones_like(carriers), carriers).to(samples)
    received: Tensor = torch.fft.fft(frames, dim=2, norm="ortho")[:, :, bins] * turn[:, None]
    return received


def convolve(
    samples: Complex[Tensor, "b t tx"], gains: Gains, line: DelayLine, rx: int, piece: int
) -> Complex[Tensor, "b t rx"]:
    """What arrives at each antenna, `piece` OFDM symbols at a time (overlap-save)."""
    length, tx = line.numerology.length, samples.shape[2]
    padded = torch.nn.functional.pad(samples, (0, 0, line.before, line.after))
    frames = padded.unfold(1, length + line.before + line.after, length)  # (b, s, tx, samples)
    shares = gains.shares(length).to(samples.real)
    spectrum = line.spectrum.to(samples)
    parts = []
    for start in range(0, frames.shape[1], piece):
        sent = torch.fft.fft(frames[:, start : start + piece], n=line.block, dim=3).transpose(2, 3)
        arrived = samples.new_zeros(())
        for knot, share in enumerate(shares):
            h = spectrum @ gains.knots[:, start : start + piece, knot]
            h = h.reshape(*h.shape[:3], rx, tx)
            out = torch.fft.ifft((h * sent[..., None, :]).sum(dim=-1), dim=2)
            arrived = arrived + share[:, None] * out[:, :, line.before : line.before + length]
        parts.append(arrived)
    return torch.cat(parts, dim=1).flatten(1, 2)


@dataclass(frozen=True)
class Circuits:
    """The stages of a radio about the antennas of an OFDM link.

    A transmitter's stages get samples of mean energy 1 over all antennas and a receiver's what arrives, N0 a sample.
    Distortion is accounted for as far as it falls on the used carriers.
    """

    radio: Radio
    numerology: Numerology
    rng: Sequence[torch.Generator]

    def send(self, samples: Complex[Tensor, "b t a"], grid: Grid) -> Passed:
        """What the antennas radiate."""
        scale = math.sqrt(self.numerology.fft / self.numerology.used)
        out = self._through(self.radio.send, samples * scale, grid)
        return Passed(out.samples / scale, out.gain, out.covariance / scale**2)

    def receive(self, samples: Complex[Tensor, "b t a"], grid: Grid) -> Passed:
        """What the basebands of the antennas get."""
        return self._through(self.radio.receive, samples, grid)

    def _through(self, stage: Callable[..., Distorted], samples: Complex[Tensor, "b t a"], grid: Grid) -> Passed:
        b, count, antennas = samples.shape
        if self.radio == IDEAL:
            gain = samples.new_ones(b, antennas)
            return Passed(samples, gain, torch.zeros_like(gain)[:, None].expand(-1, antennas, -1))
        rng = [one for one in self.rng for _ in range(antennas)]
        one = stage(samples.transpose(1, 2).reshape(-1, count), rng=rng, pilots=self._pilots(grid))
        out = one.samples.reshape(b, antennas, count).transpose(1, 2)
        gain = one.gain.reshape(b, antennas)
        rest = demodulate((out - gain[:, None] * samples).detach(), self.numerology)
        rest = rest.flatten(1, 2)
        return Passed(out, gain, rest.mT @ rest.conj() / rest.shape[1])

    def _pilots(self, grid: Grid) -> Tensor | None:
        """Samples of the OFDM symbols that have pilots in them."""
        if not len(grid.pilot_symbols):
            return None
        mask = torch.zeros(grid.symbols, self.numerology.length, dtype=torch.bool)
        mask[torch.from_numpy(grid.pilot_symbols)] = True
        return mask.flatten()


@dataclass(frozen=True)
class Passed:
    """Samples (b, t, antennas), the gain of each row, and the covariance of the rows' in-band distortion."""

    samples: Complex[Tensor, "b t a"]
    gain: Complex[Tensor, "b a"]
    covariance: Complex[Tensor, "b a a"]
