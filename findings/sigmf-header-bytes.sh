#!/usr/bin/env bash
# sigmf's two ways of reading a recording with header_bytes are each wrong where the other is right.
#
# A non-conforming dataset may have header bytes before each capture. read_samples() and slices skip those of the
# first capture only: later headers come out as samples, everything behind them is shifted, and as many samples are
# missing at the end; the count is right all the same. read_samples_in_capture() heeds every header, but counts the
# first one twice: from a recording whose first capture has one, it drops the first samples, which read_samples()
# gives.
#
# sigmf 1.14.0, numpy 2.4.6, ten complex samples 1 … 10, header of 16 bytes (two samples' worth). Seen:
#   header at the first capture:
#     read_samples: 1 2 3 4 5 6 7 8 9 10
#     read_samples_in_capture: 3 4 5 6 7 8 9 10
#   header at the second capture, which begins at sample 5:
#     read_samples: 1 2 3 4 5 -1 -1 6 7 8
#     read_samples_in_capture: 1 2 3 4 5, then 6 7 8 9 10
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile sigmf==1.14.0 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore - <<'PYTHON'
import json
from pathlib import Path

import numpy as np
import sigmf

print("sigmf", sigmf.__version__, "numpy", np.__version__)
samples = np.arange(1, 11).astype("<c8")
header = np.full(2, -1, "<c8")


def recording(name, captures, *parts):
    Path(f"{name}.bin").write_bytes(b"".join(part.tobytes() for part in parts))
    general = {"core:datatype": "cf32_le", "core:version": "1.2.0", "core:dataset": f"{name}.bin"}
    text = json.dumps({"global": general, "captures": captures, "annotations": []})
    Path(f"{name}.sigmf-meta").write_text(text)
    opened = sigmf.sigmffile.fromfile(f"{name}.sigmf-meta")
    opened.validate()
    whole = opened.read_samples().real
    pieces = [opened.read_samples_in_capture(index).real for index in range(len(captures))]
    print("  read_samples:", *(f"{x:g}" for x in whole))
    print("  read_samples_in_capture:", ", then ".join(" ".join(f"{x:g}" for x in piece) for piece in pieces))
    assert opened.sample_count == 10
    return whole.tolist(), np.concatenate(pieces).tolist()


right = samples.real.tolist()
print("header at the first capture:")
whole, pieces = recording("first", [{"core:sample_start": 0, "core:header_bytes": 16}], header, samples)
assert whole == right and pieces == right[2:]
print("header at the second capture, which begins at sample 5:")
captures = [{"core:sample_start": 0}, {"core:sample_start": 5, "core:header_bytes": 16}]
whole, pieces = recording("second", captures, samples[:5], header, samples[5:])
assert whole == [*right[:5], -1, -1, *right[5:8]] and pieces == right
PYTHON
