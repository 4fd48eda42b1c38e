"""Objects while rows go by: parts on pieces, joined until they are whole."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.inference.objects.components import Joined, Joiner
from cervseg.inference.objects.covers import Cover, join_covers
from cervseg.inference.objects.measures import (
    JOINS,
    Sums,
    Table,
    add_common,
    add_up,
    as_multiples,
    sums_of,
)
from cervseg.inference.objects.runs import (
    Integers,
    Numbers,
    Runs,
    connected,
    over_runs,
    touching,
)


class Part(NamedTuple):
    """What is drawn on a piece.

    Args:
        bottom: The row behind it.
        runs: All but background.
        values: The probability of each of their pixels.
    """

    bottom: int
    runs: Runs
    values: NDArray[np.float32]


class Object(NamedTuple):
    """An object that is whole: its measures, and where it lies, sorted by rows if exact."""

    sums: Sums
    cover: Cover


def join_parts(parts: Iterable[Part], height: int) -> Iterator[list[Object]]:
    """Find the objects that are whole after each piece.

    Args:
        parts: From top to bottom.
        height: Of all rows together.
    """
    joiner = Joiner(height, reach=1)
    waiting: list[Cover] = []
    known = np.zeros((len(Sums._fields), 0), np.int64)
    for bottom, runs, values in parts:
        pairs = touching(runs, reach=1)
        count, labels = connected(len(runs.row), *pairs)
        here, covers = _measure(runs, labels, values, pairs=pairs, count=count)
        joined = joiner.add(runs, labels, count=count, bottom=bottom)
        del runs, values, pairs, labels  # whoever takes the objects needs memory too
        known = _add(joined, known, here)
        groups: list[list[Cover]] = [[] for _ in range(joined.groups)]
        for group, each in zip(joined.group.tolist(), [*waiting, *covers], strict=True):
            groups[group].append(each)
        continued = set(joined.group[: len(waiting)].tolist())
        waiting = [join_covers(groups[group]) for group in joined.open.tolist()]
        closed = joined.closed
        yield [
            Object(sums, _finish(groups[group]) if group in continued else groups[group][0])
            for group, sums in zip(closed.tolist(), sums_of(known[:, closed]), strict=True)
        ]
        known = known[:, joined.open]


def _add(joined: Joined, before: Table, here: Table) -> Table:
    """The sums of all groups: of their parts, and what these have in common at the cut."""
    table = np.stack(joined.merge(JOINS, before, here))
    add_common(table, (joined.upper, joined.lower), joined.meeting)
    return table


def _measure(
    runs: Runs,
    labels: Integers,
    values: NDArray[np.float32],
    *,
    pairs: tuple[Numbers, Numbers],
    count: int,
) -> tuple[Table, list[Cover]]:
    """The sums and the covers of the objects, or parts of objects, on a piece.

    Args:
        runs: By rows, from left to right.
        labels: The object of each.
        values: Of their pixels.
        pairs: Of the runs that touch and are of one object the upper and the lower ones.
        count: Of objects.
    """
    total = over_runs(np.add, as_multiples(values), runs)
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    by_object = runs.take(order)
    table = add_up(by_object, total[order], bounds[:-1])
    upper, lower = pairs
    add_common(table, (runs.take(upper), runs.take(lower)), labels[lower])
    packed = np.stack(by_object[:3])
    return table, [Cover(1, packed[:, a:b]) for a, b in pairwise(bounds.tolist())]


def _finish(parts: list[Cover]) -> Cover:
    """The cover of a whole object whose parts were on several pieces."""
    cover = join_covers(parts)
    return cover if cover.step > 1 else cover.sorted()
