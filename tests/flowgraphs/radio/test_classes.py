"""A class and its confidence out of a flowgraph, beside a picture."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.bench.radio import worker_process
from semlink.neural.classifiers import load_teacher
from semlink.phy.sources import CIFAR10_CLASSES, cifar10, cifar10_labels

RADIO = Path(__file__).parents[3] / "flowgraphs" / "radio"


@pytest.fixture(scope="module")
def task_worker(radio_python: str) -> Iterator[str]:
    with worker_process(["--threads=1", "--codec=task", "--codec=deepjscc+classify:tiniest"]) as where:
        yield where


def test_a_class_and_a_picture_come_out_of_one_decoder(
    task_worker: str, tmp_path: Path, run_radio: Callable[..., Any]
) -> None:
    """At 3 dB on the samples, where every header is read; a second decoder has a teacher look at the picture."""
    pixels = to_uint8(cifar10("test")[:6])
    np.save(tmp_path / "images.npy", pixels)
    classes, pictures, judged, log = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import *
        from semlink.flowgraphs.radio.pmt_pdus import from_pdu, image_of, image_pdu
        address = {task_worker!r}
        picture = jscc_encoder(codec="deepjscc", esno_db=3, address=address, queue=16)
        task = jscc_encoder(codec="task", esno_db=3, address=address, sender=1, queue=16)
        decoder, judge = jscc_decoder(address=address), jscc_decoder(address=address, receiver="classify:tiniest")
        shown, told, seen = Probe(), Probe(), Probe()
        sink = class_sink(label="task", log={str(tmp_path / "log.jsonl")!r})
        tx, rx, line = burst_tx(idle=False, queue=16), burst_rx(), loopback_channel(esno_db=3)
        top = gr.top_block()
        top.connect(tx, line, rx)
        for one in (picture, task):
            top.msg_connect(one, "frames", tx, "frames")
        for one in (decoder, judge):
            top.msg_connect(rx, "frames", one, "frames")
        top.msg_connect(decoder, "images", shown, "in")
        top.msg_connect(decoder, "classes", told, "in")
        top.msg_connect(decoder, "classes", sink, "classes")
        top.msg_connect(judge, "classes", seen, "in")
        top.start()
        for message in (pmt.PMT_NIL, pmt.cons(pmt.to_pmt({{"codec": 1}}), pmt.init_f32vector(1, [1.0]))):
            post(sink, "classes", message)  # which it outlives
        for i, image in enumerate(np.load({str(tmp_path / "images.npy")!r})):
            for one in (picture, task):
                post(one, "images", image_pdu(image, dict(sequence=i)))
        wait(lambda: len(shown.got) == len(told.got) == len(seen.got) == 6 and sink.received == 6)
        top.stop(); top.wait()
        classes = [from_pdu(one) for one in told.got]
        print(json.dumps([[[meta, logits.tolist()] for meta, logits in classes],
                          [[image_of(one)[0]["sequence"], image_of(one)[1].tolist()] for one in shown.got],
                          [from_pdu(one)[0] for one in seen.got],
                          [json.loads(line) for line in open({str(tmp_path / "log.jsonl")!r})]]))
    """)
    labels = cifar10_labels("test").tolist()
    assert sorted(meta["sequence"] for meta, _ in classes) == [0, 1, 2, 3, 4, 5]
    for meta, logits in classes:
        odds = np.exp(np.array(logits) - max(logits))
        assert meta["class"] == int(np.argmax(logits))
        assert meta["confidence"] == pytest.approx(odds.max() / odds.sum(), abs=1e-5)
        assert (meta["name"], meta["codec"]) == (CIFAR10_CLASSES[meta["class"]], "task")
        assert abs(meta["esno_db"] - 3) < 3
    assert sum(meta["class"] == labels[meta["sequence"]] for meta, _ in classes) >= 4
    assert [one["class"] for one in log] == [meta["class"] for meta, _ in classes]
    assert {one["label"] for one in log} == {"task"}
    shown = {sequence: np.array(image, np.uint8) for sequence, image in pictures}
    teacher, here = load_teacher("tiniest"), {meta["sequence"]: meta for meta in judged}
    assert {meta["codec"] for meta in judged} == {"deepjscc+classify:tiniest"}
    from torch import from_numpy

    images = from_numpy(np.stack([shown[i] for i in range(6)])).permute(0, 3, 1, 2).float() / 255
    assert [here[i]["class"] for i in range(6)] == teacher(images).logits.argmax(dim=1).tolist()


@pytest.mark.slow
def test_the_example_runs_both_links_at_0_db(
    task_worker: str, tmp_path: Path, radio_python: str, radio_environment: dict[str, str]
) -> None:
    path, log = RADIO / "examples" / "picture_and_task.grc", tmp_path / "log.jsonl"
    done = subprocess.run(
        ["grcc", "-o", str(tmp_path), str(path)], capture_output=True, text=True, env=radio_environment, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = ("--worker", task_worker, "--codec", "deepjscc", "--log", str(log), "--interval", "0.5")
    process = subprocess.Popen(
        [radio_python, "-u", str(tmp_path / f"{path.stem}.py"), *words], env=radio_environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def both() -> bool:
        labels = [one["label"] for one in told()]
        return min(labels.count("picture"), labels.count("task")) >= 3

    end = time.monotonic() + 300
    while process.poll() is None and not both() and time.monotonic() < end:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert both(), said
    for one in told():
        assert abs(one["esno_db"]) < 3
        assert not one["failed"]
        if one["label"] == "task":
            assert one["name"] in CIFAR10_CLASSES
            assert 0.1 < one["confidence"] <= 1
        else:
            assert one["psnr_db"] > 12
