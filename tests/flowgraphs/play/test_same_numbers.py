"""What the page shows is what `semlink compare` and the Python that it copies give, bit for bit."""

from __future__ import annotations

import io
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.play.desk import Desk
from semlink.phy.pictures import read_levels

Ask = Callable[..., Any]
Run = Callable[..., tuple[int, str, str]]
SCENES = [
    ({"channel": "awgn", "seed": 0}, ["jpeg-ldpc-qam", "deepjscc", "swin"], 6.5),
    ({"channel": "rayleigh:csi=estimated", "seed": 5}, ["jpeg-ldpc-qam:outage", "jpeg-ldpc-qam:genie", "deepjscc"], 12),
    ({"channel": "awgn+rapp:ibo=3+phase-noise:linewidth=1e-5", "ratio": "1/12"}, ["webp-ldpc-qam:adaptive"], 8.0),
    ({"channel": "mimo:2x2,mmse", "seed": 2}, ["deepjscc", "deepjscc@rayleigh:esno=-3"], 4.25),
]  # fmt: skip


def shown(ask: Ask, said: dict[str, Any], codecs: list[str], esno_db: float) -> dict[str, tuple[Any, ...]]:
    """PSNR, SSIM and failure by codec, as the page has them; asked for twice, the second time of what is kept."""
    found = {}
    for codec in codecs:
        for _ in range(2):
            got = ask("send", **said, codec=codec, esno_db=esno_db)
        found[codec] = (float(got["psnr_db"]), got["ssim"], int(got["failed"]), got["ratio"])
    return found


@pytest.mark.parametrize(("said", "codecs", "esno_db"), SCENES, ids=["awgn", "fading", "stages", "antennas"])
def test_the_command_gives_the_same(
    said: dict[str, Any], codecs: list[str], esno_db: float, ask: Ask, run_semlink: Run, tmp_path: Path
) -> None:
    page = shown(ask, said, codecs, esno_db)
    command = ask("copy", **said, codecs=codecs, esno_db=esno_db)["command"]
    program, *words = shlex.split(command)
    assert program == "semlink"
    code, out, _ = run_semlink(*words, "--json", "--out", str(tmp_path / "out"))
    assert code == 0
    rows = json.loads(out)["rows"]
    told = {row["codec"]: (float(row["psnr_db"]), row["ssim"], row["failed"], row["ratio"]) for row in rows}
    assert told == page  # floats, to the last bit
    picture = next(path for path in (tmp_path / "out" / "received").iterdir() if codecs[0].split(":")[0] in path.name)
    assert (read_levels(picture) == ask("send", **said, codec=codecs[0], esno_db=esno_db)["levels"]).all()


def test_the_python_gives_the_same(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    said, codecs, esno_db = SCENES[1]
    page = shown(ask, said, codecs, esno_db)
    names: dict[str, Any] = {}
    exec(ask("copy", **said, codecs=codecs, esno_db=esno_db)["python"], names)
    assert "psnr_db" in capsys.readouterr().out
    table = names["result"].table.set_index("codec")
    for codec, figures in page.items():
        row = table.loc[codec]
        assert (row["psnr_db"], row["ssim"], row["failed"], row["ratio"]) == figures


def test_a_dropped_photograph_too_once_it_is_saved(
    desk: Desk, ask: Ask, run_semlink: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    packed = io.BytesIO()
    y, x = np.mgrid[0:200, 0:333]
    levels = np.stack([127 + 120 * np.sin(x / 31), 127 + 120 * np.cos(y / 23), x * 0.7], axis=2).clip(0, 255)
    Image.fromarray(levels.astype(np.uint8)).save(packed, "jpeg", quality=92)
    name = json.loads(desk.answer("drop", packed.getvalue(), "name=my photo.jpg&side=256")[1])["picture"]
    Path(name).write_bytes(ask("saved", picture=name))
    said, codecs = {"picture": name, "channel": "awgn", "seed": 1}, ["jpeg-ldpc-qam:adaptive", "deepjscc"]
    page = shown(ask, said, codecs, 9.0)
    command = ask("copy", **said, codecs=codecs, esno_db=9.0)["command"]
    _, out, _ = run_semlink(*shlex.split(command)[1:], "--json")
    rows = {row["codec"]: row for row in json.loads(out)["rows"]}
    assert {
        codec: (float(row["psnr_db"]), row["ssim"], row["failed"], row["ratio"]) for codec, row in rows.items()
    } == page
    assert all(math.isfinite(figures[0]) for figures in page.values())


def test_one_sample_is_a_set_of_its_own(run_semlink: Run, tmp_path: Path) -> None:
    code, _, err = run_semlink("compare", "samples:nobody", "--out", str(tmp_path))
    assert (code, "must be one of: astronaut, chelsea, coffee" in err) == (2, True)
    code, _, err = run_semlink("compare", "samples", "samples:coffee", "--out", str(tmp_path))
    assert (code, "given more than once" in err) == (2, True)
