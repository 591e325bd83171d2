"""`semlink bench ldpc`: the channel decoders against those that others use, on the same received frames."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from rich.table import Table
from scipy.sparse import csr_matrix
from torch import Tensor

from semlink.flowgraphs.bench.timing import one_by_one, seconds
from semlink.flowgraphs.comparison import make_console
from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.fec import LDPC5G, BlockCode, Convolutional, Graph, LayeredDecoder
from semlink.phy.link import esno_to_n0

ITERATIONS = 10
SIONNA_ITERATIONS = 20
PYLDPC_ITERATIONS = 20

# 5G codes (k, n), Es/N0 in dB on 4-QAM where Sionna's decoder loses some 1 block in 3, and how many blocks it decodes.
FIVE_G = (
    (8448, 12672, 3.03, 60),
    (8448, 25344, -1.4, 40),
    (3840, 15360, -2.87, 60),
    (1024, 2048, 1.05, 300),
    (200, 400, 1.3, 600),
)
_OFFSETS_DB = (-0.2, -0.1, 0.0, 0.1, 0.2)


@dataclass(frozen=True)
class Decoder:
    """One code decoded by us and by another on the same frames, in the same run.

    Attributes:
        code: what code, by whom else decoded.
        mbps: our information bits per second at this Es/N0, in millions; blocks stop early.
        mbps_full: the same where no block ever stops early, for iterative decoders.
        other_mbps: the other decoder's.
        ratio: mbps / other_mbps.
        bler, other_bler: block error rates on the same frames.
        offset_db: Es/N0 that we need beyond the other for its block error rate, within ±0.2 dB.
    """

    code: str
    esno_db: float
    mbps: float
    mbps_full: float | None
    other_mbps: float
    ratio: float
    blocks: int
    bler: float
    other_bler: float
    offset_db: float | None


def measure_decoders() -> list[Decoder]:
    """All comparisons; pyldpc's and commpy's where they are installed."""
    jobs: dict[str, Callable[[], Decoder]] = {f"5G LDPC {code[:2]}": partial(_five_g, *code) for code in FIVE_G}
    jobs |= {"Gallager": _gallager, "convolutional": _convolutional}
    rows = []
    for name in one_by_one(list(jobs)):
        try:
            rows.append(jobs[name]())
        except (ValueError, ImportError) as error:
            make_console(stderr=True).print(f"left out: {error}", soft_wrap=True)
    return rows


def run_codes(*, as_json: bool) -> None:
    """`semlink bench ldpc`."""
    rows = measure_decoders()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print_decoders(rows)


def print_decoders(rows: Sequence[Decoder]) -> None:
    """The table."""
    table = Table(title=f"decoders on {torch.get_num_threads()} threads, information bits; {ITERATIONS} iterations")
    for column in ("code", "Es/N0 (dB)", "Mb/s", "no early stop", "theirs", "ratio", "BLER", "theirs", "offset (dB)"):
        table.add_column(column, justify="right")
    for row in rows:
        full = "" if row.mbps_full is None else f"{row.mbps_full:.3g}"
        offset = "" if row.offset_db is None else f"{row.offset_db:+.2f}"
        speeds = (f"{row.mbps:.3g}", full, f"{row.other_mbps:.2g}", f"{row.ratio:,.0f}")
        table.add_row(row.code, f"{row.esno_db:g}", *speeds, f"{row.bler:.3f}", f"{row.other_bler:.3f}", offset)
    make_console().print(table)


def frames(code: BlockCode, esno_db: float, blocks: int) -> tuple[Tensor, Float[Tensor, "b n"]]:
    """Random information bits and the LLRs of their code words, 4-QAM on AWGN, the same draws at every Es/N0."""
    qam, rng = QAM(4), torch.Generator().manual_seed(code.n)
    bits = torch.randint(0, 2, (blocks, code.k), generator=rng, dtype=torch.uint8)
    received = AWGN()(qam.map(code.encode(bits)), esno_to_n0(esno_db), rng=rng)
    return bits, qam.llr(received.symbols, received.n0)


def _five_g(k: int, n: int, esno_db: float, blocks: int) -> Decoder:
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    code = LDPC5G(k, n, iterations=ITERATIONS)
    theirs = LDPC5GDecoder(LDPC5GEncoder(k, n), num_iter=SIONNA_ITERATIONS)
    at_once = max(1, (1 << 18) // n)

    def sionna(llr: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([theirs(-part) for part in torch.split(llr, at_once)])

    bits, llr = frames(code, esno_db, blocks)
    other_time, decoded = _timed(lambda: sionna(llr))
    other_bler = _lost(decoded, bits)
    many = max(blocks, 2_000_000 // k)
    speed, full = (_rate(code, esno, many) for esno in (esno_db, esno_db - 3))
    curve = [_lost(code.decode(llr), bits) for bits, llr in (frames(code, esno_db + o, many) for o in _OFFSETS_DB)]
    # The block error rate falls with Es/N0: interpolate in the reverse.
    within = curve[-1] <= other_bler <= curve[0]
    offset = float(np.interp(other_bler, curve[::-1], _OFFSETS_DB[::-1])) if within else None
    other = blocks * k / other_time / 1e6
    what = f"5G LDPC ({k}, {n}), Sionna's decoder"
    return Decoder(
        what, esno_db, speed, full, other, speed / other, blocks, _lost(code.decode(llr), bits), other_bler, offset
    )


def _gallager(n: int = 1020, esno_db: float = 1.8, blocks: int = 64) -> Decoder:
    import pyldpc

    checks, generator = pyldpc.make_ldpc(n, 3, 6, systematic=True, sparse=False, seed=0)
    rng, info = np.random.default_rng(0), generator.shape[1]
    sent = generator @ rng.integers(0, 2, (info, blocks)) % 2
    bits, sigma = torch.from_numpy(sent[:info].T.copy()), 10 ** (-esno_db / 20)  # of BPSK on each axis of 4-QAM
    received = 1.0 - 2.0 * sent + sigma * rng.standard_normal(sent.shape)
    ours = LayeredDecoder(Graph.from_matrix(csr_matrix(checks)), where=np.arange(n), known=(info, info), info=info)

    def theirs() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some blocks did not converge
            decoded = pyldpc.decode(checks, received, -20 * np.log10(sigma), maxiter=PYLDPC_ITERATIONS)
        return torch.from_numpy(decoded[:info].T.copy())

    llr = np.ascontiguousarray(2 * received.T / sigma**2, dtype=np.float32)
    many = np.tile(llr, (40, 1))
    doubt = rng.standard_normal(many.shape).astype(np.float32)  # no block of it stops early
    other_time, decoded = _timed(theirs)
    other_bler = _lost(decoded, bits)
    speed, full = (len(many) * info / seconds(partial(ours, values, ITERATIONS)) / 1e6 for values in (many, doubt))
    bler = _lost(torch.from_numpy(ours(llr, ITERATIONS).values), bits)
    other = blocks * info / other_time / 1e6
    name = f"Gallager ({info}, {n}), pyldpc's decoder"
    return Decoder(name, esno_db, speed, full, other, speed / other, blocks, bler, other_bler, None)


def _convolutional(k: int = 100, n: int = 212, esno_db: float = 1.0, blocks: int = 40) -> Decoder:
    code, theirs = Convolutional(k, n), Convolutional(k, n, backend="commpy")
    bits, llr = frames(code, esno_db, blocks)
    start = time.perf_counter()
    decoded = theirs.decode(llr)
    other = blocks * k / (time.perf_counter() - start) / 1e6
    speed = _rate(code, esno_db, 5000)
    name = f"convolutional ({k}, {n}), commpy's decoder"
    blers = _lost(code.decode(llr), bits), _lost(decoded, bits)
    return Decoder(name, esno_db, speed, None, other, speed / other, blocks, *blers, None)


def _timed(decode: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds of a run after one that warms up, and what came of it: theirs take long, so none is for that alone."""
    decoded: list[Tensor] = []
    taken = seconds(lambda: decoded.append(decode()), repeats=1)
    return taken, decoded[-1]


def _rate(code: BlockCode, esno_db: float, blocks: int) -> float:
    _, llr = frames(code, esno_db, blocks)
    decode: Callable[[], object] = lambda: code.decode(llr)  # noqa: E731
    return blocks * code.k / seconds(decode) / 1e6


def _lost(decoded: Tensor, bits: Tensor) -> float:
    return float((decoded != bits).any(dim=1).float().mean())
