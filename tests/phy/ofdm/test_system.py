"""Trust tests of OFDM: theory, Sionna, one domain against the other, and the noise variance that is handed back."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from semlink.phy import theory
from semlink.phy.link import Received, esno_to_n0
from semlink.phy.mimo import Alamouti, Mrc, Multiplexing, Scheme, Single, Svd, Uplink
from semlink.phy.ofdm import OFDM, Cdl, Tdl
from semlink.phy.ofdm.delay_profile import Component
from semlink.phy.ofdm.system import antenna_energy
from semlink.phy.rng import complex_normal, image_rngs

SAMPLE_S = 1 / (128 * 30e3)
SLOW, FAST = Tdl("C", 100e-9, speed_mps=3), Tdl("C", 100e-9, speed_mps=100)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def qpsk(b: int, n: int, seed: int = 99) -> torch.Tensor:
    turns = torch.randint(4, (b, n), generator=generator(seed)) / 4 + 1 / 8
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


@dataclass(frozen=True)
class Echoes:
    """Paths at given delays with fixed gains, whatever is drawn: a test double of `Paths`."""

    samples: tuple[float, ...]
    gains: tuple[complex, ...]
    name: str = "echoes"
    spec: str = "echoes"
    doppler_hz: float = 0.0

    @property
    def delays_s(self) -> np.ndarray:
        return np.array(self.samples) * SAMPLE_S

    @property
    def powers(self) -> np.ndarray:
        return np.abs(np.array(self.gains)) ** 2

    @property
    def components(self) -> tuple[Component, ...]:
        return (Component(self.delays_s, self.powers, lambda dt: np.ones_like(dt)),)

    def taps(self, count: int, step_s: float, rng: torch.Generator, *, rx: int = 1, tx: int = 1) -> torch.Tensor:
        spread = complex_normal(rx * tx, rng).reshape(rx, tx, 1, 1)
        one = torch.ones_like(spread) if rx == tx == 1 else spread
        return one * torch.tensor(self.gains, dtype=torch.complex64)[:, None].expand(-1, count)


TWO_RAYS = Echoes((0.0, 5.0), (0.8, 0.6j))


def ratio(channel: OFDM, n0: float, off_db: float = 0.0, images: int = 100, n: int = 720) -> tuple[float, float]:
    """Mean of error energy over the variance handed back, and its standard error over images."""
    sent = qpsk(images, n)
    got = channel(sent, n0, rng=generator(1)).unbiased()
    error = (got.symbols - sent).abs().square() / (got.n0 * 10 ** (off_db / 10))
    each = torch.stack([row[known].mean() for row, known in zip(error, got.n0 < 1e6, strict=True)])
    return each.mean().item(), each.std().item() / math.sqrt(images)


CASES = {
    "perfect": OFDM(SLOW),
    "zf": OFDM(SLOW, Single("zf")),
    "ls": OFDM(SLOW, csi="estimated", estimator="ls"),
    "mmse": OFDM(SLOW, csi="estimated"),
    "mmse, fast": OFDM(FAST, csi="estimated"),
    "mmse, line of sight": OFDM(Tdl("D", 100e-9, speed_mps=100), csi="estimated"),
    "4x4": OFDM(SLOW, Multiplexing(4, 4), csi="estimated"),
    "alamouti": OFDM(SLOW, Alamouti(2), csi="estimated"),
    "svd": OFDM(SLOW, Svd(2, 2), csi="estimated"),
    "uplink": OFDM(SLOW, Uplink(3, 3), csi="estimated", estimator="ls"),
    "mrc": OFDM(SLOW, Mrc(2), csi="estimated"),
    "time, perfect": OFDM(SLOW, domain="time"),
    "time, fast": OFDM(FAST, domain="time"),
    "time, ls": OFDM(SLOW, csi="estimated", estimator="ls", domain="time"),
    "time, 2x2": OFDM(SLOW, Multiplexing(2, 2), csi="estimated", domain="time"),
    "cdl": OFDM(Cdl("A", 30e-9, speed_mps=3), csi="estimated"),
}


@pytest.mark.parametrize("name", CASES)
def test_noise_variance_handed_back_is_the_measured_one(name: str) -> None:
    measured, error = ratio(CASES[name], 0.03)
    assert abs(measured - 1) <= 4 * error


@pytest.mark.parametrize("name", ["perfect", "ls", "mmse", "time, fast"])
@pytest.mark.parametrize("off_db", [-0.2, 0.2])
def test_a_noise_off_by_a_fifth_of_a_decibel_is_caught(name: str, off_db: float) -> None:
    measured, error = ratio(CASES[name], 0.03, off_db)
    assert abs(measured - 1) > 4 * error


def test_interference_between_carriers_is_in_the_variance() -> None:
    """(2π f_D T)² / 24 over all carriers (Li and Cimini 2001), less at the edges of the band; nothing else is left."""
    channel = OFDM(Tdl("C", 100e-9, speed_mps=300), Single("zf"), domain="time")
    f_d = channel.path.doppler_hz
    measured, error = ratio(channel, 1e-9)
    assert abs(measured - 1) <= 4 * error
    whole = (2 * math.pi * f_d / 30e3) ** 2 / 24
    assert 0.8 * whole < channel._interference.mean() < whole
    full = OFDM(Tdl("C", 100e-9, speed_mps=100), Single("zf"), domain="time", guards=(0, 0), dc=False)
    assert full._interference.mean() == pytest.approx(whole / 9 + full._line.interference.mean(), rel=0.01)


def test_a_cyclic_prefix_too_short_brings_interference_that_is_in_the_variance() -> None:
    path = Echoes((0.0, 5.0), (math.sqrt(0.9), math.sqrt(0.1)))
    levels = []
    for cp in (5, 4, 2, 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            channel = OFDM(path, Single("zf"), cp=cp, domain="time")
        sent = qpsk(60, 720)
        got = channel(sent, 1e-6, rng=generator())
        error = (got.symbols - sent).abs().square()
        levels.append(error.mean().item())
        each = (error / got.n0).mean(dim=1)
        assert abs(each.mean().item() - 1) <= 4 * each.std().item() / math.sqrt(60) + 0.02
    assert levels[0] < 3e-6
    assert levels[0] * 100 < levels[1] < levels[2] < levels[3]


def test_an_echo_beyond_the_cyclic_prefix_is_warned_of() -> None:
    for domain in ("frequency", "time"):
        with pytest.warns(UserWarning, match="cp=4 samples are 1042 ns"):
            OFDM(TWO_RAYS, cp=4, domain=domain)  # type: ignore[arg-type]
        OFDM(TWO_RAYS, cp=5, domain=domain)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"tdl-c:ds=1000ns,v=0 arrives later"):
        OFDM(Tdl("C", 1e-6))


@pytest.mark.parametrize("scheme", [Single("zf"), Multiplexing(2, 2, "zf"), Alamouti(1)])
@pytest.mark.parametrize("path", [TWO_RAYS, Echoes((0.0, 3.0, 9.0), (0.6, 0.48**0.5 * 1j, -0.4))])
def test_both_domains_agree_where_theory_says_so(scheme: Scheme, path: Echoes) -> None:
    """Static paths at whole samples within the prefix. Noise is next to none: each domain draws its own."""
    sent = qpsk(3, 500)
    got = [OFDM(path, scheme, domain=domain)(sent, 1e-14, rng=generator()) for domain in ("frequency", "time")]  # type: ignore[arg-type]
    torch.testing.assert_close(got[0].symbols, got[1].symbols, rtol=0, atol=2e-4)
    torch.testing.assert_close(got[0].n0, got[1].n0, rtol=1e-3, atol=0)
    assert got[0].uses == got[1].uses


def received(channel: OFDM, sent: torch.Tensor, n0: float = 1e-14) -> torch.Tensor:
    return channel(sent, n0, rng=generator()).symbols


def test_unequalised_elements_are_the_transform_of_the_echoes() -> None:
    """The grid as it comes from the FFT is Σ a_l exp(-j2πkd_l/N) x, by hand, in both domains and between samples."""
    sent = qpsk(1, 144)
    carriers = np.array([k for k in range(-36, 37) if k != 0])
    for samples, atol in (((0.0, 5.0), 1e-5), ((0.0, 4.37), 6e-3)):
        turns = np.exp(-2j * np.pi * np.outer(carriers, samples) / 128)
        h = torch.from_numpy(np.tile(turns @ np.array([0.8, 0.6j]), 2)).to(torch.complex64)
        for domain in ("frequency", "time"):
            got = received(OFDM(Echoes(samples, (0.8, 0.6j)), csi="none", domain=domain), sent)  # type: ignore[arg-type]
            torch.testing.assert_close(got[0], h * sent[0], rtol=0, atol=atol if domain == "time" else 1e-5)


def test_sionna_s_ofdm_channel_gives_the_same() -> None:
    from sionna.phy.channel import ApplyOFDMChannel, cir_to_ofdm_channel

    path = Tdl("B", 100e-9, speed_mps=30)
    channel = OFDM(path, csi="none")
    sent = qpsk(1, 72 * 14)
    ours = received(channel, sent)[0].reshape(14, 72)
    child = torch.Generator().manual_seed(int(torch.randint(2**63 - 1, (1,), generator=generator())))
    taps = path.taps(14, channel.numerology.symbol_s, child)
    frequencies = torch.from_numpy(channel.numerology.carriers * 30e3)
    delays = torch.from_numpy(path.delays_s).reshape(1, 1, 1, -1)
    h = cir_to_ofdm_channel(frequencies, taps[None, None, :, None].to(torch.complex128), delays)
    theirs = ApplyOFDMChannel(precision="double", device="cpu")(
        sent.reshape(1, 1, 1, 14, 72).to(torch.complex128), h, None
    )
    torch.testing.assert_close(ours, theirs[0, 0, 0].to(torch.complex64), rtol=1e-4, atol=1e-5)


def check_ber(domain: str, off_db: float) -> None:
    sent = qpsk(600, 72)
    esno_db = 10.0
    channel = OFDM(Tdl("A", 300e-9), domain=domain, cp=16)  # type: ignore[arg-type]
    got = channel(sent, esno_to_n0(esno_db + off_db), rng=generator(2)).symbols
    wrong = (torch.view_as_real(got) * torch.view_as_real(sent) < 0).double().mean(dim=(1, 2))
    expected = float(theory.qam_ber_rayleigh(4, esno_db))
    assert abs(wrong.mean().item() - expected) <= 4 * wrong.std().item() / math.sqrt(len(wrong))


@pytest.mark.parametrize("domain", ["frequency", "time"])
@pytest.mark.filterwarnings("ignore:cp=16")
def test_bit_error_rate_is_that_of_rayleigh_fading(domain: str) -> None:
    check_ber(domain, 0.0)


@pytest.mark.filterwarnings("ignore:cp=16")
def test_a_bit_error_rate_a_decibel_off_is_caught() -> None:
    for off_db in (-1.5, 1.5):
        with pytest.raises(AssertionError):
            check_ber("frequency", off_db)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Single(), (1.0,)),
        (Multiplexing(4, 4), (0.25,) * 4),
        (Alamouti(1), (0.5, 0.5)),
        (Uplink(3, 3), (1.0,) * 3),
        (Svd(2, 2), (0.5, 0.5)),
    ],
)
def test_energy_of_each_antenna(scheme: Scheme, expected: tuple[float, ...]) -> None:
    assert antenna_energy(scheme) == pytest.approx(expected, rel=1e-6)


def test_the_gain_at_an_element_has_unit_mean_power() -> None:
    for domain in ("frequency", "time"):
        got = OFDM(SLOW, Single("zf"), domain=domain)(qpsk(2000, 72), 0.1, rng=generator())  # type: ignore[arg-type]
        assert got.gain is not None
        power = got.gain.abs().square()
        each = power.mean(dim=1)
        assert abs(each.mean().item() - 1) <= 4 * each.std().item() / math.sqrt(2000)
        assert abs(each.mean().item() - 1.12) > 4 * each.std().item() / math.sqrt(2000)
    torch.testing.assert_close(
        got.n0,
        (0.1 + torch.from_numpy(CASES["time, perfect"]._interference[:72])) / power,
        check_dtype=False,
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["mmse", "4x4", "svd", "uplink", "time, 2x2", "cdl"])
def test_images_meet_the_same_in_any_batch_and_order(name: str) -> None:
    images, sent, channel = torch.rand(5, 3, 4, 4), qpsk(5, 133), CASES[name]
    straight = channel(sent, 0.1, rng=image_rngs(7, images)).symbols
    order = torch.tensor([3, 1, 4, 0, 2])
    shuffled = channel(sent[order], 0.1, rng=image_rngs(7, images[order])).symbols
    torch.testing.assert_close(straight[order], shuffled, rtol=1e-3, atol=1e-3)
    rng = generator(1)
    whole = channel(sent, 0.1, rng=generator(1)).symbols
    parts = [channel(part, 0.1, rng=rng).symbols for part in (sent[:1], sent[1:4], sent[4:])]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["mmse", "4x4", "svd", "uplink", "alamouti", "time, 2x2"])
def test_big_frames_go_in_pieces_without_a_difference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channel, sent = CASES[name], qpsk(2, 1500)
    whole = channel(sent, 0.1, rng=generator())
    monkeypatch.setattr("semlink.phy.ofdm.system.PIECE", 1)
    parts = channel(sent, 0.1, rng=generator())
    if name != "uplink":  # whose other users draw in pieces, too
        torch.testing.assert_close(whole.symbols, parts.symbols, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(whole.n0, parts.n0, rtol=1e-3, atol=1e-5)
    assert whole.uses == parts.uses


def test_joint_detection_gets_what_the_antennas_received() -> None:
    channel = OFDM(SLOW, Multiplexing(2, 2, "k-best", width=8), csi="estimated")
    sent = qpsk(2, 301)
    got = channel(sent, 1e-3, rng=generator())
    assert got.spatial is not None
    assert got.spatial.width == 8
    padded = torch.nn.functional.pad(sent, (0, 1)).reshape(2, 151, 2, 1)
    rest = (got.spatial.observed - (got.spatial.h @ padded)[..., 0]).abs().square() / got.spatial.n0[..., None]
    assert 0.8 < rest.mean() < 1.2


@pytest.mark.parametrize("name", ["mmse", "time, fast", "4x4", "alamouti", "svd"])
def test_gradients_are_those_of_a_finite_difference(name: str) -> None:
    sent = qpsk(1, 160).requires_grad_()
    weights = qpsk(1, 160, seed=5)

    def loss(symbols: torch.Tensor) -> torch.Tensor:
        got = CASES[name](symbols, 0.05, rng=generator()).symbols
        total: torch.Tensor = (got * weights).real.sum()
        return total

    loss(sent).backward()
    assert sent.grad is not None
    step = qpsk(1, 160, seed=6)
    with torch.no_grad():
        difference = (loss(sent + 0.5 * step) - loss(sent - 0.5 * step)).item()
    along = (sent.grad.conj() * step).real.sum().item()
    assert along == pytest.approx(difference, rel=5e-3, abs=1e-2)
    assert abs(along) > 0.1


def test_labels_and_notes_state_the_channel() -> None:
    assert OFDM(SLOW).labels == {
        "channel": "tdl-c",
        "spec": "tdl-c:ds=100ns,v=3,mmse,csi=perfect",
        "csi": "perfect",
        "coherence": "",
        "equaliser": "mmse",
    }
    spec = OFDM(SLOW, Multiplexing(4, 4), csi="estimated", cp=12, domain="time").labels["spec"]
    assert spec == (
        "tdl-c:ds=100ns,v=3,4x4,mmse,csi=estimated,estimator=mmse,pilot-carriers=4,pilot-symbols=7,cp=12,domain=time"
    )
    assert OFDM(SLOW, csi="none").labels["equaliser"] == ""
    assert "72 of 128 carriers" in OFDM(SLOW).notes["ofdm"]
    assert "prefix of 9 samples" in OFDM(SLOW).notes["ofdm"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"csi": "some"}, "perfect, estimated, none"),
        ({"csi": "estimated", "pilot_carriers": 0}, "pilot_carriers=0"),
        ({"csi": "estimated", "pilot_symbols": 0}, "pilot_symbols=0"),
        ({"csi": "estimated", "pilot_carriers": 1, "pilot_symbols": 1}, "no room"),
        ({"csi": "estimated", "scheme": Multiplexing(4, 4), "pilot_carriers": 1, "pilot_symbols": 3}, "from 4"),
        ({"csi": "estimated", "estimator": "best"}, "ls, mmse"),
        ({"csi": "none", "scheme": Multiplexing(2, 2)}, "csi='none'"),
        ({"domain": "space"}, "frequency, time"),
        ({"cp": 128}, "cp=128"),
        ({"cp": -1}, "cp=-1"),
        ({"fft": 4}, "fft=4"),
        ({"guards": (64, 64)}, "leave none"),
        ({"guards": (100, 100)}, "leave none"),
        ({"guards": (1, -1)}, "guards="),
        ({"spacing_hz": 0}, "spacing_hz=0"),
        ({"spacing_hz": math.nan}, "spacing_hz=nan"),
    ],
)
def test_bad_options_name_the_value_and_what_is_allowed(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        OFDM(**{"path": SLOW, **options})  # type: ignore[arg-type]


def test_without_csi_elements_come_as_they_are() -> None:
    got = OFDM(SLOW, csi="none")(qpsk(2, 100), 0.1, rng=generator())
    assert isinstance(got, Received)
    assert torch.equal(got.n0, torch.full((2, 100), 0.1))
    assert got.gain is None
    assert got.uses == {"payload": 100, "padding": 44}


def test_a_moving_terminal_changes_the_channel_from_symbol_to_symbol() -> None:
    still, moving = (
        OFDM(replace(SLOW, speed_mps=speed), Single("zf"))(qpsk(1, 72 * 50), 0.1, rng=generator()).gain
        for speed in (0.0, 100.0)
    )
    assert still is not None
    assert moving is not None
    first, last = moving[0, :72], moving[0, -72:]
    assert (first - last).abs().mean() > 0.1
    torch.testing.assert_close(still[0, :72], still[0, -72:])
