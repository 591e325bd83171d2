"""What neither the export nor the codec takes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from semlink.flowgraphs.cli.export import parse_size
from semlink.neural.onnx import OnnxCodec
from semlink.neural.onnx.export import export_codec


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            np.zeros((1, 3, 17, 20), np.float32),
            r"is float32 \(1, 3, 17, 20\); it must be float32 \(b, 3, 20, 17\)",
        ),
        (np.zeros((3, 20, 17), np.float32), r"float32 \(3, 20, 17\)"),
        (np.zeros((0, 3, 20, 17), np.float32), "b at least 1"),
        (np.zeros((1, 3, 20, 17)), "image is float64"),
        (np.zeros((1, 3, 20, 17), np.uint8), "image is uint8"),
        (torch.zeros(1, 3, 20, 17), "image is a Tensor; it must be a NumPy array"),
        (np.full((1, 3, 20, 17), 1.5, np.float32), r"spans \[1.5, 1.5\]; it must lie in \[0, 1\]"),
        (np.full((1, 3, 20, 17), np.nan, np.float32), r"spans \[nan, nan\]"),
    ],
)
def test_images_it_cannot_take_are_refused(codec: OnnxCodec, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.encode(image, 0.1)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (np.zeros((1, 84), np.complex64), r"symbols is complex64 \(1, 84\); it must be complex64 \(b, 85\)"),
        (np.zeros((1, 85), np.complex128), "symbols is complex128"),
        (np.zeros((1, 85, 2), np.float32), "symbols is float32"),
        (np.full((1, 85), np.inf, np.complex64), "not finite"),
        (np.full((1, 85), 1j * np.nan, np.complex64), "not finite"),
    ],
)
def test_symbols_it_cannot_take_are_refused(codec: OnnxCodec, symbols: object, message: str) -> None:
    assert codec.symbols == 85
    with pytest.raises(ValueError, match=message):
        codec.decode(symbols, 0.1)


@pytest.mark.parametrize(
    ("n0", "message"),
    [
        (np.full(85, 0.1), r"n0 is float64 \(85,\); it must be real, one number or \(2, 85\)"),
        (np.full((2, 1), 0.1), r"\(2, 1\)"),
        (np.full((2, 85), 0.1 + 0j), "complex128"),
        ("loud", "must be real"),
        (-0.1, r"n0 spans \[-0.1, -0.1\]; it must be finite and at least 0"),
        (np.nan, "must be finite"),
        (1e300, "must be finite"),
    ],
)
def test_noise_variances_it_cannot_take_are_refused(codec: OnnxCodec, n0: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.decode(np.ones((2, 85), np.complex64), n0)
    with pytest.raises(ValueError, match=r"one number or \(2,\)"):
        codec.encode(np.zeros((2, 3, 20, 17), np.float32), np.full(3, 0.1))


def test_the_number_of_threads(folder: Path) -> None:
    assert OnnxCodec(folder, "codec", threads=2)._encoder.get_session_options().intra_op_num_threads == 2
    with pytest.raises(ValueError, match="threads=0 must be at least 1"):
        OnnxCodec(folder, "codec", threads=0)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_the_extra_no_export(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], nn.Module]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"needs {package}: pip install 'semlink\[onnx\]'"):
        export_codec(make("deepjscc"), tmp_path, name="a", size=(8, 8))
    assert not list(tmp_path.iterdir())


def test_without_the_runtime_no_codec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"need onnxruntime: pip install 'semlink\[onnx\]'"):
        OnnxCodec(folder, "codec")


def test_what_cannot_be_exported_is_refused(tmp_path: Path, make: Callable[[str], nn.Module]) -> None:
    for name in ("", "a/b", "a/"):
        with pytest.raises(ValueError, match="must be a file name without a folder"):
            export_codec(make("deepjscc"), tmp_path, name=name, size=(8, 8))
    with pytest.raises(ValueError, match="deepjscc takes RGB of at least 8x8 pixels"):
        export_codec(make("deepjscc"), tmp_path, name="a", size=(7, 8))
    with pytest.raises(ValueError, match="model is a Linear; it must be a network"):
        export_codec(nn.Linear(2, 2), tmp_path, name="a", size=(8, 8))
    model = make("swin")
    model.ratio = 0.5
    with pytest.raises(ValueError, match=r"ratio=0.5 must be, for swin"):
        export_codec(model, tmp_path, name="a", size=(8, 8))


@pytest.mark.parametrize("text", ["32", "32x", "7x8", "32x5000", "32X32", "32x32x3", "-8x8", "a"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    assert parse_size("50x37") == (37, 50)
    with pytest.raises(ValueError, match=f"--size {re.escape(repr(text))} must be WIDTHxHEIGHT"):
        parse_size(text)
