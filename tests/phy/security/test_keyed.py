"""The keyed transform: costs the receiver nothing to the last bit, hides from others, and falls to known images."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.phy.channels import parse_channel
from semlink.phy.link import Frame, Link, Received, check_frame, normalise_power
from semlink.phy.rng import complex_normal, probe
from semlink.phy.security import (
    Key,
    Keyed,
    find_transform,
    guess,
    key_of_environment,
    make_transform,
    read_key,
    without_key,
)

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))


@dataclass
class Pixels:
    """A codec that sends pixels as they are, centred, and shows what arrives."""

    ratio = 1 / 2

    def encode(self, image: Tensor, n0: float) -> Frame:
        pairs = (image.flatten(1) - 0.5).unflatten(1, (-1, 2))
        self.scale = torch.complex(*pairs.unbind(-1)).abs().square().mean(dim=1, keepdim=True).sqrt()
        return Frame(normalise_power(torch.complex(*pairs.unbind(-1))), {"payload": pairs.shape[1]})

    def decode(self, received: Received) -> Tensor:
        symbols = received.unbiased().symbols * self.scale
        assert received.image_shape is not None
        values = torch.stack([symbols.real, symbols.imag], -1).flatten(1)
        return (values.unflatten(1, received.image_shape) + 0.5).clamp(0, 1)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n", [1, 2, 512, 5000])
def test_hidden_and_restored_is_what_was_sent_to_the_last_bit(n: int) -> None:
    symbols, transform = probe(3, n), make_transform(KEY, n)
    hidden = transform.hide(symbols)
    restored = transform.restore(Received(hidden, torch.ones(3, n)))
    assert torch.equal(torch.view_as_real(restored.symbols), torch.view_as_real(symbols))
    assert sorted(transform.order.tolist()) == list(range(n))
    if n == 5000:
        assert not torch.equal(hidden, symbols)
        assert float((transform.order == torch.arange(n)).float().mean()) < 0.003
        counts = torch.bincount(transform.turns, minlength=4)
        assert float((counts - n / 4).abs().max()) < 5 * (n * 3 / 16) ** 0.5


def test_power_and_law_are_those_of_before(image: Tensor) -> None:
    plain, hidden = Pixels().encode(image, 0.1), Keyed(Pixels(), KEY).encode(image, 0.1)
    check_frame(hidden, 3)
    assert hidden.uses == plain.uses
    before, after = (frame.symbols.abs().sort(dim=1).values for frame in (plain, hidden))
    assert torch.equal(before, after)
    assert "obscurity" in hidden.notes["key"]


@pytest.mark.parametrize("spec", ["awgn", "rayleigh:fast", "rayleigh:fast,mmse", "rayleigh:coherence=16,csi=none"])
def test_the_receiver_decodes_what_it_would_have_without_a_key(spec: str, image: Tensor) -> None:
    """The same noise and fades, each where the symbol is that it meets: every bit of the image is the same."""
    codec, keyed = Pixels(), Keyed(Pixels(), KEY)
    frame = keyed.encode(image, 0.1)
    transform = make_transform(KEY, frame.symbols.shape[1])
    got = parse_channel(spec)(frame.symbols, 0.1, rng=torch.Generator().manual_seed(1))
    plain = codec.encode(image, 0.1)
    assert torch.equal(transform.hide(plain.symbols), frame.symbols)
    shape = (3, 8, 8)
    keyed.codec.scale = codec.scale  # type: ignore[union-attr]
    seen = keyed.decode(Received(got.symbols, got.n0, got.gain, got.bias, shape))
    # What met symbol k on the air, handed to the codec at the place of that symbol, without the transform's own code.
    inverse = torch.argsort(transform.order)
    back = torch.tensor([1, -1j, -1, 1j])[transform.turns]
    bias = None if got.bias is None else got.bias.expand(got.symbols.shape)[:, inverse]
    alone = Received((got.symbols * back)[:, inverse], got.n0[:, inverse], None, bias, shape)
    assert isinstance(seen, Tensor)
    assert torch.equal(seen, codec.decode(alone))


def test_who_lacks_the_key_sees_noise(image: Tensor) -> None:
    keyed = Keyed(Pixels(), KEY)
    sent = keyed.encode(image, 0.1)
    received = Received(sent.symbols, torch.full(sent.symbols.shape, 1e-9), image_shape=(3, 8, 8))
    mine = keyed.decode(received)
    others = [without_key(keyed).decode(received)]
    for wrong in (Keyed(keyed.codec, OTHER), Keyed(keyed.codec, KEY, nonce=1)):
        others.append(wrong.decode(received))
    assert isinstance(mine, Tensor)
    assert float((mine - image).abs().max()) < 1e-6
    unrelated = 2 * float(image.var())  # squared error of one image for another of this law
    for seen in others:
        assert isinstance(seen, Tensor)
        assert float((seen - image).square().mean()) > 0.8 * unrelated


def test_a_link_carries_it_and_its_ledger_is_the_same(image: Tensor) -> None:
    plain = Link(Pixels(), parse_channel("awgn"))(image, 30, rng=torch.Generator().manual_seed(0))
    keyed = Link(Keyed(Pixels(), KEY), parse_channel("awgn"))(image, 30, rng=torch.Generator().manual_seed(0))
    assert (keyed.ratio, keyed.uses) == (plain.ratio, plain.uses)
    assert float((keyed.image - image).square().mean()) < 1e-3


def test_known_images_break_it_and_another_nonce_does_not() -> None:
    rng = torch.Generator().manual_seed(0)
    known, transform = torch.stack([complex_normal(256, rng) for _ in range(8)]), make_transform(KEY, 256)
    found = find_transform(known, transform.hide(known))
    assert torch.equal(found.order, transform.order)
    assert torch.equal(found.turns, transform.turns)
    unknown = probe(2, 256)
    torch.testing.assert_close(guess(found, transform.hide(unknown)), unknown)
    noisy = transform.hide(known) + 0.3 * torch.stack([complex_normal(256, rng) for _ in range(8)])
    share = float((find_transform(known, noisy).order == transform.order).float().mean())
    assert share > 0.9
    alone = float((find_transform(known[:1], noisy[:1]).order == transform.order).float().mean())
    assert alone < 0.2
    fresh = make_transform(KEY, 256, nonce=1)
    assert float((guess(found, fresh.hide(unknown)) - unknown).abs().square().mean()) > 1
    with pytest.raises(ValueError, match=r"sent \(8, 256\) and heard \(1, 256\) must be alike"):
        find_transform(known, known[:1])


def test_keys_are_read_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").write_bytes(KEY.secret)
    (tmp_path / "hex").write_text(KEY.secret.hex() + "\n")
    monkeypatch.setenv("MY_KEY", KEY.secret.hex())
    assert read_key(tmp_path / "raw") == read_key(tmp_path / "hex") == key_of_environment("MY_KEY") == KEY
    assert KEY.secret.hex()[:8] not in repr(KEY)
    assert KEY.derive("one") != KEY.derive("other") != KEY
    for text, said in (("00" * 31, "holds 62 hex digits; a key has 64"), ("secret", "has 6 bytes; it must have 32")):
        (tmp_path / "bad").write_text(text)
        monkeypatch.setenv("MY_KEY", text)
        for read in (lambda: read_key(tmp_path / "bad"), lambda: key_of_environment("MY_KEY")):
            with pytest.raises(ValueError, match=said) as caught:
                read()
            assert text not in str(caught.value)
    with pytest.raises(ValueError, match=r"key file .*none: cannot be read \(No such file"):
        read_key(tmp_path / "none")
    with pytest.raises(ValueError, match="environment variable NO_KEY is not set"):
        key_of_environment("NO_KEY")
    with pytest.raises(ValueError, match="the key has 3 bytes; it must have 32"):
        Key(b"abc")
    with pytest.raises(ValueError, match="nonce=-1 must be a whole number from 0"):
        make_transform(KEY, 4, nonce=-1)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(ValueError, match=r"keys need cryptography.*: pip install 'semlink\[security\]'"):
        Keyed(Pixels(), Key(bytes(32)))


def test_the_stream_is_that_of_the_standard() -> None:
    """RFC 8439, section 2.4.2, by way of the library: the first bytes of an all-zero key, nonce 0 (appendix A.1)."""
    from semlink.phy.security.keyed import _keystream

    class Plain(Key):
        def derive(self, purpose: str) -> Key:
            return self

    assert _keystream(Plain(bytes(32)), 0, 8).hex() == "76b8e0ada0f13d90"
