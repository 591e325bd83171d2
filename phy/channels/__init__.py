"""Channels by name and by class: AWGN, fading, antennas, impairments and waveforms, behind the one contract."""

from semlink.phy.channels.catalogue import CHANNELS, STAGES
from semlink.phy.channels.channels import AWGN, Chain, Mimo, Nakagami, Rayleigh, Rician
from semlink.phy.channels.options import UNITS, Entry, Option
from semlink.phy.channels.specs import parse_channel, with_options
from semlink.phy.channels.waveform import WaveformChannel

__all__ = [
    "AWGN",
    "CHANNELS",
    "STAGES",
    "UNITS",
    "Chain",
    "Entry",
    "Mimo",
    "Nakagami",
    "Option",
    "Rayleigh",
    "Rician",
    "WaveformChannel",
    "parse_channel",
    "with_options",
]
