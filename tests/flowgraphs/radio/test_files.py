"""Recordings and pictures, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semlink.flowgraphs.radio.image_files import (
    describe,
    find_pictures,
    load_picture,
    parse_size,
    squared_error,
    to_psnr_db,
)
from semlink.flowgraphs.radio.recordings import read_recording, recording_of, write_recording
from semlink.phy import metrics


@pytest.mark.parametrize("name", ["a.cf32", "b.sigmf-meta", "c.sigmf"])
def test_a_recording_comes_back(name: str, tmp_path: Path, gaussian: Callable[..., NDArray[np.complex64]]) -> None:
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
