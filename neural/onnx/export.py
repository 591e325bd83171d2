"""Networks as a pair of ONNX files, which `semlink.neural.onnx.OnnxCodec` runs without PyTorch.

What goes through the files is real-valued, for ONNX Runtime has no complex tensors: a symbol is a pair of its real and
its imaginary part. A codec's own `to_pairs` and `from_pairs` are what is exported, so there is one account of the
arithmetic. Needs the extra `onnx`.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semlink.neural import zoo
from semlink.neural.models import MODELS, Network
from semlink.neural.onnx.codec import SEAL, seal
from semlink.phy.documents import written_whole

Pair = tuple[nn.Module, tuple[Tensor, Tensor]]


@runtime_checkable
class PairNetwork(Network, Protocol):
    """A network whose symbols may be pairs of reals, (b, n, 2), given which of its latents are sent."""

    def sent(self, h: int, w: int) -> Int[Tensor, " n"]:
        """Indices of the latents of an image that are sent."""
        ...

    def to_pairs(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], sent: Int[Tensor, " n"]
    ) -> Float[Tensor, "b n 2"]:
        """`Network.symbols`."""
        ...

    def from_pairs(
        self, pairs: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"], sent: Int[Tensor, " n"], size: tuple[int, int]
    ) -> Float[Tensor, "b 3 h w"]:
        """`Network.reconstruct`."""
        ...


class Side(nn.Module):
    """What both files share: the network, and which latents are sent, found once and not by every run."""

    places: Tensor

    def __init__(self, network: PairNetwork, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = network, size
        self.register_buffer("places", network.sent(*size))


class Encoder(Side):
    """Images to pairs."""

    def forward(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Float[Tensor, "b n 2"]:
        """Symbols of unit mean energy an image."""
        return self.network.to_pairs(image, n0, self.places)


class Decoder(Side):
    """Pairs to images."""

    def forward(self, symbols: Float[Tensor, "b n 2"], n0: Float[Tensor, "b n"]) -> Float[Tensor, "b 3 h w"]:
        """Images within [0, 1]."""
        return self.network.from_pairs(symbols, n0, self.places, self.size).clamp(0, 1)


def export_codec(model: Network, folder: str | Path, *, name: str, size: tuple[int, int]) -> tuple[Path, Path]:
    """Write `NAME-encoder.onnx` and `NAME-decoder.onnx`, and return their paths.

    Args:
        model: any of the networks, trained or not; it stays as it is.
        folder: made where there is none; files of before are replaced.
        name: of the files.
        size: height and width of the images in pixels.

    The batch may be of any size; the image size and the ratio, which is `model.ratio`, are fixed. All is float32:

    - encoder: image (b, 3, h, w) in [0, 1], average noise variance n0 (b,), to symbols (b, n, 2) of unit mean energy
      an image, real and imaginary parts;
    - decoder: symbols (b, n, 2) without bias, their noise variances n0 (b, n), to image (b, 3, h, w) in [0, 1].

    An image goes through in one piece, not in tiles: memory grows with its size. Both files tell in `metadata_props`:
    part, codec, ratio, height, width, symbols (n), sha256 (of the weights as `zoo.write_weights` writes them, which is
    what a card says), semlink (the version) and seal (the SHA-256 of the file, by which `OnnxCodec` tells a change).

    Raises:
        ValueError: the extra `onnx` is not installed, a name that is no file name, a size or a ratio that the codec
            refuses, a network without `to_pairs` and `from_pairs`, or weights that are not finite.
    """
    _check_installed()
    if not name or name != Path(name).name:
        raise ValueError(f"name={name!r} must be a file name without a folder")
    network = copy.deepcopy(model)
    if not (isinstance(network, PairNetwork) and isinstance(network, nn.Module)):
        raise ValueError(f"model is a {type(model).__name__}; it must be a network with to_pairs and from_pairs")
    network = network.cpu().float().eval().requires_grad_(False)
    pairs = _examples(network, size)
    props = _describe(network, size, symbols=pairs["decoder"][1][0].shape[1])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {part: folder / f"{name}-{part}.onnx" for part in pairs}
    for part, (side, example) in pairs.items():
        _write(side, example, paths[part], {"part": part, **props})
    return paths["encoder"], paths["decoder"]


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"ONNX export needs {error.name}: pip install 'semlink[onnx]'") from error


def _examples(network: PairNetwork, size: tuple[int, int]) -> dict[str, Pair]:
    """Both sides with an input to trace; two images, for a batch of one would be taken for a constant."""
    image = torch.full((2, 3, *size), 0.5)
    symbols = torch.view_as_real(network.encode(image, 0.1).symbols)  # which refuses what the codec cannot take
    return {
        "encoder": (Encoder(network, size), (image, torch.full((2,), 0.1))),
        "decoder": (Decoder(network, size), (symbols, torch.full(symbols.shape[:2], 0.1))),
    }


def _describe(network: PairNetwork, size: tuple[int, int], *, symbols: int) -> dict[str, str]:
    assert isinstance(network, nn.Module)
    with tempfile.TemporaryDirectory() as folder:
        zoo.write_weights(network, Path(folder) / "weights")
        digest = zoo.sha256(Path(folder) / "weights")
    kind = type(network)
    return {
        "codec": next((codec for codec, known in MODELS.items() if known is kind), kind.__name__),
        "ratio": repr(float(network.ratio)),
        "height": str(size[0]),
        "width": str(size[1]),
        "symbols": str(symbols),
        "sha256": digest,
        "semlink": metadata.version("semlink"),
    }


def _write(side: nn.Module, example: tuple[Tensor, Tensor], path: Path, props: dict[str, str]) -> None:
    """Export with everything in one file, and with the SHA-256 of that; whole or not at all."""
    batch = {0: torch.export.Dim("batch")}
    encodes = props["part"] == "encoder"
    # With gradients: without, a large image would be traced tile by tile.
    with _quiet(), torch.enable_grad():
        program = torch.onnx.export(
            side.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=["image" if encodes else "symbols", "n0"],
            output_names=["symbols" if encodes else "image"],
            dynamic_shapes=(batch, batch),
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where it stands in our source: the paths of this machine
    program.model.metadata_props.update({**props, "seal": f"{SEAL.decode()}{'0' * 64}"})
    with written_whole(path) as part:
        program.save(str(part), external_data=False)
        part.write_bytes(seal(part.read_bytes()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks: on deprecations within PyTorch, and on operators of packages not in use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
