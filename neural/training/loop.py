"""Train a network: `semlink train RECIPE.toml --out RUN`, resumable at any kill with the same result.

Every step draws from a generator seeded by (seed, step), so a run continued from its checkpoint takes the very steps
of an uninterrupted one; on one CPU, with one number of threads, the weights are the same bit for bit. Under
`torchrun --no-python --nproc-per-node N semlink train …` each of N processes takes its share of every batch.
"""

from __future__ import annotations

import io
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist

from semlink.neural import zoo
from semlink.neural.classifiers import TaskLink, build_task
from semlink.neural.diffusion import SFT, build_receiver, load_codec
from semlink.neural.models import Fitted, Network, RateAdaptive, build
from semlink.neural.prompts import PromptAutoencoder, build_prompt_model
from semlink.neural.training.beforehand import (
    check_memory,
    check_own,
    least_images,
    local_processes,
    measure,
    warn_of_slow_bf16,
)
from semlink.neural.training.data import Data, draw_batch, training_images
from semlink.neural.training.inputs import changed_contents, changed_settings, contents_of
from semlink.neural.training.lessons import Lessons, task_lessons
from semlink.neural.training.losses import batch_loss
from semlink.neural.training.measuring import Gauge
from semlink.neural.training.optimising import average_over_processes, make_optimisers, schedule
from semlink.neural.training.prompts import fit_prompt_model, prompt_loss
from semlink.neural.training.publishing import publish
from semlink.neural.training.receivers import load_denoiser, only, receiver_loss
from semlink.neural.training.recipe import PROMPTS, STAGES, Settings, defaults
from semlink.neural.training.runlog import Log
from semlink.neural.training.tasks import task_loss
from semlink.phy.link import Codec
from semlink.phy.named import FORM
from semlink.phy.progress import progress_of

CHECKPOINT_MINUTES = 10.0
FIT_IMAGES = 250  # that a network takes statistics from before the first step
ANEW = "choose another folder or remove it"


class TrainingError(ValueError):
    """A training that cannot go on; the message says why and what is kept."""


class Run:
    """A training in a folder: the network, its optimisers and average, and the checkpoint they are kept in."""

    def __init__(self, settings: Settings, out: Path, codec: Codec | None = None) -> None:
        self.settings, self.out, self.step = settings, out, 0
        self.spent_s, self.begun = 0.0, time.monotonic()  # of `schedule_minutes`; since when the clock runs
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        torch.manual_seed(settings.seed)  # for the initial weights alone
        self.model = self._build()
        if settings.init:
            zoo.read_weights(self.model, zoo.find_weights(settings.init), anew=settings.anew)
        self.model.to(self.device)
        self.codec = self._frozen(codec)
        self.denoiser = load_denoiser(settings.denoiser, self.model, self.device) if settings.denoiser else None
        self.contents: dict[str, dict[str, str]] = {}  # of what the weights depend on beside the settings
        if settings.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers = make_optimisers(self.model, settings)
        floats = {key: value for key, value in self.model.state_dict().items() if value.is_floating_point()}
        self.average = {key: value.clone() for key, value in floats.items()} if settings.ema else {}
        self._resume()
        if settings.compile:
            for part in self.model.children():
                part.compile()

    @property
    def device(self) -> str:
        """Where the network lives."""
        return self.settings.device if self.settings.device == "cpu" else f"cuda:{os.environ.get('LOCAL_RANK', '0')}"

    @property
    def network(self) -> Network:
        """The network as what it is beside a module."""
        return cast(Network, self.model)

    @property
    def checkpoint(self) -> Path:
        """The file that the training goes on from."""
        return self.out / "checkpoint.pt"

    def take(self, data: Data | Lessons) -> None:
        """Note of what the images, the first weights and the codec consist: `save` keeps it.

        Raises:
            ValueError: the checkpoint that the training goes on from began with others; the message names them.
        """
        now = contents_of(self.settings, data, self.codec, self.denoiser)
        changed = changed_contents(self.contents, now, self.settings) if self.contents else []
        if changed:
            said = "; ".join(changed)
            raise ValueError(f"checkpoint {self.checkpoint} began with other contents: {said}; {ANEW}")
        if self.step and not self.contents and not self.rank:
            said = f"is of before contents were kept: whether {', '.join(now)} are those it began with is not known"
            warnings.warn(f"checkpoint {self.checkpoint} {said}", stacklevel=3)
        self.contents = now

    def advance(self, data: Data | Lessons) -> float:
        """Take one step; return its loss.

        Raises:
            TrainingError: the loss or its gradient is not finite.
        """
        settings, step = self.settings, self.step + 1
        self._read_clock()
        # A process's own draws; the CPU's generator heeds 32 bits of a seed.
        rng = torch.Generator().manual_seed(settings.seed * 1_000_000_007 + step + 100_000_007 * self.rank)
        loss = self._loss(data, rng, model=self.model, settings=settings, share=self.world)
        self.model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        if self.world > 1:
            average_over_processes(gradients)
        norm = nn.utils.get_total_norm(gradients)
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            raise TrainingError(
                f"step {step}: loss {loss.item():g}, its gradient {norm.item():g}: training stops. "
                f"{self._kept()}; try a lower lr and lr_conv"
            )
        if settings.clip:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), settings.clip, norm)
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * schedule(step, settings, self.passed_at(step))
            optimiser.step()
        self.step = step
        if self.average:
            self._average()
        return loss.item()

    def fit(self, data: Data | Lessons) -> None:
        """Let a network, or the parts of one that begin anew, take from the images what they take from images."""
        init, anew = self.settings.init, self.settings.anew
        if self.step or (init and not anew) or not isinstance(self.model, Fitted) or isinstance(data, Lessons):
            return
        whole = {key: value.clone() for key, value in self.model.state_dict().items()}
        given = {key: value for key, value in whole.items() if init and not zoo.is_within(key, anew)}
        if isinstance(self.model, PromptAutoencoder):
            fit_prompt_model(self.model, data)
        else:
            images = data.large if len(data.large) else data.small
            self.model.fit(images[:: -(-len(images) // FIT_IMAGES)].float() / 255)
        self.model.load_state_dict(given, strict=False)
        state = self.model.state_dict()
        self.average = {key: state[key].clone() for key in self.average}

    def check(self, data: Data | Lessons) -> None:
        """See before the first step whether a network of one's own can be trained, and whether memory suffices.

        Raises:
            ValueError: it cannot, or a step needs more memory than there is.
        """
        settings = self.settings
        least = 1 if isinstance(data, Lessons) else least_images(settings, len(data.large))
        unit = 1 if len(data.small) else least

        def loss(count: int) -> Tensor:
            part = replace(settings, batch=count, large_share=0.0 if len(data.small) else 1.0)
            return self._loss(data, torch.Generator().manual_seed(0), model=model, settings=part)

        with torch.random.fork_rng([] if self.device == "cpu" else [self.device]):
            model = self._build().to(self.device)  # another one: what counts or averages is not to be moved
            model.load_state_dict(self.model.state_dict())
            if settings.task == "codec" and FORM.fullmatch(settings.model):
                images = data.small if isinstance(data, Lessons) or len(data.small) else data.large
                check_own(model, settings.model, images[:2].float() / 255)
            need = measure(model, loss, unit=unit)
        check_memory(need, settings, least=least, device=self.device, processes=local_processes())

    def passed_at(self, step: int) -> float:
        """How much of the training is over at a step, up to 1: by steps, or by minutes where these end it sooner."""
        minutes = self.settings.schedule_minutes
        return min(1.0, max(step / self.settings.steps, self.spent_s / (60 * minutes) if minutes else 0.0))

    def _read_clock(self) -> None:
        """Note the time spent so far, the same in every process."""
        if not self.settings.schedule_minutes:
            return
        now = time.monotonic()
        self.spent_s, self.begun = self.spent_s + now - self.begun, now
        if self.world > 1:
            told = torch.tensor(self.spent_s, dtype=torch.float64, device=self.device)
            dist.broadcast(told, 0)
            self.spent_s = told.item()

    def save(self) -> None:
        """Write the checkpoint beside the one before and put it in its place, which a full disk cannot half do.

        Raises:
            TrainingError: it cannot be written, or the weights are not finite; the checkpoint before stays.
        """
        if not all(bool(value.isfinite().all()) for value in self.model.state_dict().values()):
            raise TrainingError(f"step {self.step}: weights are not finite: training stops. {self._kept()}")
        state: dict[str, Any] = {"settings": asdict(self.settings), "step": self.step, "spent_s": self.spent_s}
        state |= {"contents": self.contents, "model": self.model.state_dict(), "average": self.average}
        state["optimisers"] = [optimiser.state_dict() for optimiser in self.optimisers]
        partial = self.checkpoint.with_suffix(".part")
        packed = io.BytesIO()  # torch.save into a file would turn a full disk into words about its own insides
        torch.save(state, packed)
        try:
            with partial.open("wb") as file:
                file.write(packed.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.checkpoint)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise TrainingError(f"checkpoint {self.checkpoint}: {error}. {self._kept()}") from error

    def averaged(self) -> nn.Module:
        """A copy of the network on the CPU, with the averaged weights where there is an average."""
        model = self._build()
        model.load_state_dict({**self.model.state_dict(), **self.average})  # what counts things has no average
        return model.eval().requires_grad_(False)

    def _build(self) -> nn.Module:
        settings = self.settings
        if settings.task == "codec":
            return only(settings.parts, build(settings.model, settings.network))
        if settings.task in STAGES:
            return build_task(settings.model, settings.network)
        if settings.task == PROMPTS:
            return build_prompt_model(settings.model, settings.network)
        model = build_receiver(settings.model, settings.network)
        if settings.task == "sft-2":
            cast(SFT, model).oracle.requires_grad_(False)
        return model

    def _frozen(self, codec: Codec | None) -> Codec | None:
        """The codec in front of a receiver: the given one, or that of the settings."""
        if self.settings.task in ("codec", *STAGES, PROMPTS):
            return None
        codec = load_codec(self.settings.codec) if codec is None else codec
        if self.settings.rates and not isinstance(codec, RateAdaptive):
            raise ValueError(f"rates={self.settings.rates!r} must be empty: {self.settings.codec} has one rate")
        if isinstance(codec, nn.Module):
            codec.to(self.device).eval().requires_grad_(False)
        return codec

    def _loss(
        self, data: Data | Lessons, rng: torch.Generator, *, model: nn.Module, settings: Settings, share: int = 1
    ) -> Tensor:
        if isinstance(data, Lessons):
            return task_loss(cast(TaskLink, model), data, settings, rng, share=share)
        image = draw_batch(data, settings, rng, share=share)
        if isinstance(model, PromptAutoencoder):
            return prompt_loss(model, image, rng, mean_share=settings.mean_share)
        if self.codec is None:
            return batch_loss(cast(Network, model), image, settings, rng, self.denoiser)
        return receiver_loss(model, self.codec, image, settings, rng)

    def _average(self) -> None:
        # At first the average follows closely: it forgets the random weights.
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        state = self.model.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [state[key] for key in self.average], 1 - decay)

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            return
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
            if not (changed := changed_settings(defaults() | dict(state["settings"]), asdict(self.settings))):
                self._restore(state)
        except Exception as error:  # a damaged file, or one of another kind, raises any of a dozen types
            raise ValueError(f"checkpoint {self.checkpoint} is damaged ({error!r}); remove it to begin anew") from error
        if changed:
            raise ValueError(f"checkpoint {self.checkpoint} is of other settings: {'; '.join(changed)}; {ANEW}")

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.contents = {name: dict(parts) for name, parts in state.get("contents", {}).items()}
        self.step, self.spent_s = int(state["step"]), float(state.get("spent_s", 0.0))

    def _kept(self) -> str:
        return f"{self.checkpoint} is the last good one" if self.checkpoint.is_file() else "there is no checkpoint yet"


def train(
    settings: Settings,
    out: Path,
    *,
    data: Data | Lessons | None = None,
    codec: Codec | None = None,
    minutes: float = math.inf,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    command: str = "",
) -> Path:
    """Train, or go on from `out/checkpoint.pt`, and write `out/NAME.safetensors` and its card; return its path.

    A receiver is trained behind the frozen `codec`, where one is given (any `Codec`, such as a digital one, of which
    `settings.codec` is then but the name), or behind the one that `settings.codec` finds.

    Beside them lie `log.csv` (the mean loss since the row before, PSNR in dB of the validation images by channel and
    Es/N0) and, at each validation, a picture in `samples/`. There is a checkpoint every `settings.checkpoint_every`
    steps and no later than `checkpoint_minutes` after the one before. After `minutes` the training stops with a
    checkpoint, and what is written are the weights so far. The card tells the `command` that was run, or this call
    where there is none.

    Raises:
        TrainingError: the loss is no longer finite, or the checkpoint cannot be written; the one before is kept.
        ValueError: the checkpoint in `out` is of other settings, or of images, first weights or a codec of other
            contents, the weights to start from do not fit, or a step needs more memory than there is.
        DataError: the training data are not to be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    if joined := _join(settings):
        dist.init_process_group("nccl" if settings.device == "cuda" else "gloo")
    try:
        torch.set_num_threads(settings.threads)
        if settings.device == "cuda":
            _prepare_gpu()
        run = Run(settings, out, codec)
        data = (_data(settings, out) if data is None else data).to(run.device)
        run.take(data)
        run.fit(data)
        if run.passed_at(run.step) < 1:
            warn_of_slow_bf16(settings)
            run.check(data)
        _loop(run, data, time.monotonic() + 60 * minutes, 60 * checkpoint_minutes)
        return (
            publish(settings, run.averaged(), run.out, run.contents, run.step, command=command)
            if run.rank == 0
            else out / f"{settings.name}.safetensors"
        )
    finally:
        torch.set_num_threads(threads)
        if joined:
            dist.destroy_process_group()


def _data(settings: Settings, out: Path) -> Data | Lessons:
    return task_lessons(settings, out) if settings.task in STAGES else training_images(settings)


def _loop(run: Run, data: Data | Lessons, deadline: float, between_s: float) -> None:
    settings, gauge = run.settings, Gauge(run.settings, run.codec, run.denoiser)
    log = (
        Log(run.out / "log.csv", run.step, series=gauge.series, levels=gauge.levels, unit=gauge.unit)
        if run.rank == 0
        else None
    )
    losses: list[float] = []
    saved = time.monotonic()
    for loss in _steps(run, data):
        losses.append(loss)
        last = run.passed_at(run.step) == 1 or _overdue(run, deadline)
        due = last or run.step % settings.validate_every == 0
        if log and (due or run.step % settings.checkpoint_every == 0 or time.monotonic() >= saved + between_s):
            run.save()  # each row has its checkpoint, or a run that goes on would write it twice
            saved = time.monotonic()
            picture = run.out / "samples" / f"{run.step:07d}.png"
            model = run.averaged().to(run.device) if due and len(data.validation) else None
            figures = {} if model is None else gauge.measure(model, data, picture)
            log.add(run.step, sum(losses) / len(losses), figures)
            losses.clear()
        if last:
            return


def _overdue(run: Run, deadline: float) -> bool:
    if run.world == 1 or math.isinf(deadline):
        return time.monotonic() > deadline
    late = torch.tensor(float(time.monotonic() > deadline), device=run.device)
    dist.all_reduce(late, dist.ReduceOp.MAX)  # all stop at the same step, or some would wait for ever
    return bool(late)


def _steps(run: Run, data: Data | Lessons) -> Iterator[float]:
    run.begun = time.monotonic()
    with progress_of("training", run.settings.steps, done=run.step, silent=run.rank > 0) as show:
        while run.passed_at(run.step) < 1:
            loss = run.advance(data)
            total = round(run.step / run.passed_at(run.step))  # where time ends it, as far as can be told
            show(run.step, total=total, said=f"loss {loss:.4f}")
            yield loss


def _join(settings: Settings) -> bool:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and settings.batch % world:
        raise ValueError(f"batch={settings.batch} must be a multiple of the {world} processes")
    return world > 1


def _prepare_gpu() -> None:
    if not torch.cuda.is_available():
        raise ValueError("device='cuda' must be 'cpu' on this machine: PyTorch finds no GPU")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
