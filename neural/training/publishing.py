"""What a training hands out at its end: weights in float16, and the card of what they are."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import nn

from semlink.neural import zoo
from semlink.neural.classifiers import TaskCard, TaskLink, write_task_card
from semlink.neural.diffusion import ReceiverCard, write_receiver_card
from semlink.neural.models import Network, parameters
from semlink.neural.prompts import PromptCard, write_prompt_card
from semlink.neural.training.described import describe_channels, describe_data
from semlink.neural.training.inputs import Contents
from semlink.neural.training.recipe import PROMPTS, STAGES, Settings, defaults


def publish(
    settings: Settings, model: nn.Module, out: Path, contents: Contents, step: int, *, command: str = ""
) -> Path:
    """Write the weights and their card, as `neural/weights/` and its folders hold them.

    Args:
        settings: what it was trained by.
        model: the network.
        out: the folder.
        contents: what it was trained on.
        step: how many steps were taken.
        command: that was run; "" where Python has called `train`.

    Returns:
        the path of the weights.
    """
    weights, command = out / f"{settings.name}.safetensors", command_of(settings, out, command)
    zoo.write_weights(model, weights)
    if settings.task == "codec":
        zoo.write_card(_codec_card(settings, cast(Network, model), contents, weights, command), out)
    elif settings.task in STAGES:
        write_task_card(_task_card(settings, cast(TaskLink, model), contents, weights, command), out)
    elif settings.task == PROMPTS:
        write_prompt_card(_prompt_card(settings, model, contents, weights, step, command), out)
    else:
        write_receiver_card(_receiver_card(settings, model, contents, weights, command), out)
    return weights


def command_of(settings: Settings, out: Path, command: str) -> str:
    """What trained it: the command that was run, or the call in Python; the stages before it come first."""
    command = command or _call_of(settings, out)
    earlier = zoo.earlier_training(settings.init)
    return f"{earlier.command}; {command}" if earlier.command else command


def _call_of(settings: Settings, out: Path) -> str:
    changed = [f"{name}={value!r}" for name, usual in defaults().items() if (value := getattr(settings, name)) != usual]
    return f"train(Settings({', '.join([repr(settings.name), *changed])}), Path({str(out)!r}))"


def _range_of(settings: Settings) -> tuple[float, float]:
    """The lowest and highest Es/N0 in dB that it was trained at, in any of its stages."""
    ends = [*settings.esno_db, *(zoo.earlier_training(settings.init).esno_db or ())]
    return min(ends), max(ends)


def _codec_card(settings: Settings, model: Network, contents: Contents, weights: Path, command: str) -> zoo.Card:
    module = cast(nn.Module, model)
    return zoo.Card(
        name=settings.name,
        codec=settings.model,
        ratio=model.ratio,
        ratios=zoo.ratios_of(module),
        network=dict(settings.network),
        parameters=parameters(module),
        data=describe_data(settings, contents),
        channel=describe_channels(settings),
        command=command,
        sha256=zoo.sha256(weights),
        esno_db=_range_of(settings),
    )


def _task_card(settings: Settings, model: TaskLink, contents: Contents, weights: Path, command: str) -> TaskCard:
    return TaskCard(
        name=settings.name,
        model=settings.model,
        network=dict(settings.network),
        parameters=parameters(model),
        multiply_adds=model.multiply_adds,
        teacher=settings.teacher or "none",
        data=describe_data(settings, contents),
        channel="none" if settings.task == "distil" else describe_channels(settings),
        command=command,
        sha256=zoo.sha256(weights),
        esno_db=None if settings.task == "distil" else _range_of(settings),
    )


def _prompt_card(
    settings: Settings, model: nn.Module, contents: Contents, weights: Path, step: int, command: str
) -> PromptCard:
    return PromptCard(
        name=settings.name,
        model=settings.model,
        network=dict(settings.network),
        parameters=parameters(model),
        steps=f"{step:,} of {settings.steps:,}, {settings.batch} tiles each",
        data=describe_data(settings, contents),
        command=command,
        sha256=zoo.sha256(weights),
    )


def _receiver_card(
    settings: Settings, model: nn.Module, contents: Contents, weights: Path, command: str
) -> ReceiverCard:
    return ReceiverCard(
        name=settings.name,
        model=settings.model,
        network=dict(settings.network),
        parameters=parameters(model),
        task=settings.task,
        codec=settings.codec,
        data=describe_data(settings, contents),
        channel=describe_channels(settings),
        command=command,
        sha256=zoo.sha256(weights),
        esno_db=_range_of(settings),
    )
