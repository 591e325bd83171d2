"""For scripts that tests run under GNU Radio's own Python: a block that keeps what it is sent, and how to send."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pmt
from gnuradio import gr


class Probe(gr.basic_block):
    """Keeps the messages that come in at `in`."""

    def __init__(self) -> None:
        gr.basic_block.__init__(self, name="probe", in_sig=None, out_sig=None)
        self.got: list[Any] = []
        self.message_port_register_in(pmt.intern("in"))
        self.set_msg_handler(pmt.intern("in"), self.take)

    def take(self, message: Any) -> None:  # noqa: ANN401 - pmt has no types
        self.got.append(message)


def post(block: Any, port: str, message: Any) -> None:  # noqa: ANN401
    block.to_basic_block()._post(pmt.intern(port), message)


def wait(until: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.02)


def gaussian(n: int, seed: int = 0) -> np.ndarray:
    axes = np.random.default_rng(seed).standard_normal((n, 2)) * np.sqrt(0.5)
    return (axes @ [1, 1j]).astype(np.complex64)
