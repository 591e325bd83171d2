"""OFDM over a multipath channel: a resource grid, estimation from pilots, and equalisation carrier by carrier."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.impairments import IDEAL, Radio
from semlink.phy.link import Received, Rng
from semlink.phy.mimo import Scheme, Single, antenna_energy, describe_scheme, from_antennas, groups, to_antennas
from semlink.phy.ofdm.delay_profile import Paths, time_correlation
from semlink.phy.ofdm.estimation import estimate
from semlink.phy.ofdm.grid import Grid, Lattice, Numerology, check_numerology, make_grid
from semlink.phy.ofdm.media import Crossed, FrequencyPath, Known, TimePath, apply, join, shorten
from semlink.phy.ofdm.multipath import Tdl
from semlink.phy.ofdm.time_domain import Circuits, DelayLine, Gains, doppler_interference, draw_gains, make_line
from semlink.phy.parameters import check_choice, is_whole
from semlink.phy.pilots import Estimator
from semlink.phy.rng import complex_normal, spawn

Csi = Literal["perfect", "estimated", "none"]
Domain = Literal["frequency", "time"]
"""Whether the channel acts on carriers or on samples."""

PIECE = 1 << 23
"""Complex gains that are held at a time."""
LATE = 1e-3
"""Share of the power that may arrive after the cyclic prefix without a warning."""


@dataclass(frozen=True)
class OFDM:
    """Symbols on the elements of a resource grid, over a channel with echoes.

    The grid is filled frequency first. Elements count as channel uses once, however many antennas there are: those of
    the payload, the pilots of all antennas, and what is left empty in the last OFDM symbols. Cyclic prefix, guard
    carriers and the carrier in the middle are not counted; `notes` states them.

    Args:
        path: the channel from antenna to antenna; see `semlink.phy.ofdm.Tdl` and `Cdl`.
        scheme: what the antennas do; see `semlink.phy.mimo.Scheme`. One whose transmitter knows the channel is given
            what the receiver will know of it, from the pilots of the very frame.
        spacing_hz: carrier spacing.
        fft: size of the FFT, from 8 to 8192.
        cp: samples of the cyclic prefix, fewer than `fft`.
        guards: empty carriers at the lower and the upper edge of the band.
        dc: whether the carrier in the middle is empty. The defaults are those of LTE at 1.4 MHz (3GPP TS 36.211 clause
            6.12, TS 36.101 clause 5.6): 72 carriers of 128 and a cyclic prefix of 9 samples, at twice its spacing.
        csi: "perfect": the receiver knows the channel at every element; "estimated": it estimates it from pilots;
            "none": it gets the elements as they are and believes the channel AWGN (one antenna at each end).
        estimator: "ls" takes pilots as they are and draws straight lines; "mmse" is Wiener's, which knows the
            power-delay profile, the Doppler spectrum and the noise. Both work along frequency, then along time.
        pilot_carriers: with estimated CSI, one used carrier in so many has pilots of an antenna. Antennas have elements
            of their own, and one sends alone with energy 1 on each.
        pilot_symbols: one OFDM symbol in so many has pilots, the first and the last included.
        domain: "frequency": the channel multiplies each element and does not change within an OFDM symbol: no
            interference between carriers or symbols whatever the cyclic prefix. "time": samples go through a delay
            line whose gains vary within the OFDM symbol, and through the stages of a radio; perfect CSI is then the
            mean of the gains over the window of the FFT, and n0 has the mean interference of Doppler and echoes
            beyond the cyclic prefix in it (of gains that change in a straight line: Doppler spread up to
            a tenth of the carrier spacing).

    Raises:
        ValueError: an option out of range, no pilots with estimated CSI, pilots that leave no room for a payload, or no
            CSI with several antennas.

    Warns:
        UserWarning: more than 0.1 % of the power arrives later than the cyclic prefix.
    """

    path: Paths = field(default_factory=lambda: Tdl("C", 100e-9))
    scheme: Scheme = field(default_factory=lambda: Single("mmse"))
    _: KW_ONLY
    spacing_hz: float = 30e3
    fft: int = 128
    cp: int = 9
    guards: tuple[int, int] = (28, 27)
    dc: bool = True
    csi: Csi = "perfect"
    estimator: Estimator = "mmse"
    pilot_carriers: int = 4
    pilot_symbols: int = 7
    domain: Domain = "frequency"

    def __post_init__(self) -> None:
        check_choice("csi", self.csi, get_args(Csi))
        check_choice("estimator", self.estimator, get_args(Estimator))
        check_choice("domain", self.domain, get_args(Domain))
        check_numerology(self.numerology)
        if self.csi == "estimated":
            self._check_pilots()
        if self.csi == "none" and (self.scheme.tx, self.scheme.rx) != (1, 1):
            raise ValueError("csi='none' is for one antenna at each end: several cannot be told apart without CSI")
        late = float(self.path.powers[self.path.delays_s > (self.cp + 1e-6) / self.numerology.sample_hz].sum())
        if late > LATE:
            warnings.warn(
                f"cp={self.cp} samples are {self.cp / self.numerology.sample_hz * 1e9:.0f} ns, and {late:.1%} of the "
                f"power of {self.path.spec} arrives later (up to {self.path.delays_s.max() * 1e9:.0f} ns)"
                + (": domain='frequency' leaves out what that does" if self.domain == "frequency" else ""),
                stacklevel=3,
            )

    def _check_pilots(self) -> None:
        for name, value in (("pilot_carriers", self.pilot_carriers), ("pilot_symbols", self.pilot_symbols)):
            if not is_whole(value) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number from 1: csi='estimated' needs pilots")
        lattice, used = self._lattice, self.numerology.used
        assert lattice is not None
        if lattice.wide > used:
            raise ValueError(f"tx={self.scheme.tx} antennas' pilots do not fit {used} used carriers")
        if lattice.high > self.pilot_symbols:
            raise ValueError(
                f"pilot_symbols={self.pilot_symbols} must be from {lattice.high}: so many OFDM symbols have the pilots "
                f"of tx={self.scheme.tx} antennas at pilot_carriers={self.pilot_carriers}"
            )
        if lattice.count(used, 1) >= self.pilot_symbols * used:
            raise ValueError(
                f"pilot_carriers={self.pilot_carriers}, pilot_symbols={self.pilot_symbols}: the pilots of "
                f"tx={self.scheme.tx} antennas leave no room for a payload"
            )

    @cached_property
    def numerology(self) -> Numerology:
        """Carriers and samples."""
        return Numerology(self.spacing_hz, self.fft, self.cp, self.guards, self.dc)

    @property
    def labels(self) -> dict[str, str]:
        """What a table says of it."""
        return {
            "channel": self.path.name,
            "spec": self._spec(),
            "csi": self.csi,
            "coherence": "",
            "equaliser": self.scheme.equaliser if self.csi != "none" else "",
        }

    @property
    def notes(self) -> dict[str, str]:
        """What the ledger does not count."""
        used = f"{self.numerology.used} of {self.fft} carriers of {self.spacing_hz / 1e3:g} kHz"
        return {"ofdm": f"{used}; cyclic prefix of {self.cp} samples to {self.fft} and empty carriers not counted"}

    def _spec(self) -> str:
        single = isinstance(self.scheme, Single)
        parts = [self.scheme.equaliser] if single else [describe_scheme(self.scheme).partition(":")[2]]
        parts = [] if self.csi == "none" else parts
        parts += [f"csi={self.csi}"]
        if self.csi == "estimated":
            parts += [f"estimator={self.estimator}"]
            parts += [f"pilot-carriers={self.pilot_carriers}", f"pilot-symbols={self.pilot_symbols}"]
        numbers = {
            "spacing": (self.spacing_hz, 30e3, f"{self.spacing_hz / 1e3:.12g}kHz"),
            "fft": (self.fft, 128, str(self.fft)),
            "cp": (self.cp, 9, str(self.cp)),
            "guard-low": (self.guards[0], 28, str(self.guards[0])),
            "guard-high": (self.guards[1], 27, str(self.guards[1])),
            "dc": (self.dc, True, "used"),
            "domain": (self.domain, "frequency", self.domain),
        }
        parts += [f"{name}={text}" for name, (value, default, text) in numbers.items() if value != default]
        return ",".join([self.path.spec, *parts])

    def grid(self, n: int) -> Grid:
        """The resource grid that n symbols take."""
        return make_grid(self.numerology.used, groups(n, self.scheme) * self.scheme.span, self._lattice)

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Send symbols (b, n) through the grid, with noise of variance `n0` at each receive antenna and element."""
        return self.carry(symbols, n0, rng=rng, radio=IDEAL)

    def carry(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng, radio: Radio) -> Received:
        """The same between the stages of a radio.

        Raises:
            ValueError: a radio with stages in the frequency domain, or before a transmitter that knows the channel from
                pilots.
        """
        if radio != IDEAL and self.domain == "frequency":
            raise ValueError("domain='frequency' has no samples for a radio's stages: impairments need domain='time'")
        if radio != IDEAL and self.csi == "estimated" and self.scheme.informed:
            raise ValueError("a transmitter that knows the channel from pilots takes no impairments; use csi=perfect")
        b, n = symbols.shape
        grid, generators = self.grid(n), spawn(rng, b)
        # With stages, images differ in what the estimator knows of the noise.
        size = 1 if radio != IDEAL else max(1, PIECE // (grid.symbols * self._gains_a_symbol))
        parts = [
            self._carry(symbols[i : i + size], n0, grid, generators[i : i + size], radio) for i in range(0, b, size)
        ]
        return replace(shorten(join(parts, 0), n), uses=dict(grid.account))

    def _carry(
        self, symbols: Complex[Tensor, "b n"], n0: float, grid: Grid, rng: Sequence[torch.Generator], radio: Radio
    ) -> Received:
        medium = self._draw(symbols, n0, grid, rng, radio)
        informed = self._sound(medium, symbols, grid, n0) if self.scheme.informed else None
        payload = self._precode(symbols, informed, grid, n0, rng)
        crossed = medium.send(grid.fill(payload), grid)
        if self.csi == "none":
            observed = crossed.observed.flatten(1, 2)[:, grid.payload, 0]
            return Received(observed, torch.full_like(observed.real, n0))
        known = self._know(medium, crossed, grid, n0)
        if radio != IDEAL and self.csi == "estimated":
            known = replace(known, rest=self._residual(known, crossed, payload, grid))
        # Without stages both ends know the same, but for what the payload does to pilots beside it.
        same = radio == IDEAL and (self.csi == "perfect" or self.domain == "frequency")
        return self._detect(known, None if same else informed, crossed.observed, grid, n0)

    def _draw(
        self, symbols: Tensor, n0: float, grid: Grid, rng: Sequence[torch.Generator], radio: Radio
    ) -> FrequencyPath | TimePath:
        """Gains before noise, image after image."""
        rx, tx, numerology = self.scheme.rx, self.scheme.tx, self.numerology
        slots = grid.symbols * (numerology.used if self.domain == "frequency" else numerology.length)
        gains, noise = [], []
        for one in rng:
            if self.domain == "frequency":
                taps = self.path.taps(grid.symbols, numerology.symbol_s, one, rx=rx, tx=tx)
                gains.append(taps.permute(3, 2, 0, 1).flatten(2))
            else:
                gains.append(draw_gains(self.path, numerology, grid.symbols, one, rx=rx, tx=tx))
            noise.append(math.sqrt(n0) * complex_normal(slots * rx, one).reshape(slots, rx))
        drawn, added = torch.stack(gains).to(symbols), torch.stack(noise).to(symbols)
        line, piece = self._line, self._piece
        if self.domain == "frequency":
            turns = np.outer(numerology.carriers * self.spacing_hz, self.path.delays_s)
            basis = torch.from_numpy(np.exp(-2j * np.pi * turns)).to(symbols)
            return FrequencyPath(drawn, basis, added.reshape(len(rng), grid.symbols, -1, rx), tx, piece)
        basis = torch.from_numpy(line.response).to(symbols)
        held = Gains(drawn)
        return TimePath(held.mean(line), basis, added, tx, piece, held, line, Circuits(radio, numerology, rng))

    def _sound(self, medium: FrequencyPath | TimePath, symbols: Tensor, grid: Grid, n0: float) -> Known:
        """What a transmitter knows before it sends: the true channel, or an estimate from the frame's pilots."""
        ideal = (
            replace(medium, circuits=replace(medium.circuits, radio=IDEAL)) if isinstance(medium, TimePath) else medium
        )
        silent = symbols.new_zeros(len(symbols), grid.uses, self.scheme.tx)
        return self._know(ideal, ideal.send(grid.fill(silent), grid), grid, n0)

    def _know(self, medium: FrequencyPath | TimePath, crossed: Crossed, grid: Grid, n0: float) -> Known:
        """What the receiver knows of the channel, and the variance of all that it takes for noise."""
        between = torch.from_numpy(self._interference).to(crossed.observed.real)
        between = between + self._variation(grid).to(between)
        if self.csi == "perfect":
            stages = crossed if isinstance(medium, TimePath) and medium.circuits.radio != IDEAL else None
            return Known(medium.response, n0 + between.expand(grid.symbols, -1)[None], stages)
        noise = crossed.pilot_noise(n0 + float(self._interference.mean()))
        found = estimate(
            crossed.observed,
            grid,
            self.path,
            self.numerology,
            noise,
            antenna_energy(self.scheme),
            estimator=self.estimator,
        )
        return Known(found.response, n0 + between + found.error.to(between)[None], None)

    def _residual(
        self, known: Known, crossed: Crossed, payload: Complex[Tensor, "b uses tx"], grid: Grid
    ) -> Complex[Tensor, "b rx rx"]:
        """What stages leave beside the estimate, as the receiver finds it once it has decided on the symbols."""
        sent, total = grid.fill(payload), payload.new_zeros(len(payload), self.scheme.rx, self.scheme.rx)
        mask = torch.zeros(grid.symbols * grid.used).index_fill(0, grid.payload, 1).reshape(grid.symbols, grid.used)
        for start in range(0, grid.symbols, self._piece):
            end = min(grid.symbols, start + self._piece)
            h, _ = known.at(start, end)
            rest = (crossed.observed[:, start:end] - apply(h, sent[:, start:end])).detach()
            rest = (rest * mask[start:end, :, None]).flatten(1, 2)
            total = total + rest.mT @ rest.conj()
        mean = total / grid.uses
        # A little more on the diagonal: a frame may be shorter than there are antennas.
        loading = 1e-3 * mean.diagonal(dim1=1, dim2=2).real.mean(dim=1)
        return mean + loading[:, None, None] * torch.eye(self.scheme.rx).to(mean)

    def _precode(
        self,
        symbols: Complex[Tensor, "b n"],
        known: Known | None,
        grid: Grid,
        n0: float,
        rng: Sequence[torch.Generator],
    ) -> Complex[Tensor, "b uses tx"]:
        if known is None:
            return to_antennas(symbols, self.scheme, None, n0, rng=rng)
        streams, sent = self.scheme.streams, []
        for start, end, first, last in self._pieces(grid):
            h, _ = known.at(start, end)
            h = h.flatten(1, 2)[:, grid.payload[:: self.scheme.span][first:last] - start * grid.used]
            part = symbols[:, first * streams : last * streams]
            sent.append(to_antennas(part, self.scheme, h, n0, rng=rng))
        return torch.cat(sent, dim=1)

    def _detect(
        self, known: Known, informed: Known | None, observed: Complex[Tensor, "b s u rx"], grid: Grid, n0: float
    ) -> Received:
        """`informed` is what the transmitter knew, where that is something else."""
        flat, parts, span = observed.flatten(1, 2), [], self.scheme.span
        for start, end, first, last in self._pieces(grid):
            at = grid.payload[::span][first:last] - start * grid.used
            h, noise = (part.flatten(1, 2)[:, at] for part in known.at(start, end))
            seen = flat[:, grid.payload[first * span : last * span]]
            noise, count = noise.expand(len(seen), -1), (last - first) * self.scheme.streams
            told = None if informed is None else informed.at(start, end)[0].flatten(1, 2)[:, at]
            spread = distortion = None
            if self.scheme.span > 1 and known.crossed is not None:
                noise, distortion = known.repeated(noise)
            else:
                spread = known.covariance(h, noise)
            one = from_antennas(
                seen, self.scheme, h, noise, n0, count, told=told, covariance=spread, distortion=distortion
            )
            single = isinstance(self.scheme, Single)
            parts.append(replace(one, gain=h[:, :, 0, 0]) if single else one)
        return join(parts, 1)

    def _pieces(self, grid: Grid) -> Iterator[tuple[int, int, int, int]]:
        """OFDM symbols to hold the gains of at a time, and the groups that begin in them."""
        begin = grid.payload[:: self.scheme.span].contiguous()
        for start in range(0, grid.symbols, self._piece):
            end = min(grid.symbols, start + self._piece)
            edges = torch.tensor([start * grid.used, end * grid.used])
            first, last = torch.searchsorted(begin, edges).tolist()
            if first < last:
                yield start, end, first, last

    @property
    def _gains_a_symbol(self) -> int:
        """In an OFDM symbol, between all antennas."""
        carriers = self.numerology.used if self.domain == "frequency" else self._line.block
        return carriers * self.scheme.rx * self.scheme.tx

    @property
    def _piece(self) -> int:
        """OFDM symbols whose gains are held at a time: by the shape of one image, so that batches draw the same."""
        return max(1, PIECE // self._gains_a_symbol)

    @property
    def _lattice(self) -> Lattice | None:
        if self.csi != "estimated":
            return None
        return Lattice(self.scheme.tx, self.pilot_carriers, self.pilot_symbols)

    @property
    def _line(self) -> DelayLine:
        return make_line(self.numerology, tuple(self.path.delays_s.tolist()), tuple(self.path.powers.tolist()))

    @cached_property
    def _interference(self) -> Float[np.ndarray, " u"]:
        """Mean energy at each used carrier of what other carriers and OFDM symbols leave there."""
        total = np.zeros(self.numerology.used)
        if self.domain == "time":
            window_s = np.asarray(1 / self.spacing_hz)
            drift = 2 * (1 - float(time_correlation(self.path, window_s).real))
            total = (self._line.interference + doppler_interference(self.numerology, drift)) * self._energy
        return total

    def _variation(self, grid: Grid) -> Float[Tensor, "s u"]:
        """Mean energy, where a group of elements begins, of what its channel differs from that of its first one."""
        total, span = np.zeros(grid.symbols * grid.used), self.scheme.span
        if span > 1:
            rows, columns = np.divmod(grid.payload.numpy().reshape(-1, span), grid.used)
            steps = np.stack([rows, self.numerology.carriers[columns]], axis=2)
            apart, inverse = np.unique((steps - steps[:, :1]).reshape(-1, 2), axis=0, return_inverse=True)
            dt, df = apart[:, 0] * self.numerology.symbol_s, apart[:, 1] * self.spacing_hz
            kept = sum(part.frequency_correlation(df) * part.time_correlation(dt) for part in self.path.components)
            differ = self._energy * 2 * (1 - np.real(kept))
            total[grid.payload[::span].numpy()] = differ[inverse.reshape(-1, span)].mean(axis=1)
        return torch.from_numpy(total).reshape(grid.symbols, grid.used)

    @property
    def _energy(self) -> float:
        """Of all transmit antennas on an element."""
        return sum(antenna_energy(self.scheme))
