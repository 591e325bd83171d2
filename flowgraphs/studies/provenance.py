"""With what a study is run: versions, commit, machine, and the code of blocks that are not the package's own."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semlink.flowgraphs.own_blocks import Kind, is_own, source_file
from semlink.flowgraphs.receiver_specs import JOINT
from semlink.flowgraphs.studies.study import Study

LIBRARIES = ("semlink", "torch", "numpy", "numba", "pillow", "pandas", "sionna-no-rt")


def provenance(study: Study) -> dict[str, Any]:
    """For JSON; what of it must stay the same when a study goes on is said by `Results`."""
    return {
        "blocks": code_digests(study),
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        "git": commit(),
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def code_digests(study: Study) -> dict[str, str]:
    """SHA-256 of the module of each codec and channel of the user's own, and of weights given by their path, by name.

    Of a module its own file alone: what that imports is not looked at.
    """
    parts: list[tuple[str, Kind]] = [(part, "codecs") for codec in study.codecs for part in codec.split(JOINT)]
    parts += [(channel, "channels") for channel in study.channels]
    found = {}
    for name, kind in parts:
        weights = Path(re.sub(r":[a-z]+=.*$", "", name))  # without a receiver's options
        if weights.suffix == ".safetensors":
            path: Path | None = weights
        else:
            path = source_file(name, kind) if is_own(name, kind) else None
        if path is not None and path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def installed(name: str) -> str:
    """The version of a package; empty where it runs from a tree that is not installed."""
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""


def commit() -> str:
    """The commit of the tree that this runs from, with "+" where files differ; empty for an installed package."""
    here = Path(__file__).resolve().parent
    try:
        head = subprocess.run(
            ["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "-C", here, "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + ("+" if dirty else "")


def _processor() -> str:
    with suppress(OSError):
        if sys.platform == "linux" and (found := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())):
            return found[1]
    return platform.processor()
