"""The file of a bench against another commit is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from semlink.flowgraphs.bench import against


def test_a_full_disk_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "bench.json"
    out.write_text("[]\n")

    def full(self: Path, *_: object) -> int:
        with self.open("w") as file:
            file.write("half of")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(against, "measure_against", lambda rev, *, rounds: [])
    with monkeypatch.context() as patch:
        for method in ("write_text", "write_bytes"):
            patch.setattr(Path, method, full)
        with pytest.raises(OSError, match="No space left"):
            against.run_against("HEAD", rounds=1, as_json=True, out=out)
    assert out.read_text() == "[]\n"
