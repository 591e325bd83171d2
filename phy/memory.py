"""How much memory can be had, of the machine, of a container, or of a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

_MEMINFO, _CGROUP, _OWN_GROUPS = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_FILES = {  # of a control group, by version: its limit, what is used, and what of that is a cache that gives way
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def free_bytes(device: str = "cpu") -> int | None:
    """Memory that can be had, within the limits of a container or a batch job too; None where that is not known."""
    if device != "cpu":
        return _free_of_gpu(device)
    available = _entries(_MEMINFO).get("MemAvailable:")
    found = [] if available is None else [available << 10]
    return min([*found, *_left_by_groups()], default=None)


def _left_by_groups() -> Iterator[int]:
    """What the limits of this process's control groups leave, and those of the groups about them."""
    for line in _lines(_OWN_GROUPS) or ["0::/"]:
        _, kinds, inner = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        top, names = (_CGROUP / "memory", _FILES[1]) if kinds else (_CGROUP, _FILES[2])
        group = top / inner.strip("/")
        for folder in (one for one in (group, *group.parents) if one.is_relative_to(top)):
            limit, used = (_number(folder / name) for name in names[:2])
            if limit is not None and used is not None:
                yield max(0, limit - used + _entries(folder / "memory.stat").get(names[2], 0))


def _free_of_gpu(device: str) -> int:
    """Of a GPU, with what PyTorch has taken from it and does not use."""
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def _entries(path: Path) -> Mapping[str, int]:
    """Lines of a name and a whole number."""
    lines = [line.split() for line in _lines(path)]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    """Of a file; none where it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
