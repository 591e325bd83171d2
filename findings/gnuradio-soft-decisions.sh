#!/usr/bin/env bash
# GNU Radio's soft decisions of 16-QAM have the wrong sign where hard decisions make no error.
#
# constellation::calc_soft_dec weighs a point by exp(-d / npwr), with d the distance and not its square, and
# constellation_soft_decoder_cf, which in this version cannot be told the noise power, leaves npwr at 1. So far points
# outvote near ones: the boundary between inner and outer points moves, and the more reliable a bit, the less its soft
# value grows (for BPSK it stops at 2 / npwr beyond the point). At 20 dB a hard decoder sees no error; one bit in seven of
# those that tell inner from outer goes wrong into a soft-input FEC decoder, which is there to do better.
#
# GNU Radio 3.10.5 (Debian 12), digital.constellation_16qam. Seen:
#   Es/N0 13 dB: bit errors, hard decoder 0.0403, signs of soft decoder 0.1076
#   Es/N0 20 dB: bit errors, hard decoder 0.0000, signs of soft decoder 0.0335, by bit 0.000 0.000 0.134 0.000
#   BPSK at N0 = 0.1, received 0.5, 1, 2, 4: LLR 20, 40, 80, 160; calc_soft_dec 10, 20, 20, 20
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
from gnuradio import blocks, digital, gr

rng = np.random.default_rng(0)
qam = digital.constellation_16qam()
points = np.array(qam.points())


def errors(esno_db):
    index = rng.integers(0, 16, 20000)
    noise = (rng.normal(size=index.size) + 1j * rng.normal(size=index.size)) * (10 ** (-esno_db / 10) / 2) ** 0.5
    bits = (index[:, None] >> np.arange(3, -1, -1)) & 1
    graph = gr.top_block()
    source = blocks.vector_source_c((points[index] + noise).tolist())
    hard, unpack, soft = digital.constellation_decoder_cb(qam.base()), blocks.unpack_k_bits_bb(4), blocks.vector_sink_b()
    decoder, sink = digital.constellation_soft_decoder_cf(qam.base()), blocks.vector_sink_f()
    graph.connect(source, hard, unpack, soft)
    graph.connect(source, decoder, sink)
    graph.run()
    by_hard = np.array(soft.data()).reshape(-1, 4) != bits
    by_soft = (np.array(sink.data()).reshape(-1, 4) > 0) != bits
    print(f"Es/N0 {esno_db} dB: bit errors, hard decoder {by_hard.mean():.4f}, signs of soft decoder "
          f"{by_soft.mean():.4f}, by bit", *(f"{rate:.3f}" for rate in by_soft.mean(0)))
    return by_hard.mean(), by_soft.mean()


hard, soft = errors(13)
assert soft > 2 * hard
hard, soft = errors(20)
assert hard < 1e-4 and 0.03 < soft < 0.04

n0, received = 0.1, np.array([0.5, 1.0, 2.0, 4.0])
values = np.array([digital.constellation_bpsk().calc_soft_dec(complex(x), n0)[0] for x in received])
print("BPSK at N0 = 0.1, received", received, "LLR", 4 * received / n0, "calc_soft_dec", values)
assert np.allclose(values, [10, 20, 20, 20], rtol=1e-3)
PYTHON
