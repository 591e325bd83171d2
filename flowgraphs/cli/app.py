"""The commands of `semlink` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli import bench as bench_commands
from semlink.flowgraphs.cli import prompt as prompt_commands
from semlink.flowgraphs.cli import serving, told
from semlink.flowgraphs.cli.computing import computes, on_device
from semlink.flowgraphs.cli.gsc import gsc
from semlink.flowgraphs.cli.olla import olla
from semlink.flowgraphs.cli.optimise import optimise
from semlink.flowgraphs.cli.play import play
from semlink.flowgraphs.cli.search import search
from semlink.flowgraphs.cli.train import train

# In a help text a bracket before a small letter is escaped: rich would take it for markup and leave it out.
# The heavy imports (PyTorch, Sionna) wait until a command runs: `semlink --help` answers at once.

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images through classical and semantic links over the same channel, on equal terms. "
    "Es/N0 is the average energy per transmitted complex symbol over N0, in dB; the ratio is complex channel uses "
    "per image value (channels x height x width).",
)
app.add_typer(bench_commands.app, name="bench")
app.add_typer(prompt_commands.app, name="prompt")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Tell the version, and end.", callback=told.tell_version, is_eager=True)
    ] = False,
) -> None:
    """Take what belongs to no command."""


@app.command()
@told.can_be_quiet
@computes
def compare(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders or sets: samples, samples:coffee, kodak, cifar10, cifar10:COUNT, cifar100, "
            "cifar100:COUNT. Codecs that classify need labels: those of CIFAR, or a folder with a folder of images for "
            "each class.",
            show_default="samples",
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            help="A network of `semlink zoo`, such as swin; a digital link, SOURCE-CODE-qam[:SCHEME], such as "
            "jpeg-ldpc-qam, webp-ldpc-qam:adaptive or jpeg-conv-qam:nr1-13; its ceiling, SOURCE-capacity; "
            "SOURCE-ldpc-qam:all, fixed, adaptive, outage, genie and ceiling at once; any of them with a receiver "
            "behind it, such as swin+sft:steps=1; MODULE:NAME, a codec of your own. `semlink codecs` lists these and "
            "the others, with their options. May be repeated.",
            show_default="jpeg-ldpc-qam, jpeg-ldpc-qam:adaptive (:outage where the channel fades), deepjscc and swin",
        ),
    ] = None,
    channel: Annotated[
        str,
        typer.Option(
            help="A channel with options, and what else acts on the signal, each after a plus: awgn, "
            "rayleigh:csi=estimated, tdl-c:ds=100ns,v=3, mimo:4x4,svd, uplink:users=3,rx=3,mmse, awgn+rapp:ibo=6. "
            "`semlink channels` lists them all."
        ),
    ] = "awgn",
    eavesdropper: Annotated[
        str | None,
        typer.Option(
            help="A channel, as --channel takes it, to somebody who hears every codec too and has a row, CODEC@NAME, "
            "beside each, such as rayleigh:esno=-10. Options of hers: esno, her Es/N0 beyond the receiver's in dB; "
            "key=yes, she has its key.",
            show_default="nobody",
        ),
    ] = None,
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
    esno: Annotated[str, typer.Option(help="Es/N0 in dB: START:STOP:STEP, A,B,C or one number.")] = "0:20:2",
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
            help="A perceptual metric to measure as well, lower is better: st-lpips (needs semlink\\[st-lpips]) or "
            "lpips (AlexNet, version 0.1; needs semlink\\[lpips], and torchvision's alexnet-owt-7be5be79.pth, whose "
            "path SEMLINK_LPIPS_TRUNK gives). May be repeated.",
            show_default="none",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Of one reception, by every CODEC+RECEIVER that samples: their mean and their spread, as pictures in "
            "received/.",
            show_default="none",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="One of the codecs: how far each other one is ahead of it, over the same images, fades and noise, "
            "with 95 % intervals.",
            show_default="none",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="CODEC=TEXT: what its curve and its pictures are called. May be repeated.",
            show_default="the codecs' names",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of noise and fading, from 0.")] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for compare.csv, compare.json, compare.png, contact.png, received/ and sent/, and margins.csv "
            "where a receiver is compared with its codec, or with --against."
        ),
    ] = Path("out"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print a table for a paper instead: LaTeX, with booktabs.")
    ] = False,
) -> int:
    """Send images with several codecs over one channel: a table, curves and the received pictures.

    Exit status 1 where a picture of a folder could not be read: it is named and left out.
    """
    from semlink.flowgraphs.comparison import run_compare

    return run_compare(
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
        samples=samples,
        against=against,
        labels_of_codecs=label or [],
        eavesdropper=eavesdropper,
        seed=seed,
        out=out,
        as_json=json,
        as_latex=latex,
    )


@app.command()
@computes
def check(
    block: Annotated[
        str,
        typer.Argument(
            help="MODULE:NAME of a codec, a channel, a channel code, an interleaver or a constellation; a codec that "
            "--codec takes, a channel that --channel takes, or a part that ships, such as polar or 16apsk."
        ),
    ],
    ratio: Annotated[str, typer.Option(help="Bandwidth ratio of a codec that takes one.")] = "1/6",
    rate: Annotated[str, typer.Option(help="Code rate of a constellation that takes one.")] = "3/4",
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Measure whether a codec, a channel or a part of a link is what it must be. Exit status 1 if not."""
    from semlink.flowgraphs.cli.check import run_check

    return run_check(block, ratio=ratio, rate=rate, as_json=json)


@app.command()
@told.can_be_quiet
@on_device
def sweep(
    study: Annotated[Path, typer.Argument(help="A TOML file: images, codecs, channels, esno_db, ratios, ...")],
    out: Annotated[Path, typer.Option(help="Results folder; a run that was stopped goes on from it.")],
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 to send in this one.", show_default="one a core")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="A Dask scheduler whose workers do it instead, such as tcp://host:8786 (needs semlink\\[cluster]).",
            show_default="none",
        ),
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(
            help="What the scheduler's workers must offer, such as GPU=1. May be repeated.", show_default="none"
        ),
    ] = None,
    eavesdropper: Annotated[
        str | None,
        typer.Option(
            help="As of `semlink compare`: CODEC@CHANNEL beside each codec of the study.", show_default="nobody"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large grid.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write table.csv beside table.parquet.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Run a study: every codec on every channel at every ratio and Es/N0. Exit status 1 where a point has an error."""
    from semlink.flowgraphs.cli.studies import run_sweep

    return run_sweep(
        study,
        out,
        workers=workers,
        scheduler=scheduler,
        resources=resource or [],
        eavesdropper=eavesdropper,
        yes=yes,
        csv=csv,
        as_json=json,
    )


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of `semlink sweep` or `semlink compare`.")],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the table for a paper instead: LaTeX, with booktabs.")
    ] = False,
) -> None:
    """Write a report of a study or a comparison as one HTML file: curves, a slider through what was received, table."""
    from semlink.flowgraphs.cli.studies import run_report

    run_report(results, out, as_latex=latex)


@app.command()
def figure(
    results: Annotated[Path, typer.Argument(help="Folder of `semlink sweep` or `semlink compare`.")],
    out: Annotated[Path, typer.Option(help="The figure: .png, .pdf or .svg.")],
    quantity: Annotated[
        str,
        typer.Option(
            help="psnr_db, accuracy, top5, psnr_mean_db, ssim, ms_ssim, st_lpips, lpips, bler, outage, ber_before or "
            "ber_after (decoding)."
        ),
    ] = "psnr_db",
    over: Annotated[str, typer.Option(help="esno_db, ebno_db (of digital codecs) or ratio.")] = "esno_db",
    codec: Annotated[
        list[str] | None, typer.Option(help="One to be drawn. May be repeated.", show_default="all")
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="One to be drawn, a panel each. May be repeated.", show_default="all")
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=6, help="Panels side by side.", show_default="1 of up to two, 2 of up to six, else 3"),
    ] = None,
    ebno: Annotated[
        str | None,
        typer.Option(help="A digital codec whose Eb/N0 is a second axis, on top.", show_default="none"),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="CODEC=TEXT: what its curve is called. May be repeated.", show_default="the codecs' names"),
    ] = None,
) -> None:
    """Draw a figure of a study or a comparison for an IEEE paper: a column wide, or two, fonts embedded."""
    from semlink.flowgraphs.cli.studies import run_figure

    run_figure(
        results,
        out,
        quantity=quantity,
        over=over,
        labels=label or [],
        codecs=codec or [],
        channels=channel or [],
        columns=columns,
        ebno=ebno,
    )


app.command()(train)


@app.command()
@told.can_be_quiet
@computes
def zoo(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tell all of these: data, channel, training command, hash and figures. A network, a receiver, the "
            "codec or the kind of several, or FILE.safetensors of a training.",
            show_default="a table of all",
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="Measure the figures of a model or receiver, or of FILE.safetensors of a training, on CIFAR-10's test "
            "set; write them to its card."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON instead: of NAMES, or all.")] = False,
) -> None:
    """List the trained networks and receivers in a table; with NAMES, all that is known of those."""
    from semlink.flowgraphs.cli.zoo import run_zoo

    run_zoo(names or [], measure=measure, as_json=json)


@app.command()
def export(
    codec: Annotated[
        str,
        typer.Argument(help="One of `semlink zoo`, such as deepjscc or swin, or FILE.safetensors of a training."),
    ],
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
    from semlink.flowgraphs.cli.export import run_export

    run_export(codec=codec, ratio=ratio, size=size, name=name, out=out)


app.command()(told.channels)
app.command()(told.codecs)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="grc-path | examples-path | transmit IMAGE... | receive [--help]",
)
def radio(context: typer.Context) -> None:
    """Images over recordings, a simulated link or a radio; what GNU Radio needs to find the blocks."""
    from semlink.flowgraphs.radio.apps import run

    run(context.args, name="semlink radio")


for command in (
    gsc,
    olla,
    optimise,
    play,
    search,
    serving.worker,
    serving.serve,
    serving.node,
    serving.keys,
    serving.user,
    serving.load,
):
    app.command()(command)
for one in (app, bench_commands.app, prompt_commands.app):
    told.arrange(one)
