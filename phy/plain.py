"""Values of NumPy, PyTorch, pandas, `fractions` and `pathlib` as Python's own, for what is written down as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

_OWN = (bool, int, float, str, bytes, type(None))


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a user gives
    """A number as int or float, a path as text, a table as a dictionary, a tuple as a tuple, and
    anything else with elements as a list.

    A float of 32 bits becomes the shortest decimal that stands for it: 0.1, not 0.10000000149. What is none of these
    stays as it is, to be refused by whoever needs a number or a text.
    """
    if type(value) in _OWN:
        return value
    kinds: tuple[tuple[Any, Any], ...] = ((np.bool_, bool), (str, str), (os.PathLike, os.fspath), (Integral, int))
    for kind, own in kinds:
        if isinstance(value, kind):
            return own(value)
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return _elements(value)


def _elements(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "detach"):  # a tensor, wherever it lies
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and not value.ndim:
        return plain(value[()])
    if not isinstance(value, Iterable):
        return value
    found = [plain(one) for one in value]
    return tuple(found) if isinstance(value, tuple) else found
