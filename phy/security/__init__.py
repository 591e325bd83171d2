"""Who must not hear or understand: wardens, friendly jammers, eavesdroppers, keys, and the closed forms of detection."""

from semlink.phy.security import theory

__all__ = ["theory"]
