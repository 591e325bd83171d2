"""The commands of the radio side: `python -m semlink.flowgraphs.radio`, and `semlink radio`. NumPy and pyzmq alone."""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import ADDRESS, WorkerClient, WorkerError
from semlink.flowgraphs.radio.carrier_reach import FREQUENCY_HZ, RATE_HZ, check_offset, describe_reach, reach_help
from semlink.flowgraphs.radio.errands import IN_PROCESS, TIMEOUT_S, keys_of
from semlink.flowgraphs.radio.image_files import (
    SAMPLES,
    describe,
    file_name,
    find_pictures,
    load_picture,
    parse_size,
    save_picture,
    squared_error,
    to_json,
    to_psnr_db,
)
from semlink.flowgraphs.radio.line import Line, parse_taps, to_n0
from semlink.flowgraphs.radio.stations import HeardFrame, describe_frame
from semlink.flowgraphs.radio.terminals import (
    AIR,
    FileTransmitter,
    Receiver,
    SimReceiver,
    SimTransmitter,
    Transmitter,
    file_receiver,
)
from semlink.phy.waveform import Loopback, OfdmWaveform, Seen, SingleCarrier, Waveform

RADIOS = ("sim", "file", "uhd", "pluto", "soapy")
_REASONS = 16
"""For which frames could not be decoded, that are told one by one."""
_LONGEST = 200
"""Characters of each."""


def grc_path() -> str:
    """The folder of the `.block.yml`, for GRC_BLOCKS_PATH."""
    return str(resources.files("semlink.flowgraphs.radio") / "grc")


def examples_path() -> str:
    """The folder of the flowgraphs."""
    return str(resources.files("semlink.flowgraphs.radio") / "examples")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. What is refused or cannot be had is one line and exit status 2."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # what follows the message is not of interest
    try:
        run(sys.argv[1:] if arguments is None else arguments, name="python -m semlink.flowgraphs.radio")
    except KeyboardInterrupt:
        print("semlink: interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"semlink: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"semlink: warning: {message}", file=sys.stderr)


def run(arguments: Sequence[str], *, name: str) -> None:
    """Run a command.

    Args:
        arguments: as of a command line.
        name: of the program, for its help.

    Raises:
        ValueError: a value that is refused, a worker that refuses or is away, or a radio that is not there.
        OSError: a file that cannot be had.
    """
    options = _parser(name).parse_args(arguments)
    try:
        options.command(options)
    except (RuntimeError, ImportError) as error:  # of the worker, of a radio, or of a GNU Radio without that radio
        raise ValueError(str(error)) from error


def transmit(options: argparse.Namespace) -> None:
    """Images to a file, a simulated link or a radio."""
    size, paths = parse_size(options.size), find_pictures(";".join(options.images))
    coder = _open_coder(options.worker, options.keys)
    transmitter, whole, symbols = _open_transmitter(options), False, 0
    try:
        for number, path in enumerate(paths * options.repeat):
            image = load_picture(path, size)
            encoded = coder.encode(image, codec=options.codec, ratio=_to_ratio(options.ratio), esno_db=options.esno)
            header = replace(encoded.header, sender=options.sender, sequence=number % 256)
            transmitter.send(header, encoded.symbols)
            height, width, _ = image.shape
            said = f"sent: {path.stem} {number % 256}, {width}x{height}, {options.codec}, {header.symbols} symbols"
            print(said, flush=True)
            symbols += header.symbols
        whole = True
    finally:
        transmitter.close(whole=whole)
    where = {"sim": options.air, "file": options.file}.get(options.radio, options.radio)
    _tell(f"{len(paths) * options.repeat} images in {symbols} symbols went to {where}")


def _tell(words: str) -> None:
    print(f"semlink: {words}", file=sys.stderr, flush=True)


def receive(options: argparse.Namespace) -> None:
    """Images from a file, a simulated link or a radio."""
    size = parse_size(options.size)
    paths = find_pictures(options.reference) if options.reference else []
    references = [(path.stem, load_picture(path, size)) for path in paths]
    album = _Album(options.out, references, as_json=options.json)
    coder = _open_coder(options.worker, options.keys)
    receiver = _open_receiver(options)
    end, ended = time.monotonic() + options.seconds, False
    try:
        for frame in receiver.frames():
            if frame is not None:
                _decode(coder, frame, album)
            if (options.count and album.count >= options.count) or time.monotonic() > end:
                break
        ended = True
    finally:
        receiver.close()
        seen = replace(receiver.seen(), images=album.count, undecoded=dict(album.undecoded))
        if album.count or options.json or not ended:
            album.close(seen)
    if not album.count:
        raise ValueError(f"radio {options.radio}: no image was received: {seen.line()}")


def _decode(coder: Any, frame: HeardFrame, album: _Album) -> None:  # noqa: ANN401 - the worker's client or the service
    try:
        decoded = coder.decode(frame.header, frame.symbols, frame.n0)
    except (WorkerError, ValueError) as error:  # a codec that is not there, say: others may follow
        why = " ".join(str(error).split())[:_LONGEST]
        known = len(album.undecoded) < _REASONS or why in album.undecoded
        album.undecoded[why if known else "other reasons"] += 1
        print(f"semlink: {error}", file=sys.stderr)
    else:
        album.add(frame, decoded)


class _Album:
    """Received images: each is written, and told of in a line; at the end, what was seen of the stream."""

    def __init__(self, folder: str, references: list[tuple[str, NDArray[np.uint8]]], *, as_json: bool) -> None:
        self.folder, self.references, self.as_json = Path(folder), references, as_json
        self.count = 0
        self.undecoded: Counter[str] = Counter()

    def close(self, seen: Seen) -> None:
        """Tell what was seen."""
        told = to_json({"label": "seen", **seen.as_data()}) if self.as_json else f"seen: {seen.line()}"
        print(told, flush=True)

    def add(self, frame: HeardFrame, decoded: Any) -> None:  # noqa: ANN401 - of the worker or the service
        self.count += 1
        height, width, _ = decoded.image.shape
        name, psnr_db = self._closest(decoded.image)
        path = self.folder / file_name(self.count, name, frame.header.transmission)
        save_picture(path, decoded.image)
        told = {**describe_frame(frame), "height": height, "width": width, "psnr_db": psnr_db, "label": "received"}
        told |= {"codec": decoded.codec, "failed": decoded.failed, "name": name, "path": str(path)}
        print(to_json(told) if self.as_json else describe(told), flush=True)

    def _closest(self, image: NDArray[np.uint8]) -> tuple[str, float]:
        """The reference that was most likely sent, and the PSNR to it; NaN without any."""
        found = [(squared_error(image, reference), name) for name, reference in self.references]
        error, name = min(found, default=(float("nan"), ""))
        return (name, to_psnr_db(error)) if np.isfinite(error) else ("", float("nan"))


def _open_coder(address: str, keys: str = "") -> Any:  # noqa: ANN401 - the worker's client or the service itself
    if address != IN_PROCESS:
        return WorkerClient(address, timeout_s=TIMEOUT_S, keys=keys_of(keys))
    try:
        from semlink.flowgraphs.service import Service
    except ImportError as error:
        raise ValueError(f"--worker {IN_PROCESS} needs PyTorch in this Python: {error}") from error
    return Service()


def _open_transmitter(options: argparse.Namespace) -> Transmitter:
    waveform = _waveform(options)
    if options.radio == "sim":
        return SimTransmitter(options.air, waveform, seed=options.seed, tell=_tell)
    if options.radio == "file":
        tuning = {"rate_hz": options.rate, "carrier_hz": options.frequency}
        return FileTransmitter(options.file, waveform, seed=options.seed, **tuning)
    radios = _radios()
    sink = radios.open_sink(options.radio, **_tuning(options))
    transmitter: Transmitter = radios.RadioTransmitter(
        sink, waveform=options.waveform, sps=options.sps, rate=options.rate, seed=options.seed
    )
    return transmitter


def _open_receiver(options: argparse.Namespace) -> Receiver:
    waveform = _waveform(options)
    if options.radio == "sim":
        lasting = math.isfinite(options.seconds)
        return SimReceiver(options.air, waveform, _line(options), lasting=lasting, tell=_tell)
    if options.radio == "file":
        return file_receiver(options.file, waveform, _line(options) if options.esno is not None else None)
    radios = _radios()
    source = radios.open_source(options.radio, **_tuning(options))
    receiver: Receiver = radios.RadioReceiver(source, waveform=options.waveform, sps=options.sps, rate=options.rate)
    there = describe_reach(waveform.reach, rate_hz=options.rate, carrier_hz=options.frequency)
    _tell(f"listening; oscillators may be apart by {there}")
    return receiver


def _radios() -> ModuleType:
    try:
        from semlink.flowgraphs.radio import radios
    except ImportError as error:
        raise ValueError(f"a radio needs a Python that has GNU Radio, such as /usr/bin/python3: {error}") from error
    return radios


def _waveform(options: argparse.Namespace) -> Waveform:
    return OfdmWaveform() if options.waveform == "ofdm" else SingleCarrier(options.sps)


def _line(options: argparse.Namespace) -> Line:
    check_offset(options.cfo, _waveform(options), rate_hz=options.rate, carrier_hz=options.frequency)
    loopback = Loopback(
        n0=to_n0(20.0 if options.esno is None else options.esno),
        cfo=options.cfo,
        ppm=options.ppm,
        taps=parse_taps(options.taps),
    )
    return Line(loopback, seed=options.seed)


def _tuning(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("device", "frequency", "rate", "gain")}


def _to_ratio(text: str) -> float:
    numerator, _, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"ratio={text!r} must be a number such as 1/6 or 0.17") from None


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name, description="Images over the air, over files and over a simulated link."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    paths: dict[str, tuple[Callable[[], str], str]] = {
        "grc-path": (grc_path, "print the folder of the blocks, for GRC_BLOCKS_PATH"),
        "examples-path": (examples_path, "print the folder of the flowgraphs"),
    }
    for word, (path, text) in paths.items():
        commands.add_parser(word, help=text).set_defaults(command=lambda _, path=path: print(path()))
    sending = commands.add_parser(
        "transmit", help="send images", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    sending.add_argument("images", nargs="+", metavar="IMAGE", help=f"files and folders, or {SAMPLES}")
    _add_link(sending)
    sending.add_argument("--codec", default="swin", help="such as swin or jpeg-ldpc-qam:adaptive")
    sending.add_argument("--ratio", default="1/6", help="complex channel uses per image value")
    sending.add_argument("--esno", type=float, default=10.0, help="what the channel is taken for, in dB")
    sending.add_argument("--sender", type=int, default=0, help="number of this transmitter")
    sending.add_argument("--repeat", type=int, default=1, help="how often all images are sent")
    told = "of the number by which receivers tell this transmission from others; -1: another every time"
    sending.add_argument("--seed", type=int, default=-1, help=told)
    sending.set_defaults(command=transmit)
    hearing = commands.add_parser(
        "receive",
        help="receive images",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog=reach_help(),
    )
    _add_link(hearing)
    hearing.add_argument("--out", default="received", help="folder for the images")
    hearing.add_argument("--reference", help="images that were sent, between semicolons, for the PSNR to the closest")
    hearing.add_argument("--count", type=int, default=0, help="end after so many images; 0: when there are no more")
    told = "listen for so long, to whoever sends; of sim, without, until every transmitter at --air has ended"
    hearing.add_argument("--seconds", type=float, default=float("inf"), help=told)
    hearing.add_argument("--json", action="store_true", help="a line of JSON for each image, and one for what was seen")
    _add_line(hearing)
    hearing.set_defaults(command=receive)
    return parser


def _add_link(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--radio", choices=RADIOS, default="sim", help="what carries the samples")
    kinds = "of file: NAME.sigmf-meta or NAME.cf32; NAME.cs16, NAME.cu8 and more are read"
    parser.add_argument("--file", default="recording.sigmf-meta", help=kinds)
    told = "of sim: where the transmitter's samples are to be had; of receive, of several between commas"
    parser.add_argument("--air", default=AIR, help=told)
    parser.add_argument("--device", default="", help="UHD's arguments, Pluto's URI, or SoapySDR's driver")
    parser.add_argument("--frequency", type=float, default=FREQUENCY_HZ, help="carrier in Hz")
    parser.add_argument("--rate", type=float, default=RATE_HZ, help="samples per second")
    parser.add_argument("--gain", type=float, default=30.0, help="of the radio in dB")
    parser.add_argument("--waveform", choices=("sc", "ofdm"), default="sc", help="single carrier or OFDM")
    parser.add_argument("--sps", type=int, default=4, help="samples per symbol of a single carrier")
    parser.add_argument("--size", default="", help="WIDTHxHEIGHT to which images are cut and scaled")
    here = all(map(find_spec, ("torch", "jaxtyping")))  # beside GNU Radio they are not
    parser.add_argument(
        "--worker", default=IN_PROCESS if here else ADDRESS, help=f"address of `semlink worker`, or {IN_PROCESS}"
    )
    parser.add_argument("--keys", default="", help="file of `semlink keys` for a user, of a worker that asks for keys")


def _add_line(parser: argparse.ArgumentParser) -> None:
    line = parser.add_argument_group("the simulated channel", "of sim, and of file where --esno is given")
    line.add_argument("--esno", type=float, help="Es/N0 in dB; 20 for sim")
    line.add_argument("--cfo", type=float, default=0.0, help="carrier offset in cycles per sample")
    line.add_argument("--ppm", type=float, default=0.0, help="clock offset in parts per million")
    line.add_argument("--taps", default="1", help="impulse response: numbers between commas")
    line.add_argument("--seed", type=int, default=0, help="of the noise")
