"""Values of a JSON document, checked by kind and bounds; what is wrong is a ValueError in words."""

import math
from collections.abc import Mapping
from typing import TypeVar

from cervseg.reports import JSON

T = TypeVar("T")


def typed(document: Mapping[str, JSON], key: str, kind: type[T]) -> T:
    """The value of a key, which must be of a kind."""
    value = document[key]
    if not isinstance(value, kind):
        raise ValueError(f"{key!r} must be a {kind.__name__}, not {value!r}")
    return value


def rows(document: Mapping[str, JSON], key: str) -> list[dict[str, JSON]]:
    """A list of objects."""
    found = typed(document, key, list)
    if not all(isinstance(row, dict) for row in found):
        raise ValueError(f"{key!r} must be a list of objects")
    return found


def choice(document: Mapping[str, JSON], key: str, choices: tuple[str, ...]) -> str:
    """One of several words."""
    value = document[key]
    if value not in choices:
        raise ValueError(f"{key!r} must be one of {', '.join(choices)}, not {value!r}")
    return value


def number(document: Mapping[str, JSON], key: str, bounds: tuple[float, float]) -> float:
    """A finite number within bounds."""
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key!r} must be a number, not {value!r}")
    if not bounds[0] <= value <= bounds[1]:
        raise ValueError(f"{key!r} must be from {bounds[0]:g} to {bounds[1]:g}, not {value!r}")
    return float(value)


def integer(document: Mapping[str, JSON], key: str, bounds: tuple[int, int]) -> int:
    """A whole number within bounds."""
    value = number(document, key, bounds)
    if value != int(value):
        raise ValueError(f"{key!r} must be a whole number, not {value!r}")
    return int(value)


def integer_or_none(document: Mapping[str, JSON], key: str) -> int | None:
    """A whole number from 0 to a million, or null."""
    return None if document[key] is None else integer(document, key, (0, 10**6))


def mapping_or_none(document: Mapping[str, JSON], key: str) -> dict[str, JSON] | None:
    """An object, or null."""
    return None if document[key] is None else typed(document, key, dict)
