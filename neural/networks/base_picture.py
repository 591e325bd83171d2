"""A photograph in some hundred bits: the digital base of the hybrid link.

The whole picture's discrete cosine transform, lowest frequencies first, quantised with one step and coded by an
asymmetric numeral system (Duda, arXiv 1311.2540) as one whole number of a fixed length. A coefficient is taken for
Laplacian, with a scale that falls with its frequency as it does in photographs; how much contrast the picture has is
told with the step. Frequencies are in cycles a pixel, so that the same bits a pixel give the same detail whatever the
size of the picture.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Luminance and two differences of colours, orthonormal, and how far each goes for pixels in −1 … 1.
COLOURS = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
REACH = tuple(sum(map(abs, row)) for row in COLOURS)
MEAN_BITS, STEP_BITS, CONTRAST_BITS = 6, 6, 4
WIDTHS = (MEAN_BITS,) * 3 + (STEP_BITS,) + (CONTRAST_BITS,) * 2  # of the means, the step and the contrasts
HEAD = sum(WIDTHS)
FINEST, STEPS = 0.5, 4  # the finest step, in coefficients of pixels in −1 … 1, and steps an octave
CONTRASTS, PLAIN = 2, 8  # of luminance and of colours: how many an octave, and which is the average photograph's
DEVIATION = (0.0525, 0.0126, 0.0066)  # of coefficients of photographs: at f cycles a pixel this · (f² + KNEE²)^(−0.6)
KNEE = 0.0015
CONTRAST_AT = 0.03  # cycles a pixel up to which the contrast is measured
HIGHEST = 0.1  # cycles a pixel beyond which no base reaches
ROUND = 0.38  # is added before rounding down: less than half, as zeros cost least
MOST = 31  # steps of a coefficient
PRECISION = 14  # bits of a frequency
GRADES = 6  # tables an octave of deviation
LOWEST, LAST = -16, 60  # grade below which a coefficient is left out, and the last table


def least_bits() -> int:
    """Bits of a picture that shows a colour and no more."""
    return HEAD + PRECISION + 1


def encode(pixels: Float[Tensor, "3 h w"], bits: int) -> list[int]:
    """A picture of pixels in −1 … 1 as so many bits: with the finest step for which they do.

    Raises:
        ValueError: fewer bits than `least_bits`.
    """
    if bits < least_bits():
        raise ValueError(f"bits={bits} must be at least {least_bits()}, what a colour takes")
    h, w = pixels.shape[1:]
    coefficients = _analyse(pixels)
    contrasts = _contrasts(coefficients, h, w)
    step, room = _finest(coefficients, contrasts, bits - HEAD, h, w), bits - HEAD
    number = _number(*_values(coefficients, step, contrasts, h, w))
    while number.bit_length() > room:  # by a bit at most: the estimate is the entropy
        step += 1
        number = _number(*_values(coefficients, step, contrasts, h, w))
    fields = zip([*_means(coefficients, h, w), step, *contrasts, number], [*WIDTHS, room], strict=True)
    return [int(bit) for value, width in fields for bit in f"{value:0{width}b}"]


def decode(message: Sequence[int], h: int, w: int) -> Float[Tensor, "3 h w"]:
    """The picture of a message, of h×w pixels in about −1 … 1."""
    text, ends = "".join(map(str, message)), list(accumulate(WIDTHS))
    *levels, step, luminance, colour = (
        int(text[end - width : end], 2) for width, end in zip(WIDTHS, ends, strict=True)
    )
    grades = _grades(step, (luminance, colour), h, w)
    places = _places(grades)
    size = 2 ** (step / STEPS) * FINEST
    coefficients = torch.zeros(grades.shape)
    values = torch.tensor(_read(int(text[HEAD:], 2), grades.flatten()[places].tolist()), dtype=torch.long)
    coefficients.flatten()[places] = size * _centre(values, grades.flatten()[places])
    top = (1 << MEAN_BITS) - 1
    for plane, level, reach in zip(coefficients, levels, REACH, strict=True):
        plane[0, 0] = (2 * level / top - 1) * reach * math.sqrt(h * w)
    planes = torch.einsum("cd,ckl->dkl", torch.tensor(COLOURS), coefficients)
    return _cosines(h).T @ planes @ _cosines(w)


def _analyse(pixels: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 rows columns"]:
    """Coefficients of the lowest frequencies, by colour."""
    h, w = pixels.shape[1:]
    return torch.einsum("cd,dkl->ckl", torch.tensor(COLOURS), _cosines(h) @ pixels @ _cosines(w).T)


@lru_cache(maxsize=32)
def _cosines(length: int) -> Float[Tensor, "rows length"]:
    """The lowest frequencies of an orthonormal cosine transform."""
    count = min(length, math.ceil(2 * length * HIGHEST))
    angles = math.pi / length * torch.outer(torch.arange(count), torch.arange(length) + 0.5)
    cosines = angles.cos() * math.sqrt(2 / length)
    cosines[0] /= math.sqrt(2)
    return cosines


@lru_cache(maxsize=32)
def _frequencies(h: int, w: int) -> Float[Tensor, "rows columns"]:
    """Cycles a pixel."""
    down, across = (torch.arange(len(_cosines(length))).double() / (2 * length) for length in (h, w))
    return (down.square()[:, None] + across.square()).sqrt()


@lru_cache(maxsize=32)
def _octaves(h: int, w: int) -> Float[Tensor, "3 rows columns"]:
    """log2 of the deviations that photographs have, by colour and frequency.

    Tables follow from these by rounding, and both ends must choose the same: in double precision no machine's last
    bit decides.
    """
    return torch.tensor(DEVIATION).double().log2()[:, None, None] - 0.6 * (_frequencies(h, w).square() + KNEE**2).log2()


def _means(coefficients: Float[Tensor, "3 rows columns"], h: int, w: int) -> list[int]:
    """The mean colour, as told."""
    top = (1 << MEAN_BITS) - 1
    means = [float(plane[0, 0]) / math.sqrt(h * w) / reach for plane, reach in zip(coefficients, REACH, strict=True)]
    return [min(top, max(0, round((mean + 1) / 2 * top))) for mean in means]


def _contrasts(coefficients: Float[Tensor, "3 rows columns"], h: int, w: int) -> tuple[int, int]:
    """How much contrast a picture has in luminance and in colours, beside the average photograph, as told."""
    near = _frequencies(h, w) <= CONTRAST_AT
    near[0, 0] = False
    sizes = (coefficients.abs() / _octaves(h, w).exp2())[:, near]
    top, told = (1 << CONTRAST_BITS) - 1, []
    for planes in (sizes[:1], sizes[1:]):
        mean = float(planes.mean()) * math.sqrt(2) if planes.numel() else 0.0
        told.append(min(top, max(0, PLAIN + round(CONTRASTS * math.log2(max(mean, 2**-9))))))
    return told[0], told[1]


def _grades(step: int, contrasts: tuple[int, int], h: int, w: int) -> Int[Tensor, "3 rows columns"]:
    """The table of each coefficient: log2 of its deviation in steps."""
    shift = torch.tensor([(contrasts[colour > 0] - PLAIN) / CONTRASTS for colour in range(3)]).double()
    octaves = _octaves(h, w) + shift[:, None, None] - (math.log2(FINEST) + step / STEPS)
    return (GRADES * octaves).round().long().clamp(max=LAST)


def _places(grades: Int[Tensor, "3 rows columns"]) -> Int[Tensor, " n"]:
    """Where the coefficients are that are told; the means are told apart."""
    told = grades >= LOWEST
    told[:, 0, 0] = False
    return told.flatten().nonzero()[:, 0]


def _values(
    coefficients: Float[Tensor, "3 rows columns"], step: int, contrasts: tuple[int, int], h: int, w: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Coefficients in steps, and the table of each."""
    grades = _grades(step, contrasts, h, w)
    places = _places(grades)
    chosen = coefficients.flatten()[places] / (FINEST * 2 ** (step / STEPS))
    sizes = (chosen.abs() + ROUND).floor().clamp(max=MOST)
    return (sizes * chosen.sign()).long(), grades.flatten()[places]


def _finest(coefficients: Tensor, contrasts: tuple[int, int], room: int, h: int, w: int) -> int:
    """The finest step with which the values take no more bits than there is room for."""
    low, high, costs = -1, (1 << STEP_BITS) - 1, _costs()
    while high - low > 1:
        step = (low + high) // 2
        values, grades = _values(coefficients, step, contrasts, h, w)
        cost = float(costs[grades - LOWEST, values + MOST].sum()) + PRECISION
        low, high = (low, step) if cost <= room else (step, high)
    return high


@lru_cache(maxsize=256)
def _table(grade: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Frequencies of the values −MOST … MOST, and where each begins."""
    decay = math.sqrt(2) / 2 ** (grade / GRADES)
    beyond = [1.0, *(math.exp(-decay * (m - ROUND)) for m in range(1, MOST + 1)), 0.0]
    shares = [(beyond[m] - beyond[m + 1]) / (2 if m else 1) for m in range(MOST + 1)]
    counts = [max(1, round(shares[abs(m)] * (1 << PRECISION))) for m in range(-MOST, MOST + 1)]
    counts[counts.index(max(counts))] += (1 << PRECISION) - sum(counts)
    return tuple(counts), tuple(accumulate(counts, initial=0))


@lru_cache(maxsize=1)
def _costs() -> Float[Tensor, "grades values"]:
    """Bits of each value by each table."""
    return PRECISION - torch.tensor([_table(grade)[0] for grade in range(LOWEST, LAST + 1)]).log2()


def _centre(values: Int[Tensor, " n"], grades: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Where in steps the coefficients are on average that a value stands for."""
    decay = math.sqrt(2) / (grades / GRADES).exp2()
    inside = 1 / decay - 1 / torch.expm1(decay)
    return values.sign() * (values.abs() - ROUND + inside) * (values != 0)


def _number(values: Int[Tensor, " n"], grades: Int[Tensor, " n"]) -> int:
    """Values as one whole number; the first is read first."""
    number = 1
    for value, grade in zip(reversed(values.tolist()), reversed(grades.tolist()), strict=True):
        counts, starts = _table(grade)
        above, within = divmod(number, counts[value + MOST])
        number = (above << PRECISION) + starts[value + MOST] + within
    return number


def _read(number: int, grades: Sequence[int]) -> list[int]:
    """The values of a number."""
    values = []
    for grade in grades:
        counts, starts = _table(grade)
        slot = number & (1 << PRECISION) - 1
        at = bisect_right(starts, slot) - 1
        number = counts[at] * (number >> PRECISION) + slot - starts[at]
        values.append(at - MOST)
    return values
