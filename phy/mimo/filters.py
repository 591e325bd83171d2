"""What multi-antenna schemes share: filtering of streams, combining, and the sharing out of energy."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.link import ERASED
from semlink.phy.mimo.spatial import Detected


@torch.no_grad()
def fill_water(gains: Float[Tensor, "*batch s"], n0: float) -> Float[Tensor, "*batch s"]:
    """Shares p_i = max(0, μ - N0/g_i) of energy 1 over parallel channels of falling power gains g; equal if all are 0.

    Source: T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd ed., section 9.4.
    """
    floor = (n0 / gains.double().clamp_min(1e-300)).clamp_max(1e30)
    floor = floor - floor[..., :1]  # as seen from the best channel: what counts are differences
    count = torch.arange(1, gains.shape[-1] + 1, dtype=torch.float64, device=gains.device)
    water = (1 + floor.cumsum(dim=-1)) / count  # the level with the first k channels in use
    used = (water > floor).sum(dim=-1, keepdim=True)  # true of the first ones, the best always, and no others
    return (water.gather(-1, used - 1) - floor).clamp_min(0).to(gains)


def filter_streams(
    observed: Complex[Tensor, "b g rx"],
    h: Complex[Tensor, "b _ rx s"],
    noise: Float[Tensor, "b _"],
    *,
    zero_forcing: bool,
    first: int | None = None,
) -> Detected:
    """Every stream by its linear filter, or the `first` ones; see `linear_filters`."""
    from semlink.phy.mimo.kernels import linear_filters  # here and not above: as in kbest.py

    g = max(h.shape[1], noise.shape[1])  # once for an image of which neither changes
    w, bias, n0 = linear_filters(h.expand(-1, g, -1, -1), noise.expand(-1, g), zero_forcing=zero_forcing)
    w, bias, n0 = w[..., :first, :], bias[..., :first], n0[..., :first]
    shape = (*observed.shape[:2], w.shape[-2])
    return Detected(apply(w, observed), n0.expand(shape), None if zero_forcing else bias.expand(shape))


def combine(
    observed: Complex[Tensor, "b g rx"],
    columns: Complex[Tensor, "b _ rx s"],
    power: Float[Tensor, "b _ s"],
    noise: Float[Tensor, "b _"],
) -> Detected:
    """Streams that arrive along orthogonal columns of these powers: s_i = c_i^H y / ‖c_i‖², n0_i = N0 / ‖c_i‖²."""
    variance = noise[..., None] / power.clamp_min(1e-30)
    alive = (power > 0) & (variance < ERASED)
    w = torch.where(alive[..., None], columns.mH / power.clamp_min(1e-30)[..., None], 0.0)
    n0 = torch.where(alive, variance, ERASED)
    return Detected(apply(w, observed), n0.expand(*observed.shape[:2], power.shape[-1]))


def apply(matrix: Complex[Tensor, "b _ out s"], vectors: Complex[Tensor, "b g s"]) -> Complex[Tensor, "b g out"]:
    """Each group's matrix times its vector; one matrix for all groups of an image is one product."""
    if matrix.shape[1] == 1:
        return vectors @ matrix[:, 0].mT.to(vectors)
    return (matrix.to(vectors) @ vectors[..., None])[..., 0]


def known(h: Tensor | None, scheme: str) -> Tensor:
    """What an informed transmitter knows.

    Raises:
        ValueError: it knows nothing.
    """
    if h is None:
        raise ValueError(f"h=None: {scheme} precoding needs the channel at the transmitter")
    return h
