"""OFDM over the delay profiles of TR 38.901, by carrier or sample by sample."""

from semlink.phy.ofdm.delay_profile import DelayProfile
from semlink.phy.ofdm.grid import Numerology
from semlink.phy.ofdm.multipath import Cdl, Tdl
from semlink.phy.ofdm.system import OFDM, Domain

__all__ = [
    "OFDM",
    "Cdl",
    "DelayProfile",
    "Domain",
    "Numerology",
    "Tdl",
]
