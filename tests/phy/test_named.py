"""MODULE:NAME: what it stands for, and what is said where it stands for nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from semlink.phy.named import FORM, import_named


def test_a_module_of_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_here.py").write_text("class One:\n    two = 2\n")
    (tmp_path / "named_broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    assert import_named("named_here", "One.two", said="x") == 2
    for module, name, said in (
        ("named_here", "Two", "x: module named_here has no Two"),
        ("named_nowhere", "One", r"x: module named_nowhere cannot be imported \(ModuleNotFoundError"),
        ("named_broken", "One", r"x: module named_broken cannot be imported \(ZeroDivisionError"),
    ):
        with pytest.raises(ValueError, match=said):
            import_named(module, name, said="x")


def test_its_form() -> None:
    assert FORM.fullmatch("a.b_1:Net")
    assert not [
        text for text in ("swin", "a:", ":b", "a:b:c", "1a:b", "a:b.c", "zoo:deepjscc-6") if FORM.fullmatch(text)
    ]
