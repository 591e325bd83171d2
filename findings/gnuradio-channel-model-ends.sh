#!/usr/bin/env bash
# GNU Radio's channel model takes samples off both ends of a stream and leaves the tags beside their samples.
#
# With nothing to do (no noise, no offset, one tap of 1) channel_model still resamples: the first 3 samples and the
# last 5 do not come out, and tags keep their offsets, so that they lie 3 samples behind what they marked. Tagged
# packets that pass through it are cut wrongly, and the last one of a file is never complete: its receiver waits for
# samples that do not come.
#
# GNU Radio 3.10.5 (Debian 12), 1000 samples 1, 2, … 1000 with a tag on the sample 501. Seen:
#   out: 992 samples, 4 to 995; the tag is on the sample 504
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
import pmt
from gnuradio import blocks, channels, gr

COUNT, TAGGED = 1000, 500
tag = gr.tag_t()
tag.offset, tag.key, tag.value = TAGGED, pmt.intern("here"), pmt.PMT_T
graph = gr.top_block()
source = blocks.vector_source_c(np.arange(1, COUNT + 1).astype(complex).tolist(), False, 1, [tag])
sink = blocks.vector_sink_c()
graph.connect(source, channels.channel_model(0.0, 0.0, 1.0, [1.0]), sink)
graph.run()
out = np.array(sink.data()).real
offset = sink.tags()[0].offset
print(f"out: {out.size} samples, {out[0]:.0f} to {out[-1]:.0f}; the tag is on the sample {out[offset]:.0f}")
assert (out.size, round(out[0]), round(out[-1])) == (992, 4, 995)
assert round(out[offset]) == TAGGED + 1 + 3
PYTHON
