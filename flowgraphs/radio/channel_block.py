"""What lies between two radios, as a block with the ports of a radio. Needs GNU Radio."""

from __future__ import annotations

from typing import Any

import numpy as np
from gnuradio import gr

from semlink.flowgraphs.radio.jamming import parse_jamming
from semlink.flowgraphs.radio.line import Line, parse_taps, to_n0
from semlink.phy.waveform import Loopback


class loopback_channel(gr.basic_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """Echoes, clocks, carriers and noise (`semlink.phy.waveform.Loopback`): in: what is sent, out: what is heard.

    Args:
        esno_db: Es/N0 in dB for symbols whose energy in samples is 1.
        cfo: carrier frequency offset in cycles per sample.
        ppm: by how much the receiver's sampling period is too long, in parts per million.
        phase: in radians.
        delay: in samples; fractional.
        taps: impulse response at the sample rate: numbers between commas, such as "1, 0, 0.2-0.1j".
        gain_db: of all, the noise as well.
        seed: of the noise.
        jammer: of a friendly one that hides the link, at the receiver: "friendly,jsr=-10,power=uniform"; empty for
            none.

    Raises:
        ValueError: a parameter out of range, a jammer of another form, or taps that are no numbers.
    """

    def __init__(
        self,
        *,
        esno_db: float = 20.0,
        cfo: float = 0.0,
        ppm: float = 0.0,
        phase: float = 0.0,
        delay: float = 0.0,
        taps: str = "1",
        gain_db: float = 0.0,
        seed: int = 0,
        jammer: str = "",
    ) -> None:
        gr.basic_block.__init__(self, name="loopback_channel", in_sig=[np.complex64], out_sig=[np.complex64])
        options = Loopback(
            n0=to_n0(esno_db), cfo=cfo, ppm=ppm, phase=phase, delay=delay, taps=parse_taps(taps), gain_db=gain_db
        )
        self.line = Line(options, seed=seed, jamming=parse_jamming(jammer))
        self._waiting = np.zeros(0, dtype=np.complex64)
        self.set_output_multiple(64)

    def set_esno_db(self, esno_db: float) -> None:
        """Another Es/N0 from now on."""
        self.line.set(n0=to_n0(esno_db))

    def set_cfo(self, cfo: float) -> None:
        """Another carrier offset from now on."""
        self.line.set(cfo=cfo)

    def set_ppm(self, ppm: float) -> None:
        """Another clock from now on."""
        self.line.set(ppm=ppm)

    def set_gain_db(self, gain_db: float) -> None:
        """Another gain from now on."""
        self.line.set(gain_db=gain_db)

    def forecast(self, noutput_items: int, ninputs: int) -> list[int]:  # noqa: ARG002
        """Whatever there is will do."""
        return [0 if len(self._waiting) else 1] * ninputs

    def general_work(self, inputs: Any, outputs: Any) -> int:  # noqa: ANN401
        """A piece of the stream, short enough that what comes of it fits; more comes of the first, by the delay."""
        if not len(self._waiting):
            taken = inputs[0][: len(outputs[0]) - len(outputs[0]) // 32]
            self._waiting = self.line.push(taken)
            self.consume(0, len(taken))
        count = min(len(self._waiting), len(outputs[0]))
        outputs[0][:count] = self._waiting[:count]
        self._waiting = self._waiting[count:]
        return count
