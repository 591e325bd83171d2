"""Keys that change in the folder of a service while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from semlink.flowgraphs.protocol import gate as gates
from semlink.flowgraphs.protocol import make_keys, read_keys
from semlink.flowgraphs.protocol.keys import to_binary

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", ["anna", "ben"])
    return tmp_path / "keys"


@pytest.fixture
def gate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gates.Gate]:
    monkeypatch.setattr(gates, "LOOK_S", -1.0)
    with zmq.Context() as context:
        one = gates.Gate(zmq, context, folder)
        yield one
        one.close()


def public(folder: Path, name: str) -> bytes:
    return to_binary(read_keys(folder / "users" / f"{name}.json").public.decode())


def test_a_key_replaced_in_place_counts_no_more(gate: gates.Gate, folder: Path) -> None:
    assert gate._name(public(folder, "anna")) == "anna"
    new, _ = zmq.curve_keypair()
    (folder / "allowed" / "anna.pub").write_bytes(new + b"\n")
    assert gate._name(public(folder, "anna")) is None
    assert gate._name(to_binary(new.decode())) == "anna"


def test_a_key_that_is_copied_slowly_is_let_in(gate: gates.Gate, folder: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", ["carl"])
    whole = (tmp_path / "other" / "allowed" / "carl.pub").read_bytes()
    with (folder / "allowed" / "carl.pub").open("wb", buffering=0) as file:
        file.write(whole[:10])
        assert gate._name(public(tmp_path / "other", "carl")) is None
        file.write(whole[10:])
    assert gate._name(public(tmp_path / "other", "carl")) == "carl"


def test_a_bad_file_does_not_keep_a_service_from_starting_again(folder: Path) -> None:
    (folder / "allowed" / "ben.pub").write_text("nix")
    with zmq.Context() as context:
        gate = gates.Gate(zmq, context, folder)
        gate.close()
        assert gate._name(public(folder, "anna")) == "anna"
        assert gate._name(public(folder, "ben")) is None


def test_keys_are_written_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written to its end has no name that counts."""
    seen = list[Path]()
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: seen.append(path) or write(path, data))
    make_keys(folder, ["carl"])
    assert [path.suffix for path in seen] == [".part"]
    assert sorted(path.name for path in (folder / "allowed").iterdir()) == ["anna.pub", "ben.pub", "carl.pub"]
