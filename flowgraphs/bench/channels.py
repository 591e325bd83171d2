"""Speed of the channels: against the noise that they draw, and MIMO-OFDM against Sionna's own chain."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from semlink.flowgraphs.bench.timing import one_by_one, seconds
from semlink.flowgraphs.comparison import make_console
from semlink.phy.channels import parse_channel
from semlink.phy.impairments import Medium
from semlink.phy.rng import complex_normal

IMAGES = 64
SYMBOLS = 16_384
"""Of each image: 10⁶ symbols in all."""
FLAT = ("awgn", "rayleigh", "rayleigh:coherence=16", "rayleigh:fast", "rayleigh:fast,mmse")
ANTENNAS = 4
OFDM_SYMBOLS = 14
SLOTS = 992
"""Of 14 OFDM symbols and 72 carriers each: 10⁶ resource elements in all."""
_CARRIERS = 72
_N0 = 0.1


@dataclass(frozen=True)
class Speed:
    """One channel against something that is measured in the same run.

    Attributes:
        what: the channel.
        seconds: for 10⁶ symbols or resource elements.
        reference: what it is measured against.
        reference_seconds: for as many.
        ratio: `reference_seconds` over `seconds`.
    """

    what: str
    seconds: float
    reference: str
    reference_seconds: float
    ratio: float


def measure_channels() -> list[Speed]:
    """All of them; about a minute."""
    rng = [torch.Generator().manual_seed(i) for i in range(IMAGES)]
    symbols = torch.stack([complex_normal(SYMBOLS, g) for g in rng])
    drawing = seconds(lambda: _add_noise(symbols, rng))
    wide = f"tdl-c:ds=100ns,v=3,{ANTENNAS}x{ANTENNAS},mmse"
    speeds = []
    for text in one_by_one([*FLAT, wide]):
        if text == wide:
            speeds.append(_against(f"{text}, 10⁶ resource elements", _ofdm(text), "Sionna's chain", _sionna()))
        else:
            taken = _flat_seconds(text, symbols, rng)
            speeds.append(_against(text, taken, "drawing the noise and adding it", drawing))
    return speeds


def run_channels(*, as_json: bool) -> None:
    """`semlink bench channels`."""
    results = measure_channels()
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print_channels(results)


def print_channels(results: Sequence[Speed]) -> None:
    """The table."""
    table = Table(title="channels: seconds for 10⁶ symbols or resource elements, CSI perfect")
    for name in ("channel", "measured", "against", "measured", "ratio"):
        table.add_column(name, justify="right" if name in ("measured", "ratio") else "left")
    for one in results:
        table.add_row(one.what, f"{one.seconds:.3g}", one.reference, f"{one.reference_seconds:.3g}", f"{one.ratio:.2g}")
    make_console().print(table)


def _against(what: str, taken: float, reference: str, other: float) -> Speed:
    return Speed(what, taken, reference, other, other / taken)


def _add_noise(symbols: Tensor, rng: Sequence[torch.Generator]) -> Tensor:
    noise = torch.stack([complex_normal(symbols.shape[1], g) for g in rng])
    return symbols + math.sqrt(_N0) * noise


def _flat_seconds(text: str, symbols: Tensor, rng: Sequence[torch.Generator]) -> float:
    channel = parse_channel(text)
    return seconds(lambda: channel(symbols, _N0, rng=rng))


def _ofdm(text: str) -> float:
    """A slot an image, as many at a time as suit the caches."""
    channel, at_once = parse_channel(text), 16
    rng = [torch.Generator().manual_seed(i) for i in range(at_once)]
    symbols = torch.stack([complex_normal(ANTENNAS * OFDM_SYMBOLS * _CARRIERS, g) for g in rng])
    return seconds(lambda: _repeat(channel, symbols, rng, SLOTS // at_once), repeats=1)


def _repeat(channel: Medium, symbols: Tensor, rng: Sequence[torch.Generator], times: int) -> None:
    for _ in range(times):
        channel(symbols, _N0, rng=rng)


def _sionna(at_once: int = 16) -> float:
    """The chain of Sionna's MIMO-OFDM tutorial: TDL, channel in the frequency domain, LMMSE with perfect CSI."""
    slot = _sionna_chain(at_once)
    few = 10
    return seconds(lambda: [slot() for _ in range(few)], repeats=1) * SLOTS / (few * at_once)


def _sionna_chain(batch: int) -> Callable[[], object]:
    from sionna.phy.channel import OFDMChannel
    from sionna.phy.channel.tr38901 import TDL
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, ResourceGrid, ResourceGridMapper

    grid = ResourceGrid(
        num_ofdm_symbols=OFDM_SYMBOLS,
        fft_size=_CARRIERS,
        subcarrier_spacing=30e3,
        num_tx=1,
        num_streams_per_tx=ANTENNAS,
    )
    paths = TDL("C", 100e-9, 3.5e9, min_speed=3.0, num_rx_ant=ANTENNAS, num_tx_ant=ANTENNAS)
    channel = OFDMChannel(paths, grid, return_channel=True)
    mapper = ResourceGridMapper(grid)
    equaliser = LMMSEEqualizer(grid, StreamManagement(np.array([[1]]), ANTENNAS))
    symbols = torch.randn(batch, 1, ANTENNAS, int(grid.num_data_symbols), dtype=torch.complex64) / 2

    def slot() -> object:
        received, h = channel(mapper(symbols), _N0)
        return equaliser(received, h, torch.zeros(()), torch.tensor(_N0))

    return slot
