"""No curve of what ships falls where the channel is better than in the training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.flowgraphs.comparison import check_codec
from semlink.neural import zoo
from semlink.neural.diffusion import (
    Denoised,
    ReceiverCard,
    Refined,
    build_receiver,
    load_receiver,
    receiver_cards,
)
from semlink.neural.networks import Held, PlainDeepJSCC, noise_level
from semlink.phy.channels import AWGN
from semlink.phy.link import Codec, Frame, Link, Received
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images

TOLERANCE_DB = 0.02
"""Three small images in 8 bits: a curve that is flat goes up and down by a few thousandths of a dB."""
CARDS, RECEIVERS = zoo.cards(), receiver_cards()
LEARNT = [name for name, card in RECEIVERS.items() if card.codec.startswith("zoo:")]


@pytest.fixture(scope="module")
def images() -> Float[Tensor, "3 3 32 32"]:
    return F.avg_pool2d(sample_images(), 8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small images: threads would only wait for one another
    yield
    torch.set_num_threads(before)


def check_curve(
    codec: Codec, images: Float[Tensor, "b 3 h w"], levels_db: tuple[float, ...] = (20, 25, 30, 40, 60)
) -> None:
    curve = [
        psnr(Link(codec, AWGN())(images, e, rng=torch.Generator().manual_seed(0)).image, images) for e in levels_db
    ]
    assert all(value > max(curve[:i]) - TOLERANCE_DB for i, value in enumerate(curve) if i), curve


def check_held(model: object, card: zoo.Card | ReceiverCard) -> None:
    """Whether a network that ships is told of its training's Es/N0 and no other."""
    assert isinstance(model, Held)
    assert card.esno_db is not None
    assert model.sent_db == card.esno_db
    assert model.seen_db == (-20.0, card.esno_db[1])


@pytest.mark.parametrize("name", CARDS)
def test_no_codec_of_the_zoo_falls_up_to_60_db(name: str, images: Float[Tensor, "3 3 32 32"]) -> None:
    codec = zoo.load(name)
    check_held(codec, CARDS[name])
    check_curve(codec, images)


@pytest.mark.parametrize("name", LEARNT)
def test_no_receiver_of_the_zoo_falls_up_to_60_db(name: str, images: Float[Tensor, "3 3 32 32"]) -> None:
    codec, receiver = zoo.load(RECEIVERS[name].codec.removeprefix("zoo:")), load_receiver(name)
    check_held(receiver, RECEIVERS[name])
    kind = Denoised if RECEIVERS[name].task == "cddm" else Refined
    check_curve(kind(codec, receiver), images[:2], (20, 30, 60))  # type: ignore[arg-type]


def test_the_receiver_of_the_digital_link_is_held_too() -> None:
    check_held(load_receiver("sft-jpeg"), RECEIVERS["sft-jpeg"])


def test_swin_on_other_rates_too(images: Float[Tensor, "3 3 32 32"]) -> None:
    codec = zoo.load("swin")
    for ratio in (1 / 24, 1 / 3):
        check_curve(zoo.at_ratio(codec, ratio), images[:2], (20, 30))


def test_a_network_is_told_what_it_knows_and_nothing_else() -> None:
    model = Held()
    n0 = torch.tensor([10.0**-6, 10.0**-1, 10.0**1])
    assert model.sent_level(n0)[:, 0].tolist() == pytest.approx([3.0, 1.0, -1.0])  # held to nothing yet
    model.hold_to((0.0, 20.0))
    assert model.sent_level(n0)[:, 0].tolist() == pytest.approx([2.0, 1.0, 0.0])
    assert model.seen_level(n0[:, None])[:, 0].tolist() == pytest.approx([2.0, 1.0, -1.0])  # as it is in a fade


@pytest.mark.parametrize("name", ["sft", "residual-cnn"])
def test_a_refiner_beyond_its_training_shows_what_it_showed_there(name: str) -> None:
    torch.manual_seed(0)
    model = build_receiver(name, {"width": 4} if name == "residual-cnn" else {"width": 4, "dim": 8})
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    image, levels = torch.rand(1, 3, 32, 32), [torch.tensor([[level]]) for level in (2.0, 3.0)]

    def shown() -> list[Tensor]:
        return [model.refine(image, level, rng=[torch.Generator().manual_seed(0)]) for level in levels]

    one, other = shown()
    assert not torch.equal(one, other)
    model.hold_to((0.0, 20.0))  # type: ignore[operator]
    one, other = shown()
    assert torch.equal(one, other)


class Overconfident(nn.Module):
    """A codec that trusts what it is told of the channel, and above 20 dB wrongly."""

    ratio = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.plain = PlainDeepJSCC(24)

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        return self.plain.encode(image, n0)

    def decode(self, received: Received) -> Tensor:
        level = noise_level(received.n0)[:, :, None, None]
        shown = torch.full((len(received.symbols), 3, 32, 32), 0.3)
        return (shown + 0.3 * (level - 2).clamp(0, 1)).clamp(0, 1)


def test_check_finds_a_curve_that_falls() -> None:
    found = {one.what: one for one in check_codec(Overconfident())}
    assert found["better channels"].good is False
    assert "at 20 dB to" in found["better channels"].words
    assert "beyond its training" in found["better channels"].words


def test_check_is_content_with_what_is_held() -> None:
    found = {one.what: one for one in check_codec(zoo.load("deepjscc"))}
    assert found["better channels"].good is True
    assert "up to Es/N0 of 60 dB" in found["better channels"].words
