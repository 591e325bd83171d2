"""Speed of the radiometer's simulation, and how many known images break a keyed transform."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import Attack, known_plaintext, make_console
from semlink.neural import zoo
from semlink.phy.security import Envelope, Key, Warden

SAMPLES = 1_000_000
"""Of a trial."""
TRIALS = 20
KNOWN = (1, 2, 4, 8, 16, 32)
ESNO_DB = (0.0, 10.0, 20.0)


@dataclass(frozen=True)
class Rate:
    """How fast one core draws, squares and adds samples, by its own time.

    Attributes:
        what: the transmission that is listened to.
        samples_per_second: complex samples, silence and transmission together.
    """

    what: str
    samples_per_second: float


def measure_radiometer(*, samples: int = SAMPLES, trials: int = TRIALS) -> list[Rate]:
    """Gaussian samples, samples of constant envelope, and NumPy's own normal numbers beside them."""
    rates = [_rate(envelope, samples, trials) for envelope in ("gaussian", "constant")]
    return [*rates, _numpy(samples)]


def run_security(*, as_json: bool) -> None:
    """`semlink bench security`."""
    rates, attacks = measure_radiometer(), []
    for level in one_by_one(ESNO_DB, named="known images at {:g} dB".format):
        attacks += known_plaintext(zoo.load("swin"), Key(bytes(range(32))), KNOWN, level)
    if as_json:
        told = {"radiometer": [asdict(one) for one in rates], "known_plaintext": [asdict(one) for one in attacks]}
        print(json.dumps(told, indent=2))
        return
    _print(rates, attacks)


def _print(rates: Sequence[Rate], attacks: Sequence[Attack]) -> None:
    console, table = make_console(), Table(title="radiometer: samples a second of one core")
    table.add_column("transmission")
    table.add_column("measured", justify="right")
    for rate in rates:
        table.add_row(rate.what, f"{rate.samples_per_second / 1e6:.0f} M/s")
    console.print(table)
    table = Table(title="swin with keyed symbols, AWGN: what an eavesdropper finds who knows some images")
    for name in ("Es/N0 (dB)", "known images", "places found", "her PSNR (dB)", "with the key (dB)"):
        table.add_column(name, justify="right")
    for one in attacks:
        figures = (f"{100 * one.found:.1f} %", f"{one.psnr_db:.2f}", f"{one.keyed_psnr_db:.2f}")
        table.add_row(f"{one.esno_db:g}", str(one.known), *figures)
    console.print(table)


def _rate(envelope: Envelope, samples: int, trials: int) -> Rate:
    warden, rng = Warden(samples), np.random.default_rng(0)
    warden.watch(0.1, trials=1, rng=rng, envelope=envelope)  # compiles
    start = time.process_time()
    warden.watch(0.1, trials=trials, rng=rng, envelope=envelope)
    return Rate(f"{envelope} envelope", 2 * trials * samples / (time.process_time() - start))


def _numpy(samples: int) -> Rate:
    rng, start = np.random.default_rng(0), time.process_time()
    drawn = rng.standard_normal((samples, 2))
    np.square(drawn).sum()
    return Rate("NumPy's normal numbers, squared and added", samples / (time.process_time() - start))
