"""Connected components of rows that come in pieces, joined across the cuts."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.inference.objects.runs import (
    Numbers,
    Runs,
    connected,
    find_runs,
    join_runs,
    touching,
)


class Joined(NamedTuple):
    """What became of components when a piece was added.

    A group is a component of all that was read so far. Those that were open come first, then
    those of the piece.

    Args:
        group: Of each of both, shape (open + piece,).
        groups: How many.
        open: The groups that reach the last row and may go on, shape (m,). They are the open
            components of the next piece, in this order.
        upper: The runs above the cut that touch one below it, of one pair after another.
        lower: Those below the cut, shape (pairs,) too.
        meeting: The group of each pair.
    """

    group: Numbers
    groups: int
    open: Numbers
    upper: Runs
    lower: Runs
    meeting: Numbers

    @property
    def closed(self) -> Numbers:
        """The groups that are whole."""
        return np.setdiff1d(np.arange(self.groups), self.open, assume_unique=True)

    def merge(
        self,
        joins: Iterable[np.ufunc],
        before: Iterable[NDArray[Any]],
        here: Iterable[NDArray[Any]],
    ) -> list[NDArray[Any]]:
        """Reduce columns of values of the parts to columns of one value of each group.

        Args:
            joins: For each column `np.add`, `np.minimum` or `np.maximum`.
            before: A value of each component that was open.
            here: A value of each component of the piece.

        Returns:
            Shape (groups,) each.
        """
        order = np.argsort(self.group, kind="stable")
        begin = np.searchsorted(self.group[order], np.arange(self.groups))
        columns = zip(joins, before, here, strict=True)
        return [
            join.reduceat(np.concatenate(values)[order], begin) if self.groups else values[0]
            for join, *values in columns
        ]


class Joiner:
    """Follows components from piece to piece; keeps one row of runs.

    The pieces are labelled each by itself. Where runs of the last row of one and of the first row
    of the next touch, their components are one (Rosenfeld and Pfaltz, 1966: labels and their
    equivalences); the equivalences of a cut are resolved at once, as components of a small graph.

    Args:
        height: Of all rows together; behind the last one nothing is open.
        reach: 0: connected by sides (4-connected); 1: or by corners (8-connected).
    """

    def __init__(self, height: int, *, reach: int) -> None:
        self._height, self._reach = height, reach
        self._border = find_runs(np.zeros((0, 1), np.uint8))
        self._open, self._count = np.zeros(0, np.int64), 0

    def add(self, runs: Runs, labels: Numbers, *, count: int, bottom: int) -> Joined:
        """Join the components of the next piece.

        Args:
            runs: Of the piece.
            labels: The component of each, shape (n,).
            count: Of components.
            bottom: The row behind the piece.
        """
        known = len(self._border.row)
        meeting = runs.row == self._border.row[0] + 1 if known else np.zeros(0, np.intp)
        both = join_runs([self._border, runs.take(meeting)])
        upper, lower = touching(both, reach=self._reach)
        below = labels[meeting][lower - known] + self._count
        groups, group = connected(self._count + count, self._open[upper], below)
        last = runs.row == (bottom - 1 if bottom < self._height else -1)
        still, self._open = np.unique(group[labels[last] + self._count], return_inverse=True)
        self._border, self._count = runs.take(last), len(still)
        return Joined(group, groups, still, both.take(upper), both.take(lower), group[below])


class Fates:
    """What is decided about each component of each piece, found out only when all of it is known.

    Components are numbered as they come, piece after piece. A part points to a later part of the
    same whole, the last one holds the decision below 0: 4 bytes a component, and as many spare.
    """

    def __init__(self) -> None:
        self._links = np.zeros(1024, np.int32)
        self._count = 0
        self._open = np.zeros(0, np.int64)

    def add(self, joined: Joined, fates: NDArray[np.int64]) -> None:
        """Note a piece.

        Args:
            joined: As the joiner gave it.
            fates: Of each group, 0 and up, shape (groups,); those of open ones do not matter yet.
        """
        count = len(joined.group) - len(self._open)
        nodes = np.arange(self._count, self._count + count)
        self._count += count
        if self._count > len(self._links):
            spare = max(2 * len(self._links), self._count)
            self._links = np.concatenate(
                [self._links, np.zeros(spare - len(self._links), np.int32)]
            )
        (latest,) = joined.merge([np.maximum], [self._open], [nodes])
        self._links[np.concatenate([self._open, nodes])] = latest[joined.group]
        closed = joined.closed
        self._links[latest[closed]] = -1 - fates[closed]
        self._open = latest[joined.open]

    def resolve(self) -> NDArray[np.int32]:
        """The fate of each component, after the last piece, in the order they were added."""
        links = self._links[: self._count]
        waiting = np.flatnonzero(links >= 0)
        while len(waiting):  # each round doubles how far a link reaches
            links[waiting] = links[links[waiting]]
            waiting = waiting[links[waiting] >= 0]
        return np.asarray(-1 - links, np.int32)
