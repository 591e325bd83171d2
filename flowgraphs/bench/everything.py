"""Speed on this machine: a default comparison, a whole test set, the codecs, decoders, channels and networks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from semlink.baselines.separate import SeparateCodec
from semlink.flowgraphs.bench.channels import measure_channels, print_channels
from semlink.flowgraphs.bench.codes import measure_decoders, print_decoders
from semlink.flowgraphs.bench.neural import measure_neural, print_neural
from semlink.flowgraphs.bench.studies import measure_studies, print_studies
from semlink.flowgraphs.bench.timing import Measurement, one_by_one, print_measurements, seconds
from semlink.flowgraphs.comparison import make_console
from semlink.neural import zoo
from semlink.phy.channels import AWGN
from semlink.phy.documents import write_whole
from semlink.phy.link import Codec, Link
from semlink.phy.sources import data_folder, sample_images

ESNO_DB = 10.0


def run_bench(*, as_json: bool, out: Path | None) -> None:
    """`semlink bench`: everything, decoders, channels, networks and studies included; a quarter of an hour."""
    results = [one for job in one_by_one([_comparison, _links], named=_words) for one in job()]
    studies: list[Measurement] = []
    folder = data_folder()
    if folder is None or not (folder / "cifar10").is_dir():
        make_console(stderr=True).print("left out: CIFAR-10's test set; set SEMLINK_DATA", soft_wrap=True)
    else:
        results += [one for count in one_by_one([1000, 10_000], named="cifar10:{}".format) for one in _cifar10(count)]
        studies = measure_studies(10_000, 2000)
    decoders, channels, networks = measure_decoders(), measure_channels(), measure_neural()
    report = {
        "threads": torch.get_num_threads(),
        "measurements": [asdict(result) for result in results],
        "studies": [asdict(result) for result in studies],
        "decoders": [asdict(decoder) for decoder in decoders],
        "channels": [asdict(channel) for channel in channels],
        "neural": [asdict(network) for network in networks],
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, json.dumps(report, indent=2) + "\n")
    if as_json:
        print(json.dumps(report, indent=2))
        return
    print_measurements(f"PyTorch on {torch.get_num_threads()} threads", results)
    if studies:
        print_studies(studies)
    print_decoders(decoders)
    print_channels(channels)
    print_neural(networks)


def _words(job: Callable[[], list[Measurement]]) -> str:
    return "the default comparison" if job is _comparison else "the links"


def _comparison() -> list[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "semlink.flowgraphs", "compare", "--out", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return [Measurement("`semlink compare` with its defaults, process and all", time.perf_counter() - start, "s")]


def _cifar10(images: int) -> list[Measurement]:
    """The digital link on CIFAR-10's test set, as a process of its own: its time and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"cifar10:{images}", "--codec", "jpeg-ldpc-qam", "--out", folder]
        program = (
            f"import sys; sys.argv = ['semlink', 'compare', *{words!r}]; from semlink.flowgraphs.cli import main\n"
        )
        program += "try:\n    main()\nfinally:\n    import resource\n"
        program += "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        taken = time.perf_counter() - start
    what = f"`semlink compare cifar10:{images} --codec jpeg-ldpc-qam`, 11 Es/N0"
    peak = int(done.stdout.split()[-1]) / 1e6
    return [Measurement(what, taken, "s"), Measurement(f"{what}, peak memory", peak, "GB")]


def _links() -> list[Measurement]:
    codecs: dict[str, Codec] = {"deepjscc": zoo.load("deepjscc"), "jpeg-ldpc-qam, 16qam-1/2": SeparateCodec()}
    image = sample_images()
    megapixels = image.shape[0] * image.shape[2] * image.shape[3] / 1e6
    results = []
    for name, codec in codecs.items():
        link = Link(codec, AWGN())
        taken = seconds(partial(_send, link, image))
        what = f"{name} over AWGN at {ESNO_DB:g} dB, encode and decode"
        results.append(Measurement(what, megapixels / taken, "Mpixel/s"))
    return results


def _send(link: Link, image: Tensor) -> None:
    link(image, ESNO_DB, rng=torch.Generator().manual_seed(0))
