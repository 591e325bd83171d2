"""Measures whether a channel code, a constellation or an interleaver of one's own is what it says, in words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.baselines.capacity import esno_db_for
from semlink.baselines.doors import CodeError, make_code, mapper, order_of, parse_scheme, points_of
from semlink.baselines.information import information
from semlink.baselines.mcs import parse_rate
from semlink.flowgraphs.comparison.check import Finding
from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.documents import error_line
from semlink.phy.fec import BlockCode
from semlink.phy.link import esno_to_n0
from semlink.phy.metrics import error_rate
from semlink.phy.modulation import Mapper

SIZES = ((64, 128), (100, 200), (120, 160), (256, 512), (500, 1000))
"""Information bits and coded bits of the blocks that a code is tried with; it may refuse some."""
BLOCKS = 200
"""Blocks at each Es/N0."""
CLEAR = 8.0
"""LLRs of bits that are nearly certain."""
ABOVE_DB = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
"""Es/N0 beyond capacity at which a code is tried until it loses fewer than one block in ten."""
BELOW_DB = -1.0
"""Es/N0 over capacity at which every code of these sizes loses nearly all blocks."""
SCALES = (0.25, 0.5, 2.0, 4.0)
"""By which LLRs are multiplied to see whether another scale serves better."""
LOST_BITS = 0.02
"""Of a symbol's bits: what a demapper may lose against the exact LLRs, max-log's shortcut included."""
LENGTHS = (24, 1000, 4096, 7200)
"""Bits that an interleaver is tried with."""


def kind_of(made: object) -> str | None:
    """What part of a digital link something is, by what it takes, as the kind of its entry point; None for none."""
    if hasattr(made, "points") or (hasattr(made, "map") and hasattr(made, "llr")):
        return "constellations"
    if not callable(made):
        return None
    try:
        taken = list(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return None
    if taken[:2] == ["k", "n"]:
        return "codes"
    return "interleavers" if taken == ["n"] else None


def check_code(name: str) -> list[Finding]:
    """Look at a registered channel code: sizes, code words, round trip, sign and scale of LLRs, what it loses."""
    codes, block = _blocks(name)
    for code in codes:
        for what, look in (("code words", _code_words), ("round trip", _round_trip)):
            if wrong := _guarded(what, partial(look, code)):
                return [block, wrong]
    if not codes:
        return [block]
    told = [
        block,
        Finding("code words", True, "k bits to n, each block by itself"),
        Finding("round trip", True, "no loss"),
    ]
    try:
        return [*told, _linear(codes[-1]), *_noisy(codes[-1])]
    except Exception as error:
        return [*told, Finding("noise", False, f"raises {error_line(error)}")]


def _blocks(name: str) -> tuple[list[BlockCode], Finding]:
    """The code at all sizes that it has, and what is to be said of them."""
    codes, refused = [], []
    for k, n in SIZES:
        try:
            codes.append(make_code(name, k, n))
        except CodeError as error:
            return [], Finding("block", False, str(error))
        except ValueError as error:
            refused.append(f"({k}, {n}): {error}")
    if not codes:
        return [], Finding("block", False, f"none of {', '.join(map(str, SIZES))} is to be had: {refused[-1]}")
    had = ", ".join(f"({code.k}, {code.n})" for code in codes)
    return codes, Finding("block", True, f"(k, n) of {had}" + (f"; not {', '.join(refused)}" if refused else ""))


def check_constellation(name: str, rate: str) -> list[Finding]:
    """Look at a registered constellation: energy, labels, and the sign, scale and loss of its LLRs.

    Raises:
        ValueError: no such constellation, or a rate that is none.
    """
    parse_rate(rate)
    try:
        scheme = parse_scheme(rate, name)
        found, points = mapper(scheme), points_of(scheme)
    except Exception as error:
        said = str(error) if isinstance(error, ValueError) else f"raises {error_line(error)}"
        what = "energy" if "mean energy" in said else "points"
        return [Finding(what, False, said.removeprefix(f"constellation {name}: "))]
    m = points.bits_per_symbol
    distance = np.abs(points.points[:, None] - points.points) + np.where(np.eye(1 << m), np.inf, 0)
    nearest = distance < distance.min() * 1.001
    differ = (points.labels[:, None] != points.labels).sum(axis=2)
    gray = float((differ[nearest] == 1).mean())
    told = f"{100 * gray:.0f} % of the nearest neighbours differ in one bit, least distance {distance.min():.4g}"
    findings = [
        Finding("points", True, f"{1 << m}, {m} bits each"),
        Finding("labels", None, f"{told}: {'Gray' if gray == 1 else 'not Gray'}"),
    ]
    try:
        return [*findings, *_demapped(found, m, information(points, _level(points), "bicm"), _level(points))]
    except Exception as error:
        return [*findings, Finding("LLRs", False, f"raises {error_line(error)}")]


def check_interleaver(name: str) -> list[Finding]:
    """Look at a registered interleaver: whether it sends each bit once, always in one order; how far it spreads."""
    findings: list[Finding] = []
    for n in LENGTHS:
        try:
            order_of.cache_clear()
            order = order_of(name, n)
            order_of.cache_clear()
            again = order_of(name, n)
        except Exception as error:
            said = str(error) if isinstance(error, ValueError) else f"raises {error_line(error)}"
            return [*findings, Finding(f"{n} bits", False, said)]
        if not torch.equal(order, again):
            return [*findings, Finding(f"{n} bits", False, "another order every time: the receiver could not know it")]
        place = torch.empty_like(order)
        place[order] = torch.arange(n)
        spread = int(place.diff().abs().min())
        findings.append(Finding(f"{n} bits", True, f"each once; neighbours of the code at least {spread} apart"))
    return findings


def _guarded(what: str, look: Callable[[], str | None]) -> Finding | None:
    try:
        wrong = look()
    except CodeError as error:
        wrong = str(error)
    except Exception as error:
        wrong = f"raises {error_line(error)}"
    return None if wrong is None else Finding(what, False, wrong)


def _code_words(code: BlockCode) -> str | None:
    bits = _bits(8, code.k)
    coded = code.encode(bits)
    alone = torch.cat([code.encode(bits[i : i + 1]) for i in range(len(bits))])
    if coded.shape != (8, code.n):
        return f"encode gives {tuple(coded.shape)} for 8 blocks; it must give (8, {code.n})"
    return None if torch.equal(coded, alone) else "the code word of a block depends on the others of its batch"


def _round_trip(code: BlockCode) -> str | None:
    bits = _bits(32, code.k)
    llr = CLEAR * (1 - 2 * code.encode(bits).float())
    got = code.decode(llr)
    if tuple(got.shape) != (32, code.k):
        return f"decode gives {tuple(got.shape)} for 32 blocks; it must give (32, {code.k})"
    if torch.equal(got.to(bits), bits):
        return None
    if torch.equal(code.decode(-llr).to(bits), bits):
        return (
            "the decoder takes LLRs of the wrong sign: it is right with those of log P(1)/P(0); here a positive LLR, "
            "log P(0)/P(1), stands for 0"
        )
    wrong = float((got.to(bits) != bits).float().mean())
    return f"k={code.k}, n={code.n}: {100 * wrong:.3g} % of the bits are wrong although no noise was added"


def _linear(code: BlockCode) -> Finding:
    first, second = _bits(16, code.k), _bits(16, code.k, seed=1)
    both = code.encode((first + second) % 2)
    linear = torch.equal(both, (code.encode(first) + code.encode(second)) % 2)
    words = "the sum of two code words is one" if linear else "the sum of two code words is none: not linear"
    return Finding("linear", None, words)


def _noisy(code: BlockCode) -> Iterator[Finding]:
    """With QPSK: that nothing arrives below capacity, how far beyond it the code needs to be, and the scale of LLRs."""
    rate = code.k / code.n
    capacity_db = float(esno_db_for(2 * rate, order=4))
    below = _lost(code, capacity_db + BELOW_DB)
    if below < BLOCKS // 2:
        words = f"{BLOCKS - below} of {BLOCKS} blocks arrive {-BELOW_DB:g} dB below capacity, which no code of rate "
        yield Finding("capacity", False, f"{words}{rate:.3g} can: does the decoder know what was sent?")
        return
    for above in ABOVE_DB:
        lost = _lost(code, capacity_db + above)
        if lost <= BLOCKS // 10:
            break
    else:
        yield Finding("capacity", False, f"{lost} of {BLOCKS} blocks are lost {above:g} dB beyond capacity")
        return
    told = f"k={code.k}, n={code.n}: one block in ten is lost up to {above:g} dB beyond capacity (QPSK, AWGN)"
    yield Finding("capacity", True, told)
    yield _scale(code, capacity_db + above - 0.5)


def _scale(code: BlockCode, esno_db: float) -> Finding:
    here = _lost(code, esno_db)
    others = {scale: _lost(code, esno_db, scale=scale) for scale in SCALES}
    best = min(others, key=others.__getitem__)
    # Of the same blocks and noise; beyond chance by the exact intervals of both.
    if error_rate(others[best], BLOCKS).high < error_rate(here, BLOCKS).low:
        words = f"{others[best]} of {BLOCKS} blocks are lost with LLRs times {best:g}, {here} with log P(0)/P(1) itself"
        return Finding("LLR scale", False, f"{words}: the decoder takes another scale")
    worst = max(others.values())
    words = "does not matter" if worst == here else f"{here} of {BLOCKS} blocks lost; {worst} at a scale that is off"
    return Finding("LLR scale", True, words)


def _lost(code: BlockCode, esno_db: float, *, scale: float = 1.0) -> int:
    rng, n0 = torch.Generator().manual_seed(2), esno_to_n0(esno_db)
    bits = _bits(BLOCKS, code.k, seed=3)
    coded = code.encode(bits)
    padded = torch.cat([coded, coded.new_zeros(len(coded), code.n % 2)], dim=1)
    received = AWGN()(QAM(4).map(padded), n0, rng=rng)
    llr = QAM(4).llr(received.symbols, received.n0)[:, : code.n]
    return int((code.decode(scale * llr).to(bits) != bits).any(dim=1).sum())


def _demapped(found: Mapper, m: int, exact: Float[np.ndarray, ""], esno_db: float) -> Iterator[Finding]:
    symbols = 100_000
    bits = torch.randint(0, 2, (4, symbols // 4 * m), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    sent = found.map(bits)
    if tuple(sent.shape) != (4, symbols // 4) or not sent.is_complex():
        yield Finding("map", False, f"gives {sent.dtype} {tuple(sent.shape)}; it must give complex (4, {symbols // 4})")
        return
    energy = float(sent.abs().square().mean())
    if abs(energy - 1) > 6 / math.sqrt(symbols):
        off = 10 * math.log10(max(energy, 1e-12))
        yield Finding("energy", False, f"Es is {energy:.4g} ({off:+.2f} dB); it must be 1")
        return
    yield Finding("energy", True, f"Es = {energy:.4g}")
    n0 = esno_to_n0(esno_db)
    received = AWGN()(sent, n0, rng=torch.Generator().manual_seed(5))
    llr = torch.as_tensor(found.llr(received.symbols, received.n0)).double()
    if tuple(llr.shape) != tuple(bits.shape) or not bool(llr.isfinite().all()):
        finite = bool(llr.isfinite().all())
        yield Finding("LLRs", False, f"{tuple(llr.shape)}, finite: {finite}; they must be {tuple(bits.shape)}, finite")
        return
    right = float(((llr < 0) == (bits == 1)).double().mean())
    if right < 0.5:
        yield Finding("LLR sign", False, f"{100 * (1 - right):.0f} % of the LLRs have the wrong sign: they must be "
                      "log P(0)/P(1), positive for 0")  # fmt: skip
        return
    yield Finding("LLR sign", True, f"{100 * right:.1f} % of the hard decisions are right at {esno_db:.1f} dB")
    yield from _carried(llr, bits, m, float(exact))


def _carried(llr: Tensor, bits: Tensor, m: int, exact: float) -> Iterator[Finding]:
    """What a binary decoder can make of the LLRs, and of their multiples: generalised mutual information."""
    signed = torch.where(bits == 1, -llr, llr)

    def carried(scale: float) -> float:
        return m * (1 - float(torch.nn.functional.softplus(-scale * signed).mean()) / math.log(2))

    scales = np.geomspace(1 / 16, 16, 65)
    best = max(scales, key=carried)
    if carried(best) - carried(1.0) > LOST_BITS:
        words = f"{'large' if best < 1 else 'small'} by a factor of {1 / best if best < 1 else best:.3g}"
        off = f"{carried(best) - carried(1.0):.3g} bit of a symbol's {exact:.3g} are lost by it"
        yield Finding("LLR scale", False, f"too {words}: {off}")
        return
    yield Finding("LLR scale", True, f"within {100 * abs(1 / best - 1):.2g} % of what carries most")
    lost = exact - carried(1.0)
    words = f"{carried(1.0):.3f} of {exact:.3f} bit a symbol (BICM)"
    yield Finding("information", lost < LOST_BITS, words + ("" if lost < LOST_BITS else f": {lost:.2g} are lost"))


def _level(points: Any) -> float:  # noqa: ANN401 - a Modulation
    """An Es/N0 in dB at which some two thirds of a symbol's bits arrive: there a demapper has to work."""
    levels = np.arange(-10.0, 45.0, 1.0)
    for level in levels:
        if float(information(points, level, "bicm")) > 0.67 * points.bits_per_symbol:
            break
    return float(level)


def _bits(count: int, k: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (count, k), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
