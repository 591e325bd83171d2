"""A network's symbols that are sent again until the receiver is content."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from semlink.neural import repeated
from semlink.neural.repeated import Repeated
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Decoded, Frame, Link, Received, Transmission, normalise_power

ROUND = 64
VALUES = 3 * 16 * 16
RATIO = 2 * ROUND / VALUES
IMAGES = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(5))


class Linear:
    """Pixels as amplitudes, 64 symbols, of which the receiver shows the noise: its image is the received symbols'."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        pixels = image.flatten(1)[:, : 2 * ROUND] - 0.5
        symbols = normalise_power(torch.view_as_complex(pixels.reshape(len(image), ROUND, 2).contiguous()))
        return Frame(symbols, {"payload": ROUND})

    def decode(self, received: Received) -> Decoded:
        self.seen = received
        return Decoded(torch.zeros(len(received.symbols), 3, 16, 16))


def make(channel: Channel, *, rounds: int = 4, ratio: float = RATIO, delay: int = 0) -> Repeated:
    round_ratio = ROUND / VALUES
    return Repeated(Linear(), ratio=ratio, round_ratio=round_ratio, rounds=rounds, channel=channel, delay=delay)


def send(codec: Repeated, channel: Channel, esno_db: float, images: Tensor = IMAGES) -> Transmission:
    return Link(codec, channel)(images, esno_db, rng=torch.Generator().manual_seed(1))


def seen(codec: Repeated) -> Received:
    assert isinstance(codec.codec, Linear)
    return codec.codec.seen


@pytest.mark.parametrize("delay", [0, 64])
def test_as_much_is_asked_for_as_is_in_the_ratio_on_average(delay: int) -> None:
    """Each round meets a fade of its own; 400 images of some 0.9 rounds' deviation: 0.045 rounds of standard error."""
    channel = Rayleigh(ROUND)
    got = send(make(channel, delay=delay), channel, 5.0)
    assert got.spent is not None
    rounds = got.spent / ROUND
    assert set(rounds.tolist()) == {1.0, 2.0, 3.0, 4.0}
    assert float(rounds.mean()) == pytest.approx(2.0, abs=4 * 0.045 + 0.02)
    assert got.ratio == pytest.approx(float(rounds.mean()) * ROUND / VALUES)
    assert torch.equal(got.bits["feedback"], rounds.long())
    assert set(got.bits["header"].tolist()) == {16}


def test_rounds_add_up_by_maximum_ratio() -> None:
    """What is left of noise has the variance that is told, the sum of Es/N0 inverted, and is content's or all there is.

    A weight too little would show: an average over two rounds with equal weights has more noise than is told.
    """
    channel, esno_db = Rayleigh(ROUND), 5.0
    codec = make(channel)
    got = send(codec, channel, esno_db)
    received = seen(codec)
    sent = Linear().encode(IMAGES, 1.0).symbols
    told = (received.symbols - sent).abs().square() / received.n0
    assert float(told.mean()) == pytest.approx(1.0, abs=5 / math.sqrt(told.numel()))
    for row in (told[got.spent == ROUND * t] for t in (1, 2, 3)):
        assert float(row.mean()) == pytest.approx(1.0, abs=5 / math.sqrt(row.numel()))
    target = torch.exp(torch.tensor(-codec.encode(IMAGES[:1], 10 ** (-esno_db / 10)).header[0] / 1000))
    error = (1 / (1 + 1 / received.n0)).mean(dim=1)
    assert bool(((error <= target) | (got.spent == 4 * ROUND)).all())
    assert bool((error[got.spent == 4 * ROUND] > target).any())


def test_an_image_that_is_content_is_not_sent_again() -> None:
    """Over noise alone every round is worth the same: with a ratio of 1.9 rounds one is sent, of 2.1 two are."""
    for ratio, rounds in ((1.9, 1), (2.1, 2), (7.0, 4)):
        got = send(make(AWGN(), ratio=ratio * ROUND / VALUES), AWGN(), 10.0, IMAGES[:3])
        assert got.spent is not None
        assert got.spent.tolist() == [rounds * ROUND] * 3


def test_one_round_is_the_codec_itself() -> None:
    codec = make(AWGN(), rounds=1)
    got = send(codec, AWGN(), 10.0, IMAGES[:2])
    plain = AWGN()(Linear().encode(IMAGES[:2], 0.1).symbols, 0.1, rng=torch.Generator().manual_seed(1))
    torch.testing.assert_close(seen(codec).symbols, plain.symbols)
    torch.testing.assert_close(seen(codec).n0, plain.n0)
    assert got.bits["feedback"].tolist() == [0, 0]


def test_waiting_is_no_use_of_the_image() -> None:
    codec = make(Rayleigh(16), delay=32)
    frame = codec.encode(IMAGES[:2], 0.1)
    assert frame.symbols.shape == (2, 4 * ROUND + 3 * 32)
    assert frame.uses == {"payload": 4 * ROUND, "others": 96}
    assert torch.equal(frame.symbols[:, 96 : 96 + ROUND], frame.symbols[:, :ROUND])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rounds": 0}, "harq=0 must be from 1 to 16"),
        ({"rounds": 17}, "harq=17 must be from 1 to 16"),
        ({"ratio": 0.5 * ROUND / VALUES}, "round=0.0833333 must be above 0 and no more than the ratio, 0.0416667"),
        ({"delay": -1}, "delay=-1 must be from 0"),
    ],
)
def test_what_is_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(AWGN(), **changed)  # type: ignore[arg-type]


def test_waiting_that_is_too_long_is_refused_before_it_is_simulated() -> None:
    with pytest.raises(ValueError, match=r"delay=10000000: 4 rounds and the waiting .* take 30000256 channel uses"):
        make(AWGN(), delay=10_000_000).encode(IMAGES[:1], 0.1)


@pytest.mark.parametrize(
    ("header", "message"),
    [(None, "header=None"), ([-1], "header tells -1"), ([1 << 16], "header tells 65536"), (["x"], "header tells 'x'")],
)
def test_a_header_that_tells_no_target_is_refused(header: list[object] | None, message: str) -> None:
    codec = make(AWGN())
    symbols = codec.encode(IMAGES[:1], 0.1).symbols
    with pytest.raises(ValueError, match=message):
        codec.decode(Received(symbols, torch.full(symbols.shape, 0.1), header=header))
    with pytest.raises(ValueError, match="must be 4 rounds"):
        codec.decode(Received(symbols[:, 1:], torch.full((1, symbols.shape[1] - 1), 0.1), header=[5]))


def test_the_least_target_takes_no_more_than_is_there() -> None:
    errors = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)).sort(dim=1, descending=True).values.numpy()
    for rounds in (1.0, 1.7, 3.2, 4.0):
        target = repeated._least_target(errors, rounds)
        asked = 1 + (errors[:, :-1] > target).sum(axis=1)
        assert rounds - 0.01 < asked.mean() <= rounds
    assert repeated._least_target(errors, 4.0) == 0.0
