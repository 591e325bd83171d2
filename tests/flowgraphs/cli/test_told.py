"""`semlink --version`, shell completion, and every codec name that --codec takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version

import pytest

from semlink.baselines.adaptation import MODES
from semlink.baselines.blocks import CODES
from semlink.flowgraphs.specs import codec_groups, make_codecs
from semlink.flowgraphs.specs.codec_names import CHANNEL_CODES, KNOWN, PUBLISHED
from semlink.flowgraphs.specs.near_names import plain_names
from semlink.flowgraphs.specs.secrecy import SOURCE_OPTIONS
from semlink.neural import zoo
from semlink.phy.channels import AWGN
from semlink.phy.sources import data_folder

Command = Callable[..., tuple[int, str, str]]


def test_the_version_is_told(run_semlink: Command) -> None:
    assert run_semlink("--version") == (0, f"semlink {version('semlink')}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str, run_semlink: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SEMLINK_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "semlink cod")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "semlink cod")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    _, out, _ = run_semlink()
    assert "codecs" in out
    assert "compare" not in out


def test_every_codec_that_is_told_is_taken() -> None:
    """One of each kind, and each of the names that are all there are."""
    groups = {one.title: one for one in codec_groups()}
    networks, digital, schemes, parts, again, repeated, ceilings, published, receivers, secret, tasks, _ = (
        groups.values()
    )
    for name, said in networks.names.items():
        ratio = 1 / float(said.rpartition("1/")[2]) if "1/" in said else 1 / 6
        assert list(make_codecs([name], ratio=ratio, mcs="16qam-1/2", channel=AWGN())) == [name]
    tried = [name for name in digital.names if name.startswith(("jpeg-", "webp-ldpc"))]
    tried += [f"jpeg-ldpc-qam{scheme}" for scheme in (":16qam-1/2", ":nr1-28", ":nr2-27")]
    tried += [f"jpeg-ldpc-{name}:3/4" for name in parts.names if name != "random"] + ["jpeg-conv-random-qam:4qam-1/2"]
    for name in (*tried, "jpeg-capacity", "swin:harq=4", next(iter(receivers.names))):
        assert list(make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())) == [name]
    for name in (
        one.replace("CODEC", "deepjscc")
        for one in tasks.names
        if "resnet" not in one and (data_folder() or "features" not in one)
    ):
        assert list(make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())) == [name]
    assert all(any(name.startswith(f",{option}=") for name in schemes.names) for option in SOURCE_OPTIONS)
    assert ":harq=" in again.form.replace("[SCHEME,]", "")
    assert {"harq", "combining", "delay"} <= {name.strip(",:").partition("=")[0] for name in again.names}
    assert {"harq", "round", "delay"} == {name.strip(",:").partition("=")[0] for name in repeated.names}
    assert {"label:resnet56", "CODEC+classify:resnet20", "task"} <= set(tasks.names)
    assert "webp-capacity" in ceilings.names
    assert {name.partition("key=")[2] for name in secret.names if "key=FILE" in name} == {"FILE"}
    assert {":adaptive", ":outage", ":genie", ":all", ":16qam-1/2", ":nr1-0", ":nr2-27"} <= set(schemes.names)
    assert all(name.startswith(PUBLISHED) for name in published.names)
    assert set(published.names) == {name for name in plain_names() if name.startswith(PUBLISHED)}


def test_nothing_is_left_out() -> None:
    """A code, a mode or a network that is added needs its words."""
    assert set(CHANNEL_CODES) == set(CODES)
    assert set(KNOWN) == set(MODES)
    named = {name for one in codec_groups() for name in one.names}
    assert set(zoo.names()) <= named


def test_the_command_tells_them(run_semlink: Command, shipped: object) -> None:
    status, out, error = run_semlink("codecs")
    assert (status, error) == (0, "")
    for line in ("  jpeg-conv-qam ", "  swin ", "SOURCE-CODE-qam[:SCHEME]", "  swin+sft-swin ", "MODULE:NAME"):
        assert line in out
    _, told, _ = run_semlink("codecs", "--json")
    groups = json.loads(told)
    assert {"group", "form", "names"} == set(groups[0])
    assert "deepjscc" in groups[0]["names"]
