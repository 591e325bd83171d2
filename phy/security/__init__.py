"""Who must not hear or understand: wardens, friendly jammers, eavesdroppers, keys, closed forms of detection."""

from semlink.phy.security import theory
from semlink.phy.security.eavesdropper import (
    Eavesdropper,
    Overheard,
    TappedLink,
    channel_of,
    link_of,
    without_key,
)
from semlink.phy.security.jammer import FriendlyJammer, JammingPower, Path
from semlink.phy.security.keyed import Keyed, Transform, find_transform, guess, make_transform
from semlink.phy.security.keys import KEY_BYTES, Key, key_of_environment, missing_library, read_key
from semlink.phy.security.warden import Envelope, Warden, Watched

__all__ = [
    "KEY_BYTES",
    "Eavesdropper",
    "Envelope",
    "FriendlyJammer",
    "JammingPower",
    "Key",
    "Keyed",
    "Overheard",
    "Path",
    "TappedLink",
    "Transform",
    "Warden",
    "Watched",
    "channel_of",
    "find_transform",
    "guess",
    "key_of_environment",
    "link_of",
    "make_transform",
    "missing_library",
    "read_key",
    "theory",
    "without_key",
]
