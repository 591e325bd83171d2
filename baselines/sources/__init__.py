"""Source coders of the digital link: JPEG, JPEG 2000, WebP, AVIF and HEIC to a byte budget."""

from semlink.baselines.sources.avif import AVIF
from semlink.baselines.sources.coders import SOURCES, find_source, register_source
from semlink.baselines.sources.codings import code_image, code_images
from semlink.baselines.sources.ladder import Ladder, Laddered, Rough, error_against
from semlink.baselines.sources.resolution import Resolutions, link_source
from semlink.baselines.sources.sealed import Sealed
from semlink.baselines.sources.source import Estimating, Pixels, Shape, SourceCoder, grey_image

__all__ = [
    "AVIF",
    "SOURCES",
    "Estimating",
    "Ladder",
    "Laddered",
    "Pixels",
    "Resolutions",
    "Rough",
    "Sealed",
    "Shape",
    "SourceCoder",
    "code_image",
    "code_images",
    "error_against",
    "find_source",
    "grey_image",
    "link_source",
    "register_source",
]
