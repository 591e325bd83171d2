"""`semlink bench prompts`: how fast prompts are rendered, and what their bytes are worth beside source coders'."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.baselines.sources import SourceCoder, find_source, grey_image
from semlink.flowgraphs.bench.timing import Measurement, one_by_one, print_measurements
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.specs import load_images, prompt_coder, prompt_studio
from semlink.neural.classifiers import Teacher, load_teacher
from semlink.neural.prompts import (
    Prompt,
    PromptCoder,
    PromptError,
    Studio,
    draw_noise,
    least_budget,
    read_prompt,
    sent_bytes,
    to_pixels,
    to_signed,
    write_prompt,
)
from semlink.phy.documents import for_json
from semlink.phy.metrics import METRICS, MissingWeightsError, squared_error, ssim, st_lpips, to_db
from semlink.phy.sources import sample_images

PROMPT_BUDGETS = (50, 100, 200, 300, 500, 1000, 2000, 8000)
"""Bytes."""
OTHERS = ("jpeg", "webp", "avif")
"""Source coders beside the prompt's; all without what a receiver can rebuild of headers."""
SIDE, STEPS = 64, 10
SEEN_SIDE = 32
"""Pixels a side of the images that the classifier knows: of others it is not asked."""


class PromptFiles:
    """Whole files, as `semlink prompt encode` writes them, as a source coder.

    Args:
        studio: what makes and shows them.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def encode(self, image: UInt8[np.ndarray, "h w c"], budget: int) -> bytes | None:
        """The file in at most `budget` bytes whose rendering is nearest to the image; None below the least budget."""
        least = least_budget(Prompt(self.studio.mark, image.shape[1], image.shape[0]))
        return write_prompt(self.studio.encode(image, budget)) if budget >= least else None

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> UInt8[np.ndarray, "h w c"] | None:
        """The image of a file; None of one that cannot be read, or where not all of it arrived."""
        try:
            image = self.studio.render(read_prompt(data)).image if complete else None
        except PromptError:
            return None
        return None if image is None or image.shape[2:] != shape[:2] else to_pixels(image * 2 - 1)[0]

    def note(self, shape: tuple[int, int, int]) -> str:  # noqa: ARG002 - the file tells its shape
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return "a file, with its head and checks; the receiver knows the decoder's weights"


@dataclass(frozen=True)
class Worth:
    """What a coder makes of some images in a budget.

    Attributes:
        coder: by name; "prompt" is the bare code, as others without headers, "prompt file" a whole file.
        budget: bytes an image at most.
        used: bytes an image on average.
        psnr_db: from the mean squared error over all pixels.
        ssim: mean.
        st_lpips: mean; nan where its weights are not installed.
        likeness: mean cosine of the first components of prompts' codes, in standard deviations, of what is shown and
            of the original: how like it a decoder of prompts finds what is shown.
        agreement: share of images in which the classifier sees what it sees in the original; nan where there is none.
        shown: share of images of which anything could be coded.
    """

    coder: str
    budget: int
    used: float
    psnr_db: float
    ssim: float
    st_lpips: float
    likeness: float
    agreement: float
    shown: float


def measure_prompts(
    images: Sequence[Float[Tensor, "1 3 h w"]],
    *,
    budgets: Sequence[int] = PROMPT_BUDGETS,
    coders: Mapping[str, SourceCoder] | None = None,
    teacher: Teacher | None = None,
) -> list[Worth]:
    """What each coder makes of the images in each budget.

    Args:
        images: in [0, 1], of any sizes.
        budgets: bytes an image.
        coders: by name; None for the prompt's, with the weights that ship, and `OTHERS`.
        teacher: the classifier, of images of `SEEN_SIDE`; None for none.
    """
    coders = prompt_coders() if coders is None else coders
    jobs = [(name, budget) for budget in budgets for name in coders]
    named = one_by_one(jobs, named=lambda job: f"{job[0]} in {job[1]} bytes")
    return [_worth(name, coders[name], budget, images, teacher) for name, budget in named]


def prompt_coders() -> dict[str, SourceCoder]:
    """What is measured: the bare code of a prompt, whole files, and `OTHERS`."""
    return {
        "prompt": prompt_coder(),
        "prompt file": PromptFiles(prompt_studio()),
        **{name: find_source(name) for name in OTHERS},
    }


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


def run_prompts(*, words: Sequence[str], budgets: Sequence[int], as_json: bool) -> None:
    """`semlink bench prompts`."""
    images = list(load_images(words).values())
    taken = rendering_seconds(prompt_coder())
    found = measure_prompts(images, budgets=budgets, teacher=load_teacher("tiniest"))
    if as_json:
        rows = [for_json(asdict(one)) for one in found]
        print(json.dumps({"render_64x64_10_steps_s": taken, "worth": rows}, indent=2))
        return
    print_measurements("Prompts", [Measurement(f"render {SIDE}x{SIDE} in {STEPS} steps, processor time", taken, "s")])
    make_console().print(worth_table(found).to_string(index=False))
    shape = tuple(images[0].shape[1:])
    sent = sent_bytes((3, shape[1], shape[2]), "A man")
    make_console().print(f"As published, x_T and a text: {sent:,} bytes for an image of {shape[2]}x{shape[1]}.")


def worth_table(found: Sequence[Worth]) -> pd.DataFrame:
    """One row a coder and budget, rounded for reading."""
    table = pd.DataFrame([asdict(one) for one in found])
    three = dict.fromkeys(("ssim", "likeness", "agreement", "shown"), 3)
    return table.round({"used": 0, "psnr_db": 2, "st_lpips": 4, **three})


def _worth(
    name: str,
    coder: SourceCoder,
    budget: int,
    images: Sequence[Float[Tensor, "1 3 h w"]],
    teacher: Teacher | None,
) -> Worth:
    sizes, shown, whole = zip(*(_sent(coder, image, budget) for image in images), strict=True)
    pairs = _alike(shown, images)
    pixels_of = [one[0].numel() for one in pairs]

    def mean(measure: Callable[[Tensor, Tensor], float]) -> float:
        counts = [len(one) for one, _ in pairs]
        return float(np.average([measure(one, meant) for one, meant in pairs], weights=counts))

    errors = [float(squared_error(one, meant).mean()) for one, meant in pairs]
    return Worth(
        coder=name,
        budget=budget,
        used=float(np.mean(sizes)),
        psnr_db=to_db(float(np.average(errors, weights=pixels_of))),
        ssim=mean(ssim),
        st_lpips=mean(_perceptual),
        likeness=mean(partial(_likeness, prompt_coder())),
        agreement=mean(partial(_agreement, teacher)),
        shown=float(np.mean(whole)),
    )


def _sent(coder: SourceCoder, image: Float[Tensor, "1 3 h w"], budget: int) -> tuple[int, Tensor, bool]:
    """Bytes, what is shown of them, and whether anything could be coded; without, all is grey."""
    pixels, (height, width) = (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), image.shape[2:]
    data, shape = coder.encode(pixels, budget), (height, width, 3)
    found = None if data is None else coder.decode(data, shape, complete=True)
    kept = np.array(grey_image(shape) if found is None else found)
    return len(data or b""), torch.from_numpy(kept).permute(2, 0, 1)[None].float() / 255, found is not None


def _alike(shown: Sequence[Tensor], images: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pairs of batches of images of one size."""
    found: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
    for pair in zip(shown, images, strict=True):
        found.setdefault(pair[1].shape, []).append(pair)
    return [(torch.cat([a for a, _ in some]), torch.cat([b for _, b in some])) for some in found.values()]


def _perceptual(image: Tensor, meant: Tensor) -> float:
    try:
        METRICS["st-lpips"].load()
    except MissingWeightsError:
        return float("nan")
    return float(st_lpips(image, meant))


def _likeness(coder: PromptCoder, image: Tensor, meant: Tensor) -> float:
    seen, there = (coder.first_components(one * 2 - 1).double() for one in (image, meant))
    return float(torch.cosine_similarity(seen, there).mean())


def _agreement(teacher: Teacher | None, image: Tensor, meant: Tensor) -> float:
    if teacher is None or meant.shape[2:] != (SEEN_SIDE, SEEN_SIDE):
        return float("nan")
    with torch.no_grad():
        seen, there = (teacher(one).logits.argmax(dim=1) for one in (image, meant))
    return float((seen == there).float().mean())
