"""Train DeepJSCC: `semlink train RECIPE.toml --out RUN`, resumable at any kill with the same result.

Every step draws from a generator seeded by (seed, step), so a run continued from its checkpoint takes the very steps
of an uninterrupted one; on one CPU, with one number of threads, the weights are the same bit for bit.
"""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.deepjscc import DeepJSCC, noise_level
from semlink.neural.muon import Muon
from semlink.neural.zoo import Card, sha256, write_card
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Received, esno_to_n0
from semlink.phy.metrics import to_levels
from semlink.phy.sources import DataError, cifar10_bytes, data_folder, find_images, load_image

CHANNELS: dict[str, Channel] = {
    "awgn": AWGN(),
    "rayleigh-block": Rayleigh("block"),
    "rayleigh-16": Rayleigh(16),
    "rayleigh-fast": Rayleigh("fast"),
}
Optimisers = tuple[Muon, torch.optim.Adam]
Data = tuple[UInt8[Tensor, "n 3 32 32"], UInt8[Tensor, "m 3 128 128"]]
SMALL = 32  # pixels a side, as CIFAR-10's
LARGE = 128


@dataclass(frozen=True)
class Settings:
    """All that decides the weights. A recipe is a TOML file of these fields."""

    name: str
    cell_symbols: int  # 8: ratio 1/6; 4: ratio 1/12
    widths: tuple[int, int] = (32, 64)
    steps: int = 40_000
    batch: int = 64
    groups: int = 8  # parts of a batch, each with a channel and an Es/N0 of its own
    lr_conv: float = 4e-3  # of Muon, for the convolutions
    lr: float = 1e-3  # of Adam, for the rest
    warmup: int = 500
    init: str = ""  # weights to start from, a path seen from the working folder; none for random ones
    seed: int = 0
    threads: int = 1  # of the CPU; another number rounds otherwise, and gives other weights
    esno_db: tuple[float, float] = (-1.0, 21.0)  # drawn uniformly; a little beyond the 0 … 20 dB of use
    channels: tuple[str, ...] = ("awgn", "awgn", "awgn", "rayleigh-block", "rayleigh-16", "rayleigh-fast")
    photographs: int = 25_000  # 32x32 crops of natural photographs beside CIFAR-10's 50,000
    large_photographs: int = 3_000  # 128x128 crops of them
    large_share: float = 0.25  # of the steps: see `draw_batch`
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if not isinstance(self.channels, tuple) or not self.channels or set(self.channels) - set(CHANNELS):
            raise ValueError(f"channels={self.channels!r} must be some of: {', '.join(CHANNELS)}")
        for field in ("cell_symbols", "steps", "batch", "groups", "threads", "warmup", "checkpoint_every"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{field}={value!r} must be a whole number from 1")
        for field, length in (("widths", 2), ("esno_db", 2)):
            value = getattr(self, field)
            if (
                not isinstance(value, tuple)
                or len(value) != length
                or not all(isinstance(x, int | float) for x in value)
            ):
                raise ValueError(f"{field}={value!r} must be {length} numbers")
        for field in ("lr", "lr_conv", "large_share", "seed", "photographs", "large_photographs"):
            value = getattr(self, field)
            if not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{field}={value!r} must be a number from 0")


def read_recipe(path: str | Path) -> Settings:
    """The settings in a TOML file.

    Raises:
        ValueError: the file is missing or no TOML, or it has a field that `Settings` lacks or lacks one it needs.
    """
    try:
        values = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"recipe {path}: {error}") from error
    allowed = [field.name for field in fields(Settings)]
    if unknown := set(values) - set(allowed):
        raise ValueError(f"recipe {path}: {', '.join(sorted(unknown))} must be among: {', '.join(allowed)}")
    if missing := {"name", "cell_symbols"} - set(values):
        raise ValueError(f"recipe {path}: lacks {', '.join(sorted(missing))}")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Settings(**given)


def train(settings: Settings, out: Path, *, data: Data | None = None) -> Path:
    """Train, or go on from `out/checkpoint.pt`, and write `out/NAME.safetensors` and its card; return its path.

    Raises:
        ValueError: the checkpoint in `out` is of other settings.
        DataError: the training data are not to be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = training_images(settings) if data is None else data
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)  # for the initial weights alone
    model = DeepJSCC(settings.cell_symbols, settings.widths)
    if settings.init:
        _initialise(model, Path(settings.init))
    optimisers = make_optimisers(model, settings)
    start = _resume(out / "checkpoint.pt", settings, model, optimisers)
    losses: list[float] = []
    for step, loss in _steps(settings, start, model, optimisers, data):
        losses.append(loss)
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            _log(out / "log.csv", step, sum(losses) / len(losses))
            losses.clear()
            _save(out / "checkpoint.pt", settings, step, model, optimisers)
    return publish(model, settings, out)


def publish(model: DeepJSCC, settings: Settings, out: Path) -> Path:
    """Write the weights in float16 and their card, as `neural/weights/` holds them; return the path of the weights."""
    weights = out / f"{settings.name}.safetensors"
    weights.write_bytes(save({key: value.half().contiguous() for key, value in model.state_dict().items()}))
    before = Path(settings.init or "none").with_suffix(".json")  # the card of the stage before
    earlier = json.loads(before.read_text())["command"] + "; " if before.is_file() else ""
    card = Card(
        name=settings.name,
        codec="deepjscc",
        ratio=model.ratio,
        cell_symbols=settings.cell_symbols,
        widths=settings.widths,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        data=f"CIFAR-10 training set; from 1,000 photographs of ImageNet, {settings.photographs:,} crops of 32x32 and "
        f"{settings.large_photographs:,} of 128x128",
        command=earlier + f"semlink train neural/recipes/{settings.name}.toml --out runs/{settings.name}",
        sha256=sha256(weights),
    )
    write_card(card, out)
    return weights


def training_images(settings: Settings) -> Data:
    """CIFAR-10's training images with 32×32 crops of the photographs in `SEMLINK_DATA/natural1000`, and 128×128 crops.

    A crop is taken at a random place and scale: 1 … 4 times the small size, 1 … 2 times the large one.
    """
    cifar = cifar10_bytes("train")
    if settings.photographs == settings.large_photographs == 0:
        return cifar, torch.empty(0, 3, LARGE, LARGE, dtype=torch.uint8)
    folder = data_folder()
    if folder is None or not (folder / "natural1000").is_dir():
        raise DataError("photographs: set SEMLINK_DATA to a folder that holds natural1000/, or ask for 0 of them")
    rng = torch.Generator().manual_seed(settings.seed)
    paths = find_images(folder / "natural1000")
    small, large = [], []
    for i, path in enumerate(paths):
        image = load_image(path)
        small += [crop(image, SMALL, 4.0, rng) for _ in range(i, settings.photographs, len(paths))]
        large += [crop(image, LARGE, 2.0, rng) for _ in range(i, settings.large_photographs, len(paths))]
    none = torch.empty(0, 3, LARGE, LARGE, dtype=torch.uint8)
    return torch.cat([cifar, *(one[None] for one in small)]), torch.cat([none, *(one[None] for one in large)])


def crop(image: Float[Tensor, "1 3 h w"], side: int, most: float, rng: torch.Generator) -> UInt8[Tensor, "3 s s"]:
    """A random square of side 1 … `most` times `side` (log-uniform), as far as the image goes, resized to `side`."""
    h, w = image.shape[-2:]
    taken = min(round(side * most ** torch.rand((), generator=rng).item()), h, w)
    top, left = (int(torch.randint(length - taken + 1, (), generator=rng)) for length in (h, w))
    square = image[:, :, top : top + taken, left : left + taken]
    square = F.interpolate(square, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return to_levels(square[0]).to(torch.uint8)


def draw_batch(data: Data, settings: Settings, rng: torch.Generator) -> Float[Tensor, "b 3 h w"]:
    """A batch of 32×32 images or, now and then, of larger ones with as many pixels in all.

    The attention modules see the mean of each feature, and the normalised energy is shared out over the image: both
    are steadier in a large image. A network trained on 32×32 alone washes out the colours of a photograph.
    """
    small, large = data
    if len(large) and torch.rand((), generator=rng) < settings.large_share:
        side = LARGE >> int(torch.randint(2, (), generator=rng))
        count = max(1, settings.batch * SMALL**2 // side**2)
        top, left = torch.randint(LARGE - side + 1, (2,), generator=rng).tolist()
        picked = large[torch.randint(len(large), (count,), generator=rng), :, top : top + side, left : left + side]
    else:
        picked = small[torch.randint(len(small), (settings.batch,), generator=rng)]
    image = picked.float() / 255
    return image.flip(3) if torch.rand((), generator=rng) < 0.5 else image


def batch_loss(
    model: DeepJSCC, image: Float[Tensor, "b 3 h w"], settings: Settings, rng: torch.Generator
) -> Float[Tensor, ""]:
    """Mean squared error over a batch whose groups meet random channels and Es/N0, weighted to even out the noise."""
    size = -(-image.shape[0] // settings.groups)
    groups = -(-image.shape[0] // size)
    low, high = settings.esno_db
    n0 = [esno_to_n0(low + (high - low) * u) for u in torch.rand(groups, generator=rng).tolist()]
    picked = torch.randint(len(settings.channels), (groups,), generator=rng).tolist()
    sent = model.symbols(image, torch.tensor(n0).repeat_interleave(size)[: image.shape[0]])
    arrived = [
        CHANNELS[settings.channels[which]](symbols, noise, rng=rng)
        for which, symbols, noise in zip(picked, torch.split(sent, size), n0, strict=True)
    ]
    received = Received(torch.cat([r.symbols for r in arrived]), torch.cat([r.n0 for r in arrived]))
    c, h, w = image.shape[1:]
    error = (model.reconstruct(received, (c, h, w)) - image).square().flatten(1).mean(dim=1)
    # A trained model gains about 0.65 dB of PSNR a dB of Es/N0: without the weight the noisiest images are the loss.
    weight = 10 ** (2.2 + 0.65 * noise_level(received.n0)[:, 0].clamp(-0.5, 2.2))
    return (error * weight).mean()


def make_optimisers(model: DeepJSCC, settings: Settings) -> Optimisers:
    """Muon for the convolutions, where it converges in far fewer steps than Adam, and Adam for the rest."""
    convolutions = [p for p in model.parameters() if p.ndim == 4]
    rest = [p for p in model.parameters() if p.ndim != 4]
    return Muon(convolutions, lr=settings.lr_conv), torch.optim.Adam(rest, lr=settings.lr)


def _steps(
    settings: Settings, start: int, model: DeepJSCC, optimisers: Optimisers, data: Data
) -> Iterator[tuple[int, float]]:
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[shown]}"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        bar = progress.add_task("", total=settings.steps, completed=start, shown="")
        for step in range(start + 1, settings.steps + 1):
            rng = torch.Generator().manual_seed(settings.seed * 1_000_000_007 + step)
            loss = batch_loss(model, draw_batch(data, settings, rng), settings, rng)
            model.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * schedule(step, settings)
                optimiser.step()
            progress.update(bar, completed=step, shown=f"loss {loss.item():.4f}")
            yield step, loss.item()


def schedule(step: int, settings: Settings) -> float:
    """Share of the learning rate at a step: a linear rise, then half a cosine down to 0."""
    return min(1.0, step / settings.warmup) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _save(path: Path, settings: Settings, step: int, model: DeepJSCC, optimisers: Optimisers) -> None:
    partial = path.with_suffix(".part")
    state = {"settings": asdict(settings), "step": step, "model": model.state_dict()}
    torch.save(state | {"optimisers": [optimiser.state_dict() for optimiser in optimisers]}, partial)
    partial.replace(path)


def _initialise(model: DeepJSCC, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"init={str(path)!r}: no such file; train it first")
    try:
        model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"init={str(path)!r}: no weights of this network ({error})") from error


def _resume(path: Path, settings: Settings, model: DeepJSCC, optimisers: Optimisers) -> int:
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # a damaged file raises any of a dozen types
        raise ValueError(f"checkpoint {path} is damaged ({error}); remove it to begin anew") from error
    if state["settings"] != asdict(settings):
        raise ValueError(f"checkpoint {path} is of other settings; choose another folder or remove it")
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])


def _log(path: Path, step: int, loss: float) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["step", "loss"])
        rows.writerow([step, f"{loss:.6f}"])
