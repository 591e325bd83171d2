"""Labelled points of any kind: energy, labels, exact LLRs, and error rates on their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfc, logsumexp
from torch import Tensor

from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.link import esno_to_n0
from semlink.phy.modulation import APSK_RADII, Constellation, Mapper, Modulation, apsk, bpsk, pi2_bpsk, psk

Z = 4.5
SHIPPED = {
    "bpsk": bpsk(),
    "pi2bpsk": pi2_bpsk(),
    "8psk": psk(8),
    "16psk": psk(16),
    **{f"{order}apsk-{rate}": apsk(order, rate) for order, rates in APSK_RADII.items() for rate in rates},
}


def random_bits(symbols: int, points: Mapper, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (1, symbols * points.bits_per_symbol), generator=rng, dtype=torch.uint8)


def received(points: Mapper, bits: Tensor, esno_db: float) -> tuple[Tensor, Tensor]:
    got = AWGN()(points.map(bits), esno_to_n0(esno_db), rng=torch.Generator().manual_seed(1))
    return got.symbols, got.n0


@pytest.mark.parametrize("points", SHIPPED.values(), ids=SHIPPED)
def test_points_have_unit_energy_and_each_label_once(points: Modulation) -> None:
    assert isinstance(points, Mapper)
    assert isinstance(points, Constellation)
    assert np.mean(np.abs(points.points) ** 2) == pytest.approx(1, abs=1e-12)
    assert len({tuple(label) for label in points.labels}) == 1 << points.bits_per_symbol


@pytest.mark.parametrize("points", SHIPPED.values(), ids=SHIPPED)
def test_bits_come_back_where_hardly_any_noise_is(points: Modulation) -> None:
    bits = random_bits(4000, points)
    symbols, n0 = received(points, bits, 40.0)
    assert torch.equal(points.llr(symbols, n0) < 0, bits == 1)


@pytest.mark.parametrize("name", ["8psk", "16psk"])
def test_neighbours_on_the_circle_differ_in_one_bit(name: str) -> None:
    labels = SHIPPED[name].labels.astype(int)
    assert (np.abs(labels - np.roll(labels, 1, axis=0)).sum(axis=1) == 1).all()


@pytest.mark.parametrize("order", APSK_RADII)
def test_rings_of_apsk_are_the_standards(order: int) -> None:
    for rate, radii in APSK_RADII[order].items():
        size = np.abs(apsk(order, rate).points)
        rings, counts = np.unique((size / size.min()).round(6), return_counts=True)
        assert rings == pytest.approx([1, *radii])
        assert counts.tolist() == ([4, 12] if order == 16 else [4, 12, 16])
    labels, points = apsk(order, "3/4").labels.astype(int), apsk(order, "3/4").points
    for ring in np.unique(np.abs(points).round(6)):  # on each ring, neighbours in phase differ in one bit
        on = np.flatnonzero(np.abs(np.abs(points) - ring) < 1e-5)
        turn = labels[on[np.argsort(np.angle(points[on]))]]
        differ = np.abs(turn - np.roll(turn, 1, axis=0)).sum(axis=1)
        # The outer ring of 32-APSK is Gray but for the standard's own exceptions.
        assert (differ == 1).mean() >= (1.0 if len(on) < 16 else 0.5)


@pytest.mark.parametrize("name", ["bpsk", "pi2bpsk"])
def test_binary_keying_has_the_closed_form_of_its_error_rate(name: str) -> None:
    points, esno_db, symbols = SHIPPED[name], 4.0, 200_000
    bits = random_bits(symbols, points)
    symbols_got, n0 = received(points, bits, esno_db)
    errors = int(((points.llr(symbols_got, n0) < 0) != (bits == 1)).sum())

    def off(level: float) -> float:
        expected = symbols * 0.5 * erfc(math.sqrt(10 ** (level / 10)))
        return abs(errors - expected) / math.sqrt(expected)

    assert off(esno_db) < Z
    assert off(esno_db - 0.2) > Z  # 0.2 dB would be caught


def test_every_other_symbol_of_pi2_bpsk_is_a_quarter_turn_on() -> None:
    """TS 38.211 clause 5.1.1: d(i) = exp(jπ/2 (i mod 2)) ((1 - 2b) + j(1 - 2b)) / √2."""
    got = pi2_bpsk().map(torch.tensor([[0, 0, 1, 1]]))[0].numpy()
    assert got == pytest.approx(np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j]) / math.sqrt(2), abs=1e-6)


def symbol_errors(points: Modulation, esno_db: float, symbols: int) -> int:
    bits = random_bits(symbols, points)
    got, _ = received(points, bits, esno_db)
    sent = points.map(bits)[0].numpy()
    nearest = points.points[np.abs(got[0].numpy()[:, None] - points.points).argmin(axis=1)]
    return int((np.abs(nearest - sent) > 1e-3).sum())


@pytest.mark.parametrize(("order", "esno_db"), [(8, 10.0), (16, 15.0)])
def test_psk_has_the_symbol_error_rate_of_craigs_integral(order: int, esno_db: float) -> None:
    """J. W. Craig, MILCOM 1991, eq. (13): 1/π ∫ exp(-γ sin²(π/M) / sin²θ) dθ from 0 to (M - 1)π/M."""
    symbols = 100_000

    def expected(level: float) -> float:
        gain = 10 ** (level / 10) * math.sin(math.pi / order) ** 2
        whole, _ = quad(lambda t: math.exp(-gain / math.sin(t) ** 2), 1e-9, (order - 1) * math.pi / order)
        return symbols * whole / math.pi

    errors = symbol_errors(psk(order), esno_db, symbols)
    assert abs(errors - expected(esno_db)) < Z * math.sqrt(expected(esno_db))
    assert abs(errors - expected(esno_db - 0.2)) > Z * math.sqrt(expected(esno_db))


@pytest.mark.parametrize(("order", "rate", "esno_db"), [(16, "2/3", 12.0), (32, "9/10", 15.0)])
def test_apsk_has_the_symbol_error_rate_of_its_decision_regions(order: int, rate: str, esno_db: float) -> None:
    """The noise's density, integrated on a grid over each point's own region."""
    points, symbols = apsk(order, rate), 200_000

    def expected(level: float) -> float:
        deviation = math.sqrt(10 ** (-level / 10) / 2)
        grid = np.linspace(-5, 5, 201)
        noise = (grid[:, None] + 1j * grid).reshape(-1)
        weight = np.exp(-(np.abs(noise) ** 2) / 2)
        right = 0.0
        for i, point in enumerate(points.points):
            at = point + deviation * noise
            own = np.abs(at[:, None] - points.points).argmin(axis=1) == i
            right += float(weight[own].sum() / weight.sum()) / order
        return symbols * (1 - right)

    errors = symbol_errors(points, esno_db, symbols)
    assert abs(errors - expected(esno_db)) < Z * math.sqrt(expected(esno_db))
    assert abs(errors - expected(esno_db - 0.2)) > Z * math.sqrt(expected(esno_db))


@pytest.mark.parametrize("name", ["8psk", "32apsk-3/4"])
def test_llrs_are_the_exact_sums(name: str) -> None:
    points = SHIPPED[name]
    symbols, n0 = received(points, random_bits(500, points), 6.0)
    metric = -(np.abs(symbols[0].numpy()[:, None] - points.points) ** 2) / n0[0].numpy()[:, None]
    for bit in range(points.bits_per_symbol):
        ones = points.labels[:, bit] == 1
        exact = logsumexp(metric[:, ~ones], axis=1) - logsumexp(metric[:, ones], axis=1)
        got = points.llr(symbols, n0).reshape(-1, points.bits_per_symbol)[:, bit].numpy()
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


def test_qam_as_points_is_qam_itself() -> None:
    """All labels of 16-QAM as a table of points: the same symbols and the same LLRs as its own demapper."""
    qam = QAM(16)
    labels = (torch.arange(16)[:, None] >> torch.arange(3, -1, -1) & 1).to(torch.uint8)
    points = Modulation(qam.map(labels)[:, 0].numpy(), labels.numpy())
    bits = random_bits(1000, points)
    assert torch.equal(points.map(bits), qam.map(bits))
    symbols, n0 = received(points, bits, 8.0)
    torch.testing.assert_close(points.llr(symbols, n0), qam.llr(symbols, n0), rtol=1e-4, atol=1e-4)


def test_llrs_stay_finite_whatever_arrives() -> None:
    wild = torch.tensor([[complex(math.inf, 0), complex(math.nan, 1), 0j, 1e30 + 0j]])
    for n0 in (0.0, 1e-30, math.inf, math.nan):
        assert bool(psk(8).llr(wild, torch.full((1, 4), n0)).isfinite().all())


@pytest.mark.parametrize(
    ("points", "labels", "words"),
    [
        ([2, -2], None, r"mean energy is 4 \(\+6.02 dB\); it must be 1: divide them by 2"),
        ([1, 1j, -1], None, r"points has shape \(3,\)"),
        ([1], None, r"points has shape \(1,\)"),
        ([math.nan, 1], None, "no finite numbers"),
        ([1, -1], [[0], [0]], "two points have the same one"),
        ([1, -1], [[0, 1], [1, 0]], r"labels has shape \(2, 2\); it must be \(2, 1\)"),
    ],
)
def test_what_is_no_constellation_is_refused(points: list[complex], labels: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Modulation(points, labels)


def test_what_the_standards_do_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"16apsk: rate 1/2 must be one of: 2/3, 3/4, 4/5, 5/6, 8/9, 9/10"):
        apsk(16, "1/2")
    with pytest.raises(ValueError, match="order=64 must be one of: 16, 32"):
        apsk(64, "3/4")
    with pytest.raises(ValueError, match="order=12 must be a power of two"):
        psk(12)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 4\); it must be \(b, n·3\) for 8 points"):
        psk(8).map(torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"must both be \(b, n\)"):
        psk(8).llr(torch.zeros(1, 4, dtype=torch.complex64), torch.ones(1, 3))
