"""What holds an object while it grows: its runs, or coarser pixels where these are too many."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cervseg.inference.objects.runs import Columns, Numbers, Runs

MOST_RUNS = 250_000
"""Of an object that is outlined exactly; others are on coarser pixels. To trace so many takes
60 MB, to keep an object of any size 12 MB."""


class Cover(NamedTuple):
    """Runs that hold an object, 12 bytes each.

    Args:
        step: Side of their pixels; 1: they are the object's own, otherwise each of the pixels
            holds some of it, and the runs may overlap.
        runs: Row, first column, first column behind, in such pixels; int32, shape (3, n).
    """

    step: int
    runs: NDArray[np.int32]

    def coarser(self, times: int = 2) -> Self:
        """On pixels so many times as wide, sorted; of runs that begin at one, the longest is left.

        So there are as many as pixels in which runs of the object begin. They get no fewer while
        it grows: a part never needs coarser pixels than the whole, and how coarse those of the
        whole are does not depend on its parts.
        """
        row, left, right = self.runs[0] // times, self.runs[1] // times, -(-self.runs[2] // times)
        order = _order(row, left)
        row, left, right = row[order], left[order], right[order]
        is_first = np.append(True, (row[1:] != row[:-1]) | (left[1:] != left[:-1]))
        first = np.flatnonzero(is_first)
        longest = np.maximum.reduceat(right, first)
        return type(self)(self.step * times, np.stack([row[first], left[first], longest]))

    def within(self, most: int) -> Self:
        """On the finest pixels above the image's own that need no more than so many runs."""
        found = self.coarser(2 if self.step == 1 else 1)
        while found.runs.shape[1] > most:
            found = found.coarser()
        return found

    def reduced(self) -> Self:
        """Of a whole object with more than `MOST_RUNS`: sorted, and no longer more when joined."""
        found = self.within(2 * MOST_RUNS)
        while len(found.as_runs(1).row) > MOST_RUNS:
            found = found.coarser()
        return found

    def sorted(self) -> Self:
        """By rows, from left to right."""
        return self._replace(runs=self.runs[:, _order(self.runs[0], self.runs[1])])

    def as_runs(self, value: int) -> Runs:
        """Of a sorted one, what touches or overlaps joined."""
        row, left, right = self.runs
        runs = Runs(row, left, right, np.broadcast_to(np.int32(value), row.shape))
        if self.step == 1:
            return runs
        begin, end = runs.places(int(right.max()) + 1)
        reached = np.maximum.accumulate(end)
        first = np.flatnonzero(np.append(True, begin[1:] > reached[:-1]))
        return runs.take(first)._replace(right=np.maximum.reduceat(right, first))


def _order(row: Columns, left: Columns) -> Numbers:
    return np.argsort((row.astype(np.int64) << 32) + left, kind="stable")


def join_covers(covers: Iterable[Cover]) -> Cover:
    """One of all: coarser if they have more than four times `MOST_RUNS`, and never of more."""
    waiting: list[Cover] = []
    size = 0
    for cover in covers:
        waiting.append(cover)
        size += cover.runs.shape[1]
        if size > 4 * MOST_RUNS:  # not whenever it is over two times: this sorts them
            waiting = [_concatenate(waiting).within(2 * MOST_RUNS)]
            size = waiting[0].runs.shape[1]
    return _concatenate(waiting)


def _concatenate(covers: list[Cover]) -> Cover:
    step = max(cover.step for cover in covers)
    parts = []
    for cover in covers:
        while cover.step < step:
            cover = cover.coarser()
        parts.append(cover.runs)
    return Cover(step, np.concatenate(parts, axis=1))
