"""Objects of a mask of any size: found while its rows go by, with outlines and measures."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.rings import Polygon
from cervseg.classes import BACKGROUND
from cervseg.grid import Window
from cervseg.inference.objects.components import Joiner
from cervseg.inference.objects.contours import MOST_RUNS, perimeters, trace_coarsely, trace_runs
from cervseg.inference.objects.runs import (
    Integers,
    Numbers,
    Runs,
    find_runs,
    join_runs,
    label_runs,
    over_runs,
    own_probabilities,
)
from cervseg.inference.objects.splitting import LARGEST, split_touching
from cervseg.inference.rows import PIECE, Rows, pieces

_ONE = 2**30
"""Probabilities are added as whole multiples of 1/_ONE: a sum is the same in any order."""

_BATCH = 100_000
"""Runs that are traced at once, about: some 30 MB."""


class Segment(NamedTuple):
    """An object.

    Args:
        class_index: Its class.
        area: Pixels.
        perimeter: Pixels, holes included; an estimate: `contours.perimeters`.
        window: The smallest that holds it.
        centroid: Row and column, pixel (0, 0) covering [0, 1) x [0, 1).
        probability: The mean of its class over its pixels.
        polygons: Outlines along the edges of pixels: parts that touch only at a corner apart, none
            of their rings touches itself.
    """

    class_index: int
    area: int
    perimeter: float
    window: Window
    centroid: tuple[float, float]
    probability: float
    polygons: tuple[Polygon, ...]


class _Object(NamedTuple):
    """An object, or what is known of it.

    Args:
        runs: By rows, from left to right, shape (n,).
        total: The sum of probability in each, multiples of 1/_ONE.
        values: The probability of each pixel, run after run; empty if not needed.
    """

    runs: Runs
    total: Numbers
    values: NDArray[np.float32]

    @property
    def place(self) -> tuple[int, int]:
        """What objects are sorted by: the last row, and the first pixel there."""
        row = int(self.runs.row[-1])
        return row, int(self.runs.left[np.searchsorted(self.runs.row, row)])

    @property
    def window(self) -> Window:
        """The smallest that holds it."""
        top, left = int(self.runs.row[0]), int(self.runs.left.min())
        return Window(
            top, left, int(self.runs.row[-1]) + 1 - top, int(self.runs.right.max()) - left
        )


def find_objects(
    mask: Rows,
    probabilities: Rows,
    *,
    first_channel: int,
    split: float = 0.0,
    piece: int = PIECE,
) -> Iterator[Segment]:
    """Find the 8-connected objects of every class.

    One pass; kept are the runs of the objects still open, and with `split` the probabilities of
    their pixels. Neither the objects nor their order depend on the pieces.

    Args:
        mask: Class indices, uint8.
        probabilities: Of the same size, float32, shape (height, width, channels).
        first_channel: That of class 1: 0, or 1 where channel 0 is the background.
        split: Distance of the middles of touching objects at least, pixels; 0: they stay whole.
        piece: Pixels worked on at once, about.

    Yields:
        Sorted by their last row, then by their first pixel there; the parts of one that was split
        together, in its place, likewise.
    """
    parts = _read(mask, probabilities, first_channel=first_channel, piece=piece)
    for whole in _join(parts, mask.height, keep_values=split > 0):
        objects = sorted(whole, key=_place)
        yield from _segments([part for each in objects for part in _split(each, split)])


class _Part(NamedTuple):
    """What is drawn on a piece.

    Args:
        bottom: The row behind it.
        runs: All but background.
        values: The probability of each of their pixels.
    """

    bottom: int
    runs: Runs
    values: NDArray[np.float32]


def _read(mask: Rows, probabilities: Rows, *, first_channel: int, piece: int) -> Iterator[_Part]:
    for top, height in pieces(mask, piece):
        rows = mask.read(top, height)
        runs = find_runs(rows, top)
        values = own_probabilities(rows, probabilities.read(top, height), first_channel)
        yield _Part(top + height, runs.take(runs.value != BACKGROUND), values)


def _join(parts: Iterable[_Part], height: int, *, keep_values: bool) -> Iterator[list[_Object]]:
    """The objects that are whole after each piece."""
    joiner = Joiner(height, reach=1)
    waiting: list[list[_Object]] = []
    for bottom, runs, values in parts:
        count, labels = label_runs(runs, reach=1)
        joined = joiner.add(runs, labels, count=count, bottom=bottom)
        here = _divide(runs, labels, values=values, count=count, keep_values=keep_values)
        groups: list[list[_Object]] = [[] for _ in range(joined.groups)]
        for group, pieces_of_one in zip(
            joined.group.tolist(), [*waiting, *([each] for each in here)], strict=True
        ):
            groups[group] += pieces_of_one
        waiting = [_lighten(groups[group]) for group in joined.open.tolist()]
        whole = [groups[group] for group in joined.closed.tolist()]
        del groups, here
        yield [_unite(whole.pop()) for _ in range(len(whole))]


def _place(each: _Object) -> tuple[int, int]:
    return each.place


def _divide(
    runs: Runs, labels: Integers, *, values: NDArray[np.float32], count: int, keep_values: bool
) -> list[_Object]:
    """The objects of a piece, or parts of objects."""
    total = over_runs(np.add, _as_multiples(values), runs)
    order = np.argsort(labels, kind="stable")
    runs, length = runs.take(order), runs.length
    if keep_values:
        values = values[_sorted_pixels(length, order)]
    begin = np.searchsorted(labels[order], np.arange(count + 1)).tolist()
    pixel = np.concatenate([[0], np.cumsum(length[order])]).tolist()
    total = total[order]
    none = values[:0]
    return [
        _Object(
            runs.take(slice(first, last)),
            total[first:last],
            values[pixel[first] : pixel[last]].copy() if keep_values else none,
        )
        for first, last in zip(begin[:-1], begin[1:], strict=True)
    ]


def _as_multiples(values: NDArray[np.float32]) -> Numbers:
    return np.asarray(np.rint(values * np.float32(_ONE)), np.int64)


def _pixels(begin: Integers, length: Numbers) -> Numbers:
    """The numbers of the pixels of runs, given that of the first pixel of each."""
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(begin - ends + length, length)


def _sorted_pixels(length: Numbers, order: Numbers) -> Numbers:
    """Where the pixels of runs stand when these are taken in another order."""
    begin = np.cumsum(length) - length
    return _pixels(begin[order], length[order])


def _lighten(parts: list[_Object]) -> list[_Object]:
    """Forget the pixels of what is already too large to be split."""
    if sum(part.values.size for part in parts) <= LARGEST:
        return parts
    return [part._replace(values=part.values[:0]) for part in parts]


def _unite(parts: list[_Object]) -> _Object:
    """Make one object of its parts."""
    if len(parts) == 1:
        return parts[0]
    runs = join_runs(part.runs for part in parts)
    total = np.concatenate([part.total for part in parts])
    values = np.concatenate([part.values for part in parts])
    order = np.lexsort((runs.left, runs.row))
    is_known = values.size == int(runs.length.sum())  # else some were forgotten, or all
    values = values[_sorted_pixels(runs.length, order)] if is_known else values[:0]
    return _Object(runs.take(order), total[order], values)


def _split(each: _Object, distance: float) -> list[_Object]:
    """Divide an object into parts that touch, unless it is too small or too large for that."""
    top, left, height, width = each.window
    if not distance or max(height, width) <= distance or height * width > LARGEST:
        return [each]
    inside = np.zeros((height, width), np.bool_)
    row, column = each.runs.row - top, each.runs.left - left
    inside.reshape(-1)[_pixels(row * width + column, each.runs.length)] = True
    parts = split_touching(inside, distance)
    count = int(parts.max())
    if count == 1:
        return [each]
    runs = find_runs(parts, top)
    runs = runs.take(runs.value > 0)
    index = np.full_like(runs.value, each.runs.value[0])
    shifted = Runs(runs.row, runs.left + left, runs.right + left, index)
    found = _divide(shifted, runs.value - 1, values=each.values, count=count, keep_values=False)
    return sorted(found, key=_place)


def _segments(objects: Sequence[_Object]) -> Iterator[Segment]:
    """Measure and trace, many small objects at once."""
    size = 0
    batch: list[_Object] = []
    for each in objects:
        if batch and size + len(each.total) > _BATCH:
            yield from _measure(batch)
            size, batch = 0, []
        size += len(each.total)
        batch.append(each)
    if batch:
        yield from _measure(batch)


def _measure(objects: Sequence[_Object]) -> Iterator[Segment]:
    if len(objects) == 1:  # perhaps a huge one: not copied
        runs, total = objects[0].runs, objects[0].total
    else:
        runs = join_runs(each.runs for each in objects)
        total = np.concatenate([each.total for each in objects])
    count = np.array([len(each.total) for each in objects])
    begin = np.cumsum(count) - count
    number = np.repeat(np.arange(len(objects)), count)
    area = np.add.reduceat(runs.length, begin)
    rows = np.add.reduceat(runs.length * (2 * runs.row + 1), begin) / (2 * area)
    columns = np.add.reduceat(runs.length * (runs.left + runs.right), begin) / (2 * area)
    probability = np.add.reduceat(total, begin) / _ONE / area
    perimeter = perimeters(runs, number, area)
    is_huge = len(number) > MOST_RUNS
    polygons = [trace_coarsely(runs)] if is_huge else trace_runs(runs, number)
    for i, each in enumerate(objects):
        yield Segment(
            class_index=int(runs.value[begin[i]]),
            area=int(area[i]),
            perimeter=float(perimeter[i]),
            window=each.window,
            centroid=(float(rows[i]), float(columns[i])),
            probability=float(probability[i]),
            polygons=polygons[i],
        )
