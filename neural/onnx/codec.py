"""A codec from a pair of ONNX files: NumPy and ONNX Runtime, no PyTorch.

`semlink export` and `semlink.neural.onnx.export.export_codec` write the files. This module imports nothing else of
ours, so a receiver needs `pip install numpy onnxruntime` and `pip install --no-deps semlink`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SEAL = b"semlink-sha256:"
"""What stands in each file before the SHA-256 of all its bytes, taken with 64 zeros in its place."""
_SEALED = re.compile(re.escape(SEAL) + rb"([0-9a-f]{64})")
TOLD = ("codec", "ratio", "height", "width", "symbols", "sha256", "semlink")
"""What the metadata of a file tell, and both files of a pair alike."""


class OnnxCodec:
    """An exported codec, for images of one size and at one ratio; the batch may be of any size.

    Args:
        folder: where the files are.
        name: of `NAME-encoder.onnx` and `NAME-decoder.onnx`.
        threads: of ONNX Runtime for an operator; None for what `OMP_NUM_THREADS` says, or one a core.

    Raises:
        ValueError: onnxruntime is not installed, a file that is missing, was changed in any byte or was not exported
            from here, or two that are no pair.
    """

    def __init__(self, folder: str | Path, name: str, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads} must be at least 1, or None for one a core")
        paths = {part: Path(folder) / f"{name}-{part}.onnx" for part in ("encoder", "decoder")}
        runs = {part: _open(path, threads) for part, path in paths.items()}
        told, other = (_metadata(runs[part], path, part) for part, path in paths.items())
        if unlike := [f"{key} {told[key]} and {other[key]}" for key in TOLD if told[key] != other[key]]:
            raise ValueError(f"{paths['encoder']} and {paths['decoder'].name} are no pair: {', '.join(unlike)}")
        self.metadata: Mapping[str, str] = {key: told[key] for key in TOLD}
        self._encoder, self._decoder = runs["encoder"], runs["decoder"]

    @property
    def ratio(self) -> float:
        """Complex channel uses / (3·h·w)."""
        return float(self.metadata["ratio"])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return int(self.metadata["height"]), int(self.metadata["width"])

    @property
    def symbols(self) -> int:
        """Complex symbols of an image, n."""
        return int(self.metadata["symbols"])

    def encode(self, image: NDArray[np.float32], n0: ArrayLike) -> NDArray[np.complex64]:
        """Images (b, 3, h, w) in [0, 1] to symbols (b, n) of unit mean energy an image.

        `n0` is the average noise variance (linear, Es = 1): one for all images, or (b,).

        Raises:
            ValueError: an image of another shape, dtype or range, or a noise variance that is not finite and at least
                0 or not one an image.
        """
        _check(image, "image", np.float32, ("b", 3, *self.size))
        low, high = image.min(), image.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"image spans [{low:g}, {high:g}]; it must lie in [0, 1]")
        variances = _variances(n0, image.shape[:1])
        (pairs,) = self._encoder.run(None, {"image": np.ascontiguousarray(image), "n0": variances})
        symbols: NDArray[np.complex64] = np.ascontiguousarray(pairs).view(np.complex64)[:, :, 0]
        return symbols

    def decode(self, symbols: NDArray[np.complex64], n0: ArrayLike) -> NDArray[np.float32]:
        """Received symbols (b, n), without bias, to images (b, 3, h, w) in [0, 1].

        `n0` is the noise variance after equalisation: one for all symbols, or (b, n).

        Raises:
            ValueError: symbols of another shape or dtype or not finite, or a noise variance that is not finite and at
                least 0 or not one a symbol.
        """
        _check(symbols, "symbols", np.complex64, ("b", self.symbols))
        if not np.isfinite(symbols).all():
            raise ValueError("symbols have values that are not finite; give 0 with a noise variance of 1e9 instead")
        variances = _variances(n0, symbols.shape)
        pairs = np.ascontiguousarray(symbols)[:, :, None].view(np.float32)
        (image,) = self._decoder.run(None, {"symbols": pairs, "n0": variances})
        shown: NDArray[np.float32] = image
        return shown


def _open(path: Path, threads: int | None) -> InferenceSession:
    """A session of ONNX Runtime on the CPU."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("ONNX files need onnxruntime: pip install 'semlink[onnx]'") from error
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `semlink export` writes it")
    data = _sealed(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _asked_threads()
    options.log_severity_level = 4  # what is wrong is raised; it need not be printed too
    try:
        # The bytes that were looked at, and not the path: nothing is read from other files either.
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of several classes, none of them public
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: no ONNX model, or a damaged one ({reason})") from error


def _asked_threads() -> int:
    """What `OMP_NUM_THREADS` says, which ONNX Runtime does not heed by itself; 0 for one a core."""
    asked = re.match(r"\s*([0-9]{1,4})\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    return int(asked[1]) if asked else 0


def seal(data: bytes) -> bytes:
    """A model with the SHA-256 of all its bytes in it.

    Raises:
        ValueError: it has no place for one, `SEAL` and 64 zeros, or several.
    """
    blank = SEAL + b"0" * 64
    if data.count(blank) != 1:
        raise ValueError(f"the model must hold {blank.decode()} once, and does {data.count(blank)} times")
    return data.replace(blank, SEAL + hashlib.sha256(data).hexdigest().encode())


def _sealed(path: Path) -> bytes:
    """The bytes of a model, if they are those that its seal is of."""
    data = path.read_bytes()
    found = _SEALED.findall(data)
    if len(found) != 1:
        raise ValueError(f"{path}: holds no checksum of its own: damaged, or of an earlier version; export it anew")
    if hashlib.sha256(data.replace(found[0], b"0" * 64)).hexdigest().encode() != found[0]:
        raise ValueError(f"{path}: SHA-256 differs from the one that it was exported with; the file was changed")
    return data


def _metadata(run: InferenceSession, path: Path, part: str) -> Mapping[str, str]:
    told: Mapping[str, str] = run.get_modelmeta().custom_metadata_map
    if missing := [key for key in ("part", *TOLD) if key not in told]:
        raise ValueError(f"{path}: its metadata lack {', '.join(missing)}; `semlink export` writes them")
    if told["part"] != part:
        raise ValueError(f"{path}: holds the {told['part']} and not the {part}")
    return told


def _check(array: object, what: str, dtype: type[np.generic], shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless it is an array of that dtype and shape, of at least one image."""
    wanted = f"{np.dtype(dtype)} ({', '.join(str(side) for side in shape)})"
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{what} is a {type(array).__name__}; it must be a NumPy array, {wanted}")
    if array.dtype != dtype or array.ndim != len(shape) or array.shape[1:] != shape[1:] or not array.shape[0]:
        raise ValueError(f"{what} is {array.dtype} {array.shape}; it must be {wanted}, b at least 1")


def _variances(n0: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    given = np.asarray(n0)
    if given.dtype.kind not in "fiu" or given.shape not in ((), shape):
        raise ValueError(f"n0 is {given.dtype} {given.shape}; it must be real, one number or {shape}")
    with np.errstate(over="ignore"):
        variances = np.full(shape, given, dtype=np.float32)
    if not (np.isfinite(variances) & (variances >= 0)).all():
        raise ValueError(f"n0 spans [{given.min():g}, {given.max():g}]; it must be finite and at least 0")
    return variances
