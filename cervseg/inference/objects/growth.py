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
from cervseg.inference.objects.splitting import LARGEST


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


class Drawn(NamedTuple):
    """Where an object lies, or what there is of it so far.

    Args:
        cover: Of a whole object sorted by rows if it is exact.
        values: The probability of each pixel, run after run; empty if not needed.
    """

    cover: Cover
    values: NDArray[np.float32]


class Object(NamedTuple):
    """An object that is whole."""

    sums: Sums
    drawn: Drawn


def join_parts(parts: Iterable[Part], height: int, *, keep_values: bool) -> Iterator[list[Object]]:
    """Find the objects that are whole after each piece.

    Args:
        parts: From top to bottom.
        height: Of all rows together.
        keep_values: Keep the probabilities of objects that may be split.
    """
    joiner = Joiner(height, reach=1)
    waiting: list[Drawn] = []
    known = np.zeros((len(Sums._fields), 0), np.int64)
    for bottom, runs, values in parts:
        pairs = touching(runs, reach=1)
        count, labels = connected(len(runs.row), *pairs)
        here, drawn = divide(
            runs, labels, values, pairs=pairs, count=count, keep_values=keep_values
        )
        joined = joiner.add(runs, labels, count=count, bottom=bottom)
        del runs, values, pairs, labels  # whoever takes the objects needs memory too
        known = _add(joined, known, here)
        groups: list[list[Drawn]] = [[] for _ in range(joined.groups)]
        for group, each in zip(joined.group.tolist(), [*waiting, *drawn], strict=True):
            groups[group].append(each)
        continued = set(joined.group[: len(waiting)].tolist())
        waiting = [_unite(groups[group]) for group in joined.open.tolist()]
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


def divide(
    runs: Runs,
    labels: Integers,
    values: NDArray[np.float32],
    *,
    pairs: tuple[Numbers, Numbers],
    count: int,
    keep_values: bool,
) -> tuple[Table, list[Drawn]]:
    """Tell objects, or parts of objects, apart.

    Args:
        runs: By rows, from left to right.
        labels: The object of each.
        values: Of their pixels.
        pairs: Of the runs that touch and are of one object the upper and the lower ones.
        count: Of objects.
        keep_values: Whether each gets its values.
    """
    total = over_runs(np.add, as_multiples(values), runs)
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    by_object = runs.take(order)
    table = add_up(by_object, total[order], bounds[:-1])
    upper, lower = pairs
    add_common(table, (runs.take(upper), runs.take(lower)), labels[lower])
    packed, none = np.stack(by_object[:3]), np.zeros(0, np.float32)
    covers = [Cover(1, packed[:, a:b]) for a, b in pairwise(bounds.tolist())]
    if not keep_values:
        return table, [Drawn(cover, none) for cover in covers]
    values = values[sorted_pixels(runs.length, order)]
    pixel = np.concatenate([[0], np.cumsum(by_object.length)])[bounds].tolist()
    own = [values[first:last] for first, last in pairwise(pixel)]
    return table, list(map(Drawn, covers, own))


def _unite(parts: list[Drawn]) -> Drawn:
    """Make one of the parts of an object, and forget its values if it is too large to be split."""
    cover = join_covers(part.cover for part in parts)
    values = [part.values for part in parts]
    all_known = all(map(len, values)) and sum(map(len, values)) <= LARGEST
    return Drawn(cover, np.concatenate(values if all_known else [np.zeros(0, np.float32)]))


def _finish(parts: list[Drawn]) -> Drawn:
    """Make a whole object of the parts that were on several pieces."""
    cover, values = _unite(parts)
    if cover.step > 1:
        return Drawn(cover, values)
    ordered, order = cover.sorted()
    if len(values):
        values = values[sorted_pixels(cover.as_runs(0).length, order)]
    return Drawn(ordered, values)


def pixels_of(begin: Integers, length: Numbers) -> Numbers:
    """The numbers of the pixels of runs, given that of the first pixel of each."""
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(begin - ends + length, length)


def sorted_pixels(length: Numbers, order: Numbers) -> Numbers:
    """Where the pixels of runs stand when these are taken in another order."""
    begin = np.cumsum(length) - length
    return pixels_of(begin[order], length[order])
