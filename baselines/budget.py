"""Budgets of channel uses that are too small: what is wrong, and what would fit."""

from __future__ import annotations

from collections.abc import Sequence

from semlink.baselines.bler import schemes_of
from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.doors import QAM_NAME
from semlink.baselines.mcs import MCS
from semlink.baselines.sources import Pixels, SourceCoder


def what_would_fit(source: SourceCoder, pixels: Pixels, plan: Plan) -> str:
    """For an image that fits at no quality: in how many bytes it would, to a power of two, and what carries those."""
    needed = 1 << max(4, plan.payload_bytes.bit_length())
    while source.encode(pixels, needed) is None:
        needed *= 2
    bits, ratio = 8 * needed, plan.symbols / pixels.size * needed / max(1, plan.payload_bytes)
    alike = [mcs for mcs in schemes_of(plan.code) if mcs.constellation == plan.mcs.constellation]
    schemes = [mcs for mcs in alike if has_block(plan.symbols, mcs, plan.code)]
    carries = [str(mcs) for mcs in schemes if plan_blocks(plan.symbols, mcs, plan.code).info_bits >= bits]
    scheme = f"or mcs={carries[0]!r}" if carries else "and no scheme does at this ratio"
    return (
        f"some images fit at no quality in {plan.payload_bytes} bytes and are marked failed; {needed} bytes would do, "
        f"from about ratio={ratio:.3g} with {plan.mcs}, {scheme}"
    )


def too_small(
    shape: Sequence[int], ratio: float, symbols: int, error: ValueError, code: str, constellation: str = QAM_NAME
) -> str:
    """What is wrong with a ratio, and what would do: a scheme that has a block so short, where any is known."""
    _, c, h, w = shape
    known = [mcs for mcs in schemes_of(code) if mcs.constellation == constellation]
    fits = [str(mcs) for mcs in known if has_block(symbols, mcs, code)]
    scheme = f"; mcs={fits[0]!r} would fit" if fits else "; no scheme would fit" * bool(known)
    return f"ratio={ratio:g} is too small for an image of {w}×{h}×{c}: {error}{scheme}"


def has_block(symbols: int, mcs: MCS, code: str) -> bool:
    """Whether so many channel uses carry a code block of a scheme."""
    try:
        plan_blocks(symbols, mcs, code)
    except ValueError:
        return False
    return True
