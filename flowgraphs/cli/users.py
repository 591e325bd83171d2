"""`semlink user`, `semlink load` and `semlink keys`: who asks a service to carry images, and may."""

from __future__ import annotations

import json
import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from semlink.flowgraphs.protocol import (
    Keys,
    Pdu,
    Told,
    Users,
    WorkerClient,
    WorkerLockedError,
    carry_request,
    make_keys,
    read_carried,
    read_keys,
    with_deadline,
)
from semlink.phy.documents import written_whole
from semlink.phy.pictures import find_images, read_levels

Image = NDArray[np.uint8]
MOST = 256
"""Requests of a user without an answer, at most."""


def parse_rate(text: str | None) -> float | None:
    """Requests a second from "5/s", "90/min" or "5"; None for one after another.

    Raises:
        ValueError: none of these, or no positive number.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(/s|/min)?\s*", text)
    rate = float(match[1]) / (60 if match[2] == "/min" else 1) if match else 0.0
    if not 1e-6 <= rate <= 1e6:
        raise ValueError(f"--rate {text!r} must be requests a second, such as 5/s, or 90/min")
    return rate


def read_folder(folder: Path, side: int | None) -> list[tuple[str, Image]]:
    """The images of a folder as 8-bit levels, by name; with `side`, squares of so many pixels from their middles.

    Raises:
        ValueError: no folder, no images, or one that cannot be read or is smaller.
    """
    if not folder.is_dir():
        raise ValueError(f"--images {folder}: no such folder")
    found = [(path.stem, read_levels(path)) for path in find_images(folder)]
    if not found:
        raise ValueError(f"--images {folder}: no images in it")
    return [(name, _middle(name, image, side)) for name, image in found]


def run_user(
    *,
    service: str,
    images: Path,
    rate: str | None,
    count: int | None,
    codec: str,
    esno_db: float,
    ratio: float,
    side: int | None,
    deadline_ms: float | None,
    seed: int,
    out: Path | None,
    keys: Path | None = None,
) -> int:
    """`semlink user`: images of a folder, one after another or at random times, until they are through.

    Raises:
        ValueError: an option that cannot be, or a service that does not let in who has these keys, or none.
    """
    rate_hz, pictures = parse_rate(rate), read_folder(images, side)
    own = None if keys is None else read_keys(keys)
    if count is not None and count < 1:
        raise ValueError(f"--count {count} must be 1 or more")
    _check_deadline(deadline_ms)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pauses = None if rate_hz is None else _pauses(rate_hz, seed)
    told, begin = Told(), time.perf_counter()

    def asked(number: int) -> tuple[str, Pdu]:
        again, i = divmod(number, len(pictures))
        name, image = pictures[i]
        pdu = carry_request(image, codec=codec, ratio=ratio, esno_db=esno_db, realisation=again)
        return f"{number:05d}-{name}", pdu if deadline_ms is None else with_deadline(pdu, deadline_ms)

    show = partial(_show, told, out)
    with WorkerClient(service, timeout_s=30.0, most=MOST, keys=own) as client, suppress(KeyboardInterrupt):
        _send(client, map(asked, range(count or len(pictures))), pauses, show)
    told.seconds = time.perf_counter() - begin
    median = f", {told.percentile_ms(50):.1f} ms median" if told.latencies_s else ""
    print(
        f"semlink user: {len(told.latencies_s)} received, {sum(told.refusals.values())} refused, {told.failed} failed; "
        f"{told.rate_hz:.2f} images/s{median}"
    )
    return 0 if told.latencies_s else 1


def _check_deadline(deadline_ms: float | None) -> None:
    if deadline_ms is not None and not 0 < deadline_ms < math.inf:
        raise ValueError(f"--deadline-ms {deadline_ms:g} must be above 0: milliseconds, and finite")


def _pauses(rate_hz: float, seed: int) -> Iterator[float]:
    """Seconds from one event to the next of a Poisson process."""
    rng = np.random.default_rng(seed)
    while True:
        yield float(rng.exponential(1 / rate_hz))


def _send(
    client: WorkerClient,
    requests: Iterator[tuple[str, Pdu]],
    pauses: Iterator[float] | None,
    show: Callable[[Pdu, str, float], object],
) -> None:
    """Send requests, each with a name, and show what is answered, until they are through.

    Args:
        client: of the service.
        requests: in turn.
        pauses: seconds from each to the next; None to send one when the last is answered.
        show: is given an answer, the name of its request, and when that was sent.

    Raises:
        ValueError: the service does not let in this user.
    """
    waiting: dict[int, tuple[str, float]] = {}
    due, following = time.perf_counter(), next(requests, None)
    while following or waiting:
        now = time.perf_counter()
        if following and now >= due and len(waiting) < (MOST if pauses else 1):
            name, asked = following
            waiting[client.submit(asked)] = name, now
            due += next(pauses) if pauses else 0.0
            following = next(requests, None)
        answer = client.poll(max(0.0, min(0.2, due - now)) if pauses and following else 0.2)
        if answer is not None and answer.meta.get("locked"):
            raise ValueError(str(answer.meta["message"]))
        if answer is not None:
            show(answer, *waiting.pop(int(answer.meta["id"])))


def _show(told: Told, out: Path | None, answer: Pdu, name: str, sent: float) -> None:
    taken = time.perf_counter() - sent
    told.add(answer, taken)
    if answer.meta["op"] == "error":
        print(f"{name}: {answer.meta['message']}", flush=True)
        return
    got = read_carried(answer)
    hits = "".join(f", {what} from the cache" for what, hit in _hits(got.encoded_hit, got.result_hit) if hit)
    print(
        f"{name}: {'failed' if got.failed else 'received'} after {1e3 * taken:.1f} ms, {got.codec}, "
        f"{got.slot} in its slot{hits}",
        flush=True,
    )
    if out is not None:
        with written_whole(out / f"{name}.png") as partial:
            PillowImage.fromarray(got.image).save(partial)


def _hits(encoded: bool, result: bool) -> list[tuple[str, bool]]:
    return [("symbols", encoded), ("image", result)]


def run_load(
    *,
    service: str,
    users: str,
    rate: str | None,
    seconds: float,
    images: Path | None,
    distinct: int,
    side: int,
    codec: str,
    esno_db: float,
    ratio: float,
    deadline_ms: float | None,
    seed: int,
    as_json: bool,
    keys: Path | None = None,
) -> None:
    """`semlink load`.

    Raises:
        ValueError: an option that cannot be, or a service that is not there or does not let in these users.
    """
    from semlink.flowgraphs.bench import asker, load_figures, load_table, textures

    counts, rate_hz = user_counts(users), parse_rate(rate)
    if not 0.1 <= seconds <= 1e5:
        raise ValueError(f"--seconds {seconds:g} must be from 0.1 to 1e5")
    _check_deadline(deadline_ms)
    pictures = [image for _, image in read_folder(images, side)] if images else textures(distinct, side, seed)
    rows, own = [], read_all_keys(keys)
    for count in counts:
        ask = asker(pictures, count, codec=codec, ratio=ratio, esno_db=esno_db, deadline_ms=deadline_ms)
        driven = Users(service, count, ask, seed=seed, keys=own)
        try:
            rows.append(load_figures(count, driven.run(seconds, rate_hz=rate_hz)))
        except (TimeoutError, WorkerLockedError) as error:
            raise ValueError(f"--service {service}: {error}") from None
        finally:
            driven.close()
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        from semlink.flowgraphs.comparison import make_console

        make_console().print(load_table(f"{codec} at {esno_db:g} dB, {service}", rows))


def read_all_keys(path: Path | None) -> list[Keys]:
    """Those of one file, or of all in a folder, by name.

    Raises:
        ValueError: one that is none, or a folder without any.
    """
    if path is None or not path.is_dir():
        return [] if path is None else [read_keys(path)]
    found = [read_keys(one) for one in sorted(path.glob("*.json"))]
    if not found:
        raise ValueError(f"--keys {path}: no keys of users in it; such as the folder users that `semlink keys` wrote")
    return found


def run_keys(folder: Path, users: list[str]) -> None:
    """`semlink keys`: make what is not there yet, and tell of it.

    Raises:
        ValueError: a name that cannot be or is taken, or a folder of something else.
    """
    written = make_keys(folder, users)
    for path in written:
        what = "for `semlink serve --keys`, with all of the folder" if path.parent == folder else f"for {path.stem}"
        print(f"semlink keys: {path}: {what}, and nobody else")
    if not written:
        print(f"semlink keys: {folder} has the keys of a service; --user NAME makes those of a user")


def user_counts(text: str) -> list[int]:
    """Numbers of users from "1,3,16".

    Raises:
        ValueError: none of these, or one outside 1 to 256.
    """
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", text) or not all(1 <= int(one) <= 256 for one in text.split(",")):
        raise ValueError(f"--users {text!r} must be numbers from 1 to 256, such as 1,3,16")
    return [int(one) for one in text.split(",")]


def _middle(name: str, image: Image, side: int | None) -> Image:
    if side is None:
        return image
    height, width, _ = image.shape
    if min(height, width) < side:
        raise ValueError(f"image {name} of {width}x{height} pixels is smaller than --side {side}")
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])
