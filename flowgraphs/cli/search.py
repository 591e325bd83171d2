"""`semlink search`: the blocks of a student, by gradients, beside a fixed student and a random one of equal cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semlink.flowgraphs.cli.computing import uses_threads
from semlink.flowgraphs.cli.told import Quiet, silence

if TYPE_CHECKING:
    from semlink.neural.classifiers import Architecture


@uses_threads
def search(
    out: Annotated[Path, typer.Option(help="Folder for found.toml, fixed.toml and random.toml.")],
    recipe: Annotated[Path, typer.Option(help="Of task distil: stages, teacher, loss and batch.")] = Path(
        "neural/recipes/task-distil.toml"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Of the search.", show_default="the recipe's")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step.", show_default="the recipe's")] = None,
    penalty: Annotated[
        float, typer.Option(help="Weight of the expected multiply-adds, as a share of the dearest student's.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of first weights, batches and the random student.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Search a student's blocks by gradients (DARTS) with the distillation loss; needs a teacher's answers first.

    A recipe trains what is found: architecture = "FILE" in place of the network's widths, blocks and cells.
    """
    with silence(quiet):
        run_search(recipe, out, steps=steps, batch=batch, penalty=penalty, seed=seed)


def run_search(
    recipe: Path, out: Path, *, steps: int | None, penalty: float, seed: int, batch: int | None = None
) -> None:
    """Search, write the three architectures, and say what they are.

    Raises:
        ValueError: a recipe that is none of task distil, a penalty below 0, or data that are not to be had.
    """
    import torch

    from semlink.neural.classifiers import USUAL, Architecture, random_architecture
    from semlink.neural.training import KINDS, check_search, read_recipe, task_lessons
    from semlink.neural.training import search as search_student

    given = {"steps": steps, "batch": batch, "seed": seed}
    settings = read_recipe(recipe, {name: value for name, value in given.items() if value is not None})
    if settings.task != "distil":
        raise ValueError(f"recipe {recipe}: task={settings.task!r} must be 'distil': the search learns from a teacher")
    check_search(penalty)
    out.mkdir(parents=True, exist_ok=True)
    one = search_student(task_lessons(settings, out), settings, penalty=penalty).architecture
    about = f"Found by semlink search in {settings.steps} steps of {settings.batch}, penalty {penalty:g}, seed {seed}"
    _write(one, out / "found.toml", about)  # before anything else: it took hours
    _write(Architecture(one.widths, one.blocks, (USUAL,) * len(one.cells)), out / "fixed.toml", "By hand")
    drawn = random_architecture(one, KINDS, torch.Generator().manual_seed(seed))
    _write(drawn, out / "random.toml", f"Drawn at the cost of the one found, seed {seed}")


def _write(one: Architecture, path: Path, about: str) -> None:
    from semlink.neural.classifiers import write_architecture

    write_architecture(one, path, about=about)
    print(f"{path}: {one.multiply_adds / 1e6:.2f} M multiply-adds: {' '.join(one.cells)}")
