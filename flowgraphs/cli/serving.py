"""The commands of the service: for flowgraphs, for several users; a user, and many of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import Threads, computes

# As in app.py, heavy imports wait until a command runs.

LOCAL = "tcp://127.0.0.1:5555"

# Of what serves.
Address = Annotated[
    str,
    typer.Option(
        help="Where to listen, as ZeroMQ has it: an address of this machine alone, tcp://127.0.0.1:PORT, "
        "tcp://localhost:PORT, tcp://[::1]:PORT or ipc://FILE; port * is one that is free."
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Listen on an address that other machines reach, such as tcp://*:5555. There is no authentication "
        "and no encryption: whoever reaches it can use it and read what others send.",
    ),
]
FolderOfKeys = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        help="Folder that `semlink keys` wrote: let in those whose keys are in it alone, on whatever address, and have "
        "nobody else read what is said. A key that is put into FOLDER/allowed or taken away counts at once.",
        show_default="none: anybody on this machine",
    ),
]
Batch = Annotated[int, typer.Option(help="Requests that are served at once, at most.")]
Queue = Annotated[int, typer.Option(help="Requests that wait, at most; more are refused.")]
Processes = Annotated[
    int,
    typer.Option(
        help="Compute in so many processes instead of threads: each has codecs and some 300 MB of its own, none waits "
        "for another, and one that ends is started again while what it had is done by the others."
    ),
]
Codecs = Annotated[
    list[str] | None,
    typer.Option(
        help="A codec to load before the first request: swin, jpeg-ldpc-qam:adaptive, of serve also swin+sft; or one "
        "of your own to add, user:48=FOLDER/NAME to user:63=FOLDER/NAME, with what `semlink train` wrote. May be "
        "repeated.",
        show_default="none; each is loaded when it is first asked for",
    ),
]
Report = Annotated[
    float | None, typer.Option(help="Seconds from one report on standard error to the next.", show_default="none")
]

Channel = Annotated[
    str,
    typer.Option(
        help="That images are carried over, as for compare. The users of an uplink share its slots; on any other "
        "channel each sends alone."
    ),
]
Seed = Annotated[int, typer.Option(help="Of fades and noise, from 0, as for compare.")]
Latency = Annotated[
    float, typer.Option(help="Milliseconds that a request may take before it waits no longer for others of its slot.")
]
Backlog = Annotated[float, typer.Option(help="Seconds of expected work that wait, at most; more is refused.")]
Cache = Annotated[
    int,
    typer.Option(
        help="MiB of symbols encoded and, as many again, of images received, that are kept for requests that are "
        "exactly the same; 0 for none."
    ),
]

Page = Annotated[
    int | None,
    typer.Option(
        help="Port of a page that shows users, queue, throughput, latency and the latest images, on 127.0.0.1 alone, "
        "and of /metrics for Prometheus; 0 for one that is free. Who has an account on this machine can look.",
        show_default="none",
    ),
]

Nodes = Annotated[
    list[str] | None,
    typer.Option(
        help="Address of a `semlink node` that computes for this service as well: ADDRESS, or ADDRESS=FILE with the "
        "keys of a user of that node, which one on another machine must have. May be repeated.",
        show_default="none",
    ),
]

# Of who asks.
Service = Annotated[str, typer.Option(help="Address of `semlink serve`, as ZeroMQ has it.")]
FileOfKeys = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        help="File that `semlink keys` wrote for a user, of a service that asks for keys.",
        show_default="none",
    ),
]
Codec = Annotated[str, typer.Option(help="Such as swin, jpeg-ldpc-qam:adaptive, or swin+sft with a receiver behind.")]
Esno = Annotated[float, typer.Option(help="Es/N0 of the user in dB.")]
Ratio = Annotated[str, typer.Option(help="Bandwidth ratio: complex channel uses per image value.")]
Deadline = Annotated[
    float | None, typer.Option(help="Milliseconds after which nobody wants an answer any more.", show_default="none")
]


def keys(
    folder: Annotated[Path, typer.Argument(help="Of the service; it is made if need be.")],
    user: Annotated[
        list[str] | None, typer.Option(help="Name of somebody to be let in. May be repeated.", show_default="none")
    ] = None,
) -> None:
    """Make keys: of a service, once, and of its users.

    FOLDER is for `semlink serve --keys` or `semlink worker --keys`; each FOLDER/users/NAME.json is for its user, and
    nobody else. Whoever has a file FOLDER/allowed/NAME.pub is let in, until it is taken away.
    """
    from semlink.flowgraphs.cli.users import run_keys

    run_keys(folder, user or [])


@computes
def worker(
    address: Address = LOCAL,
    keys: FolderOfKeys = None,
    insecure: Insecure = False,
    batch: Batch = 16,
    queue: Queue = 64,
    threads: Threads = None,
    processes: Processes = 0,
    codec: Codecs = None,
    report: Report = None,
    page: Page = None,
) -> None:
    """Encode and decode for flowgraphs of GNU Radio, over ZeroMQ; SIGTERM or Ctrl-C ends it when it has answered."""
    spare_the_cores()
    from semlink.flowgraphs.service import run_worker

    run_worker(
        address=address,
        batch=batch,
        queue=queue,
        threads=threads,
        processes=processes,
        codecs=codec or [],
        report_s=report,
        insecure=insecure,
        keys=keys,
        page=page,
    )


@computes
def node(
    address: Annotated[str, typer.Option(help="Where to listen, as for worker.")] = "tcp://127.0.0.1:5556",
    keys: FolderOfKeys = None,
    insecure: Insecure = False,
    queue: Queue = 64,
    threads: Threads = None,
    processes: Processes = 0,
    codec: Codecs = None,
    report: Report = None,
    page: Page = None,
) -> None:
    """Compute for a `semlink serve --node ADDRESS=FILE` on another machine: encode, decode and restore what it sends.

    It has no channel: images cross that where they are served. What `semlink worker` does is done as well.
    """
    spare_the_cores()
    from semlink.flowgraphs.service import run_worker

    run_worker(
        address=address,
        batch=16,
        queue=queue,
        threads=threads,
        processes=processes,
        codecs=codec or [],
        report_s=report,
        insecure=insecure,
        keys=keys,
        page=page,
        makes=True,
    )


@computes
def serve(
    address: Address = LOCAL,
    keys: FolderOfKeys = None,
    channel: Channel = "uplink:users=3,rx=3,zf",
    seed: Seed = 0,
    latency_ms: Latency = 100.0,
    backlog: Backlog = 10.0,
    cache: Cache = 256,
    batch: Batch = 16,
    queue: Queue = 1024,
    threads: Threads = None,
    processes: Processes = 0,
    node: Nodes = None,
    codec: Codecs = None,
    report: Report = None,
    page: Page = None,
    insecure: Insecure = False,
) -> None:
    """Carry the images of several users over one channel: encode, uplink, decode, restore, each stage in batches.

    What `semlink worker` does is done as well. SIGTERM or Ctrl-C ends it when it has answered.
    """
    spare_the_cores()
    from semlink.flowgraphs.service import run_serve

    run_serve(
        address=address,
        channel=channel,
        seed=seed,
        latency_ms=latency_ms,
        backlog_s=backlog,
        cache_mib=cache,
        batch=batch,
        queue=queue,
        threads=threads,
        processes=processes,
        nodes=node or [],
        codecs=codec or [],
        report_s=report,
        insecure=insecure,
        keys=keys,
        page=page,
    )


def user(
    images: Annotated[Path, typer.Option(help="A folder of images to send.")],
    service: Service = LOCAL,
    keys: FileOfKeys = None,
    rate: Annotated[
        str | None,
        typer.Option(
            help="Requests a second at random times (Poisson), such as 5/s or 90/min.",
            show_default="one when the last is answered",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(help="Of images to send.", show_default="all in the folder")] = None,
    codec: Codec = "swin",
    esno: Esno = 15.0,
    ratio: Ratio = "1/6",
    side: Annotated[
        int | None, typer.Option(help="Send the middle of each image, so many pixels square.", show_default="all of it")
    ] = None,
    deadline_ms: Deadline = None,
    seed: Annotated[int, typer.Option(help="Of the times, from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for what is received.", show_default="none")] = None,
) -> int:
    """Be a user of `semlink serve`: send the images of a folder, and tell what is received. Exit status 1 for nothing.

    Where the service is away for a while, what is not answered is asked for again.
    """
    from semlink.flowgraphs.cli.users import run_user
    from semlink.flowgraphs.specs import parse_ratio

    return run_user(
        service=service,
        keys=keys,
        images=images,
        rate=rate,
        count=count,
        codec=codec,
        esno_db=esno,
        ratio=parse_ratio(ratio),
        side=side,
        deadline_ms=deadline_ms,
        seed=seed,
        out=out,
    )


def load(
    service: Service = LOCAL,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File that `semlink keys` wrote for a user, whom all are then; or the folder of such files: its users "
            "in turn."
        ),
    ] = None,
    users: Annotated[str, typer.Option(help="How many at once, from 1 to 256; several numbers in turn.")] = "1,3,16",
    rate: Annotated[
        str | None,
        typer.Option(
            help="Requests a second of each user, at random times (Poisson).",
            show_default="one when the last is answered",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Of each number of users.")] = 10.0,
    images: Annotated[
        Path | None, typer.Option(help="A folder of images to send.", show_default="random textures")
    ] = None,
    distinct: Annotated[int, typer.Option(help="Textures; when all were sent they are sent again.")] = 4096,
    side: Annotated[int, typer.Option(help="Of the images in pixels.")] = 32,
    codec: Codec = "swin",
    esno: Esno = 15.0,
    ratio: Ratio = "1/6",
    deadline_ms: Deadline = None,
    seed: Annotated[int, typer.Option(help="Of textures and times, from 0.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")] = False,
) -> None:
    """Be many users of `semlink serve`: throughput, latencies, queue, batches, hits, refusals, CPU and memory."""
    from semlink.flowgraphs.cli.users import run_load
    from semlink.flowgraphs.specs import parse_ratio

    run_load(
        service=service,
        keys=keys,
        users=users,
        rate=rate,
        seconds=seconds,
        images=images,
        distinct=distinct,
        side=side,
        codec=codec,
        esno_db=esno,
        ratio=parse_ratio(ratio),
        deadline_ms=deadline_ms,
        seed=seed,
        as_json=json,
    )


def spare_the_cores() -> None:
    """Else PyTorch's threads burn the cores that others need while they wait for each other. Read when it loads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
