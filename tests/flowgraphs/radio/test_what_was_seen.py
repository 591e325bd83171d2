"""What `semlink radio receive` says of recordings in which there is no image, or not all of one."""

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
from semlink.flowgraphs.radio.stations import frame_samples
from semlink.phy.waveform import (
    BurstHeader,
    Loopback,
    OfdmWaveform,
    Recording,
    Samples,
    SingleCarrier,
    Waveform,
    resample,
    write_cf32,
    write_sigmf,
)

SINGLE, OFDM = SingleCarrier(), OfdmWaveform()
GOLDEN = Path(__file__).parents[2] / "phy" / "waveform" / "golden"


class Grey:
    """A codec that decodes to grey, and knows its number alone."""

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        if header.codec != 2:
            raise ValueError(f"codec={header.codec} must be 2")
        return DecodedImage(np.full((header.height, header.width, 3), 128, np.uint8), False, "swin")


@pytest.fixture(autouse=True)
def coder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "_open_coder", lambda *_: Grey())


@pytest.fixture
def bursts(gaussian: Callable[..., NDArray[np.complex64]]) -> Callable[..., NDArray[np.complex64]]:
    """A frame of three segments at 20 dB between silence, as far as `keep` has them."""

    def make(
        waveform: Waveform = SINGLE,
        *,
        codec: int = 2,
        height: int = 8,
        keep: tuple[int, ...] = (0, 1, 2),
        **line: float,
    ) -> NDArray[np.complex64]:
        header = BurstHeader(codec=codec, height=height, width=8)
        parts = frame_samples(waveform, header, gaussian(1200), segment=400)
        silence = np.zeros(600, np.complex64)
        sent = np.concatenate([silence, *(parts[i] for i in keep), silence])
        return Loopback(n0=0.01, **line)(sent, rng=np.random.default_rng(1))

    return make


@pytest.fixture
def listen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """What is said of samples when no image was received, as a line and as data."""

    def run(samples: Samples | Path, *words: str) -> tuple[str, dict[str, Any]]:
        path = samples if isinstance(samples, Path) else tmp_path / "a.cf32"
        if not isinstance(samples, Path):
            write_cf32(path, samples)
        command = ["receive", "--radio", "file", "--file", str(path), "--out", str(tmp_path), *words]
        with pytest.raises(SystemExit) as end:
            apps.main(command)
        assert end.value.code == 2
        out, said = capsys.readouterr()
        assert out == ""
        (line,) = (one for one in said.splitlines() if "error" in one)
        with pytest.raises(SystemExit):
            apps.main([*command, "--json"])
        data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert (data["label"], data["images"]) == ("seen", 0)
        prefix = "semlink: error: radio file: no image was received: "
        assert line.startswith(prefix)
        return line.removeprefix(prefix), data

    return run


Listen = Callable[..., tuple[str, dict[str, Any]]]
Bursts = Callable[..., NDArray[np.complex64]]


def test_nothing_at_all(listen: Listen) -> None:
    assert listen(np.zeros(0))[0] == "no samples"
    line, data = listen(np.zeros(5000))
    assert line == "5000 samples that are all 0, 0 bursts found"
    assert (data["samples"], data["level_db"], data["bursts"], data["cfo"]) == (5000, "-Infinity", 0, None)


@pytest.mark.parametrize("waveform", ["sc", "ofdm"])
def test_noise_and_a_tone(listen: Listen, gaussian: Callable[..., NDArray[np.complex64]], waveform: str) -> None:
    noise = 0.1 * gaussian(70_000)
    line, data = listen(noise, "--waveform", waveform)
    assert "70000 samples at -20.0 dB, peak" in line
    assert "clipping unknown, 0 bursts found, its spectrum is flat, as that of noise" in line
    assert (data["bursts"], data["clipped"], data["rate_hz"]) == (0, None, None)
    tone = np.exp(0.2j * np.pi * np.arange(9_000)) + noise[:9_000]
    assert "99 % of its energy is a tone at +0.100 cycles per sample" in listen(tone, "--waveform", waveform)[0]
    assert "99 % of its energy is a constant (DC)" in listen(1 + noise[:9_000], "--waveform", waveform)[0]


@pytest.mark.parametrize(
    ("sent", "line", "words", "said"),
    [
        (OFDM, {}, ["--waveform", "sc"], "headers can be read as OFDM"),
        (SINGLE, {}, ["--waveform", "ofdm"], "headers can be read as a single carrier of 4 samples per symbol"),
        (SINGLE, {}, ["--sps", "8"], "headers can be read as a single carrier of 4 samples per symbol"),
        (SINGLE, {"cfo": 0.06}, [], "headers can be read with the carrier off by +0.0"),
        (OFDM, {"cfo": -0.15}, ["--waveform", "ofdm"], "headers can be read with the carrier off by -0."),
    ],
)
def test_a_recording_of_something_else(
    sent: Waveform, line: dict[str, float], words: list[str], said: str, listen: Listen, bursts: Bursts
) -> None:
    assert said in listen(bursts(sent, **line), *words)[0]


def test_a_recording_at_twice_the_rate_and_one_with_i_and_q_swapped(listen: Listen, bursts: Bursts) -> None:
    single, ofdm = bursts(), bursts(OFDM)
    twice = [resample(one, np.arange(2 * len(one)) / 2) for one in (single, ofdm)]
    assert "as a single carrier of 8 samples per symbol" in listen(twice[0])[0]
    assert "as OFDM at half of this sample rate" in listen(twice[1], "--waveform", "ofdm")[0]
    assert "with I and Q swapped" in listen(single.conj())[0]


def test_half_a_burst(listen: Listen, bursts: Bursts) -> None:
    one = bursts(keep=(0,))
    for left in (0.4, 0.8):  # within the header, and within the payload
        line, data = listen(one[: int(left * len(one))])
        assert "1 burst found, 1 without their end" in line
        assert (data["bursts"], data["cut"], data["headers_failed"]) == (1, 1, {})


def test_headers_that_fail(listen: Listen, bursts: Bursts, gaussian: Callable[..., NDArray[np.complex64]]) -> None:
    """Half of the header is overlaid by something else; the preamble is not."""
    one = bursts(keep=(0,))
    one[1200:2000] = gaussian(800)
    line, data = listen(np.concatenate([one, one]))
    assert "2 bursts found, 2 headers failed (checksum)" in line
    assert data["headers_failed"] == {"checksum": 2}


def test_a_recording_of_before_transmissions_had_numbers(listen: Listen) -> None:
    for name in ("sc", "ofdm"):
        line, data = listen(GOLDEN / f"version-1-{name}.sigmf-meta", "--waveform", name)
        assert "2 bursts found, 2 headers failed (version 1)" in line
        assert "headers of version 1 are of another release of semlink, and not read" in line
        assert data["headers_failed"] == {"version 1": 2}


def test_a_codec_that_is_not_there(listen: Listen, bursts: Bursts) -> None:
    line, data = listen(bursts(codec=63))
    assert "3 bursts found" in line
    assert "1 frame not decoded (codec=63 must be 2)" in line
    assert data["undecoded"] == {"codec=63 must be 2": 1}
    assert (data["segments"], data["missing"], data["latest"][0]["codec"]) == (3, 0, 63)


def test_reasons_are_bounded_and_in_one_line(listen: Listen, bursts: Bursts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's errors may be long, in several lines, and other ones each time."""

    def refuse(self: Grey, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        raise ValueError(f"frame {header.height}\n{'x' * 300}")

    monkeypatch.setattr(Grey, "decode", refuse)
    monkeypatch.setattr(apps, "_REASONS", 1)
    line, data = listen(np.concatenate([bursts(height=height) for height in (8, 9, 10)]))
    assert {why[:9]: many for why, many in data["undecoded"].items()} == {"frame 8 x": 1, "other rea": 2}
    assert max(map(len, data["undecoded"])) == 200
    assert "2 frames not decoded (other reasons)" in line


def test_offsets_in_hertz_where_the_rate_is_known(listen: Listen, bursts: Bursts, tmp_path: Path) -> None:
    samples = bursts(codec=63, cfo=1e-3, ppm=50, gain_db=-30)
    write_sigmf(tmp_path / "b", Recording(samples, rate_hz=2e6))
    line, data = listen(tmp_path / "b.sigmf-meta")
    assert "carrier off by +2000 Hz" in line
    assert "Es/N0 19." in line or "Es/N0 20." in line
    assert data["cfo_hz"]["mean"] == pytest.approx(2000, abs=20)
    assert data["clock_ppm"]["mean"] == pytest.approx(50, abs=30)
    assert data["esno_db"]["lowest"] == pytest.approx(20, abs=0.7)
    assert data["level_db"] == pytest.approx(10 * np.log10(np.mean(np.abs(samples) ** 2)), abs=1e-3)
    assert "carrier off by +0.001 cycles per sample" in listen(samples)[0]


def test_a_converter_that_is_overdriven(listen: Listen, bursts: Bursts, tmp_path: Path) -> None:
    """Of integers it is known what the largest is; of floats a plateau tells."""
    sent = bursts(codec=63, gain_db=1)
    axes = np.clip(sent.view(np.float32), -1, 1)
    share = np.mean(np.abs(axes.reshape(-1, 2)).max(axis=1) == 1)
    assert 0.005 < share < 0.1
    (tmp_path / "a.cs16").write_bytes(np.rint(axes * 32767).astype("<i2").tobytes())
    line, data = listen(tmp_path / "a.cs16")
    assert data["clipped"] == pytest.approx(share, abs=2e-4)
    assert f"peak 0.0 dB of full scale, {100 * data['clipped']:.2g} % clipped" in line
    assert listen(0.7 * axes.view(np.complex64))[1]["clipped"] == pytest.approx(share, abs=2e-4)
    assert listen(sent)[1]["clipped"] is None
    (tmp_path / "a.cs16").write_bytes(np.rint(axes[:4000] * 3276).astype("<i2").tobytes())
    assert listen(tmp_path / "a.cs16")[1]["clipped"] == 0


def test_a_level_that_is_too_weak(listen: Listen, bursts: Bursts, tmp_path: Path) -> None:
    """Bits of a converter that are hardly used."""
    (tmp_path / "a.cs8").write_bytes(np.rint(bursts(gain_db=-46).view(np.float32) * 127).astype("i1").tobytes())
    line, data = listen(tmp_path / "a.cs8")
    assert data["peak_db"] == pytest.approx(20 * np.log10(1 / 127), abs=0.01)
    assert "peak -42.1 dB of full scale, 0 % clipped" in line


def test_images_come_with_what_was_seen(bursts: Bursts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Segments that are missing are told of the image, and in all."""
    write_cf32(tmp_path / "a.cf32", np.concatenate([bursts(keep=(0, 2)), np.zeros(4000)]))
    command = ["receive", "--radio", "file", "--file", str(tmp_path / "a.cf32"), "--out", str(tmp_path)]
    apps.main(command)
    image, seen = capsys.readouterr().out.splitlines()
    assert "1 of 3 segments lost" in image
    assert seen.startswith("seen: ")
    assert "2 bursts found" in seen
    assert seen.endswith("1 of 3 segments missing")
    apps.main([*command, "--json"])
    image, seen = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (image["lost"], seen["label"], seen["segments"], seen["missing"]) == (1, "seen", 2, 1)
