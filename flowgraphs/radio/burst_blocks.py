"""Blocks between frames and samples: transmitters and receivers of both waveforms. Need GNU Radio."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pmt
from gnuradio import gr
from numpy.typing import NDArray

from semlink.flowgraphs.radio.pmt_pdus import frame_of, guarded, inform, received_pdu, warn
from semlink.flowgraphs.radio.stations import PATIENCE, FrameReceiver, Identity, tail
from semlink.phy.waveform import OfdmWaveform, ReceivedBurst, Seen, Segment, SingleCarrier, Waveform, split

_FRAMES, _SENT, _BURSTS = pmt.intern("frames"), pmt.intern("sent"), pmt.intern("bursts")


class _Transmitter(gr.sync_block):
    """Frames come in as PDUs and leave as samples; see `burst_tx` for what the parameters are."""

    def __init__(
        self,
        name: str,
        waveform: Waveform,
        *,
        segment: int,
        gap: int,
        idle: bool,
        amplitude: float,
        queue: int,
        seed: int,
    ) -> None:
        gr.sync_block.__init__(self, name=name, in_sig=None, out_sig=[np.complex64])
        limits = (("segment", segment, 1, 1 << 16), ("gap", gap, 0, 1 << 20), ("queue", queue, 1, 1 << 12))
        for label, value, low, high in limits:
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{label}={value!r} must be a whole number from {low} to {high}")
        if not 0 < amplitude <= 100:
            raise ValueError(f"amplitude={amplitude!r} must be above 0, up to 100")
        self.waveform, self.segment, self.gap, self.idle, self.queue = waveform, segment, gap, bool(idle), queue
        self.amplitude = amplitude
        self.identity = Identity(seed)
        self._started = False
        self._segments: deque[tuple[Segment, bool]] = deque()
        self._frames = 0
        self.taken = 0  # messages: those that wait, are out or were dropped
        self._samples: NDArray[np.complex64] = np.zeros(0, dtype=np.complex64)
        self._quiet = True
        self.message_port_register_in(_FRAMES)
        self.message_port_register_out(_SENT)
        self.set_msg_handler(_FRAMES, self._take)

    @property
    def waiting(self) -> int:
        """Frames that are not out yet."""
        return self._frames

    def start(self) -> bool:
        """Begin a transmission, with another number each time."""
        if self._started:
            self.identity.renew()
        self._started = True
        return True

    def set_amplitude(self, amplitude: float) -> None:
        """Of a symbol of unit energy, from now on."""
        self.amplitude = amplitude

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        try:
            self._accept(message)
        finally:
            self.taken += 1  # after `_frames`: whoever looks at both misses none

    def _accept(self, message: Any) -> None:  # noqa: ANN401
        if self._frames >= self.queue:
            warn(f"{self.name()}: a frame was dropped: {self.queue} are waiting")
            return
        header, symbols = frame_of(message)
        if not np.isfinite(symbols).all():
            raise ValueError("a frame was dropped: its symbols are not finite")
        parts = split(symbols, self.identity.stamp(header), longest=self.segment)
        self._segments.extend((part, part is parts[-1]) for part in parts)
        self._frames += 1

    def work(self, _inputs: Any, outputs: Any) -> int:  # noqa: ANN401
        """Samples of the frames that wait; then silence, or nothing."""
        out = outputs[0]
        done = 0
        while done < len(out) and (len(self._samples) or self._next()):
            count = min(len(out) - done, len(self._samples))
            out[done : done + count] = self._samples[:count]
            self._samples = self._samples[count:]
            done += count
        if done < len(out) and self.idle:
            out[done:] = 0
            return len(out)
        return done

    def _next(self) -> bool:
        """The samples of the next burst, with a gap behind it, or what a receiver needs behind the last one."""
        if self._segments:
            part, last = self._segments.popleft()
            burst = np.float32(self.amplitude) * self.waveform.modulate(*part)
            self._samples = np.concatenate([burst, np.zeros(self.gap, np.complex64)])
            self._quiet = False
            if last:
                self._frames -= 1
                if not self._segments:
                    header = part.header
                    told = {"transmission": int(header.transmission), "sequence": int(header.sequence)}
                    self.message_port_pub(_SENT, pmt.to_pmt(told))
            return True
        if not self._quiet:
            self._samples, self._quiet = np.zeros(tail(self.waveform), np.complex64), True
        return len(self._samples) > 0


class _Receiver(gr.sync_block):
    """Samples come in, and frames leave as PDUs; see `burst_rx`."""

    def __init__(self, name: str, waveform: Waveform, *, max_symbols: int, patience: int) -> None:
        gr.sync_block.__init__(self, name=name, in_sig=[np.complex64], out_sig=None)
        self.receiver = FrameReceiver(waveform, max_symbols=max_symbols, patience=patience, heard=self._tell)
        self.logs = True  # what was seen, when it stops
        self.message_port_register_out(_FRAMES)
        self.message_port_register_out(_BURSTS)

    def work(self, inputs: Any, _outputs: Any) -> int:  # noqa: ANN401
        """Look for bursts."""
        try:
            frames = self.receiver.push(inputs[0])
        except ValueError as error:  # raised further, it would hang the flowgraph
            warn(f"{self.name()}: {error}")
            frames = []
        for frame in frames:
            self.message_port_pub(_FRAMES, received_pdu(frame))
        return len(inputs[0])

    def stop(self) -> bool:
        """Hand out what is left, as far as somebody still listens: silence of `patience` samples does it for sure.

        The log gets a line with what was seen, unless `logs` was set to False.
        """
        for frame in self.receiver.flush():
            self.message_port_pub(_FRAMES, received_pdu(frame))
        if self.logs:
            self._log()
        return True

    def _log(self) -> None:
        seen = self.seen
        if seen.frames:
            inform(f"{self.name()}: seen: {seen.line()}")
        elif seen.samples:
            warn(f"{self.name()}: no frame was received: {self.receiver.seen(hints=True).line()}")

    @property
    def seen(self) -> Seen:
        """What it has seen until now: level, bursts, headers that failed, offsets, segments."""
        return self.receiver.seen()

    def _tell(self, burst: ReceivedBurst) -> None:
        told = {
            "sender": burst.header.sender,
            "transmission": burst.header.transmission,
            "sequence": burst.header.sequence,
            "segment": burst.header.segment,
            "segments": burst.header.segments,
            "start": float(burst.start),
            "cfo": burst.cfo,
            "timing_ppm": burst.timing_ppm,
            "gain": burst.gain,
            "esno_db": burst.esno_db,
            "complete": burst.complete,
        }
        self.message_port_pub(_BURSTS, pmt.to_pmt(told))


class burst_tx(_Transmitter):  # noqa: N801 - blocks of GNU Radio have small letters
    """Frames to samples on a single carrier (`semlink.phy.waveform`).

    A symbol of unit energy has the energy `amplitude`² in samples. Message ports: `frames` in; `sent` out, a
    dictionary with the frame's `transmission` and `sequence`, whenever the last one that waits goes out. A frame that
    has no number of a transmission gets one, which is drawn whenever the flowgraph starts.

    Args:
        sps: samples per symbol, 2 to 16.
        rolloff: of the pulses.
        segment: payload symbols of a burst at most.
        gap: samples of silence after each burst.
        idle: whether to send silence while there is nothing to send, as radios want it.
        amplitude: of a symbol of unit energy; 1 for the loopback, less for a converter with full scale 1.
        queue: frames that may wait; more are dropped, with a line in the log.
        seed: of the number of the transmission; below 0 it differs every time.

    Raises:
        ValueError: a parameter out of range.
    """

    def __init__(
        self,
        *,
        sps: int = 4,
        rolloff: float = 0.25,
        segment: int = 4096,
        gap: int = 256,
        idle: bool = True,
        amplitude: float = 1.0,
        queue: int = 8,
        seed: int = -1,
    ) -> None:
        waveform = SingleCarrier(sps, rolloff=rolloff)
        super().__init__(
            "burst_tx", waveform, segment=segment, gap=gap, idle=idle, amplitude=amplitude, queue=queue, seed=seed
        )


class ofdm_tx(_Transmitter):  # noqa: N801
    """Frames to samples of OFDM (`semlink.phy.waveform.OfdmWaveform`); parameters and ports as of `burst_tx`."""

    def __init__(
        self,
        *,
        segment: int = 4096,
        gap: int = 256,
        idle: bool = True,
        amplitude: float = 1.0,
        queue: int = 8,
        seed: int = -1,
    ) -> None:
        super().__init__(
            "ofdm_tx", OfdmWaveform(), segment=segment, gap=gap, idle=idle, amplitude=amplitude, queue=queue, seed=seed
        )


class burst_rx(_Receiver):  # noqa: N801
    """Samples on a single carrier to frames; a carrier is found within `semlink.phy.waveform.SINGLE_CARRIER_REACH`.

    Message ports: `frames` out, when a frame is complete or given up; `bursts` out, a dictionary for every burst with
    its place, offsets (`cfo` in cycles per sample), level and Es/N0. What it has seen is the property `seen`
    (`semlink.phy.waveform.Seen`), and a line in the log when it stops.

    Args:
        sps: samples per symbol, as the transmitter's.
        rolloff: of the pulses, as the transmitter's.
        max_symbols: of a frame; longer ones are dropped.
        patience: samples without a burst after which a frame that lacks segments is given up.

    Raises:
        ValueError: a parameter out of range.
    """

    def __init__(
        self, *, sps: int = 4, rolloff: float = 0.25, max_symbols: int = 1 << 22, patience: int = PATIENCE
    ) -> None:
        super().__init__("burst_rx", SingleCarrier(sps, rolloff=rolloff), max_symbols=max_symbols, patience=patience)


class ofdm_rx(_Receiver):  # noqa: N801
    """Samples of OFDM to frames; parameters and ports as of `burst_rx`, a carrier within `OFDM_REACH`."""

    def __init__(self, *, max_symbols: int = 1 << 22, patience: int = PATIENCE) -> None:
        super().__init__("ofdm_rx", OfdmWaveform(), max_symbols=max_symbols, patience=patience)
