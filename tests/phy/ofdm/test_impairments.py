"""Trust tests of OFDM between the stages of a radio."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from semlink.phy.impairments import Distorted, Medium, Radio
from semlink.phy.impairments.frontend import regress
from semlink.phy.mimo import Multiplexing, Scheme, Single, Svd
from semlink.phy.ofdm import OFDM, Tdl
from semlink.phy.rng import complex_normal

SLOW = Tdl("C", 100e-9, speed_mps=3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def qpsk(b: int, n: int, seed: int = 99) -> torch.Tensor:
    turns = torch.randint(4, (b, n), generator=generator(seed)) / 4 + 1 / 8
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


@dataclass(frozen=True)
class Limiter:
    """A stage that clips: a test double of an amplifier."""

    side = "transmitter"
    spec = "limiter"

    def __call__(self, samples: torch.Tensor, *, rng: object, pilots: torch.Tensor | None = None) -> Distorted:
        level = samples.abs().square().mean(dim=1, keepdim=True).sqrt()
        return regress(samples, samples * (level / samples.abs().clamp_min(1e-9)).clamp(max=1.0))


@dataclass(frozen=True)
class Turn:
    """A stage with a gain and noise of its own: a test double of a receiver."""

    side = "receiver"
    spec = "turn"

    def __call__(
        self, samples: torch.Tensor, *, rng: list[torch.Generator], pilots: torch.Tensor | None = None
    ) -> Distorted:
        added = 0.2 * torch.stack([complex_normal(samples.shape[1], one) for one in rng])
        gain = torch.full_like(samples[:, :1], 0.5j)
        return Distorted(0.5j * samples + added, gain, torch.full_like(gain.real, 0.04))


@pytest.mark.parametrize("csi", ["perfect", "estimated"])
@pytest.mark.parametrize("scheme", [Single("zf"), Multiplexing(2, 2)])
@pytest.mark.parametrize("radio", [Radio((), (Turn(),)), Radio((Limiter(),)), Radio((Limiter(),), (Turn(),))])
def test_what_stages_do_is_in_the_variance(csi: str, scheme: Scheme, radio: Radio) -> None:
    channel = OFDM(SLOW, scheme, csi=csi, domain="time")  # type: ignore[arg-type]
    assert isinstance(channel, Medium)
    sent = qpsk(60, 720)
    got = channel.carry(sent, 0.01, rng=generator(1), radio=radio).unbiased()
    each = ((got.symbols - sent).abs().square() / got.n0).mean(dim=1)
    # An amplifier's distortion is nearly white in the band. That of several is taken for white in space, too, which a
    # detector makes better use of than is said: n0 errs on the high side.
    slack = 0.0 if radio == Radio((), (Turn(),)) and csi == "perfect" else 0.12 if scheme == Single("zf") else 0.3
    assert abs(each.mean().item() - 1) <= 4 * each.std().item() / math.sqrt(60) + slack
    plain = channel(sent, 0.01, rng=generator(1)).unbiased()
    assert got.n0.median() > 1.3 * plain.n0.median()


def test_stages_are_refused_where_there_are_no_samples() -> None:
    radio, sent = Radio((Limiter(),)), qpsk(1, 72)
    with pytest.raises(ValueError, match="impairments need domain='time'"):
        OFDM(SLOW).carry(sent, 0.1, rng=generator(), radio=radio)
    with pytest.raises(ValueError, match="takes no impairments"):
        OFDM(SLOW, Svd(2, 2), csi="estimated", domain="time").carry(sent, 0.1, rng=generator(), radio=radio)


def test_pilots_of_a_jammer_s_choice_are_whole_ofdm_symbols() -> None:
    seen: list[torch.Tensor | None] = []

    @dataclass(frozen=True)
    class Spy(Turn):
        def __call__(
            self, samples: torch.Tensor, *, rng: list[torch.Generator], pilots: torch.Tensor | None = None
        ) -> Distorted:
            seen.append(pilots)
            return super().__call__(samples, rng=rng, pilots=pilots)

    for csi in ("perfect", "estimated"):
        OFDM(SLOW, csi=csi, domain="time").carry(qpsk(1, 700), 0.1, rng=generator(), radio=Radio((), (Spy(),)))  # type: ignore[arg-type]
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].reshape(-1, 137).float().mean(dim=1).nonzero().flatten().tolist() == [0, 7, 10]
