"""Who hears a link beside its receiver: over her own channel, at her own Es/N0, with or without the key."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Frame, Link, Received, Sounding, normalise_power
from semlink.phy.rng import probe
from semlink.phy.security import Eavesdropper, Key, Keyed, Overheard, TappedLink, channel_of, link_of, without_key

KEY = Key(bytes(range(32)))


class Recorder:
    """Sends fixed symbols and keeps what it was told and what it received."""

    ratio = 1.0
    classes = None

    def __init__(self) -> None:
        self.told: list[float] = []
        self.got: list[Received] = []

    def encode(self, image: Tensor, n0: float) -> Frame:
        self.told.append(n0)
        return Frame(normalise_power(probe(len(image), 3072)), {"payload": 3072})

    def decode(self, received: Received) -> Tensor:
        self.got.append(received)
        return torch.full((len(received.symbols), 3, 32, 32), 0.5)


IMAGE = torch.full((2, 3, 32, 32), 0.25)


def rngs() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(2)]


def test_she_has_her_own_noise_at_her_own_level() -> None:
    codec = Recorder()
    heard = link_of(Overheard(codec, Eavesdropper(AWGN(), -10.0)), AWGN())(IMAGE, 20, rng=rngs())
    Link(codec, AWGN())(IMAGE, 20, rng=rngs())
    hers, his = codec.got
    assert codec.told == [pytest.approx(0.01)] * 2  # of the link: the transmitter knows nothing of her
    assert heard.esno_db == 20
    assert float(hers.n0[0, 0]) == pytest.approx(0.1)
    noise = [got.symbols - normalise_power(probe(2, 3072)) for got in (hers, his)]
    for one, variance in zip(noise, (0.1, 0.01), strict=True):
        assert abs(float(one.abs().square().mean()) / variance - 1) < 4 / 6144**0.5
    alike = (noise[0] * noise[1].conj()).mean().abs() / (0.1 * 0.01) ** 0.5
    assert float(alike) < 4 / 6144**0.5


def test_what_she_hears_does_not_depend_on_the_batch() -> None:
    codec = Recorder()
    link = link_of(Overheard(codec, Eavesdropper(Rayleigh("fast"))), AWGN())
    link(IMAGE, 10, rng=rngs())
    link(IMAGE[1:], 10, rng=rngs()[1:])
    both, alone = codec.got
    # The codec's symbols differ by row; what is added and the gains do not.
    sent, single = normalise_power(probe(2, 3072)), normalise_power(probe(1, 3072))
    torch.testing.assert_close(both.symbols[1] - sent[1], alone.symbols[0] - single[0], rtol=1e-3, atol=1e-4)


def test_the_key_makes_the_difference() -> None:
    keyed = Keyed(Recorder(), KEY)
    assert Eavesdropper(AWGN()).decoder(keyed) is keyed.codec
    assert Eavesdropper(AWGN(), knows_key=True).decoder(keyed) is keyed
    assert isinstance(link_of(Overheard(keyed, Eavesdropper(AWGN())), AWGN()), TappedLink)
    assert type(link_of(keyed, AWGN())) is Link


def test_a_receiver_around_a_key_is_kept() -> None:
    class Around:
        def __init__(self, codec: object) -> None:
            self.codec = codec

    inner, plain = Keyed(Recorder(), KEY), Recorder()
    around = Around(inner)
    bare = without_key(around)  # type: ignore[arg-type]
    assert isinstance(bare, Around)
    assert bare.codec is inner.codec
    assert around.codec is inner
    assert without_key(plain) is plain
    same = Around(plain)
    assert without_key(same) is same  # type: ignore[arg-type,comparison-overlap]


def test_her_channel_is_hers() -> None:
    eve = Eavesdropper(Rayleigh())
    assert channel_of(Overheard(Recorder(), eve), AWGN()) is eve.channel
    assert isinstance(channel_of(Recorder(), AWGN()), AWGN)


def test_what_cannot_be_is_refused() -> None:
    class Genie(Recorder):
        def encode_informed(self, image: Tensor, n0: float, sound: Sounding) -> Frame:
            return self.encode(image, n0)

    with pytest.raises(ValueError, match="a genie's codec cannot be overheard"):
        Overheard(Genie(), Eavesdropper(AWGN()))
    with pytest.raises(ValueError, match="esno=nan must be from -100 to 100 dB"):
        Eavesdropper(AWGN(), float("nan"))


class Answered:
    """A codec, or what it is wrapped in."""

    def __init__(self, codec: object = None) -> None:
        self.codec, self.closed_loop = codec, codec is None

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        raise NotImplementedError

    def decode(self, received: Received) -> torch.Tensor:
        raise NotImplementedError


def test_answers_of_a_receiver_are_seen_through_what_wraps_it() -> None:
    for codec in (Answered(), Answered(Answered()), Answered(Answered(Answered()))):
        with pytest.raises(ValueError, match="with harq cannot be overheard"):
            Overheard(codec, Eavesdropper(AWGN()))
        with pytest.raises(ValueError, match="with harq it is not known"):
            Keyed(codec, Key(bytes(32)))
