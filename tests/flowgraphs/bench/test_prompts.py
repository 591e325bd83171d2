"""What bytes are worth, on coders whose worth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from semlink.flowgraphs.bench import PromptFiles, measure_prompts, prompt_coders, run_prompts, worth_table
from semlink.flowgraphs.bench import prompts as module
from semlink.flowgraphs.specs import prompt_studio
from semlink.neural.classifiers import load_teacher
from semlink.neural.prompts import Prompt, least_budget
from semlink.phy.sources import sample_images


class Shifted:
    """A source coder of pixels as they are, `by` levels brighter for each 32 of width; nothing fits in few bytes."""

    def __init__(self, by: int) -> None:
        self.by = by

    def encode(self, image: np.ndarray, budget: int) -> bytes | None:
        return image.tobytes() if budget >= 3072 else None

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> np.ndarray | None:
        assert complete
        return np.frombuffer(data, np.uint8).reshape(shape) + np.uint8(self.by * (shape[1] // 32))

    def note(self, shape: tuple[int, int, int]) -> str:
        return f"{shape}"


def test_worth_is_what_it_must_be() -> None:
    """Of images of two sizes: every pixel counts alike for PSNR."""
    crops = sample_images()[0, :, 96:160, 96:160][None].mul(204).round() / 255
    images = [crops[:, :, :32, :32], crops[:, :, 32:, 32:], crops]
    same, off, none = measure_prompts(
        images, budgets=[4000], coders={"same": Shifted(0), "off": Shifted(2)}, teacher=load_teacher("tiniest")
    ) + measure_prompts(images[:1], budgets=[100], coders={"same": Shifted(0)})
    assert (same.psnr_db, same.ssim, same.shown) == (np.inf, 1.0, 1.0)
    assert same.likeness == pytest.approx(1.0, abs=1e-6)
    mean = (2 * 32**2 * 2**2 + 64**2 * 4**2) / (2 * 32**2 + 64**2)
    assert off.psnr_db == pytest.approx(10 * np.log10(255**2 / mean), abs=1e-6)
    assert 0.9 < off.likeness < 1 - 1e-5
    assert np.isnan(same.agreement), "there is an image that the classifier does not know"
    assert (none.shown, none.used) == (0.0, 0.0)
    alone = measure_prompts(images[:2], budgets=[4000], coders={"same": Shifted(0)}, teacher=load_teacher("tiniest"))
    assert alone[0].agreement == 1.0
    assert worth_table([same, off]).shape == (2, 9)


def test_a_whole_file_is_a_source_coder() -> None:
    image = (sample_images()[0, :, 96:128, 96:128] * 255).byte().permute(1, 2, 0).numpy()
    coder = PromptFiles(prompt_studio())
    data = coder.encode(image, 120)
    assert data is not None
    assert len(data) <= 120
    shown = coder.decode(data, (32, 32, 3), complete=True)
    assert shown is not None
    assert np.square(shown.astype(float) - image).mean() < 0.3 * image.astype(float).var()
    least = least_budget(Prompt(coder.studio.mark, 32, 32))
    assert coder.encode(image, least - 1) is None
    assert len(coder.encode(image, least) or b"") in range(least - 4, least + 1)
    assert coder.decode(data[:8], (32, 32, 3), complete=True) is None
    assert coder.decode(data, (32, 30, 3), complete=True) is None
    assert coder.decode(data, (32, 32, 3), complete=False) is None
    assert list(prompt_coders()) == ["prompt", "prompt file", "jpeg", "webp", "avif"]


def test_the_command_prints_a_table_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "prompt_coders", lambda: {"same": Shifted(0)})
    monkeypatch.setattr(module, "rendering_seconds", lambda _: 0.5)
    monkeypatch.setattr(module, "load_images", lambda _: {"a": torch.zeros(1, 3, 32, 32) + 0.2})
    run_prompts(words=["a"], budgets=[4000], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["render_64x64_10_steps_s"] == 0.5
    assert told["worth"][0]["psnr_db"] == "Infinity"
    run_prompts(words=["a"], budgets=[4000], as_json=False)
    assert "12,293 bytes for an image of 32x32" in capsys.readouterr().out
