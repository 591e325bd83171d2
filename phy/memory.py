"""How much memory can be had, of the machine, of a container, or of a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_bytes(device: str = "cpu") -> int | None:
    """Memory that can be had, within the limits of a container too; None where that is not known."""
    if device != "cpu":
        return _free_of_gpu(device)
    available = _entries(_MEMINFO).get("MemAvailable:")
    found = [] if available is None else [available << 10]
    limit, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        found.append(max(0, limit - used + _entries(_CGROUP / "memory.stat").get("inactive_file", 0)))
    return min(found, default=None)


def _free_of_gpu(device: str) -> int:
    """Of a GPU, with what PyTorch has taken from it and does not use."""
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def _entries(path: Path) -> Mapping[str, int]:
    """Lines of a name and a whole number."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
