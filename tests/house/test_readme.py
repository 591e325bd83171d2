"""What the READMEs show is what runs, and what they point to is there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from semlink.neural import diffusion, zoo

ROOT = Path(__file__).parents[2]
FOLDERS = ("phy", "baselines", "neural", "flowgraphs")
ELSEWHERE = ("flowgraphs/radio", "notebooks", "neural/recipes", "phy/samples", "findings")
NAMES = ["README.md", "CONTRIBUTING.md", *(f"{folder}/README.md" for folder in (*FOLDERS, *ELSEWHERE))]
TEXTS = {name: (ROOT / name).read_text() for name in NAMES if (ROOT / name).is_file()}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
BLOCKS = [(name, *block) for name, text in TEXTS.items() for block in BLOCK.findall(text)]
PYTHON = [(name, text) for name, language, text in BLOCKS if language == "python"]
OWN_CODEC = "class Thumbnail:"
OWN_NETWORK = "class Net(FixedRate):"
GNURADIO = "from gnuradio import"
"""For another Python: `tests/flowgraphs/radio/test_in_python.py` runs it."""
PROSE = {name: BLOCK.sub("", text) for name, text in TEXTS.items()}
INLINE = [span for text in PROSE.values() for span in re.findall(r"`([^`\n]+)`", text)]
PLACEHOLDER = re.compile(r"[A-Z]{4,}|…")
"""Of a command in running text: NAME, RECIPE.toml, and what is left out. What is in a block must run as it stands."""

SHELL = [line.partition("#")[0] for _, language, text in BLOCKS if language == "bash" for line in text.splitlines()]
SAID = [span for span in INLINE if not PLACEHOLDER.search(span)]


def found(pattern: str, lines: list[str]) -> list[str]:
    """What command lines have behind a program, each once."""
    return sorted({after.strip() for line in lines for after in re.findall(pattern, line)})


PROGRAM = r"(?:^|& |/bin/)semlink ([^&]+)"
NAMED = [command for command in found(PROGRAM, SAID) if re.fullmatch("[a-z ]+", command)]
COMMANDS = sorted({*found(PROGRAM, SHELL), *found(PROGRAM, SAID)} - ({*NAMED} - {*found(PROGRAM, SHELL)}))
RADIO_COMMANDS = found(r"-m semlink\.flowgraphs\.radio ([^)&]+)", [*SHELL, *SAID])
OWN_MODULE = """
class MyCodec:
    def encode(self, image, n0): ...
    def decode(self, received): ...
"""
FACES_WITHOUT = {"semlink.neural.onnx.export", "semlink.flowgraphs.radio.blocks"}
"""What a user names although no face does: one needs PyTorch, the other GNU Radio, which the faces do without."""


def test_there_is_something_to_test() -> None:
    assert len(TEXTS) >= 9
    assert len(COMMANDS) > 40
    assert len(RADIO_COMMANDS) >= 4
    assert len(PYTHON) >= 5


def test_a_newcomer_reads_the_first_one_in_five_minutes() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 200


@pytest.mark.parametrize("code", [text for _, text in PYTHON if OWN_CODEC not in text and GNURADIO not in text])
def test_the_examples_run(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "export_codec" in code:
        request.getfixturevalue("one_registry")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def own_codec() -> str:
    (code,) = [text for _, text in PYTHON if OWN_CODEC in text]
    return code


def test_the_own_codec_runs(tmp_path: Path) -> None:
    (tmp_path / "own_codec.py").write_text(own_codec())
    done = subprocess.run([sys.executable, "own_codec.py"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    psnr_db = {(row[1], float(row[2])): float(row[4]) for row in rows}
    assert len(psnr_db) == 6
    assert 10 < psnr_db["thumbnail", 0] < psnr_db["thumbnail", 20]
    assert psnr_db["deepjscc", 0] > psnr_db["thumbnail", 0]


def test_its_class_is_twenty_lines() -> None:
    assert len(own_codec().split(OWN_CODEC)[1].split("images =")[0].strip().splitlines()) <= 20


def test_the_studies_can_be_read(tmp_path: Path) -> None:
    from semlink.flowgraphs.studies import read_study

    for text in [text for _, language, text in BLOCKS if language == "toml"]:
        (tmp_path / "study.toml").write_text(text)
        assert read_study(tmp_path / "study.toml").codecs


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Commands stop where the work would begin, and leave here what they would have begun with."""
    from semlink.flowgraphs import bench, comparison, optimisation, play, service
    from semlink.flowgraphs.cli import channels, check, export, prompt, published, studies, users
    from semlink.flowgraphs.cli import search as search_command
    from semlink.flowgraphs.cli import zoo as zoo_command
    from semlink.flowgraphs.comparison import report
    from semlink.flowgraphs.radio import apps
    from semlink.flowgraphs.specs import images
    from semlink.neural import training

    begun: list[object] = []
    (tmp_path / "mymodule.py").write_text(OWN_MODULE)
    (tmp_path / "mynet.py").write_text(next(text for _, text in PYTHON if OWN_NETWORK in text))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(images, "_images", lambda word, broken=None: {word: None})
    for name in ("load_labels", "check_classes"):  # of images that were not loaded
        monkeypatch.setattr(report, name, lambda *_: None)
    monkeypatch.setattr(report, "try_codecs", lambda codecs, images, **_: begun.append(codecs) or sys.exit(0))
    runs = [
        *((bench, name) for name in bench.__all__ if name.startswith("run_")),
        *((studies, name) for name in ("run_sweep", "run_report", "run_figure")),
        (channels, "run_channels"),
        (check, "run_check"),
        (export, "run_export"),
        (search_command, "run_search"),
        (zoo_command, "run_zoo"),
        (comparison, "run_gsc"),
        (comparison, "run_olla"),
        (optimisation, "run_optimise"),
        (play, "run_play"),
        (published, "run_published"),
        (service, "run_worker"),
        (service, "run_serve"),
        (users, "run_user"),
        (users, "run_keys"),
        (users, "run_load"),
        (training, "train"),
        *((apps, name) for name in ("transmit", "receive", "grc_path", "examples_path")),
    ]
    for name in ("_studio", "_read"):  # what `semlink prompt` begins with
        monkeypatch.setattr(prompt, name, lambda *given: begun.append(given) or sys.exit(0))
    for module, name in runs:
        monkeypatch.setattr(module, name, lambda *given, **options: begun.append((given, options)))
    return begun


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from semlink.flowgraphs import cli

    monkeypatch.setattr(sys, "argv", ["semlink", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_parse(command: str, begun: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command line, up to where the work would begin."""
    if "resnet" in command and "SEMLINK_DATA" not in os.environ:
        pytest.skip("SEMLINK_DATA is not set: the teacher is there")
    trained = re.sub(r"runs/[\w-]+/[\w-]+\.safetensors", "neural/weights/deepjscc-plain-16.safetensors", command)
    run_command(shlex.split(trained), monkeypatch)  # with weights that are here for those of a training
    assert begun


@pytest.mark.parametrize("command", NAMED)
def test_the_commands_that_are_named_exist(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`semlink export` in running text, say, without what it needs."""
    run_command([*command.split(), "--help"], monkeypatch)


@pytest.mark.parametrize("command", RADIO_COMMANDS)
def test_the_commands_of_the_radio_side_parse(command: str, begun: list[object]) -> None:
    from semlink.flowgraphs.radio import apps

    apps.main(shlex.split(command))
    assert begun


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {target for line in [*SHELL, *SAID] for target in re.findall(r"^make ([a-z-]+)", line)}
    assert {"compare", "test", "test-fast"} <= targets
    assert not [target for target in targets if f"\n{target}: " not in makefile]


def test_the_files_of_tests_exist() -> None:
    files = {name for text in TEXTS.values() for name in re.findall(r"tests/[\w/]+\.py", text)}
    assert files
    assert not [name for name in files if not (ROOT / name).is_file()]


def anchors(path: Path) -> set[str]:
    """What `#…` may name in a text: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PROSE)
def test_links_and_pictures_are_there(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", PROSE[name]):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def is_name(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, rest = name, []
    while True:
        try:
            if importlib.util.find_spec(module) is not None:
                break
        except ModuleNotFoundError:
            pass
        module, _, last = module.rpartition(".")
        rest.insert(0, last)
    value = importlib.import_module(module) if rest else None
    for part in rest:
        value = getattr(value, part, None)
    return not rest or value is not None


def test_names_are_there() -> None:
    pattern = r"\bsemlink\.(?:phy|neural|baselines|flowgraphs)(?:\.\w+)*"
    names = {name for text in TEXTS.values() for name in re.findall(pattern, text)}
    assert len(names) > 15
    assert not sorted(name for name in names if not is_name(name))
    assert not is_name("semlink.phy.link.Lnik")
    assert not is_name("semlink.phy.fec.ldcp.LDPC5G")


def notebook_code() -> list[tuple[str, str]]:
    """The cells of the notebooks, without their magic commands."""
    paths = (ROOT / "notebooks").glob("*.ipynb")
    cells = [(path.name, cell) for path in paths for cell in json.loads(path.read_text())["cells"]]
    sources = [(name, "".join(cell["source"])) for name, cell in cells if cell["cell_type"] == "code"]
    return [(name, re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)) for name, source in sources]


def test_faces_are_what_readmes_and_notebooks_import() -> None:
    """`from semlink.phy.fec import LDPC5G`; what is deeper than a face may move."""
    code = [*PYTHON, *notebook_code(), ("trials.py", (ROOT / "notebooks" / "trials.py").read_text())]
    nodes = [(name, node) for name, text in code for node in ast.walk(ast.parse(text))]
    modules = {(name, node.module or "") for name, node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {(name, module) for name, module in modules if module.startswith("semlink.")}
    assert len(ours) > 30
    assert not [one for one in ours if one[1].count(".") > 2 and one[1] not in FACES_WITHOUT]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_room_has_its_sign(folder: str) -> None:
    """A room, and a file on the ground, is linked in the README of its folder."""
    links = re.findall(r"\]\(([^)\s]+)\)", PROSE[f"{folder}/README.md"])
    rooms = [path.parent.name for path in (ROOT / folder).glob("*/__init__.py")]
    files = [path.name for path in (ROOT / folder).glob("*.py") if not path.name.startswith("__")]
    assert not [room for room in rooms if not any(link.startswith(f"{room}/") for link in links)]
    assert not [file for file in files if file not in links]


def test_the_table_is_the_zoos() -> None:
    for card in zoo.cards().values():
        for label, figures in card.figures.items():
            cells = " | ".join(f"{figures[level]:.2f}" for level in ("0", "5", "10", "15", "20"))
            assert f"| {card.name} | {label.removeprefix('CIFAR-10 test, ')} | {cells} |" in TEXTS["neural/README.md"]


def test_all_that_ships_is_listed() -> None:
    for name in (*zoo.cards(), *diffusion.receiver_cards()):
        assert f"`{name}`" in TEXTS["neural/README.md"]
