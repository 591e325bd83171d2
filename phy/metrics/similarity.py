"""Structural similarity: what SSIM and MS-SSIM are made of, in one compiled pass.

In a module of its own so that what needs no SSIM, such as training on a bare machine, does without Numba.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit
from torch import Tensor
from torch.nn import functional as F

from semlink.phy.parallel import run_in_threads

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM's five scales, the finest first."""

_TAPS = tuple(math.exp(-(i**2) / (2 * 1.5**2)) for i in range(-5, 6))
_WINDOW = tuple(tap / sum(_TAPS) for tap in _TAPS)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # on 8-bit levels


def halve(levels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Means of 2×2 pixels, with zeros around an odd side; of 8-bit levels float32 holds them exactly, four times."""
    return F.avg_pool2d(levels, 2, padding=[side % 2 for side in levels.shape[-2:]])


def similarity(image: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c h w"]) -> Float[np.ndarray, "2 b c"]:
    """SSIM, and its contrast and structure without the luminance, of each channel of each image, from levels."""
    # One copy at most, in float32: in the kernel, where variances are differences of squares, all is float64.
    pairs = [x.detach().float().cpu().numpy().reshape(-1, *x.shape[-2:]) for x in (image, reference)]
    a, b = map(np.ascontiguousarray, pairs)
    out = np.empty((len(a), 2))
    run_in_threads(lambda i, j: _structure(a[i:j], b[i:j], out[i:j]), len(a), least=1)
    return out.T.reshape(2, *image.shape[:2])


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
@no_type_check  # shape checks of the tests cannot be compiled
def _structure(
    image: Float[np.ndarray, "n h w"], reference: Float[np.ndarray, "n h w"], out: Float[np.ndarray, "n 2"]
) -> None:
    """The window over the rows and then over the columns, for one row of positions at a time."""
    planes, height, width = image.shape[0], image.shape[1] - 10, image.shape[2] - 10
    rows = np.empty((4, image.shape[2]))
    for plane in range(planes):
        whole, contrast = 0.0, 0.0
        for y in range(height):
            for x in range(image.shape[2]):
                first, second, squares, cross = 0.0, 0.0, 0.0, 0.0
                for i in range(11):
                    a, b, tap = np.float64(image[plane, y + i, x]), np.float64(reference[plane, y + i, x]), _WINDOW[i]
                    first += tap * a
                    second += tap * b
                    squares += tap * (a * a + b * b)
                    cross += tap * (a * b)
                rows[0, x], rows[1, x], rows[2, x], rows[3, x] = first, second, squares, cross
            for x in range(width):
                first, second, squares, cross = 0.0, 0.0, 0.0, 0.0
                for i in range(11):
                    tap = _WINDOW[i]  # named once: LLVM unrolls and vectorises this, and several uses of it not
                    first += tap * rows[0, x + i]
                    second += tap * rows[1, x + i]
                    squares += tap * rows[2, x + i]
                    cross += tap * rows[3, x + i]
                means = first * first + second * second
                here = (2 * (cross - first * second) + _C2) / (squares - means + _C2)
                contrast += here
                whole += here * (2 * first * second + _C1) / (means + _C1)
        out[plane, 0], out[plane, 1] = whole / (height * width), contrast / (height * width)
