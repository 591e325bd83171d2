"""What is no key: half of one, and a phrase that happens to have 32 letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from semlink.phy.security import key_of_environment, read_key

PHRASE = "a phrase of just thirty-two, yes"


def test_sixteen_bytes_in_hex_are_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`openssl rand -hex 16` without its line end is 32 bytes long."""
    (tmp_path / "half").write_text("0123456789abcdef" * 2)
    monkeypatch.setenv("HALF", "0123456789abcdef" * 2)
    for read in (lambda: read_key(tmp_path / "half"), lambda: key_of_environment("HALF")):
        with pytest.raises(ValueError, match="holds 32 hex digits; a key has 64"):
            read()


def test_a_variable_holds_hex_digits_and_no_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(PHRASE) == 32
    monkeypatch.setenv("PHRASE", PHRASE)
    with pytest.raises(ValueError, match="PHRASE: has 32 bytes; it must have 32, as 64 hex digits") as caught:
        key_of_environment("PHRASE")
    assert PHRASE not in str(caught.value)
