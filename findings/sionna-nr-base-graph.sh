#!/usr/bin/env bash
# Sionna's NR transport blocks take the other LDPC base graph than TS 38.212 for valid allocations.
#
# Clause 7.2.2 chooses the graph by the size A of the transport block without CRC and by the rate R of the MCS. Sionna
# chooses by the size with CRC and by (size with CRC) / (coded bits): TBEncoder is told A and R and does not hand them
# on. Wherever the 16 bits of the CRC cross 3824 or the quotient crosses 0.67, the codeword is another code's: MCS 9
# of the 64-QAM table (QPSK, 679/1024) on many small allocations, and A = 3824 at every rate up to 0.67. At R = 340/1024
# (16-QAM, MCS 10), TBEncoder refuses ordinary allocations altogether, since base graph 1 below 1/3 needs repetition.
# Sionna's receiver decodes Sionna's codewords, so a simulation does not show it; a receiver of real NR signals does.
#
# sionna-no-rt 2.2.0 and py3gpp 0.6.0 (a port of the standard's steps), torch 2.13.0. Seen:
#   A 2088, G 3960, R 526/1024: graph by py3gpp 2, by Sionna 2, coded bits that differ: 0.0 %
#   A 3824, G 7392, R 526/1024: graph by py3gpp 2, by Sionna 1, coded bits that differ: 49.7 %
#   A 1064, G 1584, R 679/1024: graph by py3gpp 2, by Sionna 1, coded bits that differ: 49.9 %
#   A 4352, G 13200, R 340/1024: ValueError: Only coderate>1/3 supported for BG1. Remark: Repetition coding is currently not
#   supported.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 sionna-no-rt==2.2.0 py3gpp==0.6.0 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import torch
from py3gpp import nrCodeBlockSegmentLDPC, nrCRCEncode, nrDLSCHInfo, nrLDPCEncode, nrRateMatchLDPC, nrTBS
from sionna.phy.nr import TBEncoder

print(*(f"{name} {version(name)}" for name in ("sionna-no-rt", "py3gpp", "torch", "numpy")))
rng = np.random.default_rng(0)


def by_py3gpp(bits: np.ndarray, coded: int, rate: float) -> tuple[int, np.ndarray]:
    info = nrDLSCHInfo(bits.size, rate)
    block = np.asarray(nrCRCEncode(bits, info["CRC"])).ravel()
    codeword = nrLDPCEncode(nrCodeBlockSegmentLDPC(block, info["BGN"]), info["BGN"], algo="thangaraj")
    return info["BGN"], np.asarray(nrRateMatchLDPC(codeword, coded, 0, "QPSK", 1)).ravel()


# QPSK on 132 resource elements a resource block; the first allocation is one on which both agree.
for blocks, numerator, agree in ((15, 526, True), (28, 526, False), (6, 679, False)):
    coded, rate = blocks * 132 * 2, numerator / 1024
    size = int(nrTBS("QPSK", 1, blocks, 132, rate))
    bits = rng.integers(0, 2, size)
    encoder = TBEncoder(size, coded, rate, 2, use_scrambler=False)
    code = encoder.ldpc_encoder
    graph = {22: 1, 10: 2}[code.k_ldpc // code.z]  # by its columns of information
    sionna = encoder(torch.tensor(bits, dtype=torch.float32)[None]).numpy().ravel()
    standard, theirs = by_py3gpp(bits, coded, rate)
    differ = float((sionna != theirs).mean())
    print(f"A {size}, G {coded}, R {numerator}/1024: graph by py3gpp {standard}, by Sionna {graph}, "
          f"coded bits that differ: {100 * differ:.1f} %")
    assert standard == 2
    assert (graph, differ) == (2, 0.0) if agree else (graph == 1 and differ > 0.4)

size = int(nrTBS("16QAM", 1, 25, 132, 340 / 1024))
try:
    TBEncoder(size, 25 * 132 * 4, 340 / 1024, 4)
except ValueError as error:
    print(f"A {size}, G {25 * 132 * 4}, R 340/1024: ValueError: {error}")
    assert "BG1" in str(error)
else:
    raise AssertionError("16-QAM, MCS 10, 25 resource blocks: taken")
PYTHON
