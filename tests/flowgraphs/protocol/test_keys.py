"""Files of keys: what is written, who may read it, and what is refused in a line."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from semlink.flowgraphs.protocol import Keys, make_keys, read_allowed, read_keys, read_service

pytest.importorskip("zmq", reason="pyzmq is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", ["anna", "ben"])
    return tmp_path / "keys"


def test_secrets_are_for_their_owner_alone(folder: Path) -> None:
    secret = [folder / "service.json", *(folder / "users").iterdir()]
    assert len(secret) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    anna, service = read_keys(folder / "users" / "anna.json"), read_service(folder)
    assert anna.name == "anna"
    assert anna.service == service.public
    assert sorted(read_allowed(folder).values()) == ["anna", "ben"]
    for pair in (anna, service):
        assert pair.secret.decode() not in repr(pair)
    said = "".join(path.read_text() for path in (folder / "allowed").iterdir())
    assert anna.public.decode() in said
    assert anna.secret.decode() not in said


def test_users_are_added_to_a_service_that_stays_the_same(folder: Path) -> None:
    before = read_service(folder)
    written = make_keys(folder, ["carl"])
    assert written == [folder / "users" / "carl.json"]
    assert read_service(folder) == before
    assert read_keys(written[0]).service == before.public
    assert len(read_allowed(folder)) == 3


@pytest.mark.parametrize("name", ["", ".", "../x", "a b", "a/b", "-a", "ä", "a" * 65, "a\n"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"--user .* must be up to 64 letters"):
        make_keys(tmp_path / "keys", ["anna", name])
    assert not (tmp_path / "keys").exists()


def test_nobody_gets_another_key_by_the_way(folder: Path) -> None:
    before = (folder / "users" / "anna.json").read_bytes()
    with pytest.raises(ValueError, match=r"--user anna: .*anna\.json is there already"):
        make_keys(folder, ["dora", "anna"])
    assert (folder / "users" / "anna.json").read_bytes() == before
    assert not (folder / "users" / "dora.json").exists()


def changed(path: Path, **parts: object) -> str:
    return json.dumps({**json.loads(path.read_text()), **parts})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key; it must be the key of a user"),
        ("nix", "no key; it must be"),
        ("[1]", "no key; it must be"),
        ("{}", "no key; it must be"),
        ('{"semlink-key": ["user"]}', "no key; it must be"),
        ("x" * 5000, "more than 4096 bytes"),
        ("\udcff", "no text"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=f"key file .*key.json: {why}"):
        read_keys(path)


def test_files_of_something_else_or_others(folder: Path) -> None:
    anna = folder / "users" / "anna.json"
    with pytest.raises(ValueError, match="the key of a service; it must be the key of a user"):
        read_keys(folder / "service.json")
    with pytest.raises(ValueError, match="no key; it must be the key of a user"):
        read_keys(folder / "allowed" / "anna.pub")
    with pytest.raises(ValueError, match=r"nobody\.json: No such file"):
        read_keys(folder / "users" / "nobody.json")
    with pytest.raises(ValueError, match="Is a directory"):
        read_keys(folder)
    ben = json.loads((folder / "users" / "ben.json").read_text())
    for parts, why in (
        ({"secret": ben["secret"]}, "its public key is not that of its secret key"),
        ({"secret": "x"}, "a key has 40 characters of Z85; this has 1"),
        ({"service": "#" * 40}, "a key has 40 characters"),
        ({"name": "../../x"}, "must be letters, digits"),
        ({"public": None}, "no key"),
    ):
        path = folder / "users" / "changed.json"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(changed(anna, **parts))
        with pytest.raises(ValueError, match=why):
            read_keys(path)


def test_a_secret_that_others_may_read_is_none(folder: Path) -> None:
    path = folder / "users" / "anna.json"
    path.chmod(0o640)
    with pytest.raises(ValueError, match=r"others may read it \(mode 640\); chmod 600"):
        read_keys(path)


def test_folders_that_let_nobody_in(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no service\.json in it; `semlink keys"):
        read_service(tmp_path)
    (folder / "allowed" / "other.pub").write_bytes((folder / "allowed" / "anna.pub").read_bytes())
    with pytest.raises(ValueError, match=r"other\.pub: the same key as that of anna"):
        read_allowed(folder)
    (folder / "allowed" / "other.pub").write_text("nix")
    with pytest.raises(ValueError, match=r"other\.pub: no public key"):
        read_allowed(folder)
    assert sorted(read_allowed(folder, strict=False).values()) == ["anna", "ben"]
    for path in (folder / "allowed").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="nobody is allowed"):
        read_allowed(folder)


def test_a_key_says_nothing_secret_of_itself() -> None:
    assert "hidden" not in repr(Keys("anna", b"seen", b"hidden", b"seen"))
