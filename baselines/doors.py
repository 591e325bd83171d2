"""Channel codes, interleavers and constellations by name: those that ship, and those of one's own.

A code is written NAME[-INTERLEAVER][,table=FILE], such as "conv-random" or "mymodule:Polar,table=polar.csv": the table
has measured block error rates, by which an adaptive link chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Int, Num
from torch import Tensor

from semlink.baselines.mcs import MCS, parse_mcs, parse_rate
from semlink.phy.constellation import QAM
from semlink.phy.fec import (
    K_MAX,
    BlockCode,
    Convolutional,
    Interleaver,
    Polar5G,
    checked_order,
    random_order,
)
from semlink.phy.modulation import Mapper, Modulation, apsk, bpsk, pi2_bpsk, psk

TABLE = ",table="
"""Between a code and the file of its block error rates."""
NAME = r"[A-Za-z0-9_][\w.]*(?::[A-Za-z_]\w*)?"
"""What a code, an interleaver or a constellation may be called: a word, or MODULE:NAME."""


@runtime_checkable
class CodeMaker(Protocol):
    """A channel code for every block: a class, or a function, of k information bits and n coded bits.

    It may say by attributes `k_max` and `n_max` what the longest block is that it has; 8448 information bits otherwise.
    """

    def __call__(self, k: int, n: int) -> BlockCode:
        """The code that maps rows of k bits to n, and LLRs of those back; ValueError where there is none."""


class CodeError(ValueError):
    """A code of one's own does not do what it says."""


@dataclass(frozen=True)
class CodeSpec:
    """A code's name taken apart.

    Attributes:
        name: of the code.
        interleaver: of the interleaver behind it; None for none.
        table: the file of its block error rates; None for those in the package, if any.
    """

    name: str
    interleaver: str | None
    table: str | None


@lru_cache(maxsize=256)
def code_spec(text: str) -> CodeSpec:
    """The parts of NAME[-INTERLEAVER][,table=FILE].

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(rf"({NAME})(?:-({NAME}))?(?:{TABLE}(.+))?", text)
    if match is None:
        raise ValueError(f"code={text!r} must be NAME[-INTERLEAVER]{TABLE.replace(',', '[,')}FILE]")
    return CodeSpec(*match.groups())


OWN_CODES: dict[str, CodeMaker] = {"conv": Convolutional, "polar": Polar5G}
"""Channel codes that are made of k and n alone, by name."""
INTERLEAVERS: dict[str, Interleaver] = {"random": random_order}
"""Interleavers by name."""
CONSTELLATIONS: dict[str, Callable[[Fraction], Any]] = {
    "bpsk": lambda _: bpsk(),
    "pi2bpsk": lambda _: pi2_bpsk(),
    "8psk": lambda _: psk(8),
    "16psk": lambda _: psk(16),
    "16apsk": lambda rate: apsk(16, rate),
    "32apsk": lambda rate: apsk(32, rate),
}
"""Constellations other than square QAM by name, made for a code rate."""
QAM_NAME = "qam"
"""Of square QAM, whose order the scheme tells."""
SHIPPED = frozenset({*OWN_CODES, *INTERLEAVERS, *CONSTELLATIONS, QAM_NAME, "ldpc", "nr", "gallager", "uncoded"})
"""Names that are taken."""


def register_code(name: str, code: CodeMaker) -> None:
    """Have a channel code under a name, for `separate_codec(code=name)`; a name that is there gets the new one.

    Raises:
        ValueError: a name that a codec's name cannot hold, or no code.
    """
    _check_name(name)
    if not isinstance(code, CodeMaker):
        raise ValueError(f"code {name}: {type(code).__name__} cannot be called; it must be code(k, n)")
    OWN_CODES[name] = code
    make_code.cache_clear()


def register_interleaver(name: str, interleaver: Interleaver) -> None:
    """Have an interleaver under a name, for `separate_codec(code="conv-NAME")`.

    Raises:
        ValueError: as `register_code`.
    """
    _check_name(name)
    if not isinstance(interleaver, Interleaver):
        raise ValueError(f"interleaver {name}: {type(interleaver).__name__} cannot be called; it must be order(n)")
    INTERLEAVERS[name] = interleaver
    order_of.cache_clear()


def register_constellation(name: str, make: Callable[[Fraction], Any]) -> None:
    """Have a constellation under a name, for `separate_codec(constellation=name)`: `make(rate)` makes it.

    Raises:
        ValueError: as `register_code`.
    """
    _check_name(name)
    if not callable(make):
        raise ValueError(f"constellation {name}: {type(make).__name__} cannot be called; it must be make(rate)")
    CONSTELLATIONS[name] = make
    mapper.cache_clear()
    points_of.cache_clear()


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise ValueError(f"name {name!r} must be letters, digits, _ and dots, or MODULE:NAME")
    if name in SHIPPED:
        raise ValueError(f"name {name!r} is that of one that ships")


def parse_scheme(text: str, constellation: str = QAM_NAME) -> MCS:
    """The scheme of a name: of square QAM as `parse_mcs`, of any other constellation its code rate, "2/3".

    Raises:
        ValueError: no such constellation, scheme or rate.
    """
    if constellation == QAM_NAME:
        return parse_mcs(text)
    if constellation not in CONSTELLATIONS:
        raise ValueError(f"constellation={constellation!r} must be one of: {', '.join([QAM_NAME, *CONSTELLATIONS])}")
    rate = parse_rate(text.removeprefix(f"{constellation}-"))
    return MCS(1 << _mapper(constellation, rate).bits_per_symbol, rate, constellation)


@lru_cache(maxsize=256)
def mapper(mcs: MCS) -> Mapper:
    """What maps bits to the symbols of a scheme, and back.

    Raises:
        ValueError: a constellation that there is not, or that is none.
    """
    return QAM(mcs.order) if mcs.constellation == QAM_NAME else _mapper(mcs.constellation, mcs.rate)


def _mapper(name: str, rate: Fraction) -> Mapper:
    made = CONSTELLATIONS[name](rate)
    if isinstance(made, Mapper):
        return made
    if not hasattr(made, "points"):
        raise ValueError(
            f"constellation {name}: {type(made).__name__} has neither points nor bits_per_symbol, map and llr"
        )
    try:
        return Modulation(made.points, getattr(made, "labels", None))
    except ValueError as error:
        raise ValueError(f"constellation {name}: {error}") from error


@lru_cache(maxsize=256)
def points_of(mcs: MCS) -> Modulation:
    """Points and labels of a scheme: of a mapper without any, what it makes of each label as the first of a row.

    Raises:
        ValueError: as `mapper`, or as `Modulation`.
    """
    found = mapper(mcs)
    if isinstance(found, Modulation):
        return found
    m = found.bits_per_symbol
    labels = torch.arange(1 << m)[:, None] >> torch.arange(m - 1, -1, -1) & 1
    points: Complex[np.ndarray, " order"] = found.map(labels.to(torch.uint8))[:, 0].numpy().astype(np.complex128)
    return Modulation(points)


def limits(name: str) -> tuple[int, int | None]:
    """The most information bits and coded bits of a block that a code of `OWN_CODES` says it has."""
    made = OWN_CODES[name]
    return int(getattr(made, "k_max", K_MAX)), getattr(made, "n_max", None)


@lru_cache(maxsize=256)
def make_code(name: str, k: int, n: int) -> BlockCode:
    """The code of `OWN_CODES` for blocks of k bits in n, held to its word.

    Raises:
        ValueError: the code has no such block.
        CodeError: it is no code.
    """
    made = OWN_CODES[name]
    try:
        code = made(k, n)
    except ValueError as error:
        raise ValueError(f"code {name}: no block of k={k} in n={n}: {error}") from error
    except Exception as error:  # a user's code can raise anything
        raise CodeError(f"code {name}: cannot be made of k={k}, n={n} ({type(error).__name__}: {error})") from error
    if not isinstance(code, BlockCode):
        raise CodeError(f"code {name}: {type(code).__name__} lacks k, n, encode(bits) or decode(llr)")
    if (code.k, code.n) != (k, n):
        raise CodeError(f"code {name}: asked for k={k}, n={n}, it says k={code.k}, n={code.n}")
    return code if name in SHIPPED else _Held(name, code)


class _Held:
    """A code of one's own whose every answer is looked at: what it gives in another length would be taken for noise."""

    def __init__(self, name: str, code: BlockCode) -> None:
        self.k, self.n, self._name, self._code = code.k, code.n, name, code

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        coded = torch.as_tensor(self._code.encode(bits))
        self._check("encode", coded, (len(bits), self.n))
        return coded.to(bits)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        bits = torch.as_tensor(self._code.decode(llr))
        self._check("decode", bits, (len(llr), self.k))
        return bits.to(llr)

    def _check(self, what: str, got: Tensor, shape: tuple[int, int]) -> None:
        if tuple(got.shape) != shape:
            raise CodeError(f"code {self._name}: {what} gives {tuple(got.shape)}; it must give {shape}")
        if not bool(((got == 0) | (got == 1)).all()):
            raise CodeError(f"code {self._name}: {what} gives other values than 0 and 1")


@lru_cache(maxsize=64)
def order_of(interleaver: str, n: int) -> Int[Tensor, " n"]:
    """The order in which an interleaver sends n bits.

    Raises:
        ValueError: an unknown one, or one that does not give each bit once.
    """
    if interleaver not in INTERLEAVERS:
        raise ValueError(f"interleaver={interleaver!r} must be one of: {', '.join(INTERLEAVERS)}")
    try:
        return checked_order(INTERLEAVERS[interleaver](n), n)
    except ValueError as error:
        raise ValueError(f"interleaver {interleaver}: {error}") from error
