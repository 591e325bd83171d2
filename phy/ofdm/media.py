"""An OFDM frame on its way: through a channel of elements or of samples, and what the ends know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.link import Received, Spatial
from semlink.phy.mimo import add_distortion
from semlink.phy.ofdm.grid import Grid
from semlink.phy.ofdm.time_domain import Circuits, DelayLine, Gains, convolve, demodulate, modulate


@dataclass(frozen=True)
class Crossed:
    """A frame that has crossed.

    Attributes:
        observed: what the receiver's baseband has, (b, s, u, rx).
        gain_tx, gain_rx: linear gains of the stages of each antenna, (b, tx) and (b, rx).
        before, behind: covariance of what they add at an element, (b, tx, tx), and its energy, (b, rx).
    """

    observed: Complex[Tensor, "b s u rx"]
    gain_tx: Complex[Tensor, "b tx"]
    gain_rx: Complex[Tensor, "b rx"]
    before: Complex[Tensor, "b tx tx"]
    behind: Float[Tensor, "b rx"]

    def respond(self, h: Complex[Tensor, "b s u rx tx"]) -> Complex[Tensor, "b s u rx tx"]:
        """The channel with the stages' gains."""
        return self.gain_rx[:, None, None, :, None] * h * self.gain_tx[:, None, None, None]

    def covariance(self, h: Complex[Tensor, "b g rx tx"], noise: Float[Tensor, "_ g"]) -> Complex[Tensor, "b g rx rx"]:
        """Of noise and distortion at the receive antennas, where `h` is the channel with the stages' gains."""
        own = self.gain_rx.abs().square()[:, None] * noise[..., None] + self.behind[:, None]
        return add_distortion(own, h, self.relative)

    @property
    def relative(self) -> Complex[Tensor, "b tx tx"]:
        """`before` over the linear gains."""
        gain = torch.where(self.gain_tx == 0, 1.0, self.gain_tx)
        return self.before / (gain[:, :, None] * gain[:, None].conj())

    def pilot_noise(self, noise: float) -> float:
        """Noise and distortion where pilots are, for channels of mean power 1; the mean over the images."""
        if not self.before.any() and not self.behind.any():
            return noise
        power = self.gain_rx.abs().square().mean() * self.gain_tx.abs().square().mean()
        own = (
            self.gain_rx.abs().square() * (noise + self.before.diagonal(dim1=1, dim2=2).real.sum(dim=1, keepdim=True))
            + self.behind
        )
        return float(own.mean() / power)


@dataclass(frozen=True)
class Known:
    """What an end of the link knows of the channel.

    Attributes:
        response: the channel in OFDM symbols from one to another, (b, s, u, rx, tx).
        noise: variance of each receive antenna at each element, (b, s, u), or for all images (1, s, u).
        crossed: the frame that went through stages whose effect is not in `response` and `noise`; None for none.
        rest: covariance of all that the receiver takes for noise, where it has found that out, (b, rx, rx), and
            `noise` is not to be looked at.
    """

    response: Callable[[int, int], Tensor]
    noise: Float[Tensor, "_ s u"]
    crossed: Crossed | None = None
    rest: Complex[Tensor, "b rx rx"] | None = None

    def repeated(self, noise: Float[Tensor, "_ g"]) -> tuple[Float[Tensor, "b g"], Float[Tensor, " b"]]:
        """Noise of each receive antenna, and what is on each symbol already where a group repeats its symbols."""
        assert self.crossed is not None
        power, tx = self.crossed.gain_rx.abs().square(), self.crossed.gain_tx.shape[1]
        own = (power[:, None] * noise[..., None] + self.crossed.behind[:, None]).mean(dim=2)
        return own, tx * self.crossed.relative.diagonal(dim1=1, dim2=2).real.mean(dim=1)

    def covariance(
        self, h: Complex[Tensor, "b g rx tx"], noise: Float[Tensor, "_ g"]
    ) -> Complex[Tensor, "b _ rx rx"] | None:
        """What the antennas take for noise; None where it is alike and independent."""
        if self.rest is not None:
            return self.rest[:, None]
        return None if self.crossed is None else self.crossed.covariance(h, noise)

    def at(self, start: int, end: int) -> tuple[Complex[Tensor, "b s u rx tx"], Float[Tensor, "_ s u"]]:
        """Channel and noise variance in the OFDM symbols from `start` to `end`."""
        h, noise = self.response(start, end), self.noise[:, start:end]
        return (h if self.crossed is None else self.crossed.respond(h)), noise


@dataclass(frozen=True)
class FrequencyPath:
    """A channel that multiplies each element of the grid.

    Attributes:
        taps: gains of the paths in each OFDM symbol, (b, s, p, rx·tx).
        basis: frequency response of each path, (u, p).
        noise: (b, s, u, rx) here, and of each sample in the time domain.
        tx: transmit antennas.
        piece: OFDM symbols to hold the gains of at a time.
    """

    taps: Complex[Tensor, "b s p links"]
    basis: Complex[Tensor, "u p"]
    noise: Complex[Tensor, "b *m rx"]
    tx: int
    piece: int

    def response(self, start: int, end: int) -> Complex[Tensor, "b s u rx tx"]:
        """The channel in the OFDM symbols from `start` to `end`."""
        flat = self.basis @ self.taps[:, start:end]
        return flat.reshape(*flat.shape[:3], -1, self.tx)

    def send(self, sent: Complex[Tensor, "b s u tx"], grid: Grid) -> Crossed:
        """Let a frame cross."""
        parts = [
            apply(self.response(i, i + self.piece), sent[:, i : i + self.piece])
            for i in range(0, grid.symbols, self.piece)
        ]
        return _untouched(torch.cat(parts, dim=1) + self.noise, self.tx)


@dataclass(frozen=True)
class TimePath(FrequencyPath):
    """The same sample by sample; `taps` and `basis` are what the mean over the FFT's window makes of it."""

    gains: Gains
    line: DelayLine
    circuits: Circuits

    def send(self, sent: Complex[Tensor, "b s u tx"], grid: Grid) -> Crossed:
        """Let a frame cross, through the stages of the radio."""
        numerology = self.line.numerology
        out = self.circuits.send(modulate(sent, numerology), grid)
        arrived = convolve(out.samples, self.gains, self.line, self.noise.shape[2], self.piece) + self.noise
        got = self.circuits.receive(arrived, grid)
        observed = demodulate(got.samples, numerology, self.line.advance)
        return Crossed(observed, out.gain, got.gain, out.covariance, got.covariance.diagonal(dim1=1, dim2=2).real)


def _untouched(observed: Complex[Tensor, "b s u rx"], tx: int) -> Crossed:
    gain_tx, gain_rx = (observed.new_ones(len(observed), count) for count in (tx, observed.shape[3]))
    before = torch.zeros_like(gain_tx)[:, None].expand(-1, tx, -1)
    return Crossed(observed, gain_tx, gain_rx, before, torch.zeros_like(gain_rx.real))


def apply(h: Complex[Tensor, "b s u rx tx"], sent: Complex[Tensor, "b s u tx"]) -> Complex[Tensor, "b s u rx"]:
    if h.shape[4] == 1:
        return h[..., 0] * sent
    return (h * sent[..., None, :]).sum(dim=-1)


def join(parts: Sequence[Received], dim: int) -> Received:
    """Receptions side by side."""
    if len(parts) == 1:
        return parts[0]

    def joined(values: list[Tensor | None]) -> Tensor | None:
        given = [value for value in values if value is not None]
        return torch.cat(given, dim=dim) if given else None

    return Received(
        torch.cat([part.symbols for part in parts], dim=dim),
        torch.cat([part.n0 for part in parts], dim=dim),
        joined([part.gain for part in parts]),
        joined([part.bias for part in parts]),
        spatial=_join_spatial([part.spatial for part in parts if part.spatial is not None], dim),
    )


def _join_spatial(parts: Sequence[Spatial], dim: int) -> Spatial | None:
    if not parts:
        return None
    h, n0 = torch.cat([part.h for part in parts], dim=dim), torch.cat([part.n0 for part in parts], dim=dim)
    return Spatial(torch.cat([part.observed for part in parts], dim=dim), h, n0, parts[0].width)


def shorten(received: Received, n: int) -> Received:
    """Without the padding of the last group; joint detection wants the group whole."""
    gain, bias = (None if part is None else part[:, :n] for part in (received.gain, received.bias))
    return replace(received, symbols=received.symbols[:, :n], n0=received.n0[:, :n], gain=gain, bias=bias)
