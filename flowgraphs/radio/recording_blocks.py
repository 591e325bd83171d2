"""Blocks between samples and recordings, SigMF or raw. Need GNU Radio."""

from __future__ import annotations

from typing import Any

import numpy as np
from gnuradio import gr
from numpy.typing import NDArray

from semlink.flowgraphs.radio.pmt_pdus import warn
from semlink.flowgraphs.radio.recordings import check_path, now, open_recording, recording_of, write_recording
from semlink.flowgraphs.radio.stations import PATIENCE, tail
from semlink.phy.waveform import OfdmWaveform, SingleCarrier

SILENCE = PATIENCE + 2 * max(tail(OfdmWaveform()), tail(SingleCarrier(16)))
"""Samples behind a recording after which a receiver has handed out all that was in it."""
_PIECE = 1 << 16
_DONE = -1
"""What `work` returns when no more is to come."""


class recording_source(gr.sync_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """The samples of a recording and silence behind them; then nothing more, or the end, or all of it again.

    The recording is read as it is sent, and never lies in memory whole.

    Args:
        path: NAME.sigmf-meta, an archive NAME.sigmf, or raw samples such as NAME.cf32, NAME.cs16 or NAME.cu8.
        then: "wait": the flowgraph goes on, so that what the last samples hold is still decoded; "end": the flowgraph
            ends; "repeat": from the beginning.
        silence: samples of it; by default as many as a receiver needs to hand out all that was sent, 0 for none.

    Raises:
        ValueError: not a recording, one without samples that is to be repeated, or a parameter out of range.
        OSError: no such file.
    """

    def __init__(self, *, path: str, then: str = "wait", silence: int = SILENCE) -> None:
        gr.sync_block.__init__(self, name="recording_source", in_sig=None, out_sig=[np.complex64])
        if then not in ("wait", "end", "repeat"):
            raise ValueError(f"then={then!r} must be one of: wait, end, repeat")
        if not isinstance(silence, int) or not 0 <= silence <= 1 << 30:
            raise ValueError(f"silence={silence!r} must be a whole number from 0 to {1 << 30}")
        self.then, self.silence, self._file = then, silence, open_recording(path)
        if then == "repeat" and not len(self._file) + silence:
            raise ValueError(f"recording {path!r} has no samples to repeat")
        self._samples: NDArray[np.complex64] = np.zeros(0, dtype=np.complex64)
        self._next = 0  # sample to be read, silence counted with the others

    def work(self, _inputs: Any, outputs: Any) -> int:  # noqa: ANN401
        """What comes next."""
        if not len(self._samples) and not self._read():
            return _DONE if self.then == "end" else 0
        count = min(len(outputs[0]), len(self._samples))
        outputs[0][:count] = self._samples[:count]
        self._samples = self._samples[count:]
        return count

    def _read(self) -> bool:
        """The next piece, if there is one."""
        length = len(self._file)
        if self.then == "repeat" and self._next >= length + self.silence:
            self._next = 0
        if self._next < length:
            self._samples = self._file.read(self._next, _PIECE)
        else:
            self._samples = np.zeros(min(_PIECE, length + self.silence - self._next), dtype=np.complex64)
        self._next += len(self._samples)
        return len(self._samples) > 0


class recording_sink(gr.sync_block):  # noqa: N801
    """Samples to a recording, which is written when the flowgraph stops.

    Args:
        path: NAME.sigmf-meta, or raw pairs of floats such as NAME.cf32.
        rate: samples per second, for the description; 0 if it is not known.
        carrier: frequency in Hz, for the description; 0 if it is not known.
        hardware: of the radio, in words, for the description; "" if it is not known. When the first sample came is
            noted by itself.
        most: samples that are kept; further ones are dropped, with a line in the log.

    Raises:
        ValueError: a name that is not of a recording, or a number out of range.
    """

    def __init__(
        self, *, path: str, rate: float = 0.0, carrier: float = 0.0, hardware: str = "", most: int = 20_000_000
    ) -> None:
        gr.sync_block.__init__(self, name="recording_sink", in_sig=[np.complex64], out_sig=None)
        if not (0 <= rate <= 1e12 and 0 <= carrier <= 1e12 and 0 < most <= 1 << 30):
            raise ValueError(f"rate={rate!r}, carrier={carrier!r} and most={most!r} must not be negative")
        self.path, self.rate, self.carrier, self.most = check_path(path, writing=True), rate, carrier, most
        self._pieces: list[Any] = []
        self._room = most
        self.hardware, self._captured = hardware, ""

    def work(self, inputs: Any, _outputs: Any) -> int:  # noqa: ANN401
        """Keep what there is room for."""
        self._captured = self._captured or now()
        samples = inputs[0][: self._room].copy()
        if self._room and len(samples) == self._room:
            warn(f"recording_sink: {self.path} is full with {self.most} samples; what follows is dropped")
        self._pieces += [samples] if len(samples) else []
        self._room -= len(samples)
        return len(inputs[0])

    def stop(self) -> bool:
        """Write the recording."""
        samples = np.concatenate([np.zeros(0, dtype=np.complex64), *self._pieces])
        spoilt = ~np.isfinite(samples)
        if spoilt.any():  # better than to lose the recording: what is written must be finite
            warn(f"recording_sink: {np.count_nonzero(spoilt)} samples are not finite; 0 is written for them")
            samples[spoilt] = 0
        recording = recording_of(
            samples, rate_hz=self.rate, carrier_hz=self.carrier, captured=self._captured, hardware=self.hardware
        )
        try:
            write_recording(self.path, recording)
        except (OSError, ValueError) as error:
            warn(f"recording_sink: {error}")
        return True
