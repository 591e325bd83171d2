"""Every codec name that --codec takes, in groups, each name with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from semlink.baselines import kodak_rd
from semlink.baselines.adaptation import MODES
from semlink.baselines.blocks import CODES
from semlink.baselines.doors import CONSTELLATIONS, INTERLEAVERS
from semlink.baselines.ideal import BOUNDS
from semlink.baselines.mcs import MCS_TABLE, NR_TABLES
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.specs.digital_names import DIGITAL_FORM
from semlink.flowgraphs.specs.feature_link import FEATURES_FORM
from semlink.flowgraphs.specs.harq import HARQ_FORM, HARQ_OPTIONS, REPEATED_FORM, REPEATED_OPTIONS
from semlink.flowgraphs.specs.own_blocks import Kind, own_names, register_sources
from semlink.flowgraphs.specs.printed_accuracy import PRINTED
from semlink.flowgraphs.specs.prompts import ANALOGUE
from semlink.flowgraphs.specs.receivers import FORM
from semlink.flowgraphs.specs.secrecy import AT, EAVESDROPPER_FORM
from semlink.flowgraphs.specs.teachers import FEATURES
from semlink.neural import zoo
from semlink.neural.classifiers import TEACHERS, task_cards
from semlink.neural.diffusion import receiver_cards

KNOWN = {
    "adaptive": "knows the average Es/N0 and takes the scheme that is best for it",
    "outage": "knows that and the distribution of the fading",
    "genie": "knows the fades themselves",
}
CHANNEL_CODES = {
    "ldpc": "5G LDPC",
    "nr": "5G LDPC in a transport block of NR",
    "polar": "5G polar in short blocks",
    "gallager": "regular Gallager LDPC",
    "conv": "the convolutional code of IEEE 802.11",
    "uncoded": "no channel code",
}
PUBLISHED = "published:"
"""How a published curve's name begins."""


@dataclass(frozen=True)
class CodecGroup:
    """Codecs of one kind.

    Attributes:
        title: what they are.
        form: how a name is put together; empty where the names are all.
        names: each with what it is.
    """

    title: str
    form: str
    names: Mapping[str, str]


def codec_groups() -> list[CodecGroup]:
    """All of them, those of installed packages included; what is not among the names follows one of the forms.

    Raises:
        ValueError: a package offers a source coder whose name is taken, or that cannot be imported.
    """
    register_sources()
    return [_neural(), *_digital(), _ceilings(), _published(), _receivers(), _secret(), _tasks(), _own()]


def _neural() -> CodecGroup:
    named = {name: _offer(name) for name in zoo.names()}
    named |= {
        name: f"the {card.codec} of ratio {card.offer}" for name, card in zoo.cards().items() if name not in named
    }
    named[ANALOGUE] = "a prompt's components as amplitudes; prompt-ldpc-qam sends its code in bits"
    return CodecGroup(
        "networks, trained: see `semlink zoo`",
        "or FILE.safetensors, what `semlink train` wrote, its card beside it",
        named,
    )


def _offer(name: str) -> str:
    fitting = [card for card in zoo.cards().values() if name in (card.codec, card.name)]
    return f"ratio {', '.join(card.offer for card in sorted(fitting, key=lambda card: card.ratio))}"


def _digital() -> list[CodecGroup]:
    named = {
        f"{source}-{code}-qam": f"{source}, {CHANNEL_CODES.get(code, code)}; the scheme of --mcs"
        for source in SOURCES
        for code in CODES
    }
    schemes = {f":{mode}": KNOWN.get(mode, "") for mode in MODES}
    schemes |= {f":{name}": "fixed: constellation and code rate" for name in MCS_TABLE}
    schemes |= {
        f":nr{table}-{index}": f"fixed: 3GPP TS 38.214, table 5.1.3.1-{table}: {scheme}"
        for table, rows in NR_TABLES.items()
        for index, scheme in enumerate(rows)
    }
    again = {f",{key}=": said for key, said in HARQ_OPTIONS.items()}
    schemes |= {
        ",resolution=full": "no reduced images; ,resolution=chosen is the usual",
        ",speed=N": "of avif: 0 (the slowest and best) to 10",
    }
    schemes |= {":all": "fixed, adaptive, outage, genie and the ceiling, behind SOURCE-ldpc-qam"}
    return [
        CodecGroup("source coder and channel code: SOURCE-CODE-qam", "SOURCE-CODE-qam[:SCHEME]", named),
        CodecGroup("a scheme of their own, behind any of these", "", schemes),
        _parts(),
        CodecGroup("hybrid ARQ: sent again until it arrives", HARQ_FORM, again),
        CodecGroup(
            "a network's symbols, sent again until the receiver is content",
            REPEATED_FORM,
            {f",{key}=": said for key, said in REPEATED_OPTIONS.items()},
        ),
    ]


def _parts() -> CodecGroup:
    named = dict.fromkeys(CONSTELLATIONS, "a constellation in place of qam; SCHEME is then its code rate, 2/3")
    named |= dict.fromkeys(INTERLEAVERS, "an interleaver of coded bits, between code and constellation")
    own = {"codes": "a code", "interleavers": "an interleaver", "constellations": "a constellation"}
    for kind, what in own.items():
        named |= dict.fromkeys(own_names(cast(Kind, kind)), f"{what} of an installed package")
    form = f"{DIGITAL_FORM}, each part but SOURCE also MODULE:NAME; table=FILE in SCHEME: one's own block error rates"
    return CodecGroup("other parts of a digital link", form, named)


def _ceilings() -> CodecGroup:
    named = {f"{source}-capacity": f"{source} over a code at capacity" for source in SOURCES}
    return CodecGroup("ceilings of the digital link", f"SOURCE-capacity[:{'|'.join(BOUNDS)}]", named)


def _published() -> CodecGroup:
    named = {f"{PUBLISHED}{name}": "rate-distortion curve, on the set kodak over awgn" for name in kodak_rd.names()}
    printed = {name: f"accuracy on {one.images} over awgn: {one.preparation}" for name, one in PRINTED.items()}
    named |= {f"{PUBLISHED}{name}": said for name, said in printed.items()}
    return CodecGroup("published curves, beside another codec", "", named)


def _receivers() -> CodecGroup:
    named = {
        f"{_behind(card.codec)}+{name}": f"{card.model}, trained behind {_behind(card.codec)}"
        for name, card in receiver_cards().items()
    }
    return CodecGroup("trained receivers behind a codec", f"{FORM}, or +FILE.safetensors", named)


def _secret() -> CodecGroup:
    named = {
        "CODEC+keyed:key=FILE": "symbols permuted and turned by a key; env=NAME for a key in the environment",
        "SOURCE-CODE-qam:SCHEME,key=FILE": "the source coding encrypted, AES-256-GCM; env=NAME likewise",
        f"CODEC{AT}{EAVESDROPPER_FORM}": "what an eavesdropper gets over a channel of her own",
    }
    return CodecGroup("keys, and who else listens", "", named)


def _tasks() -> CodecGroup:
    named = {
        f"label:{name}": f"the class that {name} sees at the transmitter ({one.accuracy})"
        for name, one in TEACHERS.items()
    }
    named |= {
        f"{FEATURES}:adaptive,teacher={name}": f"the features of {name} by a quantiser, 5G LDPC and QAM"
        for name in TEACHERS
    }
    named |= {f"CODEC+classify:{name}": f"{name} looks at what CODEC shows" for name in TEACHERS}
    named |= {name: f"made for the task, distilled from {card.teacher}" for name, card in task_cards().items()}
    form = (
        f"label:TEACHER[:uses=N], {FEATURES_FORM}, CODEC+classify:TEACHER, TASK[:uses=N]; TEACHER may be a task codec, "
        "for its student, or MODULE:NAME of a torch.nn.Module"
    )
    return CodecGroup("links that deliver a class: images need labels", form, named)


def _behind(codec: str) -> str:
    return codec.removeprefix("zoo:")


def _own() -> CodecGroup:
    named = dict.fromkeys(own_names("codecs"), "of an installed package")
    return CodecGroup(
        "of one's own", "MODULE:NAME, from a module that Python finds, the working folder included", named
    )
