"""A codec of two ONNX files gives what the network gives, and needs no PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from semlink.neural import zoo
from semlink.neural.models import MODELS, OWN
from semlink.neural.networks import swin
from semlink.neural.onnx import OnnxCodec
from semlink.neural.onnx.export import export_codec
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received, channel_uses, esno_to_n0
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images

ROOT = Path(__file__).parents[3]
CARDS = zoo.cards()
COMMANDED = "deepjscc-12"
"""What the command exports."""
EXPORTED = [name for name, card in CARDS.items() if hasattr(MODELS[card.codec], "to_pairs")]
OTHER_RATIO = {"swin": 0.1}
"""Than the card's."""
TRAINED = [(name, OTHER_RATIO.get(name, CARDS[name].ratio)) for name in EXPORTED if name != COMMANDED]
SIZE = (61, 50)
"""Of images for trained models: sides that are no multiples of a cell, and more than one attention window."""
TOLERANCE = 1e-3
LEAST_DB = 18


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def export(model: nn.Module, folder: Path, size: tuple[int, int]) -> OnnxCodec:
    export_codec(model, folder, name="codec", size=size)
    return OnnxCodec(folder, "codec", threads=1)


def differences(model: nn.Module, codec: OnnxCodec, images: int, channel: AWGN | Rayleigh) -> tuple[float, float]:
    """The largest ones of symbols and of image values, each side with a noise variance of its own."""
    image = torch.rand(images, 3, *codec.size, generator=generator())
    n0 = torch.rand(images, generator=generator(1)) + 0.01
    sent = model.symbols(image, n0)
    got = codec.encode(image.numpy(), n0.numpy())
    received = channel(sent, 0.2, rng=generator(2))
    shown = model.decode(Received(received.symbols, received.n0, image_shape=(3, *codec.size))).image
    seen = codec.decode(received.symbols.numpy(), received.n0.numpy())
    assert (got.dtype, got.shape) == (np.complex64, sent.shape)
    assert (seen.dtype, seen.shape) == (np.float32, image.shape)
    assert float(shown.std()) > 0.01  # not all clipped
    return float(np.abs(got - sent.numpy()).max()), float(np.abs(seen - shown.numpy()).max())


def check_parity(model: nn.Module, codec: OnnxCodec) -> None:
    for images in (1, 5):
        for channel in (AWGN(), Rayleigh("fast")):
            assert max(differences(model, codec, images, channel)) <= TOLERANCE


def test_the_codec_is_the_same_without_torch(model: nn.Module, codec: OnnxCodec) -> None:
    check_parity(model, codec)


def test_another_models_symbols_are_not_the_same(
    model: nn.Module, codec: OnnxCodec, make: Callable[[str], nn.Module]
) -> None:
    """The test bites."""
    other = make("deepjscc")
    other.to_symbols.weight.data *= 1.01 + 0.01 * torch.randn(other.to_symbols.weight.shape, generator=generator())
    other.to_pixels.bias.data += 0.02
    assert min(differences(other, codec, 2, AWGN())) > TOLERANCE


def test_both_sides_heed_the_noise(codec: OnnxCodec) -> None:
    image = np.random.default_rng(0).random((2, 3, 20, 17), dtype=np.float32)
    symbols = codec.encode(image, 0.1)
    np.testing.assert_allclose(np.mean(np.abs(symbols) ** 2, axis=1), 1, atol=1e-4)
    assert np.array_equal(codec.encode(image, np.full(2, 0.1)), symbols)
    assert np.abs(codec.encode(image, 1.0) - symbols).max() > TOLERANCE
    shown = codec.decode(symbols, 0.1)
    assert np.array_equal(codec.decode(symbols, np.full(symbols.shape, 0.1)), shown)
    n0 = np.full(symbols.shape, 0.1)
    n0[:, 7] = 1e9
    assert np.abs(codec.decode(symbols, n0) - shown).max() > TOLERANCE


def test_it_runs_where_there_is_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from semlink.neural.onnx import OnnxCodec\n"
        "codec = OnnxCodec(sys.argv[1], 'codec', threads=1)\n"
        "image = codec.decode(codec.encode(np.full((1, 3, 20, 17), 0.5, np.float32), 0.1), 0.1)\n"
        "ours = [name for name in sys.modules if name.startswith('semlink')]\n"
        "print(image.shape, sys.modules['torch'], 'jaxtyping' in sys.modules, sorted(ours))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ours = ["semlink", "semlink.neural", "semlink.neural.onnx", "semlink.neural.onnx.codec"]
    assert done.stdout.split("\n")[0] == f"(1, 3, 20, 17) None False {ours}"


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, semlink.neural.onnx; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.slow
def test_swin_is_the_same_with_one_attention_window(tmp_path: Path, make: Callable[[str], nn.Module]) -> None:
    """And at the largest ratio; the trained ones below have several windows."""
    model, size = make("swin"), (9, 30)
    model.ratio = 1 / 3
    codec = export(model, tmp_path, size)
    assert (codec.ratio, codec.symbols) == (1 / 3, channel_uses((3, *size), 1 / 3))
    check_parity(model, codec)


@pytest.mark.slow
def test_a_large_image_is_exported_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], nn.Module]
) -> None:
    """At the least ratio too; each export takes seconds."""
    monkeypatch.setattr(swin, "TILE", 4)
    model = make("swin")
    model.ratio = 1 / 24
    codec = export(model, tmp_path, (96, 100))
    assert codec.symbols == channel_uses((3, 96, 100), 1 / 24)
    for path in tmp_path.iterdir():
        assert sum(node.op_type == "Softmax" for node in onnx.load(path).graph.node) == 2, path  # one a block
    check_parity(model, codec)


def test_every_network_that_can_be_exported_has_trained_weights() -> None:
    assert {card.codec for card in CARDS.values()} >= {name for name in OWN if hasattr(MODELS[name], "to_pairs")}


class Noise:
    """A channel that adds what it is given."""

    def __init__(self, noise: np.ndarray) -> None:
        self.noise = torch.from_numpy(noise)

    def __call__(self, symbols: torch.Tensor, n0: float, *, rng: object) -> Received:
        return Received(symbols + self.noise, torch.full(symbols.shape, n0))


def check_link(model: nn.Module, codec: OnnxCodec) -> None:
    """Photographs through a whole link, to a hundredth of a decibel."""
    h, w = codec.size
    images = sample_images()[:, :, 60 : 60 + h, 60 : 60 + w].contiguous()
    for esno_db in (0.0, 10.0, 20.0):
        n0 = esno_to_n0(esno_db)
        normal = np.random.default_rng(0).standard_normal((len(images), codec.symbols, 2), dtype=np.float32)
        noise = (normal * np.float32((n0 / 2) ** 0.5)).view(np.complex64)[:, :, 0]
        shown = torch.from_numpy(codec.decode(codec.encode(images.numpy(), n0) + noise, n0))
        expected = Link(model, Noise(noise))(images, esno_db, rng=generator()).image
        assert psnr(expected, images) > LEAST_DB
        assert abs(psnr(shown, images) - psnr(expected, images)) <= 0.01


def check_trained(name: str, model: nn.Module, codec: OnnxCodec) -> None:
    assert (codec.metadata["codec"], codec.metadata["sha256"]) == (CARDS[name].codec, CARDS[name].sha256)
    check_parity(model, codec)
    check_link(model, codec)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ratio"), TRAINED)
def test_every_trained_model_is_the_same_without_torch(name: str, ratio: float, tmp_path: Path) -> None:
    """Every network is among them, and a swin at another ratio than its card's."""
    model = zoo.load(name, ratio=ratio)
    check_trained(name, model, export(model, tmp_path, SIZE))


@pytest.mark.slow
def test_the_command_writes_a_pair_and_says_little(
    tmp_path: Path, run_semlink: Callable[..., tuple[int, str, str]]
) -> None:
    """A trained model's, which is the same without PyTorch as well."""
    arguments = ["deepjscc", "--ratio", "1/12", "--size", f"{SIZE[1]}x{SIZE[0]}", "--out", str(tmp_path)]
    status, out, err = run_semlink("export", *arguments)
    assert (status, err) == (0, "")
    codec = OnnxCodec(tmp_path, "deepjscc", threads=1)
    assert (codec.size, codec.symbols) == (SIZE, channel_uses((3, *SIZE), 1 / 12))
    check_trained(COMMANDED, zoo.load(COMMANDED, ratio=1 / 12), codec)
    assert re.fullmatch(r"(\S+-(en|de)coder\.onnx: \d\.\d\d MB\n){2}", out)
