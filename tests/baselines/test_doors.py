"""Codes, interleavers and constellations of one's own in the digital link: names, lengths, and what they change."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from semlink.baselines import doors
from semlink.baselines.blocks import channel_decode, channel_encode, plan_blocks
from semlink.baselines.doors import (
    CodeError,
    CodeMaker,
    code_spec,
    make_code,
    mapper,
    order_of,
    parse_scheme,
    points_of,
    register_code,
    register_constellation,
    register_interleaver,
)
from semlink.baselines.mcs import MCS, parse_mcs, parse_rate
from semlink.baselines.separate import SeparateCodec, separate_codec
from semlink.phy.channels import AWGN
from semlink.phy.fec import Interleaver
from semlink.phy.link import Link
from semlink.phy.sources import sample_images


class Repeated:
    """Every bit as often as fits; n_max shows that blocks are cut to it."""

    n_max = 300

    def __init__(self, k: int, n: int) -> None:
        self.k, self.n, self.place = k, n, torch.arange(n) % k

    def encode(self, bits: Tensor) -> Tensor:
        return bits[:, self.place]

    def decode(self, llr: Tensor) -> Tensor:
        return (llr.new_zeros(len(llr), self.k).index_add(1, self.place, llr) < 0).to(llr)


class TooShort(Repeated):
    def encode(self, bits: Tensor) -> Tensor:
        return super().encode(bits)[:, :-1]


class TooLong(Repeated):
    def decode(self, llr: Tensor) -> Tensor:
        return torch.cat([super().decode(llr), llr[:, :1] * 0], dim=1)


class Soft(Repeated):
    def decode(self, llr: Tensor) -> Tensor:
        return super().decode(llr) * 0.9


class Liar(Repeated):
    def __init__(self, k: int, n: int) -> None:
        super().__init__(k, n + 1)


class Cross:
    points = (1, 1j, -1, -1j)
    labels = ((0, 0), (0, 1), (1, 1), (1, 0))


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    known = [dict(one) for one in (doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS)]
    yield
    for now, before in zip((doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS), known, strict=True):
        now.clear()  # type: ignore[attr-defined]
        now.update(before)  # type: ignore[attr-defined]
    for cached in (make_code, order_of, mapper, points_of):
        cached.cache_clear()


def sent(codec: object, esno_db: float) -> Tensor:
    image = sample_images()[:1, :, :32, :48]
    got = Link(codec, AWGN())(image, esno_db, rng=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert got.failed is not None
    return got.failed


def test_a_code_of_ones_own_carries_images_in_blocks_that_it_has() -> None:
    assert isinstance(Repeated, CodeMaker)
    register_code("repeated", Repeated)
    codec = SeparateCodec(mcs="4qam-1/2", ratio=1 / 3, code="repeated")
    assert not bool(sent(codec, 20.0).any())
    assert bool(sent(codec, 0.0).all())
    plan = plan_blocks(512, parse_mcs("4qam-1/2"), "repeated")
    assert all(symbols * 2 <= Repeated.n_max for _, symbols in plan.sizes)
    assert plan.blocks == 4


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (TooShort, r"code own: encode gives \(4, 199\); it must give \(4, 200\)"),
        (TooLong, r"code own: decode gives \(4, 101\); it must give \(4, 100\)"),
        (Soft, "code own: decode gives other values than 0 and 1"),
        (Liar, "code own: asked for k=100, n=200, it says k=100, n=201"),
        (lambda k, n: 1 / 0, r"code own: cannot be made of k=100, n=200 \(ZeroDivisionError"),
        (lambda k, n: object(), r"code own: object lacks k, n, encode\(bits\) or decode\(llr\)"),
    ],
)
def test_a_code_that_does_not_keep_its_word_is_named(code: CodeMaker, words: str) -> None:
    register_code("own", code)

    def use() -> None:
        made = make_code("own", 100, 200)
        made.decode(1 - 2 * made.encode(torch.ones(4, 100)))

    with pytest.raises(CodeError, match=words):
        use()


def test_a_code_that_has_no_such_block_says_why() -> None:
    with pytest.raises(ValueError, match=r"code polar: no block of k=10 in n=64: k=10 must be from 20"):
        make_code("polar", 10, 64)
    with pytest.raises(ValueError, match="code='nothing' must be one of: ldpc, nr, polar"):
        SeparateCodec(code="nothing")
    with pytest.raises(ValueError, match="the interleaver must be one of: random"):
        SeparateCodec(code="conv-nothing", mcs="4qam-1/2")


def test_blocks_too_short_for_their_check_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doors.OWN_CODES, "brief", type("Brief", (Repeated,), {"k_max": 20}))
    with pytest.raises(ValueError, match=r"code='brief' cuts 512 channel uses of 4qam-1/2 into blocks of (19|20) bits"):
        plan_blocks(512, parse_mcs("4qam-1/2"), "brief")


def test_a_new_code_under_a_name_takes_the_place_of_the_old() -> None:
    register_code("own", TooShort)
    register_code("own", Repeated)
    assert not bool(sent(SeparateCodec(mcs="4qam-1/2", ratio=1 / 3, code="own"), 20.0).any())


def test_an_interleaver_carries_a_burst_to_many_places() -> None:
    """A tenth of the coded bits is erased in one run: the code alone loses a block, behind an interleaver none."""
    assert isinstance(lambda n: range(n), Interleaver)
    register_interleaver("seventh", lambda n: 7 * torch.arange(n) % n)
    lost = {}
    for code in ("conv", "conv-random", "conv-seventh"):
        plan = plan_blocks(2000, parse_mcs("4qam-1/2"), code)
        bits = torch.randint(0, 2, (1, plan.info_bits), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        llr = 4 * (1 - 2 * channel_encode(bits, plan).float())
        llr[:, 1000:1400] = 0
        decoded, good = channel_decode(llr, plan)
        lost[code] = not bool(good.all())
        assert lost[code] or torch.equal(decoded.to(bits), bits)
    assert lost == {"conv": True, "conv-random": False, "conv-seventh": False}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda n: torch.arange(n - 1), r"an interleaver of 64 bits gives an order of shape \(63,\)"),
        (lambda n: torch.arange(n) // 2, "never sends 32 of them"),
    ],
)
def test_an_interleaver_that_is_none_is_named(order: Interleaver, words: str) -> None:
    register_interleaver("own", order)
    with pytest.raises(ValueError, match=words):
        order_of("own", 64)


def test_a_constellation_of_ones_own_carries_images() -> None:
    register_constellation("cross", lambda rate: Cross())
    codec = separate_codec(mcs="1/2", ratio=1 / 3, code="conv", constellation="cross")
    assert isinstance(codec, SeparateCodec)
    assert codec.mcs == MCS(4, Fraction(1, 2), "cross")
    assert str(codec.mcs) == "cross-1/2"
    assert not bool(sent(codec, 20.0).any())


@pytest.mark.parametrize("name", ["bpsk", "pi2bpsk", "8psk", "16psk", "16apsk", "32apsk"])
def test_constellations_that_ship_carry_images(name: str) -> None:
    codec = separate_codec(mcs="3/4", ratio=1 / 3, constellation=name)
    assert not bool(sent(codec, 30.0).any())
    assert parse_scheme(f"{name}-3/4", name) == parse_scheme("3/4", name)


def test_a_constellation_that_is_off_is_refused_and_told_by_how_much() -> None:
    class Loud:
        points = (2, -2)

    register_constellation("loud", lambda rate: Loud())
    with pytest.raises(ValueError, match=r"constellation loud: points: their mean energy is 4 \(\+6.02 dB\)"):
        separate_codec(mcs="1/2", constellation="loud")
    register_constellation("none", lambda rate: 3)
    with pytest.raises(ValueError, match="constellation none: int has neither points nor"):
        separate_codec(mcs="1/2", constellation="none")


def test_names_are_taken_apart() -> None:
    assert code_spec("a.b:C-d:e,table=x,y.csv") == doors.CodeSpec("a.b:C", "d:e", "x,y.csv")
    assert code_spec("conv") == doors.CodeSpec("conv", None, None)
    for text in ("", "a-b-c", "a:b:c", "a,table="):
        with pytest.raises(ValueError, match="must be NAME"):
            code_spec(text)
    for register in (register_code, register_interleaver, register_constellation):
        with pytest.raises(ValueError, match="is that of one that ships"):
            register("random", Repeated)  # type: ignore[operator]
        with pytest.raises(ValueError, match="name 'a-b' must be letters"):
            register("a-b", Repeated)  # type: ignore[operator]
        with pytest.raises(ValueError, match="cannot be called"):
            register("own", 3)  # type: ignore[operator]


def test_rates_are_read_and_others_refused() -> None:
    assert parse_rate("2/3") == Fraction(2, 3)
    assert parse_rate("682.5/1024") == Fraction(1365, 2048)
    for text in ("1/1", "0/2", "3/0", "0.5", "x", "5/4"):
        with pytest.raises(ValueError, match="must be a code rate between 0 and 1"):
            parse_rate(text)
    with pytest.raises(ValueError, match="constellation='star' must be one of: qam, bpsk"):
        parse_scheme("1/2", "star")
