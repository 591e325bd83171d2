"""What a recipe asks for is what training does: each field that decides the weights, seen at work."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from semlink.neural.models import Network, build
from semlink.neural.training import Data, Settings, training_images
from semlink.neural.training import data as loading
from semlink.neural.training.data import draw_batch
from semlink.neural.training.loop import Run, make_optimisers, schedule
from semlink.neural.training.losses import batch_loss, draw_conditions, importance, over_channels
from semlink.neural.training.runlog import ESNO_DB, validate
from semlink.phy.link import channel_uses, esno_to_n0
from semlink.phy.sources import DataError

TINY = {"cell_symbols": 8, "widths": [4, 6]}
SETTINGS = Settings("tiny", network=TINY, steps=100, batch=8, groups=4, warmup=10)
SMALL = torch.randint(0, 256, (20, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
DATA = Data(SMALL, torch.empty(0, 3, 128, 128, dtype=torch.uint8), SMALL[:0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(settings: Settings) -> Network:
    torch.manual_seed(0)
    model = build(settings.model, settings.network)
    assert isinstance(model, Network)
    return model


def test_the_schedules_that_do_not_fall_to_zero() -> None:
    constant, drop = (replace(SETTINGS, schedule=name) for name in ("constant", "drop"))
    assert [schedule(step, constant) for step in (5, 10, 64, 65, 100)] == [0.5, 1, 1, 1, 1]
    assert [schedule(step, drop) for step in (5, 10, 64, 65, 100)] == [0.5, 1, 1, 0.1, 0.1]


def test_every_optimiser_follows_the_schedule(tmp_path: Path) -> None:
    run = Run(SETTINGS, tmp_path)
    for step in (1, 2):
        run.advance(DATA)
        share = schedule(step, SETTINGS)
        rates = [optimiser.param_groups[0]["lr"] for optimiser in run.optimisers]
        assert rates == [SETTINGS.lr_conv * share, SETTINGS.lr * share]


def test_muon_has_the_hidden_weights_and_adam_the_rest_and_the_penalty() -> None:
    model = build("deepjscc", TINY)
    settings = replace(SETTINGS, weight_decay=0.5)
    muon, adam = make_optimisers(model, settings)
    assert {p.ndim for p in muon.param_groups[0]["params"]} == {4}
    assert sum(len(one.param_groups[0]["params"]) for one in (muon, adam)) == len(list(model.parameters()))
    (alone,) = make_optimisers(model, replace(settings, optimiser="adam"))
    assert isinstance(alone, torch.optim.Adam)
    assert len(alone.param_groups[0]["params"]) == len(list(model.parameters()))
    assert [one.param_groups[0]["weight_decay"] for one in (adam, alone)] == [0.5, 0.5]


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_gradients_are_cut_to_their_norm(tmp_path: Path, clip: float) -> None:
    run = Run(replace(SETTINGS, clip=clip), tmp_path)
    run.advance(DATA)
    norm = nn.utils.get_total_norm([p.grad for p in run.model.parameters() if p.grad is not None]).item()
    assert norm == pytest.approx(clip, rel=1e-3) if clip else norm > 1


def test_the_average_forgets_the_random_weights(tmp_path: Path) -> None:
    """Decays 2/11, 3/12, … until the recipe's own is reached."""
    run = Run(replace(SETTINGS, ema=0.3), tmp_path)
    expected = run.model.state_dict()["to_pixels.bias"].clone()
    for decay in (2 / 11, 3 / 12, 0.3):
        run.advance(DATA)
        expected.lerp_(run.model.state_dict()["to_pixels.bias"], 1 - decay)
        torch.testing.assert_close(run.average["to_pixels.bias"], expected)


def test_conditions_are_drawn_as_asked() -> None:
    settings = replace(SETTINGS, esno_db=(3.0, 7.0), groups=5, channels=("awgn", "awgn", "awgn", "rayleigh-fast"))
    rng, levels, channels = generator(), [], Counter[str]()
    for _ in range(400):
        size, n0, names = draw_conditions(10, settings, rng)
        assert (size, len(n0), len(names)) == (2, 5, 5)
        assert len(set(n0)) == 5  # each group has its own
        levels += [-10 * math.log10(value) for value in n0]
        channels.update(names)
    count = len(levels)
    assert 3 <= min(levels) < 3.05
    assert 6.95 < max(levels) <= 7
    assert sum(levels) / count == pytest.approx(5, abs=5 * 4 / math.sqrt(12 * count))  # uniform: standard errors
    assert channels["awgn"] / count == pytest.approx(0.75, abs=5 * math.sqrt(0.75 * 0.25 / count))


def test_what_is_sent_meets_the_noise_and_the_rate_that_were_drawn() -> None:
    small = {"widths": [8, 12], "depths": [0, 1], "heads": 2, "window": 4}
    settings = replace(SETTINGS, model="swin", network=small, rates=(2, 8, 8, 16), channels=("awgn",), groups=2)
    model, image, rng, rates = network(settings), torch.rand(2, 3, 16, 16, generator=generator()), generator(), []
    with torch.no_grad():
        for _ in range(60):
            sent, received, rate = over_channels(model, image, settings, rng, bf16=False)
            assert sent.shape == (2, channel_uses((3, 16, 16), rate / 48))
            assert received.n0[0, 0] != received.n0[1, 0]
            assert esno_to_n0(21) <= received.n0.min() <= received.n0.max() <= esno_to_n0(-1)
            rates.append(rate)
    assert set(rates) == {2, 8, 16}
    assert rates.count(8) == max(map(rates.count, rates))


def test_evening_out_weighs_by_noise_and_rate() -> None:
    settings = replace(SETTINGS, esno_db=(10.0, 10.0), channels=("awgn",))
    image, n0 = torch.rand(4, 3, 16, 16, generator=generator()), torch.full((1, 1), 0.1)
    model = network(settings)
    even, plain = (
        batch_loss(model, image, replace(settings, even_out=flag), generator()).item() for flag in (True, False)
    )
    assert even == pytest.approx(plain * importance(n0).item(), rel=1e-4)


def test_bf16_is_what_the_convolutions_work_in() -> None:
    seen = []
    for precision in ("float32", "bf16"):
        settings = replace(SETTINGS, precision=precision)
        model = network(settings)
        assert isinstance(model, nn.Module)
        kinds: list[torch.dtype] = []
        for name, layer in model.named_modules():
            if name in ("to_symbols", "to_pixels"):
                layer.register_forward_hook(lambda _layer, _given, out, kinds=kinds: kinds.append(out.dtype))
        batch_loss(model, torch.rand(4, 3, 16, 16, generator=generator()), settings, generator())
        seen.append(kinds)
    assert seen == [[torch.float32] * 2, [torch.bfloat16] * 2]


def test_what_is_kept_for_validation_is_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 32, 32)
    monkeypatch.setattr(loading, "cifar10_bytes", lambda split: {"train": images}[split])
    settings = replace(SETTINGS, photographs=0, large_photographs=0, validation=3)
    got = training_images(settings)
    assert (got.small[:, 0, 0, 0].tolist(), got.validation[:, 0, 0, 0].tolist()) == ([*range(7)], [7, 8, 9])
    with pytest.raises(DataError, match="validation=10 must be below 10"):
        training_images(replace(settings, validation=10))


def test_photographs_are_kept_for_validation_and_cropped_as_large_as_asked(tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (80, 70), (i, i, i)).save(tmp_path / f"{i}.png")
    settings = replace(SETTINGS, cifar10=False, photographs=0, images=str(tmp_path))
    settings = replace(settings, large_photographs=5, large_side=64, large_share=1.0, large_validation=1)
    got = training_images(settings)
    assert (got.large.shape, got.validation.shape) == ((5, 3, 64, 64), (1, 3, 64, 64))
    assert (got.large[:, 0, 0, 0].tolist(), got.validation[:, 0, 0, 0].tolist()) == ([0, 0, 0, 1, 1], [2])
    assert {draw_batch(got, settings, generator(i)).shape[2] for i in range(20)} == {32, 64}
    with pytest.raises(DataError, match="large_validation=3 must be below 3"):
        training_images(replace(settings, large_validation=3))
    with pytest.raises(DataError, match="no training images"):
        training_images(replace(settings, large_share=0.5))


def test_a_network_takes_its_statistics_from_the_images(tmp_path: Path) -> None:
    large = torch.randint(0, 256, (3, 3, 64, 64), generator=generator()).to(torch.uint8)
    network = {"widths": [2, 4, 4, 6], "heads": 2, "window": 4}
    settings = Settings("photo", model="swin-photo", network=network, large_share=1.0, ema=0.9, batch=4, rates=(3,))
    run, data = Run(settings, tmp_path), DATA._replace(large=large)
    run.fit(data)
    assert run.average["linear.mean"].equal(run.model.state_dict()["linear.mean"])
    assert run.average["linear.mean"].abs().sum() > 0
    assert math.isfinite(run.advance(data))
    run.save()
    assert Run(settings, tmp_path).step == 1


def test_half_of_the_batches_are_mirrored() -> None:
    ramp = torch.arange(32, dtype=torch.uint8).expand(1, 3, 32, 32)
    data = DATA._replace(small=ramp)
    mirrored = [bool(draw_batch(data, SETTINGS, generator(i))[0, 0, 0, 0] > 0) for i in range(400)]
    assert sum(mirrored) == pytest.approx(200, abs=5 * 10)


def test_the_log_has_each_figure_under_its_own_esno() -> None:
    black = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    figures = validate(lambda image, esno_db: image + (esno_db + 1) / 255, black)
    assert figures == pytest.approx({level: 20 * math.log10(255 / (level + 1)) for level in ESNO_DB})
