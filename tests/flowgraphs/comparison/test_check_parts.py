"""`semlink check` of codes, constellations and interleavers: what is right passes, each fault is named as that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from semlink.baselines import doors
from semlink.flowgraphs.cli.check import run_check
from semlink.flowgraphs.comparison import kind_of

PARTS = '''
import torch


class Repeated:
    scale = 1.0

    def __init__(self, k, n):
        self.k, self.n, self.place = k, n, torch.arange(n) % k

    def encode(self, bits):
        return bits[:, self.place]

    def decode(self, llr):
        return (llr.new_zeros(len(llr), self.k).index_add(1, self.place, self.scale * llr) < 0).to(llr)


class Negated(Repeated):
    scale = -1.0


class TooShort(Repeated):
    def decode(self, llr):
        return super().decode(llr)[:, 1:]


class Neighbours(Repeated):
    def encode(self, bits):
        return (bits[:, self.place] + bits.sum(dim=0)[:1].to(bits)) % 2


class Knowing(Repeated):
    def encode(self, bits):
        Knowing.last = bits
        return super().encode(bits)

    def decode(self, llr):
        return Knowing.last.to(llr)


class Timid(Repeated):
    """Takes only LLRs beyond 4 for certain enough."""

    def decode(self, llr):
        return super().decode((llr.abs() > 16) * llr)


class Saturating(Repeated):
    """Made for LLRs of a quarter of their size."""

    def decode(self, llr):
        return super().decode(llr.clamp(-4, 4))


class Never(Repeated):
    def __init__(self, k, n):
        raise ValueError("only k=7")


class Qpsk:
    bits_per_symbol = 2
    scale = 1.0

    def map(self, bits):
        x = (1 - 2 * bits.float()).reshape(len(bits), -1, 2) / 2**0.5
        return torch.view_as_complex(x)

    def llr(self, symbols, n0):
        return (torch.view_as_real(symbols) * (self.scale * 8**0.5) / n0[..., None]).reshape(len(symbols), -1)


class Inverted(Qpsk):
    scale = -1.0


class Fourfold(Qpsk):
    scale = 4.0


class Hard(Qpsk):
    def llr(self, symbols, n0):
        return 2.5 * super().llr(symbols, n0).sign()


class Loud:
    points = (2, 2j, -2, -2j)


def twice(n):
    return [i // 2 for i in range(n)]


def shuffled(n):
    return torch.randperm(n)


def stride(n):
    return torch.arange(n).reshape(4, -1).T.reshape(-1)
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "checked_parts.py").write_text(PARTS)
    known = [dict(one) for one in (doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield "checked_parts"
    for now, before in zip((doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS), known, strict=True):
        now.clear()  # type: ignore[attr-defined]
        now.update(before)  # type: ignore[attr-defined]


def check(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[bool | None, str]]]:
    status = run_check(name, ratio="1/6", rate="3/4", as_json=True)
    return status, {one["what"]: (one["good"], one["words"]) for one in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("name", ["Repeated", "Qpsk", "stride"])
def test_what_is_right_passes(name: str, own: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(f"{own}:{name}", capsys)
    assert status == 0, found
    assert all(good is not False for good, _ in found.values())


@pytest.mark.parametrize("name", ["conv", "random", "16apsk", "pi2bpsk"])
def test_what_ships_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(name, capsys)
    assert status == 0, found
    if name == "conv":
        assert "one block in ten is lost up to 2.5 dB beyond capacity" in found["capacity"][1]
    if name == "16apsk":
        assert found["labels"][1].endswith("Gray")


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [
        ("Negated", "round trip", "LLRs of the wrong sign: it is right with those of log P(1)/P(0)"),
        ("TooShort", "round trip", "decode gives (32, 63); it must give (32, 64)"),
        ("Neighbours", "code words", "depends on the others of its batch"),
        ("Knowing", "capacity", "which no code of rate 0.5 can: does the decoder know what was sent?"),
        ("Timid", "round trip", "although no noise was added"),
        ("Saturating", "LLR scale", "with LLRs times 0.25"),
        ("Never", "block", "none of (64, 128)"),
        ("Inverted", "LLR sign", "have the wrong sign: they must be log P(0)/P(1)"),
        ("Fourfold", "LLR scale", "too large by a factor of 4"),
        ("Hard", "information", "are lost"),
        ("Loud", "energy", "mean energy is 4 (+6.02 dB); it must be 1: divide them by 2"),
        ("twice", "24 bits", "never sends 12 of them"),
        ("shuffled", "24 bits", "another order every time"),
    ],
)
def test_each_fault_is_named(name: str, what: str, words: str, own: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(f"{own}:{name}", capsys)
    assert status == 1
    assert found[what][0] is False, found
    assert words in found[what][1]


def test_what_a_thing_is_shows_by_what_it_takes(own: str) -> None:
    import importlib

    module = importlib.import_module(own)
    kinds = {name: kind_of(getattr(module, name)) for name in ("Repeated", "Qpsk", "Loud", "stride")}
    assert kinds == {"Repeated": "codes", "Qpsk": "constellations", "Loud": "constellations", "stride": "interleavers"}
    assert kind_of(Path) is None
    assert kind_of(3) is None
