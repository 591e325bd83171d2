"""The flowgraphs under real GNU Radio, in the system's Python; images through a real worker."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

RADIO = Path(__file__).parents[3] / "flowgraphs" / "radio"
EXAMPLES = sorted((RADIO / "examples").glob("*.grc"))


# Flowgraphs


@pytest.fixture
def compile_flowgraph(radio_environment: dict[str, str]) -> Callable[..., Path]:
    def build(path: Path, folder: Path) -> Path:
        done = subprocess.run(
            ["grcc", "-o", str(folder), str(path)], capture_output=True, text=True, env=radio_environment, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / f"{path.stem}.py"

    return build


@pytest.fixture
def run_flowgraph(radio_python: str, radio_environment: dict[str, str]) -> Callable[..., str]:
    """Run it until something holds, then end it as a user does; what it has said."""

    def watch(path: Path, *words: str, until: Callable[[], bool], seconds: float = 300) -> str:
        process = subprocess.Popen(
            [radio_python, "-u", str(path), *words], text=True, env=radio_environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        end = time.monotonic() + seconds
        while process.poll() is None and not until() and time.monotonic() < end:
            time.sleep(0.2)
        early = process.poll()
        if early is None:
            process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=120)
        assert early is None, said
        return said

    return watch


def read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of the packaged images, that quick tests may send them."""
    from semlink.flowgraphs.radio.image_files import find_pictures, load_picture, save_picture

    folder = tmp_path_factory.mktemp("images")
    for path in find_pictures("samples"):
        save_picture(folder / path.name, load_picture(path, (128, 96)))
    return folder


def symbol_level_psnr_db(images: Path, codec: str, esno_db: float) -> dict[str, float]:
    """PSNR of images over white noise, by the link of `semlink compare`, over four draws of noise."""
    from semlink.neural import zoo
    from semlink.phy import metrics, sources
    from semlink.phy.channels import AWGN
    from semlink.phy.link import Link

    link, found = Link(zoo.load(codec, ratio=1 / 6), AWGN()), {}
    for path in sources.find_images(images):
        copies = sources.load_image(path).expand(4, -1, -1, -1)
        received = link(copies, esno_db, rng=torch.Generator().manual_seed(1)).image
        found[path.stem] = metrics.psnr(received, copies)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "loss_db"), [("loopback_single_carrier", 0.7), ("loopback_ofdm", 2.5)])
def test_an_image_is_as_good_as_the_symbol_level_says(
    name: str,
    loss_db: float,
    worker: str,
    images: Path,
    tmp_path: Path,
    compile_flowgraph: Callable[..., Path],
    run_flowgraph: Callable[..., str],
) -> None:
    """At 20 dB with 20 ppm, a phase, a delay, and 4e-3 cycles per symbol or 0.2 carriers; OFDM has echoes as well."""
    script, log = compile_flowgraph(RADIO / "examples" / f"{name}.grc", tmp_path), tmp_path / "log.jsonl"
    words = ("--worker", worker, "--images", str(images), "--log", str(log), "--folder", str(tmp_path / "received"))
    said = run_flowgraph(script, *words, until=lambda: len(read_log(log)) >= 6)
    expected_db = symbol_level_psnr_db(images, "swin", 20)
    told = read_log(log)[:6]
    assert [one["name"] for one in told] == ["astronaut", "chelsea", "coffee"] * 2, said
    for one in told:
        assert (one["failed"], one["lost"], one["codec"]) == (False, 0, "swin")
        assert expected_db[one["name"]] - loss_db < one["psnr_db"] < expected_db[one["name"]] + 0.3
    assert len(list((tmp_path / "received").glob("*.png"))) >= 6


@pytest.mark.slow
def test_an_image_hidden_by_a_friendly_jammer(
    worker: str, images: Path, tmp_path: Path, compile_flowgraph: Callable[..., Path], run_flowgraph: Callable[..., str]
) -> None:
    """Jamming of 0 to 0.1 of a symbol's energy beside noise of 0.01: as good as at 20 to 9.6 dB."""
    script = compile_flowgraph(RADIO / "examples" / "covert_loopback.grc", tmp_path)
    log, words = tmp_path / "log.jsonl", ("--worker", worker, "--images", str(images))
    said = run_flowgraph(script, *words, "--log", str(log), until=lambda: len(read_log(log)) >= 6)
    best, worst = (symbol_level_psnr_db(images, "swin", level) for level in (20, 9.5))
    told = read_log(log)[:6]
    assert len(told) == 6, said
    for one in told:
        assert (one["failed"], one["lost"]) == (False, 0)
        assert worst[one["name"]] - 1 < one["psnr_db"] < best[one["name"]] + 0.3
    loss_db = [best[one["name"]] - one["psnr_db"] for one in told]
    assert sum(loss_db) / len(loss_db) > 1


@pytest.mark.slow
def test_classical_and_semantic_side_by_side(
    worker: str, images: Path, tmp_path: Path, compile_flowgraph: Callable[..., Path], run_flowgraph: Callable[..., str]
) -> None:
    """Where the transmitters expect less noise than there is, one fails and the other fades."""
    script = compile_flowgraph(RADIO / "examples" / "side_by_side.grc", tmp_path)
    code = script.read_text()
    assert "self.channel.set_esno_db(self.esno_db)" in code  # what the slider does
    for noise_db in (14, 6):
        log = tmp_path / f"log{noise_db}.jsonl"
        bent = tmp_path / f"at{noise_db}.py"
        bent.write_text(code.replace("self.esno_db = esno_db = expected_db", f"self.esno_db = esno_db = {noise_db}"))
        assert bent.read_text() != code
        words = ("--worker", worker, "--images", str(images), "--log", str(log))

        def both(log: Path = log) -> bool:
            return {one["label"] for one in read_log(log) if one["sequence"] == 0} == {"semantic", "classical"}

        run_flowgraph(bent, *words, until=both)
    logs = (read_log(tmp_path / f"log{db}.jsonl") for db in (14, 6))
    near, far = ({one["label"]: one for one in log if one["sequence"] == 0} for log in logs)
    assert not near["classical"]["failed"]
    assert near["classical"]["psnr_db"] > 25
    assert far["classical"]["failed"]
    assert far["classical"]["psnr_db"] < 20
    assert not far["semantic"]["failed"]
    assert 22 < far["semantic"]["psnr_db"] < near["semantic"]["psnr_db"] - 1


@pytest.mark.slow
def test_record_then_replay(
    worker: str, images: Path, tmp_path: Path, compile_flowgraph: Callable[..., Path], run_flowgraph: Callable[..., str]
) -> None:
    record, replay = (compile_flowgraph(RADIO / "examples" / f"{name}.grc", tmp_path) for name in ("record", "replay"))
    path, sent, log = (tmp_path / name for name in ("a.sigmf-meta", "sent.jsonl", "log.jsonl"))
    words = ("--worker", worker, "--path", str(path))
    run_flowgraph(
        record,
        *words,
        "--images",
        str(images),
        "--count",
        "2",
        "--log",
        str(sent),
        until=lambda: len(read_log(sent)) >= 2,
    )
    assert path.exists()
    words = (*words, "--log", str(log), "--folder", str(tmp_path / "received"))
    said = run_flowgraph(replay, *words, until=lambda: len(read_log(log)) >= 2)
    assert [one["sequence"] for one in read_log(log)] == [0, 1], said
    assert len(list((tmp_path / "received").glob("*.png"))) == 2


NO_DEVICE = (
    "No devices found",  # UHD
    "Unable to create context",  # libiio
    "Failed to make connection",  # LimeSDR
    "No RTL-SDR devices found",
    "SoapySDR::Device::make() no match",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES if path.stem.startswith(("transmit", "receive"))])
def test_a_flowgraph_of_a_radio_starts_as_far_as_the_radio(
    name: str,
    tmp_path: Path,
    radio_python: str,
    radio_environment: dict[str, str],
    compile_flowgraph: Callable[..., Path],
) -> None:
    """Without a device, the only fault is GNU Radio's own that there is none."""
    script = compile_flowgraph(RADIO / "examples" / f"{name}.grc", tmp_path)
    done = subprocess.run(
        [radio_python, str(script)],
        capture_output=True,
        text=True,
        env=radio_environment,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    last = done.stderr.strip().splitlines()[-3:]
    assert done.returncode == 1
    assert "RuntimeError" in " ".join(last), done.stderr
    assert any(word in done.stderr for word in NO_DEVICE), done.stderr


def test_every_example_has_its_picture() -> None:
    assert len(EXAMPLES) == 13
    for path in EXAMPLES:
        picture = RADIO / "pictures" / f"{path.stem}.png"
        assert 1000 < picture.stat().st_size < 80_000
