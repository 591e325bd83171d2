"""The steps of a training: which optimiser has which weights, how the learning rate goes, means over processes."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch import distributed as dist

from semlink.neural.models import Network
from semlink.neural.training.muon import Muon
from semlink.neural.training.recipe import Settings

Optimisers = tuple[torch.optim.Optimizer, ...]


def make_optimisers(model: nn.Module, settings: Settings) -> Optimisers:
    """Muon for the hidden weights, where it converges in far fewer steps than Adam, and Adam for the rest; or Adam."""
    hidden = cast(Network, model).hidden_weights() if settings.optimiser == "muon" else []
    ids = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in ids]
    adam = torch.optim.Adam(rest, lr=settings.lr, weight_decay=settings.weight_decay)
    return (Muon(hidden, lr=settings.lr_conv), adam) if hidden else (adam,)


def schedule(step: int, settings: Settings, passed: float | None = None) -> float:
    """Share of the learning rate at a step: a linear rise over `warmup`, then as `settings.schedule` says.

    `passed` is how much of the training is over; None for the step's share of all steps.
    """
    rise, over = min(1.0, step / settings.warmup), step / settings.steps if passed is None else passed
    if settings.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * over))
    if settings.schedule == "drop":
        return rise * (0.1 if over > 0.64 else 1.0)
    return rise


def average_over_processes(gradients: list[Tensor]) -> None:
    """Replace gradients by their means over the processes, in one message."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
