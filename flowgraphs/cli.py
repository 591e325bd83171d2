"""The command `semlink`."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

# The heavy imports (PyTorch, Sionna) wait until a command runs: `semlink --help` answers at once.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Images through classical and semantic links over the same channel, on equal terms. "
    "Es/N0 is the average energy per transmitted complex symbol over N0, in dB; the ratio is complex channel uses "
    "per image value (channels x height x width).",
)


@app.command()
def compare(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or sets: samples, kodak, cifar10, cifar10:COUNT.", show_default="samples"),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            help="A model of `semlink zoo`, such as swin; SOURCE-CODE-qam[:SCHEME], such as jpeg-ldpc-qam, "
            "webp-ldpc-qam:adaptive, jpeg-conv-qam:nr1-13; SOURCE-capacity, its ceiling; SOURCE-ldpc-qam:all for "
            "fixed, adaptive, outage, genie and ceiling; published:NAME, on kodak. SOURCE: jpeg, jpeg2000, webp, avif, "
            "heic. CODE: ldpc, gallager, conv, uncoded. May be repeated.",
            show_default="jpeg-ldpc-qam, jpeg-ldpc-qam:adaptive (:outage where the channel fades), deepjscc and swin",
        ),
    ] = None,
    channel: Annotated[
        str,
        typer.Option(
            help="NAME[:OPTION,...][+STAGE[:OPTION,...]]: awgn, rayleigh:csi=estimated, tdl-c:ds=100ns,v=3, "
            "mimo:4x4,svd, uplink:users=3,rx=3,mmse, awgn+rapp:ibo=6. `semlink channels` lists them all."
        ),
    ] = "awgn",
    coherence: Annotated[
        str | None,
        typer.Option(
            help="Of flat fading: block (one gain an image), fast (one a symbol) or the number of symbols that share "
            "one; the same as NAME:coherence=...",
            show_default="block",
        ),
    ] = None,
    csi: Annotated[
        str | None,
        typer.Option(
            help="Of fading: perfect (the receiver knows the gains), estimated (from pilots, which are counted), "
            "outdated or none; the same as NAME:csi=...",
            show_default="perfect",
        ),
    ] = None,
    equaliser: Annotated[
        str | None,
        typer.Option(help="Of one antenna with CSI: zf or mmse; the same as NAME:equaliser=...", show_default="zf"),
    ] = None,
    esno: Annotated[str, typer.Option(help="Es/N0 in dB: START:STOP:STEP or A,B,C.")] = "0:20:2",
    ratio: Annotated[str, typer.Option(help="Bandwidth ratio: complex channel uses per image value.")] = "1/6",
    mcs: Annotated[str, typer.Option(help="Scheme of SOURCE-CODE-qam without one of its own.")] = "16qam-1/2",
    realisations: Annotated[
        int | None,
        typer.Option(
            help="Of noise and fading, for each image.",
            show_default="what brings them to 6 images in all on awgn, 30 on fading channels",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A perceptual metric to measure as well, lower is better: st-lpips (needs semlink[st-lpips]) or lpips "
            "(AlexNet, version 0.1; needs semlink[lpips], and torchvision's alexnet-owt-7be5be79.pth, whose path "
            "SEMLINK_LPIPS_TRUNK gives). May be repeated.",
            show_default="none",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of noise and fading, from 0.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for compare.csv, compare.png, contact.png and received/.")] = Path(
        "out"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Send images with several codecs over one channel: a table, curves and the received pictures."""
    from semlink.flowgraphs.report import run_compare

    run_compare(
        words=images or [],
        codecs=codec or [],
        channel=channel,
        coherence=coherence,
        csi=csi,
        equaliser=equaliser,
        esno=esno,
        ratio=ratio,
        mcs=mcs,
        realisations=realisations,
        metrics=metric or [],
        seed=seed,
        out=out,
        as_json=json,
    )


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file of settings, such as neural/recipes/deepjscc-6.toml.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, the log and the weights.")],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images to train on, in place of CIFAR-10 and the recipe's photographs."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop after so long, with a checkpoint to go on from.")] = math.inf,
) -> None:
    """Train a codec, or go on from the checkpoint in the folder. CIFAR-10 and photographs come from SEMLINK_DATA."""
    from semlink.neural.recipe import read_recipe
    from semlink.neural.train import train as run

    settings = read_recipe(recipe)
    if images is not None:
        settings = replace(settings, images=str(images), cifar10=False)
    typer.echo(f"weights: {run(settings, out, minutes=minutes)}")


@app.command()
def zoo(
    measure: Annotated[
        str | None,
        typer.Option(help="Measure the figures of a model on CIFAR-10's test set and write them to its card."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON instead of a table.")] = False,
) -> None:
    """List the trained models: size, ratio, data, hash, training command and measured figures."""
    from semlink.flowgraphs.report import run_zoo

    run_zoo(measure=measure, as_json=json)


@app.command()
def export(
    codec: Annotated[str, typer.Argument(help="One of `semlink zoo`, such as deepjscc or swin.")],
    ratio: Annotated[
        str | None,
        typer.Option(
            help="Complex channel uses per image value, fixed in the files.",
            show_default="1/6, or that of the model named",
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the images in pixels, fixed in the files.")] = "32x32",
    out: Annotated[Path, typer.Option(help="Folder for NAME-encoder.onnx and NAME-decoder.onnx.")] = Path("out"),
    name: Annotated[str | None, typer.Option(help="NAME of the files.", show_default="the codec's")] = None,
) -> None:
    """Write a trained codec as two ONNX files in float32: batches of any size, one image size and one ratio."""
    from semlink.flowgraphs.export import run_export

    run_export(codec=codec, ratio=ratio, size=size, name=name, out=out)


@app.command()
def channels(
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON instead of text.")] = False,
) -> None:
    """List the channels and the impairments that --channel takes: their options, units and defaults."""
    from semlink.flowgraphs.channel_list import run_channels

    run_channels(as_json=json)


bench_app = typer.Typer(help="Measure speed, and the block error rates of the digital link.")
app.add_typer(bench_app, name="bench")
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")]


@bench_app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="File for the figures as JSON.", show_default="none")] = None,
) -> None:
    """Measure the speed of a comparison, of the codecs, of a whole test set and of the decoders: some minutes."""
    if context.invoked_subcommand is not None and (json or out is not None):
        raise ValueError(f"--json and --out go after {context.invoked_subcommand}")
    if context.invoked_subcommand is None:
        from semlink.flowgraphs.bench import run_bench

        run_bench(as_json=json, out=out)


@bench_app.command()
def ldpc(json: AsJson = False) -> None:
    """The channel decoders against Sionna's, pyldpc's and commpy's, in one run: throughput and block error rates."""
    from semlink.flowgraphs.bench_codes import run_codes

    run_codes(as_json=json)


@bench_app.command("channels")
def bench_channels(json: AsJson = False) -> None:
    """The channels against drawing their noise, and MIMO-OFDM against Sionna's own chain, in one run."""
    from semlink.flowgraphs.bench_channels import run_channels

    run_channels(as_json=json)


@bench_app.command("neural")
def bench_neural(
    threads: Annotated[int, typer.Option(help="Of each contestant; 1: by processor time, more: by the clock.")] = 1,
    json: AsJson = False,
) -> None:
    """The neural codecs against plain PyTorch and ONNX Runtime with the same weights, in one run: images a second."""
    from semlink.flowgraphs.bench_neural import run_neural

    run_neural(threads=threads, as_json=json)


@bench_app.command()
def bler(
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="Such as nr1-13; may be repeated.", show_default="all rows of the NR tables"),
    ] = None,
    k: Annotated[list[int] | None, typer.Option(help="Block size, may be repeated.", show_default="all stored")] = None,
    seed: Annotated[int, typer.Option(help="Of bits and noise, from 0.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV to measure into, what it lacks alone: hours.", show_default="none: tell what is stored"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Block error rates of 5G LDPC and QAM on AWGN, and the gap of every scheme to constrained capacity."""
    from semlink.flowgraphs.bench_bler import run_bler

    run_bler(schemes=scheme or [], sizes=k or [], seed=seed, out=out, as_json=json)


def _show_warning(message: Warning | str, *_: object) -> None:
    """One line, without the place in our code."""
    print(f"semlink: warning: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line. A refused value or a file that cannot be had is one line and exit status 2."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # what follows the message is not of interest
    try:
        status = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except Exception as error:
        format_message = getattr(error, "format_message", None)  # of a usage error, found by the parser of options
        if format_message is None and not isinstance(error, (ValueError, OSError)):
            raise
        message = " ".join((format_message() if format_message else str(error)).split())
        if message:  # `semlink` alone has shown its help
            print(f"semlink: error: {message}", file=sys.stderr)
        sys.exit(2)
    if status == 130:  # typer's own word for Ctrl-C too
        print("semlink: interrupted", file=sys.stderr)
    sys.exit(status)
