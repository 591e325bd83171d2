"""Networks on a device of their own: what they take is moved there, what they make comes back.

No GPU is at hand here. PyTorch's "meta" device stands for it: it has shapes and no values, and refuses to be mixed.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from semlink.neural import zoo
from semlink.neural.classifiers import build_task
from semlink.neural.diffusion import SymbolDenoiser, build_receiver, grid_of, load_receiver
from semlink.neural.inference import at_home, moved
from semlink.neural.models import Network, build
from semlink.phy.link import Codec, Decoded, Frame, Received, Spatial

NETWORKS = {
    "deepjscc": {"cell_symbols": 8, "widths": [4, 6]},
    "adjscc": {"cell_symbols": 8},
    "deepjscc-plain": {"cell_symbols": 8},
    "swin-gsc": {},
    "swin": {"widths": [8, 12], "depths": [1, 2], "heads": 2, "window": 4},
}


class Halving(nn.Module):
    """Notes where it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((), 0.5, dtype=torch.float64))
        self.asked: list[torch.device] = []

    @at_home
    def decode(self, received: Received, *, more: dict[str, Tensor]) -> Decoded:
        tensors = [received.symbols, received.n0, received.spatial.h, more["x"]] if received.spatial else []
        self.asked = [one.device for one in tensors]
        return Decoded(torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool))

    @at_home
    def count(self, number: int) -> int:
        return number


def received() -> Received:
    symbols, h = torch.zeros(2, 4, dtype=torch.complex64), torch.zeros(2, 2, 2, 2, dtype=torch.complex64)
    return Received(symbols, torch.ones(2, 4), header=[1, 2], spatial=Spatial(h[..., 0], h, torch.ones(2, 2)))


def test_what_a_network_is_given_goes_to_its_weights_and_what_it_makes_comes_back() -> None:
    network = Halving().to("meta")
    got = network.decode(received(), more={"x": torch.zeros(1)})
    assert {one.type for one in network.asked} == {"meta"}
    assert len(network.asked) == 4
    assert isinstance(got, Decoded)
    assert got.image.device.type == "cpu"
    assert network.count(3) == 3


def test_where_all_is_in_one_place_nothing_is_touched() -> None:
    network, given = Halving(), received()
    network.decode(given, more={"x": torch.zeros(1)})
    assert moved(given, "cpu").symbols is given.symbols
    assert {one.type for one in network.asked} == {"cpu"}


def test_all_tensors_of_a_frame_are_moved_and_the_rest_stays() -> None:
    bits = {"source": torch.zeros(2, dtype=torch.int64)}
    frame = Frame(torch.zeros(2, 4, dtype=torch.complex64), {"payload": 4}, bits=bits, modes=("a", "b"), header=[1, 2])
    there = moved(frame, "meta")
    assert (there.symbols.device.type, there.bits["source"].device.type) == ("meta", "meta")
    assert replace(there, symbols=frame.symbols, bits=frame.bits) == frame


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_makes_its_tensors_where_its_weights_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also indices, masks and conditions, which would otherwise be mixed with what lies elsewhere."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # there is none without values
    network = build(name, NETWORKS[name]).eval().to("meta")
    assert isinstance(network, Network)
    image, n0 = torch.zeros(2, 3, 40, 64, device="meta"), torch.ones(2, device="meta")
    sent = network.symbols(image, n0)
    shown = network.reconstruct(Received(sent, torch.ones(sent.shape, device="meta")), (3, 40, 64))
    assert (sent.device.type, shown.device.type, tuple(shown.shape)) == ("meta", "meta", (2, 3, 40, 64))


def test_receivers_and_task_codecs_do_so_too() -> None:
    image, level = torch.zeros(2, 3, 32, 32, device="meta"), torch.ones(2, 1, device="meta")
    with torch.no_grad():
        restored = build_receiver("residual-cnn", {}).eval().to("meta").restore(image, level)
        task = build_task("task", {"widths": [8, 8, 8], "blocks": [1, 1, 1]}).eval().to("meta")
        sent = task.symbols(image, torch.ones(2, device="meta"))
        seen = task.see_received(Received(sent, torch.ones(sent.shape, device="meta")))
    assert {one.device.type for one in (restored, sent, *seen)} == {"meta"}


def test_codecs_of_the_contract_have_it() -> None:
    """Each has its methods wrapped: a network that forgets would fail on a GPU alone."""
    every = [build(name, given) for name, given in NETWORKS.items()]
    every += [build("swin-photo", {}), build_task("task", {})]
    for network in every:
        assert isinstance(network, Codec)
        assert all(hasattr(getattr(type(network), name), "__wrapped__") for name in ("encode", "decode"))
    for name in ("residual-cnn", "sft"):
        assert hasattr(type(build_receiver(name, {})).refine, "__wrapped__")
    assert hasattr(SymbolDenoiser.denoise, "__wrapped__")


def test_what_is_loaded_is_put_on_the_chosen_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("zoo", "diffusion.zoo"):
        monkeypatch.setattr(f"semlink.neural.{module}.chosen_device", lambda: "meta")
    swin = zoo.load("swin")
    assert isinstance(swin, nn.Module)
    assert next(swin.parameters()).device.type == "meta"
    receiver = load_receiver("cddm-swin")
    assert isinstance(receiver, SymbolDenoiser)
    assert next(receiver.parameters()).device.type == "meta"
    # Symbols of its grid, denoised there.
    grid, symbols = grid_of(swin, 32, 32, 512), torch.zeros(1, 512, dtype=torch.complex64, device="meta")
    clean, n0 = receiver.denoise(symbols, torch.ones(1, 512, device="meta"), grid)
    assert (clean.device.type, n0.device.type) == ("meta", "meta")
