"""Gray QAM against closed forms, the formulas of the standard, and two other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfc
from torch import Tensor

from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.constellation import ORDERS, QAM
from semlink.phy.link import Channel, esno_to_n0
from semlink.phy.mimo import Equaliser
from semlink.phy.theory import qam_ber_awgn, qam_ber_rayleigh

Z = 4.5  # standard errors: one false alarm in 150,000
OFF_DB = 0.2  # the error that must be caught


def random_bits(symbols: int, order: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (1, symbols * QAM(order).bits_per_symbol), generator=rng).float()


def standard_point(bits: tuple[int, ...]) -> complex:
    """TS 38.211 clauses 5.1.3 to 5.1.7, written out."""
    s = [1 - 2 * b for b in bits]
    match len(bits):
        case 2:
            return complex(s[0], s[1]) / math.sqrt(2)
        case 4:
            return complex(s[0] * (2 - s[2]), s[1] * (2 - s[3])) / math.sqrt(10)
        case 6:
            return complex(s[0] * (4 - s[2] * (2 - s[4])), s[1] * (4 - s[3] * (2 - s[5]))) / math.sqrt(42)
        case 8:
            real = s[0] * (8 - s[2] * (4 - s[4] * (2 - s[6])))
            return complex(real, s[1] * (8 - s[3] * (4 - s[5] * (2 - s[7])))) / math.sqrt(170)
    real = s[0] * (16 - s[2] * (8 - s[4] * (4 - s[6] * (2 - s[8]))))
    return complex(real, s[1] * (16 - s[3] * (8 - s[5] * (4 - s[7] * (2 - s[9]))))) / math.sqrt(682)


def all_labels(order: int) -> Tensor:
    m = QAM(order).bits_per_symbol
    return torch.tensor([[(label >> (m - 1 - i)) & 1 for i in range(m)] for label in range(order)])


@pytest.mark.parametrize("order", ORDERS)
def test_points_are_those_of_the_standard(order: int) -> None:
    labels = all_labels(order)
    points = QAM(order).map(labels)[:, 0]
    expected = torch.tensor([standard_point(tuple(row)) for row in labels.tolist()])
    torch.testing.assert_close(points, expected)
    assert points.dtype == torch.complex64
    assert float(points.abs().square().mean()) == pytest.approx(1.0, abs=1e-6)


def assert_ber(order: int, channel: Channel, esno_db: float, expected: float, symbols: int) -> None:
    """Hard decisions through `channel` at `esno_db` have the bit error rate `expected`, within Z standard errors."""
    qam, bits = QAM(order), random_bits(symbols, order, seed=order)
    received = channel(qam.map(bits), esno_to_n0(esno_db), rng=torch.Generator().manual_seed(order + 1)).unbiased()
    wrong = (qam.llr(received.symbols, received.n0) < 0) != bits.bool()
    # The bits of a symbol share their noise, so the standard error is taken over symbols.
    per_symbol = wrong.reshape(symbols, -1).double().mean(dim=1)
    standard_error = float(per_symbol.std()) / math.sqrt(symbols)
    assert abs(float(per_symbol.mean()) - expected) < Z * standard_error


# (order, Es/N0 in dB, symbols): as many that an error of 0.2 dB is at least 2 Z standard errors.
AWGN_POINTS = [(4, 7.0, 200_000), (16, 14.0, 140_000), (64, 20.0, 110_000), (256, 26.0, 100_000)]


@pytest.mark.parametrize(("order", "esno_db", "symbols"), AWGN_POINTS)
def test_ber_on_awgn_is_the_closed_form(order: int, esno_db: float, symbols: int) -> None:
    assert_ber(order, AWGN(), esno_db, float(qam_ber_awgn(order, esno_db)), symbols)


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize(("order", "esno_db", "symbols"), AWGN_POINTS)
def test_ber_on_awgn_catches_a_fifth_of_a_decibel(order: int, esno_db: float, symbols: int, off_db: float) -> None:
    with pytest.raises(AssertionError):
        assert_ber(order, AWGN(), esno_db + off_db, float(qam_ber_awgn(order, esno_db)), symbols)


RAYLEIGH_POINTS = [(4, 8.0, 500_000), (16, 12.0, 260_000), (64, 18.0, 230_000), (256, 22.0, 190_000)]


@pytest.mark.parametrize("equaliser", ["zf", "mmse"])
@pytest.mark.parametrize(("order", "esno_db", "symbols"), RAYLEIGH_POINTS)
def test_ber_on_rayleigh_is_the_closed_form(order: int, esno_db: float, symbols: int, equaliser: Equaliser) -> None:
    channel = Rayleigh(coherence="fast", equaliser=equaliser)
    assert_ber(order, channel, esno_db, float(qam_ber_rayleigh(order, esno_db)), symbols)


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize(("order", "esno_db", "symbols"), RAYLEIGH_POINTS)
def test_ber_on_rayleigh_catches_a_fifth_of_a_decibel(order: int, esno_db: float, symbols: int, off_db: float) -> None:
    expected = float(qam_ber_rayleigh(order, esno_db))
    with pytest.raises(AssertionError):
        assert_ber(order, Rayleigh(coherence="fast"), esno_db + off_db, expected, symbols)


def test_theory_of_4_and_16_qam_is_the_textbook_one() -> None:
    esno_db = np.linspace(-5, 20, 6)
    esno = 10 ** (esno_db / 10)
    q = [0.5 * erfc(np.sqrt(a * a * esno / 10)) for a in (1, 3, 5)]
    np.testing.assert_allclose(qam_ber_awgn(4, esno_db), 0.5 * erfc(np.sqrt(esno / 2)), rtol=1e-12)
    np.testing.assert_allclose(qam_ber_awgn(16, esno_db), 0.75 * q[0] + 0.5 * q[1] - 0.25 * q[2], rtol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_theory_on_rayleigh_is_the_mean_over_the_gain(order: int) -> None:
    esno_db = 15.0

    def weighted(power: float) -> float:
        return float(qam_ber_awgn(order, esno_db + 10 * math.log10(power))) * math.exp(-power)

    mean = quad(weighted, 1e-12, 0.1, limit=200)[0] + quad(weighted, 0.1, 40, limit=200)[0]
    assert float(qam_ber_rayleigh(order, esno_db)) == pytest.approx(mean, rel=1e-6)


@pytest.mark.filterwarnings("ignore")  # of commpy's import
@pytest.mark.parametrize(("order", "esno_db"), [(4, 5.0), (16, 12.0)])
def test_theory_agrees_with_commpy(order: int, esno_db: float) -> None:
    """CommPy 0.8 labels the axes otherwise, Gray all the same, so the bit error rate is one number."""
    from commpy.modulation import QAMModem

    modem, rng, symbols = QAMModem(order), np.random.default_rng(order), 20_000
    bits = rng.integers(0, 2, symbols * modem.num_bits_symbol)
    noise = rng.standard_normal((2, symbols)) * math.sqrt(modem.Es * esno_to_n0(esno_db) / 2)
    decided = modem.demodulate(modem.modulate(bits) + noise[0] + 1j * noise[1], "hard")
    per_symbol = (decided != bits).reshape(symbols, -1).mean(axis=1)
    standard_error = per_symbol.std() / math.sqrt(symbols)
    assert abs(per_symbol.mean() - float(qam_ber_awgn(order, esno_db))) < Z * standard_error


def test_llr_of_4_qam_is_the_closed_form() -> None:
    """log P(0)/P(1) = 2 sqrt(2) Re(y) / N0 of the first bit and Im(y) of the second."""
    symbols = torch.randn(3, 50, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    n0 = torch.rand(3, 50, generator=torch.Generator().manual_seed(1)) + 0.05
    expected = 2 * math.sqrt(2) * torch.view_as_real(symbols) / n0[..., None]
    torch.testing.assert_close(QAM(4).llr(symbols, n0), expected.flatten(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ORDERS)
def test_llr_is_minus_that_of_sionna_over_all_points(order: int) -> None:
    from sionna.phy.mapping import Demapper

    qam, bits = QAM(order), random_bits(200, order)
    n0 = torch.linspace(0.01, 1.0, 200)[None]
    noise = torch.randn(1, 200, dtype=torch.complex64, generator=torch.Generator().manual_seed(19))
    symbols = qam.map(bits) + n0.sqrt() * noise
    found, theirs = qam.llr(symbols, n0), -Demapper("app", "qam", qam.bits_per_symbol, device="cpu")(symbols, n0)
    near = theirs.abs() < 68
    torch.testing.assert_close(found[near], theirs[near], rtol=1e-3, atol=1e-3)
    # Beyond, the likelier point of each kind stands for all: of two that are equally near, ln 2 is lost.
    torch.testing.assert_close(found[~near], theirs[~near], rtol=1e-3, atol=math.log(2))
    assert order == 4 or bool((~near).any())


@pytest.mark.parametrize("order", ORDERS)
def test_noiseless_signs_are_the_bits(order: int) -> None:
    labels = all_labels(order)
    symbols = QAM(order).map(labels)
    for n0 in (1e-3, 1e-6, 0.0):
        assert torch.equal(QAM(order).llr(symbols, torch.full(symbols.shape, n0)) < 0, labels.bool())


@pytest.mark.parametrize("order", ORDERS)
def test_llr_stays_finite_at_any_noise(order: int) -> None:
    n0 = torch.tensor([[0.0, 1e-38, 1e-12, 1.0, 1e12, 1e30, float("inf")]])
    for size in (0.0, 1.0, 1e6, 1e15, 1e30):
        llr = QAM(order).llr(torch.full(n0.shape, size + 1j * size, dtype=torch.complex64), n0)
        assert bool(llr.isfinite().all())
    erased = QAM(order).llr(torch.ones(1, 1, dtype=torch.complex64), torch.full((1, 1), 1e30))
    assert float(erased.abs().max()) < 1e-6


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"order=8 must be one of: 4, 16, 64, 256"):
        QAM(8)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 5\); it must be \(b, n·4\) for 16-QAM"):
        QAM(16).map(torch.zeros(1, 5))
    with pytest.raises(ValueError, match=r"symbols \(1, 5\) and n0 \(1, 1\) must both be \(b, n\)"):
        QAM(16).llr(torch.zeros(1, 5, dtype=torch.complex64), torch.ones(1, 1))
    with pytest.raises(ValueError, match="order=8 must be an even power of two"):
        qam_ber_awgn(8, 0.0)
