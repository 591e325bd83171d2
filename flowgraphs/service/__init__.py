"""Codecs as a service: batches of what waits, in this process or over ZeroMQ; users' images over an uplink."""

from semlink.flowgraphs.service.commands import run_worker
from semlink.flowgraphs.service.jobs import STAGES
from semlink.flowgraphs.service.serve import run_serve
from semlink.flowgraphs.service.service import Service
from semlink.flowgraphs.service.worker import Worker

__all__ = [
    "STAGES",
    "Service",
    "Worker",
    "run_serve",
    "run_worker",
]
