"""Training a task codec: both stages, resumable; what is learnt, and from whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.neural.classifiers import Seen, load_task, read_task_card
from semlink.neural.training import Settings, lessons, read_recipe, train
from semlink.neural.training.lessons import Lesson, Lessons, answers, draw_lesson, moved
from semlink.neural.training.tasks import drawn_tokens, sent_over, task_loss, taught_loss
from semlink.phy.link import esno_to_n0

NETWORK = {"classes": 3, "features": 5, "tokens": 8, "token_symbols": 1, "width": 8, "seen_width": 8, "heads": 2}
NETWORK |= {"widths": [4, 6], "blocks": [1, 1], "depths": [1, 1]}
DISTIL = Settings(
    "tiny",
    task="distil",
    model="task",
    teacher="tiniest",
    network=NETWORK,
    loss={"features": 1.0, "logits": 1.0, "labels": 1.0},
    steps=6,
    batch=12,
    groups=3,
    warmup=2,
    ema=0.9,
    shift=1,
    checkpoint_every=2,
    validate_every=4,
)
ROBUST = replace(DISTIL, task="robust", esno_db=(-5, 20))
Weights = Callable[[Settings, Path, Lessons], dict[str, Tensor]]


@pytest.fixture(scope="module")
def taught() -> Lessons:
    """Images of three brightnesses, and a teacher that is sure of them."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    noise = torch.randint(60, (60, 3, 32, 32), generator=rng)
    images = (80 * labels[:, None, None, None] + noise).to(torch.uint8)
    logits = 6.0 * torch.nn.functional.one_hot(labels, 3).expand(2, 60, 3)
    features = torch.cat([logits, logits[..., :2]], dim=2).clone()
    return Lessons(images[:48], labels[:48], features[:, :48], logits[:, :48], images[48:], labels[48:])


@pytest.mark.parametrize("settings", [DISTIL, ROBUST], ids=lambda one: one.task)
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    settings: Settings, taught: Lessons, tmp_path: Path, weights: Weights, equal: Callable[..., bool]
) -> None:
    whole = weights(settings, tmp_path / "whole", taught)
    train(settings, tmp_path / "parts", data=taught, minutes=0)
    assert equal(weights(settings, tmp_path / "parts", taught), whole)
    with pytest.raises(ValueError, match="began with other contents: data: changed: labels"):
        train(settings, tmp_path / "parts", data=taught._replace(labels=taught.labels.flip(0)))


def test_both_stages_learn_and_leave_a_card(
    taught: Lessons, tmp_path: Path, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    first = replace(DISTIL, name="first", steps=40, lr_conv=2e-2, lr=1e-2, checkpoint_every=20, validate_every=20)
    path = train(first, tmp_path, data=taught)
    told = [float(row["accuracy_at_inf_db"]) for row in log(tmp_path)]
    assert told[-1] >= 0.9
    again = replace(first, name="second", task="robust", init=str(path), esno_db=(0, 20), steps=30)
    second = train(again, tmp_path / "second", data=taught)
    row = log(tmp_path / "second")[-1]
    assert float(row["accuracy_at_20_db"]) >= 0.9
    assert float(row["accuracy_at_20_db"]) >= float(row["accuracy_at_-10_db"])
    card = read_task_card(second.with_suffix(".json"))
    assert (card.teacher, card.model, card.name) == ("tiniest", "task", "second")
    assert [part[:23] for part in card.command.split("; ")] == ["train(Settings('first',", "train(Settings('second'"]
    assert card.channel.endswith("Es/N0 0 to 20 dB")
    assert (card.esno_db, read_task_card(path.with_suffix(".json")).esno_db) == ((0, 20), None)
    assert card.parameters == sum(value.numel() for value in load_task(second).parameters())


def lesson(logits: Tensor, label: Tensor) -> Lesson:
    return Lesson(torch.zeros(2, 3, 32, 32), label, Seen(torch.full((2, 5), 2.0), logits))


def test_the_loss_is_the_distance_from_teacher_and_labels() -> None:
    logits, label = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([0, 1])
    asked = lesson(logits, label)
    for weights, seen, expected in (
        ({"features": 1.0, "logits": 1.0}, asked.taught, 0.0),
        ({"features": 3.0}, Seen(torch.ones(2, 5), logits), 3 * 0.25),
        ({"labels": 1.0}, Seen(torch.ones(2, 5), torch.zeros(2, 3)), math.log(3)),
    ):
        assert float(taught_loss(seen, asked, replace(DISTIL, loss=weights))) == pytest.approx(expected, abs=1e-6)
    even = Seen(torch.ones(2, 5), torch.zeros(2, 3))
    for soft in (1.0, 4.0):
        shares = (logits / soft).softmax(dim=1)
        expected = soft**2 * float((shares * (shares * 3).log()).sum(dim=1).mean())
        settings = replace(DISTIL, loss={"logits": 1.0}, temperature=soft)
        assert float(taught_loss(even, asked, settings)) == pytest.approx(expected, rel=1e-5)


def test_an_image_keeps_its_own_answers_when_it_is_mirrored_and_moved(taught: Lessons) -> None:
    """The answer to a mirrored image is another one; here it says so."""
    marked = taught.features.clone()
    marked[1] += 100
    ramp = torch.arange(32, dtype=torch.uint8).expand(48, 3, 32, 32)
    drawn = draw_lesson(taught._replace(features=marked, small=ramp), replace(DISTIL, batch=40), torch.Generator())
    mirrored = drawn.image[:, 0, 0, 10] > drawn.image[:, 0, 0, 20]
    assert torch.equal(mirrored, drawn.taught.features[:, 0] > 50)
    assert 5 < int(mirrored.sum()) < 35
    assert torch.equal(drawn.taught.logits.argmax(dim=1), drawn.label)


def test_images_move_each_by_its_own() -> None:
    image = torch.rand(20, 3, 32, 32)
    got = moved(image, 2, torch.Generator().manual_seed(0))
    inner, found = slice(2, 30), set()
    for one, was in zip(got, image, strict=True):
        fitting = [
            (i, j)
            for i in range(-2, 3)
            for j in range(-2, 3)
            if torch.equal(one[:, inner, inner], was.roll((i, j), dims=(1, 2))[:, inner, inner])
        ]
        assert len(fitting) == 1
        found |= set(fitting)
    assert len(found) > 8
    assert moved(image, 0, torch.Generator()) is image


def test_batches_send_a_quarter_of_the_tokens_to_all_of_them(taught: Lessons) -> None:
    codec = load_small()
    rng = torch.Generator().manual_seed(0)
    counts = [drawn_tokens(codec, rng) for _ in range(300)]
    assert set(counts) == set(range(2, 9))
    assert 0.4 < counts.count(8) / 300 < 0.7
    codec.sent_tokens = 3
    got = sent_over(codec, taught.small[:12].float() / 255, replace(ROBUST, channels=("awgn",)), rng)
    assert got.symbols.shape == (12, 3)
    low, high = (esno_to_n0(level) for level in (20.0, -5.0))
    assert len(set(got.n0[:, 0].tolist())) == 3
    assert all(low <= value <= high for value in got.n0.flatten().tolist())
    task_loss(codec, taught, ROBUST, rng)
    assert codec.sent_tokens == codec.tokens


def load_small() -> object:
    from semlink.neural.classifiers import build_task

    return build_task("task", NETWORK)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which teachers were asked for."""
    names: list[str] = []

    class Bright:
        features, classes = 2, 3

        def __call__(self, image: Tensor) -> Seen:
            left = image[..., :16].mean(dim=(1, 2, 3))
            return Seen(left[:, None].repeat(1, 2), left[:, None].repeat(1, 3))

    def load(name: str) -> Bright:
        names.append(name)
        return Bright()

    monkeypatch.setattr(lessons, "find_teacher", load)
    return names


def test_a_teacher_is_asked_once(asked: list[str], tmp_path: Path) -> None:
    images = torch.zeros(7, 3, 32, 32, dtype=torch.uint8)
    images[3, :, :, 16:] = 255
    first = answers("bright", images, tmp_path / "kept.safetensors")
    again = answers("bright", images, tmp_path / "kept.safetensors")
    assert asked == ["bright"]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[0][:, 3, 0].tolist() == [0, 1]  # the mirrored one is bright on the left
    answers("bright", 255 - images, tmp_path / "kept.safetensors")
    answers("other", 255 - images, tmp_path / "kept.safetensors")
    assert asked == ["bright", "bright", "other"]
    (tmp_path / "kept.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"kept\.safetensors: damaged .*; remove it to ask the teacher anew"):
        answers("bright", images, tmp_path / "kept.safetensors")


def test_a_teacher_of_other_classes_is_refused(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "cifar10_bytes", lambda split: torch.zeros(20, 3, 32, 32, dtype=torch.uint8))
    monkeypatch.setattr(lessons, "cifar10_labels", lambda split: torch.arange(20) % 10)
    with pytest.raises(ValueError, match="teacher='tiniest' tells 3 classes apart; CIFAR-10 has 10"):
        train(DISTIL, tmp_path)
    with pytest.raises(ValueError, match="validation=20 must be below 20"):
        train(replace(DISTIL, validation=20), tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = 'deepjscc'\nnetwork = {cell_symbols = 8}", "other codecs give images, not logits"),
        ("model = 'task'\nloss = {features = 1}", "teacher='' must name a teacher"),
        ("model = 'task'\nlabelled = 'mnist'", "labelled='mnist' must be one of: cifar10, cifar100"),
        ("model = 'task'\nteacher = 'tiniest'\nnetwork = {tokens = 5}", "tokens=5 must be a multiple of 4"),
        ("model = 'task'\nteacher = 'tiniest'\nrates = [8]", "codec and rates must be empty"),
        ("model = 'task'\nteacher = 'tiniest'\ncifar10 = false", "cifar10=False must be true"),
        ("model = 'task'\nteacher = 'tiniest'\nprecision = 'bf16'", "precision='bf16' must be float32"),
        ("model = 'task'\nteacher = 'tiniest'\ntemperature = 0", "temperature=0 must be a number from 0.1 to 100"),
        ("model = 'task'\nteacher = 'tiniest'\nshift = 17", "shift=17 must be a whole number of pixels from 0 to 16"),
        ("model = 'task'\nteacher = 'tiniest'\nloss = {mse = 1}", "must be a table of: features, logits, labels"),
    ],
)
def test_recipes_that_teach_nothing_are_refused(tmp_path: Path, text: str, said: str) -> None:
    loss = "" if "loss" in text else "loss = {labels = 1}\n"
    (tmp_path / "recipe.toml").write_text(f"name = 'x'\ntask = 'distil'\n{loss}{text}\n")
    with pytest.raises(ValueError, match="recipe") as error:
        read_recipe(tmp_path / "recipe.toml")
    assert said in str(error.value)
