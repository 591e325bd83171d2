"""The two files of a codec: what they tell, and which pairs are none."""

from __future__ import annotations

import random
import re
import shutil
from importlib import metadata
from pathlib import Path

import onnx
import pytest
from torch import nn

from semlink.neural import zoo
from semlink.neural.onnx import OnnxCodec
from semlink.neural.onnx.codec import SEAL, seal
from semlink.neural.onnx.export import export_codec
from semlink.phy.link import channel_uses


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


def test_the_model_stays_as_it_was(exported: tuple[Path, nn.Module]) -> None:
    """In training, with gradients."""
    _, model = exported
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


ROOT = Path(__file__).parents[3]


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to / "codec-decoder.onnx"


def keep_sealed(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as if it had been exported like this."""
    onnx.save(model, path)
    path.write_bytes(seal(re.sub(SEAL + rb"[0-9a-f]{64}", SEAL + b"0" * 64, path.read_bytes())))


def test_no_changed_byte_is_taken(folder: Path, tmp_path: Path) -> None:
    path, rng = copy(folder, tmp_path), random.Random(0)
    data = path.read_bytes()
    place = data.index(SEAL)
    for at in [*range(place, place + len(SEAL) + 64, 16), *(rng.randrange(len(data)) for _ in range(15))]:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"codec-decoder.onnx: (holds no checksum|SHA-256 differs)"):
            OnnxCodec(tmp_path, "codec")
    path.write_bytes(data)
    assert OnnxCodec(tmp_path, "codec").size == (20, 17)


def test_a_model_takes_one_seal() -> None:
    for data in (b"", 2 * (SEAL + b"0" * 64)):
        with pytest.raises(ValueError, match="the model must hold semlink-sha256:0000"):
            seal(data)


def test_missing_and_damaged_files_are_refused(folder: Path, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 400, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"codec-decoder.onnx: (holds no checksum|SHA-256 differs)"):
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
    keep_sealed(model, path)
    with pytest.raises(ValueError, match=f"are no pair: {key} .* and {value}$"):
        OnnxCodec(tmp_path, "codec")


def test_files_of_another_kind_are_refused(folder: Path, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    shutil.copy(tmp_path / "codec-encoder.onnx", path)
    with pytest.raises(ValueError, match=r"codec-decoder.onnx: holds the encoder and not the decoder"):
        OnnxCodec(tmp_path, "codec")
    model = onnx.load(path)
    (kept,) = (prop for prop in model.metadata_props if prop.key == "seal")
    del model.metadata_props[:]
    model.metadata_props.append(kept)
    keep_sealed(model, path)
    with pytest.raises(ValueError, match="its metadata lack part, codec, ratio"):
        OnnxCodec(tmp_path, "codec")
    path.write_bytes(seal(SEAL + b"0" * 64))
    with pytest.raises(ValueError, match=r"codec-decoder.onnx: no ONNX model, or a damaged one"):
        OnnxCodec(tmp_path, "codec")


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
