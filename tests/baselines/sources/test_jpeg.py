"""JPEG to a byte budget, as a payload without headers, and cut short."""

from __future__ import annotations

import io

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from semlink.baselines.sources.jpeg import JPEG, jpeg_file, quantisation_tables
from semlink.phy.sources import sample_images

Pixels = UInt8[np.ndarray, "h w c"]


def photograph(h: int, w: int, c: int, seed: int = 0) -> Pixels:
    """Smooth shapes with some texture, the same on every machine."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    waves = [np.sin(x / rng.uniform(3, 15) + y / rng.uniform(3, 15) + rng.uniform(0, 6)) for _ in range(c)]
    return (128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 8, (h, w, c))).clip(0, 255).astype(np.uint8)


def opened(file: bytes, c: int) -> Pixels:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image).reshape(image.height, image.width, c)


SIZES = [(1, 1), (8, 8), (7, 13), (16, 16), (17, 33), (32, 32), (64, 64), (64, 1), (63, 50)]


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_payload_rebuilds_the_pixels_of_the_file(h: int, w: int, c: int) -> None:
    image = photograph(h, w, c)
    for first in (1, 5, 30, 64, 100, 127, 128 + 1, 128 + 64, 128 + 127):
        file = jpeg_file(image, first & 127, full_chroma=first > 127)
        payload = bytes([first]) + file[file.index(b"\xff\xda") + 2 + (8 if c == 1 else 12) : -2]
        for padding in (b"", bytes(50)):
            decoded = JPEG().decode(payload + padding, image.shape, complete=True)
            np.testing.assert_array_equal(decoded, opened(file, c))


@pytest.mark.parametrize("shape", [(32, 32, 3), (17, 40, 1), (64, 64, 3), (65, 64, 3), (100, 120, 1)])
def test_encoder_and_decoder_give_the_pixels_of_the_file(shape: tuple[int, int, int]) -> None:
    image, small = photograph(*shape), max(shape[:2]) <= 64
    coding = JPEG().encode(image, 3000)
    assert coding is not None
    decoded = JPEG().decode(coding, shape, complete=True)
    if small:
        expected = jpeg_file(image, coding[0] & 127, full_chroma=coding[0] > 127)
        assert len(coding) < len(expected) - 300
    else:
        expected = coding
    np.testing.assert_array_equal(decoded, opened(expected, shape[2]))


def files_by_step(image: Pixels, *, full_chroma: bool) -> list[bytes]:
    small = max(image.shape[:2]) <= 64
    return [jpeg_file(image, step, full_chroma=full_chroma, optimize=not small) for step in range(1, 128)]


def counted(file: bytes, image: Pixels) -> int:
    header = 623 if image.shape[2] == 3 else 328
    return len(file) - header - 2 + 1 if max(image.shape[:2]) <= 64 else len(file)


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32, 1), (96, 80, 3)])
def test_budget_is_filled_with_the_best_of_all_files(shape: tuple[int, int, int]) -> None:
    """No file of the same family that fits is better: an exhaustive search of both subsamplings, on a photograph."""
    h, w, c = shape
    coffee = (sample_images()[2] * 255).round().byte().permute(1, 2, 0).numpy()
    image = coffee[40 : 40 + 2 * h : 2, 60 : 60 + 2 * w : 2, :c]
    files = [file for full in (False, True) for file in files_by_step(image, full_chroma=full)]
    sizes = np.array([counted(file, image) for file in files])
    errors = np.array([np.mean((opened(file, shape[2]).astype(float) - image) ** 2) for file in files])
    for budget in np.linspace(sizes.min(), sizes.max() + 50, 25).astype(int):
        coding = JPEG().encode(image, int(budget))
        assert coding is not None
        assert len(coding) <= budget
        decoded = JPEG().decode(coding, shape, complete=True)
        assert decoded is not None
        # Quantisation is not quite monotone: a coarser step is a hair better now and then.
        assert np.mean((decoded.astype(float) - image) ** 2) <= 1.04 * errors[sizes <= budget].min()
    assert JPEG().encode(image, int(sizes.min()) - 1) is None


def test_tables_run_from_the_coarsest_to_the_finest() -> None:
    for full in (False, True):
        tables = np.array([quantisation_tables(step, full_chroma=full) for step in range(1, 128)])
        assert tables.shape == (127, 2, 64)
        assert (tables[0] == 255).all()
        assert (tables[-1] == 1).all()
        assert (np.diff(tables, axis=0) <= 0).all()
    with pytest.raises(ValueError, match=r"step=0 must be in 1 … 127"):
        jpeg_file(photograph(8, 8, 1), 0)


def test_the_note_says_what_is_counted() -> None:
    small, large = photograph(64, 64, 3), photograph(65, 64, 3)
    assert JPEG().note(small.shape).startswith("JPEG entropy-coded segment and one byte for quantisation tables")
    assert JPEG().note(large.shape).startswith("whole JPEG file")
    codings = [JPEG().encode(image, 4000) for image in (small, large)]
    assert codings[0] is not None
    assert codings[1] is not None
    step, full = codings[0][0] & 127, codings[0][0] > 127
    assert len(codings[0]) == len(jpeg_file(small, step, full_chroma=full)) - 623 - 2 + 1  # 623 bytes of headers
    assert codings[1][:2] == b"\xff\xd8"


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("side", [64, 128])
def test_what_arrived_is_shown_and_the_rest_is_grey(side: int, c: int) -> None:
    image = photograph(side, side, c)
    coding = JPEG().encode(image, 700 if side == 64 else 3000)  # few enough for 4:2:0
    assert coding is not None
    whole = JPEG().decode(coding, image.shape, complete=True)
    assert whole is not None
    header = 0 if side == 64 else coding.index(b"\xff\xda")
    unit = 8 * (2 if c == 3 else 1)  # a minimum coded unit
    shown = []
    for share in (0.2, 0.5, 0.8):
        cut = header + int(share * (len(coding) - header))
        decoded = JPEG().decode(coding[:cut], image.shape, complete=False)
        assert decoded is not None
        differing = np.nonzero((decoded != whole).any(axis=(1, 2)))[0]
        grey = np.nonzero((decoded != 128).any(axis=(1, 2)))[0]
        top, bottom = int(differing[0]) if differing.size else side, int(grey[-1]) + 1
        # One row of units holds the cut; chroma interpolation reaches one row of pixels up and one down.
        assert bottom - top <= unit + 2
        np.testing.assert_array_equal(decoded[bottom:], 128)
        shown.append(top)
    assert 0 <= shown[0] < shown[1] < shown[2] < side


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32, 1), (80, 80, 3), (80, 80, 1)])
def test_garbage_never_raises_or_prints(shape: tuple[int, int, int], capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    coding = JPEG().encode(photograph(*shape), 2500)
    assert coding is not None
    for trial in range(150):
        data = bytearray(coding)
        if trial % 3 == 0:
            data = bytearray(rng.bytes(500))
        for _ in range(trial % 5):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        cut = int(rng.integers(len(data) + 1))
        for complete in (False, True):
            decoded = JPEG().decode(bytes(data[:cut]), shape, complete=complete)
            if decoded is not None:
                assert decoded.shape == shape
                assert decoded.dtype == np.uint8
    assert capfd.readouterr() == ("", "")


def test_a_file_of_another_size_is_not_opened() -> None:
    file = bytearray(jpeg_file(photograph(80, 80, 3), 70))
    frame = file.index(b"\xff\xc0")
    file[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"  # 65535 × 65535
    assert JPEG().decode(bytes(file), (80, 80, 3), complete=True) is None


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"image has shape \(8, 8, 2\)"):
        JPEG().encode(np.zeros((8, 8, 2), np.uint8), 1000)
    with pytest.raises(ValueError, match=r"sides up to 65500"):
        JPEG().encode(np.zeros((1, 65501, 1), np.uint8), 1000)
