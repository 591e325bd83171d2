"""Small studies, and what is asked of two tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semlink.flowgraphs.studies import Study

TIMED = ("seconds", "pictures")


def small(tmp_path: Path, **options: object) -> Study:
    """A study of four 16×16 images that takes a moment."""
    folder = tmp_path / "images"
    if not folder.exists():
        folder.mkdir()
        from PIL import Image

        rng = np.random.default_rng(0)
        for i in range(4):
            smooth = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((4, 4, 1)))
            Image.fromarray(smooth.astype(np.uint8)).save(folder / f"{i}.png")
    given: dict[str, Any] = {"images": [str(folder)], "codecs": ["jpeg-uncoded-qam:4qam-1/2"], "esno_db": [0, 6, 12]}
    return Study(**{**given, "ratios": ["1/3"], "pictures": 1, "realisations": 1, **options})


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the last bit, but for the time it took."""
    columns = [name for name in one if name not in TIMED]
    pd.testing.assert_frame_equal(one[columns], other[columns], check_exact=True)


def write_study(study: Study, path: Path) -> Path:
    """As TOML."""
    values = study.to_dict()
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(one)}" for name, one in value.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


OWN = """
import torch
from semlink.phy.link import Frame, normalise_power
class Grey:
    def encode(self, image, n0):
        return Frame(normalise_power(torch.ones(len(image), 8, dtype=torch.complex64)), {"payload": 8})
    def decode(self, received):
        return torch.full((len(received.symbols), *received.image_shape), LEVEL)
"""


@pytest.fixture(name="same")
def give_same() -> Callable[[pd.DataFrame, pd.DataFrame], None]:
    return same


@pytest.fixture(name="write_study")
def give_write_study() -> Callable[[Study, Path], Path]:
    return write_study


@pytest.fixture(name="small")
def give_small(tmp_path: Path) -> Callable[..., Study]:
    return partial(small, tmp_path)


@pytest.fixture
def own_code() -> str:
    """The module of a codec of one's own, which shows a grey of LEVEL."""
    return OWN
