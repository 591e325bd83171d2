"""Codecs of images, with and without a receiver, beside one that classifies: printed to the end, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from semlink.flowgraphs.comparison import compare, plots
from semlink.flowgraphs.specs import Labels
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received

MODULE = """
import torch
from semlink.phy.link import Decoded, Frame

class Half:
    '''Tells dark from bright by one symbol.'''
    classes = 2
    def encode(self, image, n0):
        sign = 2.0 * (image.mean(dim=(1, 2, 3)) > 0.5) - 1
        return Frame(sign[:, None].to(torch.complex64), {"payload": 1})
    def decode(self, received):
        real = received.symbols.real
        return Decoded(torch.cat([-real, real], dim=1))
"""


class Half:
    """Tells dark from bright by one symbol."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        sign = 2.0 * (image.mean(dim=(1, 2, 3)) > 0.5) - 1
        return Frame(sign[:, None].to(torch.complex64), {"payload": 1})

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.cat([-received.symbols.real, received.symbols.real], dim=1))


class Grey:
    """Sends two symbols and shows mid-grey."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        return Frame(torch.ones(len(image), 2, dtype=torch.complex64), {"payload": 2})

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.full((len(received.symbols), 3, 16, 16), 0.5))


def test_all_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_semlink: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("halving.py").write_text(MODULE)
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "shades" / name).mkdir(parents=True)
        for i in range(2):
            picture = (level + rng.integers(0, 40, (32, 32, 3))).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "shades" / name / f"{i}.png")
    words = [word for one in ("jpeg-ldpc-qam", "jpeg-ldpc-qam+sft-jpeg", "halving:Half") for word in ("--codec", one)]
    status, out, err = run_semlink("compare", "shades", *words, "--esno", "0,20", "--realisations", "2", "--out", "out")
    assert status == 0, err
    assert "jpeg-ldpc-qam+sft-jpeg: ratio 1/6" in out
    assert "halving:Half: ratio 1/3072" in out
    assert out.index("PSNR in dB above") < out.index("written: out/compare.csv")
    assert Path("out/margins.csv").is_file()


def test_every_legend_states_the_ratio_once_a_codec_classifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: seen.append(figure))
    images = {f"{i}": torch.full((1, 3, 16, 16), 0.3 + 0.1 * i) for i in range(5)}
    labels = Labels("ab", {name: int(int(name) > 2) for name in images})
    for codecs in ({"half": Half(), "grey": Grey()}, {"grey": Grey()}):
        plots.draw_curves(compare(images, codecs, AWGN(), [0.0, 5.0], labels=labels), "", tmp_path / "a.png")
    legends = [axes.get_legend_handles_labels()[1] for figure in seen for axes in figure.axes[:2]]
    assert legends[:2] == [["half, ratio 1/768"], ["grey, ratio 1/384"]]
    assert legends[2] == ["grey"]
