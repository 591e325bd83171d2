"""What the training of a task codec minimises, in two stages, and how well it does on the way.

"distil": the student learns the teacher's features and logits and the labels, without a channel. "robust": student and
codec learn the same through channels drawn at random, sending as many tokens as is drawn for each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.classifiers import Seen, TaskLink
from semlink.neural.training.lessons import Lesson, Lessons, draw_lesson
from semlink.neural.training.losses import carry, draw_conditions
from semlink.neural.training.recipe import Settings
from semlink.phy.channels import AWGN
from semlink.phy.link import Received, esno_to_n0

ESNO_DB = (-10.0, -5.0, 0.0, 5.0, 10.0, 20.0)
"""Where a codec that is trained through the channel is measured."""
NO_CHANNEL = (float("inf"),)
"""Where the student alone is measured: without noise."""
AT_ONCE = 250


def levels_of(settings: Settings) -> tuple[float, ...]:
    """The Es/N0 in dB at which a training of a task is measured."""
    return NO_CHANNEL if settings.task == "distil" else ESNO_DB


def task_loss(
    model: TaskLink, lessons: Lessons, settings: Settings, rng: torch.Generator, *, share: int = 1
) -> Float[Tensor, ""]:
    """Mean loss of a batch for the settings' stage; `rng` is one of the CPU."""
    lesson = draw_lesson(lessons, settings, rng, share=share)
    if settings.task == "distil":
        seen = model.see_image(lesson.image)
    else:
        model.sent_tokens = drawn_tokens(model, rng)
        seen = model.see_received(sent_over(model, lesson.image, settings, rng))
        model.sent_tokens = model.tokens
    return taught_loss(seen, lesson, settings)


def taught_loss(seen: Seen, lesson: Lesson, settings: Settings) -> Float[Tensor, ""]:
    """The weighted sum of the distances from the teacher's features and logits and from the labels.

    Features by their squared error over the teacher's own mean square; logits by the Kullback-Leibler divergence at
    `settings.temperature`, times its square (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015);
    labels by cross-entropy.
    """
    soft, taught = settings.temperature, lesson.taught
    parts: Mapping[str, Callable[[], Tensor]] = {
        "features": lambda: F.mse_loss(seen.features, taught.features) / taught.features.square().mean(),
        "logits": lambda: (
            soft**2
            * F.kl_div(
                (seen.logits / soft).log_softmax(dim=1),
                (taught.logits / soft).log_softmax(dim=1),
                log_target=True,
                reduction="batchmean",
            )
        ),
        "labels": lambda: F.cross_entropy(seen.logits, lesson.label),
    }
    return torch.stack([weight * parts[name]() for name, weight in settings.loss.items() if weight]).sum()


def drawn_tokens(model: TaskLink, rng: torch.Generator) -> int:
    """How many tokens a batch sends: all of them every other time, else any number from the fewest."""
    fewest = model.least_uses // model.token_symbols
    some = fewest + int(torch.randint(model.tokens - fewest + 1, (), generator=rng))
    return model.tokens if torch.rand((), generator=rng) < 0.5 else some


def sent_over(model: TaskLink, image: Float[Tensor, "b 3 h w"], settings: Settings, rng: torch.Generator) -> Received:
    """What arrives of images, group by group over a channel and at an Es/N0 of its own, without bias."""
    conditions = draw_conditions(len(image), settings, rng)
    return carry(model.symbols(image, conditions.of_images(len(image)).to(image.device)), conditions, rng)


def accuracies(
    model: TaskLink, images: UInt8[Tensor, "v 3 h w"], labels: Int[Tensor, " v"], levels: tuple[float, ...]
) -> dict[float, float]:
    """The share of images that are classified right, by Es/N0 in dB over AWGN; at infinity by the student alone."""
    with torch.no_grad():
        return {level: _accuracy(model, images, labels, level) for level in levels}


def _accuracy(model: TaskLink, images: Tensor, labels: Tensor, esno_db: float) -> float:
    right, rng = 0, torch.Generator().manual_seed(0)
    for part, label in zip(torch.split(images, AT_ONCE), torch.split(labels, AT_ONCE), strict=True):
        image = part.float() / 255
        if esno_db == float("inf"):
            seen = model.see_image(image)
        else:
            n0 = esno_to_n0(esno_db)
            sent = model.symbols(image, torch.full((len(image),), n0, device=image.device))
            got = AWGN()(sent.cpu(), n0, rng=rng)  # the CPU's draws, whatever it is trained on
            seen = model.see_received(Received(got.symbols.to(image.device), got.n0.to(image.device)))
        right += int((seen.logits.argmax(dim=1).to(label.device) == label).sum())
    return right / len(images)
