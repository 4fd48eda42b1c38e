"""Touching objects cut apart: a line of background between them, in a mask of any size."""

from collections.abc import Iterator
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from cervseg.classes import BACKGROUND
from cervseg.inference.objects import covers
from cervseg.inference.objects.growth import Object, Part, join_parts
from cervseg.inference.objects.runs import Numbers, find_runs
from cervseg.inference.objects.splitting import LARGEST, split_touching
from cervseg.inference.rows import Rows, WritableRows, pieces


def cut_touching(mask: WritableRows, distance: float, *, piece: int) -> None:
    """Make background of the pixels along which objects are to be divided, in place.

    Two passes; kept are the covers of the objects still open, and 8 bytes for each pixel that is
    cut. The result does not depend on the pieces.

    Args:
        mask: Class indices, uint8.
        distance: Of the middles of two objects at least, pixels; see `split_touching`.
        piece: Pixels worked on at once, about.
    """
    found = list(_find_cuts(mask, distance, piece))
    if not found:
        return
    pixels = np.sort(np.concatenate(found))
    for top, height in pieces(mask, piece):
        first, last = np.searchsorted(pixels, (top * mask.width, (top + height) * mask.width))
        if first < last:
            rows = mask.read(top, height).copy()
            rows.reshape(-1)[pixels[first:last] - top * mask.width] = BACKGROUND
            mask.write(top, rows)


def _find_cuts(mask: Rows, distance: float, piece: int) -> Iterator[Numbers]:
    """The pixels to cut, in reading order of the mask, object by object."""

    def read(top: int, height: int) -> Part:
        rows = mask.read(top, height)
        runs = find_runs(rows, top)
        drawn = runs.take(runs.value != BACKGROUND)
        return Part(top + height, drawn, np.zeros(int(drawn.length.sum()), np.float32))

    for objects in join_parts(starmap(read, pieces(mask, piece)), mask.height):
        for each in objects:
            top, left, height, width = each.sums.window()
            too_large = height * width > LARGEST or each.sums.runs > covers.MOST_RUNS
            if max(height, width) > distance and not too_large:
                row, column = np.nonzero(borders(split_touching(_draw(each), distance)))
                if len(row):
                    yield (row + top) * mask.width + column + left


def _draw(each: Object) -> NDArray[np.bool_]:
    """Its pixels, in its window."""
    top, left, height, width = each.sums.window()
    runs = each.cover.as_runs(1)
    steps = np.zeros((height, width + 1), np.int8)
    steps[runs.row - top, runs.left - left] += 1
    steps[runs.row - top, runs.right - left] -= 1
    return np.cumsum(steps[:, :-1], axis=1, dtype=np.int8) > 0


def borders(parts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The pixels of parts that touch a part of a lower number, 8-connected.

    Args:
        parts: 0 outside, shape (height, width).
    """
    found = np.zeros(parts.shape, np.bool_)
    height, width = parts.shape
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        here = np.s_[: height - down, max(0, -right) : width - max(0, right)]
        there = np.s_[down:, max(0, right) : width - max(0, -right)]
        one, other = parts[here], parts[there]
        touch = (one > 0) & (other > 0)
        found[here] |= touch & (one > other)
        found[there] |= touch & (other > one)
    return found
