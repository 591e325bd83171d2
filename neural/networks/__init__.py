"""The networks of the neural codecs, and what they share: rate, power, grid of symbols, windows."""

from semlink.neural.networks.blocks import EMBEDDING, ConvBlock, SwinBlock, WindowAttention
from semlink.neural.networks.deepjscc import DeepJSCC
from semlink.neural.networks.fixed_rate import FixedRate, as_pairs, as_symbols, unweighted
from semlink.neural.networks.grid import MAX_SYMBOLS, by_tiles, cells, sent_indices
from semlink.neural.networks.held import Held, Limits, noise_level, within
from semlink.neural.networks.hybrid import HybridPhoto
from semlink.neural.networks.published import ADJSCC, PlainDeepJSCC
from semlink.neural.networks.swin import ConvSwin, Trunk
from semlink.neural.networks.swin_gsc import SwinGSC
from semlink.neural.networks.swin_photo import SwinPhoto
from semlink.neural.networks.windows import visible

__all__ = [
    "ADJSCC",
    "EMBEDDING",
    "MAX_SYMBOLS",
    "ConvBlock",
    "ConvSwin",
    "DeepJSCC",
    "FixedRate",
    "Held",
    "HybridPhoto",
    "Limits",
    "PlainDeepJSCC",
    "SwinBlock",
    "SwinGSC",
    "SwinPhoto",
    "Trunk",
    "WindowAttention",
    "as_pairs",
    "as_symbols",
    "by_tiles",
    "cells",
    "noise_level",
    "sent_indices",
    "unweighted",
    "visible",
    "within",
]
