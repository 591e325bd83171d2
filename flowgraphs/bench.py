"""Speed on this machine: a default comparison, the codecs, the LDPC decoder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from semlink.baselines.separate import SeparateCodec
from semlink.neural import zoo
from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.ldpc import LDPC5G
from semlink.phy.link import Codec, Link, esno_to_n0
from semlink.phy.sources import sample_images

ESNO_DB = 10.0


@dataclass(frozen=True)
class Measurement:
    """One figure: what, how much, in which unit."""

    what: str
    value: float
    unit: str


def run_bench(*, as_json: bool) -> None:
    """`semlink bench`."""
    results = [_comparison(), _ldpc(), *_links()]
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    table = Table(title=f"PyTorch on {torch.get_num_threads()} threads")
    table.add_column("what")
    table.add_column("measured", justify="right")
    for result in results:
        table.add_row(result.what, f"{result.value:.3g} {result.unit}")
    Console().print(table)


def seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """The shortest of some runs after one that warms up."""
    action()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _comparison() -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "semlink.flowgraphs", "compare", "--out", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return Measurement("`semlink compare` with its defaults, process and all", time.perf_counter() - start, "s")


def _ldpc() -> Measurement:
    code, qam, blocks = LDPC5G(1024, 2048, bits_per_symbol=2), QAM(4), 64
    rng = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (blocks, code.k), generator=rng)
    n0 = esno_to_n0(2.0)
    received = AWGN()(qam.map(code.encode(bits)), n0, rng=rng)
    llr = qam.llr(received.symbols, received.n0)
    rate = blocks * code.k / seconds(lambda: code.decode(llr)) / 1e6
    return Measurement("LDPC5G(1024, 2048) decoder, 4-QAM at 2 dB, information bits", rate, "Mb/s")


def _links() -> list[Measurement]:
    codecs: dict[str, Codec] = {"deepjscc": zoo.load("deepjscc"), "jpeg-ldpc-qam, 16qam-1/2": SeparateCodec()}
    image = sample_images()
    megapixels = image.shape[0] * image.shape[2] * image.shape[3] / 1e6
    results = []
    for name, codec in codecs.items():
        link = Link(codec, AWGN())
        taken = seconds(partial(_send, link, image))
        what = f"{name} over AWGN at {ESNO_DB:g} dB, encode and decode"
        results.append(Measurement(what, megapixels / taken, "Mpixel/s"))
    return results


def _send(link: Link, image: Tensor) -> None:
    link(image, ESNO_DB, rng=torch.Generator().manual_seed(0))
