#!/usr/bin/env bash
# A soft receiver exported from PyTorch to ONNX: LLRs of 89 become infinite, and phases of some symbols turn round.
#
# The exporter writes logaddexp as Log(Exp(a) + Exp(b)), which is what it exists to avoid: from 89 on, a box-plus or a
# max* of a log-domain decoder is inf, and their difference NaN. (logsumexp of the same two numbers is exported well.)
# log1p becomes Log(1 + x), and 10⁻⁹ becomes 0. atan2 becomes Atan(y / x) with a correction where x < 0, without the
# signs of zeros: a symbol at exactly -1 has the phase -π for +π, and one with a real part of -0.0, as a product with
# 0 or a rounding leaves it, comes out turned by π. amax steps over a NaN that PyTorch's passes on. All of them export
# without a word.
#
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0. Seen:
#   logaddexp: PyTorch [100.69, -inf], ONNX [inf, -inf]
#   logsumexp: PyTorch [100.69, -inf], ONNX [100.69, -inf]
#   log1p of 1e-9: PyTorch [1e-09], ONNX [0.0]
#   phase of 1j - 0.0, -1j - 0.0, -1: PyTorch [1.5708, -1.5708, 3.1416], ONNX [-1.5708, 1.5708, -3.1416]
#   amax of 1, NaN, 2: PyTorch [nan], ONNX [2.0]
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile torch==2.13.0 \
    onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch

logging.disable(logging.WARNING)
print(*(f"{name} {version(name)}" for name in ("torch", "onnxscript", "onnx", "onnxruntime")))


class Step(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *values):
        return self.function(*values)


def both(name, function, *values):
    tensors = [torch.tensor(value, dtype=torch.float32) for value in values]
    torch.onnx.export(Step(function).eval(), tuple(tensors), dynamo=True, verbose=False).save("step.onnx")
    session = onnxruntime.InferenceSession("step.onnx", providers=["CPUExecutionProvider"])
    inputs = {put.name: tensor.numpy() for put, tensor in zip(session.get_inputs(), tensors)}
    here, there = function(*tensors).numpy(), session.run(None, inputs)[0]
    shown = [[float(f"{value:.5g}") for value in np.ravel(result)] for result in (here, there)]
    print(f"{name}: PyTorch {shown[0]}, ONNX {shown[1]}")
    return here, there


infinite = float("inf")
here, there = both("logaddexp", torch.logaddexp, [100.0, -infinite], [100.0, -infinite])
assert abs(here[0] - 100.693) < 1e-3 and np.isinf(there[0])
here, there = both("logsumexp", lambda pairs: pairs.logsumexp(1), [[100.0, 100.0], [-infinite, -infinite]])
assert np.array_equal(here, there)
here, there = both("log1p of 1e-9", torch.log1p, [1e-9])
assert here[0] > 0 and there[0] == 0
here, there = both("phase of 1j - 0.0, -1j - 0.0, -1", torch.atan2, [1.0, -1.0, 0.0], [-0.0, -0.0, -1.0])
assert np.allclose(here, [np.pi / 2, -np.pi / 2, np.pi]) and np.allclose(there, -here)
here, there = both("amax of 1, NaN, 2", lambda row: row.amax(1), [[1.0, float("nan"), 2.0]])
assert np.isnan(here[0]) and there[0] == 2
PYTHON
