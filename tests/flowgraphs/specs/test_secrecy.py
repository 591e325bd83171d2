"""Keys and eavesdroppers as the command line names them, and what it refuses in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from semlink.baselines.separate import AdaptiveCodec, SeparateCodec
from semlink.baselines.sources import Sealed
from semlink.flowgraphs.specs import make_codecs, parse_eavesdropper, split_listener, with_eavesdropper
from semlink.phy.channels import AWGN, Chain, Rayleigh
from semlink.phy.security import Keyed, Overheard

DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "my.key"
    path.write_text(DIGITS)
    return path


def codec(name: str) -> object:
    return make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())[name]


def test_a_keyed_codec(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", DIGITS)
    keyed, named = codec(f"deepjscc+keyed:key={key},nonce=7"), codec("deepjscc+keyed:env=MY_KEY")
    assert isinstance(keyed, Keyed)
    assert isinstance(named, Keyed)
    assert (keyed.nonce, named.nonce) == (7, 0)
    assert keyed.key == named.key


def test_an_encrypted_link(key: Path) -> None:
    adaptive, usual = codec(f"jpeg-ldpc-qam:adaptive,key={key}"), codec(f"webp-ldpc-qam:key={key}")
    fixed = codec(f"jpeg-conv-qam:4qam-1/2,key={key}")
    assert isinstance(adaptive, AdaptiveCodec)
    assert isinstance(usual, SeparateCodec)
    assert isinstance(fixed, SeparateCodec)
    assert all(isinstance(one.source, Sealed) for one in (adaptive, usual, fixed))
    assert (str(usual.mcs), str(fixed.mcs)) == ("16qam-1/2", "4qam-1/2")


def test_who_listens_is_told_from_the_codec() -> None:
    assert split_listener("swin@awgn:esno=-10") == ("swin", "awgn:esno=-10")
    assert split_listener("swin+sft@awgn+jammer:friendly,jsr=0") == ("swin+sft", "awgn+jammer:friendly,jsr=0")
    assert split_listener("runs@home/mine.safetensors") == ("runs@home/mine.safetensors", None)
    assert with_eavesdropper(["a", "b@awgn"], "rayleigh") == ["a", "a@rayleigh", "b@awgn"]
    assert with_eavesdropper(["a", "a@awgn"], "awgn") == ["a", "a@awgn"]
    assert with_eavesdropper(["a"], None) == ["a"]


def test_an_eavesdropper() -> None:
    eve = parse_eavesdropper("rayleigh:esno=-10dB,fast,key=yes+jammer:friendly,jsr=3")
    assert (eve.offset_db, eve.knows_key) == (-10, True)
    assert isinstance(eve.channel, Chain)
    assert isinstance(eve.channel.channel, Rayleigh)
    assert eve.channel.channel.coherence == "fast"
    plain = parse_eavesdropper("awgn")
    assert (plain.offset_db, plain.knows_key) == (0, False)
    heard = make_codecs(["deepjscc", "deepjscc@awgn:esno=3"], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    overheard = heard["deepjscc@awgn:esno=3"]
    assert isinstance(overheard, Overheard)
    assert overheard.codec is heard["deepjscc"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deepjscc+keyed", "keyed: give key=FILE or env=NAME"),
        ("deepjscc+keyed:key=KEY,env=MY_KEY", "give key=FILE or env=NAME, one of them"),
        ("deepjscc+keyed:key=KEY,odd=1", "option 'odd': must be among: key, env, nonce"),
        ("deepjscc+keyed:key=KEY,nonce=x", "nonce=x must be a whole number"),
        ("deepjscc+keyed:key=none.key", "key file none.key: cannot be read"),
        ("deepjscc+keyed:env=NO_KEY_HERE", "environment variable NO_KEY_HERE is not set"),
        ("jpeg-ldpc-qam:adaptive,key=none.key", "key file none.key: cannot be read"),
        ("jpeg-ldpc-qam:adaptive,odd=1", "option 'odd': must be among: key=FILE, env=NAME"),
        ("jpeg-ldpc-qam:adaptive,key=KEY,key=KEY", "must be among: key=FILE, env=NAME"),
        ("deepjscc@awgn:esno=x", "esno=x must be a number of dB"),
        ("deepjscc@awgn:esno=500", "esno=500.0 must be from -100 to 100 dB"),
        ("deepjscc@awgn:key=maybe", "key=maybe must be one of: yes, no"),
        ("deepjscc@rayleigh:odd=1", "'odd' is no option of it"),
        ("deepjscc@awgn+jammer:pilot,jsr=0", "the frame has no pilots to jam"),
        ("jpeg-ldpc-qam:genie@awgn", "a genie's codec cannot be overheard"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(name: str, said: str, key: Path) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        codec(name.replace("KEY", str(key)) if "key=KEY" in name else name)
    assert "\n" not in str(caught.value)
    assert DIGITS[:16] not in str(caught.value)


def test_a_short_key_is_refused_and_not_shown(key: Path) -> None:
    key.write_text("0123abcd" * 3)
    with pytest.raises(ValueError, match="holds 24 hex digits; a key has 64") as caught:
        codec(f"deepjscc+keyed:key={key}")
    assert "0123abcd" not in str(caught.value)
