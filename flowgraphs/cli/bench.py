"""The commands under `semlink bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import Device, Threads, computes, uses_threads
from semlink.flowgraphs.cli.told import Quiet, can_be_quiet, silence
from semlink.phy.devices import computing_on

# As in cli.py, heavy imports wait until a command runs.

app = typer.Typer(help="Measure speed, and the block error rates of the digital link.")
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")]


@app.callback(invoke_without_command=True)
def everything(
    context: typer.Context,
    json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="File for the figures as JSON.", show_default="none")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="A commit of this git tree: channel coding and networks of both in turn on one thread, minutes.",
            show_default="none",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="With --against: how often each does each job.")] = 15,
    quiet: Quiet = False,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Measure all speeds but those of radio and receivers: a quarter of an hour."""
    if context.invoked_subcommand is not None and against is not None:
        raise ValueError(f"--against goes without {context.invoked_subcommand}")
    if context.invoked_subcommand is not None and (json or quiet or any(x is not None for x in (out, device, threads))):
        raise ValueError(f"--json, --quiet, --out, --device and --threads go after {context.invoked_subcommand}")
    if against is not None and (device, threads) != (None, None):
        raise ValueError("--against: on one thread of the processor; --device and --threads go without")
    if against is not None:
        from semlink.flowgraphs.bench import run_against

        with silence(quiet):
            run_against(against, rounds=rounds, as_json=json, out=out)
    elif context.invoked_subcommand is None:
        with silence(quiet), computing_on(device, threads=threads):
            from semlink.flowgraphs.bench import run_bench

            run_bench(as_json=json, out=out)


@app.command("ldpc")
@can_be_quiet
@uses_threads
def codes(
    peer: Annotated[
        Path | None,
        typer.Option(
            help="JSON list of other LDPC stacks' figures on this machine to tell ours beside, such as "
            '\\[{"stack": "srsRAN Project 4bf1543", "job": "early", "k": 8448, "n": 12672, "mbps": 83.5}]; '
            "jobs are encode, ten (iterations) and early.",
            show_default="none",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """The channel decoders against Sionna's, pyldpc's and commpy's, in one run: throughput and block error rates."""
    from semlink.flowgraphs.bench import run_codes, run_peers

    if peer is not None:
        run_peers(peer, as_json=json)
    else:
        run_codes(as_json=json)


@app.command("channels")
@can_be_quiet
@uses_threads
def channels(json: AsJson = False) -> None:
    """The channels against drawing their noise, and MIMO-OFDM against Sionna's own chain, in one run."""
    from semlink.flowgraphs.bench import run_channels

    run_channels(as_json=json)


@app.command("security")
@can_be_quiet
@uses_threads
def security(json: AsJson = False) -> None:
    """The radiometer's simulation in samples a second, and how many known images break keyed symbols: a minute."""
    from semlink.flowgraphs.bench import run_security

    run_security(as_json=json)


@app.command("neural")
@can_be_quiet
def neural(
    threads: Annotated[int, typer.Option(help="Of each contestant; 1: by processor time, more: by the clock.")] = 1,
    json: AsJson = False,
) -> None:
    """The neural codecs against plain PyTorch and ONNX Runtime with the same weights, in one run: images a second."""
    from semlink.flowgraphs.bench import run_neural

    run_neural(threads=threads, as_json=json)


@app.command("radio")
@can_be_quiet
@computes
def radio(
    threads: Threads = None,
    json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="File for the figures as JSON.", show_default="none")] = None,
) -> None:
    """Codecs through a worker process, in symbols a second and latency, and the burst receivers: about a minute."""
    from semlink.flowgraphs.bench import run_radio

    run_radio(threads=threads, as_json=json, out=out)


@app.command("play")
@can_be_quiet
@computes
def play(
    rounds: Annotated[int, typer.Option(min=1, help="Through 8 Es/N0.")] = 12,
    json: AsJson = False,
) -> None:
    """The page of `semlink play`: from its start, and from its slider to new pictures of four codecs; a minute."""
    from semlink.flowgraphs.bench import run_play_bench

    run_play_bench(rounds=rounds, as_json=json)


@app.command("service")
@can_be_quiet
@computes
def service(
    codec: Annotated[
        list[str] | None, typer.Option(help="As for serve. May be repeated.", show_default="swin, swin+sft")
    ] = None,
    users: Annotated[str, typer.Option(help="How many users, each asking for one image after another.")] = "3,16",
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(help="Of all measurements in turn; medians are told.")] = 3,
    threads: Threads = None,
    processes: Annotated[int, typer.Option(help="Of the service, as for serve.")] = 0,
    overload: Annotated[
        float | None,
        typer.Option(
            help="Instead: ask for 10 times what is served, for so many seconds; 60, say.", show_default="none"
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Instead: ask for 80 % of what is served for so many minutes, 20, say, and tell how the memory grows.",
            show_default="none",
        ),
    ] = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Instead: a service with keys and one without in turn.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Users of a service over a 3x3 uplink against one request after another, in one run: about two minutes."""
    from semlink.flowgraphs.bench import run_endurance, run_service
    from semlink.flowgraphs.cli.users import user_counts

    serving = [*([] if threads is None else [f"--threads={threads}"]), f"--processes={processes}"]
    if overload is None and minutes is None and not with_keys:
        run_service(
            codecs=codec or [],
            users=user_counts(users),
            seconds=seconds,
            rounds=rounds,
            serving=serving,
            as_json=json,
        )
        return
    run_endurance(
        codec=(codec or ["swin"])[0],
        users=max(user_counts(users)),
        seconds=seconds,
        rounds=rounds,
        overload_s=overload,
        minutes=minutes,
        with_keys=with_keys,
        options=serving,
        as_json=json,
    )


@app.command("studies")
@can_be_quiet
@computes
def studies(
    images: Annotated[int, typer.Option(min=1, help="Of CIFAR-10's test set, for the long sweep.")] = 10_000,
    few: Annotated[int, typer.Option(min=1, help="Of them, for one worker against two and the overhead.")] = 2000,
    json: AsJson = False,
) -> None:
    """A sweep over a whole test set: time and memory, what the runner costs, two workers against one; ten minutes."""
    from semlink.flowgraphs.bench import run_studies

    run_studies(images=images, few=few, as_json=json)


@app.command("receivers")
@can_be_quiet
@computes
def receivers(
    codec: Annotated[
        str | None,
        typer.Option(
            help="CODEC+RECEIVER, such as swin+sft, of which every sampler and number of steps is measured.",
            show_default="none: the networks' sizes and speed alone",
        ),
    ] = None,
    channel: Annotated[str, typer.Option(help="As for compare.")] = "awgn",
    esno: Annotated[float, typer.Option(help="Es/N0 in dB.")] = 5.0,
    images: Annotated[int, typer.Option(help="Of CIFAR-10's test set, the first ones.")] = 500,
    threads: Annotated[
        int | None, typer.Option(min=1, help="1: speed by processor time, more: by the clock.", show_default="2")
    ] = None,
    json: AsJson = False,
) -> None:
    """Receivers: PSNR, ST-LPIPS and images a second over steps and samplers, and the refiners' parameters and speed."""
    from semlink.flowgraphs.bench import run_receivers
    from semlink.phy.parallel import cores

    count = min(2, cores()) if threads is None else threads
    run_receivers(codec=codec, channel=channel, esno_db=esno, images=images, threads=count, as_json=json)


@app.command("task")
@can_be_quiet
@uses_threads
def task(
    out: Annotated[Path, typer.Option(help="Folder of the trainings; what is there already is not trained again.")],
    first: Annotated[Path, typer.Option(help="Recipe of the first stage.")] = Path("neural/recipes/task-distil.toml"),
    second: Annotated[Path, typer.Option(help="Recipe of the second.")] = Path("neural/recipes/task.toml"),
    steps: Annotated[str, typer.Option(help="Of the two stages, for every way of training alike.")] = "4500,600",
    seeds: Annotated[str, typer.Option(help="Of the trainings.")] = "0",
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Of CIFAR-10's test set, the first ones.")] = 2000,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step.", show_default="the recipes'")] = None,
    json: AsJson = False,
) -> None:
    """The task codec without each of its parts, all trained alike, beside the digital links: accuracy, hours."""
    from semlink.flowgraphs.bench import run_ablations

    lengths = whole_numbers("--steps", steps, least=1)
    if len(lengths) != 2:
        raise ValueError(f"--steps {steps!r} must be two whole numbers, such as 4500,600")
    numbers = whole_numbers("--seeds", seeds, least=0)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"--seeds {seeds!r} must be different ones: a training twice is one training")
    both = lengths[0], lengths[1]
    run_ablations(out, first=first, second=second, steps=both, seeds=numbers, images=images, batch=batch, as_json=json)


@app.command("heads")
@can_be_quiet
@uses_threads
def heads(
    codec: Annotated[
        list[str] | None,
        typer.Option(help="task, or label:TEACHER. May be repeated.", show_default="task, label:task, label:resnet56"),
    ] = None,
    esno: Annotated[float, typer.Option(help="Es/N0 in dB over AWGN.")] = 0.0,
    train: Annotated[int, typer.Option(min=100, max=50_000, help="Receptions that a head is trained on.")] = 10_000,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Of the test sets, the first ones.")] = 2000,
    json: AsJson = False,
) -> None:
    """Tasks that the transmitter does not know: linear heads on what arrives, minutes; needs CIFAR-100."""
    from semlink.flowgraphs.bench import HEAD_LINKS, run_heads

    run_heads(links=codec or HEAD_LINKS, esno_db=esno, train=train, images=images, as_json=json)


def whole_numbers(option: str, text: str, *, least: int) -> list[int]:
    """Whole numbers between commas.

    Raises:
        ValueError: something else, or one below `least`.
    """
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise ValueError(f"{option} {text!r} must be whole numbers from {least}, between commas")
    return [int(part) for part in parts]


@app.command()
@uses_threads
def bler(
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as nr1-13, or a code rate with --constellation; may be repeated.",
            show_default="all rows of the NR tables",
        ),
    ] = None,
    k: Annotated[list[int] | None, typer.Option(help="Block size, may be repeated.", show_default="all stored")] = None,
    seed: Annotated[int, typer.Option(help="Of bits and noise, from 0.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV to measure into, what it lacks alone: hours.", show_default="none: tell what is stored"),
    ] = None,
    code: Annotated[
        str, typer.Option(help="ldpc, nr (transport blocks), polar, conv, gallager, or MODULE:NAME.")
    ] = "ldpc",
    constellation: Annotated[str, typer.Option(help="qam, 8psk, 16apsk, ..., or MODULE:NAME of one's own.")] = "qam",
    published: Annotated[
        bool, typer.Option("--published", help="Instead: what is stored against Sionna's tables of 5G, in dB.")
    ] = False,
    json: AsJson = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print every point for a paper: LaTeX, with booktabs.")
    ] = False,
) -> None:
    """Block error rates of 5G LDPC and QAM on AWGN, or of a code of one's own; the gap to constrained capacity."""
    from semlink.flowgraphs.bench import run_bler, run_published

    if published:
        run_published(as_json=json)
    else:
        run_bler(
            schemes=scheme or [],
            sizes=k or [],
            seed=seed,
            out=out,
            as_json=json,
            as_latex=latex,
            code=code,
            constellation=constellation,
        )


@app.command("prompts")
@can_be_quiet
@uses_threads
def prompts(
    images: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or sets, as of compare.", show_default="cifar10:100")
    ] = None,
    budgets: Annotated[str, typer.Option(help="Bytes an image, A,B,C.")] = "50,100,200,300,500,1000,2000,8000",
    json: AsJson = False,
) -> None:
    """How fast prompts are rendered, and what their bytes are worth beside other coders', by five measures."""
    from semlink.flowgraphs.bench import run_prompts

    sizes = budgets.split(",")
    if not all(size.isdecimal() and 0 < int(size) < 1 << 24 for size in sizes):
        raise ValueError(f"--budgets {budgets!r} must be whole bytes, such as 50,300,1000")
    run_prompts(words=images or ["cifar10:100"], budgets=[int(size) for size in sizes], as_json=json)
