"""What is shown, as a command and as Python that give the same numbers."""

from __future__ import annotations

import shlex

from semlink.flowgraphs.play.wishes import Copy
from semlink.flowgraphs.specs import DEFAULT_MCS

PROGRAM = """\
from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.specs import load_images, make_channel, make_codecs, parse_ratio

channel = make_channel({channel!r}, coherence=None, csi=None, equaliser=None)
codecs = make_codecs({codecs!r}, ratio=parse_ratio({ratio!r}), mcs={mcs!r}, channel=channel)
result = compare(load_images([{word!r}]), codecs, channel, [{esno_db!r}], realisations=1, seed={seed})
print(result.table[["codec", "esno_db", "psnr_db", "ssim", "failed"]])
"""


def command_of(copy: Copy, word: str) -> str:
    """The command line of `semlink compare` for a picture by this word."""
    codecs = [part for name in copy.codecs for part in ("--codec", name)]
    scene = copy.scene
    channel = ["--channel", scene.channel, f"--esno={copy.esno_db!r}", "--ratio", scene.ratio]
    words = ["semlink", "compare", word, *codecs, *channel, "--realisations", "1", "--seed", str(scene.seed)]
    return shlex.join(words)


def program_of(copy: Copy, word: str) -> str:
    """The same in Python."""
    return PROGRAM.format(
        channel=copy.scene.channel,
        codecs=list(copy.codecs),
        ratio=copy.scene.ratio,
        mcs=DEFAULT_MCS,
        word=word,
        esno_db=copy.esno_db,
        seed=copy.scene.seed,
    )
