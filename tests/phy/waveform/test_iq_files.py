"""Recordings: raw and SigMF, and a loopback's bursts that are kept as test data.

`SEMLINK_GOLDEN=write` records them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.phy.waveform import (
    Annotation,
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    Recording,
    SingleCarrier,
    Waveform,
    read_cf32,
    read_sigmf,
    write_cf32,
    write_sigmf,
)
from semlink.phy.waveform.iq_files import Datatype
from semlink.phy.waveform.sigmf_fields import check_metadata

GOLDEN = Path(__file__).parent / "golden"
WAVEFORMS: dict[str, Waveform] = {"sc": SingleCarrier(), "ofdm": OfdmWaveform()}
HEADERS = [BurstHeader(codec=1, height=16, width=24, sequence=3, segment=i, segments=2, symbols=481) for i in (0, 1)]


def payload(n: int) -> np.ndarray:
    """Symbols of unit mean energy that are no constellation's, from a formula."""
    k = np.arange(n)
    return np.sqrt(2) * np.cos(0.7 * k) * np.exp(0.01j * k**2)


def record(name: str) -> Recording:
    """Two bursts at 20 dB, 20 ppm and a carrier offset, annotated as sent."""
    waveform, symbols, pieces, annotations = WAVEFORMS[name], payload(481), [np.zeros(300)], []
    for header, part in zip(HEADERS, (symbols[:241], symbols[241:]), strict=True):
        burst = waveform.modulate(header, part)
        annotations.append(Annotation.of(header, sum(map(len, pieces)), len(burst)))
        pieces += [burst, np.zeros(400)]
    loopback = Loopback(n0=0.01, cfo=1e-3, ppm=20, delay=0.4, phase=1.0, gain_db=-10)
    return Recording(
        samples=loopback(np.concatenate(pieces), rng=np.random.default_rng(0)),
        rate_hz=1e6,
        carrier_hz=2.4e9,
        annotations=annotations,
        info={"semlink:waveform": name, "semlink:esno_db": 20.0},
        description="Two bursts over a simulated loopback: 20 dB, 1e-3 cycles per sample, 20 ppm",
        captured="2026-01-01T00:00:00Z",
    )


@pytest.mark.parametrize("name", WAVEFORMS)
def test_the_recorded_bursts_are_received(name: str) -> None:
    path = GOLDEN / f"loopback-{name}.sigmf-meta"
    if os.environ.get("SEMLINK_GOLDEN") == "write":
        write_sigmf(path, record(name), datatype="ci16_le")
    recording = read_sigmf(path)
    receiver = BurstReceiver(WAVEFORMS[recording.info["semlink:waveform"]])
    got = [*receiver.push(recording.samples), *receiver.flush()]
    assert [one.header for one in got] == [one.header for one in recording.annotations] == HEADERS
    symbols = np.concatenate([one.symbols for one in got])
    assert np.mean(np.abs(symbols - payload(481)) ** 2) < 0.01 * 10**0.1
    for one, annotation in zip(got, recording.annotations, strict=True):
        assert annotation.start - 16 <= one.start < annotation.start + 40
        assert one.samples <= annotation.count
        assert one.cfo == pytest.approx(1e-3, abs=2e-5)
        assert Annotation.received(one).header == annotation.header
    assert sum(file.stat().st_size for file in GOLDEN.glob("loopback*")) < 300_000


def test_raw_files_are_interleaved_32_bit_floats(tmp_path: Path) -> None:
    samples = np.array([1 + 2j, -3.5 + 0.25j])
    write_cf32(tmp_path / "x.cf32", samples)
    assert np.fromfile(tmp_path / "x.cf32", dtype="<f4").tolist() == [1, 2, -3.5, 0.25]
    np.testing.assert_array_equal(read_cf32(tmp_path / "x.cf32"), samples)
    np.full(4, np.nan, dtype="<f4").tofile(tmp_path / "x.cf32")
    with pytest.raises(ValueError, match="no sample that is finite; is it cf32_le"):
        read_cf32(tmp_path / "x.cf32")
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        write_cf32(tmp_path / "x.cf32", samples[None])


@pytest.mark.parametrize(("datatype", "tolerance"), [("cf32_le", 0.0), ("ci16_le", 1e-4)])
@pytest.mark.parametrize("ending", ["", ".sigmf-meta", ".sigmf-data", ".sigmf"])
def test_a_recording_comes_back(tmp_path: Path, datatype: Datatype, tolerance: float, ending: str) -> None:
    sent = record("sc")
    meta = write_sigmf(tmp_path / f"a.b{ending}", sent, datatype=datatype)
    assert meta == tmp_path / "a.b.sigmf-meta"
    got = read_sigmf(tmp_path / f"a.b{ending}")
    scale = 1.0 if datatype == "cf32_le" else np.abs(sent.samples.view(np.float32)).max()
    np.testing.assert_allclose(got.samples * scale, sent.samples, atol=tolerance)
    for name in ("rate_hz", "carrier_hz", "info", "description", "captured"):
        assert getattr(got, name) == getattr(sent, name)
    assert list(got.annotations) == list(sent.annotations)
    assert got.annotations[1].header == HEADERS[1]


def test_an_empty_recording_without_anything_known(tmp_path: Path) -> None:
    got = read_sigmf(write_sigmf(tmp_path / "x", Recording(np.zeros(0, np.complex64)), datatype="ci16_le"))
    assert (len(got.samples), got.rate_hz, got.carrier_hz, got.captured, got.annotations) == (0, None, None, "", ())


@pytest.mark.parametrize("name", WAVEFORMS)
def test_the_sigmf_package_agrees(tmp_path: Path, name: str) -> None:
    """Its schema of the standard, and its reader."""
    sigmf = pytest.importorskip("sigmf")
    for path in (write_sigmf(tmp_path / "x", record(name)), GOLDEN / f"loopback-{name}.sigmf-meta"):
        theirs = sigmf.sigmffile.fromfile(str(path))
        theirs.validate()
        ours = read_sigmf(path)
        np.testing.assert_allclose(theirs.read_samples(), ours.samples, atol=1e-4)
        assert [one["core:sample_start"] for one in theirs.get_annotations()] == [one.start for one in ours.annotations]


def test_data_that_were_changed_are_told(tmp_path: Path) -> None:
    meta = write_sigmf(tmp_path / "x", record("sc"))
    data = bytearray((tmp_path / "x.sigmf-data").read_bytes())
    data[1000] ^= 1
    (tmp_path / "x.sigmf-data").write_bytes(data)
    with pytest.raises(ValueError, match="differs from the core:sha512"):
        read_sigmf(meta)


def broken(metadata: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The same with one field set, or without it where the value is ...."""
    *parents, last = path.split("/")
    place: Any = metadata
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return metadata


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("global", ..., "an object `global`"),
        ("captures", 0, "list of objects `captures`"),
        ("annotations", {}, "list of objects `annotations`"),
        ("annotations", [3], "list of objects `annotations`"),
        ("global/core:datatype", ..., "must have a text core:datatype"),
        ("global/core:version", 1, "must have a text core:version"),
        ("global/core:datatype", "cf16_le", "core:datatype='cf16_le' must be c or r, then f32"),
        ("global/core:num_channels", 0, "core:num_channels=0 must be a whole number from 1"),
        ("global/core:sample_rate", 0, "core:sample_rate=0 must be above 0"),
        ("annotations/0/core:sample_start", -1, "core:sample_start=-1 must be a whole number"),
        ("annotations/0/core:sample_start", 1e9, "core:sample_start=1000000000.0 must be a whole number"),
        ("captures/0/core:sample_start", ..., "captures: core:sample_start=None"),
    ],
)
def test_metadata_that_lack_something_are_refused(tmp_path: Path, path: str, value: object, said: str) -> None:
    meta = write_sigmf(tmp_path / "x", record("sc"))
    metadata = broken(json.loads(meta.read_text()), path, value)
    meta.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=rf"x\.sigmf-meta: .*{said}"):
        read_sigmf(meta)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    samples = np.zeros(10, np.complex64)
    for recording, said in (
        (Recording(samples, annotations=[Annotation(8, 5)]), "annotation at 8 of 5 is beyond the 10 samples"),
        (Recording(samples, annotations=[Annotation(5, 1), Annotation(2, 1)]), "in the order"),
        (Recording(samples, info={"note": 1}), "must be of namespace semlink, such as semlink:note"),
        (Recording(np.array([np.nan + 0j]).astype(np.complex64)), "finite"),
    ):
        with pytest.raises(ValueError, match=said):
            write_sigmf(tmp_path / "x", recording)
    with pytest.raises(ValueError, match="datatype='cu8'"):
        write_sigmf(tmp_path / "x", Recording(samples), datatype="cu8")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.sigmf-meta").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        read_sigmf(tmp_path / "x")
    with pytest.raises(ValueError, match="object"):
        check_metadata([], samples=0)
