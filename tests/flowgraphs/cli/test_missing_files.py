"""A file that is not there is named once, and without the number of an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.baselines.bler import own_curves
from semlink.flowgraphs.studies import compared, html_report, results, study
from semlink.neural import zoo
from semlink.neural.classifiers import architecture
from semlink.neural.classifiers.task_cards import read_task_card
from semlink.neural.diffusion import zoo as receivers
from semlink.neural.prompts import cards as prompts
from semlink.neural.training import read_recipe
from semlink.phy import sources

READERS: dict[str, Callable[[Path], object]] = {
    "recipe": read_recipe,
    "study": study.read_study,
    "table": compared.read_table,
    "block error rates": lambda path: own_curves(f"polar,table={path}"),
    "results": results.read_about,
    "picture of results": lambda path: html_report._embedded(path.parent, path.name),
    "architecture": architecture.read_architecture,
    "codec": zoo._read_card,
    "receiver": receivers._read_card,
    "task codec": read_task_card,
    "prompts": prompts.read_prompt_card,
    "labels": lambda path: sources._read_array(path, "fine"),
    "mosaic": sources._mosaic,
}


@pytest.mark.parametrize("kind", READERS)
def test_it_is_named_once(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        READERS[kind](tmp_path / "nowhere")
    said = str(caught.value)
    assert said.count("nowhere") == 1
    assert "no such file" in said.lower()
    assert "Errno" not in said
