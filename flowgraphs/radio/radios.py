"""Radios as ends of a link: small flowgraphs of GNU Radio around the burst blocks. Need GNU Radio."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pmt
from gnuradio import gr

from semlink.flowgraphs.radio.burst_blocks import burst_rx, burst_tx, ofdm_rx, ofdm_tx
from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, received_of
from semlink.flowgraphs.radio.stations import HeardFrame, tail
from semlink.phy.waveform import BurstHeader, Samples, Seen

_FRAMES = pmt.intern("frames")
_BUFFER = 1 << 15
_LOOK_S = 0.2
_AMPLITUDE = 0.4
"""Of a symbol of unit energy: its peaks then stay within a converter's full scale of 1."""


def open_sink(kind: str, *, device: str, frequency: float, rate: float, gain: float) -> Any:  # noqa: ANN401
    """A radio's transmitter as a block with one input of complex samples.

    Args:
        kind: "uhd", "pluto" or "soapy".
        device: UHD's device arguments, the Pluto's URI, or the name of SoapySDR's driver.
        frequency: of the carrier in Hz.
        rate: samples per second.
        gain: in dB.

    Raises:
        RuntimeError: no such device.
        ImportError: GNU Radio has no support for it.
    """
    if kind == "uhd":
        return _tune_uhd("usrp_sink", device, frequency, rate, gain)
    if kind == "pluto":
        from gnuradio import iio

        pluto = iio.fmcomms2_sink_fc32(device or iio.get_pluto_uri(), [True, True], _BUFFER, False)
        _tune_pluto(pluto, frequency, rate)
        pluto.set_attenuation(0, max(0.0, 89.75 - gain))
        return pluto
    return _tune_soapy("sink", device, frequency, rate, gain)


def open_source(kind: str, *, device: str, frequency: float, rate: float, gain: float) -> Any:  # noqa: ANN401
    """A radio's receiver as a block with one output of complex samples; arguments and errors as of `open_sink`."""
    if kind == "uhd":
        return _tune_uhd("usrp_source", device, frequency, rate, gain)
    if kind == "pluto":
        from gnuradio import iio

        pluto = iio.fmcomms2_source_fc32(device or iio.get_pluto_uri(), [True, True], _BUFFER)
        _tune_pluto(pluto, frequency, rate)
        pluto.set_gain_mode(0, "manual")
        pluto.set_gain(0, gain)
        return pluto
    return _tune_soapy("source", device, frequency, rate, gain)


def _tune_uhd(end: str, device: str, frequency: float, rate: float, gain: float) -> Any:  # noqa: ANN401
    from gnuradio import uhd

    usrp = getattr(uhd, end)(device, uhd.stream_args(cpu_format="fc32", channels=[0]))
    usrp.set_samp_rate(rate)
    usrp.set_center_freq(frequency, 0)
    usrp.set_gain(gain, 0)
    return usrp


def _tune_pluto(pluto: Any, frequency: float, rate: float) -> None:  # noqa: ANN401
    pluto.set_bandwidth(int(rate))
    pluto.set_frequency(int(frequency))
    pluto.set_samplerate(int(rate))
    pluto.set_filter_params("Auto", "", 0, 0)


def _tune_soapy(end: str, device: str, frequency: float, rate: float, gain: float) -> Any:  # noqa: ANN401
    from gnuradio import soapy

    radio = getattr(soapy, end)(f"driver={device}", "fc32", 1, "", "", [""], [""])
    radio.set_sample_rate(0, rate)
    radio.set_frequency(0, frequency)
    radio.set_gain(0, gain)
    return radio


class RadioTransmitter:
    """Frames to a radio.

    Args:
        radio: a block with one input, as of `open_sink`.
        waveform: "sc" or "ofdm".
        sps: samples per symbol of a single carrier.
        rate: samples per second.
        seed: of the number of the transmission; below 0 it differs every time.
    """

    def __init__(self, radio: Any, *, waveform: str, sps: int, rate: float, seed: int = -1) -> None:  # noqa: ANN401
        self._rate, self._radio, self._top = rate, radio, gr.top_block("transmit")
        single = waveform == "sc"
        self._tx = (
            burst_tx(sps=sps, amplitude=_AMPLITUDE, seed=seed) if single else ofdm_tx(amplitude=_AMPLITUDE, seed=seed)
        )
        self._top.connect(self._tx, self._radio)
        self._sent = 0
        self._top.start()

    def send(self, header: BurstHeader, symbols: Samples) -> None:
        """Send a frame; waits while one is under way."""
        self._tx.to_basic_block()._post(_FRAMES, frame_pdu(header, symbols))
        self._sent += 1
        self._wait()

    def close(self, *, whole: bool = True) -> None:
        """Wait until the last samples are out; or stop at once what is not `whole`."""
        if whole:
            self._wait()
            time.sleep(1 + tail(self._tx.waveform) / self._rate)
        self._top.stop()
        self._top.wait()

    def _wait(self) -> None:
        while self._tx.taken < self._sent or self._tx.waiting:
            time.sleep(_LOOK_S)


class RadioReceiver:
    """Frames from a radio.

    Args:
        radio: a block with one output, as of `open_source`.
        waveform: "sc" or "ofdm".
        sps: samples per symbol of a single carrier.
        rate: samples per second.
    """

    def __init__(self, radio: Any, *, waveform: str, sps: int, rate: float | None = None) -> None:  # noqa: ANN401
        self._rate = rate
        self._radio, self._top = radio, gr.top_block("receive")
        self._rx = burst_rx(sps=sps) if waveform == "sc" else ofdm_rx()
        self._rx.logs = False  # whoever asks for `seen` says it
        self._messages: queue.Queue[Any] = queue.Queue()
        self._out = _Collector(self._messages.put)
        self._top.connect(self._radio, self._rx)
        self._top.msg_connect(self._rx, "frames", self._out, "frames")
        self._top.start()

    def frames(self) -> Iterator[HeardFrame | None]:
        """Frames as they come; None while there are none."""
        while True:
            try:
                message = self._messages.get(timeout=_LOOK_S)
            except queue.Empty:
                yield None
                continue
            yield received_of(message)

    def seen(self) -> Seen:
        """What it has seen until now, with hints where no burst was received."""
        return self._rx.receiver.seen(rate_hz=self._rate, hints=True)

    def close(self) -> None:
        """Stop the radio."""
        self._top.stop()
        self._top.wait()


class _Collector(gr.basic_block):
    def __init__(self, take: Callable[[Any], None]) -> None:
        gr.basic_block.__init__(self, name="collector", in_sig=None, out_sig=None)
        self._put = take
        self.message_port_register_in(_FRAMES)
        self.set_msg_handler(_FRAMES, self._take)

    def _take(self, message: Any) -> None:  # noqa: ANN401
        self._put(message)
