"""What the refusal of a codec's name says: what may have been meant, and what is taken most often."""

from __future__ import annotations

from semlink.baselines import kodak_rd
from semlink.baselines.adaptation import MODES
from semlink.baselines.blocks import CODES
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.specs.codec_names import PUBLISHED
from semlink.flowgraphs.specs.digital_names import DIGITAL_FORM
from semlink.flowgraphs.specs.own_blocks import own_names
from semlink.flowgraphs.specs.printed_accuracy import PRINTED
from semlink.flowgraphs.specs.prompts import ANALOGUE
from semlink.neural import zoo
from semlink.neural.classifiers import task_cards
from semlink.neural.diffusion import receiver_names
from semlink.phy.named import meant


def zoo_codecs() -> set[str]:
    """Names that the neural codecs go by."""
    return {*zoo.names(), *zoo.cards()}


def allowed_for(name: str) -> str:
    """What --codec takes of the kind that the name seems to be, in one line, and where all of it is listed."""
    if name.split(":")[0].endswith("-qam"):
        parts = f"SOURCE {'|'.join(SOURCES)}, CODE {'|'.join(CODES)}"
        return f"{DIGITAL_FORM} with {parts}; or another form that `semlink codecs` lists"
    return (
        f"{', '.join([*zoo.names(), *own_names('codecs')])}; a digital link, such as jpeg-ldpc-qam:adaptive; "
        f"MODULE:NAME for a codec of one's own; or another form that `semlink codecs` lists"
    )


def plain_names() -> list[str]:
    """Names of codecs without options, for what is near a wrong one."""
    digital = [f"{source}-{code}-qam" for source in SOURCES for code in CODES]
    ceilings = [f"{source}-capacity" for source in SOURCES]
    behind = [f"swin+{receiver}" for receiver in receiver_names()]
    published = [f"{PUBLISHED}{curve}" for curve in (*kodak_rd.names(), *PRINTED)]
    return [*sorted(zoo_codecs()), *digital, *ceilings, ANALOGUE, *task_cards(), *behind, *published]


def check_mode(scheme: str) -> None:
    """Refuse a word that is no mode: whoever slips in `adaptive` is told of the modes, not of the fixed schemes alone.

    Raises:
        ValueError: such a word.
    """
    word = scheme.split(",")[0]
    if word.isalpha() and word not in MODES:
        modes = f"{', '.join(MODES)} or a fixed one, such as 16qam-1/2 or nr1-13; `semlink codecs` lists them"
        raise ValueError(f"scheme {word!r}{meant(word, MODES)} must be one of: {modes}")
