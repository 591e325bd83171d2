"""The channel that a service carries images over, and the slots of users that share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Complex
from numpy.typing import NDArray
from torch import Tensor

from semlink.flowgraphs.service.jobs import Crossing, Job
from semlink.phy.channels import Chain, Mimo
from semlink.phy.impairments import Medium
from semlink.phy.link import Received, Spatial, esno_to_n0
from semlink.phy.mimo import OccupiedUplink, Uplink
from semlink.phy.rng import image_rngs


def users_of(channel: Medium) -> int:
    """Users of a slot: those of an uplink, and of any other channel one."""
    array = _array(channel)
    return array.users if array is not None else 1


def cross(channel: Medium, seed: int, kind: Crossing, jobs: Sequence[Job]) -> list[Received]:
    """What arrives of frames of one size, each in its slot.

    A user meets the fades and the noise that `semlink.flowgraphs.comparison.compare` gives the same image at the same
    seed: they depend on seed, realisation and content alone, and not on who else is in the slot. The others of the
    slot are on the other antennas, silence where there are fewer. Zero-forced with perfect CSI nothing of them is left;
    else it is as much as their symbols, and not the random QPSK of `compare`, leave. An array that cancels users one
    after the other ("sic") takes them for QPSK, which they are not: there the other users are those of `compare`.
    """
    symbols = torch.from_numpy(np.stack([job.arrays[0] for job in jobs]))  # (b, n)
    rngs = [_rng(job, seed) for job in jobs]
    array = _array(channel)
    if array is not None and array.detector != "sic":
        channel = _occupied(channel, array, _others(jobs, kind.symbols, array.users - 1))
    with torch.no_grad():
        received = channel(symbols, esno_to_n0(kind.esno_db), rng=rngs)
    return [row_of(received, i) for i in range(len(jobs))]


def row_of(received: Received, i: int) -> Received:
    """One image of a reception, as a batch of 1."""
    rows: dict[str, Any] = {one.name: _cut(getattr(received, one.name), i) for one in fields(received)}
    return replace(received, **rows)


def joined(rows: Sequence[Received]) -> Received:
    """Receptions of one size as one batch."""
    first = rows[0]
    whole: dict[str, Any] = {one.name: _join([getattr(row, one.name) for row in rows]) for one in fields(first)}
    return replace(first, **whole)


def _array(channel: Medium) -> Uplink | None:
    inner = channel.channel if isinstance(channel, Chain) else channel
    return inner.antennas if isinstance(inner, Mimo) and isinstance(inner.antennas, Uplink) else None


def _occupied(channel: Medium, array: Uplink, others: Complex[Tensor, "b n k"]) -> Medium:
    inner = cast(Mimo, channel.channel if isinstance(channel, Chain) else channel)
    known = replace(inner, antennas=OccupiedUplink(array.users, array.rx, array.detector, others=others))
    return Chain(*channel.radio.transmitter, known, *channel.radio.receiver) if isinstance(channel, Chain) else known


def _others(jobs: Sequence[Job], n: int, most: int) -> Complex[Tensor, "b n k"]:
    """The symbols of those who send at the same time, as long as each frame lasts."""
    others = torch.zeros(len(jobs), n, most, dtype=torch.complex64)
    for i, job in enumerate(jobs):
        for k, sent in enumerate(job.arrays[1 : 1 + most]):
            part = sent[:n]
            others[i, : len(part), k] = torch.from_numpy(part)
    return others


def _rng(job: Job, seed: int) -> torch.Generator:
    assert job.trip is not None
    assert job.trip.image is not None
    return image_rngs(seed, as_images([job.trip.image]), realisation=job.trip.realisation)[0]


def as_images(pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """8-bit levels (h, w, 3) as a batch of images in [0, 1], (b, 3, h, w)."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous().float() / 255


def _cut(value: object, i: int) -> object:
    if isinstance(value, Tensor):
        return value[i : i + 1]
    if isinstance(value, Spatial):
        return replace(value, **{name: getattr(value, name)[i : i + 1] for name in ("observed", "h", "n0")})
    return value


def _join(values: Sequence[object]) -> object:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat([cast(Tensor, value) for value in values])
    if isinstance(first, Spatial):
        observed, h, n0 = (torch.cat([getattr(value, name) for value in values]) for name in ("observed", "h", "n0"))
        return replace(first, observed=observed, h=h, n0=n0)
    if isinstance(first, list):
        return [one for value in values for one in cast("list[object]", value)]
    return first
