"""A channel with everything a radio's receiver has to find out for itself: bursts, sample by sample."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from semlink.phy.impairments import IDEAL, Radio
from semlink.phy.link import ERASED, Received, Rng
from semlink.phy.parameters import check_choice, check_number, check_whole
from semlink.phy.rng import complex_normal, rows
from semlink.phy.waveform import (
    FFT,
    MOST_N0,
    PREFIX,
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    Reals,
    Reassembler,
    Samples,
    SingleCarrier,
    Waveform,
    split,
)

Kind = Literal["sc", "ofdm"]

GAP = 512
"""Samples of silence to either side of a burst, on average: its place between is drawn."""
_SPACING = 2
"""Samples from one echo to the next; each is 3 dB weaker."""


@dataclass(frozen=True)
class WaveformChannel:
    """Symbols in bursts over white noise; the receiver finds bursts, timing, frequency, phase and gain by itself.

    For each burst a delay of up to 512 samples and a phase are drawn, for each image a fraction of a sample and the
    phases of the echoes. What
    the receiver does not find is erased: symbols 0 at a noise variance of `link.ERASED`. Preamble, header, pilots,
    padding and the tails of pulses are in the ledger; silence between bursts is not, nor, as for any OFDM here, are
    cyclic prefix and carriers that stay empty. No gradient flows through it.

    Args:
        kind: "sc" for a single carrier, "ofdm" for OFDM with the carriers of 802.11a.
        cfo: carrier frequency offset; in cycles per symbol for a single carrier, in carriers for OFDM; up to where
            bursts are found, 0.02 · `sps` and 5.
        ppm: by how much the receiver's sampling period is too long, in parts per million.
        taps: echoes of OFDM, every second sample, each 3 dB weaker than the one before; together of energy 1.
        segment: payload symbols of a burst at most.
        sps: samples per symbol of a single carrier.
        rolloff: of its pulses.

    Raises:
        ValueError: an option out of range, or of the other kind.
    """

    kind: Kind = "sc"
    _: KW_ONLY
    cfo: float = 0.0
    ppm: float = 0.0
    taps: int = 1
    segment: int = 4096
    sps: int = 4
    rolloff: float = 0.25

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        # Beyond these no burst is found.
        unit = "cycles per symbol" if self.kind == "sc" else "carriers"
        limit = self.waveform.reach * self._period
        check_number("cfo", self.cfo, -limit, limit, unit)
        check_number("ppm", self.ppm, -200, 200)
        for name, value, high in (("taps", self.taps, PREFIX // _SPACING), ("segment", self.segment, 1 << 15)):
            check_whole(name, value, 1, high)
        if self.kind == "sc" and self.taps > 1:
            raise ValueError(f"taps={self.taps}: a single carrier has no equaliser; echoes are for ofdm")
        if self.kind == "ofdm" and (self.sps, self.rolloff) != (4, 0.25):
            raise ValueError(f"sps={self.sps!r}, rolloff={self.rolloff!r}: pulses are of sc, ofdm has none")

    @cached_property
    def waveform(self) -> Waveform:
        """Of the bursts."""
        return OfdmWaveform() if self.kind == "ofdm" else SingleCarrier(self.sps, rolloff=self.rolloff)

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        numbers = {
            "cfo": (self.cfo, 0.0),
            "ppm": (self.ppm, 0.0),
            "taps": (self.taps, 1),
            "segment": (self.segment, 4096),
            "sps": (self.sps, 4),
            "rolloff": (self.rolloff, 0.25),
        }
        parts = [self.kind, *(f"{key}={value:.12g}" for key, (value, default) in numbers.items() if value != default)]
        return {
            "channel": "waveform",
            "spec": "waveform:" + ",".join(parts),
            "csi": "estimated",
            "coherence": "",
            "equaliser": "zf",
        }

    @property
    def notes(self) -> dict[str, str]:
        """What the ledger does not count."""
        if self.kind == "sc":
            return {"waveform": f"single carrier, roll-off {self.rolloff:g}; silence between bursts not counted"}
        return {
            "waveform": f"OFDM, 52 of {FFT} carriers; cyclic prefix of {PREFIX} samples to {FFT}, empty carriers and "
            "silence between bursts not counted"
        }

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Send symbols (b, n) with noise of variance `n0` on a symbol."""
        return self.carry(symbols, n0, rng=rng, radio=IDEAL)

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """The same between the stages of a radio, which see samples of unit mean energy within bursts."""
        found = [
            self._carry(one.detach().cpu().numpy(), n0, generator, radio)
            for one, generator in zip(symbols, rows(rng, len(symbols)), strict=True)
        ]
        got = torch.from_numpy(np.stack([one for one, _ in found])).to(symbols)
        variance = torch.from_numpy(np.stack([n0 for _, n0 in found])).to(symbols.real)
        return Received(got, variance, uses=self.account(symbols.shape[1]))

    def account(self, n: int) -> dict[str, int]:
        """Channel uses of a frame of n symbols by purpose."""
        total: dict[str, int] = {}
        for part in split(np.zeros(n), BurstHeader(), longest=self.segment):
            for purpose, count in self.waveform.account(part.header.count).items():
                total[purpose] = total.get(purpose, 0) + count
        return {purpose: count for purpose, count in total.items() if count or purpose == "payload"}

    def _carry(self, symbols: Samples, n0: float, rng: torch.Generator, radio: Radio) -> tuple[Samples, Reals]:
        """One image."""
        parts = split(symbols, BurstHeader(), longest=self.segment)
        draws = torch.rand(2, len(parts), generator=rng, device=rng.device, dtype=torch.float64).cpu().numpy()
        delay, *turns = torch.rand(1 + self.taps, generator=rng, device=rng.device, dtype=torch.float64).tolist()
        scale = math.sqrt(self.sps) if self.kind == "sc" else 1.0
        bursts = [scale * self.waveform.modulate(*part) for part in parts]
        stream = np.concatenate([_place(*one) for one in zip(bursts, *draws, strict=True)]).astype(np.complex64)
        sent = radio.send(torch.from_numpy(stream)[None], rng=[rng]).samples[0].numpy()
        noise_power = min(n0 * scale**2, MOST_N0)  # beyond it nothing is received either
        line = Loopback(cfo=self._cycles, ppm=self.ppm, delay=delay, taps=self._line(turns), n0=noise_power)
        carried = line.carry(sent)
        noise = complex_normal(len(carried), rng).cpu().numpy()
        got = radio.receive(torch.from_numpy(line.receive(carried, noise))[None], rng=[rng]).samples[0].numpy()
        return self._receive(got, len(symbols))

    def _receive(self, samples: Samples, n: int) -> tuple[Samples, Reals]:
        receiver, frames = BurstReceiver(self.waveform), Reassembler()
        key = split(np.zeros(n), BurstHeader(), longest=self.segment)[0].header
        done = [frame for burst in [*receiver.push(samples), *receiver.flush()] for frame in frames.push(burst)]
        for frame in [*done, *frames.flush()]:
            if frame.header == key:
                return frame.symbols, frame.n0
        return np.zeros(n, dtype=np.complex64), np.full(n, ERASED, dtype=np.float32)

    @property
    def _cycles(self) -> float:
        """Offset in cycles per sample."""
        return self.cfo / self._period

    @property
    def _period(self) -> int:
        """Samples in what the offset is counted by."""
        return self.sps if self.kind == "sc" else FFT

    def _line(self, turns: list[float]) -> tuple[complex, ...]:
        """Impulse response of unit energy, with phases given in turns."""
        power = 0.5 ** np.arange(self.taps)
        taps = np.zeros((self.taps - 1) * _SPACING + 1, dtype=complex)
        taps[::_SPACING] = np.sqrt(power / power.sum()) * (
            np.exp(2j * np.pi * np.asarray(turns)) if self.taps > 1 else 1
        )
        return tuple(taps.tolist())


def _place(burst: Samples, late: float, turn: float) -> Samples:
    """A burst in silence of a given length, begun late, and turned."""
    before = GAP // 2 + int(late * GAP)
    silence = np.zeros(2 * GAP, dtype=np.complex64)
    return np.concatenate([silence[:before], burst * np.exp(2j * np.pi * turn), silence[: 2 * GAP - before]])
