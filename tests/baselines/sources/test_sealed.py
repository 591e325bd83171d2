"""Authenticated encryption of a source coding: what it costs, what it carries, and what is done with damage."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from semlink.baselines.separate import AdaptiveCodec, SeparateCodec, to_uint8
from semlink.baselines.sources import Sealed, find_source
from semlink.baselines.sources.jpeg import JPEG
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Link, Received
from semlink.phy.security import Eavesdropper, Key, Overheard, link_of, without_key
from semlink.phy.sources import sample_images

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))
IMAGE = sample_images()[:, :, 100:148, 100:148]
PIXELS = to_uint8(IMAGE)[0]
SEALED = Sealed(JPEG(), KEY)


def test_it_is_the_coding_in_28_bytes_less() -> None:
    text = SEALED.encode(PIXELS, 600)
    assert text is not None
    assert len(text) == 600
    got, plain = SEALED.decode(text, PIXELS.shape, complete=True), JPEG().encode(PIXELS, 572)
    assert plain is not None
    np.testing.assert_array_equal(got, JPEG().decode(plain, PIXELS.shape, complete=True))
    assert plain not in text
    assert text == SEALED.encode(PIXELS, 600)  # a repeated experiment is the same
    other = SEALED.encode(PIXELS, 601)
    assert other is not None
    assert other[:12] != text[:12]
    assert abs(np.unpackbits(np.frombuffer(text, np.uint8)).mean() - 0.5) < 4 * 0.5 / 4800**0.5
    assert SEALED.encode(PIXELS, 28) is SEALED.encode(PIXELS, 60) is None


@pytest.mark.parametrize("place", [0, 11, 12, 300, 599])
def test_one_changed_bit_shows_nothing(place: int) -> None:
    text = SEALED.encode(PIXELS, 600)
    assert text is not None
    damaged = bytearray(text)
    damaged[place] ^= 1
    assert SEALED.decode(bytes(damaged), PIXELS.shape, complete=True) is None
    assert SEALED.decode(text, PIXELS.shape, complete=False) is None
    assert SEALED.decode(text[:20], PIXELS.shape, complete=True) is None
    assert Sealed(JPEG(), OTHER).decode(text, PIXELS.shape, complete=True) is None
    assert SEALED.without_key().decode(text, PIXELS.shape, complete=True) is None


@pytest.mark.parametrize(
    "codec", [SeparateCodec(source=SEALED, ratio=1 / 3), AdaptiveCodec(source=SEALED, ratio=1 / 3)]
)
def test_a_link_counts_nonce_and_tag(codec: SeparateCodec | AdaptiveCodec) -> None:
    got = Link(codec, AWGN())(IMAGE, 20, rng=torch.Generator().manual_seed(0))
    assert not got.failed.any()
    assert got.bits["tag"].tolist() == [128] * 3
    assert got.bits["nonce"].tolist() == [96] * 3
    coded = sum(int(bits[0]) for purpose, bits in got.bits.items() if purpose != "header")
    per_symbol = {"4qam": 2, "16qam": 4, "64qam": 6, "256qam": 8}[got.modes[0].partition("-")[0]]
    assert coded == per_symbol * got.uses["payload"]
    assert "AES-256-GCM" in got.notes["source"]
    assert KEY.secret.hex() not in repr(codec.source)


def test_a_tag_that_does_not_verify_is_a_failed_image_in_grey() -> None:
    """Block errors there are none: only the tag tells that it is another's."""
    codec = SeparateCodec(source=SEALED, ratio=1 / 3)
    sent = codec.encode(IMAGE, 0.01)
    received = Received(sent.symbols, torch.full(sent.symbols.shape, 1e-3), image_shape=(3, 48, 48))
    listener = without_key(codec)
    assert isinstance(listener, SeparateCodec)
    for decoder, fails in (
        (codec, False),
        (listener, True),
        (SeparateCodec(source=Sealed(JPEG(), OTHER), ratio=1 / 3), True),
    ):
        got = decoder.decode(received)
        assert isinstance(got, Decoded)
        assert got.failed is not None
        assert got.block_errors is not None
        assert got.failed.tolist() == [fails] * 3
        assert not got.block_errors.any()
        assert bool((got.image == 128 / 255).all()) is fails


def test_an_eavesdropper_with_a_better_channel_gets_nothing() -> None:
    codec = SeparateCodec(source=SEALED, ratio=1 / 3)
    for knows, failed in ((False, 3), (True, 0)):
        eve = Overheard(codec, Eavesdropper(AWGN(), 10.0, knows_key=knows))
        got = link_of(eve, AWGN())(IMAGE, 15, rng=torch.Generator().manual_seed(0))
        assert int(got.failed.sum()) == failed


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ValueError, match=r"pip install 'semlink\[security\]'"):
        Sealed(find_source("jpeg"), KEY)
