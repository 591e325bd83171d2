"""Every source coder: within its budget, and no worse than its own library."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from semlink.baselines.sources import SourceCoder, find_source
from semlink.phy.sources import sample_images

Pixels = UInt8[np.ndarray, "h w c"]
SIZES = [(1, 1), (8, 8), (17, 33), (32, 32), (96, 80)]


def squared_error(a: Pixels, b: Pixels | None) -> float:
    assert b is not None
    assert b.shape == a.shape
    assert b.dtype == np.uint8
    return float(np.mean((a.astype(float) - b) ** 2))


def psnr(a: Pixels, b: Pixels | None) -> float:
    return float(10 * np.log10(255**2 / squared_error(a, b)))


def coarsest(coder: SourceCoder, image: Pixels) -> int:
    """The least budget that will do, within a few bytes."""
    low, high = 0, 4000
    while high - low > 4:
        middle = (low + high) // 2
        low, high = (low, middle) if coder.encode(image, middle) is not None else (middle, high)
    return high


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_fits_and_gets_better_with_the_budget(
    coder: SourceCoder, h: int, w: int, c: int, photograph: Callable[..., Pixels]
) -> None:
    image = photograph(h, w, c)
    least = coarsest(coder, image)
    assert coder.encode(image, least - 5) is None
    errors = []
    for extra in (0, 40, 160, 640):
        coding = coder.encode(image, least + extra)
        assert coding is not None
        assert len(coding) <= least + extra
        assert any(coding)
        errors.append(squared_error(image, coder.decode(coding, image.shape, complete=True)))
    for coarse, fine in pairwise(errors):
        assert fine <= 1.02 * coarse + 0.5
    assert errors[-1] < 0.7 * errors[0] + 1


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_zeros_after_the_coding_change_nothing(
    coder: SourceCoder, h: int, w: int, c: int, photograph: Callable[..., Pixels]
) -> None:
    image = photograph(h, w, c)
    for budget in (900, 1500):
        coding = coder.encode(image, budget)
        assert coding is not None
        plain = coder.decode(coding, image.shape, complete=True)
        assert plain is not None
        for padding in (1, 2, 17, 3000):
            padded = coder.decode(coding + bytes(padding), image.shape, complete=True)
            np.testing.assert_array_equal(padded, plain)


@pytest.mark.parametrize("c", [1, 3])
def test_decodes_as_the_library_does(name: str, coder: SourceCoder, c: int, photograph: Callable[..., Pixels]) -> None:
    image = photograph(96, 112, c)
    coding = coder.encode(image, 3000)
    assert coding is not None
    if name == "heic":
        pillow_heif = pytest.importorskip("pillow_heif")
        expected = np.asarray(pillow_heif.open_heif(coding))
    else:
        with Image.open(io.BytesIO(coding)) as opened:
            expected = np.asarray(opened.convert("L" if c == 1 else "RGB"))
    np.testing.assert_array_equal(coder.decode(coding, image.shape, complete=True), expected.reshape(image.shape))


@pytest.mark.parametrize("name", ["jpeg2000", "webp"], indirect=True)
@pytest.mark.parametrize("c", [1, 3])
def test_a_small_coding_decodes_as_the_whole_file_does(
    name: str, coder: SourceCoder, c: int, photograph: Callable[..., Pixels]
) -> None:
    """The library's own file at the same setting, with all its headers."""
    from semlink.baselines.sources import jpeg2000, webp

    image = photograph(40, 48, c)
    picture = Image.fromarray(image[:, :, 0] if c == 1 else image)
    for setting in (60, 120, 190):
        out = io.BytesIO()
        if name == "webp":
            picture.save(out, "WEBP", quality=webp._quality(setting), method=6)
            coding = webp._coding(picture, setting)
            assert len(out.getvalue()) - len(coding) in (27, 28)
        else:
            options = {"irreversible": True, "mct": int(c == 3), "num_resolutions": 3}
            picture.save(
                out, "JPEG2000", no_jp2=True, quality_layers=[4000 ** ((1200 - 5 * setting) / 1199)], **options
            )
            coding = jpeg2000._coding(picture, 5 * setting)
            assert len(out.getvalue()) - len(coding) > 100
        with Image.open(io.BytesIO(out.getvalue())) as opened:
            expected = np.asarray(opened.convert("L" if c == 1 else "RGB")).reshape(image.shape)
        np.testing.assert_array_equal(coder.decode(coding, image.shape, complete=True), expected)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_image_is_sent_and_not_as_zeros(coder: SourceCoder, level: int) -> None:
    for h, w, c in ((32, 32, 1), (32, 32, 3), (80, 80, 3)):
        image = np.full((h, w, c), level, np.uint8)
        coding = coder.encode(image, 1000)
        assert coding is not None
        assert any(coding)
        assert squared_error(image, coder.decode(coding, image.shape, complete=True)) <= 4


@pytest.mark.parametrize(("name", "first"), [("jpeg", 8), ("jpeg2000", 14), ("webp", 8)], indirect=["name"])
def test_more_of_a_large_image_shows_more(coder: SourceCoder, first: float) -> None:
    image = (sample_images()[0] * 255).round().byte().permute(1, 2, 0).numpy()
    coding = coder.encode(image, 12_000)
    assert coding is not None
    got = [coder.decode(coding[: int(share * len(coding))], image.shape, complete=False) for share in (0.4, 0.7, 0.99)]
    whole = psnr(image, coder.decode(coding, image.shape, complete=True))
    shown = [psnr(image, one) for one in got]
    assert first < shown[0] < shown[1] <= shown[2] <= whole
    np.testing.assert_array_equal(
        coder.decode(coding, image.shape, complete=False), coder.decode(coding, image.shape, complete=True)
    )


@pytest.mark.slow
def test_order_of_the_formats_on_photographs() -> None:
    """At about 0.5 bpp, as on Kodak: AVIF, JPEG 2000, WebP, JPEG from the best on."""
    names = ["avif", "jpeg2000", "webp", "jpeg"]
    images = [(sample_images()[i] * 255).round().byte().permute(1, 2, 0).numpy() for i in (1, 2)]
    means = []
    for each in names:
        coder = find_source(each)
        codings = [coder.encode(image, 256 * 256 // 16) for image in images]
        assert all(codings)
        pairs = zip(images, codings, strict=True)
        means.append(np.mean([psnr(i, coder.decode(c, i.shape, complete=True)) for i, c in pairs if c is not None]))
    assert means[0] > means[1] + 0.2, means
    assert means[1] > means[2] - 0.2, means
    assert means[2] > means[3] + 0.4, means


def test_notes_tell_the_two_accountings(name: str, coder: SourceCoder) -> None:
    small, large = coder.note((64, 64, 3)), coder.note((64, 65, 3))
    assert large.startswith(("whole", "HEVC intra: whole"))
    assert (small == large) == (name in ("avif", "heic"))


def test_coders_are_values(name: str, coder: SourceCoder) -> None:
    assert coder == find_source(name)
    assert hash(coder) == hash(find_source(name))
    assert isinstance(coder, SourceCoder)


@pytest.mark.parametrize("shape", [(8, 8, 2), (8, 8, 4), (0, 8, 3), (8, 70_000, 1)])
def test_an_image_that_does_not_go_is_named(coder: SourceCoder, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"image has shape .*; .* takes \(h, w, c\), sides up to \d+, c of 1 or 3"):
        coder.encode(np.zeros(shape, np.uint8), 1000)


def test_unknown_and_missing_coders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="source='gif' must be one of: jpeg, jpeg2000, webp, avif, heic"):
        find_source("gif")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'semlink\[heic\]'"):
        find_source("heic")


def test_webp_settings_are_even_steps_of_its_quantiser() -> None:
    """Through libwebp's own rule from quality to quantiser: the cube root of a bent line."""
    from semlink.baselines.sources.webp import _SETTINGS, _quality

    qualities = np.array([_quality(setting) for setting in range(_SETTINGS + 1)]) / 100
    bent = np.where(qualities < 0.75, qualities * 2 / 3, 2 * qualities - 1)
    np.testing.assert_allclose(np.cbrt(bent), np.arange(_SETTINGS + 1) / _SETTINGS, atol=1e-12)
