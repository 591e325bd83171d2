"""Weights that are no numbers are neither written nor exported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from torch import nn

from semlink.neural import zoo
from semlink.neural.models import build
from semlink.neural.onnx.export import export_codec


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])  # the last of which float16 has no place for
def test_what_is_no_number_is_not_written(value: float, tmp_path: Path) -> None:
    model = build("deepjscc", {"cell_symbols": 4, "widths": [4, 6]})
    bad, weights = next(iter(model.named_parameters())), tmp_path / "a.safetensors"
    zoo.write_weights(model, weights)
    before = weights.read_bytes()
    bad[1].data.view(-1)[0] = value
    with pytest.raises(ValueError, match=f"{bad[0]} has values that are not finite numbers"):
        zoo.write_weights(model, weights)
    assert weights.read_bytes() == before
    assert isinstance(model, nn.Module)
    with pytest.raises(ValueError, match="not finite"):
        export_codec(model, tmp_path, name="a", size=(8, 8))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
