"""Bursts of samples and back: modulation, synchronisation, segments and recordings. NumPy alone."""

from semlink.phy.waveform.burst import Reals, ReceivedBurst, Samples, Waveform
from semlink.phy.waveform.header import FIELDS, BurstHeader, Refused, draw_transmission
from semlink.phy.waveform.hints import Excerpt, find_hints
from semlink.phy.waveform.iq_files import (
    Annotation,
    Recording,
    open_raw,
    open_sigmf,
    read_cf32,
    read_sigmf,
    write_cf32,
    write_sigmf,
)
from semlink.phy.waveform.loopback import MOST_N0, Loopback, resample
from semlink.phy.waveform.ofdm import OfdmWaveform
from semlink.phy.waveform.ofdm_words import FFT, PREFIX
from semlink.phy.waveform.reach import OFDM_REACH, SINGLE_CARRIER_REACH, reach_ppm
from semlink.phy.waveform.receiver import BurstReceiver
from semlink.phy.waveform.sample_files import SampleFile
from semlink.phy.waveform.seen import Seen, SeenFrame, Spread
from semlink.phy.waveform.segments import Reassembled, Reassembler, Segment, split
from semlink.phy.waveform.single_carrier import SingleCarrier
from semlink.phy.waveform.speed import ReceiverSpeed, measure_receivers

__all__ = [
    "FFT",
    "FIELDS",
    "MOST_N0",
    "OFDM_REACH",
    "PREFIX",
    "SINGLE_CARRIER_REACH",
    "Annotation",
    "BurstHeader",
    "BurstReceiver",
    "Excerpt",
    "Loopback",
    "OfdmWaveform",
    "Reals",
    "Reassembled",
    "Reassembler",
    "ReceivedBurst",
    "ReceiverSpeed",
    "Recording",
    "Refused",
    "SampleFile",
    "Samples",
    "Seen",
    "SeenFrame",
    "Segment",
    "SingleCarrier",
    "Spread",
    "Waveform",
    "draw_transmission",
    "find_hints",
    "measure_receivers",
    "open_raw",
    "open_sigmf",
    "reach_ppm",
    "read_cf32",
    "read_sigmf",
    "resample",
    "split",
    "write_cf32",
    "write_sigmf",
]
