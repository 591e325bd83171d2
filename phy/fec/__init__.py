"""Channel codes: 5G LDPC, transport blocks, Gallager's codes, that of IEEE 802.11, CRC and scrambling."""

from semlink.phy.fec import crc
from semlink.phy.fec.code import BlockCode, Uncoded
from semlink.phy.fec.convolutional import Convolutional
from semlink.phy.fec.gallager import N_MAX, Gallager
from semlink.phy.fec.layered import LayeredDecoder
from semlink.phy.fec.ldpc import LDPC5G, Decoding
from semlink.phy.fec.ldpc_graph import K_MAX, K_MAX_BG2, Graph
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
    "LayeredDecoder",
    "TransportBlock",
    "Uncoded",
    "crc",
    "descramble_llr",
    "scramble",
    "transport_block_size",
]
