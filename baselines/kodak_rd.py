"""Published rate-distortion curves of image codecs on Kodak, for what a codec would reach over an ideal code.

The figures are those of CompressAI's result files (github.com/InterDigitalInc/CompressAI, `results/image/kodak`, BSD
3-Clause Clear; the figures only): means over the 24 images of bits per pixel, of PSNR and of MS-SSIM, both on RGB.
`python -m semlink.baselines.kodak_rd FOLDER` makes `data/kodak_rd.json` of such files.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from semlink.phy.documents import write_whole

Array = np.ndarray
Numbers = ArrayLike | float | int  # NumPy's alias says complex, which a check at run time takes at its word

FILES = {
    "jpeg": "kodak_jpeg.json",
    "jpeg2000": "kodak_jpeg2000.json",
    "webp": "kodak_webp.json",
    "bpg": "kodak_bpg_444_x265_ycbcr.json",
    "hm": "kodak_hm.json",
    "vtm": "kodak_vtm.json",
    "av1": "kodak_av1.json",
    "elic": "kodak_paper-elic2022_mse.json",
    "cheng2020": "kodak_compressai-cheng2020-attn_mse_cuda.json",
}
"""CompressAI's file of each name."""

SOURCE = "CompressAI, github.com/InterDigitalInc/CompressAI, results/image/kodak (BSD-3-Clause-Clear; the figures only)"
COMMAND = "python -m semlink.baselines.kodak_rd FOLDER"


@dataclass(frozen=True)
class Curve:
    """A codec's published points on Kodak, by rising rate; each a mean over the 24 images.

    Attributes:
        bpp: bits per pixel, (n,).
        psnr_db: PSNR on RGB in dB, the mean of per-image values, (n,).
        ms_ssim: MS-SSIM on RGB, in [0, 1], (n,); None where it was not published.
    """

    bpp: Float[Array, " n"]
    psnr_db: Float[Array, " n"]
    ms_ssim: Float[Array, " n"] | None


def names() -> tuple[str, ...]:
    """The codecs there are: jpeg, jpeg2000, webp, bpg, hm, vtm, av1, elic, cheng2020."""
    return tuple(FILES)


def curve(name: str) -> Curve:
    """The published points of a codec.

    Raises:
        ValueError: no such codec; the message lists all.
    """
    if name not in FILES:
        raise ValueError(f"name={name!r} must be one of: {', '.join(FILES)}")
    return _curves()[name]


def psnr_at(name: str, bpp: Numbers) -> Float[Array, " *shape"]:
    """PSNR of a codec on Kodak, linear in log2(bpp) between its published points.

    Args:
        name: one of `names()`.
        bpp: bits per pixel, of any shape.

    Returns:
        PSNR on RGB in dB (the mean of per-image values), NaN outside the published rates: nothing is extrapolated.

    Raises:
        ValueError: no such codec.
    """
    points, bpp = curve(name), np.asarray(bpp, dtype=np.float64)
    inside = (bpp >= points.bpp[0]) & (bpp <= points.bpp[-1])
    rate = np.where(inside, bpp, points.bpp[0])
    psnr_db = np.interp(np.log2(rate), np.log2(points.bpp), points.psnr_db)
    return np.where(inside, psnr_db, np.nan)


def kodak_psnr_at_capacity(name: str, ratio: float, bits_per_use: Numbers) -> Float[Array, " *shape"]:
    """PSNR on Kodak of a codec whose bits all arrive, `bits_per_use` of them in each complex channel use.

    An RGB image has 3·ratio channel uses a pixel, so it is `psnr_at` 3·ratio·bits_per_use bits per pixel. The published
    rate and PSNR are means over the images, so this is a codec that shares the channel uses among them freely.

    Args:
        name: one of `names()`.
        ratio: complex channel uses / (3·h·w).
        bits_per_use: information bits per complex symbol, of any shape, such as `capacity.shannon(esno_db)`.

    Returns:
        PSNR on RGB in dB, NaN outside the published rates.

    Raises:
        ValueError: no such codec, or `ratio` is not above 0.
    """
    if not 0 < ratio < math.inf:
        raise ValueError(f"ratio={ratio} must be above 0: complex channel uses / (3·h·w)")
    return psnr_at(name, 3 * ratio * np.asarray(bits_per_use, dtype=np.float64))


def collect(folder: Path) -> dict[str, Any]:
    """What `data/kodak_rd.json` holds, from CompressAI's result files in `folder`.

    Raises:
        OSError: one of `FILES` is not there.
    """
    curves = {name: _points(json.loads((folder / file).read_text())["results"]) for name, file in FILES.items()}
    return {"source": SOURCE, "command": COMMAND, "curves": curves}


def _points(results: dict[str, list[float]]) -> dict[str, list[float]]:
    """By rising rate (some files fall), to more digits than any figure here is good for."""
    rising = np.argsort(results["bpp"]).tolist()
    digits = {"bpp": 5, "psnr-rgb": 4, "ms-ssim-rgb": 6}
    published = {key: places for key, places in digits.items() if key in results}
    return {key: [round(results[key][i], places) for i in rising] for key, places in published.items()}


@lru_cache(maxsize=1)
def _curves() -> dict[str, Curve]:
    text = (resources.files("semlink.baselines") / "data" / "kodak_rd.json").read_text(encoding="utf-8")
    return {name: _curve(points) for name, points in json.loads(text)["curves"].items()}


def _curve(points: dict[str, list[float]]) -> Curve:
    ms_ssim = _read_only(points["ms-ssim-rgb"]) if "ms-ssim-rgb" in points else None
    return Curve(_read_only(points["bpp"]), _read_only(points["psnr-rgb"]), ms_ssim)


def _read_only(values: list[float]) -> Array:
    array = np.array(values)
    array.setflags(write=False)  # the curves are shared by all callers
    return array


def main(arguments: list[str] | None = None) -> None:
    """Write the figures of CompressAI's result files as the package's data."""
    parser = argparse.ArgumentParser(prog=COMMAND.rsplit(" ", 1)[0], description=main.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with CompressAI's kodak_*.json")
    default = Path(__file__).parent / "data" / "kodak_rd.json"
    parser.add_argument("--out", type=Path, default=default, help="the file to write (default: the package's own)")
    options = parser.parse_args(arguments)
    text = json.dumps(collect(options.folder), indent=1)
    write_whole(options.out, _one_line_lists(text) + "\n")


def _one_line_lists(text: str) -> str:
    """A list of numbers on one line, so that a change of one curve is a change of one line."""
    return re.sub(r"\[([^\]]*)\]", lambda match: f"[{' '.join(match[1].split())}]", text)


if __name__ == "__main__":
    main()
