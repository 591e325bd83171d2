"""The latent grid of the rate-adaptive codecs: cells of 4×4 pixels, up to 16 symbols in each, in a fixed order.

The order depends on the image size alone, so that transmitter and receiver find the same one without side information,
and every rate's symbols are a prefix of it. Its keys are whole numbers and all different: no tie can be broken
otherwise on another machine or by another version of PyTorch's sort.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from semlink.phy.kept import kept
from semlink.phy.link import channel_uses, check_image

CELL = 4  # pixels a side
MIN_SIDE = 8  # pixels: below this an image is mostly padding
MIN_RATIO, MAX_RATIO = 1 / 24, 1 / 3
MAX_SYMBOLS = 16  # of a cell: ratio 1/3
_EVEN = 144  # a multiple of all possible counts of true pixels in a cell: products of two of 1 … 4
_SMALL = 128**2  # pixels of an image whose order of symbols is kept
GOLDEN = 2654435769  # odd, 2³² over the golden ratio: multiples of it modulo 2³² are all different and well spread


def check_rgb(image: Tensor, codec: str) -> None:
    """Raise ValueError unless the images are float32 (b, 3, h, w) in [0, 1], of at least `MIN_SIDE` pixels a side."""
    check_image(image)
    if image.dtype != torch.float32:
        raise ValueError(f"image has dtype {image.dtype}; {codec} takes torch.float32")
    c, h, w = image.shape[1:]
    if c != 3 or min(h, w) < MIN_SIDE:
        raise ValueError(
            f"image of {w}x{h} with {c} channels: {codec} takes RGB of at least {MIN_SIDE}x{MIN_SIDE} pixels"
        )


def check_ratio(ratio: float, *, ratios: tuple[float, float], codec: str) -> None:
    """Raise ValueError unless a ratio is from the lower to the higher of `ratios`."""
    if not ratios[0] - 1e-6 <= ratio <= ratios[1] + 1e-6:
        low, high = (f"1/{1 / one:g}" for one in ratios)
        raise ValueError(f"ratio={ratio:g} must be, for {codec}, from {low} to {high}")


def check_sent(n: int, h: int, w: int, *, ratios: tuple[float, float], codec: str) -> None:
    """Raise ValueError unless n symbols are what images of h×w pixels make at a ratio that `encode` takes.

    Of a range of ratios as `check_ratio` takes them, rounding included.
    """
    rounding = 1e-6 if ratios[0] < ratios[1] else 0.0
    least, most = (channel_uses((3, h, w), ratio) for ratio in (ratios[0] - rounding, ratios[1] + rounding))
    if min(h, w) < MIN_SIDE or not least <= n <= most:
        low, high = (f"1/{1 / ratio:g}" for ratio in ratios)
        raise ValueError(
            f"{n} symbols for an image of {w}x{h}: {codec} sends {low} to {high} of its values, and images of at least "
            f"{MIN_SIDE}x{MIN_SIDE} pixels"
        )


def check_whole(name: str, value: int | Sequence[int], *, count: int = 1, least: int = 1) -> None:
    """Raise ValueError unless an argument of a network is a whole number from `least`, or `count` of them."""
    values: Sequence[object] = value if count > 1 and isinstance(value, Sequence) else [value]
    if len(values) != count or not all(isinstance(one, int) and one >= least for one in values):
        wanted = "a whole number" if count == 1 else f"{count} whole numbers"
        raise ValueError(f"{name}={value!r} must be {wanted} from {least}")


def cells(h: int, w: int) -> tuple[int, int]:
    """Rows and columns of cells of an image, the last of them perhaps in part beyond its border."""
    return -(-h // CELL), -(-w // CELL)


def to_cells(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 48 rows columns"]:
    """The pixels of each cell as channels, after padding by reflection to whole cells."""
    h, w = image.shape[-2:]
    return F.pixel_unshuffle(F.pad(image, (0, -w % CELL, 0, -h % CELL), mode="reflect"), CELL)


def sent_indices(h: int, w: int, n: int) -> Int[Tensor, " n"]:
    """Which n of the (symbol, cell) pairs of an image's latents are sent, as ascending indices symbol·cells + cell.

    First come the first symbols of all cells, then the second ones, and so on; a cell at the border with a share of
    true pixels gets that share of the symbols. The cells of a last, incomplete round lie spread over the image.
    """
    return _kept_indices(h, w, n) if h * w <= _SMALL else _find_indices(h, w, n)


def _find_indices(h: int, w: int, n: int) -> Int[Tensor, " n"]:
    true = (CELL - F.relu(CELL * torch.arange(1, -(-side // CELL) + 1) - side) for side in (h, w))
    covered = torch.outer(*true).flatten()
    symbol = torch.arange(MAX_SYMBOLS)
    spread = torch.arange(len(covered)) * GOLDEN % 2**32
    keys = ((2 * symbol[:, None] + 1) * (_EVEN // covered) * 2**32 + spread).flatten()  # (symbols · cells,)
    last = keys.kthvalue(min(n, len(keys))).values if n else -1  # a sort would take longer than some of the network
    return (keys <= last).nonzero().flatten()


_kept_indices = kept(64)(_find_indices)  # a tenth of the time of a small image, and at most 8 MB


def symbols_at(h: int, w: int, ratio: float) -> int:
    """Symbols of an image at a ratio: floor(ratio·3·h·w)."""
    return channel_uses((3, h, w), ratio)


def by_tiles(
    network: Callable[[Float[Tensor, "b c rows columns"]], Float[Tensor, "b d rows columns"]],
    x: Float[Tensor, "b c rows columns"],
    *,
    reach: int,
    tile: int = 128,
) -> Float[Tensor, "b d rows columns"]:
    """`network(x)` in pieces, so that memory does not grow with the image.

    Args:
        network: a map from cells to cells by convolutions with zero padding.
        x: its input.
        reach: cells around an output cell that it may see.
        tile: cells a side of the output of a piece.

    The result is that of the whole: every piece is given `reach` cells more on all sides, as far as the image goes.
    """
    rows, columns = x.shape[-2:]
    if max(rows, columns) <= tile + 2 * reach:
        return network(x)
    bands = []
    for top in range(0, rows, tile):
        above = max(0, top - reach)
        band = x[:, :, above : top + tile + reach]
        pieces = []
        for left in range(0, columns, tile):
            before = max(0, left - reach)
            piece = network(band[..., before : left + tile + reach])
            pieces.append(piece[:, :, top - above :, left - before :][:, :, :tile, :tile])
        bands.append(torch.cat(pieces, dim=3))
    return torch.cat(bands, dim=2)
