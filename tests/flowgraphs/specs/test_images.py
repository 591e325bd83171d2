"""Images by words."""

from __future__ import annotations

import time

import pytest
import torch

from semlink.flowgraphs.specs import images, load_images

IMAGE = torch.zeros(1, 3, 8, 8)


def test_many_images_are_taken_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles were looked for among all that came before, at ten thousand images for minutes."""
    monkeypatch.setattr(images, "_images", lambda word, broken=None: {f"{word}-{i}": IMAGE for i in range(5000)})
    start = time.process_time()
    assert len(load_images(["a", "b"])) == 10_000
    assert time.process_time() - start < 5
    with pytest.raises(ValueError, match="given more than once"):
        load_images(["a", "b", "a"])
