"""Blocks between images and frames: a few lines over the worker, which has the codecs. Need GNU Radio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pmt
from gnuradio import gr

from semlink.flowgraphs.protocol import (
    ADDRESS,
    DIGITAL,
    TASKS,
    Pdu,
    codec_name,
    decode_request,
    encode_request,
    read_classified,
    read_decoded,
    read_encoded,
    split_name,
)
from semlink.flowgraphs.radio.errands import MOST, Errands
from semlink.flowgraphs.radio.pmt_pdus import Meta, frame_pdu, guarded, image_of, image_pdu, received_of, to_pdu, warn
from semlink.flowgraphs.radio.stations import describe_frame
from semlink.phy.waveform import BurstHeader

_IMAGES, _FRAMES, _CLASSES = pmt.intern("images"), pmt.intern("frames"), pmt.intern("classes")


class _Coder(gr.basic_block):
    """Sends what comes in to a worker, and publishes what comes back."""

    _publish: Callable[[Pdu, Meta], None]

    def __init__(self, name: str, address: str, keys: str) -> None:
        gr.basic_block.__init__(self, name=name, in_sig=None, out_sig=None)
        self.errands: Errands[Meta] = Errands(address, self._deliver, keys)

    def start(self) -> bool:
        """Listen to the worker."""
        self.errands.start()
        return True

    def stop(self) -> bool:
        """Forget what the worker has not answered."""
        self.errands.stop()
        return True

    def _deliver(self, answer: Pdu, context: Meta) -> None:
        try:
            if answer.meta["op"] == "error":
                raise ValueError(answer.meta.get("message", ""))
            self._publish(answer, context)
        except Exception as error:  # the thread goes on
            warn(f"{self.name()}: {error}")


class _Encoder(_Coder):
    def __init__(
        self, name: str, address: str, keys: str, codec: str, ratio: float, esno_db: float, sender: int, queue: int
    ) -> None:
        BurstHeader(sender=sender)  # which checks it
        if not isinstance(queue, int) or not 1 <= queue <= MOST:
            raise ValueError(f"queue={queue!r} must be a whole number from 1 to {MOST}")
        super().__init__(name, address, keys)
        self.codec, self.ratio, self.esno_db, self.sender = codec, ratio, esno_db, sender
        self.queue = queue
        self._count = 0
        self.message_port_register_in(_IMAGES)
        self.message_port_register_out(_FRAMES)
        self.set_msg_handler(_IMAGES, self._take)

    def set_ratio(self, ratio: float) -> None:
        """Of the images from now on."""
        self.ratio = ratio

    def set_esno_db(self, esno_db: float) -> None:
        """What the transmitter takes the channel for, from now on."""
        self.esno_db = esno_db

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        if self.errands.waiting >= self.queue:
            warn(f"{self.name()}: an image was dropped: {self.queue} wait for the worker")
            return
        meta, image = image_of(message)
        request = encode_request(image, codec=self.codec, ratio=self.ratio, esno_db=self.esno_db)
        sequence, transmission = int(meta.get("sequence", self._count)) % 256, int(meta.get("transmission", 0))
        BurstHeader(transmission=transmission)  # which checks it
        self.errands.ask(request, {"transmission": transmission, "sequence": sequence})
        self._count += 1

    def _publish(self, answer: Pdu, context: Meta) -> None:
        encoded = read_encoded(answer)
        header = replace(encoded.header, sender=self.sender, **context)
        self.message_port_pub(_FRAMES, frame_pdu(header, encoded.symbols))


class _Decoder(_Coder):
    def __init__(self, name: str, address: str, receiver: str, keys: str, *, digital: bool) -> None:
        super().__init__(name, address, keys)
        self.receiver, self._digital = receiver, digital
        self.message_port_register_in(_FRAMES)
        self.message_port_register_out(_IMAGES)
        self.message_port_register_out(_CLASSES)
        self.set_msg_handler(_FRAMES, self._take)

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        frame = received_of(message)
        codec_name(frame.header.codec)  # which checks it
        judged = self.receiver and frame.header.codec in TASKS  # a class already: no receiver takes it
        if (frame.header.codec in DIGITAL) == self._digital and not judged:
            request = decode_request(frame.header, frame.symbols, frame.n0, receiver=self.receiver)
            self.errands.ask(request, describe_frame(frame))

    def _publish(self, answer: Pdu, context: Meta) -> None:
        if answer.meta["op"] == "classified":
            got = read_classified(answer)
            told = {"class": got.label, "name": got.name, "confidence": got.confidence}
            meta = {**context, **told, "codec": got.codec, "failed": got.failed}
            self.message_port_pub(_CLASSES, to_pdu(meta, got.logits))
            return
        decoded = read_decoded(answer)
        self.message_port_pub(
            _IMAGES, image_pdu(decoded.image, {**context, "codec": decoded.codec, "failed": decoded.failed})
        )


class jscc_encoder(_Encoder):  # noqa: N801 - blocks of GNU Radio have small letters
    """Images to frames of a neural codec.

    Message ports: `images` in, `frames` out.

    Args:
        address: of `semlink worker`, or "in-process".
        codec: a neural codec of `semlink.flowgraphs.protocol.codebook`, such as "swin".
        ratio: complex channel uses per image value.
        esno_db: what the transmitter takes the channel for, in dB.
        sender: number of this transmitter, 0 to 255.
        queue: images that may wait for the worker; more are dropped, with a line in the log.
        keys: file of `semlink keys` for a user, of a worker that asks for keys; "" for none.

    Raises:
        ValueError: a parameter that cannot be.
    """

    def __init__(
        self,
        *,
        address: str = ADDRESS,
        codec: str = "swin",
        ratio: float = 1 / 6,
        esno_db: float = 10.0,
        sender: int = 0,
        queue: int = 4,
        keys: str = "",
    ) -> None:
        if split_name(codec)[0] in DIGITAL.values():
            raise ValueError(f"codec={codec!r} is a digital chain, which chain_encoder is for")
        super().__init__("jscc_encoder", address, keys, codec, ratio, esno_db, sender, queue)


class chain_encoder(_Encoder):  # noqa: N801
    """Images to frames of the digital chain: source coder, 5G LDPC, QAM. Ports as of `jscc_encoder`.

    Args:
        address: of `semlink worker`, or "in-process".
        source: the source coder, such as "jpeg" or "webp".
        scheme: of modulation and coding, such as "16qam-1/2" or "nr1-13"; "adaptive" chooses it by `esno_db`.
        ratio: complex channel uses per image value.
        esno_db: what the transmitter takes the channel for, in dB.
        sender: number of this transmitter, 0 to 255.
        queue: images that may wait for the worker; more are dropped, with a line in the log.
        keys: file of `semlink keys` for a user, of a worker that asks for keys; "" for none.

    Raises:
        ValueError: a parameter that cannot be.
    """

    def __init__(
        self,
        *,
        address: str = ADDRESS,
        source: str = "jpeg",
        scheme: str = "adaptive",
        ratio: float = 1 / 6,
        esno_db: float = 10.0,
        sender: int = 0,
        queue: int = 4,
        keys: str = "",
    ) -> None:
        codec = f"{source}-ldpc-qam:{scheme}"
        split_name(codec)  # which checks it
        super().__init__("chain_encoder", address, keys, codec, ratio, esno_db, sender, queue)


class jscc_decoder(_Decoder):  # noqa: N801
    """Received frames of neural codecs to images; others are left alone.

    Message ports: `frames` in; `images` out, with the frame's `transmission`, `sequence`, `sender`, `codec`,
    `failed`, `lost` segments and `esno_db`; `classes` out, of codecs that classify, with the same, the `class`, its
    `name` and the `confidence` in it, and the logits as the vector. What the worker needs to know is in the frame.

    Args:
        address: of `semlink worker`, or "in-process".
        receiver: behind codecs of images, such as "sft", or "classify:tiniest" for a class instead of the image;
            frames of codecs that classify are then left alone.
        keys: as of `jscc_encoder`.

    Raises:
        ValueError: an address that cannot be, or a file that has no keys.
    """

    def __init__(self, *, address: str = ADDRESS, receiver: str = "", keys: str = "") -> None:
        super().__init__("jscc_decoder", address, receiver, keys, digital=False)


class chain_decoder(_Decoder):  # noqa: N801
    """Received frames of the digital chain to images, as `jscc_decoder` those of neural codecs."""

    def __init__(self, *, address: str = ADDRESS, receiver: str = "", keys: str = "") -> None:
        super().__init__("chain_decoder", address, receiver, keys, digital=True)
