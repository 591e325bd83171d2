"""The commands of the service for several users: the service, a user, and many of them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

# As in app.py, heavy imports wait until a command runs.


def serve(
    address: Annotated[
        str,
        typer.Option(
            help="Where to listen, as ZeroMQ has it: an address of this machine alone, as for worker; port * is one "
            "that is free."
        ),
    ] = "tcp://127.0.0.1:5555",
    channel: Annotated[
        str,
        typer.Option(
            help="That images are carried over, as for compare. The users of an uplink share its slots; on any other "
            "channel each sends alone."
        ),
    ] = "uplink:users=3,rx=3,zf",
    seed: Annotated[int, typer.Option(help="Of fades and noise, from 0, as for compare.")] = 0,
    latency_ms: Annotated[
        float,
        typer.Option(help="Milliseconds that a request may take before it waits no longer for others of its slot."),
    ] = 100.0,
    backlog: Annotated[
        float, typer.Option(help="Seconds of expected work that wait, at most; more is refused.")
    ] = 10.0,
    cache: Annotated[
        int,
        typer.Option(
            help="MiB of symbols encoded and, as many again, of images received, that are kept for requests that are "
            "exactly the same; 0 for none."
        ),
    ] = 256,
    batch: Annotated[int, typer.Option(help="Requests that are served at once, at most.")] = 16,
    queue: Annotated[int, typer.Option(help="Requests that wait, at most; more are refused.")] = 1024,
    threads: Annotated[int | None, typer.Option(help="Of the processor.", show_default="as many as cores")] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            help="To load before the first request: swin, swin+sft, jpeg-ldpc-qam:adaptive; or one of your own to "
            "add, as for worker. May be repeated.",
            show_default="none; each is loaded when it is first asked for",
        ),
    ] = None,
    report: Annotated[
        float | None, typer.Option(help="Seconds from one report on standard error to the next.", show_default="none")
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Listen on an address that other machines reach, such as tcp://*:5555. There is no authentication "
            "and no encryption: whoever reaches it can use the service and read what others send.",
        ),
    ] = False,
) -> None:
    """Carry the images of several users over one channel: encode, uplink, decode, restore, each stage in batches.

    What `semlink worker` does is done as well. SIGTERM or Ctrl-C ends it when it has answered.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for worker
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
        codecs=codec or [],
        report_s=report,
        insecure=insecure,
    )
