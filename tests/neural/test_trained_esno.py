"""What a card says of the Es/N0 of a training, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from semlink.neural import card_files, zoo
from semlink.neural.models import build
from semlink.neural.networks import Held


@pytest.mark.parametrize(
    ("channel", "esno_db"),
    [
        ("awgn; Es/N0 10 dB", (10.0, 10.0)),
        ("awgn 1/2, rayleigh-fast 1/2; Es/N0 -1 to 21.5 dB", (-1.0, 21.5)),
        ("none", None),
        ("awgn", None),
    ],
)
def test_cards_of_before_say_it_in_words(channel: str, esno_db: tuple[float, float] | None) -> None:
    assert card_files.trained_esno_db(channel) == esno_db


def keep(folder: Path, channel: str, esno_db: tuple[float, float] | None) -> Held:
    network = {"cell_symbols": 4, "widths": [4, 6]}
    model = build("deepjscc", network)
    zoo.write_weights(model, folder / "mine.safetensors")
    digest = zoo.sha256(folder / "mine.safetensors")
    card = zoo.Card("mine", "deepjscc", 1 / 12, network, 0, "none", channel, "trained", digest, esno_db=esno_db)
    zoo.write_card(card, folder)
    loaded = zoo.load_run(folder, "mine")
    assert isinstance(loaded, Held)
    return loaded


def test_the_field_comes_before_the_words(tmp_path: Path) -> None:
    words = "awgn; Es/N0 3 to 17 dB"
    assert keep(tmp_path, words, (-1.0, 21.0)).sent_db == (-1.0, 21.0)
    assert keep(tmp_path, words, None).sent_db == (3.0, 17.0)
    assert keep(tmp_path, words, None).seen_db == (-20.0, 17.0)  # a fade is told as it is
    assert keep(tmp_path, "words of one's own", None).sent_db == Held.sent_db


def test_a_training_goes_on_from_what_the_earlier_one_knew(tmp_path: Path) -> None:
    keep(tmp_path, "awgn; Es/N0 3 to 17 dB", None)
    found = zoo.earlier_training(str(tmp_path / "mine.safetensors"))
    assert found == zoo.Earlier("trained", (3.0, 17.0))
    assert zoo.earlier_training("") == zoo.Earlier()
    (tmp_path / "mine.json").write_text('{"channel": 4}')
    with pytest.raises(ValueError, match=r"mine\.json: no card, or a damaged one"):
        zoo.earlier_training(str(tmp_path / "mine.safetensors"))


@pytest.mark.parametrize("levels", [[21, -1], [0], "0 to 20", [0, float("nan")]])
def test_a_range_that_is_none_is_named(tmp_path: Path, levels: object) -> None:
    keep(tmp_path, "none", None)
    card = json.loads((tmp_path / "mine.json").read_text()) | {"esno_db": levels}
    (tmp_path / "mine.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"mine\.json: .*esno_db|mine\.json: .*NaN"):
        zoo.load_run(tmp_path, "mine")


def test_own_networks_without_conditions_are_left_alone() -> None:
    zoo.hold(nn.Linear(1, 1), "awgn; Es/N0 10 dB", None)
