"""Classes, of a task codec and of what another codec shows: from a process and a node as from here."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from semlink.flowgraphs.protocol import carry_request, read_classified
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.commands import join_nodes
from semlink.flowgraphs.service.lanes import Process, Setup
from semlink.phy.channels import AWGN

pytest.importorskip("zmq", reason="pyzmq is not installed")
CODECS = ("task", "label:tiniest", "deepjscc+classify:tiniest")


def test_a_class_comes_from_a_process_and_a_node_as_from_here() -> None:
    """One process for all: it costs seconds to start."""
    rng = np.random.default_rng(0)
    images = [np.kron(rng.integers(0, 256, (4, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(2)]
    asked = [carry_request(image, codec=codec, ratio=1 / 6, esno_db=10) for codec in CODECS for image in images]
    there = Service(threads=1, makes=True)
    node = Worker(there, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=node.run, daemon=True)
    thread.start()
    service = Service(threads=1, channel=AWGN(), seed=3, lanes=[Process(Setup("awgn", 3), 300.0)])
    try:
        join_nodes(service, [node.address], insecure=False)
        here, *elsewhere = (service.handle(asked, lane) for lane in (None, *service.lanes))
    finally:
        service.close()
        node.stop()
        thread.join(60)
    assert len(elsewhere) == 2
    for replies in elsewhere:
        for one, other in zip(here, replies, strict=True):
            assert one.meta == other.meta
            np.testing.assert_array_equal(read_classified(one).logits, read_classified(other).logits)
    assert {str(one.meta["codec"]) for one in here} == set(CODECS)
    assert there.record.served == 2 * len(CODECS)  # to encode and to decode each in one batch
