"""Parameters: their limits, and of the stages of a front end their text for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar


@dataclass(frozen=True)
class Described:
    """A stage whose parameters the command line knows under shorter names.

    Attributes:
        name: of the stage on the command line.
        keys: each field that is a parameter, and its key there.
    """

    name: ClassVar[str]
    keys: ClassVar[Mapping[str, str]]

    @property
    def spec(self) -> str:
        """`name:key=value,…`: the first parameter, and the others where they are not at their default."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        default = {one.name: one.default for one in fields(self)}
        shown = [field for i, field in enumerate(self.keys) if i == 0 or values[field] != default[field]]
        return f"{self.name}:" + ",".join(f"{self.keys[field]}={_text(values[field])}" for field in shown)


def check_number(name: str, value: Any, low: float | int, high: float | int, unit: str = "") -> None:  # noqa: ANN401
    """Raise ValueError unless `value` is a number from `low` to `high`, not a NaN."""
    if not _is_number(value) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} must be from {low:g} to {high:g} {unit}".rstrip())


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python's or NumPy's; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int, most: int | None = None, of: str = "") -> None:  # noqa: ANN401
    """Raise ValueError unless `value` is a whole number, `of` something, from `least`, or to `most` where that is."""
    if not is_whole(value) or value < least or (most is not None and value > most):
        said = f" of {of}" * bool(of) + f" from {least}" + ("" if most is None else f" to {most}")
        raise ValueError(f"{name}={value!r} must be a whole number{said}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _text(value: float | int | str) -> str:
    """The shortest text that reads back as the same number."""
    return value if isinstance(value, str) else repr(float(value)).removesuffix(".0").replace("e-0", "e-")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ValueError unless `value` is among those allowed."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of: {', '.join(allowed)}")
