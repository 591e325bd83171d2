"""A flowgraph as one of several users: its encoder and decoder at the address of a `semlink serve`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.bench import textures
from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.protocol import WorkerClient, carry_request, read_carried


@pytest.fixture
def service(radio_python: str) -> Iterator[str]:
    with worker_process(["--codec=deepjscc", "--cache=8"], command="serve") as where:
        yield where


def carry(address: str, until: threading.Event, errors: list[float]) -> None:
    """Be a user beside the flowgraph: the mean squared error of each image that is received."""
    with WorkerClient(address, timeout_s=60) as client:
        for realisation, image in enumerate(textures(500, 32, 1)):
            if until.is_set():
                return
            asked = carry_request(image, codec="deepjscc", ratio=1 / 6, esno_db=25, realisation=realisation)
            client.submit(asked)
            while (reply := client.poll(1.0)) is None:
                pass
            errors.append(float(np.square(read_carried(reply).image.astype(float) - image).mean()))


def test_a_flowgraph_and_users_have_one_service(service: str, run_radio: Callable[..., Any]) -> None:
    ended, errors = threading.Event(), list[float]()
    user = threading.Thread(target=carry, args=(service, ended, errors))
    user.start()
    try:
        got = run_radio(f"""
            from semlink.flowgraphs.radio.blocks import burst_rx, burst_tx, jscc_decoder, jscc_encoder, loopback_channel
            from semlink.flowgraphs.radio.pmt_pdus import image_of, image_pdu
            address = {service!r}
            encoder = jscc_encoder(codec="deepjscc", esno_db=25, address=address)
            decoder, shown = jscc_decoder(address=address), Probe()
            tx, rx, line = burst_tx(idle=False), burst_rx(), loopback_channel(esno_db=25)
            top = gr.top_block()
            top.connect(tx, line, rx)
            top.msg_connect(encoder, "frames", tx, "frames")
            top.msg_connect(rx, "frames", decoder, "frames")
            top.msg_connect(decoder, "images", shown, "in")
            top.start()
            y, x = np.mgrid[:64, :96]
            sent = np.stack([2 * y, 2 * x, y + x], axis=2).astype(np.uint8)
            for i in range(3):
                post(encoder, "images", image_pdu(sent, dict(sequence=i)))
            wait(lambda: len(shown.got) == 3)
            top.stop(); top.wait()
            print(json.dumps([float(np.square(image_of(one)[1].astype(float) - sent).mean()) for one in shown.got]))
        """)
    finally:
        ended.set()
        user.join(60)
    assert len(got) == 3
    assert max(got) < 60  # 30 dB
    assert len(errors) > 3
    assert np.median(errors) < 300
