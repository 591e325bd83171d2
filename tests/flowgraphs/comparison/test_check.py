"""The errors of public repositories, made anew: each must be named, and what is right must pass."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from semlink.baselines.sources import Resolutions, coders
from semlink.baselines.sources.jpeg import JPEG
from semlink.flowgraphs.cli import main
from semlink.flowgraphs.comparison import Finding, check_channel, check_codec
from semlink.flowgraphs.comparison.check import _images
from semlink.flowgraphs.specs import make_channel, make_codecs, own_blocks
from semlink.neural import zoo
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Decoded, Frame, Received, normalise_power


class Pixels(nn.Module):
    """Pairs of pixels as symbols, at ratio 1/2: right in everything."""

    ratio = 1 / 2

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def symbols(self, image: Tensor) -> Tensor:
        """Not normalised."""
        values = self.gain * (image.flatten(1) - 0.5)
        return torch.view_as_complex(values.reshape(len(image), -1, 2).contiguous())

    def scale(self, symbols: Tensor) -> Tensor:
        """To unit energy a symbol."""
        return normalise_power(symbols)

    def encode(self, image: Tensor, n0: float) -> Frame:
        """Pixels to symbols."""
        symbols = self.scale(self.symbols(image))
        return Frame(symbols, {"payload": symbols.shape[1]})

    def decode(self, received: Received) -> Tensor | Decoded:
        """Symbols to pixels, of a scale that is guessed."""
        assert received.image_shape is not None
        values = torch.view_as_real(received.symbols).flatten(1) * 0.3 + 0.5
        return values.reshape(-1, *received.image_shape).clamp(0, 1)


class PerAxis(Pixels):
    """Unit power on each real axis, the three decibels of several published codes."""

    def scale(self, symbols: Tensor) -> Tensor:
        return math.sqrt(2) * normalise_power(symbols)


class PerBatch(Pixels):
    """One scale for all images of a batch."""

    def scale(self, symbols: Tensor) -> Tensor:
        return symbols * symbols.abs().square().mean().rsqrt()


class Louder(Pixels):
    """Power that rises with the noise."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        frame = super().encode(image, n0)
        return Frame(frame.symbols * (1 + n0), frame.uses)


class Forgetful(Pixels):
    """A ledger without the side information."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        symbols = super().encode(image, n0).symbols
        return Frame(symbols, {"payload": symbols.shape[1] - 10})


class Cheap(Pixels):
    """A ratio that is only said."""

    ratio = 1 / 6


class Peeking(Pixels):
    """A receiver that keeps what was sent."""

    sent = torch.zeros(1)

    def encode(self, image: Tensor, n0: float) -> Frame:
        self.sent = image
        return super().encode(image, n0)

    def decode(self, received: Received) -> Tensor:
        return self.sent[: len(received.symbols)]


class Neighbourly(Pixels):
    """Normalisation by the statistics of the batch, as batch norm in training mode has it."""

    def symbols(self, image: Tensor) -> Tensor:
        return super().symbols(image - image.mean(dim=0, keepdim=True) + 0.5)


class Loud(Pixels):
    """Images that are not clipped."""

    def decode(self, received: Received) -> Tensor:
        return torch.view_as_real(received.symbols).flatten(1).reshape(-1, *(received.image_shape or ()))


class Stuck(Pixels):
    """Gradients that are not finite."""

    def symbols(self, image: Tensor) -> Tensor:
        return super().symbols(image) * (1 + (self.gain - 1).sqrt().nan_to_num())


class Crash(Pixels):
    """Takes no image at all."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        raise KeyError("x")


class Alone(Pixels):
    """Takes no batch of one."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        if len(image) == 1:
            raise IndexError("one")
        return super().encode(image, n0)


class Lossless(Pixels):
    """Knows the only images there are."""

    def decode(self, received: Received) -> Tensor:
        known = _images(32)
        sent = super().encode(known, 0).symbols
        return known[(received.symbols[:, None] - sent[None]).abs().square().sum(dim=2).argmin(dim=1)]


def wrong(found: list[Finding]) -> dict[str, str]:
    """What was found wrong, in words."""
    return {one.what: one.words for one in found if one.good is False}


@pytest.mark.parametrize(
    ("codec", "what", "words"),
    [
        (PerAxis, "power", "unit power per real axis instead of per complex symbol. The codec is 3.01 dB better off"),
        (PerBatch, "power", "it is normalised per batch; normalise each image by itself"),
        (Louder, "power over Es/N0", "power follows the noise told"),
        (Forgetful, "ledger", "add up to 1526; the frame has 1536 symbols"),
        (Cheap, "ledger", "are a ratio of 0.5; the codec says ratio=0.1667"),
        (Peeking, "knowledge", "the receiver looks at the transmitter"),
        (Neighbourly, "batch", "with the batch"),
        (Loud, "decode", "must be clipped to [0, 1]"),
        (Stuck, "gradients", "NOT all finite"),
        (Crash, "encode", "raises KeyError: 'x'"),
        (Alone, "batch", "raises IndexError: one"),
    ],
)
def test_errors_of_codecs_are_named(codec: type[Pixels], what: str, words: str) -> None:
    found = wrong(check_codec(codec()))
    assert words in found[what]


def test_no_error_at_any_noise_is_no_fault() -> None:
    found = {one.what: one for one in check_codec(Lossless())}
    assert found["noise"].words == "PSNR inf dB at 0 dB, inf dB at 20 dB"
    assert found["noise"].good is None


def test_a_right_codec_passes() -> None:
    found = check_codec(Pixels())
    assert wrong(found) == {}
    assert {one.what for one in found if one.good} >= {"power", "ledger", "batch", "knowledge", "noise", "gradients"}


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_every_codec_of_the_zoo_passes(name: str) -> None:
    assert wrong(check_codec(zoo.load(name))) == {}


@pytest.mark.parametrize("name", ["jpeg-ldpc-qam", "jpeg-ldpc-qam:adaptive", "webp-conv-qam:nr1-13"])
def test_digital_codecs_pass(name: str) -> None:
    codec = make_codecs([name], ratio=1 / 3, mcs="4qam-1/2", channel=AWGN())[name]
    assert wrong(check_codec(codec, side=48)) == {}


class Noise:
    """A channel that is told how its noise goes wrong."""

    def __init__(self, *, times: float = 1.0, told: float = 1.0, gain: str = "") -> None:
        self.times, self.told, self.gain = times, told, gain

    def __call__(self, symbols: Tensor, n0: float, *, rng: list[torch.Generator]) -> Received:
        rows = [torch.view_as_complex(torch.randn(symbols.shape[1], 2, generator=one)) for one in rng]
        noise = torch.stack(rows) * math.sqrt(n0 * self.times / 2)
        draws = [torch.randn(symbols.shape[1], 2, generator=one) for one in rng]
        h = torch.view_as_complex(torch.stack(draws)) * math.sqrt(0.5)
        variance = torch.full(symbols.shape, n0 * self.told)
        if not self.gain:
            return Received(symbols + noise, variance)
        if self.gain == "renormalised":
            h = h * h.abs().square().mean(dim=1, keepdim=True).rsqrt()
        if self.gain == "twice":
            h = h * math.sqrt(2)
        # N0 taken from what arrives keeps the Es/N0 the same however deep the fade.
        noise = noise * h.abs() if self.gain == "follows" else noise
        variance = variance * h.abs().square() if self.gain == "follows" else variance
        return Received(symbols + noise / h, variance / h.abs().square(), gain=h)


@pytest.mark.parametrize(
    ("channel", "what", "words"),
    [
        (Noise(times=2), "noise at 20 dB", "+3.0"),
        (Noise(times=2), "noise at 0 dB", "N0 on each real axis instead of N0/2"),
        (Noise(times=2, told=2), "Es/N0", "+3.01 dB off the Es/N0 asked for"),
        (Noise(gain="renormalised"), "fading", "outage, are taken away"),
        (Noise(gain="twice"), "fading", "E|h|² = 2"),
        (Noise(gain="follows"), "fading", "N0 follows the gain"),
        (Noise(times=2, told=2, gain="right"), "fading", "3.0 dB more noise than the Es/N0 asked for: N0 on each real"),
    ],
)
def test_errors_of_channels_are_named(channel: Noise, what: str, words: str) -> None:
    assert words in wrong(check_channel(channel))[what]


@pytest.mark.parametrize(
    "spec",
    [
        "awgn",
        "rayleigh",
        "rayleigh:fast",
        "rician:K=6",
        "rayleigh:csi=estimated",
        "rayleigh:csi=none",
        "mimo:2x2,mmse",
        "awgn+rapp:ibo=9",
        "rayleigh+adc:bits=3",
    ],
)
def test_channels_pass(spec: str) -> None:
    channel = make_channel(spec, coherence=None, csi=None, equaliser=None)
    assert wrong(check_channel(channel)) == {}
    assert wrong(check_channel(Noise(gain="right"))) == {}


MODULE = """
from semlink.phy.channels import AWGN
from semlink.neural import zoo

class Mine:
    def __init__(self, ratio):
        self.codec, self.ratio = zoo.load("deepjscc", ratio=ratio), ratio
    def encode(self, image, n0):
        return self.codec.encode(image, n0)
    def decode(self, received):
        return self.codec.decode(received)

class Needy(Mine):
    def __init__(self, weights, ratio):
        pass

ether = AWGN()
seven = 7
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's module, to work in."""
    (tmp_path / "my_blocks.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_blocks", "my_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_blocks_of_ones_own_by_module_and_name(own: Path) -> None:
    name = "my_blocks:Mine"
    made = make_codecs([name], ratio=1 / 12, mcs="16qam-1/2", channel=AWGN())[name]
    assert made.ratio == 1 / 12  # type: ignore[union-attr]
    channel = make_channel("my_blocks:ether", coherence=None, csi=None, equaliser=None)
    assert isinstance(channel, AWGN)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my_blocks:Yours", "module my_blocks has no Yours"),
        ("my_blocks:seven", "is no codec: it must have encode"),
        ("my_blocks:Needy", "cannot be made with ratio (TypeError"),
        ("my_broken:Mine", "module my_broken cannot be imported (ModuleNotFoundError: No module named 'nothing"),
        ("not_there:Mine", "no module not_there"),
    ],
)
def test_blocks_of_ones_own_that_cannot_be_had(name: str, words: str, own: Path) -> None:
    with pytest.raises(ValueError) as caught:
        make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    assert words in str(caught.value)


def test_the_command(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["semlink", "check", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(str(caught.value.code or 0))

    assert run("my_blocks:Mine") == 0
    assert "good   power" in capsys.readouterr().out
    assert run("my_blocks:ether", "--json") == 0
    assert {one["what"] for one in json.loads(capsys.readouterr().out)} >= {"Es/N0", "batch"}
    (own / "my_errors.py").write_text(
        "from my_blocks import Mine\nfrom dataclasses import replace\n"
        "class Three(Mine):\n    def encode(self, image, n0):\n"
        "        frame = super().encode(image, n0)\n"
        "        return replace(frame, symbols=frame.symbols * 2 ** 0.5)\n"
    )
    assert run("my_errors:Three") == 1
    assert "3.01 dB better off" in capsys.readouterr().out
    assert run("my_blocks:seven") == 2
    assert run("rayleigh:csi=estimated") == 0
    assert run("turbo") == 2


class Entry:
    """An entry point, as importlib.metadata hands it out."""

    def __init__(self, name: str, module: str, attr: str) -> None:
        self.name, self.module, self.attr = name, module, attr


def test_blocks_of_ones_own_by_entry_point(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = {
        "semlink.codecs": [Entry("mine", "my_blocks", "Mine")],
        "semlink.channels": [Entry("ether", "my_blocks", "ether")],
        "semlink.sources": [Entry("jpegtoo", "semlink.baselines.sources.jpeg", "JPEG")],
    }
    monkeypatch.setattr(own_blocks, "entry_points", lambda group: offered.get(group, []))
    monkeypatch.setitem(coders.SOURCES, "jpegtoo", JPEG)  # is taken out again at the end
    del coders.SOURCES["jpegtoo"]
    made = make_codecs(["mine", "jpegtoo-ldpc-qam"], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    assert type(made["mine"]).__name__ == "Mine"
    assert made["jpegtoo-ldpc-qam"].source == Resolutions(JPEG())  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"must be one of: .*, mine; a digital link"):
        make_codecs(["turbo"], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    assert isinstance(make_channel("ether", coherence=None, csi=None, equaliser=None), AWGN)
    with pytest.raises(ValueError, match="must be small letters and digits"):
        coders.register_source("my coder", JPEG)
    with pytest.raises(ValueError, match="name='jpeg' must be none of"):
        coders.register_source("jpeg", JPEG)


def test_rayleigh_is_a_channel_and_no_codec() -> None:
    assert not own_blocks.is_own("rayleigh:fast", "channels")
    for coherence in (16, 1024):  # two blocks an image, of which 64 are few
        assert wrong(check_channel(Rayleigh(coherence))) == {}
