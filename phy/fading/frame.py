"""A frame over flat fading: where its payload and its pilots lie, and how it crosses between the antennas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from semlink.phy.impairments import IDEAL, Distorted, Radio
from semlink.phy.mimo import distortion_covariance, energy


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
        if self.uses == symbols and not self.heads:
            return None
        pilots = {"pilot": self.slots - self.uses} if self.heads else {}
        return {"payload": self.uses, **pilots}


@dataclass(frozen=True)
class Crossing:
    """A frame that has crossed.

    Attributes:
        sent: what the antennas were given, (b, slots, tx).
        observed: what the receiver's baseband has, (b, slots, rx).
        gain: linear gain of the stages from each antenna to each, (b, rx, tx).
        before: covariance of the transmit antennas' distortion, over their linear gains, (b, tx, tx).
        noise_gain: what the receiver's stages make of the energy of the noise, (b, rx).
        behind: distortion of each receive antenna, (b, rx).
        kept: what the stages leave of the energy of the signal, on average over antennas, (b,).
    """

    sent: Complex[Tensor, "b slots tx"]
    observed: Complex[Tensor, "b slots rx"]
    gain: Complex[Tensor, "b rx tx"]
    before: Complex[Tensor, "b tx tx"]
    noise_gain: Float[Tensor, "b rx"]
    behind: Float[Tensor, "b rx"]
    kept: Float[Tensor, " b"]

    @property
    def _before(self) -> Float[Tensor, "b 1"]:
        return self.before.diagonal(dim1=1, dim2=2).real.mean(dim=1, keepdim=True)

    @property
    def pilot_power(self) -> Float[Tensor, " b"]:
        """Mean energy of a pilot at a receive antenna, noise aside: of the channel that the pilots measure."""
        return self.kept

    def pilot_noise(self, n0: float) -> Float[Tensor, " b"]:
        """Noise and distortion where pilots are, for gains of mean power 1; the mean over antennas."""
        return (self.noise_gain * (n0 + self._before) + self.behind).mean(dim=1)


@dataclass(frozen=True)
class Path:
    """Everything between the antennas, drawn before anything is sent."""

    layout: Layout
    h: Complex[Tensor, "b g rx tx"]
    noise: Complex[Tensor, "b slots rx"]
    radio: Radio
    rng: Sequence[torch.Generator]

    def send(self, payload: Complex[Tensor, "b uses tx"]) -> Crossing:
        """Let a frame cross, with its pilots: one antenna at a time, of energy 1."""
        sent = self._with_pilots(payload)
        out, gain_tx, _, kept_tx = self._distort(self.radio.send, sent)
        h = self.h if self.h.shape[1] in (1, self.layout.slots) else self.h[:, self.layout.gains]
        arrived = apply(h, out).add_(self.noise)
        observed, gain_rx, behind, kept_rx = self._distort(self.radio.receive, arrived)
        gain = gain_rx[:, :, None] * gain_tx[:, None]
        before = sent.new_zeros(len(sent), sent.shape[2], sent.shape[2])
        if self.radio.transmitter:
            before = distortion_covariance(sent, out, gain_tx)
        # Whatever a receiver's stage adds is not the signal's.
        kept = kept_tx.mean(dim=1) * kept_rx.clamp(max=1.0).mean(dim=1)
        return Crossing(sent, observed, gain, before, energy(gain_rx), behind, kept)

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
    ) -> tuple[Complex[Tensor, "b slots a"], Complex[Tensor, "b a"], Float[Tensor, "b a"], Float[Tensor, "b a"]]:
        """Samples, gain, distortion, and the energy that comes out over what goes in."""
        b, slots, antennas = samples.shape
        if self.radio == IDEAL:
            ones = samples.new_ones(b, antennas)
            return samples, ones, torch.zeros_like(ones.real), torch.ones_like(ones.real)
        rng = [g for g in self.rng for _ in range(antennas)]
        one = stage(samples.transpose(1, 2).reshape(-1, slots), rng=rng, pilots=self.layout.is_pilot)
        back = one.samples.reshape(b, antennas, slots).transpose(1, 2)
        kept = energy(back.detach()).mean(dim=1) / energy(samples.detach()).mean(dim=1).clamp_min(1e-20)
        return back, one.gain.reshape(b, antennas), one.variance.reshape(b, antennas), kept


def apply(h: Complex[Tensor, "b m rx tx"], sent: Complex[Tensor, "b slots tx"]) -> Complex[Tensor, "b slots rx"]:
    """H x at every channel use; one H for all where m = 1."""
    if h.shape[3] == 1:  # an outer product: no sum to take
        return h[..., 0] * sent
    return (h @ sent[..., None])[..., 0] if h.shape[1] > 1 else sent @ h[:, 0].transpose(1, 2)
