"""Recipes: all that decides the weights of a model, as TOML files of the fields of `Settings`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semlink.neural.classifiers import TASK_MODELS, build_task, read_architecture
from semlink.neural.diffusion import TASKS, build_receiver, find_receiver
from semlink.neural.models import RateAdaptive, build
from semlink.neural.prompts import PROMPT_MODELS, build_prompt_model
from semlink.phy.channels import AWGN, Rayleigh, parse_channel
from semlink.phy.documents import in_short, read_toml
from semlink.phy.link import Channel
from semlink.phy.parameters import check_choice
from semlink.phy.plain import plain
from semlink.phy.rng import probe

CHANNELS: Mapping[str, Channel] = {
    "awgn": AWGN(),
    "rayleigh-block": Rayleigh("block"),
    "rayleigh-16": Rayleigh(16),
    "rayleigh-fast": Rayleigh("fast"),
}
"""Channels that a recipe may name in short; any other is a specification, as `--channel` of `semlink compare` takes."""
MOST_COUNT = 2**32 - 1  # of steps, images and the like, and the largest seed
SMALL = 32  # pixels a side, as CIFAR-10's
UNIT = 48  # pixel values for which `rates` counts the symbols
MOST_DB = 100  # of Es/N0, either way: far beyond what the networks tell apart
LOSSES = ("mse", "ms-ssim", "st-lpips", "l1")
STAGES = ("distil", "robust")  # of the training of a task codec
PROMPTS = "prompts"  # the training of a model of prompts
TASK_LOSSES = ("features", "logits", "labels")
CHOICES = {
    "task": ("codec", *TASKS, *STAGES, PROMPTS),
    "optimiser": ("muon", "adam"),
    "schedule": ("cosine", "constant", "drop"),
    "precision": ("float32", "bf16"),
    "device": ("cpu", "cuda"),
    "labelled": ("cifar10", "cifar100"),
}


@dataclass(frozen=True)
class Settings:
    """All that decides the weights."""

    name: str
    model: str = "deepjscc"
    network: Mapping[str, Any] = field(default_factory=dict)  # arguments of the model's class
    steps: int = 40_000
    schedule_minutes: float = 0.0  # of training, by which it ends too if that is sooner; other weights each time
    batch: int = 64  # images a step, over all processes
    groups: int = 8  # parts of a batch, each with a channel and an Es/N0 of its own
    optimiser: str = "muon"  # for the hidden weights, and Adam for the rest; or "adam" for all
    lr_conv: float = 4e-3  # of Muon
    lr: float = 1e-3  # of Adam
    weight_decay: float = 0.0  # of Adam, as an L2 penalty
    clip: float = 1.0  # the norm to which gradients are cut; 0 for none
    schedule: str = "cosine"  # down to 0; or "constant"; or "drop" to a tenth from 64 % of the steps on
    warmup: int = 500
    ema: float = 0.0  # decay of the average of the weights that is published; 0 for the weights themselves
    init: str = ""  # weights to start from: a path seen from the working folder, or zoo:NAME; none for random ones
    anew: tuple[str, ...] = ()  # parts that start at random all the same: a head, or decoder.coarse.2 of a deeper one
    parts: tuple[str, ...] = ()  # of the network that learn, the others stay as `init` has them; empty for all
    seed: int = 0  # below 2^32
    threads: int = 1  # of the CPU; another number rounds otherwise, and gives other weights
    device: str = "cpu"
    precision: str = "float32"  # or bf16 for the convolutions (autocast)
    channels_last: bool = False
    compile: bool = False
    loss: Mapping[str, float] = field(default_factory=lambda: {"mse": 1.0})  # weights of the parts
    even_out: bool = True  # weigh errors so that every Es/N0 and rate counts alike
    rates: tuple[int, ...] = ()  # symbols for each 48 pixel values, drawn a step; empty for the model's own ratio
    esno_db: tuple[float, float] = (-1.0, 21.0)  # drawn uniformly; a little beyond the 0 … 20 dB of use
    # `CHANNELS` and specifications such as "tdl-b:ds=300ns"; one more often than another is drawn more often
    channels: tuple[str, ...] = ("awgn", "awgn", "awgn", "rayleigh-block", "rayleigh-16", "rayleigh-fast")
    cifar10: bool = True  # its 50,000 training images
    photographs: int = 25_000  # 32x32 crops of natural photographs beside them
    large_photographs: int = 3_000  # large crops of them
    large_side: int = 128  # pixels a side of a large crop
    large_scale: float = 2.0  # how much larger than that a crop may be taken, to be resized
    large_validation: int = 0  # photographs, the last ones, that are kept from training: large crops are measured
    large_share: float = 0.25  # of the steps: see `semlink.neural.training.data.draw_batch`
    images: str = ""  # a folder of photographs to crop; SEMLINK_DATA/natural1000 where it is empty
    validation: int = 0  # images of CIFAR-10's training set that are kept from training and measured, the last ones
    checkpoint_every: int = 500
    validate_every: int = 2_000
    task: str = "codec"  # what is trained: a codec, or a receiver behind a frozen one: see `TASKS`
    codec: str = ""  # the frozen one: zoo:NAME, or a weights file with its card beside it, or any name if it is given
    denoiser: str = ""  # of symbols, that a codec is trained behind, frozen: the name of a receiver, or a weights file
    teacher: str = ""  # of a task codec: see `semlink.neural.classifiers.find_teacher`; none where labels alone teach
    labelled: str = "cifar10"  # the images that a task codec learns from, or cifar100
    temperature: float = 4.0  # at which the teacher's logits are learnt
    mean_share: float = 0.25  # of a batch of tiles of a model of prompts: those whose mean is learnt
    shift: int = 0  # pixels that an image to be classified is moved by at most, each way

    def __post_init__(self) -> None:
        for one in fields(self):  # NumPy's numbers and lists, and paths, as Python's own
            value = plain(getattr(self, one.name))
            if isinstance(value, list):
                value = tuple(value)
            object.__setattr__(self, one.name, value)
        if isinstance(self.channels, str):
            object.__setattr__(self, "channels", (self.channels,))
        _check(self)
        if self.task in STAGES:
            _check_stage(self)
            return
        if self.task == PROMPTS:
            _check_prompts(self)
            return
        if self.task != "codec":
            _check_receiver(self)
            return
        if self.codec:
            raise ValueError(f"codec={self.codec!r} must be empty: task='codec' trains one and freezes none")
        model = build(self.model, self.network)
        _check_rates(self.rates, self.model, model)
        _check_parts(self, model)


def _check(settings: Settings) -> None:
    for name, allowed in CHOICES.items():
        check_choice(name, getattr(settings, name), allowed)
    for name in ("steps", "batch", "groups", "threads", "warmup", "checkpoint_every", "validate_every"):
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_COUNT:
            raise ValueError(f"{name}={value!r} must be a whole number from 1 to {MOST_COUNT}")
    for name in ("seed", "photographs", "large_photographs", "large_validation", "validation"):
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_COUNT:
            raise ValueError(f"{name}={value!r} must be a whole number from 0 to {MOST_COUNT}")
    side = settings.large_side
    if not isinstance(side, int) or isinstance(side, bool) or not 32 <= side <= 1024 or side % 32:
        raise ValueError(f"large_side={side!r} must be a multiple of 32 from 32 to 1024")
    if not _is_number(settings.large_scale) or not 1 <= settings.large_scale <= 16:
        raise ValueError(f"large_scale={settings.large_scale!r} must be a number from 1 to 16")
    if settings.validation and settings.large_validation:
        raise ValueError("validation and large_validation: one of them must be 0")
    for name, most in (
        ("lr", 1e3),
        ("lr_conv", 1e3),
        ("weight_decay", 1e3),
        ("clip", 1e9),
        ("schedule_minutes", 1e6),
        ("large_share", 1.0),
        ("mean_share", 1.0),
    ):
        value = getattr(settings, name)
        if not _is_number(value) or not 0 <= value <= most:
            raise ValueError(f"{name}={value!r} must be a number from 0 to {most:g}")
    if not _is_number(settings.temperature) or not 0.1 <= settings.temperature <= 100:
        raise ValueError(f"temperature={settings.temperature!r} must be a number from 0.1 to 100")
    if not isinstance(settings.shift, int) or isinstance(settings.shift, bool) or not 0 <= settings.shift <= 16:
        raise ValueError(f"shift={settings.shift!r} must be a whole number of pixels from 0 to 16")
    if not _is_number(settings.ema) or not 0 <= settings.ema < 1:
        raise ValueError(f"ema={settings.ema!r} must be a number from 0 to below 1")
    for name in ("channels_last", "compile", "even_out", "cifar10"):
        if not isinstance(getattr(settings, name), bool):
            raise ValueError(f"{name}={getattr(settings, name)!r} must be true or false")
    for name in ("name", "model", "init", "images", "codec", "denoiser", "teacher"):
        if not isinstance(getattr(settings, name), str):
            raise ValueError(f"{name}={getattr(settings, name)!r} must be a string")
    if settings.name in ("", "..") or settings.name != Path(settings.name).name:
        raise ValueError(f"name={settings.name!r} must be a file name without a folder")
    _check_lists(settings)


def _check_rates(rates: tuple[int, ...], name: str, model: nn.Module) -> None:
    if not rates:
        return
    if not isinstance(model, RateAdaptive):
        raise ValueError(f"rates={rates!r} must be empty: model {name} has one rate")
    low, high = round(UNIT * model.min_ratio), round(UNIT * model.max_ratio)
    if not low <= min(rates) <= max(rates) <= high:
        raise ValueError(f"rates={rates!r} must be, for {name}, whole numbers from {low} to {high}")


def _check_parts(settings: Settings, model: nn.Module) -> None:
    if settings.denoiser and find_receiver(settings.denoiser)[0].task != "cddm":
        raise ValueError(f"denoiser={settings.denoiser!r} must denoise symbols (task 'cddm'), not restore images")
    if not settings.parts:
        return
    having = [name for name, _ in model.named_children()]
    if unknown := sorted(set(settings.parts) - set(having)):
        raise ValueError(f"parts={', '.join(unknown)} must be among the network's parts: {', '.join(having)}")
    if not settings.init:
        raise ValueError("init='' must name weights: parts that do not learn would stay random")
    learning = {name.partition(".")[0] for name, values in model.named_parameters() if values.requires_grad}
    if not learning & set(settings.parts):
        said = ", ".join(name for name in having if name in learning)
        raise ValueError(f"parts={', '.join(settings.parts)} have nothing to learn; one must be among: {said}")
    begun = {part for part in settings.anew if part.partition(".")[0] in learning - set(settings.parts)}
    if random := sorted(begun):
        raise ValueError(f"anew={', '.join(random)} must be among parts too: what does not learn would stay random")


def _check_receiver(settings: Settings) -> None:
    check_choice("model", settings.model, TASKS[settings.task])
    build_receiver(settings.model, settings.network)
    if not settings.codec:
        raise ValueError(f"codec='' must name a codec: task={settings.task!r} trains a receiver behind a frozen one")


def _check_stage(settings: Settings) -> None:
    if settings.model not in TASK_MODELS:
        said = f"it must be one of: {', '.join(TASK_MODELS)}: other codecs give images, not logits"
        raise ValueError(f"model={settings.model!r} with task={settings.task!r}: {said}")
    build_task(settings.model, settings.network)
    if not settings.teacher and any(settings.loss.get(part) for part in ("features", "logits")):
        raise ValueError("teacher='' must name a teacher: loss has weights of its features or logits")
    if settings.codec or settings.rates:
        raise ValueError(f"codec and rates must be empty with task={settings.task!r}")
    if settings.precision != "float32":
        raise ValueError(f"precision={settings.precision!r} must be float32 with task={settings.task!r}")
    if not settings.cifar10:
        raise ValueError("cifar10=False must be true: a task codec learns from its labelled images")


def _check_prompts(settings: Settings) -> None:
    check_choice("model", settings.model, tuple(PROMPT_MODELS))
    model = build_prompt_model(settings.model, settings.network)
    if model.side != SMALL:
        raise ValueError(f"network: side={model.side} must be {SMALL}, as the training images")
    for name in ("codec", "teacher", "rates"):
        if getattr(settings, name):
            raise ValueError(f"{name}={getattr(settings, name)!r} must be empty with task={PROMPTS!r}")
    if settings.large_share:
        raise ValueError(f"large_share={settings.large_share!r} must be 0 with task={PROMPTS!r}: it learns from tiles")


def _check_lists(settings: Settings) -> None:
    _check_channels(settings)
    limits = settings.esno_db
    if not (isinstance(limits, tuple) and len(limits) == 2 and all(map(_is_number, limits))):
        raise ValueError(f"esno_db={limits!r} must be 2 numbers, the lower one first")
    if not -MOST_DB <= limits[0] <= limits[1] <= MOST_DB:
        raise ValueError(f"esno_db={limits!r} must be from -{MOST_DB} to {MOST_DB} dB, the lower one first")
    rates = settings.rates
    if not isinstance(rates, tuple) or not all(isinstance(k, int) and 1 <= k <= 16 for k in rates):
        raise ValueError(f"rates={rates!r} must be whole numbers from 1 to 16")
    anew = settings.anew
    if not isinstance(anew, tuple) or not all(isinstance(part, str) for part in anew) or (anew and not settings.init):
        raise ValueError(f"anew={anew!r} must be names of parts of the network, and init name weights to start from")
    parts = settings.parts
    if not isinstance(parts, tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"parts={parts!r} must be names of parts of the network")
    for name in ("parts", "denoiser"):
        if getattr(settings, name) and settings.task != "codec":
            raise ValueError(f"{name}={getattr(settings, name)!r} must be empty with task={settings.task!r}")
    loss = settings.loss
    allowed = TASK_LOSSES if settings.task in STAGES else LOSSES
    if not isinstance(loss, Mapping) or not loss or set(loss) - set(allowed):
        raise ValueError(f"loss={loss!r} must be a table of: {', '.join(allowed)}")
    if not all(_is_number(weight) and 0 <= weight < math.inf for weight in loss.values()) or not any(loss.values()):
        raise ValueError(f"loss={dict(loss)!r} must have finite weights from 0, not all of them 0")
    if not isinstance(settings.network, Mapping):
        raise ValueError(f"network={settings.network!r} must be a table")


def _check_channels(settings: Settings) -> None:
    channels = settings.channels
    if not isinstance(channels, tuple) or not channels or not all(isinstance(name, str) for name in channels):
        raise ValueError(f"channels={channels!r} must be some of: {', '.join(CHANNELS)}; or specifications of channels")
    for name in dict.fromkeys(channels):
        try:
            channel = channel_of(name)
        except ValueError as error:
            raise ValueError(f"channels={name!r} must be one of: {', '.join(CHANNELS)}; or: {error}") from error
        if settings.task in ("codec", *STAGES) and name not in CHANNELS and not is_differentiable(channel):
            raise ValueError(f"channels={name!r} lets no gradient through, which task={settings.task!r} needs")


@lru_cache(32)
def channel_of(name: str) -> Channel:
    """The channel that a recipe means by a name.

    Raises:
        ValueError: neither one of `CHANNELS` nor a specification of one in the catalogue.
    """
    return CHANNELS[name] if name in CHANNELS else parse_channel(name)


def is_differentiable(channel: Channel) -> bool:
    """Whether what arrives has a gradient by what was sent: of all channels but those that leave PyTorch on the way."""
    with torch.enable_grad():
        symbols = probe(1, 64).clone().requires_grad_()
        return channel(symbols, 0.1, rng=torch.Generator().manual_seed(0)).symbols.requires_grad


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > 1e300


def defaults() -> dict[str, Any]:
    """The settings that a recipe may leave out. A checkpoint of before a field was there is one with its default."""
    having = [one for one in fields(Settings) if one.default is not MISSING or one.default_factory is not MISSING]
    return {one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in having}


def read_recipe(path: str | Path, changes: Mapping[str, Any] = {}) -> Settings:
    """The settings in a TOML file, with some fields changed.

    Beside the fields of `Settings` it may have `architecture`, the path of a file of `read_architecture`, seen from the
    working folder, in place of the network's widths, blocks and cells.

    Raises:
        ValueError: the file is missing or no TOML, it has a field that `Settings` lacks or lacks one it needs, or a
            value is out of range.
    """
    try:
        values = {**read_toml(Path(path)), **changes}
    except (OSError, ValueError) as error:
        raise ValueError(f"recipe {path}: {in_short(error)}") from error
    allowed = [*(field.name for field in fields(Settings)), "architecture"]
    if unknown := set(values) - set(allowed):
        raise ValueError(f"recipe {path}: {', '.join(sorted(unknown))} must be among: {', '.join(allowed)}")
    if "name" not in values:
        raise ValueError(f"recipe {path}: lacks name")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        if "architecture" in given:
            given["network"] = _with_architecture(given.get("network", {}), given.pop("architecture"))
        return Settings(**given)
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error


def _with_architecture(network: object, path: object) -> dict[str, Any]:
    """The arguments of a network, those of the student from a file."""
    if not isinstance(path, str) or not isinstance(network, Mapping):
        raise ValueError(f"architecture={path!r} must be a path, and network a table")
    own = asdict(read_architecture(Path(path)))
    if twice := sorted(own.keys() & network.keys()):
        raise ValueError(f"architecture={path!r} says {', '.join(own)}; network must not say {', '.join(twice)}")
    return {**network, **own}
