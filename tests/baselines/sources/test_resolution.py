"""Resolution as a choice: something for every budget, nothing lost where it is not needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from jaxtyping import UInt8

from semlink.baselines.sources import Laddered, Resolutions, SourceCoder, error_against, find_source, link_source
from semlink.baselines.sources.resolution import FLAT_BYTES, SCALES, reduced_size, resized, sizes

Pixels = UInt8[np.ndarray, "h w c"]
LEAST = 8  # bytes: 64 information bits
QUICK = ("jpeg", "webp")


def contents(h: int, w: int, c: int, photograph: Callable[..., Pixels]) -> list[Pixels]:
    noise = np.random.default_rng(h + w).integers(0, 256, (h, w, c), dtype=np.uint8)
    edges = np.where(np.indices((h, w)).sum(axis=0)[:, :, None] % 2 * np.ones((1, 1, c)) > 0, 255, 0).astype(np.uint8)
    return [photograph(h, w, c), noise, edges, np.full((h, w, c), 0, np.uint8), np.full((h, w, c), 255, np.uint8)]


def error(source: SourceCoder, image: Pixels, data: bytes | None) -> float:
    assert data is not None
    shown = source.decode(data, image.shape, complete=True)
    assert shown is not None
    assert (shown.shape, shown.dtype) == (image.shape, np.uint8)
    return error_against(image)(shown)


SIZES = [(1, 1), (1, 40), (17, 33), (32, 32), (96, 80)]
CASES = [(kind, h, w, c) for kind in ("jpeg", "jpeg2000", "webp") for h, w in SIZES for c in (1, 3)]


@pytest.mark.parametrize(("kind", "h", "w", "c"), [*CASES, ("avif", 17, 33, 3), ("heic", 17, 33, 1)])
def test_no_image_fails_down_to_64_bits(kind: str, h: int, w: int, c: int, photograph: Callable[..., Pixels]) -> None:
    if kind == "heic":
        pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    source = link_source(kind)
    for image in contents(h, w, c, photograph):
        mean = float(np.var(image.reshape(-1, c).astype(float), axis=0).mean())
        for budget in (FLAT_BYTES[c], LEAST, 60):
            data = source.encode(image, budget)
            assert data is not None
            assert len(data) <= budget
            assert any(data)
            assert error(source, image, data) <= mean + 16  # 5, 6 and 5 bits are off by up to 4.6, 2.5 and 4.6


@pytest.mark.parametrize("kind", QUICK)
def test_a_large_photograph_of_any_budget(kind: str) -> None:
    """481×321, where whole files have their headers: better with every byte, from the first on."""
    rng = np.random.default_rng(1)
    image = resized(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8), (321, 481))
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    source = link_source(kind)
    errors = [error(source, image, source.encode(image, budget)) for budget in (3, 40, 200, 1000, 4000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.5 * errors[0]


@pytest.mark.parametrize("kind", QUICK)
def test_the_choice_is_never_worse_and_pays_where_bytes_are_few(kind: str, photograph: Callable[..., Pixels]) -> None:
    gains = []
    for index in range(3):
        image = photograph(64, 64, 3, index)
        chosen, plain = link_source(kind), find_source(kind)
        for budget in (150, 300, 700, 2500):
            data = plain.encode(image, budget)
            alone = error_against(image)(np.full_like(image, 128)) if data is None else error(plain, image, data)
            with_choice = chosen.encode(image, budget)
            assert error(chosen, image, with_choice) <= 1.005 * alone
            gains.append(10 * np.log10(alone / error(chosen, image, with_choice)))
            if budget == 2500:
                assert with_choice == data  # byte by byte: a full resolution costs nothing
    assert np.mean(gains[::4]) > 1


def test_the_error_that_is_told_is_that_of_what_is_shown(photograph: Callable[..., Pixels]) -> None:
    for kind in QUICK:
        source = link_source(kind)
        assert isinstance(source, Resolutions)
        for image in contents(40, 56, 3, photograph)[:2]:
            for budget in (3, 30, 120, 600):
                best = source.best(image, budget)
                assert best is not None
                assert best.error == pytest.approx(error(source, image, best.data))
                padded = source.decode(best.data + bytes(9), image.shape, complete=True)
                np.testing.assert_array_equal(padded, source.decode(best.data, image.shape, complete=True))


def test_estimates_are_near_what_comes_out(photograph: Callable[..., Pixels]) -> None:
    for kind in QUICK:
        source = link_source(kind)
        assert isinstance(source, Resolutions)
        image = photograph(96, 96, 3)
        for budget in (200, 500, 1200, 3000):
            best = source.best(image, budget)
            assert best is not None
            assert 0.75 < source.estimate(image, budget) / best.error < 1.33


def test_no_coding_begins_with_a_spare_byte(name: str, photograph: Callable[..., Pixels]) -> None:
    coder = find_source(name)
    assert isinstance(coder, Laddered)
    assert len(coder.spare) > len(SCALES)
    assert 0 not in coder.spare
    for image in [one for size in ((32, 32), (80, 72)) for c in (1, 3) for one in contents(*size, c, photograph)[:4]]:
        for budget in (600,) if name in ("avif", "heic") else (90, 400, 1500, 6000):
            data = coder.encode(image, budget)
            assert data is None or data[0] not in coder.spare


def test_scales_pass_over_what_leaves_as_many_blocks() -> None:
    assert [SCALES[index] for index, _ in sizes((32, 32, 3))] == [SCALES[0], SCALES[1], SCALES[3]]
    assert sizes((8, 8, 3)) == sizes((1, 1, 1)) == []
    assert reduced_size((321, 481, 3), SCALES[1]) == (161, 241)
    least = [size for _, size in sizes((4000, 6000, 3))][-1]
    assert max(least) < 64  # where the headers of a small image fall away


@pytest.mark.parametrize("kind", QUICK)
def test_damage_of_reduced_codings_is_survived(kind: str, photograph: Callable[..., Pixels]) -> None:
    source, rng = link_source(kind), np.random.default_rng(2)
    assert isinstance(source, Resolutions)
    image = photograph(72, 88, 3)
    coding = source.encode(image, 160)
    assert coding is not None
    assert coding[0] in source.source.spare
    for trial in range(200):
        data = bytearray(coding)
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        shown = source.decode(bytes(data[: len(data) - trial % 7]), image.shape, complete=trial % 2 == 0)
        assert shown is None or (shown.shape == image.shape and shown.dtype == np.uint8)
    for first in source.source.spare:
        for rest in (b"", b"\0", bytes(40)):
            shown = source.decode(bytes([first]) + rest, image.shape, complete=True)
            assert shown is None or shown.shape == image.shape


def test_who_names_a_coder_has_the_choice_and_who_gives_one_does_not() -> None:
    assert link_source("webp") == Resolutions(find_source("webp"))
    assert link_source(find_source("webp")) == find_source("webp")
    assert hash(link_source("jpeg")) == hash(link_source("jpeg"))
    note = link_source("jpeg").note((32, 32, 3))
    assert note.startswith("JPEG")
    assert "reduced to 3/4 … 1/256 a side (Lanczos)" in note


def test_a_coder_without_spare_bytes_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        def encode(self, image: Pixels, budget: int) -> bytes | None:
            return b"\1"

        def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> Pixels | None:
            return np.zeros(shape, np.uint8)

        def note(self, shape: tuple[int, int, int]) -> str:
            return "plain"

    monkeypatch.setitem(__import__("semlink.baselines.sources.coders", fromlist=["SOURCES"]).SOURCES, "plain", Plain)
    assert isinstance(link_source("plain"), Plain)
