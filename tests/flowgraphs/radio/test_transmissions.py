"""Transmitters number what they send, and what receives them keeps the images of one apart from those of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import DecodedImage
from semlink.flowgraphs.radio import apps
from semlink.flowgraphs.radio.image_files import describe, file_name
from semlink.flowgraphs.radio.stations import Identity
from semlink.flowgraphs.radio.terminals import FileTransmitter
from semlink.phy.waveform import BurstHeader, SingleCarrier, read_sigmf, write_cf32


def test_a_number_stays_until_frames_would_be_taken_for_each_other() -> None:
    identity = Identity(5)
    headers = [BurstHeader(sequence=i % 256, height=8, width=8) for i in range(600)]
    assert {identity.stamp(one).transmission for one in headers} == {identity.number}
    first = identity.number
    assert identity.stamp(headers[599]).transmission == identity.number != first  # number 87 twice in a row
    given = BurstHeader(transmission=9)
    assert [identity.stamp(given) for _ in range(2)] == [given, given]


def test_numbers_are_those_of_the_seed_and_others_each_time_without_one() -> None:
    one, other = Identity(5), Identity(5)
    assert one.number == other.number
    one.renew()
    assert one.number != other.number
    other.renew()
    assert one.number == other.number
    assert len({Identity().number for _ in range(20)}) == 20
    for seed in (0.5, 1 << 63):
        with pytest.raises(ValueError, match="seed="):
            Identity(seed)  # type: ignore[arg-type]


class Level:
    """A codec whose images have one level all over, and whose symbols all say which."""

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        level = round(float(np.mean(symbols[n0 < 1e8].real)) * 100)
        assert np.abs(symbols[n0 < 1e8] - level / 100).max() < 0.05
        return DecodedImage(np.full((header.height, header.width, 3), level, np.uint8), False, "level")


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., NDArray[np.complex64]]:
    """The samples of two images of levels, in two segments each of which one or none is lost."""

    def make(seed: int, *levels: int) -> NDArray[np.complex64]:
        transmitter = FileTransmitter(tmp_path / "x.sigmf-meta", SingleCarrier(), seed=seed)
        for sequence, level in enumerate(levels):
            header = BurstHeader(codec=2, height=6, width=7, sequence=sequence)
            transmitter.send(header, np.full(5000, level / 100, np.complex64))
        transmitter.close()
        return read_sigmf(tmp_path / "x").samples

    return make


def test_two_transmissions_in_one_recording_and_in_one_folder(
    record: Callable[..., NDArray[np.complex64]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each lacks another segment of its image 0: what is left of both would make one image."""
    monkeypatch.setattr(apps, "_open_coder", lambda *_: Level())
    one, other, third = record(1, 100, 60), record(2, 140, 80), record(3, 120)
    quiet = np.flatnonzero(np.convolve(np.abs(one) < 1e-6, np.ones(200), "valid") == 200)
    gaps = quiet[np.flatnonzero(np.diff(quiet, prepend=-2) > 1)]  # where silence begins: ahead, and after each burst
    one[gaps[0] : gaps[1]] = 0
    other[gaps[1] : gaps[2]] = 0
    write_cf32(tmp_path / "a.cf32", np.concatenate([one, other]))
    write_cf32(tmp_path / "b.cf32", third)
    told = []
    for name in ("a", "b"):
        apps.main(["receive", "--radio", "file", "--file", str(tmp_path / f"{name}.cf32"), "--out", str(tmp_path / "r"),
                   "--json"])  # fmt: skip
        told += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    images = [line for line in told if line["label"] == "received"]
    numbers = [Identity(seed).number for seed in (1, 2, 3)]
    found = [(one["transmission"], one["sequence"], one["lost"]) for one in images]
    assert sorted(found) == sorted(
        [(numbers[0], 0, 1), (numbers[0], 1, 0), (numbers[1], 0, 1), (numbers[1], 1, 0), (numbers[2], 0, 0)]
    )
    assert len({one["path"] for one in images}) == len(list((tmp_path / "r").glob("*.png"))) == 5
    from PIL import Image

    levels = {(one["transmission"], one["sequence"]): Image.open(one["path"]).getpixel((0, 0))[0] for one in images}
    assert [levels[number, i] for number, i in zip(numbers, (0, 0, 0), strict=True)] == [100, 140, 120]
    seen = next(line for line in told if line["label"] == "seen")
    assert (seen["frames"], seen["segments"], seen["missing"]) == (4, 6, 2)
    assert {(one["transmission"], one["sequence"], one["missing"]) for one in seen["latest"]} == set(found[:4])


def test_a_name_says_of_which_transmission_it_is() -> None:
    assert file_name(3, "a", 0xC0FFEE) == "0003-a-c0ffee.png"
    assert file_name(3, "", 0xFF) == "0003-0000ff.png"
    assert file_name(3, "", 0) == "0003.png"
    told = {"label": "x", "name": "a", "width": 4, "height": 5, "psnr_db": np.nan}
    assert describe({**told, "transmission": 0xFF}) == "x: a, 4x5, transmission 0000ff"
    assert describe({**told, "transmission": 0}) == "x: a, 4x5"


def test_a_started_transmitter_begins_another_transmission(run_radio: Callable[..., Any]) -> None:
    """With the numbers of its seed; a frame that comes with a number keeps it."""
    heard, sent, told = run_radio("""
        from semlink.flowgraphs.radio.blocks import ofdm_tx, ofdm_rx
        from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, received_of
        from semlink.phy.waveform.header import BurstHeader
        tx, rx, frames, sent = ofdm_tx(idle=False, seed=4), ofdm_rx(), Probe(), Probe()
        top = gr.top_block()
        top.connect(tx, rx)
        top.msg_connect(rx, "frames", frames, "in")
        top.msg_connect(tx, "sent", sent, "in")
        for run in range(2):
            top.start()
            for header in (BurstHeader(sequence=run), BurstHeader(sequence=run), BurstHeader(transmission=77)):
                done = len(frames.got)
                post(tx, "frames", frame_pdu(header, gaussian(300)))
                wait(lambda: len(frames.got) > done)
            top.stop(); top.wait()
            rx.receiver = type(rx.receiver)(rx.receiver.bursts.waveform)
        print(json.dumps([[received_of(one).header.transmission for one in frames.got],
                          [pmt.to_python(one)["transmission"] for one in sent.got], rx.seen.line()]))
    """)
    identity, expected = Identity(4), []
    for _ in range(2):
        for _ in range(2):
            expected.append(identity.number)
            identity.renew()
        expected.append(77)
    assert heard == sent == expected
    assert told == "no samples"


def test_a_receiver_tells_what_it_has_seen(tmp_path: Path, run_radio: Callable[..., Any]) -> None:
    """As a property, and as a line in the log when it stops."""
    code = """
        from semlink.flowgraphs.radio.blocks import burst_rx, ofdm_rx
        from semlink.flowgraphs.radio.stations import frame_samples
        from semlink.phy.waveform import BurstHeader, SingleCarrier
        import os
        parts = frame_samples(SingleCarrier(), BurstHeader(height=10, width=10), gaussian(900), segment=300)
        samples = np.concatenate([parts[0], parts[2], np.zeros(60000, np.complex64)])
        sys.stdout.flush(); log = os.dup(1); os.dup2(os.open("LOG", os.O_CREAT | os.O_WRONLY), 1)
        lines = []
        for rx in (burst_rx(patience=40000), ofdm_rx()):
            top, source = gr.top_block(), blocks.vector_source_c(samples.tolist())
            top.connect(source, rx)
            top.run()
            lines.append(rx.seen.line())
        time.sleep(0.5)
        os.dup2(log, 1)
        print(json.dumps(lines))
    """.replace("LOG", str(tmp_path / "log"))
    heard, other = run_radio(code)
    assert "2 bursts found" in heard
    assert heard.endswith("1 of 3 segments missing")
    log = (tmp_path / "log").read_text()
    assert f"burst_rx: seen: {heard}" in log
    assert f"ofdm_rx: no frame was received: {other}" in log
    assert "headers can be read as a single carrier of 4 samples per symbol" in log


def test_a_sink_compares_with_the_picture_of_the_same_transmission(
    run_radio: Callable[..., Any], tmp_path: Path
) -> None:
    """And with every one that was posted before its turn came, though ports have no common order."""
    names, psnr, files, drawn, overtaken = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import image_sink, image_source
        from semlink.flowgraphs.radio.pmt_pdus import image_of, image_pdu
        import os
        sink, shown, images = image_sink(folder="{tmp_path}"), Probe(), Probe()
        top = gr.top_block()
        top.msg_connect(sink, "shown", shown, "in")
        picture = lambda level: np.full((4, 5, 3), level, np.uint8)
        top.start()
        for number, level, name in ((1, 10, "one"), (2, 200, "two"), (0, 90, "old")):
            meta = {{"sequence": 0 if number else 1, "name": name}} | ({{"transmission": number}} if number else {{}})
            post(sink, "references", image_pdu(picture(level), meta))
        for number, sequence, level in ((2, 0, 200), (1, 0, 10), (3, 0, 10), (3, 1, 90)):
            done = len(shown.got)
            post(sink, "images", image_pdu(picture(level), {{"transmission": number, "sequence": sequence}}))
            wait(lambda: len(shown.got) > done)
        top.stop(); top.wait()
        told = [image_of(one)[0] for one in shown.got]
        source, drawn = image_source(seed=8, count=2), []
        for run in range(2):
            top, images = gr.top_block(), Probe()
            top.msg_connect(source, "images", images, "in")
            top.start(); wait(lambda: images.got); top.stop(); top.wait()
            drawn.append(image_of(images.got[0])[0]["transmission"])
        sink = image_sink()
        for level in (10, 20):
            post(sink, "references", image_pdu(picture(level), {{"sequence": level}}))
        sink._take(image_pdu(picture(20), {{"sequence": 20}}))  # as if GNU Radio had served this port first
        print(json.dumps([[one["text"].split()[1].strip(",") for one in told], [str(one["psnr_db"]) for one in told],
                          sorted(os.listdir("{tmp_path}")), drawn, str(sink.psnr_db)]))
    """)
    assert names == ["two", "one", "image", "old"]
    assert psnr == ["inf", "inf", "nan", "inf"]
    assert overtaken == "inf"
    assert files == ["0001-two-000002.png", "0002-one-000001.png", "0003-image-000003.png", "0004-old-000003.png"]
    identity = Identity(8)
    first = identity.number
    identity.renew()
    assert drawn == [first, identity.number]


def test_an_encoder_passes_the_number_on(run_radio: Callable[..., Any]) -> None:
    """From the picture's PDU over what waits for the worker to the frame's."""
    asked, told = run_radio("""
        from semlink.flowgraphs.protocol import encoded_reply
        from semlink.flowgraphs.radio.blocks import jscc_encoder
        from semlink.flowgraphs.radio.pmt_pdus import frame_of, image_pdu
        from semlink.phy.waveform import BurstHeader
        encoder, frames, top = jscc_encoder(sender=3), Probe(), gr.top_block()
        asked = []
        encoder.errands.ask = lambda request, context: asked.append(context)
        top.msg_connect(encoder, "frames", frames, "in")
        top.start()
        for meta in ({"transmission": 7, "sequence": 1}, {}):
            post(encoder, "images", image_pdu(np.zeros((4, 5, 3), np.uint8), meta))
        wait(lambda: len(asked) == 2)
        encoder._publish(encoded_reply(BurstHeader(codec=2, symbols=4), gaussian(4)), asked[0])
        wait(lambda: frames.got)
        top.stop(); top.wait()
        header = frame_of(frames.got[0])[0]
        print(json.dumps([asked, [header.codec, header.sender, header.transmission, header.sequence]]))
    """)
    assert asked == [{"transmission": 7, "sequence": 1}, {"transmission": 0, "sequence": 1}]
    assert told == [2, 3, 7, 1]
