"""Blocks between samples and recordings, SigMF or raw. Need GNU Radio."""

from __future__ import annotations

from typing import Any

import numpy as np
from gnuradio import gr

from semlink.flowgraphs.radio.pmt_pdus import warn
from semlink.flowgraphs.radio.recordings import check_path, read_recording, recording_of, write_recording
from semlink.flowgraphs.radio.stations import PATIENCE, tail
from semlink.phy.waveform import OfdmWaveform, SingleCarrier


class recording_source(gr.sync_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """The samples of a recording, then as much silence as a receiver needs, then nothing more.

    The flowgraph goes on when all is sent: what the last samples hold is decoded later.

    Args:
        path: NAME.sigmf-meta, or raw pairs of floats such as NAME.cf32.

    Raises:
        ValueError: not a recording.
        OSError: no such file.
    """

    def __init__(self, *, path: str) -> None:
        gr.sync_block.__init__(self, name="recording_source", in_sig=None, out_sig=[np.complex64])
        silence = PATIENCE + 2 * max(tail(OfdmWaveform()), tail(SingleCarrier(16)))
        self._samples = np.concatenate([read_recording(path).samples, np.zeros(silence, dtype=np.complex64)])

    def work(self, _inputs: Any, outputs: Any) -> int:  # noqa: ANN401
        """What comes next."""
        count = min(len(outputs[0]), len(self._samples))
        outputs[0][:count] = self._samples[:count]
        self._samples = self._samples[count:]
        return count


class recording_sink(gr.sync_block):  # noqa: N801
    """Samples to a recording, which is written when the flowgraph stops.

    Args:
        path: NAME.sigmf-meta, or raw pairs of floats such as NAME.cf32.
        rate: samples per second, for the description; 0 if it is not known.
        carrier: frequency in Hz, for the description; 0 if it is not known.
        most: samples that are kept; further ones are dropped, with a line in the log.

    Raises:
        ValueError: a name that is not of a recording, or a number out of range.
    """

    def __init__(self, *, path: str, rate: float = 0.0, carrier: float = 0.0, most: int = 20_000_000) -> None:
        gr.sync_block.__init__(self, name="recording_sink", in_sig=[np.complex64], out_sig=None)
        if not (0 <= rate <= 1e12 and 0 <= carrier <= 1e12 and 0 < most <= 1 << 30):
            raise ValueError(f"rate={rate!r}, carrier={carrier!r} and most={most!r} must not be negative")
        self.path, self.rate, self.carrier, self.most = check_path(path), rate, carrier, most
        self._pieces: list[Any] = []
        self._room = most

    def work(self, inputs: Any, _outputs: Any) -> int:  # noqa: ANN401
        """Keep what there is room for."""
        samples = inputs[0][: self._room].copy()
        if self._room and len(samples) == self._room:
            warn(f"recording_sink: {self.path} is full with {self.most} samples; what follows is dropped")
        self._pieces += [samples] if len(samples) else []
        self._room -= len(samples)
        return len(inputs[0])

    def stop(self) -> bool:
        """Write the recording."""
        samples = np.concatenate([np.zeros(0, dtype=np.complex64), *self._pieces])
        try:
            write_recording(self.path, recording_of(samples, rate_hz=self.rate, carrier_hz=self.carrier))
        except (OSError, ValueError) as error:
            warn(f"recording_sink: {error}")
        return True
