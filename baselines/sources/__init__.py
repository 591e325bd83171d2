"""Source coders of the digital link: JPEG, JPEG 2000, WebP, AVIF and HEIC to a byte budget."""

from semlink.baselines.sources.coders import SOURCES, find_source, register_source
from semlink.baselines.sources.codings import code_image, code_images
from semlink.baselines.sources.sealed import Sealed
from semlink.baselines.sources.source import Pixels, Shape, SourceCoder, grey_image

__all__ = [
    "SOURCES",
    "Pixels",
    "Sealed",
    "Shape",
    "SourceCoder",
    "code_image",
    "code_images",
    "find_source",
    "grey_image",
    "register_source",
]
