"""The paper's channel codec, mended: batch-mates change nothing, and any prefix of its tokens is heard."""

from __future__ import annotations

import pytest
import torch

from semlink.neural.classifiers import build_task, find_teacher, load_task
from semlink.phy.channels import AWGN
from semlink.phy.link import Link, Received

SMALL = {"features": 16, "tokens": 4, "width": 8, "heads": 2, "widths": [8, 8], "blocks": [1, 1]}


def image(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_batch_mates_change_no_prediction_and_power_is_one() -> None:
    torch.manual_seed(0)
    codec = build_task("task-paper", SMALL).eval()
    with torch.no_grad():
        for part in codec.parameters():
            part.add_(0.3 * torch.randn_like(part))
    images = image(5)
    whole = codec.encode(images, 0.1)
    assert whole.symbols.abs().square().mean(dim=1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)
    received = Received(whole.symbols + 0.1, torch.full(whole.symbols.shape, 0.1))
    logits = codec.decode(received).image
    for i in range(5):
        one = codec.encode(images[i : i + 1], 0.1).symbols
        torch.testing.assert_close(one[0], whole.symbols[i], rtol=1e-4, atol=1e-5)
        alone = codec.decode(Received(received.symbols[i : i + 1], received.n0[i : i + 1])).image[0]
        torch.testing.assert_close(alone, logits[i], rtol=1e-4, atol=1e-5)
    assert torch.equal(codec.encode(images, 1e-3).symbols, whole.symbols)  # told nothing of the noise
    assert codec.ignores_n0


def test_a_quarter_of_its_tokens_is_a_transmission_too() -> None:
    torch.manual_seed(0)
    codec = build_task("task-paper", SMALL).eval()
    assert (codec.uses, codec.least_uses) == (8, 2)
    got = Link(codec.send(2), AWGN())(image(3), 10.0, rng=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert got.image.shape == (3, 10)
    assert dict(got.uses) == {"payload": 2}
    with pytest.raises(ValueError, match="uses=3 must be, for a task codec of 4 tokens"):
        codec.send(3)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"tokens": 12}, "tokens=12: twice as many must divide features=64"),
        ({"width": 6}, "width=6 must be a multiple of heads=4"),
        ({"cells": ["dw3e2"]}, "1 cells must be one for each of the 6 blocks"),
        ({"told": True}, "told"),
    ],
)
def test_sizes_that_make_no_network_are_refused(network: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_task("task-paper", network)


def test_the_student_of_a_task_codec_is_a_teacher() -> None:
    teacher, codec = find_teacher("task"), load_task("task")
    assert (teacher.classes, teacher.features, teacher.side) == (10, 64, 32)
    torch.testing.assert_close(teacher(image(3)).logits, codec.see_image(image(3)).logits, rtol=1e-4, atol=1e-4)
    assert teacher.head is teacher.network.codec.head  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nowhere"):
        find_teacher("nowhere.safetensors")
