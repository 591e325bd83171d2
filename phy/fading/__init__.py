"""Flat fading: the laws of a gain, how long it holds, and what the receiver knows of it."""

from semlink.phy.fading.flat import Csi, FlatFading
from semlink.phy.fading.laws import FadingLaw, NakagamiLaw, RayleighLaw, RicianLaw, draw_scatter

__all__ = [
    "Csi",
    "FadingLaw",
    "FlatFading",
    "NakagamiLaw",
    "RayleighLaw",
    "RicianLaw",
    "draw_scatter",
]
