"""What is sent again is encoded once; a long point shows how far it is within."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison import Frames, compare, frame_key, try_codecs
from semlink.flowgraphs.comparison.terminal import count_of
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received, esno_to_n0
from semlink.phy.rng import probe


class Counting:
    """A codec of 16 symbols that counts how often it encodes."""

    def __init__(self, *, ignores: bool = False) -> None:
        self.ignores_n0, self.encoded = ignores, 0
        self._lock = threading.Lock()

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        assert n0 > 0
        with self._lock:
            self.encoded += len(image)
        return Frame(torch.ones(len(image), 16, dtype=torch.complex64), {"payload": 16})

    def decode(self, received: Received) -> Decoded:
        assert received.image_shape is not None
        return Decoded(received.symbols.real.mean(dim=1)[:, None, None, None].expand(-1, *received.image_shape) / 2)


def images(count: int) -> dict[str, Tensor]:
    return {str(i): torch.full((1, 3, 8, 8), i / 10) for i in range(count)}


@pytest.mark.parametrize(("ignores", "encoded"), [(False, 2 * 4), (True, 4)])
def test_realisations_share_a_frame_and_levels_where_they_can(ignores: bool, encoded: int) -> None:
    codec = Counting(ignores=ignores)
    table = compare(images(4), {"x": codec}, AWGN(), [0.0, 10.0], realisations=5, workers=2).table
    assert codec.encoded == encoded
    assert list(table["realisations"]) == [5, 5]
    assert table["psnr_db"].nunique() == 2


def test_the_figures_are_those_of_frames_encoded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = compare(images(3), {"x": Counting()}, AWGN(), [0.0, 5.0], realisations=3).table
    monkeypatch.setattr(Frames, "get", lambda _self, _key, encode: encode())
    pd.testing.assert_frame_equal(kept, compare(images(3), {"x": Counting()}, AWGN(), [0.0, 5.0], realisations=3).table)


def test_what_was_tried_is_sent() -> None:
    codec, frames = Counting(), Frames()
    try_codecs({"x": codec}, images(1), esno_db=5.0, frames=frames)
    compare(images(1), {"x": codec}, AWGN(), [5.0], frames=frames)
    assert codec.encoded == 1


def test_the_oldest_frames_go() -> None:
    frames, made = Frames(limit=3 * 64 * 8), list[int]()

    def encode(number: int) -> Frame:
        made.append(number)
        return Frame(probe(1, 64), {"payload": 64})

    for number in (1, 2, 3, 1, 4, 1, 2):
        frames.get(number, lambda number=number: encode(number))
    assert made == [1, 2, 3, 4, 2]


def test_several_threads_wait_for_the_one_that_encodes() -> None:
    frames, made = Frames(), list[int]()

    def encode() -> Frame:
        made.append(1)
        time.sleep(0.1)
        return Frame(probe(1, 8), {"payload": 8})

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: frames.get("a", encode), range(4)))
    assert len(made) == 1
    assert all(one is got[0] for one in got)


def test_one_that_cannot_be_encoded_is_tried_again() -> None:
    frames = Frames()

    def fail() -> Frame:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            frames.get("a", fail)
    assert frames.get("a", lambda: Frame(probe(1, 8), {"payload": 8})).symbols.shape == (1, 8)


def test_a_key_heeds_the_level_unless_the_codec_does_not() -> None:
    plain, still = Counting(), Counting(ignores=True)
    assert frame_key(plain, 3.0, "a") == (id(plain), esno_to_n0(3.0), "a")
    assert frame_key(still, 3.0, "a") == frame_key(still, 9.0, "a") != frame_key(plain, 3.0, "a")


def test_a_single_point_tells_how_far_it_is() -> None:
    told: list[int] = []
    compare(images(2), {"x": Counting()}, AWGN(), [0.0], realisations=40, sent=told.append)
    assert told == [2] * 40


def test_the_count_is_the_sum_of_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from semlink.phy import progress

    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    shown: list[int] = []
    monkeypatch.setattr(progress.Lines, "__call__", lambda _self, done, **_: shown.append(done))
    with count_of("sending images", 100) as advance, ThreadPoolExecutor(4) as pool:
        list(pool.map(advance, [5] * 20))
    assert shown == list(range(5, 101, 5))
