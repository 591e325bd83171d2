"""`compare.json`: what a comparison was asked for and which picture is which, for whoever reads its folder later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from semlink.flowgraphs.comparison.comparison import Comparison, pixels
from semlink.flowgraphs.comparison.tally import Pixels

RECORD = "compare.json"
"""The file in a comparison's folder."""
SENT = "sent"
"""The folder in it with the images as they were sent."""
FORMAT = 1
_LIBRARIES = ("semlink", "torch", "numpy", "pillow")


def record(
    outcome: Comparison,
    files: Mapping[tuple[str, str, float], str],
    *,
    words: Sequence[str],
    ratio: float,
    mcs: str,
) -> dict[str, Any]:
    """What `compare.json` says.

    Args:
        outcome: of the comparison.
        files: of the received pictures, in the folder, by image, codec and Es/N0.
        words: the images as they were asked for.
        ratio: as it was asked for; the table has what was spent.
        mcs: of the digital codecs without a scheme of their own.
    """
    sent = {name: digest_of(pixels(image)) for name, image in outcome.sent.items()}
    return {
        "format": FORMAT,
        "images": list(words) or ["samples"],
        "ratio": ratio,
        "mcs": mcs,
        "metrics": list(outcome.metrics),
        "sent": sent,
        "pictures": [
            {"image": image, "codec": codec, "esno_db": level, "file": file}
            for (image, codec, level), file in files.items()
        ],
        "versions": {name: _installed(name) for name in _LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def digest_of(image: Pixels) -> str:
    """SHA-256 of an image's pixels, which names it."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def sent_file(digest: str) -> str:
    """Where a comparison's or a study's folder keeps an image as it was sent, so that a report needs no other place."""
    return f"{SENT}/{digest[:16]}.png"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
