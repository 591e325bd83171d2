"""Networks among the jobs that two commits are timed at."""

from __future__ import annotations

import pytest
import torch

from semlink.flowgraphs.bench import jobs
from semlink.neural import zoo
from semlink.phy.link import Received


@pytest.mark.parametrize("way", jobs.WAYS)
def test_a_network_does_its_way(way: str) -> None:
    action, bits = jobs.make(f"net {way} deepjscc 2 32 48")
    done = action()
    assert bits == 2 * 3 * 32 * 48 * 8
    if way == "encode":
        assert done.symbols.shape == (2, 3 * 32 * 48 // 6)
    else:
        images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        assert done.image.shape == images.shape
        # What comes back is about what `zoo.load` shows of its own symbols: the noise that the job adds has 10 dB.
        codec = zoo.load("deepjscc", ratio=1 / 6)
        symbols = codec.encode(images, 0.1).symbols
        noiseless = codec.decode(Received(symbols, torch.full(symbols.shape, 0.1), image_shape=(3, 32, 48)))
        assert 0 < float((done.image - noiseless.image).square().mean()) < 0.01


def test_every_network_and_size_is_a_job() -> None:
    names = [name for name in jobs.NAMES if name.startswith("net ")]
    assert len(names) == len(set(names)) == len(jobs.NETWORKS) * len(jobs.IMAGES) * len(jobs.WAYS)
    assert "net decode swin 1 512 768" in names
