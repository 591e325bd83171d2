"""The radio's end of the line to `semlink worker`. NumPy and pyzmq (Debian's python3-zmq) alone."""

from __future__ import annotations

import itertools
import math
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol.keys import Keys
from semlink.flowgraphs.protocol.meetings import Meetings
from semlink.flowgraphs.protocol.messages import (
    CarriedImage,
    DecodedClass,
    DecodedImage,
    EncodedImage,
    cancel_request,
    carry_request,
    check_answered,
    decode_request,
    encode_request,
    error_reply,
    read_carried,
    read_classified,
    read_decoded,
    read_encoded,
    status_request,
    with_id,
)
from semlink.flowgraphs.protocol.pdu import MalformedPduError, Pdu, Scalar, pack, unpack
from semlink.flowgraphs.protocol.sockets import import_zmq, keep_alive
from semlink.phy.waveform import BurstHeader

ADDRESS = "tcp://127.0.0.1:5555"
"""Where the worker listens unless it is told otherwise."""


GRACE_S = 1.0
"""Beyond the "deadline_ms" of a request, for the worker's own word that it is over."""


class WorkerError(RuntimeError):
    """The worker refused a request, or cannot take one; the message is its own."""


class WorkerAwayError(WorkerError, TimeoutError):
    """The worker did not answer in time."""


class WorkerLockedError(WorkerError):
    """The worker does not talk to who has this key, or none; or what is there is not the worker that the key is for."""


class WorkerClient:
    """Asks a worker to encode and decode. A worker that is away or restarts is connected to again by itself, and asked
    again for what it has not answered: to be asked twice does it no harm.

    Every request that was submitted is answered once: by the worker, or by an "error" made here, after `timeout_s` with
    "away" set, or as soon as the worker turns this client away with "locked" set. One thread may submit while another
    polls; `call`, `encode`, `decode` and `status` are for a client that no other thread polls meanwhile.

    Args:
        address: of the worker, as ZeroMQ has it.
        timeout_s: for how long an answer is waited for, in seconds; not much longer than the "deadline_ms" of a
            request, if it has one.
        most: requests that wait for an answer at most.
        keys: of the user, for a worker that has keys.
        again: ask again for what was not answered when the line was lost; else it is answered by an error at once, with
            "away" set, for who has somebody else to ask.

    Raises:
        ValueError: an address that cannot be, a limit that is not positive, or pyzmq is not installed.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        timeout_s: float = 10.0,
        most: int = 64,
        keys: Keys | None = None,
        again: bool = True,
    ) -> None:
        if not 0 < timeout_s < math.inf:
            raise ValueError(f"timeout_s={timeout_s!r} must be a positive number of seconds")
        if most < 1:
            raise ValueError(f"most={most!r} must be 1 or more")
        self.address, self.timeout_s, self.most, self._again = address, timeout_s, most, again
        self._zmq = import_zmq()
        self._context = self._zmq.Context()
        self._socket, self._meetings = self._connect(keys)
        self._turn = threading.Lock()  # whoever holds it may touch the socket
        self._outbox: deque[int] = deque()
        self._pending: dict[int, tuple[float, float, list[bytes]]] = {}  # when given up, after what, and it, by id
        self._answers: deque[Pdu] = deque()
        self._ids = itertools.count(1)
        self._bell, self._ears = socket.socketpair()
        for end in (self._bell, self._ears):
            end.setblocking(False)

    @property
    def is_up(self) -> bool:
        """Whether the worker is there, as far as `poll` has noticed."""
        return self._meetings.is_up

    def submit(self, pdu: Pdu) -> int:
        """Send a request, without waiting for anything: while the line is down it stays here, for `poll` to send.

        Returns:
            The id that its answer will have.

        Raises:
            WorkerError: `most` requests wait already.
            MalformedPduError: not a PDU that can be sent.
        """
        if len(self._pending) >= self.most:
            raise WorkerError(
                f"{len(self._pending)} requests wait for the worker at {self.address}; at most {self.most}"
            )
        number = next(self._ids)
        parts = pack(with_id(pdu, number))
        after = pdu.meta.get("deadline_ms")
        after_s = max(0.0, after / 1e3) + GRACE_S if isinstance(after, int | float) else math.inf
        wait_s = min(self.timeout_s, after_s)
        self._pending[number] = time.monotonic() + wait_s, wait_s, parts
        self._outbox.append(number)
        self._ring()
        self._send_if_free()
        return number

    def poll(self, timeout_s: float = 0.0) -> Pdu | None:
        """The next answer, or None where there is none within so many seconds."""
        end = time.monotonic() + timeout_s
        while not self._answers:
            with self._turn:
                now = time.monotonic()
                self._exchange(min([end, *(late for late, *_ in self._pending.copy().values())]) - now)
                self._give_up(time.monotonic())
            self._send_if_free()
            if time.monotonic() >= end:
                break
        return self._answers.popleft() if self._answers else None

    def call(self, pdu: Pdu) -> Pdu:
        """Send a request and wait for its answer; answers to others are kept for `poll`.

        Raises:
            WorkerError: the worker refused it; or, as `WorkerAwayError`, did not answer within `timeout_s`; or, as
                `WorkerLockedError`, does not talk to this client.
            MalformedPduError: not a PDU that can be sent.
        """
        number, others = self.submit(pdu), []
        try:
            while (answer := self.poll(self.timeout_s)) is None or answer.meta["id"] != number:
                others += [answer] if answer else []
        finally:
            self._answers.extendleft(reversed(others))
        if answer.meta["op"] == "error":
            kinds = {"away": WorkerAwayError, "locked": WorkerLockedError}
            kind = next((kinds[name] for name in kinds if answer.meta.get(name)), WorkerError)
            raise kind(str(answer.meta.get("message", "")))
        return answer

    def encode(self, image: NDArray[np.uint8], *, codec: str, esno_db: float, ratio: float = 1 / 6) -> EncodedImage:
        """The symbols of an image, 8-bit RGB levels (h, w, 3); see `encode_request`.

        Raises:
            WorkerError: as `call`.
            ValueError: an image that is not uint8 (h, w, 3), or an answer that is none to it.
        """
        found = read_encoded(self.call(encode_request(image, codec=codec, ratio=ratio, esno_db=esno_db)))
        check_answered("symbols", (found.header.height, found.header.width), np.shape(image)[:2])
        return found

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        """The image of a frame: its header, symbols (n,) and the noise variance of each (n,); see `decode_request`.

        Raises:
            WorkerError: as `call`.
            ValueError: other than header.symbols symbols or noise variances, values that are not finite, or an answer
                that is none to it.
        """
        found = read_decoded(self.call(decode_request(header, symbols, n0)))
        check_answered("image", found.image.shape[:2], (header.height, header.width))
        return found

    def classify(
        self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any], *, receiver: str = ""
    ) -> DecodedClass:
        """The class of a frame, as `decode`; of a codec of images by a `receiver` such as "classify:tiniest".

        Raises:
            WorkerError: as `call`.
            ValueError: as `decode`, or the answer is an image.
        """
        return read_classified(self.call(decode_request(header, symbols, n0, receiver=receiver)))

    def carry(
        self, image: NDArray[np.uint8], *, codec: str, esno_db: float, ratio: float = 1 / 6, realisation: int = 0
    ) -> CarriedImage:
        """What becomes of an image, 8-bit RGB levels (h, w, 3), from end to end; see `carry_request`.

        Raises:
            WorkerError: as `call`; a worker without a channel refuses.
            ValueError: an image that is not uint8 (h, w, 3), or an answer that is none to it.
        """
        asked = carry_request(image, codec=codec, ratio=ratio, esno_db=esno_db, realisation=realisation)
        found = read_carried(self.call(asked))
        check_answered("image", found.image.shape[:2], np.shape(image)[:2])
        return found

    def cancel(self, id: int) -> bool:
        """Take back a request that was submitted; tells whether it had no answer yet. It is answered by an error.

        Raises:
            WorkerError: as `call`.
        """
        return bool(self.call(cancel_request(id)).meta.get("found"))

    def status(self) -> dict[str, Scalar]:
        """What the worker tells of itself: queue, requests served and refused, latencies in ms by op, batch sizes.

        Raises:
            WorkerError: as `call`.
        """
        return {name: value for name, value in self.call(status_request()).meta.items() if name not in ("op", "id")}

    def close(self) -> None:
        """Let go of the line; what is not answered yet never will be."""
        with self._turn:
            self._meetings.close()
            self._socket.close(linger=0)
            self._context.term()
            self._bell.close()
            self._ears.close()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, keys: Keys | None) -> tuple[Any, Meetings]:  # zmq is imported late
        line = self._context.socket(self._zmq.DEALER)
        line.setsockopt(self._zmq.LINGER, 0)
        # Nothing is given to a line that is down: what waited too long there would still reach the next worker.
        line.setsockopt(self._zmq.IMMEDIATE, 1)
        line.setsockopt(self._zmq.RECONNECT_IVL, 50)
        line.setsockopt(self._zmq.RECONNECT_IVL_MAX, 1000)
        line.setsockopt(self._zmq.IPV6, int("[" in self.address))
        keep_alive(self._zmq, line)
        if keys is not None:
            keys.lock(line)
        meetings = Meetings(self._zmq, line, self.address, keys)
        try:
            line.connect(self.address)
        except self._zmq.ZMQError as error:
            meetings.close()
            line.close()
            self._context.term()
            raise ValueError(f"address={self.address!r}: {error}; such as {ADDRESS}") from None
        return line, meetings

    def _exchange(self, timeout_s: float) -> None:
        """Send what waits, then take in what comes within so many seconds; the caller has the turn."""
        poller, meetings = self._zmq.Poller(), self._meetings
        self._meet()
        self._send()
        poller.register(self._socket, self._zmq.POLLIN | (self._zmq.POLLOUT if self._outbox and meetings.is_up else 0))
        for other in (self._ears, meetings.monitor):
            poller.register(other, self._zmq.POLLIN)
        wait_s = min(timeout_s, meetings.redial_at - time.monotonic()) if self._pending else timeout_s
        poller.poll(max(0, math.ceil(1000 * wait_s)) if not self._answers else 0)
        self._silence()
        self._meet()
        self._send()
        while self._socket.getsockopt(self._zmq.EVENTS) & self._zmq.POLLIN:
            self._take(self._socket.recv_multipart())

    def _meet(self) -> None:
        """Have all that is not answered wait to be sent anew, if the line was lost and is there again; or answer it, if
        the worker does not want this client.

        Not when the line is lost: what is sent then may still go into the old one. The caller has the turn.
        """
        was_up = self._meetings.is_up
        meets_again, why = self._meetings.look()
        if not self._again and (meets_again or (was_up and not self._meetings.is_up)):
            unsent = set(self._outbox.copy()) if meets_again else set()
            lost = set(self._pending.copy()) - unsent
            self._answer(lost, f"the line to the worker at {self.address} was lost", "away")
        if meets_again:
            self._socket.getsockopt(self._zmq.EVENTS)  # has libzmq put the old line away
            waiting = set(self._outbox.copy())
            self._outbox.extendleft(sorted(set(self._pending.copy()) - waiting, reverse=True))
        if why:
            self._answer(set(self._pending.copy()), why, "locked")
        if self._pending:
            self._meetings.redial()

    def _take(self, parts: list[bytes]) -> None:
        try:
            pdu = unpack(parts)
        except MalformedPduError:
            return  # from something that is no worker; the request is given up when its time is over
        number = pdu.meta.get("id")
        if isinstance(number, int) and self._pending.pop(number, None) is not None:
            self._answers.append(pdu)

    def _give_up(self, now: float) -> None:
        late = {number: wait_s for number, (end, wait_s, _) in self._pending.copy().items() if end <= now}
        for number, wait_s in late.items():
            self._answer({number}, f"no answer from the worker at {self.address} within {wait_s:g} s", "away")

    def _answer(self, numbers: set[int], why: str, kind: str) -> None:
        """In place of the worker, by an error."""
        for number in sorted(numbers):
            if self._pending.pop(number, None) is not None:
                self._answers.append(with_id(Pdu({**error_reply(why).meta, kind: True}), number))
        for number in [number for number in self._outbox.copy() if number in numbers]:  # `submit` may append meanwhile
            self._outbox.remove(number)

    def _send(self) -> None:
        """As much as the line takes, once it is known to be there; the caller has the turn."""
        while self._outbox and self._meetings.is_up:
            number = self._outbox[0]
            try:
                if number in self._pending:  # else it was answered before it was to be sent anew
                    self._socket.send_multipart(self._pending[number][2], self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            self._outbox.popleft()

    def _send_if_free(self) -> None:
        """Send unless another thread has the turn: that one does it when the bell wakes it, or when it is done."""
        while self._outbox and self._turn.acquire(blocking=False):
            before = len(self._outbox)
            try:
                self._meet()
                self._send()
            finally:
                self._turn.release()
            if len(self._outbox) >= before:
                return

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it rings already
            self._bell.send(b"\0")

    def _silence(self) -> None:
        with suppress(BlockingIOError):
            while self._ears.recv(4096):
                pass
