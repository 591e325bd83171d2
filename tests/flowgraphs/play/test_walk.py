"""A walk: gains that go together as Clarke has it, and what they do to a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

from semlink.flowgraphs.play.walk import STEPS, Here, Walks, gains_of
from semlink.phy.channels import AWGN, Nakagami, Rayleigh, Rician
from semlink.phy.fading import FadingLaw, NakagamiLaw, RayleighLaw, RicianLaw
from semlink.phy.link import Link, Received
from semlink.phy.rng import probe

Ask = Callable[..., Any]


@pytest.mark.parametrize(
    "law", [RayleighLaw(), RicianLaw(6.0), NakagamiLaw(2.0)], ids=["rayleigh", "rician", "nakagami"]
)
def test_gains_have_their_power_and_their_memory(law: FadingLaw) -> None:
    doppler, walks = 0.03, 60
    gains = torch.stack([gains_of(law, seed, doppler) for seed in range(walks)])
    # A walk is some 120 cycles of Doppler: of its mean power at least 60 parts are independent.
    spread = 1 / np.sqrt(60 * walks)
    assert float(gains.abs().square().mean()) == pytest.approx(1, abs=5 * spread)
    for lag in (1, 5, 13):
        found = float((gains[:, lag:] * gains[:, :-lag].conj()).mean().real)
        assert found == pytest.approx(float(law.correlation(special.j0(2 * np.pi * doppler * lag))), abs=5 * spread)
    assert abs(float(special.j0(2 * np.pi * 1.2 * doppler * 5) - special.j0(2 * np.pi * doppler * 5))) > 5 * spread


def test_a_step_does_what_fading_does_with_the_same_gain() -> None:
    """Noise through both with the same gain: the same Es/N0 after equalisation, and the sent symbols without noise."""
    symbols = probe(2, 4000)
    drawn = Rayleigh()(symbols, 0.1, rng=torch.Generator().manual_seed(3))
    for row in range(2):
        gain = complex(drawn.gain[row, 0])  # type: ignore[index]
        here = Here(gain, "rayleigh")(symbols[row : row + 1], 0.1, rng=torch.Generator().manual_seed(4))
        torch.testing.assert_close(here.n0[0], drawn.n0[row])
        torch.testing.assert_close(here.gain[0], drawn.gain[row])  # type: ignore[index]
        error = (here.symbols - symbols[row]).abs().square().mean() / here.n0[0, 0]
        assert float(error) == pytest.approx(1, abs=5 / np.sqrt(4000))
        silent = Here(gain, "rayleigh")(symbols[row : row + 1], 0.0, rng=torch.Generator())
        torch.testing.assert_close(silent.symbols, symbols[row : row + 1])


def test_a_gain_of_one_is_plain_noise() -> None:
    class Straight:
        ignores_n0 = True

        def encode(self, image: torch.Tensor, n0: float) -> Any:  # noqa: ANN401
            from semlink.phy.link import Frame

            return Frame(probe(1, 64), {"payload": 64})

        def decode(self, received: Received) -> torch.Tensor:
            return received.symbols.real.reshape(1, 1, 8, 8).clamp(0, 1)

    image, rng = torch.zeros(1, 1, 8, 8), torch.Generator()
    here, plain = (
        Link(Straight(), channel)(image, 7.0, rng=rng.manual_seed(5)).image for channel in (Here(1, "rayleigh"), AWGN())
    )
    torch.testing.assert_close(here, plain)


def test_walks_are_kept_and_begin_again() -> None:
    walks = Walks()
    first = walks.at(Rayleigh(), 3, 0.05, 7)
    assert walks.at(Rayleigh(), 3, 0.05, 7 + STEPS) == first
    assert walks.at(Rayleigh(), 4, 0.05, 7) != first
    assert walks.at(Rician(), 3, 0.05, 7) != first
    assert first.gain_db == pytest.approx(20 * np.log10(abs(first.gain)))
    assert walks.at(Rician(k_db=60), 3, 0.05, 9).gain_db == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "fading", [AWGN(), Rayleigh(csi="estimated"), Rayleigh("fast"), replace(Nakagami(), equaliser="mmse")]
)
def test_only_one_known_gain_can_be_walked_through(fading: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match="a walk is over rayleigh, rician or nakagami with no option but K or m"):
        Walks().at(fading, 0, 0.1, 0)
    with pytest.raises(ValueError, match=r"doppler=0\.6 must be above 0 and up to 0\.5"):
        Walks().at(Rayleigh(), 0, 0.6, 0)


def test_the_digital_link_goes_and_comes_back_and_the_neural_one_breathes(ask: Ask) -> None:
    steps: dict[str, list[Any]] = {
        codec: [ask("step", channel="rayleigh", codec=codec, esno_db=12, step=i, doppler=0.08) for i in range(0, 24, 2)]
        for codec in ("jpeg-ldpc-qam", "deepjscc")
    }
    failed = [one["failed"] for one in steps["jpeg-ldpc-qam"]]
    changes = sum(a != b for a, b in pairwise(failed))
    assert changes >= 2
    here = np.array([one["here_db"] for one in steps["deepjscc"]])
    quality = np.array([one["psnr_db"] for one in steps["deepjscc"]])
    assert not any(one["failed"] for one in steps["deepjscc"])
    assert (np.diff(quality[np.argsort(here)]) > -0.3).all()  # with the gain, but for the noise's luck
    again = ask("step", channel="rayleigh", codec="deepjscc", esno_db=12, step=4, doppler=0.08)
    assert (again["levels"] == steps["deepjscc"][2]["levels"]).all()
    with pytest.raises(ValueError, match="whoever knows the fades does not walk"):
        ask("step", channel="rayleigh", codec="jpeg-ldpc-qam:genie", esno_db=12, step=0, doppler=0.08)
    with pytest.raises(ValueError, match="step=-1 must be a whole number"):
        ask("step", channel="rayleigh", codec="deepjscc", esno_db=12, step=-1, doppler=0.08)
