"""The blocks: what flowgraphs import. Needs GNU Radio; no PyTorch."""

from semlink.flowgraphs.radio.burst_blocks import burst_rx, burst_tx, ofdm_rx, ofdm_tx
from semlink.flowgraphs.radio.channel_block import loopback_channel
from semlink.flowgraphs.radio.class_block import class_sink
from semlink.flowgraphs.radio.codec_blocks import chain_decoder, chain_encoder, jscc_decoder, jscc_encoder
from semlink.flowgraphs.radio.image_blocks import image_sink, image_source
from semlink.flowgraphs.radio.recording_blocks import recording_sink, recording_source

__all__ = [
    "burst_rx",
    "burst_tx",
    "chain_decoder",
    "chain_encoder",
    "class_sink",
    "image_sink",
    "image_source",
    "jscc_decoder",
    "jscc_encoder",
    "loopback_channel",
    "ofdm_rx",
    "ofdm_tx",
    "recording_sink",
    "recording_source",
]
