"""Channel codes: 5G LDPC, transport blocks, 5G polar, Gallager's, IEEE 802.11's; CRC, scrambling, interleaving."""

from semlink.phy.fec import crc
from semlink.phy.fec.code import BlockCode, Uncoded
from semlink.phy.fec.convolutional import Convolutional
from semlink.phy.fec.gallager import N_MAX, Gallager
from semlink.phy.fec.interleaving import Interleaver, checked_order, deinterleave, interleave, random_order
from semlink.phy.fec.layered import LayeredDecoder
from semlink.phy.fec.ldpc import LDPC5G, Decoding
from semlink.phy.fec.ldpc_graph import K_MAX, K_MAX_BG2, Graph
from semlink.phy.fec.polar import Polar5G
from semlink.phy.fec.scrambling import descramble_llr, scramble
from semlink.phy.fec.transport import TransportBlock, transport_block_size

__all__ = [
    "K_MAX",
    "K_MAX_BG2",
    "LDPC5G",
    "N_MAX",
    "BlockCode",
    "Convolutional",
    "Decoding",
    "Gallager",
    "Graph",
    "Interleaver",
    "LayeredDecoder",
    "Polar5G",
    "TransportBlock",
    "Uncoded",
    "checked_order",
    "crc",
    "deinterleave",
    "descramble_llr",
    "interleave",
    "random_order",
    "scramble",
    "transport_block_size",
]
