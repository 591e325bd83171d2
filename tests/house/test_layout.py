"""The house: which room may name which, what each wing shows of itself, and what it can do without."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("phy", "neural", "baselines", "flowgraphs")
DATA = {
    "semlink.phy.samples",
    "semlink.neural.weights",
    *(f"semlink.neural.weights.{one}" for one in ("prompts", "receivers", "tasks", "teachers")),
}


def name_of(path: Path) -> str:
    """The import name of a file of one of the four folders."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("semlink", *parts)).removesuffix(".__init__")


def is_wing(name: str) -> bool:
    return name.count(".") >= 2 and (ROOT / name.removeprefix("semlink.").replace(".", "/")).is_dir()


FILES = {name_of(path): path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
WINGS = sorted(name for name in FILES if is_wing(name) and name not in DATA)
RADIO = "semlink.flowgraphs.radio"  # what GNU Radio names is `blocks`, which needs GNU Radio
NUMPY_ALONE = ("semlink.phy.waveform", "semlink.flowgraphs.protocol", RADIO)
ABSENT = (
    *("torch", "sionna", "numba", "pandas", "scipy", "jaxtyping", "matplotlib"),
    *("onnxruntime", "zmq", "distributed", "PIL", "rich"),
)
"""What NumPy alone does without; typer too, but the command line's own face."""
EXTRAS = (
    "sionna",
    "onnxruntime",
    "onnx",
    "zmq",
    "distributed",
    "pyldpc",
    "pillow_heif",
    "stlpips_pytorch",
    "torchmetrics",
    "cryptography",
)
"""What no face needs: extras, and what takes seconds to import."""
COMPILED = {"semlink.phy.fec", "semlink.baselines.sources"}
"""Wings below `flowgraphs` that compile when they are imported; what trains on another machine does without Numba."""


def absent(wing: str) -> tuple[str, ...]:
    """What a wing must be importable without: extras, what a room needs at work alone, what only higher ones need."""
    if wing in NUMPY_ALONE:
        return (*ABSENT, "typer")
    if wing == "semlink.neural.onnx":
        return ABSENT
    if wing == "semlink.flowgraphs.cli":
        return ABSENT
    if wing.startswith("semlink.flowgraphs."):
        return EXTRAS if wing != "semlink.flowgraphs.specs" else (*EXTRAS, "pandas", "matplotlib")
    return (*EXTRAS, "pandas", "matplotlib", "typer", *(() if wing in COMPILED else ("numba",)))


def wing_of(name: str) -> str:
    """The wing of a module; of one on the ground, the module itself."""
    return name if is_wing(name) or not is_wing(name.rpartition(".")[0]) else name.rpartition(".")[0]


def imports(path: Path) -> list[tuple[str, str, int]]:
    """What of ours a file imports, wherever in it: (module, name, line)."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return [(node.module, one.name, node.lineno) for node in nodes if node.module for one in node.names]


def exports(wing: str) -> list[str]:
    return list(getattr(importlib.import_module(wing), "__all__", []))


def test_other_wings_are_named_by_their_faces() -> None:
    """`from semlink.phy.fec import LDPC5G`, never `from semlink.phy.fec.ldpc import LDPC5G`, but within phy/fec."""
    closed = set(WINGS) - {RADIO, "semlink.neural.onnx", "semlink.flowgraphs.cli"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}.{name}"
        for importer, path in FILES.items()
        for module, name, line in imports(path)
        if wing_of(module) in closed and wing_of(importer) != wing_of(module)
        if module not in closed or name not in exports(module)
    ]
    assert not wrong


@pytest.mark.parametrize("wing", WINGS)
def test_a_face_is_its_export_list_and_nothing_else(wing: str) -> None:
    tree = ast.parse(FILES[wing].read_text())
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        assert isinstance(node, ast.ImportFrom | ast.Assign | ast.AnnAssign), ast.unparse(node)
    names = [one.asname or one.name for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names]
    assert sorted(names) == sorted(exports(wing))


def documented_constants(module: str) -> set[str]:
    """Names bound at the top of a module with a text below or a remark beside them."""
    lines = FILES[module].read_text().splitlines()
    body, found = ast.parse("\n".join(lines)).body, set()
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if text or any("  # " in line for line in lines[node.lineno - 1 : node.end_lineno]):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("wing", WINGS)
def test_what_a_face_shows_is_documented(wing: str) -> None:
    origin = {name: module for module, name, _ in imports(FILES[wing])}
    for name in exports(wing):
        value = getattr(importlib.import_module(wing), name)
        if getattr(value, "__module__", value.__class__.__name__) in FILES or inspect.ismodule(value):
            text = value.__doc__ or ""
            assert text, f"{wing}.{name} has no docstring"
            assert not text.startswith(f"{name}("), f"{wing}.{name} has no docstring but what a dataclass makes"
        else:
            assert name in documented_constants(origin[name]), f"{origin[name]}.{name} has no text below it"


PROGRAM = """
import importlib, os, pkgutil, sys, traceback

def look(absent, wings):
    sys.modules.update(dict.fromkeys(absent))
    for name, whole in wings:
        wing = importlib.import_module(name)
        for exported in getattr(wing, "__all__", []):
            getattr(wing, exported)
        if whole:
            for found in pkgutil.iter_modules(wing.__path__):
                importlib.import_module(name + "." + found.name)

cases, first = {cases}, {first}
for name in first:
    importlib.import_module(name)
for absent, wings in cases:
    child = os.fork()
    if not child:
        try:
            look(absent, wings)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("not importable without " + ", ".join(absent))
"""
ALIKE = {absent(wing): [one for one in WINGS if absent(one) == absent(wing)] for wing in WINGS}
"""Wings that do without the same, and may be imported by one process."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("first", [(), ("torch",)], ids=["alone", "beside PyTorch"])
def test_wings_do_without_what_they_do_not_need(first: tuple[str, ...]) -> None:
    """A process for each set of what is absent, forked from one that has imported what takes longest."""
    cases = [
        (without, [(wing, wing in NUMPY_ALONE and wing != RADIO) for wing in wings])
        for without, wings in ALIKE.items()
        if ("torch" in without) is not bool(first)
    ]
    assert cases
    code = PROGRAM.format(cases=cases, first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
