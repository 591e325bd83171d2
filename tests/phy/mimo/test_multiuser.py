"""Trust tests of the uplink and the downlink; noise variance, energy, batches and gradients are in test_schemes.py."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semlink.phy.constellation import QAM
from semlink.phy.link import ERASED
from semlink.phy.mimo import Downlink, Scheme, Uplink
from semlink.phy.mimo.sic import cancel
from semlink.phy.mimo.spatial import Detected
from semlink.phy.mimo.theory import zf_qam_ber


@pytest.fixture
def send(rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Detected]]:
    """QPSK of user 0, and what is found, with a noise that is `off_db` weaker than the receiver believes."""

    def transmit(scheme: Scheme, esno_db: float, *, g: int = 40_000, off_db: float = 0.0) -> tuple[Tensor, Detected]:
        n0 = 10 ** (-esno_db / 10)
        h = normal(1, g, scheme.rx, scheme.tx, seed=1)
        sent = QAM(4).map(torch.randint(2, (1, 2 * g), generator=rng(2)))[..., None]
        antennas = scheme.precode(sent, h if scheme.informed else None, n0, rng=[rng(3)])
        noise = normal(1, g, 1, scheme.rx, seed=4) * math.sqrt(n0 * 10 ** (-off_db / 10))
        observed = (h @ antennas.mT).mT + noise
        return sent, scheme.detect(observed, h, torch.full((1, g), n0), n0)

    return transmit


@pytest.fixture
def error_rate(send: Callable[..., tuple[Tensor, Detected]]) -> Callable[..., tuple[float, float]]:
    def measure(scheme: Scheme, esno_db: float) -> tuple[float, float]:
        sent, found = send(scheme, esno_db)
        signs = torch.view_as_real(sent) * torch.view_as_real(found.symbols)
        wrong = (signs < 0).double().mean(dim=-1).flatten()
        return wrong.mean().item(), wrong.std().item() / math.sqrt(len(wrong))

    return measure


@pytest.mark.parametrize(("users", "rx"), [(3, 3), (2, 4)])
def test_a_zero_forced_uplink_is_on_the_closed_form(
    users: int, rx: int, error_rate: Callable[..., tuple[float, float]]
) -> None:
    """Each user has energy 1: that of tx = users streams at users times the Es/N0."""
    rate, error = error_rate(Uplink(users, rx), 5.0)
    shift = 10 * math.log10(users)
    assert abs(rate - zf_qam_ber(4, 5.0 + shift, tx=users, rx=rx)) <= 4 * error
    off = [abs(rate - zf_qam_ber(4, 5.0 + shift + db, tx=users, rx=rx)) for db in (-0.5, 0.5)]
    assert min(off) > 4 * error


@pytest.mark.parametrize("esno_db", [5.0, 10.0, 15.0])
def test_cancellation_beats_mmse_and_mmse_beats_zero_forcing(
    esno_db: float, error_rate: Callable[..., tuple[float, float]]
) -> None:
    (sic, e1), (mmse, e2), (zf, e3) = (
        error_rate(Uplink(3, 3, name), esno_db)
        for name in ("sic", "mmse", "zf")  # type: ignore[arg-type]
    )
    assert sic < mmse - 4 * math.hypot(e1, e2)
    assert mmse < zf - 4 * math.hypot(e2, e3) or esno_db > 10
    assert mmse < zf


@pytest.fixture
def check_sic(send: Callable[..., tuple[Tensor, Detected]]) -> Callable[..., None]:
    def run(users: int, rx: int, esno_db: float, off_db: float) -> None:
        sent, found = send(Uplink(users, rx, "sic"), esno_db, off_db=off_db, g=60_000)
        assert found.bias is not None
        ratio = ((found.symbols - found.bias * sent).abs().square() / found.n0).double()
        # What wrong decisions do is worked out with Gaussian errors; interference of a few users has others: 1 % more.
        assert abs(ratio.mean().item() - 1) <= 4 * ratio.std().item() / math.sqrt(ratio.numel()) + 0.01

    return run


@pytest.mark.parametrize(("users", "rx"), [(2, 2), (3, 3), (3, 8), (4, 4)])
def test_noise_after_cancellation_is_the_measured_one_where_decisions_are_often_wrong(
    users: int, rx: int, check_sic: Callable[..., None]
) -> None:
    for esno_db in (0.0, 5.0, 10.0):
        check_sic(users, rx, esno_db, 0.0)


@pytest.mark.parametrize("off_db", [-0.3, 0.3])
def test_noise_after_cancellation_off_by_little_is_caught(off_db: float, check_sic: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        check_sic(3, 8, 5.0, off_db)


def test_wrong_decisions_propagate_and_are_accounted_for(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    """Groups in which a stronger user was decided wrongly have more error than the filters alone would leave."""
    n0, g = 0.2, 50_000
    h, noise = normal(1, g, 3, 3, seed=1), math.sqrt(n0) * normal(1, g, 3, seed=4)
    sent = QAM(4).map(torch.randint(2, (1, 6 * g), generator=rng(2))).reshape(1, g, 3)
    plan = cancel((h @ sent[..., None])[..., 0] + noise, h, torch.full((1, g), n0))
    observed = (h @ sent[..., None])[..., 0] + noise
    error = ((plan.w * observed).sum(dim=-1) - plan.offset - plan.bias * sent[..., 0]).abs().square()
    # The offset of right decisions is what the filter makes of the users that were subtracted.
    behind = plan.w[..., None, :] @ h
    right = torch.zeros(1, g, dtype=torch.bool)
    for mask in ((0, 0), (1, 0), (0, 1), (1, 1)):
        foreign = (behind[..., 0, 1:] * sent[..., 1:] * torch.tensor(mask)).sum(dim=-1)
        right |= (plan.offset - foreign).abs() < 1e-4
    assert 0.005 < (~right).double().mean() < 0.5
    assert error[~right].mean() > 2 * error[right].mean()


def test_cancellation_of_right_decisions_leaves_user_0_alone(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h, n0 = normal(1, 500, 4, 3, seed=5), 1e-9
    scheme = Uplink(3, 4, "sic")
    sent = normal(1, 500, 1, seed=6)
    observed = (h @ scheme.precode(sent, None, n0, rng=[rng(7)]).mT).mT
    found = scheme.detect(observed, h, torch.full((1, 500), n0), n0)
    torch.testing.assert_close(found.symbols, sent, rtol=1e-3, atol=1e-3)
    # What is left is the noise alone where user 0 came last, and never more than zero-forcing leaves.
    zf = Uplink(3, 4).detect(observed, h, torch.full((1, 500), n0), n0)
    assert (found.n0 <= zf.n0 * 1.001).all()
    assert found.n0.mean() < 0.9 * zf.n0.mean()


def test_one_user_alone_is_maximum_ratio_combining(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h, observed, noise = normal(1, 50, 4, 1, seed=8), normal(1, 50, 1, 4, seed=9), torch.full((1, 50), 0.1)
    combined = (h.conj()[..., 0] * observed[:, :, 0]).sum(dim=-1) / h.abs().square().sum(dim=(-2, -1))
    for detector in ("zf", "mmse", "sic"):
        found = Uplink(1, 4, detector).detect(observed, h, noise, 0.1)  # type: ignore[arg-type]
        symbols = found.symbols if found.bias is None else found.symbols / found.bias
        torch.testing.assert_close(symbols[..., 0], combined, rtol=1e-4, atol=1e-5)
        assert Uplink(1, 4).precode(observed[..., :1, 0], None, 0.1, rng=[rng()]).shape == (1, 50, 1, 1)


def test_other_users_send_qpsk_that_does_not_depend_on_the_symbols(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    scheme = Uplink(4, 4)
    first, second = (scheme.precode(normal(2, 500, 1, seed=s), None, 0.1, rng=[rng(1), rng(2)]) for s in (1, 2))
    assert torch.equal(first[..., 1:], second[..., 1:])
    torch.testing.assert_close(first[..., 1:].abs(), torch.ones(2, 500, 1, 3))
    points, counts = torch.unique(torch.view_as_real(first[..., 1:]).reshape(-1, 2), dim=0, return_counts=True)
    assert len(points) == 4
    assert ((counts - 750).abs() < 4 * math.sqrt(3000 * 3 / 16)).all()
    assert not torch.equal(first[0, :, 0, 1], first[1, :, 0, 1])


def test_a_zero_forcing_downlink_reaches_user_0_without_interference(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    scheme, h = Downlink(3, 5, "zf"), normal(1, 200, 3, 5, seed=10)
    sent = normal(1, 200, 1, seed=11)
    observed = (h @ scheme.precode(sent, h, 0.1, rng=[rng(1)]).mT).mT
    found = scheme.detect(observed, h, torch.full((1, 200), 0.1), 0.1)
    torch.testing.assert_close(found.symbols, sent, rtol=1e-3, atol=1e-3)
    inverse = torch.linalg.pinv(h).abs().square().sum(dim=(-2, -1))
    torch.testing.assert_close(found.n0[..., 0], 0.1 * inverse, rtol=1e-3, atol=0)


@pytest.mark.parametrize("esno_db", [-5.0, 10.0, 30.0])
def test_regularised_zero_forcing_is_between_and_above_the_two_it_joins(
    esno_db: float, send: Callable[..., tuple[Tensor, Detected]]
) -> None:
    """As many users as antennas, where the inverse is at its worst; at high Es/N0 the two become one."""
    rate = {
        name: (1 + 1 / send(Downlink(4, 4, name), esno_db)[1].n0).log2().mean().item()  # type: ignore[arg-type]
        for name in ("mrt", "zf", "rzf")
    }
    assert rate["rzf"] > rate["zf"]
    assert rate["rzf"] > rate["mrt"] - 0.01 or esno_db < 0
    assert (rate["zf"] > rate["mrt"]) == (esno_db > 0)


def test_large_arrays_make_channels_orthogonal(normal: Callable[..., Tensor]) -> None:
    """With antennas ≫ users the interference of maximum-ratio transmission vanishes against its gain, tx / users."""
    h, n0 = normal(1, 500, 4, 256, seed=12), 1e-6
    found = Downlink(4, 256, "mrt").detect(normal(1, 500, 1, 4, seed=13), h, torch.full((1, 500), n0), n0)
    assert found.n0.mean().item() == pytest.approx(3 / 256, rel=0.1)  # three users, each 1/256 of the gain squared
    found = Downlink(4, 256, "zf").detect(normal(1, 500, 1, 4, seed=13), h, torch.full((1, 500), n0), n0)
    assert found.n0.mean().item() == pytest.approx(4 * n0 / (256 - 4), rel=0.02)


def test_more_users_than_antennas(send: Callable[..., tuple[Tensor, Detected]]) -> None:
    for detector in ("mmse", "sic"):
        _, found = send(Uplink(5, 3, detector), 10.0, g=200)  # type: ignore[arg-type]
        assert torch.isfinite(found.n0).all()
        assert (found.n0 < ERASED).all()
    for precoder in ("mrt", "rzf"):
        _, found = send(Downlink(5, 3, precoder), 10.0, g=200)  # type: ignore[arg-type]
        assert (found.n0 < ERASED).all()


def test_a_user_that_cannot_be_reached_is_erased_and_the_others_get_the_energy(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h = normal(1, 20, 3, 4, seed=14)
    h[:, :, 0] = 0
    scheme, sent = Downlink(3, 4, "zf"), normal(1, 20, 1, seed=15)
    antennas = scheme.precode(sent, h, 0.1, rng=[rng()])
    assert torch.equal(antennas, scheme.precode(2 * sent, h, 0.1, rng=[rng()]))
    assert (scheme.detect(normal(1, 20, 1, 3, seed=16), h, torch.full((1, 20), 0.1), 0.1).n0 == ERASED).all()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Uplink(4, 3), "users=4 on rx=3"),
        (lambda: Uplink(4, 4, "ml"), "zf, mmse, sic"),  # type: ignore[arg-type]
        (lambda: Uplink(0, 4), "users=0"),
        (lambda: Uplink(2, 0), "rx=0"),
        (lambda: Downlink(4, 3, "zf"), "users=4 from tx=3"),
        (lambda: Downlink(4, 4, "dpc"), "mrt, zf, rzf"),  # type: ignore[arg-type]
        (lambda: Downlink(2, 2).precode(torch.ones(1, 1, 1) + 0j, None, 0.1, rng=[torch.Generator()]), "h=None"),
    ],
)
def test_bad_options_name_the_value_and_what_is_allowed(make: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()  # type: ignore[operator]
