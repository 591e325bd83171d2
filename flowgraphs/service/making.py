"""Tasks, done: what a codec, the channel or a receiver makes of a batch. No queues, no caches, no sockets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.protocol import codebook
from semlink.flowgraphs.service.codecs import Shelf, scheme_numbers
from semlink.flowgraphs.service.jobs import Arriving, Crossing, Decoding, Encoding, Made, Restoring, Task, Value
from semlink.flowgraphs.service.uplink import as_images, cross
from semlink.neural.diffusion import Refined
from semlink.phy.impairments import Medium
from semlink.phy.link import (
    Codec,
    Decoded,
    Received,
    Spatial,
    channel_uses,
    check_decoded,
    check_frame,
    check_marks,
    esno_to_n0,
)


class Maker:
    """Does tasks. Several threads may use it.

    Args:
        shelf: has the codecs.
        channel: that images are carried over; None where none are.
        seed: of its fades and noise.
    """

    def __init__(self, shelf: Shelf, channel: Medium | None, seed: int) -> None:
        self._shelf, self._channel, self._seed = shelf, channel, seed

    @property
    def loads(self) -> int:
        """Codecs and receivers that were loaded for the thread that asks this."""
        return self._shelf.loads

    def make(self, task: Task) -> Made:
        """What becomes of a task; see `semlink.flowgraphs.service.tasks`.

        Raises:
            ValueError: what cannot be done; and whatever a codec raises.
        """
        torch.set_num_threads(task.threads)
        kind = task.kind
        with torch.no_grad():
            if isinstance(kind, Encoding):
                return self._encode(kind, task.arrays["image"])
            if isinstance(kind, Crossing):
                return self._cross(kind, task)
            if isinstance(kind, Restoring):
                return self._restore(kind, task)
            return self._decode(kind, task)

    def _encode(self, kind: Encoding, images: NDArray[np.uint8]) -> Made:
        codec = self._shelf.encoder(kind.codec, kind.ratio)
        frame = codec.encode(as_images(images), esno_to_n0(kind.esno_db))
        check_frame(frame, len(images))
        symbols = frame.symbols.resolve_conj().numpy()
        budget = channel_uses((3, kind.height, kind.width), kind.ratio)
        if symbols.shape[1] > budget:
            raise ValueError(f"ratio={kind.ratio:g} is {budget} symbols; {kind.codec} makes {symbols.shape[1]}")
        entries = [None] * len(images) if frame.header is None else [_entry(one) for one in frame.header]
        blind = [bool(getattr(codec, "ignores_n0", False))] * len(images)
        return Made({"symbols": symbols}, {"mcs": scheme_numbers(kind.codec, frame), "entry": entries, "blind": blind})

    def _cross(self, kind: Crossing, task: Task) -> Made:
        if self._channel is None:
            raise ValueError("there is no channel to carry images over")
        symbols, others = (torch.from_numpy(task.arrays[name]) for name in ("symbols", "others"))
        images, realisations = as_images(task.arrays["image"]), [int(one or 0) for one in task.rows["realisation"]]
        received = cross(self._channel, self._seed, kind.esno_db, symbols, others, images, realisations)
        seen = received.spatial
        found = {name: getattr(received, name) for name in ("symbols", "n0", "gain", "bias")}
        found |= {} if seen is None else {"observed": seen.observed, "h": seen.h, "noise": seen.n0}
        arrays = {name: one.resolve_conj().numpy() for name, one in found.items() if one is not None}
        return Made(arrays, {"width": [None if seen is None else seen.width] * len(received.symbols)})

    def _decode(self, kind: Arriving | Decoding, task: Task) -> Made:
        codec, received = self._decoder(kind), _received(kind, task)
        if not isinstance(codec, Refined):
            return _shown(_run_codec(codec, received))
        decoded, level = codec.receive(received)
        arrays = {"image": decoded.image.float().numpy(), "level": level.float().numpy()}
        return Made(arrays, {"failed": _failures(decoded)})

    def _decoder(self, kind: Arriving | Decoding) -> Codec:
        if isinstance(kind, Arriving):
            return self._shelf.behind(self._shelf.encoder(kind.codec, kind.ratio), kind.codec, kind.receiver)
        return self._shelf.behind(self._shelf.decoder(kind.header), codebook.name_of(kind.header), kind.receiver)

    def _restore(self, kind: Restoring, task: Task) -> Made:
        codec = self._shelf.behind(self._shelf.encoder(kind.codec, kind.ratio), kind.codec, kind.receiver)
        if not isinstance(codec, Refined):
            raise ValueError(f"receiver {kind.receiver!r} of {kind.codec} restores no image")
        image, level = (torch.from_numpy(task.arrays[name]) for name in ("image", "level"))
        failed = torch.tensor([bool(one) for one in task.rows["failed"]])
        refined = codec.refine(Decoded(image, failed), level)
        b, c, h, w = image.shape
        check_decoded(refined, (b, c, h, w))
        return _shown(Decoded(refined, failed))


def _entry(value: object) -> Value:
    if not (value is None or type(value) is int):
        raise ValueError(f"header entry {str(value)[:60]!r} must be a whole number")
    return value


def _received(kind: Arriving | Decoding, task: Task) -> Received:
    arrays, rows = task.arrays, task.rows
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    width = next(iter(rows.get("width", [None])), None)
    seen = None if width is None else Spatial(tensors["observed"], tensors["h"], tensors["noise"], int(width))
    told = rows.get("header", [None])
    return Received(
        tensors["symbols"],
        tensors["n0"],
        gain=tensors.get("gain"),
        bias=tensors.get("bias"),
        image_shape=(3, kind.height, kind.width),
        header=None if None in told else list(told),
        spatial=seen,
    )


def _run_codec(codec: Codec, received: Received) -> Decoded:
    decoded = codec.decode(received)
    decoded = Decoded(decoded) if isinstance(decoded, Tensor) else Decoded(*decoded)
    shape = received.image_shape
    check_decoded(decoded.image, None if shape is None else (len(received.symbols), *shape))
    check_marks(decoded, len(received.symbols))
    return decoded


def _failures(decoded: Decoded) -> list[bool]:
    return [False] * len(decoded.image) if decoded.failed is None else decoded.failed.tolist()


def _shown(decoded: Decoded) -> Made:
    logits = decoded.image.ndim == 2
    shown = {"logits": decoded.image.float().numpy()} if logits else {"image": to_uint8(decoded.image)}
    return Made(shown, {"failed": _failures(decoded)})
