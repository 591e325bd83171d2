#!/usr/bin/env bash
# GNU Radio's ready-made constellations do not have the same energy: QPSK has four times that of the others.
#
# constellation_qpsk has points ±√2 ± j√2, of energy 4; constellation_bpsk, _8psk and _16qam have energy 1. Those of
# digital.qam and of constellation_rect and _calcdist are scaled to unit mean amplitude, not energy, which for QAM is
# 0.5 dB more. Curves of error rates over one noise_voltage are off by these amounts: QPSK looks 6 dB better than it
# is, and 16-QAM differs from 16-QAM.
#
# GNU Radio 3.10.5 (Debian 12). Seen, energy of a symbol in dB:
#   constellation_bpsk 0.00, constellation_qpsk 6.02, constellation_8psk 0.00, constellation_16qam 0.00
#   qam_constellation(16) 0.47, qam_constellation(64) 0.54, qam_constellation(256) 0.56
set -euo pipefail

python=/usr/bin/python3
if ! found=$("$python" -c 'from gnuradio import gr; print(gr.version())' 2>/dev/null); then
    echo "needs GNU Radio 3.10.5 (Debian 12: apt install gnuradio)" >&2
    exit 77
fi
case $found in
    3.10.5*) echo "GNU Radio $found, the system's" ;;
    *) echo "needs GNU Radio 3.10.5, the system has $found" >&2; exit 77 ;;
esac
"$python" - <<'PYTHON'
import numpy as np
from gnuradio import digital
from gnuradio.digital import qam


def energy_db(name, constellation):
    energy = 10 * np.log10(np.mean(np.abs(constellation.points()) ** 2))
    print(f"{name:24} {energy:5.2f} dB")
    return energy


ready = {name: energy_db(name, getattr(digital, name)())
         for name in ("constellation_bpsk", "constellation_qpsk", "constellation_8psk", "constellation_16qam")}
made = [energy_db(f"qam_constellation({order})", qam.qam_constellation(order)) for order in (16, 64, 256)]
assert abs(ready.pop("constellation_qpsk") - 6.02) < 0.01
assert all(abs(energy) < 0.01 for energy in ready.values())
assert np.allclose(made, [0.47, 0.54, 0.56], atol=0.01)
PYTHON
