"""What every socket of ours needs: pyzmq, found late, and a way to notice that the other end is gone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

PROBE_S = 2
"""How often either end makes sure of the other when nothing comes."""
SILENT_S = 10
"""An end that is silent, or takes nothing, for so long is given up."""


def import_zmq() -> ModuleType:
    """The module zmq.

    Raises:
        ValueError: pyzmq is not installed.
    """
    try:
        import zmq
    except ImportError:
        raise ValueError(
            "the line to the worker needs pyzmq: apt install python3-zmq, or pip install 'semlink[radio]'"
        ) from None
    return zmq


def keep_alive(zmq: ModuleType, line: Any) -> None:  # noqa: ANN401
    """Let a socket notice that the other end is gone without a word, or takes nothing any more.

    By TCP's own means. ZeroMQ's heartbeats end the process ("Assertion failed: !_io_error", "_input_stopped") when a
    connection is lost while its high-water mark is reached: libzmq issues 4364 and 3937, in every version up to 4.3.5.
    """
    line.setsockopt(zmq.TCP_KEEPALIVE, 1)
    line.setsockopt(zmq.TCP_KEEPALIVE_IDLE, PROBE_S)
    line.setsockopt(zmq.TCP_KEEPALIVE_INTVL, PROBE_S)
    line.setsockopt(zmq.TCP_KEEPALIVE_CNT, SILENT_S // PROBE_S - 1)
    line.setsockopt(zmq.TCP_MAXRT, 1000 * SILENT_S)
