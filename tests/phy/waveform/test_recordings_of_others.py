"""Recordings that other programs wrote: every field that says which bytes are samples is obeyed or refused."""

from __future__ import annotations

import hashlib
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.phy.waveform import Annotation, Recording, open_raw, open_sigmf, read_cf32, read_sigmf, write_sigmf
from semlink.phy.waveform import sample_files as module

SAMPLES = (np.arange(1, 11) * (1 - 0.5j) / 10).astype(np.complex64)


def write(path: Path, data: bytes, **fields: object) -> Path:
    """A recording `path` with these bytes; fields of `global` by name, and `captures` and `annotations`."""
    captures, annotations = fields.pop("captures", [{"core:sample_start": 0}]), fields.pop("annotations", [])
    own = {"core:datatype": "cf32_le", "core:version": "1.2.0"} | {
        f"core:{key}": value for key, value in fields.items()
    }
    metadata = {"global": own, "captures": captures, "annotations": annotations}
    metadata = {name: value for name, value in metadata.items() if value is not ...}
    path.with_name(str(own.get("core:dataset", f"{path.name}.sigmf-data"))).write_bytes(data)
    meta = path.with_name(f"{path.name}.sigmf-meta")
    meta.write_text(json.dumps(metadata))
    return meta


FORMATS: dict[str, tuple[str, list[float], list[float]]] = {
    "cu8": ("u1", [0, 255, 127, 128], [-1, 1, -1 / 255, 1 / 255]),
    "ci8": ("i1", [0, 127, -127, 1], [0, 1, -1, 1 / 127]),
    "ci16_be": (">i2", [0, 32767, -32767, 1], [0, 1, -1, 1 / 32767]),
    "cu16_le": ("<u2", [0, 65535, 32767, 32768], [-1, 1, -1 / 65535, 1 / 65535]),
    "ci32_le": ("<i4", [0, 2**31 - 1, -(2**31) + 1, 2**30], [0, 1, -1, 0.5]),
    "cf32_be": (">f4", [0, 0.25, -3, 7], [0, 0.25, -3, 7]),
    "cf64_le": ("<f8", [0, 0.25, -3, 7], [0, 0.25, -3, 7]),
    "cf64_be": (">f8", [0, 0.25, -3, 7], [0, 0.25, -3, 7]),
}


@pytest.mark.parametrize("datatype", FORMATS)
def test_every_format_has_full_scale_one(datatype: str, tmp_path: Path) -> None:
    dtype, stored, parts = FORMATS[datatype]
    np.array(stored, dtype=dtype).tofile(tmp_path / "a")
    np.testing.assert_allclose(open_raw(tmp_path / "a", datatype).read().view(np.float32), parts, atol=1e-7)
    real = f"r{datatype[1:]}"
    with pytest.warns(UserWarning, match="real samples; they are taken for the real parts"):
        got = open_raw(tmp_path / "a", real).read()
    np.testing.assert_allclose(got, np.array(parts, dtype=np.complex64), atol=1e-7)


@pytest.mark.parametrize("datatype", ["cf32_be", "cf64_le", "ci8", "cu8", "ci16_be", "cu16_le"])
def test_the_sigmf_package_agrees(datatype: str, tmp_path: Path) -> None:
    """It takes -2^(n-1) for -1, and the middle of unsigned ones at 2^(n-1)."""
    sigmf = pytest.importorskip("sigmf")
    dtype, stored, _ = FORMATS[datatype]
    meta = write(tmp_path / "a", np.array(stored, dtype=dtype).tobytes(), datatype=datatype)
    theirs = sigmf.sigmffile.fromfile(str(meta)).read_samples()
    np.testing.assert_allclose(read_sigmf(meta).samples, theirs, atol=1 / 100 if "8" in datatype else 1e-4)


def test_header_and_trailing_bytes_are_no_samples(tmp_path: Path) -> None:
    """Of two captures, in a dataset of its own name, counted from an offset: the hash is of all bytes."""
    data = b"RIFF" * 11 + SAMPLES[:4].tobytes() + b"pause" + SAMPLES[4:].tobytes() + b"end"
    meta = write(
        tmp_path / "a",
        data,
        dataset="other.wav",
        offset=1000,
        trailing_bytes=3,
        sha512=hashlib.sha512(data).hexdigest().upper(),
        captures=[
            {"core:sample_start": 1000, "core:header_bytes": 44, "core:frequency": 1e9},
            {"core:sample_start": 1004, "core:header_bytes": 5, "core:frequency": 1e9},
        ],
        annotations=[{"core:sample_start": 1006, "core:sample_count": 3, "core:label": "burst"}],
    )
    got = read_sigmf(meta)
    np.testing.assert_array_equal(got.samples, SAMPLES)
    assert list(got.annotations) == [Annotation(6, 3, "burst")]
    assert got.carrier_hz == 1e9
    file = open_sigmf(meta)
    assert len(file) == 10
    np.testing.assert_array_equal(file.read(3, 4), SAMPLES[3:7])
    np.testing.assert_array_equal(np.concatenate(list(file.pieces(3))), SAMPLES)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"captures": [{"core:sample_start": 0, "core:header_bytes": 81}]}, "headers are told of up to byte 81"),
        ({"captures": [{"core:sample_start": 9, "core:header_bytes": 9}]}, "headers are told of up to byte 81"),
        ({"captures": [{"core:sample_start": 0, "core:header_bytes": -1}]}, "core:header_bytes=-1 must be"),
        ({"captures": [{"core:sample_start": 0, "core:header_bytes": 4}], "offset": 5}, "lies before core:offset=5"),
        ({"trailing_bytes": 81}, "80 bytes, fewer than the 81 at its end"),
        ({"trailing_bytes": "3"}, "core:trailing_bytes='3' must be a whole number"),
        ({"offset": 0.5}, "core:offset=0.5 must be a whole number"),
        ({"extensions": [{"name": "packed", "version": "1", "optional": False}]}, "asks for 'packed', not optional"),
        ({"extensions": [{"name": "packed", "version": "1"}]}, "asks for 'packed', not optional"),
        ({"extensions": "packed"}, "core:extensions must be a list"),
        ({"captures": [{"core:sample_start": i, "core:frequency": 1e6 + i} for i in (0, 1)]}, "captures are at .* Hz"),
        ({"captures": [{"core:sample_start": 0, "core:frequency": "FM"}]}, "core:frequency='FM' must be a number"),
        ({"description": ["x"]}, "core:description=.* must be a text"),
        ({"sha512": "00"}, "differs from the core:sha512"),
    ],
)
def test_what_is_not_understood_is_refused(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    meta = write(tmp_path / "a", SAMPLES.tobytes(), **fields)
    for read in (read_sigmf, open_sigmf):
        with pytest.raises(ValueError, match=rf"a\.sigmf-.*{said}"):
            read(meta)


def test_a_dataset_lies_beside_its_metadata_and_is_there(tmp_path: Path) -> None:
    meta = write(tmp_path / "a", SAMPLES.tobytes(), metadata_only=True)
    np.testing.assert_array_equal(read_sigmf(meta).samples, SAMPLES)  # it is there all the same
    (tmp_path / "a.sigmf-data").unlink()
    with pytest.raises(ValueError, match="core:metadata_only: there are no samples"):
        read_sigmf(meta)
    for name in ("../a", "", ".", "..", "x/y", "C:\\x"):
        metadata = json.loads(meta.read_text())
        metadata["global"]["core:dataset"] = name
        meta.write_text(json.dumps(metadata))
        with pytest.raises(ValueError, match="must be the name of a file beside the metadata"):
            read_sigmf(meta)


def test_one_of_several_channels_is_taken_and_told(tmp_path: Path) -> None:
    both = np.stack([SAMPLES, 2 * SAMPLES], axis=1)
    meta = write(tmp_path / "a", both.tobytes(), num_channels=2, annotations=[{"core:sample_start": 9}])
    with pytest.warns(UserWarning, match=r"has 2 channels; the first one, 0, is taken"):
        got = read_sigmf(meta)
    np.testing.assert_array_equal(got.samples, SAMPLES)
    assert list(got.annotations) == [Annotation(9, 1)]
    np.testing.assert_array_equal(read_sigmf(meta, channel=1).samples, 2 * SAMPLES)
    with pytest.raises(ValueError, match="channel=2 must be below the 2"):
        open_sigmf(meta, channel=2)


def test_what_is_clear_is_mended_and_told(tmp_path: Path) -> None:
    spoilt = SAMPLES.copy()
    spoilt[3] = complex(np.nan, 1)
    first, later, far = ({"core:sample_start": start, "core:sample_count": 2} for start in (2, 8, 40))
    long = {"core:sample_start": 8, "core:sample_count": 9}
    for data, fields, said, samples, spans in (
        (SAMPLES.tobytes() + b"1234567", {}, "ends within a sample of cf32_le: its last 7 bytes", SAMPLES, []),
        (spoilt.tobytes(), {}, "not finite; they are taken for 0", np.where(np.isnan(spoilt), 0, SAMPLES), []),
        (SAMPLES.tobytes(), {"annotations": [later, first]}, "sorted", SAMPLES, [(2, 2), (8, 2)]),
        (SAMPLES.tobytes(), {"annotations": [long, far]}, "2 annotations lie beyond the 10", SAMPLES, [(8, 2)]),
        (SAMPLES.tobytes(), {"annotations": ...}, "no `annotations`", SAMPLES, []),
        (SAMPLES.tobytes(), {"captures": ...}, "no `captures`", SAMPLES, []),
        (SAMPLES.tobytes(), {"datatype": "cf32"}, "does not tell the order of bytes", SAMPLES, []),
    ):
        meta = write(tmp_path / "a", data, **fields)
        with pytest.warns(UserWarning, match=rf"a\.sigmf-.*{said}"):
            got = read_sigmf(meta)
        np.testing.assert_array_equal(got.samples, samples)
        assert [(one.start, one.count) for one in got.annotations] == spans


def test_raw_files_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    (tmp_path / "a.cf32").write_bytes(SAMPLES.tobytes() + b"123")
    with pytest.warns(UserWarning, match=r"a\.cf32 ends within a sample of cf32_le: its last 3 bytes are left out"):
        np.testing.assert_array_equal(read_cf32(tmp_path / "a.cf32"), SAMPLES)


def test_an_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    write_sigmf(tmp_path / "b", Recording(SAMPLES, annotations=[Annotation(2, 3, "burst")]))
    write_sigmf(tmp_path / "c", Recording(SAMPLES[:3]))
    with tarfile.open(tmp_path / "a.sigmf", "w") as archive:
        for name in ("b.sigmf-data", "b.sigmf-meta"):
            archive.add(tmp_path / name, f"a/{name}")
    got = read_sigmf(tmp_path / "a.sigmf")
    np.testing.assert_array_equal(got.samples, SAMPLES)
    assert list(got.annotations) == [Annotation(2, 3, "burst")]
    with tarfile.open(tmp_path / "a.sigmf", "a") as archive:
        for name in ("c.sigmf-data", "c.sigmf-meta"):
            archive.add(tmp_path / name, f"a/{name}")
    with pytest.warns(UserWarning, match=r"has 2 recordings; the first one, a/b\.sigmf-meta, is taken"):
        assert len(open_sigmf(tmp_path / "a.sigmf")) == 10
    with tarfile.open(tmp_path / "d.sigmf", "w") as archive:
        archive.add(tmp_path / "b.sigmf-meta", "b.sigmf-meta")
    with pytest.raises(ValueError, match=r"d\.sigmf does not hold 'b\.sigmf-data'"):
        read_sigmf(tmp_path / "d.sigmf")
    (tmp_path / "e.sigmf").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"e\.sigmf is no archive of SigMF"):
        read_sigmf(tmp_path / "e.sigmf")


def test_archives_of_the_sigmf_package_are_read(tmp_path: Path) -> None:
    sigmf = pytest.importorskip("sigmf")
    meta = write_sigmf(tmp_path / "b", Recording(SAMPLES, rate_hz=1e6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sigmf.sigmffile.fromfile(str(meta)).archive(str(tmp_path / "theirs.sigmf"))
    got = read_sigmf(tmp_path / "theirs.sigmf")
    np.testing.assert_array_equal(got.samples, SAMPLES)
    assert got.rate_hz == 1e6


def test_a_large_recording_is_taken_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 4 GB, all of whose bytes but the last are a hole in the file."""
    with (tmp_path / "a.cf32").open("wb") as file:
        file.truncate(4 << 30)
        file.seek((4 << 30) - 8)
        file.write(np.complex64(3).tobytes())
    long = open_raw(tmp_path / "a.cf32", "cf32_le")
    assert long.read(len(long) - 2, 9).tolist() == [0, 3]
    assert len(next(long.pieces())) == 1 << 15
    with pytest.raises(ValueError, match=r"too large to be read at once: 536870912 samples would take 4\.3 GB"):
        read_cf32(tmp_path / "a.cf32")
    (tmp_path / "a.cf32").unlink()
    monkeypatch.setattr(module, "MEMORY", 79)
    with pytest.raises(ValueError, match=r"a\.sigmf-data is too large .* take its `pieces`"):
        read_sigmf(write(tmp_path / "a", SAMPLES.tobytes()))


def test_damaged_recordings_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Metadata, data and archives with some bytes changed or cut off."""
    whole = Recording(SAMPLES, rate_hz=1e6, carrier_hz=1e9, annotations=[Annotation(2, 3)], info={"semlink:x": 1})
    meta = write_sigmf(tmp_path / "a", whole)
    with tarfile.open(tmp_path / "b.sigmf", "w") as archive:
        for name in ("a.sigmf-data", "a.sigmf-meta"):
            archive.add(tmp_path / name, name)
    rng, refusals = np.random.default_rng(0), []
    for path, read in ((meta, meta), (tmp_path / "a.sigmf-data", meta), (tmp_path / "b.sigmf", tmp_path / "b.sigmf")):
        original = path.read_bytes()
        for _ in range(100):
            data = bytearray(original)
            for place in rng.integers(len(data), size=rng.integers(1, 6)):
                data[place] = rng.integers(256) if rng.random() < 0.5 else rng.choice(list(b'0123456789-{}[]",:e'))
            path.write_bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    for one in read_sigmf(read).annotations:
                        assert one.header is None
                except (ValueError, OSError) as error:
                    refusals.append(str(error))
        path.write_bytes(original)
    assert len(refusals) > 50
    assert all(str(tmp_path) in one and "\n" not in one for one in refusals)


def test_a_header_that_makes_no_sense_is_refused() -> None:
    for fields in ({"colour": 1}, {"height": "tall"}, [1], 3):
        with pytest.raises(ValueError, match=r"height|semlink:header"):
            _ = Annotation(0, 1, "", {"semlink:header": fields}).header
