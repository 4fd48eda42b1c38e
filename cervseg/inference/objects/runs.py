"""Stretches of equal pixels: rows in a form that is as small as what is drawn on them."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cervseg.arrays import Mask, Probabilities

Integers = NDArray[np.integer[Any]]
Columns = NDArray[np.int32]
Numbers = NDArray[np.int64]

BLOCK = 250_000
"""Runs that are compared at once, about: what is needed for that is some 50 MB."""


class Runs(NamedTuple):
    """Stretches of equal pixels within a row, sorted by row, then from left to right.

    Args:
        row: Shape (n,), as the others.
        left: First column.
        right: First column behind.
        value: Of the pixels.
    """

    row: Columns
    left: Columns
    right: Columns
    value: Columns

    def take(self, which: NDArray[Any] | slice) -> Self:
        """Some of them, by number, by yes and no, or a slice."""
        return type(self)(*(column[which] for column in self))

    @property
    def length(self) -> Numbers:
        """Pixels of each, 64 bits: for sums."""
        return np.subtract(self.right, self.left, dtype=np.int64)

    def places(self, stride: int) -> tuple[Numbers, Numbers]:
        """The beginning and the end of each, numbered in reading order of rows so wide."""
        start = self.row.astype(np.int64) * stride
        return start + self.left, start + self.right


def find_runs(rows: NDArray[Any], top: int = 0) -> Runs:
    """Divide rows into runs; background is a value like others.

    Args:
        rows: Whole numbers, shape (height, width).
        top: The number of the first row.
    """
    height, width = rows.shape
    begins = np.ones(rows.shape, np.bool_)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    row, left = np.divmod(starts, width)
    right = left + np.diff(starts, append=height * width)
    return Runs(*map(_narrow, (row + top, left, right, rows.reshape(-1)[starts])))


def _narrow(column: Integers) -> Columns:
    return column.astype(np.int32)


def join_runs(parts: Iterable[Runs]) -> Runs:
    """One after another."""
    return Runs(*map(np.concatenate, zip(*parts, strict=True)))


def paint_runs(runs: Runs, shape: tuple[int, int]) -> Mask:
    """Paint runs that leave nothing out: the inverse of `find_runs`."""
    return np.repeat(runs.value.astype(np.uint8), runs.length).reshape(shape)


def set_apart(runs: Runs, objects: Numbers) -> Runs:
    """Number the rows so that those of different objects are never next to each other.

    Args:
        runs: One object after another, each by rows.
        objects: The object of each run, 0 and up without gaps, shape (n,).
    """
    begin = np.searchsorted(objects, np.arange(int(objects[-1]) + 2))
    tops, bottoms = runs.row[begin[:-1]], runs.row[begin[1:] - 1]
    spans = bottoms - tops + 2  # an empty line between two objects
    shift = np.cumsum(spans) - spans - tops
    return runs._replace(row=(runs.row + shift[objects]).astype(np.int32))


def blocks(rows: Columns) -> Iterator[tuple[int, int]]:
    """Divide sorted rows of runs between two rows: the first run of each part, and its end."""
    cuts = np.searchsorted(rows, rows[np.arange(BLOCK, len(rows), BLOCK)])
    bounds = np.unique(np.concatenate([[0], cuts, [len(rows)]])).tolist()
    return pairwise(bounds)


def neighbours(runs: Runs, *, reach: int) -> tuple[Numbers, Numbers]:
    """Find the pairs of runs that lie under each other.

    Args:
        runs: Any values; a row number that is left out separates.
        reach: 0: they share a side of a pixel; 1: or a corner.

    Returns:
        The numbers of the upper and of the lower one, each of shape (pairs,).
    """
    stride = int(runs.right.max(initial=0)) + 3
    begin, end = runs.places(stride)
    first = np.searchsorted(end, begin - stride - reach, side="right")
    last = np.searchsorted(begin, end - stride + reach, side="left")
    count = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(begin)), count)
    steps = np.arange(len(lower)) - np.repeat(np.cumsum(count) - count, count)
    return first[lower] + steps, lower


def connected(count: int, one: Integers, other: Integers) -> tuple[int, Numbers]:
    """Number the components of a graph.

    Args:
        count: Of its nodes.
        one: One end of each edge, shape (edges,).
        other: The other end.

    Returns:
        How many there are, and the component of each node, shape (count,).
    """
    graph = csr_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    found, labels = connected_components(graph, directed=False)
    return int(found), labels.astype(np.int64)


def touching(runs: Runs, *, reach: int) -> tuple[Numbers, Numbers]:
    """Of the pairs that `neighbours` finds those of equal value."""
    upper, lower = neighbours(runs, reach=reach)
    same = runs.value[upper] == runs.value[lower]
    return upper[same], lower[same]


def label_runs(runs: Runs, *, reach: int) -> tuple[int, Numbers]:
    """Number the connected components of equal runs.

    Args:
        runs: Those that count.
        reach: 0: connected by sides (4-connected); 1: or by corners (8-connected).

    Returns:
        How many there are, and the component of each run, shape (n,).
    """
    return connected(len(runs.row), *touching(runs, reach=reach))


def own_probabilities(
    runs: Runs, probabilities: Probabilities, first_channel: int, *, top: int = 0
) -> NDArray[np.float32]:
    """The probability of its own class for each pixel of runs, one run after another.

    Args:
        runs: Without background.
        probabilities: Shape (height, width, channels).
        first_channel: That of class 1.
        top: The number of their first row.
    """
    height, width, channels = probabilities.shape
    begin, length = runs.places(width)[0] - top * width, runs.length
    pixels = np.arange(int(length.sum())) + np.repeat(begin - np.cumsum(length) + length, length)
    if channels == 1:
        return np.asarray(probabilities.reshape(-1)[pixels], np.float32)
    channel = np.repeat(runs.value - 1 + first_channel, length)
    return np.asarray(probabilities.reshape(height * width, channels)[pixels, channel], np.float32)


def over_runs(ufunc: np.ufunc, values: NDArray[Any], runs: Runs) -> NDArray[Any]:
    """Reduce what stands in the pixels of each run.

    Args:
        ufunc: Such as `np.add`.
        values: Of all pixels of all runs, one after another.
        runs: Shape (n,).

    Returns:
        Shape (n,).
    """
    length = runs.length
    reduced: NDArray[Any] = (
        ufunc.reduceat(values, np.cumsum(length) - length) if len(length) else (values[:0])
    )
    return reduced
