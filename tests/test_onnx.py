from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from semlink.flowgraphs.export import parse_size
from semlink.neural import swin, zoo
from semlink.neural.models import OWN, build
from semlink.neural.onnx_codec import OnnxCodec
from semlink.neural.onnx_export import export_codec
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received, channel_uses, esno_to_n0
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images

ROOT = Path(__file__).parents[1]
CARDS = zoo.cards()
# Small ones: the graph is that of a large one.
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "deepjscc": {"cell_symbols": 4, "widths": (4, 6)},
    "swin": {"widths": (8, 12), "depths": (1, 2), "heads": 2, "window": 4},
    "swin-gsc": {"depths": (1, 2)},
    "adjscc": {"cell_symbols": 8, "width": 16},
    "deepjscc-plain": {"cell_symbols": 8},
}
TOLERANCE = 1e-3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str) -> nn.Module:
    """Shaken out of its initial symmetries, or much of it would be idle."""
    torch.manual_seed(0)
    model = build(name, NETWORKS.get(name, {}))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


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


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return make("deepjscc")


@pytest.fixture(scope="module")
def folder(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the pair of a small model for images of 20×17 pixels, 17 wide."""
    folder = tmp_path_factory.mktemp("onnx") / "made" / "for it"
    export_codec(model, folder, name="codec", size=(20, 17))
    return folder


@pytest.fixture
def codec(folder: Path) -> OnnxCodec:
    return OnnxCodec(folder, "codec", threads=1)


def test_the_codec_is_the_same_without_torch(model: nn.Module, codec: OnnxCodec) -> None:
    check_parity(model, codec)


def test_another_models_symbols_are_not_the_same(model: nn.Module, codec: OnnxCodec) -> None:
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


def test_what_the_files_tell(model: nn.Module, codec: OnnxCodec, tmp_path: Path) -> None:
    n = channel_uses((3, 20, 17), 1 / 12)
    zoo.write_weights(model, tmp_path / "weights")
    assert (codec.size, codec.symbols, codec.ratio) == ((20, 17), n, model.ratio)
    assert codec.metadata == {
        "codec": "deepjscc",
        "ratio": repr(model.ratio),
        "height": "20",
        "width": "17",
        "symbols": str(n),
        "sha256": zoo.sha256(tmp_path / "weights"),
        "semlink": metadata.version("semlink"),
    }


def test_the_files_are_two_and_tell_nothing_of_where_they_were_made(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["codec-decoder.onnx", "codec-encoder.onnx"]
    for path in folder.iterdir():
        onnx.checker.check_model(onnx.load(path), full_check=True)
        assert str(ROOT).encode() not in path.read_bytes()


@pytest.mark.slow
def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    model = make("deepjscc-plain").train().requires_grad_(True)
    export_codec(model, tmp_path, name="a", size=(8, 8))
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_it_runs_where_there_is_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from semlink.neural.onnx_codec import OnnxCodec\n"
        "codec = OnnxCodec(sys.argv[1], 'codec', threads=1)\n"
        "image = codec.decode(codec.encode(np.full((1, 3, 20, 17), 0.5, np.float32), 0.1), 0.1)\n"
        "ours = [name for name in sys.modules if name.startswith('semlink')]\n"
        "print(image.shape, sys.modules['torch'], 'jaxtyping' in sys.modules, sorted(ours))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ours = ["semlink", "semlink.neural", "semlink.neural.onnx_codec"]
    assert done.stdout.split("\n")[0] == f"(1, 3, 20, 17) None False {ours}"


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, semlink.neural.onnx_codec; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


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


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to / "codec-decoder.onnx"


def test_missing_and_damaged_files_are_refused(folder: Path, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 400, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"codec-decoder.onnx: (no ONNX model|its metadata lack)"):
            OnnxCodec(tmp_path, "codec")
    path.unlink()
    with pytest.raises(ValueError, match=r"codec-decoder.onnx: no such file"):
        OnnxCodec(tmp_path, "codec")
    with pytest.raises(ValueError, match=r"coder-encoder.onnx: no such file"):
        OnnxCodec(tmp_path, "coder")


@pytest.mark.parametrize(("key", "value"), [("sha256", "0" * 64), ("ratio", "0.125"), ("width", "18")])
def test_two_that_are_no_pair_are_refused(folder: Path, tmp_path: Path, key: str, value: str) -> None:
    path = copy(folder, tmp_path)
    model = onnx.load(path)
    (entry,) = (prop for prop in model.metadata_props if prop.key == key)
    entry.value = value
    onnx.save(model, path)
    with pytest.raises(ValueError, match=f"are no pair: {key} .* and {value}$"):
        OnnxCodec(tmp_path, "codec")


def test_files_of_another_kind_are_refused(folder: Path, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    shutil.copy(tmp_path / "codec-encoder.onnx", path)
    with pytest.raises(ValueError, match=r"codec-decoder.onnx: holds the encoder and not the decoder"):
        OnnxCodec(tmp_path, "codec")
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ValueError, match="its metadata lack part, codec, ratio"):
        OnnxCodec(tmp_path, "codec")


def test_the_number_of_threads(folder: Path) -> None:
    assert OnnxCodec(folder, "codec", threads=2)._encoder.get_session_options().intra_op_num_threads == 2
    with pytest.raises(ValueError, match="threads=0 must be at least 1"):
        OnnxCodec(folder, "codec", threads=0)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_the_extra_no_export(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"needs {package}: pip install 'semlink\[onnx\]'"):
        export_codec(make("deepjscc"), tmp_path, name="a", size=(8, 8))
    assert not list(tmp_path.iterdir())


def test_without_the_runtime_no_codec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"need onnxruntime: pip install 'semlink\[onnx\]'"):
        OnnxCodec(folder, "codec")


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_an_interruption_leaves_what_was_there(
    model: nn.Module, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy(folder, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_codec(model, tmp_path, name="codec", size=(8, 8))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["32", "32x", "7x8", "32x5000", "32X32", "32x32x3", "-8x8", "a"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    assert parse_size("50x37") == (37, 50)
    with pytest.raises(ValueError, match=f"--size {re.escape(repr(text))} must be WIDTHxHEIGHT"):
        parse_size(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OWN))
def test_every_network_is_the_same_without_torch(name: str, tmp_path: Path) -> None:
    """Random weights, and sides that are no multiples of a cell."""
    model = make(name)
    check_parity(model, export(model, tmp_path, (37, 50)))


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "size"), [(1 / 24, (48, 64)), (0.1, (9, 30)), (1 / 3, (33, 16))])
def test_swin_is_the_same_at_any_ratio(ratio: float, size: tuple[int, int], tmp_path: Path) -> None:
    """With one attention window and with several."""
    model = make("swin")
    model.ratio = ratio
    codec = export(model, tmp_path, size)
    assert (codec.ratio, codec.symbols) == (ratio, channel_uses((3, *size), ratio))
    check_parity(model, codec)


@pytest.mark.slow
def test_a_large_image_is_exported_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swin, "TILE", 4)
    model = make("swin")
    codec = export(model, tmp_path, (96, 100))
    for path in tmp_path.iterdir():
        assert sum(node.op_type == "Softmax" for node in onnx.load(path).graph.node) == 2, path  # one a block
    check_parity(model, codec)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.codec in NETWORKS])
def test_every_trained_model_is_the_same_without_torch(name: str, tmp_path: Path) -> None:
    model = zoo.load(name, ratio=CARDS[name].ratio)
    codec = export(model, tmp_path, (32, 32))
    assert (codec.metadata["codec"], codec.metadata["sha256"]) == (CARDS[name].codec, CARDS[name].sha256)
    check_parity(model, codec)


class Noise:
    """A channel that adds what it is given."""

    def __init__(self, noise: np.ndarray) -> None:
        self.noise = torch.from_numpy(noise)

    def __call__(self, symbols: torch.Tensor, n0: float, *, rng: object) -> Received:
        return Received(symbols + self.noise, torch.full(symbols.shape, n0))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1 / 6, 1 / 12])
def test_a_whole_link_shows_the_same(ratio: float, tmp_path: Path) -> None:
    """The trained swin over several windows, on photographs."""
    model, images = zoo.load("swin", ratio=ratio), sample_images()[:, :, 60:124, 60:108].contiguous()
    codec = export(model, tmp_path, (64, 48))
    for esno_db in (0.0, 10.0, 20.0):
        n0 = esno_to_n0(esno_db)
        normal = np.random.default_rng(0).standard_normal((len(images), codec.symbols, 2), dtype=np.float32)
        noise = (normal * np.float32((n0 / 2) ** 0.5)).view(np.complex64)[:, :, 0]
        shown = torch.from_numpy(codec.decode(codec.encode(images.numpy(), n0) + noise, n0))
        expected = Link(model, Noise(noise))(images, esno_db, rng=generator()).image
        assert psnr(expected, images) > 18
        assert abs(psnr(shown, images) - psnr(expected, images)) <= 0.01


@pytest.mark.slow
def test_the_command_writes_a_pair_and_says_little(tmp_path: Path) -> None:
    arguments = ["deepjscc", "--ratio", "1/12", "--size", "24x16", "--out", str(tmp_path)]
    code = "from semlink.flowgraphs.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "export", *arguments], capture_output=True, text=True, timeout=300, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, "")
    codec = OnnxCodec(tmp_path, "deepjscc", threads=1)
    assert (codec.size, codec.symbols) == ((16, 24), 96)
    assert codec.metadata["sha256"] == CARDS["deepjscc-12"].sha256
    assert re.fullmatch(r"(\S+-(en|de)coder\.onnx: \d\.\d\d MB\n){2}", done.stdout)
