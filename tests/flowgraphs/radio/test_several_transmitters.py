"""Transmitters without a receiver say that they wait; one receiver serves several, at once and one after another."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import DecodedImage, EncodedImage
from semlink.flowgraphs.radio import apps, terminals
from semlink.flowgraphs.radio.stations import FrameReceiver, HeardFrame
from semlink.flowgraphs.radio.terminals import SimReceiver, SimTransmitter
from semlink.phy.waveform import BurstHeader, SingleCarrier, find_hints, resample


class Pixels:
    """A codec in NumPy alone: each pair of values is a symbol."""

    def encode(self, image: NDArray[np.uint8], **_: object) -> EncodedImage:
        height, width, _ = image.shape
        symbols = (image.ravel().astype(np.float32) / 127.5 - 1).view(np.complex64) * np.float32(np.sqrt(1.5))
        return EncodedImage(BurstHeader(codec=2, height=height, width=width, symbols=len(symbols)), symbols)

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        levels = np.clip(np.rint((symbols.view(np.float32) / np.sqrt(1.5) + 1) * 127.5), 0, 255).astype(np.uint8)
        return DecodedImage(levels.reshape(header.height, header.width, 3), False, "swin")


def qpsk(count: int, seed: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return ((1 - 2 * rng.integers(2, size=(count, 2))) / np.sqrt(2)).astype(np.float32).view(np.complex64)[:, 0]


def send(address: str, sender: int, frames: int, *, tell: Callable[[str], object] = lambda _: None) -> None:
    """Frames of several bursts each, by one transmitter, until they are taken."""
    transmitter = SimTransmitter(address, SingleCarrier(), seed=sender, tell=tell)
    for number in range(frames):
        header = BurstHeader(symbols=9000, sender=sender, sequence=number)
        transmitter.send(header, qpsk(9000, 100 * sender + number))
    transmitter.close()


def heard(receiver: SimReceiver, count: int, *, seconds: float = 120) -> list[HeardFrame]:
    end, frames = time.monotonic() + seconds, []
    for frame in receiver.frames():
        frames += [] if frame is None else [frame]
        if len(frames) == count or time.monotonic() > end:
            break
    return frames


def are_whole(frames: list[HeardFrame]) -> None:
    for frame in frames:
        sent = qpsk(9000, 100 * frame.header.sender + frame.header.sequence)
        assert not frame.lost
        assert np.abs(frame.symbols - sent).max() < 0.2


def test_those_at_once_are_kept_apart(free_port: Callable[[], int]) -> None:
    """Burst by burst through one receiver, which ends when the last of them has."""
    places = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    threads = [threading.Thread(target=send, args=(place, i, 3), daemon=True) for i, place in enumerate(places)]
    receiver = SimReceiver(", ".join(places), SingleCarrier(), None)
    for thread in threads:
        thread.start()
    frames = heard(receiver, 7)
    receiver.close()
    assert sorted((one.header.sender, one.header.sequence) for one in frames) == [
        (i, j) for i in (0, 1) for j in range(3)
    ]
    assert len({one.header.transmission for one in frames}) == 2
    are_whole(frames)


def test_one_after_another_at_the_same_address(free_port: Callable[[], int]) -> None:
    place = f"tcp://127.0.0.1:{free_port()}"

    def both() -> None:
        send(place, 1, 2)
        send(place, 2, 2)

    threading.Thread(target=both, daemon=True).start()
    receiver = SimReceiver(place, SingleCarrier(), None, lasting=True)
    frames = heard(receiver, 4)
    receiver.close()
    assert [(one.header.sender, one.header.sequence) for one in frames] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    are_whole(frames)


def test_without_a_time_the_end_of_a_transmitter_is_the_end(free_port: Callable[[], int]) -> None:
    place = f"tcp://127.0.0.1:{free_port()}"
    threading.Thread(target=send, args=(place, 1, 1), daemon=True).start()
    receiver = SimReceiver(place, SingleCarrier(), None)
    assert len([one for one in receiver.frames() if one]) == 1  # it ends by itself
    receiver.close()


def test_who_waits_says_for_what(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminals, "WAIT_S", 0.2)
    place, told = f"tcp://127.0.0.1:{free_port()}", list[str]()
    sender = threading.Thread(target=send, args=(place, 1, 1), kwargs={"tell": told.append}, daemon=True)
    sender.start()
    end = time.monotonic() + 60
    while not told and time.monotonic() < end:
        time.sleep(0.02)
    assert told == [f"waiting for a receiver at {place}"]
    receiver = SimReceiver(place, SingleCarrier(), None, tell=told.append)
    assert len(heard(receiver, 1)) == 1
    sender.join(60)
    receiver.close()
    assert not sender.is_alive()
    alone = SimReceiver(f"tcp://127.0.0.1:{free_port()}", SingleCarrier(), None, tell=told.append)
    list(zip(range(5), alone.frames(), strict=False))
    alone.close()
    assert told[-1].startswith("waiting for a transmitter at tcp://")


def test_the_command_tells_what_went_where_and_hears_two_in_its_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "_open_coder", lambda *_: Pixels())
    link = ["--radio", "sim", "--air", f"tcp://127.0.0.1:{free_port()}"]
    words = ["transmit", "samples", "--size", "40x30", *link]

    def both() -> None:
        for sender in (1, 2):
            apps.main([*words, "--sender", str(sender)])

    sending = threading.Thread(target=both, daemon=True)
    sending.start()
    apps.main(["receive", *link, "--out", str(tmp_path), "--json", "--count", "6", "--seconds", "300"])
    sending.join(60)
    out, said = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = [(one["sender"], one["sequence"]) for one in told if one["label"] == "received"]
    assert found == [(sender, number) for sender in (1, 2) for number in range(3)]
    assert len(list(tmp_path.glob("*.png"))) == 6
    assert said.count(f"semlink: 3 images in 5400 symbols went to {link[-1]}\n") == 2


def test_a_recording_at_twice_the_rate_is_told_to_be_one() -> None:
    sent = SingleCarrier().modulate(BurstHeader(symbols=3000), qpsk(3000, 1))
    stream = np.concatenate([np.zeros(2000, np.complex64), sent, np.zeros(2000, np.complex64)])
    twice = resample(stream, np.arange(2 * len(stream)) / 2)
    expected = "headers can be read as a single carrier of 8 samples per symbol, as at twice the sample rate"
    assert find_hints(twice, SingleCarrier()) == (expected,)
    receiver = FrameReceiver(SingleCarrier())
    receiver.push(twice)
    receiver.flush()
    assert expected in receiver.seen(hints=True).line()
