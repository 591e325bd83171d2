"""The hybrid link: its frame, its base in deep fades, and what is shown where the base does not arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural import zoo
from semlink.neural.models import Fitted, Network, build
from semlink.neural.networks import HybridPhoto, base_picture
from semlink.neural.networks.hybrid import FLOOR_DB, FROM_DB, SPLITS, Parts, base_bits, split_for
from semlink.neural.training import Settings
from semlink.neural.training.data import Data
from semlink.neural.training.loop import Run
from semlink.phy.channels import AWGN, parse_channel
from semlink.phy.link import ERASED, Link, Received, channel_uses, esno_to_n0
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images

AVERAGE_DB = 5.0


@pytest.fixture(scope="module")
def codec() -> Network:
    return zoo.load("hybrid", ratio=1 / 16)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def photographs(side: int = 256) -> torch.Tensor:
    return torch.stack([image[:, :side, :side] for image in sample_images()])[:2]


def receive(
    codec: Network, image: torch.Tensor, esno_db: float, *, average_db: float = AVERAGE_DB
) -> tuple[float, bool]:
    """PSNR of an image sent for an average Es/N0 and received at another one, and whether it failed."""
    frame = codec.encode(image, esno_to_n0(average_db))
    received = AWGN()(frame.symbols, esno_to_n0(esno_db), rng=generator())
    decoded = codec.decode(replace(received, image_shape=tuple(image.shape[1:])))
    assert decoded.failed is not None
    return float(psnr(decoded.image, image)), bool(decoded.failed)


def base_alone(image: torch.Tensor) -> torch.Tensor:
    pixels = image[0] * 2 - 1
    h, w = pixels.shape[1:]
    shown = base_picture.decode(base_picture.encode(pixels, base_bits(h, w)), h, w)
    return (shown * 0.5 + 0.5).clamp(0, 1)[None]


@pytest.mark.parametrize("average_db", [0.0, *FROM_DB, 20.0])
def test_a_frame_has_its_energy_where_the_split_says(codec: Network, average_db: float) -> None:
    image = photographs()
    frame = Link(codec, AWGN()).encode(image, average_db, rng=generator())
    split, energy = SPLITS[split_for(average_db)], frame.symbols.abs().square()
    assert sum(frame.uses.values()) == channel_uses((3, 256, 256), 1 / 16)
    torch.testing.assert_close(energy[:, : frame.uses["base"]], torch.full((2, frame.uses["base"]), split.base))
    torch.testing.assert_close(energy.mean(dim=1), torch.ones(2), atol=1e-3, rtol=0)


def test_the_base_gets_less_the_better_the_channel_is() -> None:
    assert [split_for(level) for level in (-5, 2.9, 3, 9, 30)] == [0, 0, 1, 2, 2]
    assert [split.base for split in SPLITS] == sorted((split.base for split in SPLITS), reverse=True)


@pytest.mark.parametrize("esno_db", [-11, -9, -7, -5, -3, 0])
def test_it_is_never_below_the_base_alone(codec: Network, esno_db: float) -> None:
    for image in photographs().split(1):
        got, failed = receive(codec, image, esno_db, average_db=1.0)
        assert failed or got >= float(psnr(base_alone(image), image)) - 0.05


def test_the_base_arrives_in_fades_and_is_then_all_that_is_shown(codec: Network) -> None:
    image = photographs()[:1]
    frame = codec.encode(image, esno_to_n0(1.0))
    received = AWGN()(frame.symbols, esno_to_n0(30.0), rng=generator())
    n0 = received.n0.clone()
    n0[:, frame.uses["base"] :] = 10 ** (-(FLOOR_DB - 1) / 10)  # as if the detail had faded
    decoded = codec.decode(replace(received, n0=n0, image_shape=(3, 256, 256)))
    torch.testing.assert_close(decoded.image, base_alone(image), atol=1e-4, rtol=0)
    assert not decoded.failed


def test_without_its_base_an_image_has_failed_and_shows_what_there_is(codec: Network) -> None:
    image = photographs()[:1]
    frame = codec.encode(image, esno_to_n0(AVERAGE_DB))
    symbols, n0 = frame.symbols.clone(), torch.full(frame.symbols.shape, esno_to_n0(15.0))
    symbols[:, : frame.uses["base"]], n0[:, : frame.uses["base"]] = 0, ERASED
    decoded = codec.decode(Received(symbols, n0, image_shape=(3, 256, 256)))
    colour = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
    assert decoded.failed
    assert float(psnr(decoded.image, image)) > float(psnr(colour, image))


def test_noise_alone_fails_and_is_an_image(codec: Network) -> None:
    got, failed = receive(codec, photographs()[:1], -25.0)
    assert failed
    assert got > 5


def test_splits_are_told_in_the_base(codec: Network) -> None:
    """A codec that has not encoded, and is told no header, decodes all of them."""
    image = photographs()[:1]
    for average_db in (0.0, 5.0, 9.0):
        got, failed = receive(codec, image, 15.0, average_db=average_db)
        assert not failed
        assert got > 24


def test_a_batch_gives_what_its_images_give(codec: Network) -> None:
    image, rngs = photographs(), [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    whole = Link(codec, AWGN())(image, 3.0, rng=rngs).image
    for i, one in enumerate(image.split(1)):
        alone = Link(codec, AWGN())(one, 3.0, rng=torch.Generator().manual_seed(i + 1)).image
        torch.testing.assert_close(whole[i : i + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("channel", "size"),
    [("rayleigh", (131, 150)), ("rayleigh:coherence=1", (256, 128)), ("mimo:antennas=2x2", (131, 150))],
)
def test_any_size_goes_over_other_channels(codec: Network, channel: str, size: tuple[int, int]) -> None:
    image = photographs()[:1, :, : size[0], : size[1]]
    got = Link(codec, parse_channel(channel))(image, 8.0, rng=generator())
    assert got.image.shape == image.shape


@pytest.mark.parametrize(
    ("w", "h", "ratio"), [(32, 32, 1 / 16), (64, 64, 1 / 48), (128, 128, 1 / 48), (96, 80, 1 / 16)]
)
def test_images_with_no_room_for_a_base_are_sent_as_by_swin_photo(codec: Network, w: int, h: int, ratio: float) -> None:
    """Nor those whose plan would have no room beside it."""
    image = photographs(w)[:, :, :h]
    shown = [
        Link(zoo.at_ratio(one, ratio), AWGN())(image, 9.0, rng=generator()) for one in (codec, zoo.load("swin-photo"))
    ]
    assert "base" not in shown[0].uses
    torch.testing.assert_close(shown[0].image, shown[1].image, atol=2e-3, rtol=0)


def test_a_ratio_out_of_range_is_refused(codec: Network) -> None:
    with pytest.raises(ValueError, match=r"ratio=0\.5 must be, for hybrid, from 1/48 to 1/6"):
        zoo.at_ratio(codec, 0.5).encode(torch.rand(1, 3, 256, 256), 0.1)


def test_it_is_trained_through_the_channel() -> None:
    torch.manual_seed(0)
    model = build("hybrid", {"widths": (4, 8, 8, 12), "depths": (0, 1, 1), "decoder_depths": (0, 1, 1), "heads": 2})
    assert isinstance(model, HybridPhoto)
    image = photographs(128)
    model.linear.fit(image)
    model.fit(image)
    sent = model.symbols(image, torch.full((2,), 0.1), ratio=1 / 16)
    got = model.reconstruct(AWGN()(sent, 0.1, rng=generator()), (3, 128, 128))
    (got - image).square().mean().backward()
    for part in (model.encoder, model.decoder):
        assert sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None) > 0


def test_fit_makes_the_rest_of_unit_energy() -> None:
    """What bases leave of photographs is told to be smaller than the latents, in the first coefficient most."""
    torch.manual_seed(0)
    model = build("hybrid", {"widths": (4, 8, 8, 12), "depths": (0, 1, 1), "decoder_depths": (0, 1, 1), "heads": 2})
    assert isinstance(model, HybridPhoto)
    image = photographs()
    model.linear.fit(image)
    model.fit(image)
    less = (model.linear.energies - model.rest.energies)[2, -1]  # in octaves, at 1/16 and an unknown level
    assert less[0] > 1
    assert less[20:40].abs().max() < 0.5
    parts = Parts.of(256, 256, 12288)
    assert parts is not None
    assert parts.share < 1


def test_training_fits_what_begins_anew_on_the_weights_of_swin_photo(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = {"widths": [4, 8, 8, 12], "depths": [0, 1, 1], "decoder_depths": [0, 1, 1], "heads": 2}
    first = build("swin-photo", network)
    assert isinstance(first, Fitted)
    first.fit(photographs(128))
    zoo.write_weights(first, tmp_path / "first.safetensors")
    settings = Settings(
        "mine",
        model="hybrid",
        network=network,
        init=str(tmp_path / "first.safetensors"),
        anew=("rest",),
        large_share=1.0,
        rates=(3,),
    )
    run = Run(settings, tmp_path)
    large = (photographs(128) * 255).to(torch.uint8)
    before = run.model.state_dict()["linear.basis"].clone()
    run.fit(Data(large[:0], large, large[:0]))
    assert run.model.state_dict()["linear.basis"].equal(before)
    assert run.model.state_dict()["rest.energies"].abs().sum() > 0
