"""What flowgraphs and the worker say to each other: PDUs, messages, names of codecs. NumPy alone."""

from semlink.flowgraphs.protocol import codebook
from semlink.flowgraphs.protocol.codebook import DIGITAL, codec_name, split_name
from semlink.flowgraphs.protocol.messages import (
    DecodedImage,
    EncodedImage,
    decode_request,
    decoded_reply,
    encode_request,
    encoded_reply,
    error_reply,
    read_array,
    read_decoded,
    read_encoded,
    read_header,
    read_value,
    with_id,
)
from semlink.flowgraphs.protocol.parts_stream import Part, PartsStream
from semlink.flowgraphs.protocol.pdu import MAX_PART, MalformedPduError, Pdu, Scalar, pack, unpack
from semlink.flowgraphs.protocol.worker_client import ADDRESS, WorkerClient, WorkerError, import_zmq
from semlink.flowgraphs.protocol.worker_front import LINGER_MS, TOO_MANY, TOO_MUCH, Limits, run_front

__all__ = [
    "ADDRESS",
    "DIGITAL",
    "LINGER_MS",
    "MAX_PART",
    "TOO_MANY",
    "TOO_MUCH",
    "DecodedImage",
    "EncodedImage",
    "Limits",
    "MalformedPduError",
    "Part",
    "PartsStream",
    "Pdu",
    "Scalar",
    "WorkerClient",
    "WorkerError",
    "codebook",
    "codec_name",
    "decode_request",
    "decoded_reply",
    "encode_request",
    "encoded_reply",
    "error_reply",
    "import_zmq",
    "pack",
    "read_array",
    "read_decoded",
    "read_encoded",
    "read_header",
    "read_value",
    "run_front",
    "split_name",
    "unpack",
    "with_id",
]
