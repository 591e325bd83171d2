"""From words to blocks: the options of the command line, receivers behind codecs, blocks of one's own."""

from semlink.flowgraphs.specs.codec_names import PUBLISHED, CodecGroup, codec_groups
from semlink.flowgraphs.specs.codecs import (
    DEFAULT_MCS,
    UnknownCodecError,
    default_codecs,
    expand,
    frozen_codec,
    make_codecs,
    published_curves,
)
from semlink.flowgraphs.specs.digital_names import DIGITAL_FORM, DigitalName, own_parts, parse_digital, register_doors
from semlink.flowgraphs.specs.feature_link import FeatureLink
from semlink.flowgraphs.specs.images import load_images
from semlink.flowgraphs.specs.labels import LABELLED, Labels, load_labels
from semlink.flowgraphs.specs.options import (
    check_count,
    make_channel,
    parse_esno,
    parse_labels,
    parse_metrics,
    parse_ratio,
)
from semlink.flowgraphs.specs.own_blocks import (
    Kind,
    code_of,
    is_own,
    lives_here,
    load_own,
    make_own,
    own_names,
    register_sources,
    source_files,
)
from semlink.flowgraphs.specs.printed_accuracy import PRINTED
from semlink.flowgraphs.specs.prompts import prompt_coder, prompt_sha256, prompt_studio
from semlink.flowgraphs.specs.receivers import JOINT, receive_with, split_codec
from semlink.flowgraphs.specs.secrecy import listened_to, parse_eavesdropper, split_listener, with_eavesdropper
from semlink.flowgraphs.specs.teachers import CLASSIFY, FEATURES, LABEL, block_of, load_trained, make_teacher

__all__ = [
    "CLASSIFY",
    "DEFAULT_MCS",
    "DIGITAL_FORM",
    "FEATURES",
    "JOINT",
    "LABEL",
    "LABELLED",
    "PRINTED",
    "PUBLISHED",
    "CodecGroup",
    "DigitalName",
    "FeatureLink",
    "Kind",
    "Labels",
    "UnknownCodecError",
    "block_of",
    "check_count",
    "code_of",
    "codec_groups",
    "default_codecs",
    "expand",
    "frozen_codec",
    "is_own",
    "listened_to",
    "lives_here",
    "load_images",
    "load_labels",
    "load_own",
    "load_trained",
    "make_channel",
    "make_codecs",
    "make_own",
    "make_teacher",
    "own_names",
    "own_parts",
    "parse_digital",
    "parse_eavesdropper",
    "parse_esno",
    "parse_labels",
    "parse_metrics",
    "parse_ratio",
    "prompt_coder",
    "prompt_sha256",
    "prompt_studio",
    "published_curves",
    "receive_with",
    "register_doors",
    "register_sources",
    "source_files",
    "split_codec",
    "split_listener",
    "with_eavesdropper",
]
