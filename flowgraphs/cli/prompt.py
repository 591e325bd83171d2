"""`semlink prompt`: images as short files, from which a diffusion autoencoder renders them."""

from __future__ import annotations

import json as json_format
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semlink.flowgraphs.cli.computing import uses_threads
from semlink.flowgraphs.cli.told import can_be_quiet

if TYPE_CHECKING:
    import numpy as np
    import torch

    from semlink.neural.prompts import Distance, Prompt, Studio

# As in app.py, heavy imports wait until a command runs.

app = typer.Typer(
    no_args_is_help=True,
    help="Images as prompts: files of some bytes, from which a diffusion autoencoder that both ends have renders them.",
)
Model = Annotated[
    str, typer.Option(help="A model that ships, or the path of its weights file NAME.safetensors with its card.")
]
LETTERS = {
    "start": "start and version",
    "H": "head: model, size, seed",
    "C": "code: components and learned numbers",
    "T": "thumbnail",
    "N": "beginning of the noise",
    "X": "text",
}
"""What a part of a file is called."""
METRICS = ("psnr", "st-lpips")
MOST_SAMPLES = 64
DEFAULT_MODEL = "prompt-32"


@app.command()
@can_be_quiet
@uses_threads
def encode(
    image: Annotated[Path, typer.Argument(help="A picture, of up to 16 million pixels.")],
    budget: Annotated[str, typer.Option(help="Bytes of the whole file: 800B, 2kB.")] = "800B",
    metric: Annotated[
        str, typer.Option(help="What the bytes are spent on: psnr, or st-lpips (needs semlink\\[st-lpips]).")
    ] = "psnr",
    text: Annotated[
        str, typer.Option(help="Goes into the file and is shown; it does not steer the rendering.", show_default="none")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise that a rendering begins with.")] = 0,
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="The file.", show_default="IMAGE.prompt")] = None,
) -> None:
    """Write a picture as a prompt: the one whose rendering is measured to be nearest to it, of those that fit."""
    from semlink.neural.prompts import read_prompt, write_prompt
    from semlink.phy.documents import write_whole
    from semlink.phy.pictures import read_levels
    from semlink.phy.progress import progress_of

    studio = _studio(model)
    distance = _distance(metric)
    pixels, noisy = read_levels(image), metric != "psnr"
    size = parse_budget(budget)
    with progress_of("encoding") as told:
        prompt = studio.encode(pixels, size, text=text, seed=seed, noisy=noisy, distance=distance, show=told)
    path = image.with_name(f"{image.name}.prompt") if out is None else out
    data = write_prompt(prompt)
    write_whole(path, data)
    shown = studio.render(prompt).image
    typer.echo(f"{path}: {len(data)} bytes, {_psnr(shown, pixels):.2f} dB; {_holds(read_prompt(data))}")


@app.command()
@can_be_quiet
@uses_threads
def decode(
    prompt: Annotated[Path, typer.Argument(help="A file of `semlink prompt encode`.")],
    out: Annotated[Path | None, typer.Option(help="The picture, a PNG.", show_default="PROMPT.png")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.", show_default="the prompt's")] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST_SAMPLES,
            help="So many renderings, from the seed on: their mean, and where they differ, as pictures of their own.",
            show_default="none",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
) -> None:
    """Render a prompt. What is left of a damaged one is rendered and told, with exit status 1."""
    from dataclasses import replace

    from semlink.phy.progress import progress_of

    studio = _studio(model)
    found = _read(prompt)
    found = found if seed is None else replace(found, seed=seed)
    path = check_picture(prompt.with_name(f"{prompt.name}.png") if out is None else out)
    shown = studio.render(found)
    _save(path, shown.image)
    typer.echo(f"{path}: {found.width}x{found.height}{', failed' if shown.failed else ''}")
    if samples is not None:
        with progress_of("rendering", samples) as told:
            several = studio.samples(found, samples, show=told)
        _save(path.with_name(f"{path.stem}-mean.png"), several.mean)
        _save(
            path.with_name(f"{path.stem}-spread.png"),
            (4 * several.spread).clamp(max=1)[None, None].expand(1, 3, -1, -1),
        )
        typer.echo(
            f"{samples} samples: spread {several.spread.mean():.4f} on average, {several.spread.max():.4f} at most"
        )
    for one in found.damage:
        typer.echo(f"damage: {one}", err=True)
    if shown.failed:
        raise typer.Exit(1)


@app.command()
def show(
    prompt: Annotated[Path, typer.Argument(help="A file of `semlink prompt encode`.")],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON instead of a table.")] = False,
) -> None:
    """Tell what a prompt holds, and what each part costs."""
    found = _read(prompt)
    if json:
        typer.echo(json_format.dumps(_told(found), indent=2))
        return
    typer.echo(f"{prompt}: {found.width}x{found.height}, model {found.mark:04x}, seed {found.seed}; {_holds(found)}")
    for letter, size in found.sizes.items():
        typer.echo(f"  {LETTERS[letter]}: {size} bytes")
    if found.text:
        typer.echo(f"  text: {found.text!r}")
    for one in found.damage:
        typer.echo(f"  damage: {one}")


@app.command()
@uses_threads
def published(
    checkpoint: Annotated[Path, typer.Argument(help="Your own last.ckpt of ffhq256_autoenc (phizaz/diffae).")],
    image: Annotated[Path, typer.Argument(help="A picture; it is made 256x256, its sides as they come.")],
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="As the scripts of GenAI_SemCom: input in \\[0, 1], the condition of --condition, and the picture "
            "stretched to its own least and largest value.",
        ),
    ] = False,
    condition: Annotated[
        Path | None,
        typer.Option(
            help="With --as-published: a .pt file with the text's embedding by clip-ViT-L-14, of which the first 512 "
            "numbers are taken.",
            show_default="none",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option("--ber", min=0, max=1, help="Share of x_T's pixel positions that the channel replaces.")
    ] = 0.0,
    steps: Annotated[int, typer.Option(min=1, help="Of the inversion; they divide 1000.")] = 250,
    render_steps: Annotated[int, typer.Option(min=1, help="Of the rendering.")] = 250,
    seed: Annotated[int, typer.Option(min=0, help="Of what the channel replaces.")] = 0,
    out: Annotated[Path, typer.Option(help="The picture, a PNG.")] = Path("out/published.png"),
) -> None:
    """Run the published system with weights of your own: x_T over its channel, at its true cost."""
    from semlink.flowgraphs.cli.published import run_published

    run_published(
        checkpoint=checkpoint,
        image=image,
        as_published=as_published,
        condition=condition,
        rate=rate,
        steps=steps,
        render_steps=render_steps,
        seed=seed,
        out=check_picture(out),
    )


def parse_budget(text: str) -> int:
    """Bytes of "800B", "2kB" or "800".

    Raises:
        ValueError: none of these.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*(B|kB)?", text)
    size = Decimal(match[1]) * (1000 if match[2] == "kB" else 1) if match else Decimal("0.5")
    if size != int(size) or not 0 < size < 1 << 24:
        raise ValueError(f"--budget {text!r} must be whole bytes, such as 800B or 2kB, up to 16 MB")
    return int(size)


def check_picture(path: Path) -> Path:
    """The path of a picture to be written.

    Raises:
        ValueError: it does not end in .png, which is what is written.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out {path} must end in .png: other forms would change what was rendered")
    return path


def _studio(model: str) -> Studio:
    from semlink.flowgraphs.specs import prompt_studio

    return prompt_studio(model)


def _distance(metric: str) -> Distance:
    if metric not in METRICS:
        raise ValueError(f"--metric {metric!r} must be one of: {', '.join(METRICS)}")
    if metric == "psnr":
        from semlink.neural.prompts import squared

        return squared
    from semlink.flowgraphs.specs import parse_metrics
    from semlink.phy.metrics import st_lpips

    parse_metrics([metric])
    return lambda shown, meant: float(st_lpips(shown, meant))


def _read(path: Path) -> Prompt:
    from semlink.neural.prompts import PromptError, read_prompt

    try:
        return read_prompt(path.read_bytes())
    except PromptError as error:
        raise ValueError(f"{path}: {error}") from error
    except OSError as error:
        raise ValueError(f"prompt {path}: {(error.strerror or str(error)).lower()}") from error


def _holds(prompt: Prompt) -> str:
    parts = []
    if prompt.code:
        shrink = (
            f", made smaller by {1 << (prompt.code[2] >> 3)}" if len(prompt.code) > 2 and prompt.code[2] >> 3 else ""
        )
        parts.append(f"code{shrink}")
    if prompt.thumbnail is not None:
        parts.append(f"{prompt.thumbnail.coder} made smaller by {1 << prompt.thumbnail.shrink}")
    parts += ["beginning of the noise"] * bool(prompt.noise) + ["text"] * bool(prompt.text)
    return ", ".join(parts) or "nothing"


def _told(prompt: Prompt) -> dict[str, object]:
    return {
        "width": prompt.width,
        "height": prompt.height,
        "model": f"{prompt.mark:04x}",
        "seed": prompt.seed,
        "holds": _holds(prompt),
        "bytes": {LETTERS[letter]: size for letter, size in prompt.sizes.items()},
        "text": prompt.text,
        "damage": list(prompt.damage),
    }


def _psnr(image: torch.Tensor, pixels: np.ndarray) -> float:
    from semlink.neural.prompts import to_signed
    from semlink.phy.metrics import psnr

    return float(psnr(image, (to_signed(pixels) + 1) / 2))


def _save(path: Path, image: torch.Tensor) -> None:
    from PIL import Image

    from semlink.neural.prompts import to_pixels
    from semlink.phy.documents import written_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        Image.fromarray(to_pixels(image * 2 - 1)[0]).save(partial, format="PNG")
