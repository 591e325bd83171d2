"""`semlink bench prompts`: how fast prompts are rendered, and what their bytes are worth beside source coders'."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.baselines.sources import SourceCoder, find_source, grey_image
from semlink.flowgraphs.bench.timing import Measurement, one_by_one, print_measurements
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.specs import prompt_coder
from semlink.neural.classifiers import Teacher, load_teacher
from semlink.neural.prompts import PromptCoder, draw_noise, sent_bytes, to_signed
from semlink.phy.metrics import METRICS, MissingWeightsError, psnr, st_lpips
from semlink.phy.sources import cifar10, sample_images

BUDGETS = (50, 100, 200, 300, 500, 1000, 2000, 8000)
"""Bytes."""
OTHERS = ("jpeg", "webp", "avif")
"""Source coders beside the prompt's; all without what a receiver can rebuild of headers."""
SIDE, STEPS = 64, 10


@dataclass(frozen=True)
class Worth:
    """What a coder makes of some images in a budget.

    Attributes:
        coder: by name; "prompt" is the bare code, the same in a file takes some 20 bytes more.
        budget: bytes an image at most.
        used: bytes an image on average.
        psnr_db: from the mean squared error.
        st_lpips: mean; nan where its weights are not installed.
        agreement: share of images in which the classifier sees what it sees in the original; nan where there is none.
        shown: share of images of which anything could be coded.
    """

    coder: str
    budget: int
    used: float
    psnr_db: float
    st_lpips: float
    agreement: float
    shown: float


def measure_prompts(
    images: Float[Tensor, "b 3 h w"],
    *,
    budgets: Sequence[int] = BUDGETS,
    coders: Mapping[str, SourceCoder] | None = None,
    teacher: Teacher | None = None,
) -> list[Worth]:
    """What each coder makes of the images in each budget.

    Args:
        images: in [0, 1].
        budgets: bytes an image.
        coders: by name; None for the prompt's, with the weights that ship, and `OTHERS`.
        teacher: the classifier; None for none.
    """
    if coders is None:
        coders = {"prompt": prompt_coder(), **{name: find_source(name) for name in OTHERS}}
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    jobs = [(name, budget) for budget in budgets for name in coders]
    named = one_by_one(jobs, named=lambda job: f"{job[0]} in {job[1]} bytes")
    return [_worth(name, coders[name], budget, images, pixels, teacher) for name, budget in named]


def rendering_seconds(coder: PromptCoder) -> float:
    """Processor time of one image of 64×64 in 10 steps from noise, on one thread: what an idle core takes."""
    image = to_signed((sample_images()[0, :, :SIDE, :SIDE] * 255).byte().permute(1, 2, 0).numpy())
    code = coder.code_at(image, 300, 0)
    assert code is not None
    scene, noise = coder.scene(code, SIDE, SIDE), draw_noise((3, SIDE, SIDE), [0])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken = []
        for _ in range(4):  # the first one warms up
            start = time.process_time()
            coder.renderer.render(scene, noise, steps=STEPS)
            taken.append(time.process_time() - start)
        return min(taken)
    finally:
        torch.set_num_threads(threads)


def run_prompts(*, count: int, budgets: Sequence[int], as_json: bool) -> None:
    """`semlink bench prompts`."""
    taken = rendering_seconds(prompt_coder())
    found = measure_prompts(cifar10("test")[:count], budgets=budgets, teacher=load_teacher("tiniest"))
    if as_json:
        print(json.dumps({"render_64x64_10_steps_s": taken, "worth": [asdict(one) for one in found]}, indent=2))
        return
    print_measurements("Prompts", [Measurement(f"render {SIDE}x{SIDE} in {STEPS} steps, processor time", taken, "s")])
    make_console().print(worth_table(found).to_string(index=False))
    published = sent_bytes((3, 32, 32), "A man")
    make_console().print(f"As published, x_T and a text: {published:,} bytes for an image of 32x32.")


def worth_table(found: Sequence[Worth]) -> pd.DataFrame:
    """One row a coder and budget, rounded for reading."""
    table = pd.DataFrame([asdict(one) for one in found])
    return table.round({"used": 0, "psnr_db": 2, "st_lpips": 4, "agreement": 3, "shown": 3})


def _worth(
    name: str,
    coder: SourceCoder,
    budget: int,
    images: Float[Tensor, "b 3 h w"],
    pixels: UInt8[np.ndarray, "b h w 3"],
    teacher: Teacher | None,
) -> Worth:
    shape = pixels.shape[1], pixels.shape[2], 3
    codings = [coder.encode(one, budget) for one in pixels]
    shown = [None if data is None else coder.decode(data, shape, complete=True) for data in codings]
    received = np.stack([grey_image(shape) if one is None else one for one in shown])
    image = torch.from_numpy(received).permute(0, 3, 1, 2).float() / 255
    return Worth(
        coder=name,
        budget=budget,
        used=float(np.mean([len(data or b"") for data in codings])),
        psnr_db=float(psnr(image, images)),
        st_lpips=_perceptual(image, images),
        agreement=float("nan") if teacher is None else _agreement(teacher, image, images),
        shown=sum(one is not None for one in shown) / len(shown),
    )


def _perceptual(image: Tensor, meant: Tensor) -> float:
    try:
        METRICS["st-lpips"].load()
    except MissingWeightsError:
        return float("nan")
    return float(st_lpips(image, meant))


def _agreement(teacher: Teacher, image: Tensor, meant: Tensor) -> float:
    with torch.no_grad():
        seen, there = (teacher(one).logits.argmax(dim=1) for one in (image, meant))
    return float((seen == there).float().mean())
