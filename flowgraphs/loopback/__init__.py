"""Pages for a browser on this machine alone: HTTP on the loopback address, and who may ask."""

from semlink.flowgraphs.loopback.server import (
    Answer,
    LocalServer,
    PortInUseError,
    Request,
    is_local,
    refused,
)

__all__ = [
    "Answer",
    "LocalServer",
    "PortInUseError",
    "Request",
    "is_local",
    "refused",
]
