"""The block at the end of a link that delivers classes. Needs GNU Radio and NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pmt
from gnuradio import gr

from semlink.flowgraphs.radio.image_files import to_json
from semlink.flowgraphs.radio.pmt_pdus import from_pdu, guarded

_CLASSES = pmt.intern("classes")


class class_sink(gr.basic_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """Classes to a line of text each, with how sure the receiver is.

    Message port: `classes` in, as of a decoder.

    Args:
        label: what the lines begin with.
        log: file to which a line of JSON is written for each class; "" for none.

    Attributes:
        received: how many.
    """

    def __init__(self, *, label: str = "class", log: str = "") -> None:
        gr.basic_block.__init__(self, name="class_sink", in_sig=None, out_sig=None)
        self.label, self.log, self.received = label, log, 0
        self.message_port_register_in(_CLASSES)
        self.set_msg_handler(_CLASSES, self._take)

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        meta, _ = from_pdu(message)
        told = {**meta, "label": self.label}
        text = describe_class(told)
        self.received += 1
        print(text, flush=True)
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(to_json(told) + "\n")


def describe_class(told: Mapping[str, Any]) -> str:
    """A class in one line: which it is, how sure the receiver is, and what went wrong on its way.

    Raises:
        ValueError: no `class` or `confidence` among the fields.
    """
    if not isinstance(told.get("class"), int) or not isinstance(told.get("confidence"), float):
        raise ValueError("a PDU that is no class: `class` and `confidence` are wanted")
    words = [f"{told['label']}: image {told.get('sequence', '')}".strip()]
    words.append(f"{told.get('name') or 'class {}'.format(told['class'])}, {told['confidence']:.0%} sure")
    words += [str(told["codec"])] if "codec" in told else []
    words += [f"Es/N0 {told['esno_db']:.1f} dB"] if "esno_db" in told else []
    words += [f"{told['lost']} of {told['segments']} segments lost"] if told.get("lost") else []
    words += ["failed"] if told.get("failed") else []
    return ", ".join(words)
