"""Exact measures of objects, from sums that add up from part to part."""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cervseg.grid import Window
from cervseg.inference.objects.runs import Integers, Numbers, Runs

Table: TypeAlias = Numbers
"""The sums of many objects: a row for each field of `Sums`, shape (fields, objects)."""

ONE = 2**30
"""Probabilities are added as whole multiples of 1/ONE: a sum is the same in any order."""

_ROW = 2**32
"""Pixels are put in order by row * _ROW - column."""


class Sums(NamedTuple):
    """What is known of an object without its pixels.

    Args:
        value: The class.
        area: Pixels.
        runs: Of pixels in a row.
        rows: Twice the sum of the rows of the middles of pixels.
        columns: Likewise.
        probability: The sum over the pixels, multiples of 1/ONE.
        down: Pixels with one of the object below.
        slanted: Those with one below and to the left, and those with one below and to the right.
        top: First row.
        left: First column.
        right: First column behind.
        last: The last row, and the first column there: row * _ROW - column.
    """

    value: int
    area: int
    runs: int
    rows: int
    columns: int
    probability: int
    down: int
    slanted: int
    top: int
    left: int
    right: int
    last: int

    def place(self) -> tuple[int, int]:
        """What objects are sorted by: the last row, and the first column there."""
        row = -(-self.last // _ROW)
        return row, row * _ROW - self.last

    def window(self) -> Window:
        """The smallest that holds it."""
        bottom = self.place()[0] + 1
        return Window(self.top, self.left, bottom - self.top, self.right - self.left)

    def centroid(self) -> tuple[float, float]:
        """Row and column, pixel (0, 0) covering [0, 1) x [0, 1)."""
        return self.rows / (2 * self.area), self.columns / (2 * self.area)

    def mean_probability(self) -> float:
        """Of its pixels."""
        return self.probability / ONE / self.area

    def perimeter(self) -> float:
        """Estimate the length of its outlines, holes included, by Crofton's formula, pixels.

        From the stretches N that lines in four directions have in common with the object:

            pi / 4 * (N(0) + N(90) + (N(45) + N(135)) / sqrt(2))

        Legland, Kieu and Devaux, 2007, https://doi.org/10.5566/ias.v26.p83-92. On a line there are
        as many stretches as pixels whose next one is not in the object.
        """
        upright, diagonal = self.area - self.down, 2 * self.area - self.slanted
        return math.pi / 4 * (self.runs + upright + diagonal / math.sqrt(2))


_DOWN, _SLANTED = Sums._fields.index("down"), Sums._fields.index("slanted")

_EXTREMES = {
    "value": np.maximum, "top": np.minimum, "left": np.minimum, "right": np.maximum,
    "last": np.maximum,
}  # fmt: skip

JOINS: tuple[np.ufunc, ...] = tuple(_EXTREMES.get(name, np.add) for name in Sums._fields)
"""How two parts of an object make one, for each row of a table."""


def add_up(runs: Runs, total: Numbers, begin: Numbers) -> Table:
    """The sums of objects, as if no two runs of one touched: these `add_common` adds.

    Args:
        runs: Of one object after another.
        total: The sum of probability in each, multiples of 1/ONE, shape (n,).
        begin: The first run of each object, shape (objects,).
    """
    length = runs.length
    terms: dict[str, NDArray[np.integer[Any]]] = {
        "value": runs.value,
        "area": length,
        "runs": np.ones_like(length),
        "rows": length * (2 * runs.row + 1),
        "columns": length * (runs.left + runs.right),
        "probability": total,
        "top": runs.row,
        "left": runs.left,
        "right": runs.right,
        "last": runs.row * np.int64(_ROW) - runs.left,
    }
    table = np.zeros((len(Sums._fields), len(begin)), np.int64)
    for row, join, name in zip(table, JOINS, Sums._fields, strict=True):
        if name in terms and len(begin):
            join.reduceat(terms[name], begin, out=row)
    return table


def sums_of(table: Table) -> list[Sums]:
    """Of each object."""
    return [Sums(*column) for column in table.T.tolist()]


def add_common(table: Table, pairs: tuple[Runs, Runs], objects: Integers) -> None:
    """Add what runs that lie below each other have in common.

    Args:
        table: Of all objects; changed.
        pairs: The upper runs, and the lower one of each, shape (pairs,).
        objects: The object of each pair.
    """
    upper, lower = pairs
    count = table.shape[1]

    def common(shift: int) -> Numbers:
        """Pixels of lower runs that have one of the upper run above them, moved so far."""
        left = np.maximum(upper.left + shift, lower.left)
        right = np.minimum(upper.right + shift, lower.right)
        inside = np.maximum(right - left, 0)
        return np.bincount(objects, weights=inside, minlength=count).astype(np.int64)

    table[_DOWN] += common(0)
    table[_SLANTED] += common(-1) + common(1)


def as_multiples(values: NDArray[np.float32]) -> Numbers:
    """Round probabilities to multiples of 1/ONE."""
    return np.asarray(np.rint(values * np.float32(ONE)), np.int64)
