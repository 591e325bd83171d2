"""Trust tests of flat fading: laws, Doppler, pilots and what the receiver knows, over one antenna and several."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import special, stats

from semlink.phy.channels import AWGN, Chain, Mimo, Nakagami, Rayleigh, Rician
from semlink.phy.fading import NakagamiLaw, RayleighLaw, RicianLaw
from semlink.phy.fading.laws import draw_scatter, scatter_correlation
from semlink.phy.impairments import CarrierOffset, Distorted, Medium, Side
from semlink.phy.link import Channel, Frame, Link, Received, esno_to_n0, normalise_power
from semlink.phy.mimo import Alamouti, Downlink, Mrc, Mrt, Multiplexing, Scheme, Svd, Uplink
from semlink.phy.pilots import make_interpolator
from semlink.phy.rng import image_rngs

MOVING = 0.01
KNOWING: dict[str, Medium] = {
    "block, ls": Rayleigh("block", "estimated", estimator="ls"),
    "block, mmse": Rayleigh("block", "estimated", pilots=3),
    "7, ls": Rayleigh(7, "estimated", estimator="ls"),
    "fast, mmse": Rayleigh("fast", "estimated"),
    "doppler, ls": Rayleigh("fast", "estimated", doppler=MOVING, estimator="ls"),
    "doppler, mmse": Rayleigh("fast", "estimated", doppler=MOVING),
    "outdated": Rayleigh(5, "outdated", doppler=MOVING, delay=8),
    "outdated block": Rayleigh("block", "outdated", doppler=MOVING, delay=8),
    "rician": Rician(7, "estimated", k_db=6),
    "rician, doppler": Rician("fast", "estimated", k_db=3, doppler=MOVING),
    "nakagami": Nakagami(7, "estimated", m=3),
    "nakagami, doppler": Nakagami("fast", "estimated", m=0.7, doppler=MOVING),
    "nakagami, outdated": Nakagami("fast", "outdated", m=3, doppler=MOVING, delay=8),
    "2x2": Mimo(7, "estimated", antennas=Multiplexing(2, 2)),
    "2x2, doppler": Mimo("fast", "estimated", antennas=Multiplexing(2, 2), doppler=MOVING),
    "2x3, rician": Mimo(7, antennas=Multiplexing(2, 3), fading=RicianLaw(3)),
    "uplink": Mimo(7, "estimated", antennas=Uplink(2, 3)),
    "downlink": Mimo(7, antennas=Downlink(2, 4, "mrt")),
    "alamouti, doppler": Mimo("fast", antennas=Alamouti(2), doppler=0.04),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symbols(b: int, n: int) -> torch.Tensor:
    return normalise_power(torch.randn(b, n, dtype=torch.complex64, generator=generator(99)))


def error_ratio(channel: Channel, esno_db: float, off_db: float = 0.0) -> tuple[float, float]:
    """Mean error over what n0 promises, and its standard error; 1 if n0 is true.

    Each symbol weighs as much as its gain has power, which undoes the equaliser: what is compared is noise before it.
    """
    sent = symbols(1500, 70)
    got = channel(sent, esno_to_n0(esno_db + off_db), rng=generator()).unbiased()
    known = got.n0 * 10 ** (off_db / 10)
    weight = 1 / (1 + known).square() if got.gain is None else got.gain.abs().square()
    error = ((got.symbols - sent).abs().square() * weight).sum(dim=1)
    expected = (known * weight).sum(dim=1)
    ratio = error.sum() / expected.sum()
    spread = (error - ratio * expected).std() * math.sqrt(len(sent)) / expected.sum()
    return float(ratio), float(spread)


@pytest.mark.parametrize("name", KNOWING)
@pytest.mark.parametrize("esno_db", [0.0, 12.0])
def test_noise_variance_handed_back_is_the_measured_one(name: str, esno_db: float) -> None:
    ratio, spread = error_ratio(KNOWING[name], esno_db)
    assert abs(ratio - 1) <= 4 * spread
    assert 4 * spread < 0.1


@pytest.mark.parametrize("name", ["7, ls", "fast, mmse", "doppler, mmse", "rician, doppler", "2x2"])
@pytest.mark.parametrize("off_db", [-0.4, 0.4])
def test_a_noise_off_by_some_tenths_of_a_decibel_is_caught(name: str, off_db: float) -> None:
    ratio, spread = error_ratio(KNOWING[name], 6.0, off_db)
    assert abs(ratio - 1) > 4 * spread


def power_of(channel: Rayleigh | Rician | Nakagami, count: int) -> np.ndarray:
    got = channel(torch.ones(count, 1, dtype=torch.complex64), 1e-6, rng=generator(4))
    assert got.gain is not None
    return got.gain[:, 0].abs().square().double().numpy()


@pytest.mark.parametrize(
    ("channel", "law"),
    [
        (Rayleigh(), stats.expon()),
        (Rician(k_db=6.0), stats.ncx2(2, 2 * 10**0.6, scale=1 / (2 * (1 + 10**0.6)))),
        (Nakagami(m=0.6), stats.gamma(0.6, scale=1 / 0.6)),
        (Nakagami(m=4.0), stats.gamma(4.0, scale=1 / 4.0)),
    ],
    ids=["rayleigh", "rician", "nakagami 0.6", "nakagami 4"],
)
def test_power_of_the_gains_follows_the_law(channel: Rayleigh | Rician | Nakagami, law: stats.rv_continuous) -> None:
    power = power_of(channel, 40_000)
    assert stats.kstest(power, law.cdf).pvalue > 1e-4
    assert stats.kstest(power * 10**0.02, law.cdf).pvalue < 1e-4  # 0.2 dB would be caught


@pytest.mark.parametrize("law", [RicianLaw(6.0), NakagamiLaw(2.0)])
def test_a_fade_has_every_phase(law: RicianLaw | NakagamiLaw) -> None:
    scatter = torch.randn(20_000, 1, dtype=torch.complex64, generator=generator(1))
    turns = torch.rand(20_000, 1, generator=generator(2))
    h = law.shape(scatter, turns)[:, 0]
    assert stats.kstest(h.angle().numpy() / (2 * math.pi) % 1, "uniform").pvalue > 1e-4


@lru_cache(maxsize=1)
def scatter_of_many() -> torch.Tensor:
    """10,000 processes of 100 steps of 0.04 periods of the Doppler spread: the same for every law, drawn once."""
    rng = generator(3)
    return torch.cat([draw_scatter(100, 0.04, rng) for _ in range(10_000)])


@pytest.mark.parametrize("law", [RayleighLaw(), RicianLaw(3.0), NakagamiLaw(0.7), NakagamiLaw(4.0)])
def test_correlation_in_time_is_bessels_function_carried_through_the_law(
    law: RayleighLaw | RicianLaw | NakagamiLaw,
) -> None:
    """Doppler spectrum: E[h(t + τ) h(t)*] = J0(2π f_D τ), for lags up to four periods of the Doppler spread."""
    scatter, rng, step, count = scatter_of_many(), generator(4), 0.04, 10_000
    h = law.shape(scatter, torch.rand(count, 1, generator=rng)).to(torch.complex128)
    products = h * h[:, :1].conj()
    expected = law.correlation(special.j0(2 * math.pi * step * np.arange(100)))
    error = (products.mean(dim=0).numpy() - expected) / (products.std(dim=0).numpy() / math.sqrt(count))
    assert np.abs(error.real).max() <= 4.5
    assert np.abs(error.imag).max() <= 4.5
    off = law.correlation(special.j0(2 * math.pi * step * 1.1 * np.arange(100)))  # 10 % more Doppler would be caught
    assert np.abs(products.mean(dim=0).numpy() - off).max() > 0.05


def test_scatter_is_the_same_process_at_another_time() -> None:
    """The lagged copy is what the process was `lag` before: it equals the process itself, shifted."""
    now, before = draw_scatter(50, 0.02, generator(5), lags=(0.0, 0.06))
    torch.testing.assert_close(before[3:], now[:-3], rtol=1e-3, atol=1e-4)


def test_long_frames_keep_their_correlation() -> None:
    """Over 20,000 uses at f_D = 0.02, the power averages over some 800 independent fades."""
    h = draw_scatter(20_000, 0.02, generator(6))[0].to(torch.complex128)
    lags = np.array([1, 10, 25, 60])
    measured = [float((h[lag:] * h[:-lag].conj()).mean().real) for lag in lags]
    np.testing.assert_allclose(measured, special.j0(2 * math.pi * 0.02 * lags), atol=0.15)


def test_pilots_are_in_the_ledger_as_counted_by_hand() -> None:
    n, blocks = 70, 10
    cases = [
        (Rayleigh("block", "estimated", pilots=2), {"payload": n, "pilot": 2}),
        (Rayleigh(7, "estimated", pilots=2), {"payload": n, "pilot": 2 * blocks}),
        (Rayleigh(8, "estimated"), {"payload": n, "pilot": 9}),
        (Rayleigh("fast", "estimated"), {"payload": n, "pilot": n}),
        (Rayleigh("fast", "estimated", doppler=MOVING, spacing=16), {"payload": n, "pilot": 5 + 1}),
        (Mimo("block", "estimated", antennas=Multiplexing(4, 4), pilots=2), {"payload": 18, "pilot": 8}),
        (Mimo(antennas=Multiplexing(2, 2)), {"payload": 35}),
        (Mimo(5, "estimated", antennas=Multiplexing(2, 2)), {"payload": 35, "pilot": 14}),
        (Mimo(2, "estimated", antennas=Multiplexing(2, 2)), {"payload": 35, "pilot": 36}),
    ]
    for channel, uses in cases:
        assert channel(symbols(2, n), 0.1, rng=generator()).uses == uses
    for channel in (Rayleigh(), Rayleigh(7), AWGN()):
        assert channel(symbols(2, n), 0.1, rng=generator()).uses is None


class Sender:
    """A codec that sends noise and shows nothing."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        return Frame(symbols(len(image), 64), {"payload": 60, "side": 4})

    def decode(self, received: Received) -> torch.Tensor:
        return torch.zeros(len(received.symbols), 3, 8, 8)


def test_the_link_counts_what_the_channel_spends() -> None:
    image = torch.zeros(2, 3, 8, 8)
    got = Link(Sender(), Rayleigh(16, "estimated"))(image, 10.0, rng=generator())
    assert got.uses == {"payload": 60, "side": 4, "pilot": 4}
    assert got.ratio == pytest.approx(68 / 192)
    shared = Link(Sender(), Mimo(antennas=Multiplexing(4, 4)))(image, 10.0, rng=generator())
    assert shared.uses == {"payload": 16}
    assert shared.ratio == pytest.approx(16 / 192)
    assert got.papr_db is not None
    expected = 10 * torch.log10(symbols(2, 64).abs().square().amax(dim=1) / symbols(2, 64).abs().square().mean(dim=1))
    torch.testing.assert_close(got.papr_db, expected)


def test_estimates_are_as_good_as_theory_has_them() -> None:
    """Block fading: E|ĥ - h|² is N0/P for least squares, N0/P / (1 + N0/P) for MMSE."""
    for estimator, expected in (("ls", 0.1), ("mmse", 0.1 / 1.1)):
        channel = Rayleigh("block", "estimated", pilots=2, estimator=estimator)  # type: ignore[arg-type]
        truth = Rayleigh("block")(symbols(20_000, 4), 0.2, rng=image_rngs(1, torch.rand(20_000, 1, 1, 1))).gain
        guess = channel(symbols(20_000, 4), 0.2, rng=image_rngs(1, torch.rand(20_000, 1, 1, 1))).gain
        assert truth is not None
        assert guess is not None
        # Other generators: the second moments are what theory tells.
        power = guess[:, 0].abs().square().mean().item()
        wanted = 1.1 if estimator == "ls" else 1 / 1.1
        assert abs(power - wanted) <= 4 * wanted / math.sqrt(20_000)
        assert expected == pytest.approx(0.2 / 2 if estimator == "ls" else (0.2 / 2) / (1 + 0.2 / 2))


def test_wiener_error_is_least_and_lines_are_as_computed() -> None:
    """Interpolator.error against a dense Wiener solution and a simulation of the straight lines."""
    pilots, places, noise = np.arange(0, 12.0, 1.0), np.linspace(0, 11, 45), 0.05

    def correlation(d: np.ndarray) -> np.ndarray:
        return scatter_correlation(d * 0.2)

    wiener = make_interpolator(pilots, places, correlation, noise, estimator="mmse", taps=12)
    r = correlation(places[:, None] - pilots[None])
    covariance = correlation(pilots[:, None] - pilots[None]) + noise * np.eye(12)
    dense = 1 - np.einsum("mp,pq,mq->m", r, np.linalg.inv(covariance), r)
    np.testing.assert_allclose(wiener.error(noise), dense, atol=1e-9)
    lines = make_interpolator(pilots, places, correlation, noise, estimator="ls")
    assert (lines.error(noise) >= wiener.error(noise) - 1e-12).all()
    rng, count = generator(8), 4000
    h = torch.cat([draw_scatter(45, 0.25 * 0.2, rng) for _ in range(count)])
    seen = h[:, ::4] + math.sqrt(noise / 2) * torch.view_as_complex(torch.randn(count, 12, 2, generator=rng))
    for line in (lines, wiener):
        error = (line(seen) - h).abs().square().double()
        score = (error.mean(dim=0).numpy() - line.error(noise)) / (error.std(dim=0).numpy() / math.sqrt(count))
        assert np.abs(score).max() <= 4.5


@pytest.mark.parametrize("name", KNOWING)
def test_one_generator_gives_the_same_in_any_batching(name: str) -> None:
    sent, channel = symbols(5, 33), KNOWING[name]
    rngs = image_rngs(7, torch.rand(5, 1, 2, 2, generator=generator(1)))
    whole = channel(sent, 0.1, rng=rngs).symbols
    rngs = image_rngs(7, torch.rand(5, 1, 2, 2, generator=generator(1)))
    apart = [channel(sent[i : i + 1], 0.1, rng=rngs[i : i + 1]).symbols for i in reversed(range(5))]
    torch.testing.assert_close(whole, torch.cat(apart[::-1]), rtol=1e-4, atol=1e-4)


def test_correlated_antennas_have_the_covariance_of_kroneckers_model() -> None:
    channel = Mimo(antennas=Multiplexing(2, 2), tx_correlation=0.7, rx_correlation=0.4)
    layout = channel._layout(1)
    h = channel._draw(layout, [generator(9)] * 20_000, 0.1)[0][:, 0].reshape(20_000, 4)
    measured = (h.mH @ h).conj().resolve_conj().numpy() / 20_000
    one = [[1, 0.4], [0.4, 1]], [[1, 0.7], [0.7, 1]]
    np.testing.assert_allclose(measured, np.kron(*one), atol=4 / math.sqrt(20_000))


class Doubling:
    """A stage that doubles what it gets and adds a distortion of energy 0.2."""

    side: Side = "transmitter"
    spec = "doubling"

    def __call__(
        self, samples: torch.Tensor, *, rng: list[torch.Generator], pilots: torch.Tensor | None = None
    ) -> Distorted:
        self.pilots = pilots
        extra = torch.stack([torch.randn(samples.shape[1], dtype=samples.dtype, generator=g) for g in rng])
        gain = torch.full_like(samples[:, :1], 2j)
        return Distorted(2j * samples + math.sqrt(0.2) * extra, gain, torch.full_like(gain.real, 0.2))


CHAINED: dict[str, Callable[[Doubling], Chain]] = {
    "awgn, before": lambda stage: Chain(stage, AWGN()),
    "awgn, after": lambda stage: Chain(AWGN(), stage),
    "fast, before": lambda stage: Chain(stage, Rayleigh("fast")),
    "fast, both": lambda stage: Chain(stage, Rayleigh("fast"), stage),
    "mmse, before": lambda stage: Chain(stage, Rayleigh("fast", equaliser="mmse")),
    "2x2, after": lambda stage: Chain(Mimo("fast", antennas=Multiplexing(2, 2)), stage),
    "1x8 mrc, before": lambda stage: Chain(stage, Mimo("fast", antennas=Mrc(8))),
    "8x1 mrt, both": lambda stage: Chain(stage, Mimo(antennas=Mrt(8)), stage),
    "uplink, before": lambda stage: Chain(stage, Mimo("fast", antennas=Uplink(3, 8))),
    "downlink, both": lambda stage: Chain(stage, Mimo("fast", antennas=Downlink(3, 6)), stage),
    "1x4 mrc, pilots": lambda stage: Chain(stage, Mimo("block", "estimated", antennas=Mrc(4), pilots=8)),
    "svd, both": lambda stage: Chain(stage, Mimo("fast", antennas=Svd(2, 2, "equal")), stage),
    "7, pilots": lambda stage: Chain(stage, Rayleigh(7, "estimated", pilots=4, estimator="ls")),
    "outdated": lambda stage: Chain(Rayleigh("fast", "outdated", doppler=MOVING, delay=5), stage),
}


@pytest.mark.parametrize("name", CHAINED)
def test_a_chain_hands_back_the_noise_with_the_distortion_in_it(name: str) -> None:
    ratio, spread = error_ratio(CHAINED[name](Doubling()), 8.0)
    assert abs(ratio - 1) <= 4 * spread + 2e-3  # where it is measured, it is a thousandth too high: diagonal loading


def test_a_chain_says_which_samples_are_pilots() -> None:
    stage = Doubling()
    Chain(stage, Rayleigh(7, "estimated"))(symbols(1, 14), 0.1, rng=generator())
    assert stage.pilots is not None
    assert stage.pilots.nonzero().flatten().tolist() == [0, 8]


@pytest.mark.parametrize("name", CHAINED)
def test_a_chain_is_independent_of_the_batch(name: str) -> None:
    chain, sent = CHAINED[name](Doubling()), symbols(4, 28)
    whole = chain(sent, 0.1, rng=generator(2)).symbols
    rng = generator(2)
    parts = [chain(part, 0.1, rng=rng).symbols for part in (sent[:1], sent[1:])]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-4, atol=1e-4)


def test_chains_nest_and_name_their_stages() -> None:
    stage = Doubling()
    inner = Chain(stage, Rayleigh("fast"))
    outer = Chain(stage, inner, stage)
    assert outer.labels["spec"].endswith("+doubling+doubling+doubling:side=receiver")
    assert outer.labels["csi"] == "perfect"
    for parts in ((stage,), (AWGN(), AWGN()), (stage, "rapp", AWGN())):
        with pytest.raises(ValueError, match="Chain"):
            Chain(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "channel",
    [AWGN(), Rayleigh("fast"), Rayleigh("fast", equaliser="mmse"), *KNOWING.values(), Rayleigh(7, "none")],
    ids=str,
)
def test_gradients_flow_to_the_symbols(channel: Medium) -> None:
    """Along a direction, against a finite difference: the received symbols are linear in the sent ones."""
    sent, direction = symbols(2, 21), symbols(2, 21).flip(1)

    def energy(scale: float) -> torch.Tensor:
        got = channel((sent + scale * direction).requires_grad_(), 0.1, rng=generator(3)).symbols
        return (got * symbols(2, 21).roll(5, 1)).real.sum()

    x = sent.clone().requires_grad_()
    (channel(x, 0.1, rng=generator(3)).symbols * symbols(2, 21).roll(5, 1)).real.sum().backward()
    assert x.grad is not None
    slope = (x.grad.conj() * direction).real.sum().item()
    assert slope == pytest.approx(((energy(0.5) - energy(-0.5)) / 1.0).item(), rel=1e-3, abs=1e-3)
    assert slope != 0


def test_outdated_csi_loses_to_fresh_and_a_coherence_past_the_frame_is_block_fading() -> None:
    sent = symbols(300, 40)
    fresh = Rayleigh("fast", doppler=0.02)(sent, 0.01, rng=generator(1)).n0.log().mean()
    late = Rayleigh("fast", "outdated", doppler=0.02, delay=5)(sent, 0.01, rng=generator(1)).n0.log().mean()
    assert late > fresh
    got = Rayleigh(1000)(sent, 0.01, rng=generator(1))
    torch.testing.assert_close(got.symbols, Rayleigh("block")(sent, 0.01, rng=generator(1)).symbols)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"csi": "estimated", "pilots": 0}, "pilots=0"),
        ({"csi": "outdated", "delay": 3.0}, "needs doppler above 0"),
        ({"csi": "outdated", "doppler": 0.1}, "only outdated CSI has a delay"),
        ({"delay": 3.0}, "only outdated CSI has a delay"),
        ({"doppler": 0.7}, "doppler=0.7"),
        ({"doppler": 0.01}, "one gain an image"),
        ({"doppler": 0.01, "coherence": 4, "csi": "estimated"}, "coherence='fast' and pilots=1"),
        ({"spacing": 0}, "spacing=0"),
        ({"estimator": "magic"}, "ls, mmse"),
    ],
)
def test_bad_options_name_the_value_and_what_is_allowed(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Rayleigh(**options)  # type: ignore[arg-type]


def test_bad_options_of_the_other_laws_and_of_several_antennas() -> None:
    with pytest.raises(ValueError, match="k_db=99"):
        Rician(k_db=99)
    with pytest.raises(ValueError, match=r"m=0\.2"):
        Nakagami(m=0.2)
    with pytest.raises(ValueError, match="rx_correlation=1"):
        Mimo(antennas=Multiplexing(2, 2), rx_correlation=1)
    with pytest.raises(ValueError, match="csi='none'"):
        Mimo(csi="none", antennas=Multiplexing(2, 2))
    with pytest.raises(ValueError, match="takes no impairments"):
        Chain(Doubling(), Mimo(csi="estimated", antennas=Svd(2, 2)))(symbols(1, 8), 0.1, rng=generator())


@pytest.mark.parametrize("channel", [Mimo(antennas=Uplink(3, 3)), Mimo(7, antennas=Downlink(2, 4)), *KNOWING.values()])
def test_one_generator_for_all_images_gives_the_same_in_any_batching(channel: Medium) -> None:
    sent = symbols(4, 28)
    whole = channel(sent, 0.1, rng=generator(5)).symbols
    rng = generator(5)
    parts = [channel(part, 0.1, rng=rng).symbols for part in (sent[:1], sent[1:])]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-3, atol=1e-3)


def test_symbols_of_a_group_that_meet_two_gains_are_refused() -> None:
    for coherence in ("fast", 3):
        with pytest.raises(ValueError, match="must be a multiple of 2"):
            Mimo(coherence, antennas=Alamouti(2))  # type: ignore[arg-type]
    Mimo(4, antennas=Alamouti(2))


@pytest.mark.parametrize("antennas", [Svd(4, 4, "equal"), Mrt(4), Downlink(3, 4, "zf")], ids=str)
def test_a_transmitter_that_does_not_know_of_its_own_phases_misses_its_beams(antennas: Scheme) -> None:
    """A random carrier phase at each antenna: the receiver is told of the interference that comes of it."""
    ratio, spread = error_ratio(Chain(CarrierOffset(0.0), Mimo(antennas=antennas)), 20.0)
    assert abs(ratio - 1) <= 4 * spread
