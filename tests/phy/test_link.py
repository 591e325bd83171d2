from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Decoded, Frame, Link, Received, channel_uses, check_frame, esno_to_n0, normalise_power

IMAGE = torch.linspace(0, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


class Pixels:
    """Sends every pixel value as one real symbol; the least codec there is."""

    def __init__(self, *, scale: float = 1.0, bare: bool = True, uses: dict[str, int] | None = None) -> None:
        self.scale, self.bare, self.uses = scale, bare, uses

    def encode(self, image: Tensor, n0: float) -> Frame:
        symbols = normalise_power((image.flatten(1) + 0.1).to(torch.complex64)) * self.scale
        return Frame(symbols, self.uses or {"payload": symbols.shape[1]})

    def decode(self, received: Received) -> Decoded | Tensor:
        assert received.image_shape is not None
        image = received.symbols.real.reshape(-1, *received.image_shape).clamp(0, 1)
        return image if self.bare else Decoded(image, torch.tensor([True, False]), torch.tensor([3, 0]), 4)


def send(codec: Pixels, image: Tensor = IMAGE, esno_db: float = 10.0) -> object:
    return Link(codec, AWGN())(image, esno_db, rng=torch.Generator().manual_seed(0))


def test_a_bare_image_means_that_nothing_failed() -> None:
    got = Link(Pixels(), AWGN())(IMAGE, 10.0, rng=torch.Generator().manual_seed(0))
    assert got.image.shape == IMAGE.shape
    assert not got.failed.any()
    assert got.block_errors is None
    assert got.uses == got.ledger == {"payload": 48}
    assert got.ratio == 1.0


def test_failures_and_blocks_are_passed_on() -> None:
    got = Link(Pixels(bare=False), Rayleigh())(IMAGE, 10.0, rng=torch.Generator().manual_seed(0))
    assert got.failed.tolist() == [True, False]
    assert got.block_errors is not None
    assert (got.block_errors.tolist(), got.blocks.tolist()) == ([3, 0], [4, 4])


def test_a_batch_gives_what_its_images_give_one_by_one() -> None:
    link, rng = Link(Pixels(), Rayleigh()), torch.Generator().manual_seed(4)
    whole = link(IMAGE, 5.0, rng=torch.Generator().manual_seed(4)).image
    parts = [link(one, 5.0, rng=rng).image for one in torch.split(IMAGE, 1)]
    torch.testing.assert_close(whole, torch.cat(parts))


@pytest.mark.parametrize("scale", [10**0.01, 10**-0.01])
def test_a_fifth_of_a_decibel_too_much_or_too_little_power_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="mean symbol energy"):
        send(Pixels(scale=scale))


def test_one_image_off_in_power_is_found_among_others() -> None:
    symbols = torch.ones(5, 100, dtype=torch.complex64)
    check_frame(Frame(symbols, {"payload": 100}), 5)
    symbols[3] *= 1.01
    with pytest.raises(ValueError, match=r"1\.02"):
        check_frame(Frame(symbols, {"payload": 100}), 5)


def test_power_that_is_no_number_is_refused() -> None:
    symbols = torch.full((1, 4), complex(math.nan, 0))
    with pytest.raises(ValueError, match="nan"):
        check_frame(Frame(symbols, {"payload": 4}), 1)


def test_a_constellation_may_vary_by_chance_but_not_by_a_fifth_of_a_decibel() -> None:
    n = 20_000
    points = torch.tensor([-7.0, -5, -3, -1, 1, 3, 5, 7]) / 42**0.5
    pick = torch.randint(8, (2, 8, n), generator=torch.Generator().manual_seed(0))
    frame = Frame(torch.complex(points[pick[0]], points[pick[1]]), {"payload": n}, power="constellation")
    check_frame(frame, 8)
    with pytest.raises(ValueError, match="mean symbol energy"):
        check_frame(replace(frame, symbols=frame.symbols * 10**0.01), 8)


def test_a_ledger_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="add up to 47; the frame has 48"):
        send(Pixels(uses={"payload": 40, "pilot": 7}))
    with pytest.raises(ValueError, match="uses="):
        send(Pixels(uses={"payload": 49, "pilot": -1}))


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (torch.zeros(3, 4, 4), r"shape \(3, 4, 4\)"),
        (torch.zeros(0, 3, 4, 4), r"shape \(0, 3, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "torch.uint8"),
        (torch.full((1, 3, 4, 4), 1.5), r"\[1.5, 1.5\]"),
        (torch.full((1, 3, 4, 4), math.nan), "nan"),
    ],
)
def test_bad_images_are_refused(image: Tensor, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        send(Pixels(), image)


@pytest.mark.parametrize("esno_db", [math.nan, math.inf, -math.inf])
def test_esno_must_be_finite(esno_db: float) -> None:
    with pytest.raises(ValueError, match="esno_db="):
        send(Pixels(), esno_db=esno_db)


def test_esno_to_n0() -> None:
    assert esno_to_n0(0.0) == 1.0
    assert esno_to_n0(10.0) == pytest.approx(0.1)
    assert esno_to_n0(-3.0103) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "ratio", "uses"), [((3, 32, 32), 1 / 6, 512), ((3, 32, 32), 1 / 12, 256), ((3, 33, 47), 1 / 6, 775)]
)
def test_channel_uses_is_the_floor_whatever_the_rounding(shape: tuple[int, int, int], ratio: float, uses: int) -> None:
    assert channel_uses(shape, ratio) == uses
    assert channel_uses(shape, float(f"{ratio:.9f}")) <= uses


def test_power_is_normalised_for_each_image_alone() -> None:
    symbols = torch.randn(4, 9, dtype=torch.complex64) * torch.tensor([[0.01], [1], [5], [100]])
    energy = normalise_power(symbols).abs().square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones(4))


def test_a_square_image_needs_no_header() -> None:
    received = Received(torch.zeros(1, 512, dtype=torch.complex64), torch.ones(1, 512))
    assert received.shape_for(1 / 6) == (3, 32, 32)
    assert replace(received, image_shape=(3, 16, 64)).shape_for(1 / 6) == (3, 16, 64)
    with pytest.raises(ValueError, match="set image_shape"):
        replace(received, symbols=torch.zeros(1, 500, dtype=torch.complex64)).shape_for(1 / 6)
