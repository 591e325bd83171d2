"""A class instead of an image out of the service: task codec, labels, and teachers behind codecs of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.protocol import (
    EncodedImage,
    Pdu,
    carry_request,
    decode_request,
    pack,
    read_carried,
    read_classified,
    read_decoded,
    shown_reply,
    unpack,
)
from semlink.flowgraphs.service import Service
from semlink.neural.classifiers import LabelCodec, load_task, load_teacher
from semlink.phy.channels import AWGN
from semlink.phy.link import Received, esno_to_n0
from semlink.phy.sources import CIFAR10_CLASSES, cifar10, cifar10_labels

ESNO_DB = 10.0


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    one = Service(threads=1, channel=AWGN(), cache_bytes=1 << 20)
    yield one
    one.close()


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    return list(to_uint8(cifar10("test")[:6]))


def arrived(sent: EncodedImage, receiver: str = "") -> Pdu:
    n0, n = esno_to_n0(ESNO_DB), len(sent.symbols)
    noise = np.random.default_rng(0).standard_normal((n, 2)) @ [1, 1j] * np.sqrt(n0 / 2)
    return decode_request(sent.header, sent.symbols + noise, np.full(n, n0), receiver=receiver)


@pytest.mark.parametrize(("codec", "uses"), [("task", 32), ("label:tiniest", 32)])
def test_the_class_is_the_codecs_own(service: Service, images: list[NDArray[np.uint8]], codec: str, uses: int) -> None:
    """In one batch as in a reply of its own, whatever is sent within the budget of channel uses."""
    sent = [service.encode(image, codec=codec, ratio=1 / 6, esno_db=ESNO_DB) for image in images]
    assert {one.header.symbols for one in sent} == {uses}
    requests = [arrived(one) for one in sent]
    got = [read_classified(unpack(pack(reply))) for reply in service.handle(requests)]
    link = load_task("task") if codec == "task" else LabelCodec(load_teacher("tiniest"))
    symbols = torch.from_numpy(np.stack([one.arrays["symbols"] for one in requests]))
    logits = link.decode(Received(symbols, torch.full(symbols.shape, esno_to_n0(ESNO_DB)))).image
    np.testing.assert_allclose(np.stack([one.logits for one in got]), logits.numpy(), rtol=1e-4, atol=1e-3)
    odds = logits.softmax(dim=1)
    assert [one.label for one in got] == logits.argmax(dim=1).tolist()
    assert [one.confidence for one in got] == pytest.approx(odds.amax(dim=1).tolist(), abs=1e-4)
    assert [one.name for one in got] == [CIFAR10_CLASSES[one.label] for one in got]
    assert {(one.codec, one.failed) for one in got} == {(codec, False)}
    assert (
        service.classify(sent[0].header, requests[0].arrays["symbols"], requests[0].arrays["n0"]).label == got[0].label
    )


def test_a_smaller_budget_sends_fewer_tokens(service: Service, images: list[NDArray[np.uint8]]) -> None:
    sent = service.encode(images[0], codec="task", ratio=9 / 3072, esno_db=ESNO_DB)
    assert sent.header.symbols == 8
    assert read_classified(service.handle([arrived(sent)])[0]).codec == "task"
    with pytest.raises(ValueError, match="uses=6 must be, for a task codec of 16 tokens, a multiple of 2"):
        service.encode(images[0], codec="task", ratio=7 / 3072, esno_db=ESNO_DB)
    with pytest.raises(ValueError, match="uses=4 must be at least 5: a simplex of 10 labels needs them"):
        service.encode(images[0], codec="label:tiniest", ratio=4 / 3072, esno_db=ESNO_DB)
    with pytest.raises(ValueError, match="image of 40x40 with 3 channels: a task codec takes RGB of 32x32"):
        service.encode(np.zeros((40, 40, 3), np.uint8), codec="task", ratio=1 / 6, esno_db=ESNO_DB)


def test_a_teacher_looks_at_what_another_codec_shows(service: Service, images: list[NDArray[np.uint8]]) -> None:
    sent = service.encode(images[0], codec="deepjscc", ratio=1 / 6, esno_db=ESNO_DB)
    seen, shown = service.handle([arrived(sent, "classify:tiniest"), arrived(sent)])
    got, image = read_classified(seen), read_decoded(shown).image
    assert got.codec == "deepjscc+classify:tiniest"
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    logits = load_teacher("tiniest")(pixels).logits[0]  # of levels that were rounded
    np.testing.assert_allclose(got.logits, logits.numpy(), atol=0.5)
    assert got.label == int(logits.argmax())


@pytest.mark.parametrize("codec", ["task", "deepjscc+classify:tiniest"])
def test_a_class_is_carried_and_kept(service: Service, images: list[NDArray[np.uint8]], codec: str) -> None:
    asked = [carry_request(image, codec=codec, ratio=1 / 6, esno_db=ESNO_DB) for image in images]
    first, again = service.handle(asked), service.handle(asked)
    got = [read_classified(one) for one in first]
    np.testing.assert_allclose([one.logits for one in got], [read_classified(one).logits for one in again], rtol=1e-5)
    assert [one.meta["result_hit"] for one in again] == [True] * 6
    right = sum(one.label == int(label) for one, label in zip(got, cifar10_labels("test"), strict=False))
    assert right >= 4
    with pytest.raises(ValueError, match="is missing"):
        read_carried(first[0])


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("task+classify:tiniest", "receiver classify:tiniest: takes images; task delivers a class"),
        ("deepjscc+classify:os:system", "receiver 'classify:os:system' must be one of `semlink zoo` by name"),
        ("deepjscc+classify:/etc/passwd", "or classify:tiniest|resnet20|resnet56"),
        ("label:resnet110", "codec='label:resnet110' must be one of: deepjscc"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_line(
    service: Service, images: list[NDArray[np.uint8]], codec: str, said: str
) -> None:
    reply = service.handle([carry_request(images[0], codec=codec, ratio=1 / 6, esno_db=ESNO_DB)])[0]
    assert reply.meta["op"] == "error"
    assert said in str(reply.meta["message"])
    assert "\n" not in str(reply.meta["message"])


def test_a_reply_that_tells_no_class_is_refused() -> None:
    reply = shown_reply(np.array([1.0, 3.0, 2.0], np.float32), failed=True, codec="user:48")
    got = read_classified(reply)
    assert (got.label, got.name, got.failed) == (1, "", True)
    assert got.confidence == pytest.approx(0.6652, abs=1e-4)
    for name, value in (("class", 3), ("confidence", 1.5)):
        with pytest.raises(ValueError, match="there are 3 classes"):
            read_classified(Pdu({**reply.meta, name: value}, reply.arrays))
    image = shown_reply(np.zeros((8, 8, 3), np.uint8), failed=False, codec="swin")
    with pytest.raises(ValueError, match="op='decoded' must be 'classified'"):
        read_classified(image)
