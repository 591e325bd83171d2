#!/usr/bin/env bash
# A random channel exported from PyTorch to ONNX: erasures that are always the same ones, and the same noise twice.
#
# torch.bernoulli of a constant probability is worked out during the export: the file holds one fixed pattern, and the
# erasure channel erases the same symbols in every run. Gaussian noise does stay random, but two sessions in one
# process start from the same state: two links, or two workers' threads, that run the file draw identical noise, and
# averages over them are averages over one. Complex noise (torch.randn of complex64) exports without a word into a file
# that ONNX Runtime refuses to load.
#
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0. Seen:
#   bernoulli: nodes Mul; two runs of a session equal: True; two sessions equal: True
#   randn_like: nodes RandomNormalLike, Add; two runs of a session equal: False; two sessions equal: True
#   complex randn: exported; ONNX Runtime: Type Error: Type (tensor(float)) of output arg (randn) of node (node_randn)
#   does not match expected type (tensor(complex64)).
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
import onnx
import onnxruntime
import torch

logging.disable(logging.WARNING)
print(*(f"{name} {version(name)}" for name in ("torch", "onnxscript", "onnx", "onnxruntime")))


class Channel(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def exported(name, function):
    torch.onnx.export(Channel(function).eval(), (torch.ones(2, 64),), dynamo=True, verbose=False).save(f"{name}.onnx")
    return f"{name}.onnx"


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def behaviour(name, function):
    path = exported(name, function)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    one, other = session(path), session(path)
    inputs = {one.get_inputs()[0].name: np.ones((2, 64), np.float32)}
    first, second, elsewhere = (which.run(None, inputs)[0] for which in (one, one, other))
    runs, sessions = np.array_equal(first, second), np.array_equal(first, elsewhere)
    print(f"{name}: nodes {', '.join(nodes)}; two runs of a session equal: {runs}; two sessions equal: {sessions}")
    return nodes, runs, sessions, first


nodes, runs, sessions, values = behaviour("bernoulli", lambda x: x * torch.bernoulli(torch.full((2, 64), 0.5)))
assert nodes == ["Mul"] and runs and sessions and 32 < values.sum() < 96
nodes, runs, sessions, _ = behaviour("randn_like", lambda x: x + torch.randn_like(x))
assert "RandomNormalLike" in nodes and not runs and sessions

path = exported("complex", lambda x: x + torch.view_as_real(torch.randn(2, 32, dtype=torch.complex64)).flatten(1))
try:
    session(path)
except Exception as error:
    print("complex randn: exported; ONNX Runtime:", str(error).split("failed:")[-1])
    assert "tensor(complex64)" in str(error)
else:
    raise AssertionError("a file with complex noise loads")
PYTHON
