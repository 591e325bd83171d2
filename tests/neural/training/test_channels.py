"""Trainings over any channel of the catalogue, by the words of `--channel`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural.models import Network, build
from semlink.neural.training import Data, Settings, train
from semlink.neural.training.losses import Conditions, batch_loss, carry
from semlink.neural.training.recipe import channel_of, is_differentiable
from semlink.neural.training.tasks import sent_over
from semlink.phy.channels import CHANNELS, STAGES, parse_channel
from semlink.phy.link import esno_to_n0
from semlink.phy.rng import probe

NEEDS = {"mimo": "mimo:2x2", "rapp": "ibo=6", "saleh": "ibo=10", "clip": "level=6", "phase-noise": "linewidth=1e-5"}
NEEDS |= {"cfo": "offset=1e-5", "sfo": "ppm=1", "dc": "level=-20", "dac": "bits=8", "adc": "bits=8"}
NEEDS |= {"interferer": "sir=15", "jammer": "jsr=-15"}
SPECS = [NEEDS.get(name, name) for name in CHANNELS if name != "waveform"]
SPECS += [f"awgn+{name}:{NEEDS[name]}" if name in NEEDS else f"awgn+{name}" for name in STAGES]
SPECS += ["mimo:2x2,svd", "mimo:2x2,k-best", "uplink:users=2,rx=2,sic", "rayleigh:equaliser=mmse"]
SPECS += ["rayleigh:csi=estimated", "rayleigh:csi=none", "tdl-b:ds=300ns,antennas=2x2", "tdl-a:domain=time+rapp:ibo=6"]
SPECS = [spec for spec in SPECS if not spec.startswith(("cdl", "tdl-d", "tdl-e"))] + ["cdl-a"]


@pytest.mark.parametrize("spec", SPECS)
def test_a_gradient_is_how_far_what_arrives_moves_with_what_is_sent(spec: str) -> None:
    """A decoder's error reaches the symbols that caused it, of about its size, whatever lies between."""
    channel, n0 = parse_channel(spec), esno_to_n0(20.0)
    sent = probe(1, 96).clone().requires_grad_()
    arrived = channel(sent, n0, rng=torch.Generator().manual_seed(1)).unbiased()
    weight = probe(1, 96).conj()
    (gradient,) = torch.autograd.grad((arrived.symbols * weight).real.sum(), sent)
    assert bool(gradient.isfinite().all())
    straight = (gradient * weight).real.sum() / weight.abs().square().sum()
    assert 0.3 < float(straight) < 3


def test_only_the_one_that_leaves_pytorch_is_refused_where_a_gradient_is_needed() -> None:
    assert not is_differentiable(parse_channel("waveform"))
    with pytest.raises(ValueError, match=r"channels=.waveform:kind=ofdm. lets no gradient through.*task='codec'"):
        Settings("x", network={"cell_symbols": 8, "widths": [4, 6]}, channels=("awgn", "waveform:kind=ofdm"))
    behind = {"task": "control", "model": "residual-cnn", "codec": "jpeg-ldpc-qam"}
    assert Settings("x", **behind, channels="waveform").channels == ("waveform",)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"channels=.tdl-b:speed=3' must be one of: awgn, .*tdl-b"):
        Settings("x", network={"cell_symbols": 8, "widths": [4, 6]}, channels=("tdl-b:speed=3",))


def test_short_names_are_the_channels_they_stand_for() -> None:
    assert channel_of("rayleigh-16") == parse_channel("rayleigh:coherence=16")
    assert channel_of("awgn") == parse_channel("awgn")


def test_what_arrives_has_no_bias_whatever_the_equaliser() -> None:
    """An MMSE equaliser shrinks what it hands out; a network that is not told would learn the wrong scale."""
    sent, rng = torch.ones(2000, 4, dtype=torch.complex64), torch.Generator().manual_seed(0)
    got = carry(sent, Conditions(1000, [0.5, 0.5], ["rayleigh:equaliser=mmse", "awgn"]), rng)
    weighed = (got.symbols.real / got.n0).sum(dim=1) / (1 / got.n0).sum(dim=1)
    assert float(weighed.mean()) == pytest.approx(1, abs=5 * float(weighed.std()) / 2000**0.5)


def test_a_codec_learns_over_mimo_ofdm_and_an_amplifier(
    tmp_path: Path, data: Data, tiny: Settings, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    over = ("tdl-b:ds=300ns,antennas=2x2", "mimo:2x2,svd", "awgn+rapp:ibo=3")
    at_20_db = {"esno_db": (20.0, 20.0), "even_out": False}
    settings = replace(tiny, channels=over, groups=3, batch=6, steps=24, checkpoint_every=6, **at_20_db)
    path = train(settings, tmp_path, data=data)
    losses = [float(row["loss"]) for row in log(tmp_path)]
    assert losses[-1] < losses[0]
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["channel"] == ", ".join(f"{one} 1/3" for one in over) + "; Es/N0 20 dB"


def test_both_ends_get_a_gradient_through_the_catalogue(data: Data, tiny: Settings) -> None:
    torch.manual_seed(0)
    model = build(tiny.model, tiny.network)
    assert isinstance(model, Network)
    settings = replace(tiny, channels=("uplink:users=3,rx=3,mmse",))
    batch_loss(model, data.small[:4].float() / 255, settings, torch.Generator().manual_seed(0)).backward()
    reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters()]
    assert all(reached)


def test_a_task_codec_meets_the_catalogue_too() -> None:
    from semlink.neural.classifiers import build_task

    model = build_task("task", {"widths": [8, 8, 8], "blocks": [1, 1, 1], "width": 16, "seen_width": 16})
    settings = Settings("x", model="task", task="robust", teacher="tiniest", loss={"labels": 1.0}, channels=("tdl-a",))
    got = sent_over(model, torch.rand(4, 3, 32, 32), settings, torch.Generator().manual_seed(0))
    assert got.symbols.shape == (4, model.uses)
    assert got.symbols.requires_grad
