"""`semlink radio`, over a file, over the air of a socket, and with a receiver under GNU Radio's Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import DecodedImage, EncodedImage, WorkerError
from semlink.flowgraphs.radio import apps
from semlink.flowgraphs.radio.image_files import load_picture
from semlink.flowgraphs.radio.recordings import read_recording
from semlink.phy.waveform import BurstHeader, OfdmWaveform, SingleCarrier, Waveform

WAVEFORMS: dict[str, Waveform] = {"sc": SingleCarrier(), "ofdm": OfdmWaveform()}


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
    monkeypatch.setattr(apps, "_open_coder", lambda *_: Pixels())


def images_of(out: str) -> list[dict[str, Any]]:
    """The lines of JSON but for the last, which tells what was seen."""
    *told, seen = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines() if line.startswith("{")]
    assert {one["label"] for one in told} <= {"received"}
    assert (seen["label"], seen["images"]) == ("seen", len(told))
    return told


TRANSMIT = ["transmit", "samples", "--size", "40x30", "--ratio", "1/2", "--esno", "12", "--sender", "9", "--seed", "1"]
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
    told = images_of(capsys.readouterr().out)
    assert [one["name"] for one in told] == ["astronaut", "chelsea", "coffee"] * 2
    assert [one["sequence"] for one in told] == list(range(6))
    assert all(float(one["psnr_db"]) > 45 for one in told)  # "Infinity" of a picture without an error
    assert all(one["sender"] == 9 and not one["lost"] for one in told)
    assert load_picture(Path(told[3]["path"])).shape == (30, 40, 3)
    noisy = ["--esno", "20", "--cfo", "1e-3", "--ppm", "20", "--count", "3"]
    apps.main([*RECEIVE, *link, "--out", str(tmp_path), *noisy])
    told = images_of(capsys.readouterr().out)
    assert len(told) == 3
    # N0/2 on each axis, in steps of which the image's range is 2·sqrt(1.5): 20 + 10·log10(2·4·1.5) dB, less clipping.
    assert all(29.5 < one["psnr_db"] < 33.5 for one in told)
    assert all(one["esno_db"] == pytest.approx(20, abs=0.7) for one in told)


@pytest.mark.usefixtures("coder")
def test_images_through_the_air_of_a_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    link = ["--radio", "sim", "--air", f"tcp://127.0.0.1:{free_port()}"]
    sender = threading.Thread(target=apps.main, args=([*TRANSMIT, *link],), daemon=True)
    sender.start()
    words = ["--esno", "30", "--taps", "0.5j"]
    apps.main([*RECEIVE, *link, "--out", str(tmp_path), *words])
    sender.join(60)
    told = images_of(capsys.readouterr().out)
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
    (one,) = images_of(out)
    assert one["psnr_db"] is None  # NaN is no JSON
    assert json.loads(out.splitlines()[-1])["undecoded"] == {"codec 'user:48'": 1, "queue is full": 1}


def test_what_a_worker_or_a_radio_raises_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `semlink radio` as well, which knows values and files alone."""
    for error in (WorkerError("no answer"), ImportError("no module gnuradio.uhd")):
        monkeypatch.setattr(apps, "_open_coder", lambda *_, error=error: _throw(error))
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
    assert len(list(blocks.glob("semlink_*.block.yml"))) == 15
    assert "loopback_single_carrier.grc" in {path.name for path in examples.iterdir()}


def test_the_guide_names_what_there_is() -> None:
    """Its commands parse, and every block and flowgraph has its place in it."""
    folder = Path(apps.grc_path()).parent
    guide = (folder / "README.md").read_text()
    commands = re.findall(r"(?:semlink radio|-m semlink\.flowgraphs\.radio) ((?:transmit|receive) [^&\n]*)", guide)
    assert len(commands) == 7
    for command in commands:
        assert apps._parser("semlink radio").parse_args(command.split()).command in (apps.transmit, apps.receive)
    for path in folder.glob("grc/semlink_*.yml"):
        assert f"`{path.name.removeprefix('semlink_').removesuffix('.block.yml')}`" in guide
    for path in folder.glob("examples/*.grc"):
        assert f"`{path.stem}`" in guide
        assert f"pictures/{path.stem}.png" in guide


@pytest.mark.slow
def test_transmit_and_receive_over_the_simulated_link(
    worker: str, tmp_path: Path, radio_python: str, radio_environment: dict[str, str], free_port: Callable[[], int]
) -> None:
    """The transmitter under one Python, the receiver under the other."""
    air = f"tcp://127.0.0.1:{free_port()}"
    link = ["--radio", "sim", "--air", air, "--worker", worker, "--waveform", "ofdm"]
    sender = subprocess.Popen(
        [sys.executable, "-m", "semlink.flowgraphs", "radio", "transmit", "samples", *link, "--codec", "deepjscc"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    words = [
        "receive",
        *link,
        "--out",
        str(tmp_path),
        "--reference",
        "samples",
        "--json",
        "--esno",
        "15",
        "--ppm",
        "10",
    ]
    try:
        done = subprocess.run(
            [radio_python, "-m", "semlink.flowgraphs.radio", *words],
            capture_output=True, text=True, env=radio_environment, timeout=300,
        )  # fmt: skip
        sent, _ = sender.communicate(timeout=120)
    finally:
        sender.kill()  # which would wait for a receiver for ever
    assert done.returncode == 0, done.stderr
    told = images_of(done.stdout)
    assert [one["name"] for one in told] == ["astronaut", "chelsea", "coffee"]
    assert all(one["codec"] == "deepjscc" and one["psnr_db"] > 24 and not one["lost"] for one in told)
    assert len(sent.splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{i:04d}-{one['name']}-{one['transmission']:06x}.png" for i, one in enumerate(told, 1)
    ]
