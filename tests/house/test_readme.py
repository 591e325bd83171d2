"""What the README shows is what runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from semlink.neural import zoo

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.mark.parametrize("code", [text for text in PYTHON if "class Thumbnail:" not in text])
def test_the_other_examples_run(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_the_own_codec_runs(tmp_path: Path) -> None:
    (code,) = [text for text in PYTHON if "class Thumbnail:" in text]
    (tmp_path / "own_codec.py").write_text(code)
    done = subprocess.run([sys.executable, "own_codec.py"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    psnr_db = {(row[1], float(row[2])): float(row[4]) for row in rows}
    assert len(psnr_db) == 6
    assert 10 < psnr_db["thumbnail", 0] < psnr_db["thumbnail", 20]
    assert psnr_db["deepjscc", 0] > psnr_db["thumbnail", 0]


def test_its_class_is_twenty_lines() -> None:
    (code,) = [text for text in PYTHON if "class Thumbnail:" in text]
    assert len(code.split("class Thumbnail:")[1].split("images =")[0].strip().splitlines()) <= 20


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", README, flags=re.MULTILINE):
        assert f"\n{target}: " in makefile


@pytest.mark.parametrize(
    "line", [line for _, text in BLOCKS for line in text.splitlines() if line.startswith("semlink")]
)
def test_the_commands_parse(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the README, up to where the work would begin."""
    from semlink.flowgraphs import bench, comparison, service
    from semlink.flowgraphs.cli import channels, check, export, studies
    from semlink.flowgraphs.cli import zoo as zoo_command
    from semlink.flowgraphs.comparison import report
    from semlink.flowgraphs.radio import apps
    from semlink.flowgraphs.specs import options

    begun: list[object] = []
    monkeypatch.setattr(options, "_images", lambda word: {word: None})
    monkeypatch.setattr(report, "try_codecs", lambda codecs, images: begun.append(codecs) or sys.exit(0))
    runs: tuple[tuple[ModuleType, str], ...] = (
        *((bench, name) for name in bench.__all__ if name.startswith("run_")),
        (channels, "run_channels"),
        (check, "run_check"),
        (export, "run_export"),
        (studies, "run_sweep"),
        (studies, "run_report"),
        (studies, "run_figure"),
        (zoo_command, "run_zoo"),
        (comparison, "run_gsc"),
        (service, "run_worker"),
        (apps, "run"),
    )
    for module, name in runs:
        monkeypatch.setattr(module, name, lambda *given, **options: begun.append((given, options)))
    monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert begun


def test_the_table_is_the_zoos() -> None:
    for card in zoo.cards().values():
        for label, figures in card.figures.items():
            cells = " | ".join(f"{figures[level]:.2f}" for level in ("0", "5", "10", "15", "20"))
            assert f"| {card.name} | {label.removeprefix('CIFAR-10 test, ')} | {cells} |" in README


def test_the_pictures_are_there() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file()
