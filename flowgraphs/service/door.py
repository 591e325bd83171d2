"""The worker's side of its front: starts the process that has the socket, and starts it again when it ends.

A process, since what ends it is libzmq's own `abort`, or the operating system; not a second worker, since the codecs
and what they have compiled stay where they are.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from semlink.flowgraphs.protocol import ADDRESS, LINGER_MS, TOO_MANY, TOO_MUCH, Limits, Part, PartsStream

START_S = 60.0
"""How long a front may take until it listens."""
PAUSE_S = 0.05, 1.0
"""From the end of a front to the start of the next: the first time, and at most."""
LASTING_S = 10.0
"""A front that ends sooner than that after it listened is waited for longer: clients ask for the same again at once."""
_PROGRAM = "from semlink.flowgraphs.protocol import run_front; run_front()"


class Door:
    """A socket that clients find again at the same address, whatever happens to it.

    Args:
        address: to listen on, as ZeroMQ has it; port * is one that is free.
        limits: what the socket may hold.
        keys: folder of the service's keys and those that it lets in; None for anybody.

    Attributes:
        address: where it listens.
        generation: how many sockets there have been; clients of one are not known to the next.

    Raises:
        ValueError: an address that is in use or cannot be, or pyzmq is not installed.
    """

    def __init__(self, address: str, limits: Limits, keys: Path | None = None) -> None:
        self.address, self.generation, self._limits = address, 0, limits
        self._keys = [] if keys is None else [str(keys)]  # not what is in it: arguments can be read by others
        self._failures, self._due = 0, 0.0
        self._listens, self._refusal, self._began = False, "", 0.0
        self._start()
        end = time.monotonic() + START_S
        while not self._listens:
            self._take_first(address)
            if not self._stream.is_open or time.monotonic() > end:
                self._end_process()
                raise ValueError(f"address {address!r}: the process that is to listen there does not start")
            time.sleep(0.005)

    @property
    def waiting(self) -> int:
        """Bytes of replies that the front has not taken yet."""
        return self._stream.waiting

    @property
    def is_open(self) -> bool:
        """Whether there is a front, as far as has been noticed."""
        return self._stream.is_open

    def use(self) -> tuple[float, int]:
        """Processor time in seconds and memory in bytes of the process that has the socket; 0 where nobody tells."""
        return use_of(self._process.pid)

    def fileno(self) -> int:
        """For a selector; another one after a start."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Send on as much as goes now."""
        self._stream.flush()

    def send(self, client: bytes, parts: Sequence[bytes]) -> None:
        """Have the front send a reply."""
        self._stream.put([b"reply", client, *parts])

    def take(self) -> list[list[Part]]:
        """What the front has for the worker; see `semlink.flowgraphs.protocol.worker_front.Front`."""
        return [message for message in self._stream.take() if not self._is_own(message)]

    def clear(self) -> tuple[bool, str]:
        """Take away a front that has ended; `reopen` starts the next.

        Returns:
            Whether it had been listening, and why it ended, for people.
        """
        listened, self._listens = self._listens, False
        lasted = listened and time.monotonic() - self._began > LASTING_S
        self._wait_longer(0 if lasted else self._failures + 1)
        return listened, self._reason(self._end_process())

    def reopen(self) -> bool:
        """Start the next front if it is time to."""
        if time.monotonic() < self._due:
            return False
        try:
            self._start()
        except OSError:  # too many files or processes just now
            self._wait_longer(self._failures + 1)
            return False
        return True

    def close(self) -> list[list[Part]]:
        """Let replies go out, for as long as `LINGER_MS` allows, and end the front; gives what it said last."""
        self._stream.put([b"close"])
        end, said = time.monotonic() + 2 * LINGER_MS / 1000 + 1, []
        while self._stream.is_open and time.monotonic() < end:
            self._stream.flush()
            said += self.take()
            time.sleep(0.002)
        self._end_process()
        return said

    def _wait_longer(self, failures: int) -> None:
        self._failures = failures
        self._due = time.monotonic() + min(PAUSE_S[1], PAUSE_S[0] * 2 ** min(failures, 20))

    def _start(self) -> None:
        self._refusal = ""
        ours, theirs = socket.socketpair()
        limits = json.dumps(list(self._limits))
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), self.address, limits, *self._keys]
        with theirs, ExitStack() as undo:
            undo.callback(ours.close)
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the worker, which has the front finish
            )
            undo.pop_all()
        self._stream = PartsStream(ours)
        self.generation += 1

    def _end_process(self) -> int:
        """Its exit status, once it has ended or is made to."""
        self._stream.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        self._process.kill()
        return self._process.wait()

    def _take_first(self, address: str) -> None:
        for message in self._stream.take():
            if self._is_own(message) and self._refusal:
                self._end_process()
                raise ValueError(f"address {address!r}: {self._refusal}; such as {ADDRESS}")

    def _is_own(self, message: Sequence[Part]) -> bool:
        """What a front says of itself: where it listens, or why it does not."""
        if message[0] == b"listening":
            self.address, self._listens, self._began = bytes(message[1]).decode(), True, time.monotonic()
        elif message[0] == b"failed":
            self._refusal = bytes(message[1]).decode()
        return message[0] in (b"listening", b"failed")

    def _reason(self, status: int) -> str:
        if self._refusal:
            return self._refusal
        if status == TOO_MUCH:
            return f"it held more than {self._limits.memory >> 20} MiB of messages"
        if status == TOO_MANY:
            return f"a message had more than {self._limits.parts} parts"
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def use_of(pid: int) -> tuple[float, int]:
    """Processor time in seconds and memory in bytes of a process, as Linux has them; 0 where nobody tells."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    user, system, pages = int(told[11]), int(told[12]), int(told[21])
    return (user + system) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def check_local(address: str) -> None:
    """Find out whether an address is of this machine alone.

    Raises:
        ValueError: it is not, or is not of a kind that the worker listens on.
    """
    place = check_kind(address)
    host = place.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if address.startswith("tcp:") and host != "localhost" and not _is_loopback(host):
        raise ValueError(
            f"address {address!r}: whoever reaches the worker can use it, so that it listens on this machine alone, "
            f"such as {ADDRESS}, unless --insecure says otherwise, or --keys lets in who is known alone"
        )


def check_kind(address: str) -> str:
    """What comes behind tcp:// or ipc://.

    Raises:
        ValueError: not of a kind that the worker listens on.
    """
    kind, _, place = address.partition("://")
    if kind not in ("tcp", "ipc") or not place:
        raise ValueError(f"address {address!r}: must be tcp:// or ipc://; such as {ADDRESS}")
    return place


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
