"""What hybrid ARQ is to symbols that carry an image itself: sent again until the receiver is content, and combined.

A network's symbols have no CRC that could fail. What a receiver knows is how noisy they arrived, and by that how good
its image is to be expected: it asks for the same symbols again, over the fade of their own time, and combines them by
maximum ratio (Brennan, "Linear Diversity Combining Techniques", Proc. IRE 47(6), 1959), so that their Es/N0 add up. A
frame that met a deep fade gets more energy, one that met none is short, and no network has to be trained anew.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from semlink.phy.link import Channel, Codec, Decoded, Frame, Received, Spent, channel_uses
from semlink.phy.rng import probe

MOST_ROUNDS = 16
"""Of a frame: more change nothing."""
MOST_SYMBOLS = 1 << 24
"""Of all rounds of an image, with the waiting between them."""
TARGET_BITS = 16
"""What telling the receiver the noise it is to be content with takes, in the burst header."""
_DRAWN = 1 << 22  # symbols of fades that the target is found by, at most or a little more
_DRAWS = 16, 4096  # frames, at least and at most
_FINE = 1000  # steps of the target to a factor of e
_NEVER = (1 << TARGET_BITS) - 1
_NOISE = 1e-30, 1e30  # variances that single precision can sum the inverses of


class Repeated:
    """A `Codec` whose frame is sent again until the receiver is content, at most `rounds` times.

    Of every round the receiver knows the noise of each symbol, and of all that have come, combined, their mean squared
    error as a linear estimate has it, the mean of 1 / (1 + Es/N0). It is content at a target that the transmitter
    chooses, which knows the average Es/N0 and the statistics of the fades: the least with which the expected channel
    uses are no more than those of `ratio`. What is not asked for counts neither as channel uses nor as energy.

    Answers are a bit a round, beside the channel uses, and arrive without error; the target is in the burst header.

    Args:
        codec: of a round; its image's symbols, whose number follows from `round_ratio`, and no header of its own.
        ratio: bandwidth ratio, complex channel uses / (c·h·w), that is expected of all rounds on average.
        round_ratio: that of a round.
        rounds: transmissions at most, the first one included.
        channel: whose fades the transmitter knows the statistics of, drawn from with seed 0.
        delay: channel uses from the end of a round to the begin of the next, in which others send.

    Raises:
        ValueError: a number out of range, or a round that takes more than the ratio.
    """

    closed_loop = True

    def __init__(
        self, codec: Codec, *, ratio: float, round_ratio: float, rounds: int, channel: Channel, delay: int = 0
    ) -> None:
        if not 1 <= rounds <= MOST_ROUNDS:
            raise ValueError(f"harq={rounds} must be from 1 to {MOST_ROUNDS} rounds")
        if not 0 < round_ratio <= ratio + 1e-9:
            raise ValueError(f"round={round_ratio:g} must be above 0 and no more than the ratio, {ratio:g}")
        if not 0 <= delay <= MOST_SYMBOLS:
            raise ValueError(f"delay={delay} must be from 0 to {MOST_SYMBOLS} channel uses")
        self.codec, self.ratio, self.round_ratio, self.rounds = codec, ratio, round_ratio, rounds
        self.channel, self.delay = channel, delay
        self._targets: dict[tuple[int, int, float], int] = {}

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """Images in [0, 1] to the symbols of all rounds, (b, n), for an average noise variance `n0`.

        Raises:
            ValueError: what the codec raises, a codec with a header of its own, or rounds and waiting that are longer
                than is simulated.
        """
        one = self.codec.encode(image, n0)
        if one.header is not None:
            raise ValueError(f"{type(self.codec).__name__} has a header of its own; harq takes codecs without one")
        (count, n), (c, h, w) = one.symbols.shape, image.shape[1:]
        self._check_length(n)
        target = self._target(n, channel_uses((c, h, w), self.ratio), n0)
        waiting = _others(self.delay).to(one.symbols).expand(count, -1)
        parts = [one.symbols, waiting] * (self.rounds - 1) + [one.symbols]
        uses = {purpose: self.rounds * uses for purpose, uses in one.uses.items()}
        if others := (self.rounds - 1) * self.delay:
            uses["others"] = others
        bits = {"header": torch.full((count,), TARGET_BITS), "feedback": torch.full((count,), self._answers)}
        notes = {**one.notes, **self._notes(n)}
        return replace(one, symbols=torch.cat(parts, dim=1), uses=uses, header=[target] * count, bits=bits, notes=notes)

    def decode(self, received: Received) -> Decoded:
        """What the codec makes of the rounds that were asked for, combined, and how many symbols these were.

        Raises:
            ValueError: no header, a reception of another length, or what the codec raises.
        """
        received = received.unbiased()
        targets = _targets_of(received)
        n, left = divmod(received.symbols.shape[1] - (self.rounds - 1) * self.delay, self.rounds)
        if left or n < 1:
            raise ValueError(
                f"received has {received.symbols.shape[1]} symbols; they must be {self.rounds} rounds with "
                f"{self.delay} others' between them"
            )
        symbols, noise, asked = self._combine(received, n, targets)
        decoded = self.codec.decode(
            replace(received, symbols=symbols, n0=noise, gain=None, header=None, uses=None, spatial=None)
        )
        decoded = Decoded(decoded) if isinstance(decoded, Tensor) else decoded
        answers = asked.cpu() * (self.rounds > 1)
        return decoded._replace(spent=Spent(n * asked.cpu(), {"feedback": answers}))

    @property
    def _answers(self) -> int:
        return self.rounds if self.rounds > 1 else 0

    def _combine(
        self, received: Received, n: int, targets: Float[Tensor, " b"]
    ) -> tuple[Complex[Tensor, "b n"], Float[Tensor, "b n"], Int[Tensor, " b"]]:
        """Rounds by maximum ratio until the target is met: symbols, their noise, and how many rounds it took."""
        summed, esno = torch.zeros_like(received.symbols[:, :n]), torch.zeros_like(received.n0[:, :n])
        asked = torch.zeros(len(targets), dtype=torch.int64, device=targets.device)
        for t in range(self.rounds):
            more = _error(esno) > targets if t else torch.ones_like(targets, dtype=torch.bool)
            start = t * (n + self.delay)
            weight = more[:, None] / received.n0[:, start : start + n].clamp(*_NOISE)
            summed, esno, asked = summed + weight * received.symbols[:, start : start + n], esno + weight, asked + more
        return summed / esno, 1 / esno, asked

    def _target(self, n: int, budget: int, n0: float) -> int:
        """The step of the error with which the receiver is content."""
        key = (n, budget, round(-10 * math.log10(n0), 9))
        if key not in self._targets:
            self._targets[key] = _step(_least_target(self._errors(n, n0), budget / n))
        return self._targets[key]

    def _errors(self, n: int, n0: float) -> Float[np.ndarray, "draws rounds"]:
        """The error after each round, of frames that met the channel."""
        whole = self.rounds * n + (self.rounds - 1) * self.delay
        rng, left = torch.Generator().manual_seed(0), min(max(_DRAWN // whole, _DRAWS[0]), _DRAWS[1])
        found: list[Tensor] = []
        while left > 0:
            at_once = min(left, max(1, (1 << 19) // whole))
            noise = self.channel(probe(at_once, whole), n0, rng=rng).unbiased().n0
            esno = torch.stack([1 / noise[:, t * (n + self.delay) :][:, :n] for t in range(self.rounds)], dim=1)
            found.append(_error(esno.cumsum(dim=1)))
            left -= at_once
        return torch.cat(found).numpy()

    def _check_length(self, n: int) -> None:
        if (whole := self.rounds * n + (self.rounds - 1) * self.delay) > MOST_SYMBOLS:
            raise ValueError(
                f"delay={self.delay}: {self.rounds} rounds and the waiting between them take {whole} channel uses, "
                f"longer than what is simulated of an image, {MOST_SYMBOLS}"
            )

    def _notes(self, n: int) -> dict[str, str]:
        return {
            "harq": f"the same {n} symbols up to {self.rounds} times, combined by maximum ratio, until their expected "
            "error is that which makes the expected channel uses those of the ratio; what was not sent has neither "
            "channel uses nor energy in the account",
            "feedback": f"one bit a round, beside the channel uses, without error; {self.delay} others' uses between "
            "rounds",
            "transmitter": "knows the average Es/N0 and the fading statistics",
        }


def _error(esno: Float[Tensor, "*b n"]) -> Float[Tensor, "*b"]:
    """The mean squared error of symbols of unit energy, estimated linearly."""
    return (1 / (1 + esno)).mean(dim=-1)


def _least_target(errors: Float[np.ndarray, "draws rounds"], rounds: float) -> float:
    """The least error to be content with of which no more than so many rounds are expected; 0 for all rounds, always.

    It is found by bisection: the less is asked for, the fewer rounds it takes.
    """
    values = np.unique(np.append(errors, 0.0))
    low, high = 0, len(values) - 1  # with the largest error, one round is enough
    while low < high:
        middle = (low + high) // 2
        asked = 1 + (errors[:, :-1] > values[middle]).sum(axis=1)  # errors fall from round to round
        low, high = (low, middle) if asked.mean() <= rounds else (middle + 1, high)
    return float(values[low])


def _step(target: float) -> int:
    """A target in steps of its logarithm, rounded to where no more is asked for."""
    return _NEVER if target <= 0 else min(max(math.floor(-_FINE * math.log(target)), 0), _NEVER - 1)


def _targets_of(received: Received) -> Float[Tensor, " b"]:
    """The error that each image's header tells the receiver to be content with."""
    if received.header is None:
        raise ValueError("header=None: when to be content is in the burst header")
    for entry in received.header:
        if not isinstance(entry, int) or not 0 <= entry <= _NEVER:
            raise ValueError(f"header tells {entry!r}; it must be 0 … {_NEVER}")
    steps = torch.tensor(received.header, dtype=torch.float64)
    return torch.exp(-steps / _FINE).where(steps < _NEVER, 0.0).to(received.n0)


def _others(n: int) -> Complex[Tensor, "1 n"]:
    """What others send meanwhile: QPSK, always the same."""
    rng = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(0, 2, (1, n, 2), generator=rng) - 1
    return torch.view_as_complex(signs) * math.sqrt(0.5)
