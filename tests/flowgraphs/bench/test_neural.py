"""The plain networks are the same networks, and the bench measures what it says."""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import count

import pytest
import torch
from torch import nn

from semlink.flowgraphs.bench import neural as bench_neural
from semlink.flowgraphs.bench.neural import Speed, fastest, measure_neural
from semlink.flowgraphs.bench.plain_networks import PlainAttention, PlainTrunk, plain
from semlink.neural import inference
from semlink.neural.inference import by_parts, double
from semlink.neural.models import Network, build
from semlink.neural.networks import SwinBlock, WindowAttention, blocks, swin
from semlink.phy.link import Received

NETWORKS = {
    "deepjscc": {"cell_symbols": 8, "widths": (8, 12)},
    "swin": {"widths": (8, 12), "depths": (1, 2), "heads": 2, "window": 4},
    "swin-gsc": {},
    "adjscc": {"cell_symbols": 8, "width": 16},
}


def make(codec: str) -> Network:
    """A small one, shaken out of its initial symmetries."""
    torch.manual_seed(0)
    model = build(codec, NETWORKS[codec])
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)  # type: ignore[return-value]


@pytest.mark.parametrize("codec", NETWORKS)
@pytest.mark.parametrize("shape", [(11, 3, 16, 16), (3, 3, 33, 47), (1, 3, 100, 130)])
def test_the_plain_network_is_the_same_network(
    codec: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches in parts of 4 images, windows by 4, ragged ones; every image with noise of its own."""
    monkeypatch.setattr(swin, "CELLS", 64)
    monkeypatch.setattr(blocks, "TOKENS", 64)
    rng = torch.Generator().manual_seed(0)
    ours, image = make(codec), torch.rand(shape, generator=rng)
    theirs = plain(ours)
    sent = ours.encode(image, 0.1).symbols
    torch.testing.assert_close(theirs.encode(image, 0.1).symbols, sent, rtol=1e-4, atol=1e-4)
    n0 = 0.05 + torch.rand(sent.shape, generator=rng) * torch.rand(len(sent), 1, generator=rng)
    received = Received(sent, n0, image_shape=(3, *shape[2:]))
    torch.testing.assert_close(theirs.decode(received).image, ours.decode(received).image, rtol=1e-4, atol=1e-4)


def test_the_plain_network_has_none_of_our_blocks() -> None:
    ours, theirs = make("swin"), plain(make("swin"))
    assert isinstance(ours, nn.Module)
    assert isinstance(theirs, nn.Module)
    assert isinstance(theirs.encoder, PlainTrunk)
    inside = {type(child) for block in theirs.encoder.layers.coarse for child in block.children()}
    assert inside == {SwinBlock, PlainAttention}  # the first as a holder of weights
    assert not any(isinstance(block, SwinBlock) for block in theirs.decoder.layers.coarse)
    gsc = plain(make("swin-gsc"))
    assert isinstance(gsc, nn.Module)
    assert all(isinstance(block.attention, PlainAttention) for stage in gsc.encoder for block in stage)


@pytest.mark.parametrize("shift", [0, 2])
def test_attention_is_the_same_with_gradients_and_without(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient's way is in one piece, the other one in parts of two windows."""
    torch.manual_seed(0)
    block = SwinBlock(8, heads=2, window=4, shift=shift, mlp_ratio=2.0)
    for parameter in block.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    x, embedding = torch.randn(3, 10, 7, 8), torch.randn(3, 64)
    monkeypatch.setattr(blocks, "TOKENS", 32)
    with torch.no_grad():
        parts = block(x, embedding)
    torch.testing.assert_close(block(x, embedding).detach(), parts, rtol=1e-5, atol=1e-5)
    attention = WindowAttention(8, heads=2, window=4, shift=shift)
    torch.testing.assert_close(PlainAttention(attention)(x), attention(x), rtol=1e-5, atol=1e-5)


def test_parts_are_parts_only_without_gradients() -> None:
    sizes: list[tuple[int, int]] = []

    def network(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        sizes.append((len(x), len(y)))
        return x * y

    x, y = torch.rand(5, 3), torch.rand(5, 1)
    with torch.no_grad():
        assert torch.equal(by_parts(network, x, y, size=2), x * y)
        assert torch.equal(by_parts(network, x, y[:1], size=3), x * y[:1])
    assert torch.equal(by_parts(network, x, y, size=2), x * y)
    assert sizes == [(2, 2), (2, 2), (1, 1), (3, 1), (2, 1), (5, 5)]


@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_is_a_convolution(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = nn.ConvTranspose2d(4, 3, 5, stride=2, padding=2, output_padding=1, bias=bias).requires_grad_(False)
    x = torch.randn(2, 4, 5, 7)
    with torch.no_grad():
        monkeypatch.setattr(inference.nn.ConvTranspose2d, "forward", None)  # the fast way does not take it
        y = double(conv, x)
        monkeypatch.undo()
        torch.testing.assert_close(y, conv(x), rtol=1e-5, atol=1e-5)


def test_contestants_take_turns() -> None:
    ticks, runs = count(), []
    taken = fastest(
        {"a": lambda: runs.append("a"), "b": lambda: (runs.append("b"), next(ticks))},
        clock=lambda: float(next(ticks)),
        repeats=2,
    )
    assert runs == ["a", "b"] * 3
    assert taken == {"a": 1.0, "b": 2.0}


def test_the_bench_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(bench_neural, "BATCH_PIXELS", 2048)
    rows = measure_neural(codecs=["deepjscc", "no such"], sizes=[(32, 32)])
    assert [(row.what, row.batch, row.onnx_rate) for row in rows] == [
        ("deepjscc, encode", "2 of 32x32", None),
        ("deepjscc, decode", "2 of 32x32", None),
    ]
    assert all(row.plain_ratio == pytest.approx(row.rate / row.plain_rate) for row in rows)
    assert "left out: ONNX" in capsys.readouterr().err
    with pytest.raises(ValueError, match="threads=0 must be at least 1"):
        measure_neural(threads=0)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.usefixtures("one_registry")
def test_the_command_tells_all_three(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_neural, "BATCH_PIXELS", 8192)
    found = measure_neural(threads=1, codecs=["deepjscc"], sizes=[(32, 32)])
    monkeypatch.setattr(bench_neural, "measure_neural", lambda *, threads: found if threads == 1 else [])
    bench_neural.run_neural(threads=1, as_json=True)
    rows = [Speed(**row) for row in json.loads(capsys.readouterr().out)]
    assert [row.what for row in rows] == ["deepjscc, encode", "deepjscc, decode"]
    assert all(row.onnx_ratio == pytest.approx(row.rate / row.onnx_rate) for row in rows)
    bench_neural.run_neural(threads=1, as_json=False)
    assert "deepjscc, decode" in capsys.readouterr().out
