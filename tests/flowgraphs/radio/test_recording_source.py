"""Under real GNU Radio: what comes after a recording, and pictures and samples from outside."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.phy.waveform import read_cf32, write_cf32

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("SEMLINK_RADIO_PYTHON", "/usr/bin/python3")
PATHS = f"{ROOT / 'tests' / 'typing_root'}:{Path(__file__).parent}"
PRELUDE = "import json, time, numpy as np\nfrom gnuradio import gr, blocks\nfrom radio_probe import *\n"


def run_radio(code: str) -> Any:  # noqa: ANN401 - whatever it prints
    """What a script under GNU Radio's Python prints last, as JSON."""
    done = subprocess.run(
        [PYTHON, "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PATHS, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=120,
    )
    if "No module named 'gnuradio'" in done.stderr:
        pytest.skip(f"{PYTHON} has no gnuradio")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_waits_ends_or_repeats(tmp_path: Path) -> None:
    """By default a receiver's silence behind it, and the flowgraph goes on; else as is asked for."""
    sent = np.arange(1, 70_001).astype(np.complex64)  # more than one piece
    write_cf32(tmp_path / "a.cf32", sent)
    write_cf32(tmp_path / "none.cf32", sent[:0])
    lengths, sums, told = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import recording_source
        def run(most=None, **options):
            top, sink = gr.top_block(), blocks.vector_sink_c()
            chain = [recording_source(path="{tmp_path}/a.cf32", **options)]
            chain += [blocks.head(8, most)] if most else []
            top.connect(*chain, sink)
            top.run()  # which would not return if there were no end
            return np.array(sink.data())
        runs = [run(then="end", silence=0), run(then="end", silence=5), run(then="end"),
                run(200_003, then="repeat", silence=0), run(140_010, then="repeat", silence=5), run(70_009)]
        told = []
        nothing = {{"path": "{tmp_path}/none.cf32", "then": "repeat", "silence": 0}}
        for options in ({{"then": "stop"}}, {{"silence": -1}}, nothing):
            try:
                recording_source(**{{"path": "{tmp_path}/a.cf32", **options}})
            except ValueError as error:
                told.append(str(error))
        print(json.dumps([[len(one) for one in runs], [float(one.real.sum(dtype=float)) for one in runs], told]))
    """)
    whole = float(sent.real.sum(dtype=float))
    assert lengths == [70_000, 70_005, 70_000 + 671_808, 200_003, 140_010, 70_009]
    rest = float(sent.real[:60_003].sum(dtype=float))
    assert sums == [whole, whole, whole, 2 * whole + rest, 2 * whole, whole]
    assert [text[:9] for text in told] == ["then='sto", "silence=-", "recording"]


def test_pictures_and_streams_from_outside(tmp_path: Path) -> None:
    """16-bit grey is not white under GNU Radio's older Pillow, and a NaN does not end what is heard."""
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "a.png")
    levels, heard, spoilt = run_radio(f"""
        from pathlib import Path
        from semlink.flowgraphs.radio.blocks import burst_rx
        from semlink.flowgraphs.radio.image_files import load_picture
        from semlink.flowgraphs.radio.stations import frame_samples, tail
        from semlink.phy.waveform import BurstHeader, SingleCarrier
        levels = load_picture(Path("{tmp_path}/a.png"))[0, :, 0].tolist()
        burst = np.concatenate(frame_samples(SingleCarrier(), BurstHeader(height=10, width=50), gaussian(500)))
        sent = np.concatenate([np.zeros(500), burst, np.zeros(2 * tail(SingleCarrier()))]).astype(np.complex64)
        sent[2000] = np.nan
        top, receiver, frames = gr.top_block(), burst_rx(), Probe()
        top.connect(blocks.vector_source_c(sent.tolist()), receiver)
        top.msg_connect(receiver, "frames", frames, "in")
        top.start()
        wait(lambda: frames.got, 30)
        top.stop(); top.wait()
        print(json.dumps([levels, len(frames.got), receiver.receiver.bursts.counts.spoilt]))
    """)
    assert (levels, heard, spoilt) == ([0, 128, 255], 1, 1)


def test_a_recording_is_not_lost_for_one_sample_that_is_none(tmp_path: Path) -> None:
    kept = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import recording_sink
        sent = gaussian(1000)
        sent[500] = np.nan
        top, sink = gr.top_block(), recording_sink(path="{tmp_path}/a.cf32")
        top.connect(blocks.vector_source_c(sent.tolist()), sink)
        top.run()
        print(json.dumps(1))
    """)
    samples = read_cf32(tmp_path / "a.cf32")
    assert (kept, len(samples), np.flatnonzero(samples == 0).tolist()) == (1, 1000, [500])
