#!/usr/bin/env bash
# Which complex baseband code PyTorch exports to ONNX: transforms and products, but not taking one sample.
#
# The exporter turns complex tensors into pairs of reals, operator by operator, and which operators it knows follows no
# rule that one could guess: x[..., 1:3] exports and x[..., -1] does not; matmul does and the einsum of the same
# product does not; fft does and zero padding before it does not; |x|² by abs() does, vector_norm does not; 1 / x does and
# x ** 2 does not. What does export is right to rounding.
#
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0. Seen:
#   exports, and agrees: slice, matmul, fft, abs, reciprocal, product with the conjugate
#   ConversionError: one sample, einsum, pad, vector_norm, square, cumsum
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch
from torch import view_as_complex as pairs
from torch import view_as_real as real

logging.disable(logging.ERROR)
print(*(f"{name} {version(name)}" for name in ("torch", "onnxscript", "onnx", "onnxruntime")))

EXPORTS = {
    "slice": lambda x, y: real(pairs(x)[..., 1:3]),
    "matmul": lambda x, y: real(pairs(x) @ pairs(y).transpose(-1, -2)),
    "fft": lambda x, y: real(torch.fft.fft(pairs(x))),
    "abs": lambda x, y: pairs(x).abs(),
    "reciprocal": lambda x, y: real(pairs(x).reciprocal()),
    "product with the conjugate": lambda x, y: real(pairs(x) * pairs(y).conj()),
}
FAILS = {
    "one sample": lambda x, y: real(pairs(x)[..., -1]),
    "einsum": lambda x, y: real(torch.einsum("ij,kj->ik", pairs(x), pairs(y))),
    "pad": lambda x, y: real(torch.nn.functional.pad(pairs(x), (1, 1))),
    "vector_norm": lambda x, y: torch.linalg.vector_norm(pairs(x), dim=-1),
    "square": lambda x, y: real(pairs(x) ** 2),
    "cumsum": lambda x, y: real(pairs(x).cumsum(-1)),
}


class Baseband(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, y):
        return self.function(x, y)


generator = torch.Generator().manual_seed(0)
inputs = {name: torch.randn(3, 8, 2, generator=generator) for name in ("x", "y")}


def error_of(function):
    """The largest error of ONNX Runtime's result; None where there is no file."""
    try:
        program = torch.onnx.export(Baseband(function).eval(), tuple(inputs.values()), dynamo=True, verbose=False)
    except torch.onnx.errors.OnnxExporterError as error:
        assert "ConversionError" in type(error).__name__, error
        return None
    program.save("baseband.onnx")
    session = onnxruntime.InferenceSession("baseband.onnx", providers=["CPUExecutionProvider"])
    got = session.run(None, {one.name: inputs[one.name].numpy() for one in session.get_inputs()})[0]
    return float(np.abs(got - function(*inputs.values()).numpy()).max())


errors = {name: error_of(function) for name, function in (EXPORTS | FAILS).items()}
good = [name for name, error in errors.items() if error is not None and error < 1e-4]
none = [name for name, error in errors.items() if error is None]
print("exports, and agrees:", ", ".join(good))
print("ConversionError:", ", ".join(none))
assert good == list(EXPORTS) and none == list(FAILS)
PYTHON
