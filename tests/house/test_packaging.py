from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("phy", "neural", "baselines", "flowgraphs")
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def packages_on_disk() -> dict[str, str]:
    """Every folder with an __init__.py under the four, by import name."""
    found = (path.parent.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py"))
    return {"semlink." + ".".join(path.parts): path.as_posix() for path in found}


def test_every_package_is_listed_and_mapped() -> None:
    """One that is not works in an editable install and is missing from the wheel."""
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages_on_disk())
    assert SETUPTOOLS["package-dir"] == packages_on_disk()


def test_every_module_lies_in_a_package() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_there_is_no_semlink_package() -> None:
    """The import name is an implicit namespace: an __init__.py would shut other distributions out."""
    assert not (ROOT / "semlink").exists()
    import semlink

    assert semlink.__file__ is None


def test_typing_root_links_to_the_folders() -> None:
    for folder in FOLDERS:
        assert (ROOT / "tests" / "typing_root" / "semlink" / folder).resolve() == ROOT / folder


def keep_compiled(site: Path) -> None:
    """Kernels that are compiled here need not be there: Numba knows a source by its time and size."""
    for folder in FOLDERS:
        for kernel in (ROOT / folder).rglob("__pycache__/*.nb[ci]"):
            name = kernel.name.partition(".")[0] + ".py"
            target = site / "semlink" / kernel.relative_to(ROOT)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(kernel, target)
            source = kernel.parents[1] / name
            if source.is_file():
                shutil.copystat(source, target.parents[1] / name)


@pytest.mark.slow
def test_the_wheel_holds_everything_and_works(tmp_path: Path) -> None:
    """Built from a copy, installed beside the dependencies, run away from the source."""
    source = tmp_path / "source"  # without what an earlier build left behind, which setuptools would pack again
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build", "dist", "runs", "out", ".*", "*.egg-info"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    keep_compiled(tmp_path / "site")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            shipped = (
                path.suffix in {".py", ".typed", ".png", ".safetensors", ".json", ".csv", ".yml", ".grc", ".html"}
                and "__pycache__" not in name
                and "radio/pictures/" not in name  # of its README
            )
            assert not shipped or f"semlink/{name}" in inside, name
    assert not [name for name in inside if name.startswith(("phy/", "neural/", "tests/"))]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.meta_path[:] = "
        "[f for f in sys.meta_path if 'editable' not in getattr(f, '__name__', type(f).__name__).lower()]\n"
        "import semlink.phy.link as link; assert link.__file__.startswith(sys.argv[1]), link.__file__\n"
        "from semlink.flowgraphs.cli import main\n"
        "sys.argv[1:] = ['compare', '--codec', 'deepjscc', '--codec', 'jpeg-ldpc-qam:adaptive', '--esno', '5', "
        "'--realisations', '1', '--json']; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site")], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)["rows"]) == 2
    assert (tmp_path / "out" / "compare.png").is_file()
