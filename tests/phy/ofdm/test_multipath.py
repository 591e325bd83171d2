"""Trust tests of the multipath channels: the standard's tables, Bessel's function, and Sionna's own generator."""

from __future__ import annotations

import math
from threading import Thread

import numpy as np
import pytest
import torch
from scipy import special, stats

from semlink.phy.ofdm import Cdl, Tdl

PROFILES = ("A", "B", "C", "D", "E")

# Rows of TR 38.901's tables 7.7.2-1 to -5, normalised delay and power in dB: as other public implementations have them
# (QuaDRiGa for C; several for A, B and D). Of E that holds for the delays; its powers are those of Sionna's file.
TABLE_ROWS = {
    "A": [(0.3819, 0.0), (0.4025, -2.2), (0.5868, -4.0), (2.2242, -16.7), (9.6586, -29.7)],
    "B": [(0.0, 0.0), (0.1072, -2.2), (0.2155, -4.0), (4.7834, -11.3)],
    "C": [(0.0, -4.4), (0.2099, -1.2), (0.6366, 0.0), (8.6523, -22.8)],
    "D": [(0.035, -18.8), (0.612, -21.0), (12.525, -27.7)],
    "E": [(0.5133, -15.8), (0.563, -19.8), (2.6426, -22.3)],
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(channel: Tdl | Cdl, images: int, count: int = 1, step_s: float = 0.0, **antennas: int) -> torch.Tensor:
    """(images, rx, tx, p, count)."""
    rng = generator(4)
    return torch.stack([channel.taps(count, step_s, rng, **antennas) for _ in range(images)])


@pytest.mark.parametrize("kind", [Tdl, Cdl])
@pytest.mark.parametrize("profile", PROFILES)
def test_delays_and_powers_are_those_of_the_standard(kind: type[Tdl] | type[Cdl], profile: str) -> None:
    channel = kind(profile, 100e-9)  # type: ignore[arg-type]
    assert channel.powers.sum() == pytest.approx(1)
    assert (np.diff(channel.delays_s) >= 0).all()
    if kind is Cdl and profile in "BE":
        return  # the two tables differ in some rows there
    reference_delay, reference_db = TABLE_ROWS[profile][0]
    reference = channel.powers[np.isclose(channel.delays_s, reference_delay * 100e-9, atol=1e-15)]
    for delay, power_db in TABLE_ROWS[profile]:
        found = channel.powers[np.isclose(channel.delays_s, delay * 100e-9, atol=1e-15)]
        assert len(found) == 1
        assert 10 * math.log10(found[0] / reference[0]) == pytest.approx(power_db - reference_db, abs=1e-9)


@pytest.mark.parametrize("profile", PROFILES)
def test_rms_delay_spread_is_the_parameter(profile: str) -> None:
    channel = Tdl(profile, 300e-9)  # type: ignore[arg-type]
    mean = channel.powers @ channel.delays_s
    assert math.sqrt(channel.powers @ (channel.delays_s - mean) ** 2) == pytest.approx(300e-9, rel=0.01)


def test_k_factors_of_the_standard() -> None:
    assert Tdl("D", 1e-7).k_factor_db == pytest.approx(13.3)
    assert Tdl("E", 1e-7).k_factor_db == pytest.approx(22.0)
    assert Tdl("A", 1e-7).k_factor_db == -math.inf


def check_powers(channel: Tdl, off_db: float) -> None:
    gains = draw(channel, 1500, rx=2, tx=2)[..., 0]
    measured = gains.abs().square().mean(dim=(0, 1, 2)).numpy()
    expected = channel.powers * 10 ** (off_db / 10)
    # Of a first tap with a line of sight the power varies less than a Rayleigh tap's; of the others it is exponential.
    assert (np.abs(measured - expected) <= 4 * expected / math.sqrt(6000)).all()


@pytest.mark.parametrize("profile", PROFILES)
def test_drawn_taps_have_the_table_s_powers(profile: str) -> None:
    check_powers(Tdl(profile, 100e-9), 0.0)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        check_powers(Tdl(profile, 100e-9), 0.3)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", ["A", "B", "C"])
def test_the_response_at_a_frequency_is_rayleigh(profile: str) -> None:
    channel = Tdl(profile, 100e-9)  # type: ignore[arg-type]
    turns = torch.from_numpy(np.exp(-2j * np.pi * 1.7e6 * channel.delays_s)).to(torch.complex64)
    power = torch.einsum("irtpc,p->irt", draw(channel, 1000, rx=2, tx=2), turns).abs().square().flatten()
    assert stats.kstest(power.numpy(), "expon").pvalue > 0.001
    assert stats.kstest(1.2 * power.numpy(), "expon").pvalue < 0.001  # the twin: a mean that is 0.8 dB off
    assert abs(power.mean().item() - 1) <= 4 / math.sqrt(4000)


@pytest.mark.parametrize("profile", PROFILES)
def test_frequency_correlation_is_the_transform_of_the_profile(profile: str) -> None:
    channel = Tdl(profile, 100e-9)  # type: ignore[arg-type]
    gains = draw(channel, 3000, rx=2)[:, :, 0, :, 0].to(torch.complex128)
    df = np.array([0.2e6, 1e6, 3e6])
    phases = torch.from_numpy(np.exp(-2j * np.pi * np.outer(channel.delays_s, [0, *df])))
    h = gains @ phases
    products = (h[..., 1:] * h[..., :1].conj()).flatten(0, 1)
    measured = products.mean(dim=0).numpy()
    error = 4 * products.std(dim=0).numpy() / math.sqrt(3000)  # the line of sight is common to both antennas
    assert (np.abs(measured - channel.frequency_correlation(df)) <= error).all()
    assert (np.abs(measured - channel.frequency_correlation(4 * df)) > error).any()


@pytest.mark.parametrize("profile", ["C", "D"])
def test_time_correlation_is_bessel_s_and_the_line_of_sight_s(profile: str) -> None:
    channel = Tdl(profile, 100e-9, speed_mps=30)  # type: ignore[arg-type]
    f_d = 30 / 299_792_458 * 3.5e9
    assert channel.doppler_hz == pytest.approx(f_d)
    step, lags = 2e-4, np.array([1, 5, 12])
    gains = draw(channel, 2000, 13, step, rx=2)[:, :, 0].to(torch.complex128)
    measured = (gains[..., lags] * gains[..., :1].conj()).mean(dim=(0, 1)).sum(dim=0).numpy()
    los = 10 ** (13.3 / 10) / (1 + 10 ** (13.3 / 10)) * channel.powers[0] if profile == "D" else 0.0
    dt = lags * step
    expected = (1 - los) * special.j0(2 * np.pi * f_d * dt) + los * np.exp(2j * np.pi * 0.7 * f_d * dt)
    error = 4 * math.sqrt(float((channel.powers**2).sum()) / 4000)
    np.testing.assert_allclose(channel.time_correlation(dt), expected, atol=1e-9)
    assert (np.abs(measured - expected) <= error).all()
    assert (np.abs(measured - channel.time_correlation(1.5 * dt)) > error).any()


def test_taps_and_antennas_are_independent() -> None:
    gains = draw(Tdl("C", 100e-9, speed_mps=30), 4000, rx=2, tx=2)[..., 0].flatten(1)
    normed = gains / gains.abs().square().mean(dim=0).sqrt()
    correlation = (normed.mT @ normed.conj() / 4000).abs()
    off = correlation[~torch.eye(len(correlation), dtype=torch.bool)]
    assert off.max() <= math.sqrt(math.log(1e3 * off.numel()) / 4000)  # |·|² is exponential, of mean 1/4000


@pytest.mark.parametrize("profile", ["C", "E"])
def test_sionna_s_tdl_has_the_same_statistics(profile: str) -> None:
    from sionna.phy import config
    from sionna.phy.channel.tr38901 import TDL

    config.seed = 3
    theirs, delays = TDL(profile, 100e-9, 3.5e9, min_speed=30.0, device="cpu")(4000, 2, 1 / 1e-3)
    ours = Tdl(profile, 100e-9, speed_mps=30)  # type: ignore[arg-type]
    order = np.argsort(delays[0, 0, 0].numpy(), kind="stable")
    np.testing.assert_allclose(ours.delays_s, delays[0, 0, 0].numpy()[order], rtol=1e-5)
    gains = theirs[:, 0, 0, 0, 0].numpy()[:, order]
    power = np.square(np.abs(gains[..., 0])).mean(axis=0)
    assert (np.abs(power - ours.powers) <= 4 * ours.powers / math.sqrt(4000)).all()
    correlation = (gains[..., 1] * gains[..., 0].conj()).mean(axis=0).sum()
    error = 4 * math.sqrt(float((ours.powers**2).sum()) / 4000)
    assert abs(correlation - ours.time_correlation(np.array(1e-3))) <= error


@pytest.mark.parametrize("profile", ["A", "D"])
def test_cdl_has_unit_power_for_each_pair_of_antennas(profile: str) -> None:
    channel = Cdl(profile, 100e-9)  # type: ignore[arg-type]
    gains = draw(channel, 400, rx=2, tx=2)[..., 0]
    energy = gains.abs().square().sum(dim=3)
    error = energy.std(dim=0) / math.sqrt(400)
    assert ((energy.mean(dim=0) - 1).abs() <= 4 * error).all()
    assert ((energy.mean(dim=0) - 1.2).abs() > 4 * error).all()
    each = gains.abs().square().mean(dim=(0, 1, 2)).numpy()
    deviation = gains.abs().square().mean(dim=(1, 2)).std(dim=0).numpy() / math.sqrt(400)
    assert (np.abs(each - channel.powers) <= 4.5 * deviation + 1e-6).all()  # in the order of the delays, too


@pytest.mark.parametrize(("profile", "direction"), [("A", "downlink"), ("D", "uplink")])
def test_cdl_s_time_correlation(profile: str, direction: str) -> None:
    channel = Cdl(profile, 100e-9, speed_mps=30, direction=direction)  # type: ignore[arg-type]
    gains = draw(channel, 400, 6, 5e-4)[:, 0, 0]
    lags = np.array([1, 3, 5])
    products = (gains[..., lags] * gains[..., :1].conj()).sum(dim=1)
    error = products.std(dim=0).numpy() / math.sqrt(400)
    expected = channel.time_correlation(lags * 5e-4)
    assert (np.abs(products.mean(dim=0).numpy() - expected) <= 4 * error).all()
    assert (np.abs(channel.time_correlation(2 * lags * 5e-4) - expected) > 4 * error).any()


def test_cdl_s_neighbouring_antennas_are_correlated_and_planes_are_built() -> None:
    narrow = draw(Cdl("D", 100e-9), 100, tx=2)[..., 0].sum(dim=3)
    together = (narrow[..., 0] * narrow[..., 1].conj()).mean().abs()
    assert together > 0.5  # a line of sight
    plane = Cdl("A", 100e-9, tx_rows=2)
    assert draw(plane, 1, tx=4).shape == (1, 1, 4, 23, 1)
    row = Cdl("A", 100e-9)
    assert (draw(plane, 1, tx=4) - draw(row, 1, tx=4)).abs().max() > 0.01
    with pytest.raises(ValueError, match="tx_rows=2"):
        draw(plane, 1, tx=3)


def test_cdl_leaves_sionna_s_generator_as_it_was() -> None:
    from sionna.phy import config

    config.seed = 1
    before = config.torch_rng("cpu").get_state()
    first = draw(Cdl("C", 100e-9), 2)
    assert torch.equal(before, config.torch_rng("cpu").get_state())
    config.seed = 2
    assert torch.equal(first, draw(Cdl("C", 100e-9), 2))


@pytest.mark.parametrize("channel", [Tdl("D", 100e-9, speed_mps=3), Cdl("D", 100e-9, speed_mps=3)])
def test_threads_draw_what_they_would_alone(channel: Tdl | Cdl) -> None:
    alone = [channel.taps(3, 1e-4, generator(seed)) for seed in range(8)]
    found: dict[int, torch.Tensor] = {}
    threads = [
        Thread(target=lambda seed=seed: found.update({seed: channel.taps(3, 1e-4, generator(seed))}))
        for seed in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(8):
        torch.testing.assert_close(found[seed], alone[seed])


def test_what_stands_still_does_not_change() -> None:
    for channel in (Tdl("E", 1e-7), Cdl("E", 1e-7)):
        gains = channel.taps(5, 1e-3, generator())
        assert torch.equal(gains, gains[..., :1].expand_as(gains))


def test_specs() -> None:
    assert Tdl("C", 100e-9, speed_mps=3).spec == "tdl-c:ds=100ns,v=3"
    assert Tdl("A", 30e-9, carrier_hz=28e9).spec == "tdl-a:ds=30ns,v=0,fc=28GHz"
    assert Cdl("B", 30e-9, direction="uplink", rx_rows=2).spec == "cdl-b:ds=30ns,v=0,direction=uplink,rx-rows=2"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"profile": "F"}, "profile='F'"),
        ({"delay_spread_s": 100}, "delay_spread_s=100"),
        ({"carrier_hz": 3.5}, "carrier_hz=3.5"),
        ({"speed_mps": -1}, "speed_mps=-1"),
        ({"speed_mps": math.nan}, "speed_mps=nan"),
    ],
)
@pytest.mark.parametrize("kind", [Tdl, Cdl])
def test_bad_options_name_the_value(kind: type, options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        kind(**{"profile": "A", "delay_spread_s": 1e-7, **options})


def test_bad_options_of_arrays() -> None:
    with pytest.raises(ValueError, match="direction='both'"):
        Cdl("A", 1e-7, direction="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rx_rows=0"):
        Cdl("A", 1e-7, rx_rows=0)
