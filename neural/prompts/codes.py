"""The code of an image as bytes: quantised components and learned numbers of its tiles, entropy coded in an order in
which every beginning of the code draws an image.

Four bytes say how it was made; then come the learned numbers of all tiles, if they are sent, then the first component
of all tiles, then the second, and so on.

| byte | what it says |
|---|---|
| 0 | 128 + 32 where learned numbers are sent + the number of the quantiser's step |
| 1 | 64 times the rendering (see `NOISES`) + the number of the spread |
| 2, 3 | 2048 times the binary logarithm of how much smaller the image was made + how many components are sent |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semlink.neural.prompts.autoencoder import (
    LEVELS,
    SCALES,
    SPREADS,
    STEPS,
    PromptAutoencoder,
    quantise,
    spread_of,
    step_size,
)
from semlink.neural.prompts.range_coder import RangeDecoder, RangeEncoder
from semlink.neural.prompts.statistics import (
    QUIET,
    UNIT,
    cost_bits,
    expected,
    flat_tables,
    pick,
    reaches,
    table_numbers,
    tables,
    tables_after,
    within_reach,
)

HEAD = 4
"""Bytes before the entropy coded ones."""
NOISES = (0.0, 0.5, 0.75, 1.0)
"""By what x_T from the seed is multiplied in a rendering; 0 stands for the mean of all images, in one step."""
SHRINKS = 6
"""An image may be made smaller by up to 2 to one less than this."""


@dataclass(frozen=True)
class Code:
    """What a code says of an image.

    Attributes:
        step: number of the quantiser's step.
        spread: number of the spread of what the sketch lacks.
        noise: number of the rendering, of `NOISES`.
        shrink: binary logarithm of how much smaller the image was made.
        components: of every tile, whole numbers of steps; those beyond the columns are 0.
        learned: of every tile, whole numbers; no columns where they are not sent.
        arrived: how many columns of the components are known to be right; all of them where all bytes arrived.
    """

    step: int
    spread: int
    noise: int
    shrink: int
    components: Int[np.ndarray, "n k"]
    learned: Int[np.ndarray, "n semantic"]
    arrived: int

    @property
    def whole(self) -> bool:
        """Whether all of it arrived."""
        return bool(self.arrived == self.components.shape[1])


class CodeBook:
    """Codes to bytes and back, with the statistics of one network."""

    def __init__(self, model: PromptAutoencoder) -> None:
        self.model = model
        self._scale = model.scale.round().long().cpu().numpy()
        # Of a Laplacian law the standard deviation is √2 times the mean size: four eighths of an octave.
        self._learned = model.learned_scale.round().long().cpu().numpy() + SCALES // 2

    def fit(
        self,
        components: Float[np.ndarray, "n k"],
        budget: int,
        *,
        learned: Int[np.ndarray, "n semantic"] | None = None,
        shrink: int = 0,
    ) -> Code | None:
        """The code of least squared error in about so many bytes; its spread and rendering are still to be told.

        All components with the finest step that fits, or finer ones of the first components alone.

        Args:
            components: of the tiles of one image.
            budget: in bytes.
            learned: the learned numbers, to be sent too; None for none.
            shrink: binary logarithm of how much smaller the image was made.

        Returns:
            None where not even the learned numbers fit.
        """
        numbers = np.zeros((len(components), 0), np.int64)
        bits = 8.0 * (budget - HEAD) - 4
        if learned is not None:
            numbers = within_reach(learned, self._learned)
            bits -= float(cost_bits(numbers, table_numbers(numbers, self._learned)).sum())
        if bits < 0 and (budget < HEAD or learned is not None):
            return None
        low, high = 0, STEPS - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._costs(components, middle)[1][-1] <= bits else (middle + 1, high)
        found = [self._within(components, step, bits) for step in range(max(0, low - 3), low + 1)]
        step, values, _ = min(found, key=lambda one: one[2])
        return Code(step, 0, 0, shrink, values, numbers, values.shape[1])

    def pack(self, code: Code) -> bytes:
        """The bytes of a code."""
        count, sent = code.components.shape[1], code.learned.shape[1] > 0
        head = bytes([128 + 32 * sent + code.step, SPREADS * code.noise + code.spread])
        encoder = RangeEncoder()
        if sent:
            _put(encoder, code.learned, table_numbers(code.learned, self._learned))
        _put(encoder, code.components, table_numbers(code.components, self._scales(code.step)[:count]))
        data: bytes = head + (2048 * code.shrink + count).to_bytes(2, "big") + encoder.finish()
        return data

    def pack_within(self, code: Code, budget: int) -> bytes:
        """The bytes of a code, the last components left out that would be too many."""
        data = self.pack(code)
        while len(data) > budget and code.components.shape[1]:
            kept = max(0, code.components.shape[1] - 1 - code.components.shape[1] // 50)
            code = replace(code, components=code.components[:, :kept], arrived=kept)
            data = self.pack(code)
        return data

    def unpack(self, data: bytes, tiles: Sequence[int], *, complete: bool) -> Code | None:
        """The code in bytes, or what of it can be read from the first of them.

        Args:
            data: the bytes, zeros after them not told apart.
            tiles: how many there are of an image, by how much smaller it was made.
            complete: whether these are all bytes.

        Returns:
            None for what is no code, or too little of one.
        """
        if len(data) < HEAD or data[0] & 192 != 128:
            return None
        shrink, count = divmod(int.from_bytes(data[2:4], "big"), 2048)
        step, sent = data[0] & 31, bool(data[0] & 32)
        if shrink >= len(tiles) or count > self.model.components:
            return None
        decoder, many = RangeDecoder(data[HEAD:]), tiles[shrink]
        learned, _ = _get(decoder, np.zeros((many, self.model.semantic * sent), np.int64), self._learned, complete)
        empty = np.zeros((many, count), np.int64)
        components, arrived = _get(decoder, empty, self._scales(step)[:count], complete)
        learned = np.clip(learned, -LEVELS, LEVELS)
        return Code(step, data[1] % SPREADS, data[1] // SPREADS, shrink, components, learned, arrived)

    def draw(
        self, code: Code
    ) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n first"], Float[Tensor, "n semantic"]]:
        """The tiles that the components draw, the first of them in standard deviations, and the learned numbers."""
        components = torch.zeros(len(code.components), self.model.components)
        components[:, : code.components.shape[1]] = torch.from_numpy(code.components).float()
        components *= float(step_size(code.step))
        learned = torch.zeros(len(code.components), self.model.semantic)
        learned[:, : code.learned.shape[1]] = torch.from_numpy(code.learned).float()
        return self.model.sketch(components), self.model.standard(components), learned

    def spread(self, code: Code) -> float:
        """The spread of what the sketch lacks, what did not arrive included."""
        missing = 2.0 ** (2 * self._scale[code.arrived : code.components.shape[1]] / SCALES)
        lost = float(missing.sum()) / (3 * self.model.side**2)
        return math.sqrt(float(spread_of(code.spread)) ** 2 + lost)

    def _within(
        self, components: Float[np.ndarray, "n k"], step: int, bits: float
    ) -> tuple[int, Int[np.ndarray, "n m"], float]:
        """As many components as fit, and the squared error."""
        values, total = self._costs(components, step)
        count = int(np.searchsorted(total, bits, side="right"))
        used = np.flatnonzero(values[:, :count].any(axis=0))
        values = values[:, : used[-1] + 1 if len(used) else 0]
        error = components.copy()
        error[:, : values.shape[1]] -= values * float(step_size(step))
        return step, values, float(np.square(error).sum())

    def _costs(
        self, components: Float[np.ndarray, "n k"], step: int
    ) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, " k"]]:
        """Components in steps, and the bits of the first, the first two, and so on."""
        values = within_reach(
            quantise(torch.from_numpy(components), float(step_size(step))).long().numpy(), self._scales(step)
        )
        return values, np.cumsum(cost_bits(values, table_numbers(values, self._scales(step))).sum(axis=0))

    def _scales(self, step: int) -> Int[np.ndarray, " k"]:
        """Logarithms of the components' standard deviations in steps, in 1/8 octave."""
        found: np.ndarray = self._scale + 3 * SCALES - 2 * step
        return found


def _put(encoder: RangeEncoder, values: Int[np.ndarray, "n k"], numbers: Int[np.ndarray, "n k"]) -> None:
    flat, zeros = flat_tables()
    at = (zeros[numbers] + values).T.ravel()  # the first number of all tiles, then the second
    for low, high in zip(flat[at].tolist(), flat[at + 1].tolist(), strict=True):
        encoder.put(low, high - low)


def _get(
    decoder: RangeDecoder, values: Int[np.ndarray, "n k"], scale: Int[np.ndarray, " k"], complete: bool
) -> tuple[Int[np.ndarray, "n k"], int]:
    """Fill in what can be read, and how many whole columns that is; nothing that missing bytes have a say in."""
    known, reach, hoped, levels = tables(), reaches().tolist(), expected()[pick(scale)].tolist(), scale.tolist()
    seen, hope = [0] * len(values), 0
    for k in range(values.shape[1]):
        found = []
        for number in tables_after(levels[k], seen, hope):
            found.append(decoder.get(known[number]) - reach[number])
            if decoder.beyond and not complete:
                values[: len(found) - 1, k] = found[:-1]
                return values, k
        values[:, k] = found
        if k >= QUIET:
            seen, hope = [size + abs(one) * UNIT for size, one in zip(seen, found, strict=True)], hope + hoped[k]
    return values, values.shape[1]
