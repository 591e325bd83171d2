"""Trust tests of the multi-antenna schemes, each with a twin that shows that 0.2 dB would be caught."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

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
    exponential_correlation,
    from_antennas,
    kronecker_root,
    to_antennas,
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


@pytest.fixture
def check_variance(send: Callable[..., Any]) -> Callable[..., None]:
    """Error over the variance handed back: mean 1. What interferes is as strong as it is: the noise alone is off."""

    def check(scheme: Scheme, esno_db: float, off_db: float) -> None:
        trial = send(scheme, esno_db, g=2_000 if scheme.streams > 8 else 20_000, off_db=off_db)
        found = trial.found
        bias = 1.0 if found.bias is None else found.bias
        alive = found.n0 < ERASED
        ratio = ((found.symbols - bias * trial.sent).abs().square() / found.n0)[alive].double()
        assert abs(ratio.mean().item() - 1) <= 4 * ratio.std().item() / math.sqrt(ratio.numel())

    return check


@pytest.mark.parametrize("name", SCHEMES)
def test_noise_variance_handed_back_is_the_measured_one(name: str, check_variance: Callable[..., None]) -> None:
    for esno_db in (-3.0, 20.0):
        check_variance(SCHEMES[name], esno_db, 0.0)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_noise_off_by_a_fifth_of_a_decibel_is_caught(name: str, check_variance: Callable[..., None]) -> None:
    for off_db in (-0.2, 0.2):
        with pytest.raises(AssertionError):
            check_variance(SCHEMES[name], 0.0, off_db)


@pytest.mark.parametrize("name", SCHEMES)
def test_energy_of_a_use_is_one(name: str, send: Callable[..., Any]) -> None:
    scheme = SCHEMES[name]
    energy = send(scheme, 5.0).antennas.abs().square().sum(dim=-1).mean(dim=(0, 2))
    expected = scheme.users if isinstance(scheme, Uplink) else 1  # there each user has energy 1
    error = energy.std().item() / math.sqrt(len(energy))
    assert abs(energy.mean().item() - expected) <= 4 * error
    assert abs(energy.mean().item() - expected * 10**0.02) > 4 * error or error > 0.01


@pytest.mark.parametrize("antennas", [1, 2, 3, 8, 16, 64])
def test_precoding_matrices_have_norm_one_whatever_the_antennas(
    antennas: int, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    """Sending each stream alone and adding up: exactly 1, for each group."""
    h = normal(1, 5, antennas, antennas, seed=5)
    for scheme in (Multiplexing(antennas, antennas), Svd(antennas, antennas), Svd(antennas, antennas, "equal")):
        streams = torch.eye(antennas, dtype=torch.complex64)
        energy = sum(
            scheme.precode(one.expand(1, 5, -1), h, 0.3, rng=[rng()]).abs().square().sum(dim=-1) for one in streams
        )
        torch.testing.assert_close(energy, torch.ones(1, 5, 1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", SCHEMES)
def test_an_image_gets_the_same_in_any_batch(
    name: str, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor], send: Callable[..., Any]
) -> None:
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
def test_one_channel_for_all_groups_is_the_same_given_once(
    name: str, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
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
def test_gradients_are_those_of_finite_differences(
    name: str, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
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


@pytest.fixture
def broken(normal: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(kind: str, rx: int, tx: int) -> Tensor:
        h = normal(1, 6, rx, tx, seed=11)
        if kind == "rank one":
            return h[..., :1] * normal(1, 6, 1, tx, seed=12)
        scale = {"zero": 0.0, "tiny": 1e-25}.get(kind, 1.0)
        if kind == "a dead column":
            h[..., 0] = 0
        if kind == "a dead row":
            h[:, :, 0] = 0
        return h * scale

    return draw


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("kind", DEAD)
def test_channels_without_rank_or_gain_give_numbers(
    name: str,
    kind: str,
    rng: Callable[..., torch.Generator],
    normal: Callable[..., Tensor],
    broken: Callable[..., Tensor],
) -> None:
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


def test_zero_forcing_erases_the_streams_that_are_not_told_apart_and_no_others(
    rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h = normal(1, 50, 4, 4, seed=13)
    h[..., 2] = 0.5 * h[..., 0]
    sent = normal(1, 50, 4, seed=2)
    scheme = Multiplexing(4, 4, "zf")
    observed = torch.einsum("bgrt,bgut->bgur", h, scheme.precode(sent, None, 0.1, rng=[rng()]))
    found = scheme.detect(observed, h, torch.full((1, 50), 1e-6), 1e-6)
    assert torch.equal(found.n0 == ERASED, torch.tensor([True, False, True, False]).expand(1, 50, 4))
    torch.testing.assert_close(found.symbols[..., 1::2], sent[..., 1::2], rtol=1e-3, atol=1e-3)


def test_whole_frames_pass_with_padding(rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]) -> None:
    for name, scheme in SCHEMES.items():
        symbols, h = normal(2, 13, seed=20), normal(2, -(-13 // scheme.streams), scheme.rx, scheme.tx, seed=21)
        sent = to_antennas(symbols, scheme, h, 1e-6, rng=[rng(1), rng(2)])
        assert sent.shape == (2, -(-13 // scheme.streams) * scheme.span, scheme.tx), name
        each = h.repeat_interleave(scheme.span, dim=1)
        got = from_antennas((each @ sent[..., None])[..., 0], scheme, h, torch.full(h.shape[:2], 1e-6), 1e-6, 13)
        assert got.symbols.shape == got.n0.shape == (2, 13), name


def test_k_best_hands_on_what_the_antennas_received(send: Callable[..., Any]) -> None:
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
        (lambda: Svd(2, 3).precode(torch.ones(1, 1, 2) + 0j, None, 0.1, rng=[torch.Generator()]), "h=None"),
        (lambda: Mrt(2).precode(torch.ones(1, 1, 1) + 0j, None, 0.1, rng=[torch.Generator()]), "h=None"),
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
