"""Trust tests of the channels, each with a twin that shows that 0.2 dB would be caught."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, esno_to_n0, normalise_power
from semlink.phy.rng import image_rngs

CHANNELS = {
    "awgn": AWGN(),
    "block": Rayleigh("block"),
    "fast": Rayleigh("fast"),
    "coherence 7": Rayleigh(7),
    "mmse": Rayleigh("fast", equaliser="mmse"),
    "no csi": Rayleigh("fast", csi="none"),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symbols(b: int, n: int) -> torch.Tensor:
    return normalise_power(torch.randn(b, n, dtype=torch.complex64, generator=generator(99)))


def check_noise(channel: Channel, esno_db: float, off_db: float) -> None:
    """Error after equalisation over the variance handed back: mean 1, as 40,000 draws of |CN(0, 1)|² have it."""
    sent = symbols(40, 1000)
    got = channel(sent, esno_to_n0(esno_db + off_db), rng=generator()).unbiased()
    known = got.n0 * 10 ** (off_db / 10)  # what the receiver would believe were the noise off by as much
    ratio = ((got.symbols - sent).abs().square() / known).flatten()
    assert abs(ratio.mean().item() - 1) <= 4 / math.sqrt(ratio.numel())


@pytest.mark.parametrize("name", ["awgn", "block", "fast", "coherence 7", "mmse"])
@pytest.mark.parametrize("esno_db", [-3.0, 10.0, 25.0])
def test_noise_variance_handed_back_is_the_measured_one(name: str, esno_db: float) -> None:
    check_noise(CHANNELS[name], esno_db, 0.0)


@pytest.mark.parametrize("name", ["awgn", "block", "fast", "coherence 7", "mmse"])
@pytest.mark.parametrize("off_db", [-0.2, 0.2])
def test_a_noise_off_by_a_fifth_of_a_decibel_is_caught(name: str, off_db: float) -> None:
    with pytest.raises(AssertionError):
        check_noise(CHANNELS[name], 10.0, off_db)


def measured_esno_db(channel: Channel, esno_db: float) -> tuple[float, float]:
    """Es/N0 from the noise alone, and its standard error in dB: nothing sent, so all that arrives is noise."""
    n = 100_000
    got = channel(torch.zeros(1, n, dtype=torch.complex64), esno_to_n0(esno_db), rng=generator(3))
    noise = got.symbols if got.gain is None else got.symbols * got.gain / (1 if got.bias is None else got.bias)
    return -10 * math.log10(noise.abs().square().mean().item()), 10 / math.log(10) / math.sqrt(n)


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("esno_db", [0.0, 10.0])
def test_esno_is_per_complex_symbol(name: str, esno_db: float) -> None:
    measured, error = measured_esno_db(CHANNELS[name], esno_db)
    assert abs(measured - esno_db) <= 4 * error
    assert abs(measured - (esno_db + 0.2)) > 4 * error  # the twin


@pytest.mark.parametrize("axis", ["real", "imag"])
def test_noise_is_half_on_each_axis(axis: str) -> None:
    got = AWGN()(torch.zeros(1, 100_000, dtype=torch.complex64), 0.5, rng=generator())
    variance = getattr(got.symbols, axis).square().mean().item()
    assert abs(variance - 0.25) <= 4 * 0.25 * math.sqrt(2 / 100_000)


def gains(batch: int, count: int, *, n0: float = 0.1) -> torch.Tensor:
    """Signal-to-noise ratios |h|²γ of so many images, each a block of its own, sent so many at a time."""
    channel, rng = Rayleigh("block"), generator(64)
    sent = torch.ones(batch, 1, dtype=torch.complex64)
    return torch.cat([1 / channel(sent, n0, rng=rng).n0[:, 0] for _ in range(count // batch)])


def check_outage(off_db: float, *, count: int = 200_000) -> None:
    """P(|h|²γ < γ₀) = 1 − exp(−γ₀/γ), of 200,000 images: 0.2 dB are 8 standard errors."""
    measured = float((gains(2000, count, n0=esno_to_n0(10 + off_db)) < 10**0.3).double().mean())
    expected = 1 - math.exp(-(10 ** ((3.0 - 10.0) / 10)))
    assert abs(measured - expected) <= 4 * math.sqrt(expected * (1 - expected) / count)


def test_outage_of_block_fading() -> None:
    check_outage(0.0)


@pytest.mark.parametrize("off_db", [-0.2, 0.2])
def test_outage_off_by_a_fifth_of_a_decibel_is_caught(off_db: float) -> None:
    with pytest.raises(AssertionError):
        check_outage(off_db)


@pytest.mark.parametrize("batch", [1, 64])
def test_block_fading_is_the_same_whatever_the_batch(batch: int) -> None:
    """One normalised over its batch would never fade in a batch of one; these fade as those of the outage do."""
    torch.testing.assert_close(gains(batch, 1984), gains(1984, 1984))


@pytest.mark.parametrize("coherence", ["block", "fast", 7])
def test_mean_gain_is_one_and_coherence_is_kept(coherence: str | int) -> None:
    n = 7 if coherence == "block" else 70
    images = 40_000 if coherence == "block" else 5_000
    got = Rayleigh(coherence)(symbols(images, n), 0.1, rng=generator(8))  # type: ignore[arg-type]
    assert got.gain is not None
    length = {"block": n, "fast": 1}.get(str(coherence), coherence)
    assert isinstance(length, int)
    blocks = got.gain.reshape(images, n // length, length)
    assert torch.equal(blocks, blocks[:, :, :1].expand_as(blocks))
    power = blocks[:, :, 0].abs().square()
    assert abs(power.mean().item() - 1) <= 4 / math.sqrt(power.numel())
    assert abs(power.mean().item() - 10**0.02) > 4 / math.sqrt(power.numel())  # 0.2 dB would be caught
    if length < n:
        assert (blocks[:, 0, 0] != blocks[:, 1, 0]).all()


def test_a_coherence_that_does_not_divide_the_frame_ends_early() -> None:
    got = Rayleigh(4)(symbols(2, 10), 0.1, rng=generator())
    assert got.gain is not None
    assert len(torch.unique(got.gain[0].abs())) == 3


def test_mmse_is_the_linear_estimate_of_least_error() -> None:
    """E|x̂ − x|² = N0 / (|h|² + N0) for Gaussian symbols, and less than zero-forcing's at every gain."""
    sent = symbols(1, 200_000)
    got = Rayleigh("fast", equaliser="mmse")(sent, 0.3, rng=generator())
    assert got.bias is not None
    error = (got.symbols - sent).abs().square() / (1 - got.bias)
    assert abs(error.mean().item() - 1) <= 4 * error.std().item() / math.sqrt(200_000)
    zf = Rayleigh("fast")(sent, 0.3, rng=generator())
    torch.testing.assert_close(got.unbiased().symbols, zf.symbols, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(got.unbiased().n0, zf.n0, rtol=1e-3, atol=1e-6)


def test_without_csi_the_receiver_knows_nothing_of_the_gain() -> None:
    sent = symbols(3, 50)
    got = Rayleigh("block", csi="none")(sent, 0.1, rng=generator())
    assert got.gain is None
    assert torch.equal(got.n0, torch.full((3, 50), 0.1))
    scale = (got.symbols / sent).angle()
    assert scale.std() > 0.1  # the phase was not taken out


@pytest.mark.parametrize("name", CHANNELS)
def test_one_generator_gives_the_same_in_any_batching(name: str) -> None:
    sent, channel = symbols(6, 33), CHANNELS[name]
    whole = channel(sent, 0.1, rng=generator(1)).symbols
    rng = generator(1)
    parts = [channel(part, 0.1, rng=rng).symbols for part in (sent[:1], sent[1:4], sent[4:])]
    torch.testing.assert_close(whole, torch.cat(parts))  # but for rounding, which vectorised loops place differently


@pytest.mark.parametrize("name", CHANNELS)
def test_generators_by_content_give_the_same_in_any_order(name: str) -> None:
    images, sent, channel = torch.rand(6, 3, 4, 4), symbols(6, 33), CHANNELS[name]
    order = torch.tensor(np.random.default_rng(0).permutation(6))
    straight = channel(sent, 0.1, rng=image_rngs(7, images)).symbols
    shuffled = channel(sent[order], 0.1, rng=image_rngs(7, images[order])).symbols
    torch.testing.assert_close(straight[order], shuffled)
    for other in (image_rngs(8, images), image_rngs(7, images, realisation=1)):
        assert (channel(sent, 0.1, rng=other).symbols - straight).abs().mean() > 0.1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"coherence": 0}, "coherence=0"),
        ({"coherence": "slow"}, "coherence='slow'"),
        ({"coherence": True}, "coherence=True"),
        ({"csi": "some"}, "perfect, estimated, outdated, none"),
        ({"equaliser": "lms"}, "zf, mmse"),
    ],
)
def test_bad_options_name_the_value_and_what_is_allowed(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Rayleigh(**options)  # type: ignore[arg-type]


def test_a_wrong_number_of_generators_is_refused() -> None:
    with pytest.raises(ValueError, match="2 generators for 3 images"):
        AWGN()(symbols(3, 4), 0.1, rng=[generator(), generator()])
