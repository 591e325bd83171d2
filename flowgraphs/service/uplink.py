"""The channel that a service carries images over, and the slots of users that share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semlink.phy.channels import Chain, Mimo
from semlink.phy.impairments import Medium
from semlink.phy.link import Received, esno_to_n0
from semlink.phy.mimo import OccupiedUplink, Uplink
from semlink.phy.rng import image_rngs


def users_of(channel: Medium) -> int:
    """Users of a slot: those of an uplink, and of any other channel one."""
    array = _array(channel)
    return array.users if array is not None else 1


def cross(
    channel: Medium,
    seed: int,
    esno_db: float,
    symbols: Complex[Tensor, "b n"],
    others: Complex[Tensor, "b n k"],
    images: Float[Tensor, "b 3 h w"],
    realisations: Sequence[int],
) -> Received:
    """What arrives of frames of one size, each in its slot.

    A user meets the fades and the noise that `semlink.flowgraphs.comparison.compare` gives the same image at the same
    seed: they depend on seed, realisation and content alone, and not on who else is in the slot. The others of the
    slot are on the other antennas, silence where there are fewer. Zero-forced with perfect CSI nothing of them is left;
    else it is as much as their symbols, and not the random QPSK of `compare`, leave. An array that cancels users one
    after the other ("sic") takes them for QPSK, which they are not: there the other users are those of `compare`.

    Args:
        channel: that all cross.
        seed: of fades and noise.
        esno_db: of every user.
        symbols: of each image.
        others: those of the other users in its slot, at most as many as the array has besides.
        images: what is sent, in [0, 1].
        realisations: of fades and noise of each.
    """
    rngs = [image_rngs(seed, images[i : i + 1], realisation=one)[0] for i, one in enumerate(realisations)]
    array = _array(channel)
    if array is not None and array.detector != "sic":
        channel = _occupied(channel, array, functional.pad(others, (0, array.users - 1 - others.shape[2])))
    return channel(symbols, esno_to_n0(esno_db), rng=rngs)


def _array(channel: Medium) -> Uplink | None:
    inner = channel.channel if isinstance(channel, Chain) else channel
    return inner.antennas if isinstance(inner, Mimo) and isinstance(inner.antennas, Uplink) else None


def _occupied(channel: Medium, array: Uplink, others: Complex[Tensor, "b n k"]) -> Medium:
    inner = cast(Mimo, channel.channel if isinstance(channel, Chain) else channel)
    known = replace(inner, antennas=OccupiedUplink(array.users, array.rx, array.detector, others=others))
    return Chain(*channel.radio.transmitter, known, *channel.radio.receiver) if isinstance(channel, Chain) else known


def as_images(pixels: NDArray[np.uint8]) -> Tensor:
    """8-bit levels (b, h, w, 3) as images in [0, 1], (b, 3, h, w)."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
