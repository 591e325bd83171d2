"""A trained task codec is told no Es/N0 beyond its training."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural.classifiers import (
    TaskCard,
    TaskCodec,
    build_task,
    load_task,
    read_task_card,
    task_cards,
    write_task_card,
)
from semlink.neural.zoo import sha256, write_weights
from semlink.phy.link import Received, esno_to_n0

SMALL = {"tokens": 4, "width": 8, "seen_width": 8, "heads": 2, "widths": [4, 6], "blocks": [1, 1]}


@pytest.fixture
def card(tmp_path: Path) -> TaskCard:
    torch.manual_seed(0)
    codec, path = build_task("task", SMALL), tmp_path / "mine.safetensors"
    for block in codec.encoder:  # that it makes a difference is to be seen
        torch.nn.init.normal_(block.attention.leave.weight)
    write_weights(codec, path)
    sizes = {"student": 1}
    return TaskCard("mine", "task", SMALL, 1, sizes, "none", "none", "awgn", "nothing", sha256(path), {}, (-12, 22))


def differs(codec: TaskCodec, one_db: float, other_db: float) -> tuple[bool, bool]:
    """Whether transmitter and receiver heed the difference of two levels, the noise of the symbols being the same."""
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sent = [codec.encode(image, esno_to_n0(level)).symbols for level in (one_db, other_db)]
    seen: list[torch.Tensor] = []
    codec.seen_level.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    for level in (one_db, other_db):
        codec.decode(Received(sent[0], torch.full((2, 8), esno_to_n0(level))))
    return not torch.equal(*sent), not torch.equal(*seen)


def test_levels_beyond_the_training_are_the_nearest_within(card: TaskCard, tmp_path: Path) -> None:
    write_task_card(card, tmp_path)
    path = tmp_path / "mine.safetensors"
    assert read_task_card(tmp_path / "mine.json").esno_db == (-12, 22)
    assert differs(load_task(path), 30, 23) == (False, False)
    assert differs(load_task(path), -20, -13) == (False, True)  # a fade is told as it is
    assert differs(load_task(path), 0, 20) == (True, True)
    write_task_card(replace(card, esno_db=None), tmp_path)
    assert differs(load_task(path), 30, 23) == (True, True)


def test_the_card_that_ships_says_so() -> None:
    assert task_cards()["task"].esno_db == (-12, 22)
    assert (load_task("task").sent_db, load_task("task").seen_db) == ((-12, 22), (-20, 22))


def test_a_range_that_is_none_is_refused(card: TaskCard, tmp_path: Path) -> None:
    write_task_card(card, tmp_path)
    told = json.loads((tmp_path / "mine.json").read_text())
    (tmp_path / "mine.json").write_text(json.dumps({**told, "esno_db": [22, -12]}))
    with pytest.raises(ValueError, match=r"esno_db=\[22, -12\] must be the lowest and the highest Es/N0 in dB"):
        load_task(tmp_path / "mine.safetensors")


def test_a_full_disk_leaves_the_earlier_card(card: TaskCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object) -> int:
        with self.open("w") as file:
            file.write("half of")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_task_card(card, tmp_path)
    for method in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, method, full)
    with pytest.raises(OSError, match="No space left"):
        write_task_card(replace(card, teacher="another"), tmp_path)
    assert read_task_card(tmp_path / "mine.json") == card
