"""Keys of a service and of its users, as files, for ZeroMQ's CURVE: who may ask, and that nobody else can read it.

In the folder of a service are `service.json`, its own pair, and `allowed/NAME.pub`, the public key of each user; the
service needs nothing else. `users/NAME.json` is what a user needs: her own pair, and the public key of the service.
Keys are of Curve25519 (D. J. Bernstein, 2006), written in Z85 (ZeroMQ RFC 32). NumPy and pyzmq alone.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semlink.flowgraphs.protocol.sockets import import_zmq
from semlink.phy.documents import parse_json

SERVICE = "service.json"
ALLOWED = "allowed"
USERS = "users"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_KINDS = {"service": ("public", "secret"), "user": ("name", "public", "secret", "service")}
_LONGEST = 4096  # bytes of a file of ours; they have some 200
_Z85 = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


@dataclass(frozen=True)
class Keys:
    """What a user needs to ask a service.

    Attributes:
        name: under which the service knows her.
        public, secret: her own pair, in Z85.
        service: public key of the service, in Z85.
    """

    name: str
    public: bytes
    secret: bytes = field(repr=False)
    service: bytes

    def lock(self, line: Any) -> None:  # noqa: ANN401 - zmq is imported late
        """Have a socket that is not connected yet encrypt what it sends, and talk to this service alone."""
        line.curve_publickey, line.curve_secretkey, line.curve_serverkey = self.public, self.secret, self.service


@dataclass(frozen=True)
class ServiceKeys:
    """The pair of a service, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)


def make_keys(folder: Path, users: Sequence[str]) -> list[Path]:
    """Write the pair of a service, unless it is there, and one for each user; secrets can be read by nobody else.

    Returns:
        The files with a secret in them that were written.

    Raises:
        ValueError: a name that cannot be or is taken, a folder of something else, or pyzmq has no CURVE.
    """
    zmq = import_zmq()
    if not zmq.has("curve"):
        raise ValueError("this libzmq was built without CURVE, which keys are for")
    if folder.is_file():
        raise ValueError(f"{folder} is a file; give a folder for the keys")
    for name in users:
        _check_free(folder, name)
    for path in (folder, folder / USERS, folder / ALLOWED):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = []
    if not (folder / SERVICE).exists():
        public, secret = zmq.curve_keypair()
        written.append(_write(folder / SERVICE, "service", public=public, secret=secret))
    service = read_service(folder).public
    for name in dict.fromkeys(users):
        public, secret = zmq.curve_keypair()
        path = folder / USERS / f"{name}.json"
        written.append(_write(path, "user", name=name.encode(), public=public, secret=secret, service=service))
        partial = folder / ALLOWED / f"{name}.pub.part"  # a service that runs sees it whole
        partial.write_bytes(public + b"\n")
        partial.replace(folder / ALLOWED / f"{name}.pub")
    return written


def read_keys(path: Path) -> Keys:
    """What a user has.

    Raises:
        ValueError: no such file, none of a user's keys, or one that others may read.
    """
    found = _read(path, "user")
    if not re.fullmatch(NAME, found["name"]):
        raise ValueError(f"key file {path}: name={found['name'][:80]!r} must be letters, digits, '.', '_' and '-'")
    return Keys(found["name"], *(found[part].encode() for part in ("public", "secret", "service")))


def read_service(folder: Path) -> ServiceKeys:
    """The pair of a service.

    Raises:
        ValueError: no keys in the folder, or the file is not one of ours or may be read by others.
    """
    if folder.is_file():
        raise ValueError(f"--keys {folder} is a file; give its folder")
    if not (folder / SERVICE).exists():
        raise ValueError(f"--keys {folder}: there is no {SERVICE} in it; `semlink keys {folder} --user NAME` makes one")
    found = _read(folder / SERVICE, "service")
    return ServiceKeys(found["public"].encode(), found["secret"].encode())


def read_allowed(folder: Path, *, strict: bool = True) -> dict[bytes, str]:
    """Names of users by their public keys, of 32 bytes each.

    Args:
        folder: of the service.
        strict: refuse files that are none; else they are left out.

    Raises:
        ValueError: a file that is no public key or has another's, or, where `strict`, there is none at all.
    """
    allowed: dict[bytes, str] = {}
    for path in sorted((folder / ALLOWED).glob("*.pub")):
        try:
            key = _public(path)
            if key in allowed:
                raise ValueError(f"key file {path}: the same key as that of {allowed[key]}")
            allowed[key] = path.stem
        except ValueError:
            if strict:
                raise
    if strict and not allowed:
        raise ValueError(f"--keys {folder}: nobody is allowed; `semlink keys {folder} --user NAME` allows somebody")
    return allowed


def to_binary(key: str) -> bytes:
    """The 32 bytes of a key in Z85.

    Raises:
        ValueError: it is none.
    """
    import_zmq()
    from zmq.utils import z85

    try:
        if not _Z85.fullmatch(key):
            raise ValueError
        return bytes(z85.decode(key.encode()))
    except (ValueError, struct.error):
        raise ValueError(f"a key has 40 characters of Z85; this has {len(key)}, or others") from None


def _check_free(folder: Path, name: str) -> None:
    if not re.fullmatch(NAME, name):
        allowed = "up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        raise ValueError(f"--user {name[:80]!r} must be {allowed}")
    for path in (folder / USERS / f"{name}.json", folder / ALLOWED / f"{name}.pub"):
        if path.exists():
            raise ValueError(f"--user {name}: {path} is there already; take it away to make another")


def _public(path: Path) -> bytes:
    try:
        if not re.fullmatch(NAME, path.stem):
            raise ValueError("the name must be letters, digits, '.', '_' and '-'")
        return to_binary(_text(path).strip())
    except ValueError as error:
        raise ValueError(f"key file {path}: no public key: {error}") from None


def _write(path: Path, kind: str, **parts: bytes) -> Path:
    text = json.dumps({"semlink-key": kind, **{name: value.decode() for name, value in parts.items()}}, indent=1)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return path


def _read(path: Path, kind: str) -> dict[str, str]:
    """The parts of a key file of a kind, as far as they are what they should be."""
    text = _text(path)
    try:
        found = parse_json(text)
    except ValueError:
        found = None
    told = str(found.get("semlink-key")) if isinstance(found, dict) else ""
    if told != kind or not all(isinstance(found.get(part), str) for part in _KINDS[kind]):
        what = f"the key of a {told}" if told in _KINDS and told != kind else "no key"
        raise ValueError(f"key file {path}: {what}; it must be the key of a {kind}, which `semlink keys` writes")
    _check_pair(path, found)
    mode = path.stat().st_mode & 0o777
    if os.name == "posix" and mode & 0o077:
        raise ValueError(f"key file {path}: others may read it (mode {mode:o}); chmod 600 {path}")
    return {part: found[part] for part in _KINDS[kind]}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise ValueError(f"more than {_LONGEST} bytes")
        return raw.decode("utf-8")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "no text" if isinstance(error, UnicodeError) else error
        raise ValueError(f"key file {path}: {said}") from None


def _check_pair(path: Path, found: dict[str, Any]) -> None:
    try:
        for part in {"public", "secret", "service"} & found.keys():
            to_binary(found[part])
        matches = import_zmq().curve_public(found["secret"].encode()) == found["public"].encode()
    except ValueError as error:
        raise ValueError(f"key file {path}: {error}") from None
    if not matches:
        raise ValueError(f"key file {path}: its public key is not that of its secret key")
