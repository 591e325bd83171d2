"""How far a carrier may be off, and what that is in parts per million of it. NumPy alone."""

from __future__ import annotations

SINGLE_CARRIER_REACH = 2e-2
"""Carrier offset up to which bursts on a single carrier are found, to either side, in cycles per sample."""
OFDM_REACH = 5 / 64
"""Carrier offset up to which OFDM bursts are found, to either side, in cycles per sample: five carriers of 64."""


def reach_ppm(reach: float, *, rate_hz: float, carrier_hz: float) -> float:
    """A carrier offset in parts per million of the carrier.

    Both oscillators together are off by it: 20 ppm in the transmitter and -20 ppm in the receiver are 40.

    Args:
        reach: in cycles per sample.
        rate_hz: samples per second.
        carrier_hz: the carrier's frequency in Hz.

    Raises:
        ValueError: a rate or a frequency that is not above 0.
    """
    for name, value in (("rate_hz", rate_hz), ("carrier_hz", carrier_hz)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name}={value!r} must be a number of Hz above 0")
    return 1e6 * reach * rate_hz / carrier_hz
