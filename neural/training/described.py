"""What a card says of a training: its data and its channels."""

from __future__ import annotations

import hashlib

from semlink.neural.training.inputs import Contents
from semlink.neural.training.recipe import STAGES, Settings
from semlink.phy.sources import cifar10_is_lossy


def describe_data(settings: Settings, contents: Contents) -> str:
    """What a card says of the training data; of a folder of one's own also how many files and a hash of them all."""
    parts = []
    if settings.cifar10:
        kept = f" without its last {settings.validation:,}" if settings.validation else ""
        name = "CIFAR-100" if settings.labelled == "cifar100" else "CIFAR-10"
        lossy = " (AVIF at 42 dB)" if settings.labelled == "cifar100" or cifar10_is_lossy() else ""
        parts.append(f"{name} training set{lossy}{kept}")
    if settings.task not in STAGES and (settings.photographs or settings.large_photographs):
        source = _folder(settings, contents) if settings.images else "1,000 photographs of ImageNet"
        source += f" without the last {settings.large_validation}" if settings.large_validation else ""
        parts.append(f"from {source}, {_crops(settings)}")
    return "; ".join(parts)


def _crops(settings: Settings) -> str:
    large = f"{settings.large_side}x{settings.large_side}"
    counts = [(settings.photographs, "32x32"), (settings.large_photographs, large)]
    first, *more = (f"{count:,} crops of {side}" for count, side in counts if count)
    return " and ".join([first, *(one.replace(" crops", "") for one in more)])


def _folder(settings: Settings, contents: Contents) -> str:
    files = contents.get("images")
    if files is None:  # the caller has read them
        return settings.images
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    return f"{settings.images} ({len(files):,} files, SHA-256 {digest[:16]})"


def describe_channels(settings: Settings) -> str:
    """What a card says of the channels of the training: each one's share of it, and the Es/N0."""
    count = len(settings.channels)
    shares = [f"{name} {settings.channels.count(name)}/{count}" for name in dict.fromkeys(settings.channels)]
    low, high = settings.esno_db
    levels = f"{low:g} dB" if low == high else f"{low:g} to {high:g} dB"
    said = ", ".join(shares) if len(shares) > 1 else settings.channels[0]
    return f"{said}{f', behind {settings.denoiser}' if settings.denoiser else ''}; Es/N0 {levels}"
