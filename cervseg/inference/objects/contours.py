"""Outlines of objects, straight from runs: nothing is painted.

The outline of an object goes up along the left side of a run and down along the right one. On a
line between two rows the ends of the runs above and below it, sorted, join by twos: between the
first and the second, the third and the fourth, … exactly one of the two rows is inside.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from cervseg.annotations.rings import Polygon, Ring
from cervseg.grid import Window
from cervseg.inference.objects.covers import Cover
from cervseg.inference.objects.runs import Columns, Numbers, Runs, blocks, connected, set_apart


class _Loops(NamedTuple):
    """The ways round the runs of objects. Sides are numbered: n left ones, then n right ones.

    Args:
        order: Sides in the order we walk, loop after loop, shape (2 n,).
        begin: The first of each loop in `order`, shape (loops + 1,).
        of_side: The loop of each side, shape (2 n,).
    """

    order: Columns
    begin: Numbers
    of_side: Columns


def trace_runs(runs: Runs, objects: Numbers) -> list[tuple[Polygon, ...]]:
    """Trace objects along the edges of their pixels.

    The polygons are those of `annotations.outlines`: pixels connected by their sides, no ring that
    touches itself, so that each is valid to the libraries of maps. About 200 bytes a run.

    Args:
        runs: Of all objects, one object after another, each by rows, from left to right.
        objects: The object of each run, 0 and up without gaps, shape (n,).

    Returns:
        The polygons of each object, from top to bottom, in rows and columns; every ring starts
        near its uppermost run.
    """
    placed = set_apart(runs, objects)
    following, meetings = _follow(placed)
    loops = _walk(following)
    if (loops.of_side[meetings[0]] == loops.of_side[meetings[1]]).any():
        following, _ = _follow(placed, loops.of_side)
        loops = _walk(following)
    rings, outer = _rings(runs, loops, following)
    n = len(objects)
    # A run reaches from loop to loop, so the loops of what is connected by sides are joined.
    _, part = connected(len(rings), loops.of_side[:n], loops.of_side[n:])
    holes: dict[int, list[Ring]] = {}
    exteriors: list[tuple[int, int]] = []
    for number, (group, is_outer) in enumerate(zip(part.tolist(), outer.tolist(), strict=True)):
        if is_outer:
            exteriors.append((number, group))
        else:
            holes.setdefault(group, []).append(rings[number])
    owner = objects[loops.order[loops.begin[:-1]] % n].tolist()
    found: list[list[Polygon]] = [[] for _ in range(int(objects[-1]) + 1)]
    for number, group in exteriors:
        found[owner[number]].append(Polygon(rings[number], tuple(holes.get(group, ()))))
    return [tuple(polygons) for polygons in found]


def trace_coarsely(cover: Cover, window: Window) -> tuple[Polygon, ...]:
    """Trace one object on coarser pixels than the image's.

    What holds a pixel of the object is inside, so the outline lies at most one coarse pixel away,
    and smaller holes are gone. It never leaves the window of the object.

    Args:
        cover: Sorted.
        window: The smallest that holds the object.
    """
    runs = cover.as_runs(1)
    (polygons,) = trace_runs(runs, np.zeros(len(runs.row), np.int64))
    first, last = window[:2], (window.bottom, window.right)

    def enlarge(ring: Ring) -> Ring:
        return np.clip(ring * cover.step, first, last)

    return tuple(Polygon(enlarge(p.exterior), tuple(map(enlarge, p.holes))) for p in polygons)


def _follow(runs: Runs, of_side: Columns | None = None) -> tuple[Columns, Columns]:
    """The next side of each side.

    Args:
        runs: Sorted.
        of_side: The loop of each side, if known. Where a loop comes to a corner twice it then
            turns the other way, which cuts it in two. All such corners of a loop can be cut at
            once: were two of them entangled, the pixels between them would not be connected by
            their sides, and so not be in one loop.

    Returns:
        Shape (2 n,), and two sides of each corner where pixels touch only diagonally, shape (2, m).
    """
    following = np.empty(2 * len(runs.row), np.int32)
    meetings = [np.empty((2, 0), np.int64)]
    for place, side, arrives in _ends(runs):
        # At one place the right side first, so what touches at a corner is kept apart.
        order = np.lexsort((side < len(runs.row), place))
        one, other = order[1:-1:2], order[2::2]
        met = np.flatnonzero(place[one] == place[other])
        meetings.append(side[np.stack([one[met], other[met]])])
        if of_side is not None:
            same = of_side[meetings[-1][0]] == of_side[meetings[-1][1]]
            where = 1 + 2 * met[same]
            order[where], order[where + 1] = order[where + 1], order[where]
        one, other = order[::2], order[1::2]
        following[side[np.where(arrives[one], one, other)]] = side[
            np.where(arrives[one], other, one)
        ]
    return following, np.concatenate(meetings, axis=1)


def _ends(runs: Runs) -> Iterator[tuple[Numbers, Numbers, NDArray[np.bool_]]]:
    """The ends of sides on some lines after others.

    Yields:
        For each end where it is, in reading order; its side; whether we arrive there: we walk up
        the left sides and down the right ones.
    """
    count, stride = len(runs.row), int(runs.right.max()) + 1
    for first, last in blocks(runs.row):
        lines = int(runs.row[first]), int(runs.row[last]) if last < count else int(runs.row[-1]) + 2
        low = slice(*np.searchsorted(runs.row, np.array(lines) - 1).tolist())
        down, up = runs.take(low).places(stride), runs.take(slice(first, last)).places(stride)
        place = np.concatenate([up[0], up[1], down[0] + stride, down[1] + stride])
        high_side, low_side = np.arange(first, last), np.arange(low.start, low.stop)
        side = np.concatenate([high_side, high_side + count, low_side, low_side + count])
        here, there = len(high_side), len(low_side)
        yield place, side, np.repeat([True, False, False, True], [here, here, there, there])


def _walk(following: Columns) -> _Loops:
    count = len(following)
    graph = csr_array((np.ones(count), following.copy(), np.arange(count + 1, dtype=np.int32)))
    _, label = connected_components(graph, connection="strong")  # each a loop
    start = np.empty(int(label.max()) + 1, np.int64)
    start[label[::-1]] = np.arange(count)[::-1]  # its first side
    ranking = np.argsort(start)
    rank = np.empty(len(start), np.int32)
    rank[ranking] = np.arange(len(start))
    of_side, start = rank[label], start[ranking]
    # All loops in one long way: from the end of each to the start of the next.
    is_start = np.zeros(count, np.bool_)
    is_start[start] = True
    end = np.flatnonzero(is_start[following])
    graph.indices[end] = start[(of_side[end] + 1) % len(start)]
    order = breadth_first_order(graph, int(start[0]), return_predecessors=False)
    begin = np.concatenate([[0], np.cumsum(np.bincount(of_side))])
    return _Loops(order.astype(np.int32), begin, of_side)


def _rings(runs: Runs, loops: _Loops, following: Columns) -> tuple[list[Ring], NDArray[np.bool_]]:
    """The corners of each loop, and whether it bounds pixels rather than a hole."""
    column = np.concatenate([runs.left, runs.right])
    arrival = np.concatenate([runs.row, runs.row + 1])
    signed = np.concatenate([-runs.left, runs.right])[loops.order]  # adds up to the area
    outer = np.add.reduceat(signed, loops.begin[:-1], dtype=np.int64) > 0
    turns = (column[following] != column)[loops.order]
    turning = loops.order[turns]
    corners = np.empty((2 * len(turning), 2))
    corners[0::2, 0] = corners[1::2, 0] = arrival[turning]
    corners[0::2, 1] = column[turning]
    corners[1::2, 1] = column[following[turning]]
    passed = np.concatenate([[0], np.cumsum(turns)])
    bounds = (2 * passed[loops.begin]).tolist()
    return [corners[first:last] for first, last in pairwise(bounds)], outer
