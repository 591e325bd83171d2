"""Outer-loop link adaptation: an offset to the reported Es/N0 that ACK and NACK steer to a target block error rate.

Its state goes from image to image, which the contract of a codec does not have: a frame is made without knowing what
became of the one before. So this is a run of its own, of images one after another over one channel that changes as
they are sent, with what the receiver tells only once it has arrived.

Source: A. Sampath, P. S. Kumar and J. M. Holtzman, "On setting reverse link target SIR in a CDMA system", VTC 1997,
929-933; K. I. Pedersen et al., "Frequency domain scheduling for OFDMA with limited and noisy channel feedback", VTC
2007, 1792-1796.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.baselines.adaptation import failure_at
from semlink.baselines.blocks import plan_blocks
from semlink.baselines.capacity import effective_esno_db
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.baselines.separate import SeparateCodec
from semlink.phy.link import ERASED, Channel, Received, channel_uses, esno_to_n0
from semlink.phy.metrics import squared_error
from semlink.phy.rng import probe

MOST_SYMBOLS = 1 << 24
"""Of a run."""
MOST_OFFSET_DB = 30.0
"""By which the loop may move what is reported, up or down."""
_GRID_DB = np.arange(-20.0, 50.01, 0.05)


@dataclass(frozen=True)
class OuterLoop:
    """How a transmitter turns reports and answers into a scheme.

    It takes the scheme of highest rate whose stored block error rate at the last report plus the offset is at most the
    target. An ACK raises the offset by step·target / (1 - target), a NACK lowers it by step: it stands still on average
    where a share `target` of the images is lost.

    Attributes:
        target: block error rate.
        step_db: by which a NACK lowers the offset; 0 for the inner loop alone.
        delay: channel uses from the end of an image until its answer and the report on it are at hand.
        bias_db: by which the receiver reports too much.

    Raises:
        ValueError: an option out of range.
    """

    target: float = 0.1
    step_db: float = 0.5
    delay: int = 0
    bias_db: float = 0.0

    def __post_init__(self) -> None:
        if not 1e-4 <= self.target <= 0.9:
            raise ValueError(f"target={self.target} must be a block error rate from 0.0001 to 0.9")
        if not 0 <= self.step_db <= 10:
            raise ValueError(f"step={self.step_db} must be from 0 to 10 dB")
        if self.delay < 0:
            raise ValueError(f"delay={self.delay} must be at least 0 channel uses")
        if not abs(self.bias_db) <= MOST_OFFSET_DB:
            raise ValueError(f"bias={self.bias_db} must be from -{MOST_OFFSET_DB:g} to {MOST_OFFSET_DB:g} dB")

    def moved(self, offset_db: float, lost: bool) -> float:
        """The offset after an answer."""
        up = self.step_db * self.target / (1 - self.target)
        return float(np.clip(offset_db + (-self.step_db if lost else up), -MOST_OFFSET_DB, MOST_OFFSET_DB))


@dataclass(frozen=True)
class Step:
    """What became of an image of a run.

    Attributes:
        scheme: modulation and coding.
        bits: information bits that were sent, padding included.
        uses: channel uses.
        lost: whether a code block was lost.
        error: mean squared error of the image that was shown.
        offset_db: of the loop when it was sent.
        reported_db: the last report, as Es/N0 of 16-QAM; NaN before the first.
    """

    scheme: str
    bits: int
    uses: int
    lost: bool
    error: float
    offset_db: float
    reported_db: float


def run_outer_loop(
    images: Sequence[Float[Tensor, "1 c h w"]],
    channel: Channel,
    esno_db: float,
    loop: OuterLoop,
    *,
    source: str = "jpeg",
    ratio: float = 1 / 6,
    seed: int = 0,
) -> list[Step]:
    """Send images one after another over one frame of a channel, each in NR's transport blocks and its own scheme.

    Args:
        images: in their order; each takes floor(ratio·c·h·w) channel uses.
        channel: of which what arrives is what was sent and noise that does not depend on it: AWGN, or flat fading with
            perfect CSI. One gain an image would be one gain a run: give a coherence or a Doppler spread.
        esno_db: average Es/N0.
        loop: how schemes are chosen.
        source: as of `SeparateCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        seed: of the channel.

    Raises:
        ValueError: no images, feedback that would arrive after the run, a run that is too long, or a channel whose
            noise depends on what is sent.
    """
    if not images:
        raise ValueError("images is empty; give at least one")
    uses = [channel_uses((c, h, w), ratio) for _, c, h, w in (one.shape for one in images)]
    starts = np.concatenate([[0], np.cumsum(uses)])
    if loop.delay >= starts[-2] and len(images) > 1:
        raise ValueError(
            f"delay={loop.delay}: longer than the run: no feedback would arrive before the last image begins, "
            f"{starts[-2]} channel uses from the start"
        )
    noise, n0 = _meet(channel, int(starts[-1]), esno_db, seed)
    codecs = {mcs: SeparateCodec(source=source, mcs=str(mcs), ratio=ratio, code="nr") for mcs in NR_SCHEMES}
    steps: list[Step] = []
    offset, told = 0.0, 0
    for i, image in enumerate(images):
        while told < i and starts[told + 1] + loop.delay <= starts[i]:
            offset, told = loop.moved(offset, steps[told].lost), told + 1
        reports = _reports(1 / n0[0, starts[told - 1] : starts[told]].double().numpy(), loop.bias_db) if told else None
        mcs = _choose(uses[i], loop.target, reports, offset, esno_db)
        part = slice(int(starts[i]), int(starts[i + 1]))
        frame = codecs[mcs].encode(image, esno_to_n0(esno_db))
        _, c, h, w = image.shape
        got = codecs[mcs].decode(Received(frame.symbols + noise[:, part], n0[:, part].float(), image_shape=(c, h, w)))
        assert got.block_errors is not None
        steps.append(
            Step(
                scheme=str(mcs),
                bits=int(frame.bits["source"] + frame.bits["padding"]),
                uses=uses[i],
                lost=bool(got.block_errors[0] > 0),
                error=float(squared_error(got.image, image)[0]),
                offset_db=offset,
                reported_db=math.nan if reports is None else reports[16],
            )
        )
    return steps


def _meet(channel: Channel, n: int, esno_db: float, seed: int) -> tuple[Complex[Tensor, "1 n"], Float[Tensor, "1 n"]]:
    """The noise that the symbols of a run will meet after equalisation, and its variances.

    Raises:
        ValueError: a run that is too long, or noise that depends on what is sent.
    """
    if n > MOST_SYMBOLS:
        raise ValueError(f"a run of {n} channel uses is too long; give fewer images, up to {MOST_SYMBOLS} channel uses")
    sent = probe(1, n)
    one, other = (
        channel(symbols, esno_to_n0(esno_db), rng=torch.Generator().manual_seed(seed)).unbiased()
        for symbols in (sent, -sent)
    )
    noise, heard = one.symbols - sent, one.n0 < ERASED  # what is erased is no noise on anything
    alike = torch.allclose(noise[heard], (other.symbols + sent)[heard], atol=1e-3, rtol=1e-3)
    if not alike or one.spatial is not None:
        spec = getattr(channel, "labels", {}).get("spec", type(channel).__name__)
        raise ValueError(
            f"channel {spec}: the outer loop needs noise that does not depend on what is sent: awgn, or flat fading of "
            "one antenna with csi=perfect"
        )
    return noise, one.n0


def _reports(esno: Float[np.ndarray, " n"], bias_db: float) -> dict[int, float]:
    """What the receiver tells of an image's symbols: the Es/N0 in dB that stands for them, by constellation."""
    every = esno if np.ptp(esno) else esno[:1]
    return {order: float(effective_esno_db(order, every)) + bias_db for order in sorted({m.order for m in NR_SCHEMES})}


def _choose(symbols: int, target: float, reports: dict[int, float] | None, offset: float, esno_db: float) -> MCS:
    """The scheme of highest rate that would meet the target; the most robust where none does."""
    needed = _needed_db(symbols, target)
    told = reports or dict.fromkeys((mcs.order for mcs in NR_SCHEMES), esno_db)
    meeting = [mcs for mcs, level in needed.items() if level <= told[mcs.order] + offset]
    return meeting[-1] if meeting else next(iter(needed))


@lru_cache(maxsize=64)
def _needed_db(symbols: int, target: float) -> dict[MCS, float]:
    """The Es/N0 in dB at which an image of each scheme is lost as often as the target, by rising rate.

    Raises:
        ValueError: no scheme has a block so short.
    """
    needed = {}
    for mcs in NR_SCHEMES:
        try:
            plan = plan_blocks(symbols, mcs, "nr")
        except ValueError:
            continue
        lost = failure_at(plan, _GRID_DB[:, None])
        needed[mcs] = float(np.interp(-target, -lost, _GRID_DB))
    if not needed:
        raise ValueError(f"{symbols} channel uses carry no code block of any scheme; give a larger ratio")
    return needed
