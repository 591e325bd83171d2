"""Files that are no quality surface, of the odder kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from semlink.flowgraphs.optimisation import read_surface

HEAD = "codec,steps,esno_db,psnr_mean_db,spread_db,images\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"rows": "' + "x" * 200_000 + '"}', "field larger than field limit"),  # some JSON in one line
        (HEAD + "".join(f"a,{k},{level},20,1,9\n" for k in (0, 1) for level in ("-inf", "0")), "evenly spaced"),
    ],
)
def test_it_is_refused_in_a_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(ValueError, match=f"holds no quality surface .*{said}"):
        read_surface(tmp_path / "odd.csv")
