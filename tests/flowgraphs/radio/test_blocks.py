"""The blocks under real GNU Radio, in the system's Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RADIO = Path(__file__).parents[3] / "flowgraphs" / "radio"

# Blocks without a worker


LOOPBACK = """
    from semlink.flowgraphs.radio.blocks import {tx}, {rx}, loopback_channel
    from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, received_of
    from semlink.phy.waveform.header import BurstHeader
    tx, rx, frames, bursts = {tx}(idle=False, seed=1), {rx}(), Probe(), Probe()  # other pilots, other estimates
    line = loopback_channel(esno_db={esno_db}, cfo={cfo}, ppm=20, phase=1, delay=100.3, taps="{taps}")
    top = gr.top_block()
    top.connect(tx, line, rx)
    top.msg_connect(rx, "frames", frames, "in")
    top.msg_connect(rx, "bursts", bursts, "in")
    top.start()
    sent = [gaussian(9000, seed) for seed in range(3)]
    for i in range(3):
        post(tx, "frames", frame_pdu(BurstHeader(codec=2, height=100, width=180, sender=7, sequence=i), sent[i]))
    wait(lambda: len(frames.got) == 3)
    top.stop(); top.wait()
    told = []
    for message in frames.got:
        frame = received_of(message)
        error = float(np.mean(np.abs(frame.symbols - sent[frame.header.sequence]) ** 2))
        told.append([frame.header.sequence, frame.header.sender, frame.lost, 10 * np.log10(1 / error),
                     10 * np.log10(1 / float(np.mean(frame.n0))), frame.header.segments])
    print(json.dumps([told, [pmt.to_python(message) for message in bursts.got]]))
"""


def test_a_single_carrier_comes_back_at_the_noise_that_was_added(run_radio: Callable[..., Any]) -> None:
    told, bursts = run_radio(LOOPBACK.format(tx="burst_tx", rx="burst_rx", esno_db=20, cfo=1e-3, taps="1"))
    assert [row[:3] + row[5:] for row in told] == [[i, 7, 0, 3] for i in range(3)]
    for _, _, _, measured_db, claimed_db, _ in told:
        # 20 less what the estimates cost. Three and a half standard deviations: measured, 0.2 dB a burst for its Es/N0
        # from 644 known symbols, 0.12 for the error of its 3000.
        assert measured_db == pytest.approx(19.85, abs=0.25)
        assert claimed_db == pytest.approx(measured_db, abs=0.45)
    assert len(bursts) == 9
    for burst in bursts:
        assert burst["cfo"] == pytest.approx(1e-3, abs=2e-6)
        assert burst["timing_ppm"] == pytest.approx(20, abs=10)
        assert burst["esno_db"] == pytest.approx(20, abs=0.7)


def test_ofdm_comes_back_over_echoes(run_radio: Callable[..., Any]) -> None:
    code = LOOPBACK.format(tx="ofdm_tx", rx="ofdm_rx", esno_db=20, cfo=0.2 / 64, taps="0.9, 0, 0.3+0.1j")
    told, _ = run_radio(code)
    assert [row[:3] + row[5:] for row in told] == [[i, 7, 0, 3] for i in range(3)]
    # Zero forcing: the mean of 1/|H|^2 is noise enhancement; gains of 0.58 to 1.22 make it 1.7 dB with these echoes.
    gains = np.abs(np.fft.fft([0.9, 0, 0.3 + 0.1j], 64)) ** 2
    bound_db = 20 - 10 * np.log10(np.mean(1 / gains))
    for row in told:
        assert bound_db - 1 < row[3] < bound_db + 0.3
        assert row[4] == pytest.approx(row[3], abs=0.4)


def test_more_frames_than_may_wait_are_dropped(run_radio: Callable[..., Any]) -> None:
    got = run_radio("""
        from semlink.flowgraphs.radio.blocks import burst_tx, burst_rx
        from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, received_of
        from semlink.phy.waveform.header import BurstHeader
        tx, rx, frames = burst_tx(idle=False, queue=3), burst_rx(), Probe()
        top = gr.top_block()
        top.connect(tx, rx)
        top.msg_connect(rx, "frames", frames, "in")
        for i in range(10):
            post(tx, "frames", frame_pdu(BurstHeader(sequence=i, height=10, width=10), gaussian(500)))
        top.start()
        wait(lambda: len(frames.got) == 3)
        time.sleep(0.5)
        top.stop(); top.wait()
        print(json.dumps([received_of(message).header.sequence for message in frames.got]))
    """)
    assert got == [0, 1, 2]


def test_a_radio_is_sent_one_frame_after_another_and_the_last_is_waited_for(run_radio: Callable[..., Any]) -> None:
    """However late the block gets to the message that brings a frame."""
    got = run_radio("""
        from semlink.flowgraphs.radio import radios
        from semlink.flowgraphs.radio.stations import FrameReceiver
        from semlink.phy.waveform.header import BurstHeader
        from semlink.phy.waveform import SingleCarrier
        class Radio(gr.sync_block):
            def __init__(self):
                gr.sync_block.__init__(self, name="radio", in_sig=[np.complex64], out_sig=None)
                self.receiver, self.got = FrameReceiver(SingleCarrier()), []
            def work(self, inputs, outputs):
                self.got += [frame.header.sequence for frame in self.receiver.push(inputs[0])]
                return len(inputs[0])
        radios._LOOK_S = 0.001
        radio = Radio()
        transmitter = radios.RadioTransmitter(radio, waveform="sc", sps=4, rate=1e6)
        for i in range(20):
            transmitter.send(BurstHeader(sequence=i, height=10, width=10), gaussian(500))
        transmitter.close()
        print(json.dumps(radio.got))
    """)
    assert got == list(range(20))


def test_an_idle_transmitter_is_silent_and_its_bursts_have_the_amplitude_asked_for(
    run_radio: Callable[..., Any],
) -> None:
    silent, gain = run_radio("""
        from semlink.flowgraphs.radio.blocks import burst_tx, burst_rx
        from semlink.flowgraphs.radio.pmt_pdus import frame_pdu
        from semlink.phy.waveform.header import BurstHeader
        top, tx, head, sink = gr.top_block(), burst_tx(), blocks.head(8, 50000), blocks.vector_sink_c()
        top.connect(tx, head, sink)
        top.run()
        silent = float(np.abs(sink.data()).max()) == 0 and len(sink.data()) == 50000
        top, tx, rx, bursts = gr.top_block(), burst_tx(amplitude=0.25), burst_rx(), Probe()
        top.connect(tx, rx)
        top.msg_connect(rx, "bursts", bursts, "in")
        top.start()
        post(tx, "frames", frame_pdu(BurstHeader(height=10, width=10), gaussian(500)))
        wait(lambda: bursts.got)
        top.stop(); top.wait()
        print(json.dumps([silent, pmt.to_python(bursts.got[0])["gain"]]))
    """)
    assert silent
    assert gain == pytest.approx(0.25, rel=0.01)


def test_blocks_outlive_messages_and_samples_that_are_none(run_radio: Callable[..., Any]) -> None:
    """Raised in a handler, an exception would keep it from ever being called again; in work(), hang the flowgraph."""
    got = run_radio("""
        from semlink.flowgraphs.radio.blocks import *
        from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, image_pdu
        from semlink.phy.waveform.header import BurstHeader
        tx, rx, sink, shown, frames = burst_tx(idle=False), burst_rx(), image_sink(), Probe(), Probe()
        bad = blocks.vector_source_c([float("nan")] * 70000)
        join = blocks.add_cc()
        top, broken, rx2 = gr.top_block(), gr.top_block(), burst_rx()
        broken.connect(bad, rx2); broken.run()
        encoder, decoder, chain = jscc_encoder(), jscc_decoder(), chain_decoder()
        top.connect(tx, rx)
        top.msg_connect(rx, "frames", frames, "in")
        top.msg_connect(sink, "shown", shown, "in")
        for one in (encoder, decoder, chain):
            top.msg_connect(one, "frames" if one is encoder else "images", frames, "in")
        wrong = [pmt.PMT_NIL, pmt.intern("x"), pmt.cons(pmt.make_dict(), pmt.init_u8vector(2, [1, 2])),
                 pmt.cons(pmt.intern("a"), pmt.init_c32vector(1, [1])),
                 pmt.cons(pmt.to_pmt({"codec": 99}), pmt.init_c32vector(1, [1])),
                 pmt.cons(pmt.to_pmt({"height": 1 << 20, "width": 1 << 20}), pmt.init_u8vector(1, [1])),
                 pmt.cons(pmt.to_pmt({"codec": 63}), pmt.init_c32vector(1, [complex("nan")]))]
        top.start()
        for message in wrong:
            for one, port in ((tx, "frames"), (sink, "images"), (sink, "references"), (encoder, "images"),
                              (decoder, "frames"), (chain, "frames")):
                post(one, port, message)
        post(tx, "frames", frame_pdu(BurstHeader(height=1, width=1), gaussian(100)))
        post(sink, "images", image_pdu(np.zeros((4, 5, 3), np.uint8), {}))
        wait(lambda: frames.got and shown.got)
        top.stop(); top.wait()
        print(json.dumps([len(frames.got), len(shown.got)]))
    """)
    assert got == [1, 1]


def test_a_frame_that_lacks_a_segment_is_handed_out_with_it_marked(
    tmp_path: Path, run_radio: Callable[..., Any]
) -> None:
    lost, erased, rest = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import burst_rx, recording_source
        from semlink.flowgraphs.radio.pmt_pdus import received_of
        from semlink.flowgraphs.radio.stations import frame_samples
        from semlink.phy.waveform.burst import ERASED
        from semlink.phy.waveform.header import BurstHeader
        from semlink.phy.waveform.iq_files import write_cf32
        from semlink.phy.waveform import SingleCarrier
        sent = gaussian(3000)
        parts = frame_samples(SingleCarrier(), BurstHeader(height=10, width=100), sent, segment=1000)
        write_cf32("{tmp_path}/a.cf32", np.concatenate([parts[0], parts[2]]))
        top, source, rx, frames = gr.top_block(), recording_source(path="{tmp_path}/a.cf32"), burst_rx(), Probe()
        top.connect(source, rx)
        top.msg_connect(rx, "frames", frames, "in")
        top.start()
        wait(lambda: frames.got)
        top.stop(); top.wait()
        frame = received_of(frames.got[0])
        gone = frame.n0 >= 0.99 * ERASED
        kept = np.r_[0:1000, 2000:3000]
        print(json.dumps([frame.lost, np.flatnonzero(gone)[[0, -1]].tolist() + [int(gone.sum())],
                          float(np.abs(frame.symbols[kept] - sent[kept]).max())]))
    """)
    assert lost == 1
    assert erased == [1000, 1999, 1000]
    assert rest < 0.02


def test_a_recording_holds_what_was_sent(tmp_path: Path, run_radio: Callable[..., Any]) -> None:
    for name in ("b.sigmf-meta", "b.cf32"):
        same, rate, captured, hardware = run_radio(f"""
            from semlink.flowgraphs.radio.blocks import recording_sink, recording_source
            from semlink.flowgraphs.radio.recordings import read_recording
            sent = gaussian(30000)
            top = gr.top_block()
            recorder = recording_sink(path="{tmp_path}/{name}", rate=1e6, hardware="a dongle")
            top.connect(blocks.vector_source_c(sent.tolist()), recorder)
            top.run()
            read = read_recording("{tmp_path}/{name}")
            top, head, sink = gr.top_block(), blocks.head(8, 30000), blocks.vector_sink_c()
            source = recording_source(path="{tmp_path}/{name}")
            top.connect(source, head, sink)
            top.run()
            same = [np.array_equal(one, sent) for one in (read.samples, np.array(sink.data(), np.complex64))]
            print(json.dumps([same, read.rate_hz, read.captured, read.hardware]))
        """)
        assert same == [True, True]
        told = "sigmf" in name
        assert (rate, hardware) == ((1e6, "a dongle") if told else (None, ""))
        if told:
            age = datetime.now(UTC) - datetime.fromisoformat(captured)
            assert timedelta() <= age < timedelta(minutes=5)


# Descriptions


def test_every_description_fits_its_block(run_radio: Callable[..., Any]) -> None:
    """Parameters, ports and callbacks of the .block.yml against the class itself."""
    faults = run_radio(f"""
        import glob, inspect, importlib, os, re, yaml
        from PyQt5 import QtWidgets
        application = QtWidgets.QApplication([])
        given = {{"recording_source": {{"path": sys.argv[0] or "/dev/null"}}, "recording_sink": {{"path": "x.cf32"}}}}
        from semlink.phy.waveform.iq_files import write_cf32
        import tempfile
        given["recording_source"]["path"] = tempfile.mkdtemp() + "/a.cf32"
        write_cf32(given["recording_source"]["path"], gaussian(10))
        faults, names = [], []
        for path in sorted(glob.glob("{RADIO}/grc/*.yml")):
            told = yaml.safe_load(open(path))
            module, name = re.fullmatch(r"from (\\S+) import (\\w+)", told["templates"]["imports"]).groups()
            names.append(name)
            kind = getattr(importlib.import_module(module), name)
            block = kind(**given.get(name, {{}}))
            ports = lambda vector: sorted(set(pmt.to_python(vector)) - {{"system"}})
            messages = lambda key: sorted(p["id"] for p in told.get(key, []) if p["domain"] == "message")
            streams = lambda key: sum(p["domain"] == "stream" for p in told.get(key, []))
            basic = block.to_basic_block()
            wanted = sorted(set(inspect.signature(kind.__init__).parameters) - {{"self"}})
            checks = {{
                "id": told["id"] == "semlink_" + name and os.path.basename(path) == told["id"] + ".block.yml",
                "category": told["category"] == "[semlink]",
                "in": messages("inputs") == ports(basic.message_ports_in()),
                "out": messages("outputs") == ports(basic.message_ports_out()),
                "streams in": streams("inputs") == len(list(block.in_sig())),
                "streams out": streams("outputs") == len(list(block.out_sig())),
                "parameters": sorted(p["id"] for p in told.get("parameters", []) if p["id"] != "gui_hint") == wanted,
                "make": sorted(re.findall(r"(\\w+)=\\$", told["templates"]["make"])) == wanted,
                "callbacks": all(hasattr(block, c.split("(")[0]) for c in told["templates"].get("callbacks", [])),
                "documented": len(told["documentation"]) > 60 and bool(kind.__doc__),
                "simple": {{p["dtype"] for p in told.get("parameters", [])}}
                <= {{"real", "int", "string", "enum", "gui_hint", "file_open", "file_save"}},
            }}
            faults += [[name, what] for what, right in checks.items() if not right]
        import semlink.flowgraphs.radio.blocks as all_blocks
        missing = set(all_blocks.__all__) - set(names)
        print(json.dumps(faults + sorted(missing)))
    """)
    assert faults == []


def test_the_radio_side_needs_no_torch(run_radio: Callable[..., Any]) -> None:
    modules = [
        f"semlink.flowgraphs.radio.{path.stem}" for path in sorted(RADIO.glob("*.py")) if path.stem not in ("__main__",)
    ]
    code = f"""
        for name in ("torch", "jaxtyping", "typer", "scipy", "pandas", "sionna", "numba"):
            sys.modules[name] = None
        import importlib
        for module in {modules}:
            importlib.import_module(module)
        print(json.dumps(len({modules})))
    """
    assert run_radio(code) > 12


def test_wrong_parameters_are_named(run_radio: Callable[..., Any]) -> None:
    got = run_radio("""
        from semlink.flowgraphs.radio.blocks import *
        told = []
        for make in (lambda: burst_tx(sps=1), lambda: burst_tx(segment=0), lambda: ofdm_tx(amplitude=0),
                     lambda: jscc_encoder(codec="mp3"), lambda: jscc_encoder(codec="jpeg-ldpc-qam"),
                     lambda: chain_encoder(source="mp3"), lambda: jscc_encoder(sender=300),
                     lambda: loopback_channel(taps="1, x"), lambda: loopback_channel(esno_db=1e9),
                     lambda: image_source(images="/nowhere"), lambda: image_source(size="12"),
                     lambda: recording_sink(path="a.wav"), lambda: burst_rx(patience=0)):
            try:
                make(); told.append("")
            except ValueError as error:
                told.append(str(error))
        print(json.dumps(told))
    """)
    words = (
        "samples_per_symbol=1,segment=0,amplitude=0,mp3,chain_encoder,mp3,sender=300,taps=,esno_db=,nowhere,size=,a.wav"
    )
    for text, word in zip(got, [*words.split(","), "patience=0"], strict=True):
        assert word in text
