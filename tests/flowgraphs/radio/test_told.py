"""What is told of a picture that arrived without an error, and of one that had no reference."""

from __future__ import annotations

import json
import math

import pytest

from semlink.flowgraphs.radio.image_files import describe, to_json

TOLD = {"label": "received", "name": "a", "width": 4, "height": 5}


@pytest.mark.parametrize(
    ("value", "said"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, None), (30.5, 30.5)]
)
def test_infinite_is_not_unknown(value: float, said: object) -> None:
    assert json.loads(to_json({**TOLD, "psnr_db": value}), parse_constant=pytest.fail) == {**TOLD, "psnr_db": said}


def test_a_picture_without_an_error_has_its_psnr() -> None:
    assert describe({**TOLD, "psnr_db": math.inf}) == "received: a, 4x5, PSNR ∞ dB"
    assert describe({**TOLD, "psnr_db": math.nan}) == "received: a, 4x5"
