"""With what a study is run: versions, commit, machine, and the code of blocks that are not the package's own."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semlink.flowgraphs.specs import (
    JOINT,
    Kind,
    block_of,
    code_of,
    is_own,
    own_names,
    own_parts,
    source_files,
    split_listener,
)
from semlink.flowgraphs.studies.plan import Plan
from semlink.neural import zoo

LIBRARIES = (
    "semlink",
    "torch",
    "numpy",
    "numba",
    "pillow",
    "pandas",
    "sionna-no-rt",
    "pillow-heif",
    "stlpips_pytorch",
    "torchmetrics",
)


def provenance(study: Plan) -> dict[str, Any]:
    """For JSON: what a study is run with. What of it must stay the same when it goes on is said by `Results`."""
    return {
        "blocks": block_digests(study),
        "code": code_digest(),
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        "git": commit(),
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def block_digests(study: Plan) -> dict[str, str]:
    """SHA-256 of the code of each block of the user's own, and of weights and tables given by path.

    Of a module its own file, of one in a package (a folder with `__init__.py`) all files of Python there; what these
    import from elsewhere is not looked at.
    """
    codecs = [split_listener(codec)[0] for codec in study.codecs]
    named = [part for codec in codecs for part in codec.split(JOINT)]
    parts: list[tuple[str, Kind]] = [block_of(part) for part in named]
    digital = [own_parts(part) for part in named]
    parts += [part for own, _ in digital for part in own]
    parts += [(channel, "channels") for channel in study.channels]
    parts += [(name, "sources") for name in own_names("sources") if any(c.startswith(f"{name}-") for c in study.codecs)]
    found = {str(path): _digest([path]) for _, tables in digital for path in tables}
    for name, kind in parts:
        weights = Path(re.sub(r":[a-z]+=.*$", "", name))  # without a receiver's options
        if weights.suffix == ".safetensors":
            found[name] = _digest([weights, weights.with_suffix(".json"), *_network_files(weights)])
        elif is_own(name, kind):
            files = source_files(name, kind)
            found[name] = _digest(files) if files else hashlib.sha256(code_of(name, kind)).hexdigest()
    return found


def _network_files(weights: Path) -> list[Path]:
    """Of weights whose card names a network of the user's own, the code of that."""
    try:
        network = zoo.run_card(weights).codec
    except ValueError:  # of a receiver or a task codec, or none at all
        return []
    return source_files(network, "codecs") if is_own(network, "codecs") else []


def code_digest() -> str:
    """SHA-256 of semlink's own code, its tables and the cards of its weights, which name the weights by their hash."""
    parts = [
        importlib.import_module(f"semlink.{part}").__path__ for part in ("phy", "neural", "baselines", "flowgraphs")
    ]
    files = (path for folders in parts for folder in folders for path in Path(folder).rglob("*"))
    return _digest(path for path in files if path.suffix in (".py", ".csv", ".json"))


def _digest(files: Iterable[Path]) -> str:
    found = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file())
    return hashlib.sha256("".join(found).encode()).hexdigest()


def installed(name: str) -> str:
    """The version of a package; empty where it runs from a tree that is not installed."""
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""


def commit() -> str:
    """The commit of the tree that this runs from, with "+" where its files differ; empty for an installed package."""
    here = Path(__file__).resolve()
    try:
        _git("ls-files", "--error-unmatch", here.name)  # an installed package may lie within somebody's repository
        return _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", Path(__file__).resolve().parent, *words], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _processor() -> str:
    with suppress(OSError):
        if sys.platform == "linux" and (found := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())):
            return found[1]
    return platform.processor()
