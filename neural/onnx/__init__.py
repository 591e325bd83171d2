"""Codecs as ONNX files, run by NumPy and ONNX Runtime alone.

Writing the files needs PyTorch: `semlink.neural.onnx.export.export_codec` is therefore not named here.
"""

from semlink.neural.onnx.codec import OnnxCodec

__all__ = [
    "OnnxCodec",
]
