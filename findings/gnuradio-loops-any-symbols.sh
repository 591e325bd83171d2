#!/usr/bin/env bash
# Which of GNU Radio's loops and estimators live on symbols that are points of no constellation.
#
# Neural and analogue transmissions send symbols of any value. Timing loops that look at the waveform (Gardner,
# pfb_clock_sync) lose nothing on Gaussian symbols; Mueller & Muller, whose constellation says QPSK, drifts off, though
# it still holds for uniform ones; costas_loop_cc loses the carrier for both, at an offset it follows with QPSK; and
# mpsk_snr_est_cc says 3 dB (simple) or something below 0 dB or nan (M2M4) at 15 dB. None of them reports anything: the
# samples just come out.
#
# GNU Radio 3.10.5 (Debian 12), 26 dB, 20,000 symbols; signal to error in dB behind the block, one gain removed. Seen:
#                               QPSK  uniform  Gaussian
#   costas_loop_cc, order 4     25.8    -11.3     -38.0
#   symbol_sync_cc, Gardner     26.0     26.0      25.9
#   symbol_sync_cc, M&M         26.0     21.1      -7.9
#   pfb_clock_sync_ccf          25.6     25.6      25.6
#   mpsk_snr_est_cc at 15 dB: QPSK simple 15.0; QPSK M2M4 14.9; Gaussian simple 3.1; Gaussian M2M4 -4.4
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
import math

import numpy as np
from gnuradio import blocks, digital, filter, gr
from gnuradio.filter import firdes

COUNT, SPS, SPAN = 20_000, 4, 11
rng = np.random.default_rng(1)


def gaussian(count):
    return (rng.normal(size=count) + 1j * rng.normal(size=count)) / math.sqrt(2)


def through(x, *chain):
    graph, sink = gr.top_block(), blocks.vector_sink_c()
    graph.connect(blocks.vector_source_c(x.tolist()), *chain, sink)
    graph.run()
    return np.array(sink.data())


def quality_db(received, sent, lags):
    """Signal to error behind the loop's settling, at the best delay and with one complex gain."""
    skip, size = 2000, len(received) - 2000 - lags - 10
    part, best = received[skip : skip + size], -math.inf
    for lag in range(-lags, lags):
        there = sent[skip + lag : skip + lag + size]
        signal = np.vdot(there, part) / np.vdot(there, there) * there
        best = max(best, 10 * math.log10(np.linalg.norm(signal) ** 2 / np.linalg.norm(part - signal) ** 2))
    return best


def clocks():
    mueller = digital.constellation_calcdist([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j], [0, 1, 2, 3], 4, 1)
    matched = [tap / SPS for tap in pulse(SPS, SPS)]
    for name, detector in (("Gardner", digital.TED_GARDNER), ("M&M", digital.TED_MUELLER_AND_MULLER)):
        yield f"symbol_sync_cc, {name}", (filter.fir_filter_ccf(1, matched), digital.symbol_sync_cc(
            detector, SPS, 0.01, 1.0, 1.0, 1.5, 1, mueller.base(), digital.IR_MMSE_8TAP, 128, []))
    yield "pfb_clock_sync_ccf", (digital.pfb_clock_sync_ccf(
        SPS, 2 * math.pi / 100, pulse(32, 32 * SPS, 32 * SPAN * SPS), 32, 16, 1.5, 1),)


def pulse(gain, rate, taps=2 * SPAN * SPS + 1):
    return firdes.root_raised_cosine(gain, rate, 1.0, 0.35, taps)


qpsk = rng.choice(np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j]) / math.sqrt(2), COUNT)
uniform = (rng.uniform(-1, 1, COUNT) + 1j * rng.uniform(-1, 1, COUNT)) * math.sqrt(1.5)
sources, table = (qpsk, uniform, gaussian(COUNT)), {}
noise, turn = 10 ** (-26 / 20) * gaussian(COUNT), np.exp(1j * (0.3 + 2e-4 * math.pi * np.arange(COUNT)))
table["costas_loop_cc, order 4"] = [
    quality_db(through((x + noise) * turn, digital.costas_loop_cc(2 * math.pi / 200, 4)), x, 3) for x in sources]
for x in sources:
    wave = through(np.append(x, np.zeros(100)), filter.interp_fir_filter_ccf(SPS, pulse(SPS, SPS)),
                   filter.mmse_resampler_cc(0.3, 1.0))
    level = math.sqrt(SPS * np.mean(np.abs(wave[1000:-1000]) ** 2)) * 10 ** (-26 / 20)
    wave = wave + level * gaussian(wave.size)
    for name, chain in clocks():
        table.setdefault(name, []).append(quality_db(through(wave, *chain)[: COUNT - 10], x, 60))
print(f"{'':26}{'QPSK':>6}{'uniform':>9}{'Gaussian':>10}")
for name, (first, second, third) in table.items():
    print(f"{name:26}{first:6.1f}{second:9.1f}{third:10.1f}")

snr = {}
for name, x in (("QPSK", qpsk), ("Gaussian", sources[2])):
    for kind, method in (("simple", digital.SNR_EST_SIMPLE), ("M2M4", digital.SNR_EST_M2M4)):
        estimator = digital.mpsk_snr_est_cc(method, 10_000, 0.001)
        through(x + 10 ** (-15 / 20) * gaussian(COUNT), estimator)
        snr[name, kind] = estimator.snr()
print("mpsk_snr_est_cc at 15 dB:", "; ".join(f"{' '.join(key)} {value:.1f}" for key, value in snr.items()))

assert all(first > 25 for first, _, _ in table.values())
assert max(table["costas_loop_cc, order 4"][1:]) < 0 and table["symbol_sync_cc, M&M"][2] < 0
assert min(*table["symbol_sync_cc, Gardner"], *table["pfb_clock_sync_ccf"]) > 25
assert abs(snr["QPSK", "M2M4"] - 15) < 1 and abs(snr["QPSK", "simple"] - 15) < 1
assert snr["Gaussian", "simple"] < 5 and not snr["Gaussian", "M2M4"] > 5  # nan is not
PYTHON
