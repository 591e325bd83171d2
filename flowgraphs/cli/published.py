"""`semlink prompt published`: the published system with weights of one's own."""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts import PublishedPrompt, corrupt, load_published, sent_bytes, to_pixels
from semlink.phy.documents import written_whole
from semlink.phy.metrics import psnr
from semlink.phy.sources import load_image

SIDE = 256


def run_published(
    *,
    checkpoint: Path,
    image: Path,
    as_published: bool,
    condition: Path | None,
    rate: float,
    steps: int,
    render_steps: int,
    seed: int,
    out: Path,
) -> None:
    """Invert, corrupt, render; tell what was sent and what it is worth.

    Raises:
        ValueError: a checkpoint, condition or number of steps that does not do.
    """
    if as_published != (condition is not None):
        raise ValueError("--as-published and --condition go together: the scripts condition on a text's embedding")
    meant = F.interpolate(load_image(image), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    loaded = load_published(checkpoint)
    if loaded.unused:
        typer.echo(f"of {checkpoint} not used: {_named(loaded.unused)}")
    prompt = PublishedPrompt(loaded.model, as_published=as_published)
    code = prompt.code(meant) if condition is None else read_condition(condition, loaded.model.plan.embed)
    noise = prompt.invert(meant, code, steps=steps)
    shown = prompt.render(corrupt(noise, rate, rng=torch.Generator().manual_seed(seed)), code, steps=render_steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(out) as partial:
        Image.fromarray(to_pixels(shown * 2 - 1)[0]).save(partial, format="PNG")
    sent = sent_bytes((3, SIDE, SIDE)) + (0 if as_published else 4 * code.shape[1])
    typer.echo(
        f"{out}: {float(psnr(shown, meant)):.2f} dB for {sent:,} bytes, {sent / (3 * SIDE**2):.2f} times the pixels"
    )


def read_condition(path: Path, count: int) -> Float[Tensor, "1 e"]:
    """The first `count` numbers of a tensor in a file.

    Raises:
        ValueError: no tensor of so many finite numbers.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises any of a dozen types
        raise ValueError(f"--condition {path}: no tensor file ({type(error).__name__})") from error
    if not isinstance(found, Tensor) or found.numel() < count or not bool(found.isfinite().all()):
        raise ValueError(f"--condition {path}: must hold one tensor of at least {count} finite numbers")
    return found.flatten()[:count].float()[None]


def _named(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return ", ".join(keys[:4]) + more
