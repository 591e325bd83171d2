"""Recordings by the ending of their name, and how the radio side takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.radio import terminals
from semlink.flowgraphs.radio.recordings import check_path, open_recording, read_recording, write_recording
from semlink.flowgraphs.radio.stations import frame_samples, tail
from semlink.phy.waveform import BurstHeader, Recording, SingleCarrier

PARTS = {".cs16": ("<i2", 32767), ".cs8": ("i1", 127), ".cu8": ("u1", 127.5), ".cf64": ("<f8", 1), ".raw": ("<f4", 1)}


@pytest.mark.parametrize("ending", PARTS)
def test_raw_samples_of_other_programs_are_read(ending: str, tmp_path: Path) -> None:
    """An image's bursts, at a quarter of full scale, are received from each."""
    sent = np.random.default_rng(0).standard_normal((400, 2)) @ [1, 1j] * np.sqrt(0.5)
    waveform = SingleCarrier()
    burst = np.concatenate(frame_samples(waveform, BurstHeader(height=10, width=40), sent))
    samples = np.concatenate([np.zeros(500), 0.25 * burst, np.zeros(tail(waveform))]).astype(np.complex64)
    dtype, scale = PARTS[ending]
    parts = samples.view(np.float32) * scale + (127.5 if ending == ".cu8" else 0)
    (np.rint(parts) if "f" not in dtype else parts).astype(dtype).tofile(tmp_path / f"a{ending}")
    frames = [one for one in terminals.file_receiver(tmp_path / f"a{ending}", waveform, None).frames() if one]
    assert len(frames) == 1
    assert np.mean(np.abs(frames[0].symbols - sent) ** 2) < 2e-3
    np.testing.assert_allclose(read_recording(tmp_path / f"a{ending}").samples, samples, atol=6e-3)


def test_only_what_loses_nothing_is_written(tmp_path: Path) -> None:
    for ending in (".cs16", ".cu8", ".cf64"):
        assert check_path(f"a{ending}") == Path(f"a{ending}")
        with pytest.raises(ValueError, match=r"must end in one of: \.cf32, .*\.sigmf-meta$"):
            write_recording(tmp_path / f"a{ending}", Recording(np.zeros(3, np.complex64)))
        with pytest.raises(ValueError, match="must end in one of"):
            terminals.FileTransmitter(tmp_path / f"a{ending}", SingleCarrier())


def test_a_file_is_read_as_far_as_it_is_asked_for(tmp_path: Path) -> None:
    """4 GB: a hole in the file."""
    with (tmp_path / "a.cf32").open("wb") as file:
        file.truncate(4 << 30)
    assert len(open_recording(tmp_path / "a.cf32")) == 1 << 29
    assert next(terminals.file_receiver(tmp_path / "a.cf32", SingleCarrier(), None)._pieces).shape == (1 << 15,)
    with pytest.raises(ValueError, match="too large to be read at once"):
        read_recording(tmp_path / "a.cf32")
