"""How far the two oscillators of a link may be apart, in words. NumPy alone."""

from __future__ import annotations

from semlink.phy.waveform import OFDM_REACH, SINGLE_CARRIER_REACH, Waveform, reach_ppm

FREQUENCY_HZ = 915e6
"""Carrier of the commands where none is given."""
RATE_HZ = 1e6
"""Samples per second of the commands where none are given."""


def describe_reach(reach: float, *, rate_hz: float, carrier_hz: float) -> str:
    """Such as "±21.9 ppm (±20 kHz) at 915 MHz and 1 Msample/s".

    Args:
        reach: in cycles per sample.
        rate_hz: samples per second.
        carrier_hz: the carrier's frequency.

    Raises:
        ValueError: a rate or a frequency that is not above 0.
    """
    ppm = reach_ppm(reach, rate_hz=rate_hz, carrier_hz=carrier_hz)
    khz, mhz, msps = 1e-3 * reach * rate_hz, 1e-6 * carrier_hz, 1e-6 * rate_hz
    return f"±{ppm:.3g} ppm (±{khz:.4g} kHz) at {mhz:.10g} MHz and {msps:.10g} Msample/s"


def reach_help() -> str:
    """For the help of the commands: both waveforms, at the carrier and the rate where none are given."""
    single, ofdm = (
        reach_ppm(reach, rate_hz=RATE_HZ, carrier_hz=FREQUENCY_HZ) for reach in (SINGLE_CARRIER_REACH, OFDM_REACH)
    )
    return (
        f"A carrier is found that is off by up to {SINGLE_CARRIER_REACH:g} cycles per sample (sc) or {OFDM_REACH:.3g} "
        f"(ofdm): at {FREQUENCY_HZ / 1e6:g} MHz and {RATE_HZ / 1e6:g} Msample/s the oscillators of transmitter and "
        f"receiver may be {single:.3g} or {ofdm:.3g} ppm apart, in proportion to RATE / FREQUENCY."
    )


def check_offset(cfo: float, waveform: Waveform, *, rate_hz: float, carrier_hz: float) -> None:
    """Raise ValueError for an offset, in cycles per sample, at which no burst of the waveform is found."""
    if not abs(cfo) <= waveform.reach:
        there = describe_reach(waveform.reach, rate_hz=rate_hz, carrier_hz=carrier_hz)
        raise ValueError(
            f"cfo={cfo!r} must be from {-waveform.reach:g} to {waveform.reach:g} cycles per sample, beyond which no "
            f"burst of this waveform is found: {there}"
        )
