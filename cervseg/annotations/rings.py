"""Closed outlines: points with a limit, area, and the pixels whose centres lie inside."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cervseg.errors import DataError
from cervseg.grid import Window

Ring: TypeAlias = NDArray[np.float64]
"""Corners of a closed line, shape (n, 2): row and column; the last is joined to the first.

Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1), its centre is (0.5, 0.5).
"""

FARTHEST = 1e7
"""No coordinate is farther from 0; any image ends before."""

CROSSINGS = 4_000_000
"""Handled at once: about 200 MB."""


class Polygon(NamedTuple):
    """An exterior, and holes in it."""

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def area(self) -> float:
        """Square pixels: the exterior less its holes."""
        return ring_area(self.exterior) - sum(map(ring_area, self.holes))


def make_ring(points: object, *, where: str) -> Ring:
    """Check points (row, column) from a file; a last one that repeats the first is left out.

    Args:
        points: What the file had.
        where: File and record, for the error.

    Raises:
        DataError: They are no pairs of numbers, not finite, too far away, or fewer than three.
    """
    try:
        found = np.asarray(points)
    except (ValueError, OverflowError) as exc:  # rows of unequal length, or too deep
        raise DataError(f"{where}: points that are no pairs of numbers") from exc
    if not found.size:
        raise DataError(f"{where}: ring without points, at least 3 needed")
    if found.dtype.kind not in "iuf" or found.ndim != 2 or found.shape[1] != 2:
        raise DataError(f"{where}: points that are no pairs of numbers")
    ring = found.astype(np.float64)
    if not np.isfinite(ring).all():
        raise DataError(f"{where}: a coordinate that is not finite")
    if (far := np.abs(ring).max()) > FARTHEST:
        raise DataError(f"{where}: a coordinate {far:g} pixels away, at most {FARTHEST:.0f}")
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3:
        count = f"{len(ring)} point" + "s" * (len(ring) != 1)
        raise DataError(f"{where}: ring with {count}, at least 3 needed")
    return ring


def ring_area(ring: Ring) -> float:
    """Area inside, square pixels; of a line that crosses itself, the loops' difference."""
    row, column = (ring - ring[0]).T
    return float(abs(row @ np.roll(column, 1) - column @ np.roll(row, 1)) / 2)


class Edges(NamedTuple):
    """The edges that cross a centre line of a window's rows, pointing down.

    Args:
        low: Upper ends, shape (n, 2).
        high: Lower ends, same shape.
        first: The first row that each crosses, shape (n,).
        rows: Number of rows that it crosses, same shape, at least 1.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first: NDArray[np.int64]
    rows: NDArray[np.int64]


def edges_in(rings: Sequence[Ring], window: Window) -> Edges:
    """Find the edges that matter for a window."""
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    down = (start[:, 0] <= end[:, 0])[:, None]
    low, high = np.where(down, start, end), np.where(down, end, start)
    # Row k is crossed where low <= k + 0.5 < high: a corner belongs to one of its two edges.
    first = np.clip(np.ceil(low[:, 0] - 0.5), window.top, window.bottom).astype(np.int64)
    last = np.clip(np.ceil(high[:, 0] - 0.5), window.top, window.bottom).astype(np.int64)
    crossing = last > first
    return Edges(low[crossing], high[crossing], first[crossing], (last - first)[crossing])


def fill(edges: Edges, window: Window) -> NDArray[np.bool_]:
    """Say which pixels have their centre inside, by the even-odd rule.

    A centre on a left or upper edge is inside, on a right or lower one it is not: of two shapes
    with a common edge each pixel belongs to one.

    Returns:
        Shape (window.height, window.width).
    """
    odd = np.zeros((window.height, window.width + 1), np.uint8)
    for part in _parts(edges):
        ends = np.cumsum(part.rows)
        steps = np.arange(ends[-1]) - np.repeat(ends - part.rows, part.rows)
        row = np.repeat(part.first, part.rows) + steps
        low, high = (np.repeat(side, part.rows, axis=0) for side in (part.low, part.high))
        share = (row + 0.5 - low[:, 0]) / (high[:, 0] - low[:, 0])  # [0, 1)
        crossed = low[:, 1] + share * (high[:, 1] - low[:, 1])
        column = np.clip(np.ceil(crossed - 0.5), window.left, window.right).astype(np.int64)
        flat = (row - window.top) * (window.width + 1) + column - window.left
        np.add.at(odd.reshape(-1), flat, np.uint8(1))  # wraps at 256, so odd stays odd
    np.add.accumulate(odd, axis=1, out=odd)
    return np.asarray(odd[:, :-1] & 1, np.bool_)


def _parts(edges: Edges) -> Iterator[Edges]:
    """Edges with at most about `CROSSINGS` crossings each time."""
    ends = np.cumsum(edges.rows)
    total = int(ends[-1]) if ends.size else 0
    bounds = [0, *np.searchsorted(ends, np.arange(CROSSINGS, total, CROSSINGS)), ends.size]
    low, high, first, rows = edges
    for begin, end in pairwise(bounds):
        if begin < end:
            here = slice(begin, end)
            yield Edges(low[here], high[here], first[here], rows[here])
