"""A network of one's own from the README: trained by MODULE:NAME, and a codec wherever one is named."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.comparison import card_figures
from semlink.flowgraphs.service.lanes import load_own
from semlink.flowgraphs.specs import make_codecs
from semlink.flowgraphs.studies import Study
from semlink.flowgraphs.studies.provenance import block_digests
from semlink.neural import zoo
from semlink.neural.training import Data, loop
from semlink.phy.channels import AWGN

Run = Callable[..., tuple[int, str, str]]
README = Path(__file__).parents[3] / "neural" / "README.md"
RECIPE = """
name = "mine"
model = "mynet:Net"
network = {width = 8}
steps = 4
batch = 4
groups = 2
checkpoint_every = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README's module, a recipe and images in the working folder."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    (code,) = [one for one in blocks if "class Net" in one]
    assert len(code.splitlines()) <= 25
    (tmp_path / "mynet.py").write_text(code)
    (tmp_path / "mine.toml").write_text(RECIPE)
    small = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    none = torch.empty(0, 3, 128, 128, dtype=torch.uint8)
    monkeypatch.setattr(loop, "training_images", lambda _: Data(small, none, small[:2]))
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(folder: Path, run_semlink: Run) -> str:
    status, _, err = run_semlink("train", "mine.toml", "--out", "runs/mine", "--threads", "1", "--quiet")
    assert status == 0, err
    return "runs/mine/mine.safetensors"


def test_it_is_a_codec_in_every_command(
    mine: str, run_semlink: Run, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads(Path(mine).with_suffix(".json").read_text())
    assert (card["codec"], card["network"]) == ("mynet:Net", {"width": 8})
    words = ["compare", picture, "--codec", mine, "--esno", "10", "--realisations", "1", "--json", "--out", "out"]
    status, out, err = run_semlink(*words)
    assert status == 0, err
    assert json.loads(out)["rows"][0]["codec"] == mine
    _, out, _ = run_semlink("check", mine)
    assert "good   decoded batch" in out
    asked: list[tuple[object, str]] = []
    monkeypatch.setattr(
        "semlink.flowgraphs.cli.export.export_codec", lambda model, _, *, name, size: asked.append((model, name)) or ()
    )
    assert run_semlink("export", mine, "--size", "32x32")[0] == 0
    assert type(asked[0][0]).__name__ == "Net"
    monkeypatch.setattr(card_figures, "cifar10", lambda _: torch.rand(2, 3, 32, 32))
    status, _, err = run_semlink("zoo", "--measure", mine)
    assert status == 0, err
    assert zoo.run_card(mine).figures
    assert type(load_own({"x": mine})["x"]).__name__ == "Net"


def test_its_weights_are_first_weights_and_its_code_counts_in_a_study(
    mine: str, run_semlink: Run, folder: Path
) -> None:
    words = ["train", "mine.toml", "--out", "runs/two", "--threads", "1", "--quiet"]
    assert run_semlink(*words, "--set", "name=two", "--set", f"init={mine}")[0] == 0
    study = Study(images=["samples"], codecs=[mine], esno_db=[10])
    before = block_digests(study)
    module = folder / "mynet.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert block_digests(study) != before


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nowhere_net:Net", "module nowhere_net cannot be imported (ModuleNotFoundError"),
        ("mynet:Other", "module mynet has no Other"),
        ("mynet:nn", "must be a class of torch.nn.Module; it is of type module"),
        ("torch:Tensor", "must be a class of torch.nn.Module; it is the class Tensor"),
        ("odd_nets:Bare", "is no network: it lacks symbols, reconstruct, encode, decode, hidden_weights"),
        ("mynet", "must be one of: deepjscc, swin, swin-gsc, swin-photo, hybrid, adjscc, deepjscc-plain, MODULE:NAME"),
        ("odd_nets:Wide", "symbols gives (2, 513) of torch.complex64; it must be (2, 512) of torch.complex64"),
        ("odd_nets:Loud", "symbols have mean energy 4; it must be 1 for each image"),
        ("odd_nets:Small", "reconstruct gives (2, 3, 16, 16) of torch.float32; it must be (2, 3, 32, 32)"),
        ("odd_nets:Stiff", "symbols has no gradient by the weights"),
        ("odd_nets:Broken", "symbols raises RuntimeError: oh"),
        ("odd_nets:Free", "ratio=None must be a float above 0, at most 1"),
    ],
)
def test_what_is_no_network_is_refused_in_a_line(folder: Path, run_semlink: Run, model: str, said: str) -> None:
    (folder / "odd_nets.py").write_text(ODD)
    words = ["train", "mine.toml", "--out", "runs/x", "--threads", "1", "--quiet", "--set", f"model={model}"]
    status, _, err = run_semlink(*words)
    assert status == 2
    assert said in " ".join(err.split())
    assert len(err.strip().splitlines()) == 1
    assert not (folder / "runs" / "x" / "checkpoint.pt").exists()


def test_a_run_whose_module_is_gone_says_so(mine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mynet.py").unlink()
    monkeypatch.delitem(sys.modules, "mynet")
    with pytest.raises(ValueError, match=r"model='mynet:Net': module mynet cannot be imported"):
        make_codecs([mine], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())


ODD = """
import torch
import mynet
class Wide(mynet.Net):
    def symbols(self, image, n0):
        sent = super().symbols(image, n0)
        return torch.cat([sent, sent[:, :1]], dim=1)
class Loud(mynet.Net):
    def symbols(self, image, n0):
        return 2 * super().symbols(image, n0)
class Small(mynet.Net):
    def reconstruct(self, received, shape):
        return super().reconstruct(received, shape)[:, :, ::2, ::2]
class Stiff(mynet.Net):
    def symbols(self, image, n0):
        return super().symbols(image, n0).detach()
class Broken(mynet.Net):
    def symbols(self, image, n0):
        raise RuntimeError("oh\\nno")
class Bare(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
class Free(mynet.Net):
    def __init__(self, width=8):
        super().__init__(width)
        self.ratio = None
"""
