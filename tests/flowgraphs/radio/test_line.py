"""What the radio side does without GNU Radio: the line, stations, recordings, pictures and the commands."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import DecodedImage, EncodedImage, Pdu, WorkerError, encode_request, read_encoded
from semlink.flowgraphs.radio import apps
from semlink.flowgraphs.radio.errands import IN_PROCESS, Errands
from semlink.flowgraphs.radio.image_files import (
    describe,
    find_pictures,
    load_picture,
    parse_size,
    squared_error,
    to_psnr_db,
)
from semlink.flowgraphs.radio.line import Line, parse_taps, to_n0
from semlink.flowgraphs.radio.recordings import read_recording, recording_of, write_recording
from semlink.flowgraphs.radio.stations import FrameReceiver, frame_samples, tail
from semlink.phy import metrics
from semlink.phy.waveform import BurstHeader, Loopback, OfdmWaveform, ReceivedBurst, SingleCarrier, Waveform

WAVEFORMS: dict[str, Waveform] = {"sc": SingleCarrier(), "ofdm": OfdmWaveform()}


def gaussian(n: int, seed: int = 0) -> NDArray[np.complex64]:
    axes = np.random.default_rng(seed).standard_normal((n, 2)) * np.sqrt(0.5)
    return (axes @ [1, 1j]).astype(np.complex64)


def smooth(n: int) -> NDArray[np.complex64]:
    """Noise within a third of the band, as an interpolator wants it."""
    spectrum = np.fft.fft(gaussian(n))
    spectrum[n // 6 : -n // 6] = 0
    return np.fft.ifft(spectrum).astype(np.complex64)


def in_pieces(line: Line, samples: NDArray[Any], seed: int) -> NDArray[np.complex64]:
    rng, out, start = np.random.default_rng(seed), [], 0
    while start < len(samples):
        count = int(rng.integers(0, 3000))
        out.append(line.push(samples[start : start + count]))
        start += count
    return np.concatenate(out)


# The line


@pytest.mark.parametrize(
    "options",
    [
        Loopback(),
        Loopback(delay=3.0, gain_db=-6.0, dc=0.1j, phase=2.0),
        Loopback(cfo=1e-3, ppm=50, delay=17.25, phase=1.0, taps=(1, 0, 0.3 - 0.2j)),
        Loopback(cfo=-0.01, ppm=-80),
    ],
)
def test_a_stream_gives_what_the_loopback_gives_of_all_of_it(options: Loopback) -> None:
    samples = smooth(60_000)
    whole = options(samples, rng=np.random.default_rng(0))
    for seed in (1, 2):
        got = in_pieces(Line(options), samples, seed)
        assert len(got) > len(whole) - 60
        np.testing.assert_allclose(got, whole[: len(got)], atol=2e-4)


def test_a_line_adds_the_noise_it_says() -> None:
    n = 200_000
    got = in_pieces(Line(Loopback(n0=0.25), seed=3), np.zeros(n), 1)
    energy = float(np.mean(np.abs(got) ** 2))
    error = 0.25 / np.sqrt(len(got))  # of the mean of exponentially distributed energies
    assert abs(energy - 0.25) < 4 * error
    assert abs(energy - 0.25 * 10**0.02) > 4 * error  # 0.2 dB would be seen
    other = in_pieces(Line(Loopback(n0=0.25), seed=4), np.zeros(n), 1)
    assert abs(np.mean(got[: len(other)] * other[: len(got)].conj())) < 4 * error


def test_a_change_leaves_carrier_and_clock_without_a_jump() -> None:
    tone, line = np.ones(40_000, dtype=np.complex64), Line(Loopback(cfo=1e-3))
    first = line.push(tone[:20_000])
    line.set(cfo=-2e-3, n0=0.0)
    turned = np.angle(np.concatenate([first, line.push(tone[20_000:])])[100:])
    steps = np.abs(np.diff(np.unwrap(turned))) / (2 * np.pi)
    assert np.minimum(np.abs(steps - 1e-3), np.abs(steps - 2e-3)).max() < 1e-5
    assert steps.min() < 1.1e-3 < 1.9e-3 < steps.max()
    line.set(ppm=100)
    ramp = np.cumsum(np.full(5000, 1e-3)).astype(np.complex64)
    quiet = Line(Loopback())
    before = quiet.push(ramp[:2500])
    quiet.set(ppm=100)
    clock = np.diff(np.concatenate([before, quiet.push(ramp[2500:])])[50:].real)
    assert 0.99e-3 < clock.min() < clock.max() < 1.01e-3


def test_a_line_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"cfo=0.7 must be from -0.5 to 0.5"):
        Line(Loopback()).set(cfo=0.7)
    with pytest.raises(ValueError, match="taps='1;2' must be numbers between commas"):
        parse_taps("1;2")
    assert parse_taps("1, 0, 0.2 - 0.1j") == (1, 0, 0.2 - 0.1j)
    assert to_n0(10) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="esno_db=300 must be from -50 to 200 dB"):
        to_n0(300)


# Stations


@pytest.mark.parametrize("kind", WAVEFORMS)
@pytest.mark.parametrize("late", [0, 1777, 9001])
def test_the_silence_behind_a_burst_is_enough_to_have_it_out(kind: str, late: int) -> None:
    """Nothing else ends a stream under GNU Radio."""
    waveform, sent = WAVEFORMS[kind], gaussian(700)
    samples = frame_samples(waveform, BurstHeader(height=10, width=70), sent, segment=300)
    receiver = FrameReceiver(waveform)
    silence = np.zeros(late, dtype=np.complex64)
    (frame,) = receiver.push(np.concatenate([silence, *samples, np.zeros(tail(waveform), dtype=np.complex64)]))
    assert (frame.lost, frame.header.segments) == (0, 3)
    assert np.abs(frame.symbols - sent).max() < 0.02


def test_a_frame_that_lacks_a_segment_is_given_up_after_patience() -> None:
    waveform = SingleCarrier()
    samples = frame_samples(waveform, BurstHeader(height=10, width=70), gaussian(700), segment=300)
    heard: list[ReceivedBurst] = []
    receiver = FrameReceiver(waveform, patience=50_000, heard=heard.append)
    piece = np.zeros(10_000, dtype=np.complex64)
    assert receiver.push(np.concatenate(samples[:2])) == []
    frames = [len(receiver.push(piece)) for _ in range(8)]
    assert sum(frames) == 1
    assert frames.index(1) >= 4
    assert [burst.header.segment for burst in heard] == [0, 1]
    with pytest.raises(ValueError, match="patience=0 must be 1 or more"):
        FrameReceiver(waveform, patience=0)


def test_a_burst_that_lasts_longer_than_patience_is_no_silence() -> None:
    waveform, sent = SingleCarrier(), gaussian(9000)
    samples = frame_samples(waveform, BurstHeader(height=10, width=900), sent, segment=4500)
    assert len(samples[1]) > 15_000
    receiver = FrameReceiver(waveform, patience=8_000)
    stream = np.concatenate([*samples, np.zeros(tail(waveform), dtype=np.complex64)])
    (frame,) = [frame for i in range(0, len(stream), 1000) for frame in receiver.push(stream[i : i + 1000])]
    assert (frame.lost, frame.header.segments) == (0, 2)


def test_a_transmitter_that_starts_again_is_heard_again() -> None:
    """With the numbers it began with before, and another image."""
    waveform, silence = SingleCarrier(), np.zeros(60_000, dtype=np.complex64)
    receiver = FrameReceiver(waveform, patience=50_000)
    header, got = BurstHeader(height=10, width=50), []
    for seed in (0, 1):
        burst = np.concatenate(frame_samples(waveform, header, gaussian(500, seed)))
        got += [*receiver.push(np.concatenate([burst, silence])), *receiver.push(silence)]
    assert len(got) == 2
    for seed in (0, 1):
        assert np.abs(got[seed].symbols - gaussian(500, seed)).max() < 0.02


# Files


@pytest.mark.parametrize("name", ["a.cf32", "b.sigmf-meta", "c.sigmf"])
def test_a_recording_comes_back(name: str, tmp_path: Path) -> None:
    sent = recording_of(gaussian(100), rate_hz=2e6, carrier_hz=0, waveform="SingleCarrier")
    write_recording(tmp_path / "deeper" / name, sent)
    got = read_recording(tmp_path / "deeper" / name)
    np.testing.assert_array_equal(got.samples, sent.samples)
    if "sigmf" in name:
        assert (got.rate_hz, got.carrier_hz) == (2e6, None)
        assert got.info == {"semlink:waveform": "SingleCarrier"}
    with pytest.raises(ValueError, match=r"recording 'x.wav' must end in one of: .cf32"):
        read_recording("x.wav")


def test_pictures(tmp_path: Path) -> None:
    paths = find_pictures("samples")
    assert [path.stem for path in paths] == ["astronaut", "chelsea", "coffee"]
    assert find_pictures(f"{paths[2]}; {paths[0].parent}") == [paths[2], *paths]
    assert load_picture(paths[0], (40, 30)).shape == (30, 40, 3)
    for word, said in ((f"{tmp_path}/none.png", "no such file"), (str(tmp_path), "holds no image"), ("", "must")):
        with pytest.raises(ValueError, match=said):
            find_pictures(word)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad.png: not a readable image"):
        load_picture(tmp_path / "bad.png")
    for text in ("12", "0x5", "axb", "99999x2"):
        with pytest.raises(ValueError, match=f"size='{text}' must be WIDTHxHEIGHT"):
            parse_size(text)


def test_psnr_is_that_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2))
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None] / 255 for image in (one, two)]
    assert to_psnr_db(squared_error(one, two)) == pytest.approx(metrics.psnr(*tensors), abs=1e-9)
    assert to_psnr_db(squared_error(one, one)) == np.inf
    assert squared_error(one, two[:5]) == np.inf
    told = {"label": "a", "name": "b", "sequence": 3, "width": 4, "height": 5, "codec": "swin", "psnr_db": 30.0}
    assert describe(told) == "a: b 3, 4x5, swin, PSNR 30.00 dB"
    assert describe({**told, "psnr_db": float("nan"), "lost": 1, "segments": 2, "failed": True}) == (
        "a: b 3, 4x5, swin, 1 of 2 segments lost, failed"
    )


# Errands


class EchoLine:
    """Answers with an error, or not at all, what an errand asks."""

    def __init__(self) -> None:
        self.asked: list[Pdu] = []
        self.closed = False

    def submit(self, pdu: Pdu) -> int:
        self.asked.append(pdu)
        return 1

    def poll(self, timeout_s: float = 0.0) -> Pdu | None:
        threading.Event().wait(0.01)
        if self.asked:
            return Pdu({**self.asked.pop(0).meta, "id": 1})
        return None

    def close(self) -> None:
        self.closed = True


def test_an_errand_brings_the_answer_and_what_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line, got, arrived = EchoLine(), [], threading.Event()
    monkeypatch.setattr("semlink.flowgraphs.radio.errands.open_line", lambda address: line)

    def deliver(answer: Pdu, context: str) -> None:
        got.append((answer.meta["op"], context))
        arrived.set()

    errands = Errands("tcp://127.0.0.1:5", deliver)
    with pytest.raises(RuntimeError, match="is closed"):
        errands.ask(Pdu({"op": "status"}), "too early")
    errands.start()
    errands.ask(Pdu({"op": "status"}), "context")
    assert arrived.wait(10)
    errands.stop()
    assert got == [("status", "context")]
    assert line.closed
    with pytest.raises(ValueError, match="address='nowhere'"):
        Errands("nowhere", deliver)


def test_a_worker_in_the_same_process_serves_what_waits() -> None:
    image = load_picture(find_pictures("samples")[0], (32, 32))
    got: dict[str, Pdu] = {}
    arrived = threading.Semaphore(0)

    def deliver(answer: Pdu, context: str) -> None:
        got[context] = answer
        arrived.release()

    errands = Errands(IN_PROCESS, deliver)
    errands.start()
    errands.ask(encode_request(image, codec="deepjscc", ratio=1 / 6, esno_db=20), "good")
    errands.ask(encode_request(image, codec="nothing", ratio=1 / 6, esno_db=20), "bad")
    assert arrived.acquire(timeout=60)
    assert arrived.acquire(timeout=60)
    errands.stop()
    assert read_encoded(got["good"]).header.symbols == 512
    assert got["bad"].meta["op"] == "error"
    assert "nothing" in str(got["bad"].meta["message"])


# Commands


class Pixels:
    """A codec in NumPy alone: each pair of values is a symbol."""

    def encode(self, image: NDArray[np.uint8], *, codec: str, ratio: float, esno_db: float) -> EncodedImage:
        assert (codec, ratio, esno_db) == ("swin", 0.5, 12.0)
        height, width, _ = image.shape
        symbols = (image.ravel().astype(np.float32) / 127.5 - 1).view(np.complex64) * np.float32(np.sqrt(1.5))
        return EncodedImage(BurstHeader(codec=2, height=height, width=width, symbols=len(symbols)), symbols)

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        values = (symbols / np.float32(np.sqrt(1.5))).view(np.float32)
        levels = np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)
        return DecodedImage(levels.reshape(header.height, header.width, 3), False, "swin")


@pytest.fixture
def coder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "_open_coder", lambda address: Pixels())


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{one.getsockname()[1]}"


TRANSMIT = ["transmit", "samples", "--size", "40x30", "--ratio", "1/2", "--esno", "12", "--sender", "9"]
RECEIVE = ["receive", "--reference", "samples", "--size", "40x30", "--json"]


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize("kind", WAVEFORMS)
def test_images_through_a_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without noise to within the waveform's own residue; over a line with its noise."""
    link = ["--radio", "file", "--file", str(tmp_path / "a.sigmf-meta"), "--waveform", kind]
    apps.main([*TRANSMIT, *link, "--repeat", "2"])
    assert capsys.readouterr().out.splitlines()[4] == "sent: chelsea 4, 40x30, swin, 1800 symbols"
    assert read_recording(tmp_path / "a.sigmf-meta").rate_hz == 1e6
    apps.main([*RECEIVE, *link, "--out", str(tmp_path)])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in told] == ["astronaut", "chelsea", "coffee"] * 2
    assert [one["sequence"] for one in told] == list(range(6))
    assert all(one["psnr_db"] is None or one["psnr_db"] > 45 for one in told)  # null of a picture without an error
    assert all(one["sender"] == 9 and not one["lost"] for one in told)
    assert load_picture(Path(told[3]["path"])).shape == (30, 40, 3)
    noisy = ["--esno", "20", "--cfo", "1e-3", "--ppm", "20", "--count", "3"]
    apps.main([*RECEIVE, *link, "--out", str(tmp_path), *noisy])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 3
    # N0/2 on each axis, in steps of which the image's range is 2·sqrt(1.5): 20 + 10·log10(2·4·1.5) dB, less clipping.
    assert all(29.5 < one["psnr_db"] < 33.5 for one in told)
    assert all(one["esno_db"] == pytest.approx(20, abs=0.7) for one in told)


@pytest.mark.usefixtures("coder")
def test_images_through_the_air_of_a_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = ["--radio", "sim", "--air", free_address()]
    sender = threading.Thread(target=apps.main, args=([*TRANSMIT, *link],), daemon=True)
    sender.start()
    words = ["--esno", "30", "--taps", "0.5j", "--seconds", "60"]
    apps.main([*RECEIVE, *link, "--out", str(tmp_path), *words])
    sender.join(60)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [one["name"] for one in told] == ["astronaut", "chelsea", "coffee"]
    assert all(one["esno_db"] == pytest.approx(24, abs=0.7) for one in told)  # half the amplitude, the same noise


@pytest.mark.usefixtures("coder")
def test_an_image_that_cannot_be_decoded_is_told_and_others_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service in the same process refuses by a ValueError, a worker by an error of its own."""
    link = ["--radio", "file", "--file", str(tmp_path / "a.cf32")]
    apps.main([*TRANSMIT, *link])
    decode = Pixels.decode
    refusals = [ValueError("codec 'user:48'"), WorkerError("queue is full")]

    def refuse(self: Pixels, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        if header.sequence < len(refusals):
            raise refusals[header.sequence]
        return decode(self, header, symbols, n0)

    monkeypatch.setattr(Pixels, "decode", refuse)
    capsys.readouterr()
    apps.main(["receive", *link, "--json", "--out", str(tmp_path)])
    out, told = capsys.readouterr()
    assert told.splitlines() == ["semlink: codec 'user:48'", "semlink: queue is full"]
    (line,) = out.splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["psnr_db"] is None  # NaN is no JSON


def test_what_a_worker_or_a_radio_raises_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `semlink radio` as well, which knows values and files alone."""
    for error in (WorkerError("no answer"), ImportError("no module gnuradio.uhd")):
        monkeypatch.setattr(apps, "_open_coder", lambda address, error=error: _throw(error))
        with pytest.raises(ValueError, match=str(error)):
            apps.run(["transmit", "samples", "--radio", "file", "--file", str(tmp_path / "a.cf32")], name="x")
        with pytest.raises(SystemExit):
            apps.main(["transmit", "samples", "--radio", "file", "--file", str(tmp_path / "a.cf32")])
        assert capsys.readouterr().err == f"semlink: error: {error}\n"


def _throw(error: Exception) -> None:
    raise error


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transmit", "nowhere.png"], "image nowhere.png: no such file or folder"),
        (["transmit", "samples", "--radio", "file", "--file", "a.wav"], "recording 'a.wav' must end in"),
        ([*TRANSMIT[:4], "--ratio", "x", "--radio", "file", "--file", "a.cf32"], "ratio='x' must be a number"),
        (["transmit", "samples", "--sps", "1", "--radio", "file"], "samples_per_symbol=1 must be from 2"),
        (["receive", "--radio", "file", "--file", "nowhere.cf32"], "nowhere.cf32"),
        (["receive", "--radio", "sim", "--taps", "a"], "taps='a' must be numbers"),
        (["receive", "--radio", "sim", "--air", "nowhere"], "address='nowhere'"),
        (["receive", "--radio", "sim", "--air", "tcp://127.0.0.1:9", "--seconds", "0.3"], "no image was received"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        apps.main(words)
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert said in text
    assert len(text.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_paths_that_gnuradio_needs(capsys: pytest.CaptureFixture[str]) -> None:
    apps.main(["grc-path"])
    apps.main(["examples-path"])
    blocks, examples = (Path(line) for line in capsys.readouterr().out.splitlines())
    assert len(list(blocks.glob("semlink_*.block.yml"))) == 14
    assert "loopback_single_carrier.grc" in {path.name for path in examples.iterdir()}


def test_the_guide_names_what_there_is() -> None:
    """Its commands parse, and every block and flowgraph has its place in it."""
    folder = Path(apps.grc_path()).parent
    guide = (folder / "README.md").read_text()
    commands = re.findall(r"(?:semlink radio|-m semlink\.flowgraphs\.radio) ((?:transmit|receive) [^&\n]*)", guide)
    assert len(commands) == 6
    for command in commands:
        assert apps._parser("semlink radio").parse_args(command.split()).command in (apps.transmit, apps.receive)
    for path in folder.glob("grc/semlink_*.yml"):
        assert f"`{path.name.removeprefix('semlink_').removesuffix('.block.yml')}`" in guide
    for path in folder.glob("examples/*.grc"):
        assert f"`{path.stem}`" in guide
        assert f"pictures/{path.stem}.png" in guide
