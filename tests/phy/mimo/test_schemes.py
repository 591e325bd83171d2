"""Trust tests of the multi-antenna schemes, each with a twin that shows that 0.2 dB would be caught."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from semlink.phy.constellation import QAM
from semlink.phy.link import ERASED
from semlink.phy.mimo import (
    Alamouti,
    Downlink,
    Mrc,
    Mrt,
    Multiplexing,
    Scheme,
    Svd,
    Uplink,
    correlate,
    exponential_correlation,
    from_antennas,
    kronecker_root,
    to_antennas,
)
from semlink.phy.mimo.filters import fill_water
from semlink.phy.mimo.kernels import _linear_filters, linear_filters, singular_vectors
from semlink.phy.mimo.spatial import Detected
from semlink.phy.mimo.theory import (
    alamouti_qam_ber,
    diversity_slope,
    ergodic_capacity,
    mrc_capacity,
    mrc_qam_ber,
    waterfilling_capacity,
    zf_diversity,
    zf_qam_ber,
    zf_snr_cdf,
)

SCHEMES: dict[str, Scheme] = {
    "mmse": Multiplexing(4, 4),
    "mmse, more streams than antennas": Multiplexing(5, 3),
    "mmse, ten": Multiplexing(10, 12),
    "zf": Multiplexing(3, 4, "zf"),
    "k-best": Multiplexing(2, 2, "k-best"),
    "svd": Svd(4, 4),
    "svd, equal": Svd(3, 5, "equal"),
    "svd, two of four": Svd(4, 6, streams=2),
    "svd, ten": Svd(10, 9, "equal"),
    "alamouti": Alamouti(1),
    "alamouti, three": Alamouti(3),
    "mrc": Mrc(4),
    "mrt": Mrt(4),
    "mrt, large": Mrt(64),
    "mrt, three": Mrt(3, 3),
    "uplink zf": Uplink(3, 3),
    "uplink mmse": Uplink(3, 3, "mmse"),
    "uplink sic": Uplink(3, 3, "sic"),
    "downlink mrt": Downlink(3, 8, "mrt"),
    "downlink zf": Downlink(3, 4, "zf"),
    "downlink rzf": Downlink(4, 4, "rzf"),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=rng(seed))


@dataclass(frozen=True)
class Trial:
    sent: Tensor
    antennas: Tensor
    found: Detected
    h: Tensor


def send(scheme: Scheme, esno_db: float, *, b: int = 2, g: int = 2000, off_db: float = 0.0, order: int = 0) -> Trial:
    """Independent Rayleigh channels, whose noise is `off_db` weaker than the receiver believes."""
    n0 = 10 ** (-esno_db / 10)
    h = normal(b, g, scheme.rx, scheme.tx, seed=1)
    sent = normal(b, g, scheme.streams, seed=2)
    if order:
        qam = QAM(order)
        bits = torch.randint(2, (b, g * scheme.streams * qam.bits_per_symbol), generator=rng(3))
        sent = qam.map(bits).reshape(sent.shape)
    antennas = scheme.precode(sent, h if scheme.informed else None, n0, rng=[rng(10 + i) for i in range(b)])
    noise = normal(b, g, scheme.span, scheme.rx, seed=4) * math.sqrt(n0 * 10 ** (-off_db / 10))
    observed = torch.einsum("bgrt,bgut->bgur", h, antennas) + noise
    return Trial(sent, antennas, scheme.detect(observed, h, torch.full((b, g), n0), n0), h)


def check_variance(scheme: Scheme, esno_db: float, off_db: float) -> None:
    """Error over the variance handed back: mean 1. What interferes is as strong as it is: the noise alone is off."""
    trial = send(scheme, esno_db, g=2_000 if scheme.streams > 8 else 20_000, off_db=off_db)
    found = trial.found
    bias = 1.0 if found.bias is None else found.bias
    alive = found.n0 < ERASED
    ratio = ((found.symbols - bias * trial.sent).abs().square() / found.n0)[alive].double()
    assert abs(ratio.mean().item() - 1) <= 4 * ratio.std().item() / math.sqrt(ratio.numel())


@pytest.mark.parametrize("name", SCHEMES)
def test_noise_variance_handed_back_is_the_measured_one(name: str) -> None:
    for esno_db in (-3.0, 20.0):
        check_variance(SCHEMES[name], esno_db, 0.0)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_noise_off_by_a_fifth_of_a_decibel_is_caught(name: str) -> None:
    for off_db in (-0.2, 0.2):
        with pytest.raises(AssertionError):
            check_variance(SCHEMES[name], 0.0, off_db)


@pytest.mark.parametrize("name", SCHEMES)
def test_energy_of_a_use_is_one(name: str) -> None:
    scheme = SCHEMES[name]
    energy = send(scheme, 5.0).antennas.abs().square().sum(dim=-1).mean(dim=(0, 2))
    expected = scheme.users if isinstance(scheme, Uplink) else 1  # there each user has energy 1
    error = energy.std().item() / math.sqrt(len(energy))
    assert abs(energy.mean().item() - expected) <= 4 * error
    assert abs(energy.mean().item() - expected * 10**0.02) > 4 * error or error > 0.01


@pytest.mark.parametrize("antennas", [1, 2, 3, 8, 16, 64])
def test_precoding_matrices_have_norm_one_whatever_the_antennas(antennas: int) -> None:
    """Sending each stream alone and adding up: exactly 1, for each group."""
    h = normal(1, 5, antennas, antennas, seed=5)
    for scheme in (Multiplexing(antennas, antennas), Svd(antennas, antennas), Svd(antennas, antennas, "equal")):
        streams = torch.eye(antennas, dtype=torch.complex64)
        energy = sum(
            scheme.precode(one.expand(1, 5, -1), h, 0.3, rng=[rng()]).abs().square().sum(dim=-1) for one in streams
        )
        torch.testing.assert_close(energy, torch.ones(1, 5, 1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", SCHEMES)
def test_an_image_gets_the_same_in_any_batch(name: str) -> None:
    scheme = SCHEMES[name]
    whole = send(scheme, 10.0, b=3, g=50)
    n0, g = 0.1, 50
    h, sent = normal(3, g, scheme.rx, scheme.tx, seed=1), normal(3, g, scheme.streams, seed=2)
    alone = scheme.precode(sent[1:2], h[1:2] if scheme.informed else None, n0, rng=[rng(11)])
    torch.testing.assert_close(alone, whole.antennas[1:2])
    observed = normal(3, g, scheme.span, scheme.rx, seed=6)
    both = scheme.detect(observed, h, torch.full((3, g), n0), n0)
    one = scheme.detect(observed[1:2], h[1:2], torch.full((1, g), n0), n0)
    torch.testing.assert_close(one.symbols, both.symbols[1:2])
    torch.testing.assert_close(one.n0, both.n0[1:2])


@pytest.mark.parametrize("name", SCHEMES)
def test_one_channel_for_all_groups_is_the_same_given_once(name: str) -> None:
    scheme, n0 = SCHEMES[name], 0.2
    h, sent = normal(2, 1, scheme.rx, scheme.tx, seed=1), normal(2, 30, scheme.streams, seed=2)
    every, observed = h.expand(2, 30, -1, -1), normal(2, 30, scheme.span, scheme.rx, seed=6)
    once = scheme.precode(sent, h, n0, rng=[rng(1), rng(2)])
    torch.testing.assert_close(once, scheme.precode(sent, every, n0, rng=[rng(1), rng(2)]))
    a = scheme.detect(observed, h, torch.full((2, 1), n0), n0)
    b = scheme.detect(observed, every, torch.full((2, 30), n0), n0)
    torch.testing.assert_close(a.symbols, b.symbols, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a.n0, b.n0, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(scheme.detect(observed, h, torch.full((2, 30), n0), n0).n0, b.n0, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SCHEMES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    scheme, n0, g = SCHEMES[name], 0.1, 3
    h, sent = (
        normal(1, g, *shape, seed=7).to(torch.complex128) for shape in ((scheme.rx, scheme.tx), (scheme.streams,))
    )
    noise = 0.1 * normal(1, g, scheme.span, scheme.rx, seed=8)
    weight = normal(1, g, scheme.streams, seed=9)

    def loss(symbols: Tensor) -> Tensor:
        antennas = scheme.precode(symbols, h, n0, rng=[rng(1)])
        observed = torch.einsum("bgrt,bgut->bgur", h, antennas) + noise
        found = scheme.detect(observed, h, torch.full((1, g), n0, dtype=torch.float64), n0)
        return (found.symbols * weight).real.square().sum()

    variable = sent.clone().requires_grad_()
    loss(variable).backward()
    direction = normal(1, g, scheme.streams, seed=10).to(torch.complex128)
    slope = (loss(sent + 1e-5 * direction) - loss(sent - 1e-5 * direction)).item() / 2e-5
    assert variable.grad is not None
    assert (variable.grad.conj() * direction).real.sum().item() == pytest.approx(slope, rel=1e-5)
    assert slope != 0


DEAD = ["zero", "rank one", "a dead column", "a dead row", "tiny"]


def broken(kind: str, rx: int, tx: int) -> Tensor:
    h = normal(1, 6, rx, tx, seed=11)
    if kind == "rank one":
        return h[..., :1] * normal(1, 6, 1, tx, seed=12)
    scale = {"zero": 0.0, "tiny": 1e-25}.get(kind, 1.0)
    if kind == "a dead column":
        h[..., 0] = 0
    if kind == "a dead row":
        h[:, :, 0] = 0
    return h * scale


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("kind", DEAD)
def test_channels_without_rank_or_gain_give_numbers(name: str, kind: str) -> None:
    scheme, n0 = SCHEMES[name], 1e-3
    h = broken(kind, scheme.rx, scheme.tx)
    sent = normal(1, 6, scheme.streams, seed=2)
    antennas = scheme.precode(sent, h, n0, rng=[rng(1)])
    observed = torch.einsum("bgrt,bgut->bgur", h, antennas) + math.sqrt(n0) * normal(
        1, 6, scheme.span, scheme.rx, seed=6
    )
    found = scheme.detect(observed, h, torch.full((1, 6), n0), n0)
    for values in (antennas, found.symbols, found.n0, found.n0 if found.bias is None else found.n0 / found.bias**2):
        assert torch.isfinite(torch.view_as_real(values) if values.is_complex() else values).all()
    assert (found.n0 > 0).all()
    erased = found.n0 == ERASED
    assert (found.symbols[erased] == 0).all()
    assert found.bias is None or (found.bias[erased] == 1).all()
    if kind in ("zero", "tiny"):
        assert erased.all()
    if kind in ("rank one", "a dead column") and scheme.equaliser == "zf" and scheme.streams > 1:
        assert torch.equal(erased.all(dim=1)[0], torch.arange(scheme.streams) < (99 if kind == "rank one" else 1))
    if not isinstance(scheme, Uplink | Multiplexing | Alamouti | Mrc):
        energy = antennas.abs().square().sum()
        assert energy > 0


def test_zero_forcing_erases_the_streams_that_are_not_told_apart_and_no_others() -> None:
    h = normal(1, 50, 4, 4, seed=13)
    h[..., 2] = 0.5 * h[..., 0]
    sent = normal(1, 50, 4, seed=2)
    scheme = Multiplexing(4, 4, "zf")
    observed = torch.einsum("bgrt,bgut->bgur", h, scheme.precode(sent, None, 0.1, rng=[rng()]))
    found = scheme.detect(observed, h, torch.full((1, 50), 1e-6), 1e-6)
    assert torch.equal(found.n0 == ERASED, torch.tensor([True, False, True, False]).expand(1, 50, 4))
    torch.testing.assert_close(found.symbols[..., 1::2], sent[..., 1::2], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("zero_forcing", [False, True])
@pytest.mark.parametrize(("rx", "tx"), [(1, 1), (4, 4), (5, 3), (8, 8)])
def test_compiled_filters_are_those_of_torch(rx: int, tx: int, zero_forcing: bool) -> None:
    h = normal(2, 100, rx, tx, seed=14).to(torch.complex128)
    noise = torch.rand(2, 100, dtype=torch.float64, generator=rng(15)) + 1e-3
    for ours, theirs in zip(
        linear_filters(h, noise, zero_forcing=zero_forcing), _linear_filters(h, noise, zero_forcing), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("rx", "tx"), [(4, 4), (2, 6), (6, 2), (8, 8), (12, 10)])
def test_gains_of_svd_streams_are_the_singular_values(rx: int, tx: int) -> None:
    h = normal(1, 300, rx, tx, seed=16)
    values, v = singular_vectors(h)
    torch.testing.assert_close(values, torch.linalg.svdvals(h), rtol=1e-5, atol=1e-5)
    identity = torch.eye(v.shape[-1], dtype=v.dtype)
    torch.testing.assert_close(v.mH @ v, identity.expand(1, 300, -1, -1), rtol=0, atol=1e-5)
    scheme = Svd(tx, rx, "equal")
    found = scheme.detect(normal(1, 300, 1, rx, seed=6), h, torch.full((1, 300), 0.1), 0.1)
    torch.testing.assert_close(1 / found.n0, torch.linalg.svdvals(h).square() / (0.1 * min(rx, tx)), rtol=1e-3, atol=0)
    # Without noise the streams come back as they were, at those gains and without one another.
    sent = normal(1, 300, min(rx, tx), seed=2)
    observed = torch.einsum("bgrt,bgut->bgur", h, scheme.precode(sent, h, 0.1, rng=[rng()]))
    again = scheme.detect(observed, h, torch.full((1, 300), 1e-12), 0.1)
    torch.testing.assert_close(again.symbols, sent, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("n0", [1e-6, 0.1, 3.0, 1e3])
def test_waterfilling_reaches_the_capacity_that_bisection_finds(n0: float) -> None:
    h = normal(1, 200, 4, 3, seed=17).to(torch.complex128)
    found = Svd(3, 4).detect(torch.zeros(1, 200, 1, 4, dtype=h.dtype), h, torch.full((1, 200), n0), n0)
    alive = found.n0 < ERASED
    rate = torch.where(alive, (1 + 1 / found.n0).log2(), 0.0).sum(dim=-1)[0]
    np.testing.assert_allclose(rate.numpy(), waterfilling_capacity(h[0].numpy(), n0), rtol=1e-5)


def test_water_by_hand() -> None:
    gains = torch.tensor([[4.0, 1.0], [0.0, 0.0], [1e-30, 0.0], [1.0, 1.0]])
    expected = [[0.875, 0.125], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]
    torch.testing.assert_close(fill_water(gains[:1], 1.0), torch.tensor(expected[:1]))
    torch.testing.assert_close(fill_water(gains[1:], 1e-3).sum(dim=-1), torch.ones(3))
    torch.testing.assert_close(fill_water(gains[:1], 4.0), torch.tensor([[1.0, 0.0]]))


def check_capacity(scheme: Scheme, expected: float, off_db: float) -> None:
    esno_db = 10.0
    found = send(scheme, esno_db + off_db, g=20_000).found
    rate = (1 + 1 / found.n0).log2().sum(dim=-1).flatten().double()
    assert abs(rate.mean().item() - expected) <= 4 * rate.std().item() / math.sqrt(rate.numel())


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Svd(4, 4, "equal"), ergodic_capacity(10.0, tx=4, rx=4)),
        (Svd(2, 3, "equal"), ergodic_capacity(10.0, tx=2, rx=3)),
        (Mrc(3), mrc_capacity(10.0, branches=3)),
        (Mrt(3), mrc_capacity(10.0, branches=3)),
    ],
)
def test_ergodic_capacity_of_the_simulated_channel_is_the_integral(scheme: Scheme, expected: float) -> None:
    """With equal power over as many streams as transmit antennas the streams' rates add up to log det."""
    check_capacity(scheme, float(expected), 0.0)
    for off_db in (-0.2, 0.2):
        with pytest.raises(AssertionError):
            check_capacity(scheme, float(expected), off_db)


def bit_errors(scheme: Scheme, esno_db: float, order: int, g: int) -> tuple[float, float]:
    """Bit error rate, and its standard error from the groups, which are independent."""
    qam = QAM(order)
    trial = send(scheme, esno_db, b=1, g=g, order=order)
    bias = 1.0 if trial.found.bias is None else trial.found.bias
    symbols, n0 = (trial.found.symbols / bias).reshape(1, -1), torch.full((1, g * scheme.streams), 1e-3)
    wrong = (qam.llr(symbols, n0) < 0) != (qam.llr(trial.sent.reshape(1, -1), n0) < 0)
    groups = wrong.reshape(g, -1).double().mean(dim=1)
    return groups.mean().item(), groups.std().item() / math.sqrt(g)


BIT_ERRORS = [
    (Alamouti(1), 4, 10.0, lambda db: alamouti_qam_ber(4, db, rx=1)),
    (Alamouti(2), 16, 10.0, lambda db: alamouti_qam_ber(16, db, rx=2)),
    (Mrc(2), 4, 8.0, lambda db: mrc_qam_ber(4, db, branches=2)),
    (Mrc(4), 16, 7.0, lambda db: mrc_qam_ber(16, db, branches=4)),
    (Mrt(3), 4, 4.0, lambda db: mrc_qam_ber(4, db, branches=3)),
    (Multiplexing(2, 2, "zf"), 4, 10.0, lambda db: zf_qam_ber(4, db, tx=2, rx=2)),
    (Multiplexing(2, 4, "zf"), 16, 10.0, lambda db: zf_qam_ber(16, db, tx=2, rx=4)),
]


@pytest.mark.parametrize(("scheme", "order", "esno_db", "theory"), BIT_ERRORS)
def test_bit_error_rates_are_on_the_closed_form(scheme: Scheme, order: int, esno_db: float, theory: object) -> None:
    rate, error = bit_errors(scheme, esno_db, order, 400_000 // scheme.streams)
    assert abs(rate - theory(esno_db)) <= 4 * error  # type: ignore[operator]
    for off_db in (-0.2, 0.2):
        assert abs(rate - theory(esno_db + off_db)) > 4 * error  # type: ignore[operator]


@pytest.mark.parametrize(
    ("scheme", "order", "low_db"),
    [(Alamouti(1), 2, 10.0), (Mrc(3), 3, 5.0), (Multiplexing(2, 2, "zf"), 1, 15.0), (Mrt(2), 2, 8.0)],
)
def test_diversity_order_by_slope(scheme: Scheme, order: int, low_db: float) -> None:
    """Measured with the outage of the SNR, P(SNR < s) ∝ s^L for small s: nothing of the modulation in it."""
    snr = 1 / send(scheme, 0.0, g=100_000).found.n0[..., 0].flatten().double()
    thresholds = torch.tensor([0.15, 0.3]) * 10 ** ((order - 1) / 10)
    outage = torch.stack([(snr < threshold).double().mean() for threshold in thresholds])
    slope = diversity_slope((-10 * thresholds.log10()).numpy(), outage.numpy())[0]
    assert abs(slope - order) < 0.35 * math.sqrt(order)
    assert min(abs(slope - other) for other in (order - 1, order + 1)) > abs(slope - order)


@pytest.mark.parametrize(("tx", "rx"), [(4, 4), (2, 4)])
def test_zero_forced_snr_has_its_distribution(tx: int, rx: int) -> None:
    scheme = Multiplexing(tx, rx, "zf")
    snr = 1 / send(scheme, 10.0, b=1, g=30_000).found.n0[0, :, 0].double().numpy()
    assert stats.kstest(snr, lambda s: zf_snr_cdf(s, 10.0, tx=tx, rx=rx)).pvalue > 1e-3
    assert stats.kstest(snr, lambda s: zf_snr_cdf(s, 10.2, tx=tx, rx=rx)).pvalue < 1e-3
    assert zf_diversity(tx=tx, rx=rx) == rx - tx + 1


@pytest.mark.parametrize("esno_db", [0.0, 10.0, 25.0])
def test_mmse_is_never_worse_than_zero_forcing(esno_db: float) -> None:
    zf, mmse = (send(Multiplexing(4, 4, name), esno_db).found for name in ("zf", "mmse"))  # type: ignore[arg-type]
    assert mmse.bias is not None
    assert (mmse.n0 / mmse.bias.square() <= zf.n0 * (1 + 1e-4)).all()
    trial = send(Multiplexing(4, 4), esno_db)
    error = (trial.found.symbols - trial.sent).abs().square().mean()
    assert error.item() == pytest.approx((1 - mmse.bias).mean().item(), rel=0.05)


def test_correlation_of_antennas_is_the_kronecker_product() -> None:
    rx, tx = exponential_correlation(3, 0.6 + 0.3j), exponential_correlation(2, 0.8)
    assert rx[0, 2] == (0.6 + 0.3j) ** 2
    assert rx[2, 0] == (0.6 - 0.3j) ** 2
    h = correlate(normal(200_000, 3, 2, seed=18), kronecker_root(rx), kronecker_root(tx)).reshape(-1, 6)
    measured = torch.einsum("ni,nj->ij", h, h.conj()) / len(h)
    torch.testing.assert_close(measured, torch.kron(rx, tx).to(torch.complex64), rtol=0, atol=4 / math.sqrt(len(h)))
    torch.testing.assert_close(
        kronecker_root(torch.ones(2, 2, dtype=torch.complex64)).real, torch.full((2, 2), 0.5**0.5, dtype=torch.float64)
    )


def test_correlated_antennas_lose_capacity() -> None:
    scheme, n0 = Svd(4, 4, "equal"), 0.1
    white = normal(1, 2000, 4, 4, seed=19)
    rates = []
    for rho in (0.0, 0.7, 1.0):
        root = kronecker_root(exponential_correlation(4, rho))
        h = correlate(white, root, root)
        found = scheme.detect(torch.zeros(1, 2000, 1, 4, dtype=h.dtype), h, torch.full((1, 2000), n0), n0)
        rates.append((1 + 1 / found.n0).log2().sum(dim=-1).mean().item())
    assert rates[0] > rates[1] + 1 > rates[2] + 2


def test_whole_frames_pass_with_padding() -> None:
    for name, scheme in SCHEMES.items():
        symbols, h = normal(2, 13, seed=20), normal(2, -(-13 // scheme.streams), scheme.rx, scheme.tx, seed=21)
        sent = to_antennas(symbols, scheme, h, 1e-6, rng=[rng(1), rng(2)])
        assert sent.shape == (2, -(-13 // scheme.streams) * scheme.span, scheme.tx), name
        each = h.repeat_interleave(scheme.span, dim=1)
        got = from_antennas((each @ sent[..., None])[..., 0], scheme, h, torch.full(h.shape[:2], 1e-6), 1e-6, 13)
        assert got.symbols.shape == got.n0.shape == (2, 13), name


def test_k_best_hands_on_what_the_antennas_received() -> None:
    trial = send(Multiplexing(2, 3, "k-best", width=7), 10.0, g=5)
    spatial = trial.found.spatial
    assert spatial is not None
    assert spatial.width == 7
    torch.testing.assert_close(spatial.h, trial.h * 0.5**0.5)
    plain = Multiplexing(2, 3).detect(spatial.observed[:, :, None], trial.h, spatial.n0, 0.1)
    torch.testing.assert_close(trial.found.symbols, plain.symbols)
    assert replace(trial.found, spatial=None).spatial is plain.spatial


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Multiplexing(4, 3, "zf"), "tx=4"),
        (lambda: Multiplexing(4, 4, "ml"), "mmse, zf, k-best"),  # type: ignore[arg-type]
        (lambda: Multiplexing(0, 4), "tx=0"),
        (lambda: Multiplexing(2, 2, "k-best", width=0), "width=0"),
        (lambda: Svd(2, 3, streams=3), "streams=3"),
        (lambda: Svd(2, 3, "most"), "water-filling, equal"),  # type: ignore[arg-type]
        (lambda: Svd(2, 3).precode(normal(1, 1, 2, seed=0), None, 0.1, rng=[rng()]), "h=None"),
        (lambda: Mrt(2).precode(normal(1, 1, 1, seed=0), None, 0.1, rng=[rng()]), "h=None"),
        (lambda: Alamouti(0), "rx=0"),
        (lambda: Mrc(300), "rx=300"),
        (lambda: exponential_correlation(3, 1.1), "rho=1.1"),
        (lambda: kronecker_root(2 * torch.eye(2, dtype=torch.complex64)), "diagonal"),
        (lambda: kronecker_root(torch.tensor([[1, 2], [2, 1 + 0j]])), "eigenvalue -1"),
        (lambda: kronecker_root(torch.tensor([[1, 0.5], [0.2, 1 + 0j]])), "Hermitian"),
    ],
)
def test_bad_options_name_the_value_and_what_is_allowed(make: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()  # type: ignore[operator]
