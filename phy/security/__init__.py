"""Who must not hear or understand: wardens, friendly jammers, eavesdroppers, keys, closed forms of detection."""

from semlink.phy.security import theory
from semlink.phy.security.jammer import FriendlyJammer, JammingPower, Path
from semlink.phy.security.warden import Warden, Watched

__all__ = ["FriendlyJammer", "JammingPower", "Path", "Warden", "Watched", "theory"]
