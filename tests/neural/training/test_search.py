"""The search of a student on a toy size: it finds the kind that serves, and the cheap one where cost is dear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.neural.classifiers import (
    Architecture,
    TaskCodec,
    multiply_adds,
    random_architecture,
    read_architecture,
    write_architecture,
)
from semlink.neural.training import KINDS, Settings, read_recipe, search
from semlink.neural.training.lessons import Lessons
from semlink.neural.training.search import MixedStudent

SMALL = {"widths": (8, 8), "blocks": (1, 1)}
SETTINGS = Settings(
    "x", "task", task="distil", teacher="tiniest", loss={"labels": 1.0}, steps=25, batch=16, lr=1e-2, network=SMALL
)


def stripes(count: int) -> tuple[Float[Tensor, "n 3 32 32"], Tensor]:
    """Two classes of random phase: stripes of one pixel up or across, which a single 1×1 kernel cannot tell apart."""
    rng = torch.Generator().manual_seed(0)
    labels, phase = torch.arange(count) % 2, torch.randint(2, (count, 1, 1), generator=rng)
    place = torch.arange(32)
    wave = torch.where(labels[:, None, None] == 0, place[None, :, None], place[None, None, :]) + phase
    grey = ((wave // 2 % 2) * 255).expand(-1, 32, 32)
    return grey[:, None].expand(-1, 3, -1, -1).to(torch.uint8).contiguous(), labels


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    images, labels = stripes(200)
    logits = torch.nn.functional.one_hot(labels, 2).float().expand(2, -1, -1)
    return Lessons(images, labels, torch.zeros(2, 200, 4), logits, images[:0], labels[:0])


def test_a_dear_block_is_given_up_where_cost_counts(lessons: Lessons) -> None:
    settings = replace(SETTINGS, steps=6)
    dear = search(lessons, settings, penalty=20.0, kinds=("full3", "skip"), lr_choice=0.5)
    assert dear.architecture.cells == ("skip", "skip")
    assert dear.shares.sum(dim=1) == pytest.approx([1.0, 1.0])
    again = search(lessons, settings, penalty=20.0, kinds=("full3", "skip"), lr_choice=0.5)
    assert torch.equal(dear.shares, again.shares)  # the seed decides all


def test_both_weights_and_choice_learn(lessons: Lessons) -> None:
    free = search(lessons, SETTINGS, penalty=0.0, kinds=("full3", "skip"), lr_choice=0.1)
    assert free.loss < 0.5  # ln 2 = 0.69 is a guess
    assert (free.shares - 1 / 2).abs().max() > 0.02


def test_the_expected_cost_is_that_of_the_kinds() -> None:
    model = MixedStudent((8, 16), (1, 2), kinds=("dw3e2", "skip"))
    with torch.no_grad():
        model.choice[:, 0] += 50
    assert model.cost.item() == pytest.approx(1.0)
    assert model.found() == Architecture((8, 16), (1, 2), ("dw3e2",) * 3)
    whole, none = (Architecture((8, 16), (1, 2), (kind,) * 3).multiply_adds for kind in ("dw3e2", "skip"))
    costs = model.costs
    assert isinstance(costs, Tensor)
    assert int(costs.sum()) == whole - none
    with torch.no_grad():
        model.choice[:, 0] -= 50
    assert model.cost.item() == pytest.approx(0.5)


def test_an_architecture_is_written_read_and_trained_by_a_recipe(tmp_path: Path) -> None:
    one = Architecture((8, 16), (1, 2), ("dw5e1", "full3", "skip"))
    write_architecture(one, tmp_path / "a.toml", about="Mine")
    assert read_architecture(tmp_path / "a.toml") == one
    assert (tmp_path / "a.toml").read_text().startswith(f"# Mine; {one.multiply_adds / 1e6:.2f} M multiply-adds")
    recipe = "name = 'x'\ntask = 'distil'\nmodel = 'task'\nteacher = 'tiniest'\nloss = {labels = 1}\n"
    (tmp_path / "r.toml").write_text(f"{recipe}architecture = '{tmp_path / 'a.toml'}'\nnetwork = {{tokens = 8}}\n")
    settings = read_recipe(tmp_path / "r.toml")
    codec = TaskCodec(**settings.network)
    assert (codec.tokens, multiply_adds(codec.student.eval(), torch.zeros(1, 3, 32, 32))) == (8, one.multiply_adds)
    (tmp_path / "r.toml").write_text(f"{recipe}architecture = '{tmp_path / 'a.toml'}'\nnetwork = {{blocks = [1]}}\n")
    with pytest.raises(ValueError, match="network must not say blocks"):
        read_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have the lists widths, blocks, cells"),
        ("widths = [8]\nblocks = [1]\ncells = ['dw4e2']", "cell 'dw4e2' must be dwKeE"),
        ("widths = [8]\nblocks = [2]\ncells = ['skip']", "1 cells must be one for each of the 2 blocks"),
        ("widths = [8, 8]\nblocks = [1]\ncells = ['skip']", "must be 1 to 4 stages"),
        ("widths = [8.5]\nblocks = [1]\ncells = ['skip']", "must be whole numbers"),
        ("widths = [8]\nblocks = [1]\ncells = [3]", "must be texts"),
        ("widths = [8]\nblocks = [1]\ncells = ['skip']\nheads = 4", "and no more"),
        ("widths = [8", "architecture"),
    ],
)
def test_a_file_that_makes_no_network_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=r"architecture .*a\.toml: ") as error:
        read_architecture(tmp_path / "a.toml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"architecture .*b\.toml: "):
        read_architecture(tmp_path / "b.toml")


def test_a_random_one_costs_as_much() -> None:
    like = Architecture((8, 16), (2, 2), ("dw3e2", "full3", "dw5e2", "skip"))
    drawn = [random_architecture(like, KINDS, torch.Generator().manual_seed(seed)) for seed in range(4)]
    assert all(abs(one.multiply_adds / like.multiply_adds - 1) <= 0.1 for one in drawn)
    assert len({one.cells for one in drawn}) > 1
    least = Architecture((24, 48, 96), (2, 2, 2), ("skip",) * 5 + ("dw3e2",))  # which few of all draws are near
    near = random_architecture(least, KINDS, torch.Generator().manual_seed(0))
    assert abs(near.multiply_adds / least.multiply_adds - 1) <= 0.1
    with pytest.raises(ValueError, match="no architecture of"):
        random_architecture(like, ("skip",), torch.Generator(), tries=2)
