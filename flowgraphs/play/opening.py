"""A desk from the options of the command line."""

from __future__ import annotations

from collections.abc import Sequence

from semlink.flowgraphs.play.catalogue import Start
from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.wishes import LEVELS, MOST_CODECS, MOST_SEED
from semlink.flowgraphs.specs import (
    DEFAULT_MCS,
    default_codecs,
    expand,
    make_channel,
    make_codecs,
    parse_esno,
    parse_ratio,
)


def open_desk(
    words: Sequence[str] = (),
    codecs: Sequence[str] = (),
    *,
    channel: str = "awgn",
    esno: str = LEVELS,
    ratio: str = "1/6",
    seed: int = 0,
) -> Desk:
    """A desk whose pages begin with these.

    Args:
        words: pictures beside the samples: files, folders and sets.
        codecs: shown first; those of `semlink compare` without any.
        channel: as --channel takes it.
        esno: of the slider, START:STOP:STEP or A,B,C in dB.
        ratio: as --ratio takes it.
        seed: of noise and fading.

    Raises:
        ValueError: an option that is refused.
    """
    levels = parse_esno(esno)
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"--seed {seed} must be from 0 to {MOST_SEED}")
    over = make_channel(channel, coherence=None, csi=None, equaliser=None)
    names = expand(list(codecs) or list(default_codecs(over)))
    if len(names) > MOST_CODECS:
        raise ValueError(f"--codec: {len(names)} codecs; a page shows {MOST_CODECS} at most")
    make_codecs(names, ratio=parse_ratio(ratio), mcs=DEFAULT_MCS, channel=over)  # what is refused shows now
    start = Start(names, channel, levels, ratio, seed)
    return Desk(start, words=words, told={*names, channel})
