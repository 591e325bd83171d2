#!/usr/bin/env bash
# scikit-commpy's pulse filters of odd length have no sample at their peak: it comes half a sample late.
#
# A linear-phase filter of N taps has its peak at (N - 1)/2, and an odd N is chosen to have it on a sample. rrcosfilter,
# rcosfilter and gaussianfilter take their times as (n - N/2)/fs: with an odd N the peak is between two samples, the
# taps are not symmetric, and the phase is linear about another delay than the usual one. Two of them, at the
# transmitter and the receiver, peak at N, a whole sample after the N - 1 that one counts with. At 8 samples a symbol,
# sampled there, noiseless symbols have an error of -14.5 dB.
#
# scikit-commpy 0.8.0, numpy 2.4.6, scipy 1.17.1. Seen (roll-off 0.25, 8 samples a symbol):
#   65 taps: times from -4.0625 to 3.9375 symbols, largest |h(n) - h(N-1-n)| 0.1944
#   161 taps, twice, error of QPSK without noise: -14.5 dB at a delay of N - 1, -46.6 dB at N
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile scikit-commpy==0.8.0 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from commpy.filters import rrcosfilter

print(*(f"{name} {version(name)}" for name in ("scikit-commpy", "numpy", "scipy")))
SPS = 8

times, taps = rrcosfilter(65, 0.25, 1, SPS)
unlike = float(np.abs(taps - taps[::-1]).max())
print(f"65 taps: times from {times[0]:.4f} to {times[-1]:.4f} symbols, largest |h(n) - h(N-1-n)| {unlike:.4f}")
assert times[0] != -times[-1] and unlike > 0.1


def error_db(taps, delay):
    """Of QPSK symbols without noise through the filter twice, sampled delay samples after their start."""
    rng = np.random.default_rng(0)
    symbols = rng.choice([-1.0, 1.0], 2000) + 1j * rng.choice([-1.0, 1.0], 2000)
    sent = np.zeros(2000 * SPS, complex)
    sent[::SPS] = symbols
    received = np.convolve(sent, np.convolve(taps, taps))[delay:][: 2000 * SPS : SPS]
    gain = np.vdot(symbols, received) / np.vdot(symbols, symbols)
    return 10 * np.log10(np.mean(np.abs(received / gain - symbols) ** 2) / 2)


_, taps = rrcosfilter(161, 0.25, 1, SPS)
usual, later = error_db(taps, 160), error_db(taps, 161)
print(f"161 taps, twice, error of QPSK without noise: {usual:.1f} dB at a delay of N - 1, {later:.1f} dB at N")
assert usual > -15 and later < -45
PYTHON
