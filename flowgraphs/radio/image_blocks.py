"""Blocks at either end: images from files, and images to files with their PSNR. Need GNU Radio and Pillow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pmt
from gnuradio import gr
from numpy.typing import NDArray

from semlink.flowgraphs.radio.image_files import (
    SAMPLES,
    describe,
    file_name,
    find_pictures,
    load_picture,
    parse_size,
    save_picture,
    squared_error,
    to_json,
    to_psnr_db,
)
from semlink.flowgraphs.radio.pmt_pdus import Meta, guarded, image_of, image_pdu, warn
from semlink.flowgraphs.radio.stations import Identity

_IMAGES, _NEXT = pmt.intern("images"), pmt.intern("next")
_REFERENCES, _SHOWN = pmt.intern("references"), pmt.intern("shown")
_KEPT = 64
"""References that are kept for images on their way."""
_SEQUENCES = 256
_STALL_S = 15.0
"""After so long without `next` the next image is sent all the same: the worker may have been away."""


class image_source(gr.basic_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """Images from files, one after another and again from the first.

    Message ports: `images` out, numbered by `sequence` within a `transmission`, whose number is drawn whenever the
    flowgraph starts; `next` in, any message, asks for the next one, such as `sent`
    of a transmitter does when it has sent what it had.

    Args:
        images: files and folders between semicolons, or "samples".
        size: WIDTHxHEIGHT to which they are cut and scaled; "" to leave them as they are.
        interval: seconds from one to the next; 0 to wait for `next`.
        count: how many are sent; 0 for no end.
        seed: of the number of the transmission; below 0 it differs every time.

    Raises:
        ValueError: a parameter out of range, or an image that is not there.
    """

    def __init__(
        self, *, images: str = SAMPLES, size: str = "", interval: float = 0.0, count: int = 0, seed: int = -1
    ) -> None:
        gr.basic_block.__init__(self, name="image_source", in_sig=None, out_sig=None)
        if not 0 <= interval <= 1e6 or not isinstance(count, int) or count < 0:
            raise ValueError(f"interval={interval!r} and count={count!r} must be 0 or more")
        self.paths, self.size, self.interval, self.count = find_pictures(images), parse_size(size), interval, count
        self.sent = 0
        self.identity, self._started = Identity(seed), False
        self._stopping = False
        self._asked = threading.Event()
        self.message_port_register_in(_NEXT)
        self.message_port_register_out(_IMAGES)
        self.set_msg_handler(_NEXT, self._take)

    def start(self) -> bool:
        """Send the first image, and go on; begins another transmission each time."""
        if self._started:
            self.identity.renew()
        self._started = True
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="image_source", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> bool:
        """Send no more."""
        self._stopping = True
        self._asked.set()
        self._thread.join()
        return True

    def _take(self, _message: Any) -> None:  # noqa: ANN401
        if self.interval == 0:
            self._asked.set()

    def _run(self) -> None:
        while True:
            self._asked.clear()  # before the look at `_stopping`, or `stop` might be slept through
            if self._stopping or (self.count and self.sent >= self.count):
                return
            self._send()
            self._asked.wait(self.interval or _STALL_S)

    def _send(self) -> None:
        number, self.sent = self.sent, self.sent + 1
        path = self.paths[number % len(self.paths)]
        try:
            image = load_picture(path, self.size)
        except ValueError as error:
            warn(f"image_source: {error}")
            return
        meta = {"transmission": self.identity.number, "sequence": number % _SEQUENCES, "name": path.stem}
        self.message_port_pub(_IMAGES, image_pdu(image, meta))


class image_sink(gr.basic_block):  # noqa: N801
    """Images to files, to a line of text each, and to `image_view`; with their PSNR where the reference came along.

    Message ports: `images` in; `references` in, the images as they were before they were sent, found again by their
    `transmission`, if they have one, and `sequence`; `shown` out, the image with `text` and `psnr_db`. An image is
    compared with every reference that was posted before its turn came, whichever port GNU Radio serves first.

    Args:
        label: what the lines begin with.
        folder: where to write NUMBER-NAME-TRANSMISSION.png; "" for nowhere.
        log: file to which a line of JSON is written for each image; "" for none.

    Attributes:
        received: how many.
        psnr_db: of the last, NaN without a reference.
        mean_psnr_db: of the mean squared error of all that had one.
    """

    def __init__(self, *, label: str = "image", folder: str = "", log: str = "") -> None:
        gr.basic_block.__init__(self, name="image_sink", in_sig=None, out_sig=None)
        self.label, self.folder, self.log = label, folder, log
        self.received = 0
        self.psnr_db = self.mean_psnr_db = float("nan")
        self._errors: list[float] = []
        self._references: OrderedDict[tuple[int, int], tuple[str, NDArray[np.uint8]]] = OrderedDict()
        for port, handler in ((_IMAGES, self._take), (_REFERENCES, self._keep)):
            self.message_port_register_in(port)
            self.set_msg_handler(port, handler)
        self.message_port_register_out(_SHOWN)

    @guarded
    def _keep(self, message: Any) -> None:  # noqa: ANN401
        meta, image = image_of(message)
        key = int(meta.get("transmission", 0)), int(meta.get("sequence", 0))
        self._references.pop(key, None)
        self._references[key] = str(meta.get("name", "")), image
        while len(self._references) > _KEPT:
            self._references.popitem(last=False)

    def _keep_waiting(self) -> None:
        """Take in the references that have come: a block's message ports have no common order."""
        while (message := self.delete_head_nowait(_REFERENCES)) is not None:
            self._keep(message)

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        meta, image = image_of(message)
        self._keep_waiting()
        name = self._compare(meta, image)
        self.received += 1
        told = {**meta, "label": self.label, "name": name, "psnr_db": self.psnr_db}
        text = describe(told)
        print(text, flush=True)
        if self.folder:
            told_name = file_name(self.received, name or "image", int(meta.get("transmission", 0)))
            save_picture(Path(self.folder) / told_name, image)
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(to_json(told) + "\n")
        self.message_port_pub(_SHOWN, image_pdu(image, {"text": text, "psnr_db": self.psnr_db}))

    def _compare(self, meta: Meta, image: NDArray[np.uint8]) -> str:
        """Name of the reference; the PSNR is kept."""
        transmission, sequence = int(meta.get("transmission", 0)), int(meta.get("sequence", -1))
        without = self._references.get((0, sequence), ("", None))  # of a source that gives none
        name, reference = self._references.get((transmission, sequence), without)
        self.psnr_db = float("nan")
        if reference is not None:
            self._errors.append(squared_error(image, reference))
            self.psnr_db = to_psnr_db(self._errors[-1])
            self.mean_psnr_db = to_psnr_db(float(np.mean(self._errors)))
        return name
