"""Tensors that are made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def kept(size: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`functools.lru_cache` for what makes tensors that gradients may pass by.

    One that was made within `torch.inference_mode` would be refused by every training that came later.
    """

    def keep(make: Callable[P, R]) -> Callable[P, R]:
        @lru_cache(maxsize=size)
        @wraps(make)
        def made(*given: P.args, **options: P.kwargs) -> R:
            with torch.inference_mode(mode=False):
                return make(*given, **options)

        return cast(Callable[P, R], made)

    return keep
