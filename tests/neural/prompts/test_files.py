from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import (
    Prompt,
    PromptCoder,
    PromptError,
    Studio,
    draw_noise,
    read_prompt,
    to_pixels,
    write_prompt,
)
from semlink.neural.prompts.files import Thumbnail, least_budget
from semlink.neural.prompts.noise import noise_bytes, pack_noise, unpack_noise

MARK = 0x1234


class Plain:
    """A source coder of thumbnails: pixels as they are, after four bytes of their sum."""

    def encode(self, image: np.ndarray, budget: int) -> bytes | None:
        data = int(image.sum()).to_bytes(4, "big") + image.tobytes()
        return data if len(data) <= budget else None

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> np.ndarray | None:
        size = int(np.prod(shape))
        if len(data) < 4 + size or int.from_bytes(data[:4], "big") != sum(data[4 : 4 + size]):
            return None
        return np.frombuffer(data, np.uint8, size, offset=4).reshape(shape)


@pytest.fixture(scope="module")
def studio(coder: PromptCoder) -> Studio:
    return Studio(coder, MARK, {"webp": Plain()})


@pytest.fixture(scope="module")
def full(studio: Studio, images: Tensor) -> Prompt:
    """A prompt with every part."""
    pixels = to_pixels(images[:1] * 2 - 1)[0]
    prompt = studio.encode(pixels, 120, text="waves")
    small = to_pixels(torch.nn.functional.avg_pool2d(images[:1], 4) * 2 - 1)[0]
    thumbnail = Thumbnail("webp", 2, 2, 20, Plain().encode(small, 999) or b"")
    noise = pack_noise(draw_noise((3, 16, 16), [1])[0], bits=2, part=16)
    return replace(prompt, thumbnail=thumbnail, noise=noise)


def test_a_prompt_is_read_as_it_was_written(full: Prompt) -> None:
    data = write_prompt(full)
    found = read_prompt(data)
    assert found == full
    assert found.text == "waves"
    assert sum(found.sizes.values()) == len(data)
    assert set(found.sizes) == {"start", "H", "C", "T", "N", "X"}
    assert not found.damage


@pytest.mark.parametrize("budget", [45, 80, 200, 700])
def test_a_file_fits_its_budget_and_more_bytes_are_worth_more(studio: Studio, images: Tensor, budget: int) -> None:
    prompt = studio.encode(to_pixels(images[:1] * 2 - 1)[0], budget)
    assert len(write_prompt(prompt)) <= budget
    shown = studio.render(read_prompt(write_prompt(prompt)))
    assert not shown.failed
    assert shown.image.shape == (1, 3, 16, 16)


def test_the_budget_goes_where_it_is_worth_most(studio: Studio, images: Tensor) -> None:
    """By a distance that only one rendering satisfies, that one is taken; the seed is the file's."""
    pixels = to_pixels(images[:1] * 2 - 1)[0]
    by_error = [studio.encode(pixels, size) for size in (60, 120, 240)]
    errors = [float((studio.render(one).image - images[:1]).square().mean()) for one in by_error]
    assert errors == sorted(errors, reverse=True)
    rough = studio.encode(pixels, 120, distance=lambda shown, _: -float(shown.std()), noisy=True, seed=7)
    told = rough.thumbnail.noise if rough.thumbnail is not None else rough.code[1] >> 6
    assert told > 0
    assert read_prompt(write_prompt(rough)).seed == 7


def test_thumbnails_are_chosen_where_they_are_better(coder: PromptCoder) -> None:
    """Noise has no principal components to speak of: its pixels as they are beat any code."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    prompt = Studio(coder, MARK, {"webp": Plain()}).encode(pixels, 900)
    assert prompt.thumbnail is not None
    assert prompt.thumbnail.shrink == 0
    assert Studio(coder, MARK, {}).encode(pixels, 900).thumbnail is None


def test_a_budget_below_the_least_is_told(studio: Studio, images: Tensor) -> None:
    pixels = to_pixels(images[:1] * 2 - 1)[0]
    least = least_budget(Prompt(MARK, 16, 16))
    assert len(write_prompt(studio.encode(pixels, least))) <= least
    with pytest.raises(ValueError, match=f"budget={least - 1} must be at least {least} bytes"):
        studio.encode(pixels, least - 1)


def test_a_prompt_of_another_model_is_refused(studio: Studio, full: Prompt) -> None:
    with pytest.raises(PromptError, match="of the model 4321; this one is 1234"):
        studio.render(replace(full, mark=0x4321))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin with SLP"),
        (b"GIF89a", "does not begin with SLP"),
        (b"SLP", "version missing"),
        (b"SLP\x02abc", "version 2: this program reads version 1"),
        (b"SLP\x01", "head is damaged"),
        (b"SLP\x01" + bytes(1 << 24), "a prompt has at most"),
    ],
)
def test_what_is_no_prompt_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        read_prompt(data)


def test_sizes_that_no_file_tells_are_refused() -> None:
    with pytest.raises(ValueError, match="must have up to 2\\^24 pixels"):
        write_prompt(Prompt(0, 1 << 13, 1 << 12))
    with pytest.raises(ValueError, match="seed=-1 must be from 0"):
        write_prompt(Prompt(0, 8, 8, seed=-1))


def test_a_cut_code_is_a_worse_image_and_marked(studio: Studio, images: Tensor) -> None:
    pixels = to_pixels(images[:1] * 2 - 1)[0]
    data = write_prompt(Studio(studio.coder, MARK, {}).encode(pixels, 200))
    errors = []
    for cut in (len(data), len(data) - 40, len(data) - 120):
        shown = studio.render(read_prompt(data[:cut]))
        assert shown.failed == (cut < len(data))
        errors.append(float((shown.image - images[:1]).square().mean()))
    assert errors == sorted(errors)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut, bits turned, bytes put in or taken out."""
    found = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(found[: rng.randrange(len(found))])
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found))
        if kind == 1:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            found[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(4))
        else:
            found[at] = rng.randrange(256)
    return bytes(found)


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_files_are_worse_images_or_refused(studio: Studio, full: Prompt, count: int) -> None:
    """All are read up to where the network begins, which draws whatever finite numbers it is given; 30 are drawn."""
    data, rng, seen = write_prompt(full), random.Random(0), {"failed": 0, "refused": 0, "whole": 0}
    for i in range(count):
        spoilt = damaged(data, rng)
        try:
            prompt = read_prompt(spoilt)
            stage = studio.stage(prompt, seeds=[prompt.seed])
        except PromptError as error:
            seen["refused"] += len(str(error).splitlines())
            continue
        known = [stage.scene.sketch, stage.scene.spread, stage.scene.first, stage.scene.learned, stage.noise]
        assert all(bool(one.isfinite().all()) for one in known), spoilt
        assert stage.noise.shape == (1, 3, 16, 16)
        assert stage.failed or spoilt == data
        seen["failed" if stage.failed else "whole"] += 1
        if i % (count // 30) == 0:
            shown = studio.render(prompt)
            assert shown.failed == stage.failed
            assert shown.image.shape == (1, 3, 16, 16)
            assert bool(shown.image.isfinite().all())
    assert min(seen["failed"], seen["refused"]) > 0.05 * count


def test_samples_differ_where_nothing_is_told(studio: Studio, images: Tensor) -> None:
    prompt = studio.encode(to_pixels(images[:1] * 2 - 1)[0], 60)
    found = studio.samples(prompt, 4)
    assert found.images.shape == (4, 3, 16, 16)
    assert torch.equal(found.images, studio.samples(prompt, 4).images)
    assert torch.allclose(found.mean, found.images.mean(dim=0, keepdim=True))
    assert float(found.spread.min()) >= 0
    assert float(found.spread.mean()) > 0.001
    errors = (found.images - images[:1]).square().flatten(1).mean(dim=1)
    assert found.worst(images[:1]) == int(errors.argmax())
    assert float(studio.samples(prompt, 4, temperature=0.5).spread.mean()) < float(found.spread.mean())


@pytest.mark.parametrize(("bits", "error"), [(1, 0.363), (2, 0.1175)])
def test_noise_in_few_bits(bits: int, error: float) -> None:
    """The errors are those of Max's quantisers, within four standard errors of 3·64·64 numbers."""
    noise, seeded = draw_noise((3, 64, 64), [0, 1])
    data = pack_noise(noise, bits=bits, part=64)
    assert len(data) == noise_bytes(64, 64, bits=bits, part=64) == 2 + 3 * 64 * 64 * bits // 8
    found = unpack_noise(data, seeded)
    assert found is not None
    assert float((found - noise).square().mean()) == pytest.approx(error, abs=0.02)


def test_what_is_not_sent_of_the_noise_comes_from_the_seed() -> None:
    noise, seeded = draw_noise((3, 16, 16), [0, 1])
    found = unpack_noise(pack_noise(noise, bits=2, part=8), seeded)
    assert found is not None
    kept = 1 - float((found - seeded).square().mean() / (noise - seeded).square().mean())
    assert kept > 0.9
    assert float(found.std()) == pytest.approx(1, abs=0.1)
    assert unpack_noise(b"\x03\x08abc", seeded) is None
    assert unpack_noise(b"\x01\x08a", seeded) is None
    with pytest.raises(ValueError, match="bits=3 and part=8 must be 1 or 2"):
        pack_noise(noise, bits=3, part=8)
