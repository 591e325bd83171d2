"""Networks of the service: loaded once for all ratios and options, and nobody else waits meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.service import codecs as service_codecs
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.service.kept import Kept
from semlink.flowgraphs.specs import make_codecs
from semlink.neural import zoo
from semlink.neural.diffusion import read_receiver
from semlink.phy.channels import AWGN
from semlink.phy.link import Codec, Decoded, Received


def test_the_one_that_was_not_asked_for_the_longest_goes() -> None:
    kept, made = Kept[str](2), []
    for key in "abacab":
        assert kept.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    assert kept.loads == 4


def test_what_cannot_be_made_takes_no_place() -> None:
    kept = Kept[str](2)
    for key in "ab":
        kept.get(key, lambda: "there")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            kept.get("c", lambda: str(1 // 0))
    assert kept.get("a", lambda: "new") == kept.get("b", lambda: "new") == "there"
    assert kept.get("c", lambda: "now") == "now"


def test_while_one_is_made_others_are_had_and_it_is_made_once() -> None:
    kept, begun, let, got = Kept[str](4), threading.Event(), threading.Event(), list[tuple[str, int]]()
    kept.get("here", lambda: "here")

    def make() -> str:
        begun.set()
        assert let.wait(60)
        return "made"

    def ask() -> None:
        got.append((kept.get("slow", make), kept.loads))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    other = threading.Thread(target=lambda: got.append((kept.get("here", make), kept.loads)), daemon=True)
    other.start()
    other.join(10)
    assert got == [("here", 0)]
    begun.clear()
    let.set()
    for thread in threads:
        thread.join(10)
    assert got[1:] == 3 * [("made", 1)]
    assert not begun.is_set()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read from the disk, by name."""
    names, load = list[str](), zoo.load
    monkeypatch.setattr(zoo, "load", lambda name, *, ratio=None: names.append(name) or load(name, ratio=ratio))
    monkeypatch.setattr(
        service_codecs, "read_receiver", lambda card, path: names.append(card.name) or read_receiver(card, path)
    )
    monkeypatch.setattr(service_codecs, "KEPT", 2)
    return names


def make(name: str, ratio: float = 1 / 6) -> Codec:
    (codec,) = make_codecs([name], ratio=ratio, mcs="4qam-1/2", channel=AWGN()).values()
    assert isinstance(codec, Codec)
    return codec


def test_users_who_vary_ratios_and_options_load_nothing_and_drive_nobody_out(shipped: Path, read: list[str]) -> None:
    assert shipped.is_dir()
    shelf, image = Shelf({}), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    deepjscc = shelf.encoder("deepjscc", 1 / 6)
    for i in range(6):
        ratio = 1 / (6 + i)
        codec = shelf.behind(shelf.encoder("swin", ratio), "swin", f"sft:seed={i},steps={1 + i % 3}")
        assert codec.encode(image, 0.1).symbols.shape[1] == int(ratio * 768)
    assert shelf.encoder("deepjscc", 1 / 6) is deepjscc
    assert read == ["deepjscc-6", "swin", "sft-swin"]
    assert shelf.loads == 3


def test_networks_that_are_shared_do_as_their_own_would(shipped: Path) -> None:
    assert shipped.is_dir()
    shelf, image = Shelf({}), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    asked = [("sft:steps=1", 1 / 12), ("sft:steps=2,seed=5", 1 / 6)]
    shared = [shelf.behind(shelf.encoder("swin", ratio), "swin", receiver) for receiver, ratio in asked]
    for mine, (receiver, ratio) in zip(shared, asked, strict=True):
        theirs = make(f"swin+{receiver}", ratio)
        frames = mine.encode(image, 0.1), theirs.encode(image, 0.1)
        assert torch.equal(frames[0].symbols, frames[1].symbols)
        assert frames[0].notes == frames[1].notes
        got = Received(frames[0].symbols, torch.full_like(frames[0].symbols.real, 0.1), image_shape=(3, 16, 16))
        with torch.no_grad():
            assert torch.equal(Decoded(*mine.decode(got)).image, Decoded(*theirs.decode(got)).image)
