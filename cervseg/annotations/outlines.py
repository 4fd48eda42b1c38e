"""Exact outlines of painted pixels: lines along pixel edges, from corner to corner."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.rings import Polygon, Ring

_RIGHT, _LEFT = 1, 3
"""The sides of a pixel are 0 top, 1 right, 2 bottom, 3 left: clockwise, pixel on our right."""

_STARTS = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])
"""The corner at which each side of pixel (0, 0) starts: row, column."""


class _Sides(NamedTuple):
    """All sides of pixels behind which another code begins.

    Args:
        pixel: Which pixel of the padded picture, counted along its rows, shape (n,).
        side: 0 to 3, shape (n,); all of one side together, their pixels ascending.
        begin: The first of each side, shape (5,).
        following: The next side on the way round, shape (n,).
        stride: Width of the padded picture.
    """

    pixel: NDArray[np.int64]
    side: NDArray[np.int64]
    begin: NDArray[np.int64]
    following: NDArray[np.int64]
    stride: int


class _Loops(NamedTuple):
    """The ways round pixels, one after another.

    Args:
        order: Sides in the order we walk, shape (n,).
        begin: The first of each loop in `order`, shape (loops + 1,).
    """

    order: NDArray[np.int64]
    begin: NDArray[np.int64]


def outlines(codes: NDArray[np.int32]) -> dict[int, tuple[Polygon, ...]]:
    """Trace every code of a picture.

    Pixels are connected by their sides (4-connectivity): two that share only a corner are two
    polygons, which touch there, and holes likewise. No ring touches itself, so each polygon is
    valid to the libraries of maps.

    Args:
        codes: 0 for background, shape (height, width).

    Returns:
        Polygons of each code that occurs, codes ascending, coordinates whole numbers; painted
        back they give the same pixels.
    """
    padded = np.pad(codes, 1)
    sides = _find_sides(padded)
    loops = _follow(sides.following)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for number, rings in enumerate(_rings(sides, loops)):
        holes[number] = [ring for ring, turn in rings if turn < 0]
        for ring, turn in rings:
            if turn > 0:  # at most one: a loop bounds pixels connected by their sides
                exteriors[number] = ring
    for number, around in _around_holes(sides, loops, set(exteriors)):
        holes[around] += holes[number]
    found: dict[int, list[Polygon]] = defaultdict(list)
    of_loop = padded.ravel()[sides.pixel[loops.order[loops.begin[:-1]]]].tolist()
    for number, exterior in exteriors.items():
        found[of_loop[number]].append(Polygon(exterior, tuple(holes[number])))
    return {code: tuple(found[code]) for code in sorted(found)}


def _find_sides(padded: NDArray[np.int32]) -> _Sides:
    flat, stride = padded.ravel(), padded.shape[1]
    across = np.array([-stride, 1, stride, -1])  # the neighbour behind each side
    inside = np.flatnonzero(padded)
    found = [inside[flat[inside] != flat[inside + step]] for step in across]
    begin = np.cumsum([0, *map(len, found)])
    pixel = np.concatenate(found)
    side = np.repeat(np.arange(4), np.diff(begin))
    # With the pixel on our right we go on round it where we can, else straight on along the
    # neighbour, else left along the one behind that.
    ahead = pixel + across[(side + 1) % 4]
    beyond = ahead + across[side]
    goes_round = flat[ahead] != flat[pixel]
    is_straight = ~goes_round & (flat[beyond] != flat[pixel])
    next_pixel = np.where(goes_round, pixel, np.where(is_straight, ahead, beyond))
    next_side = (side + np.where(goes_round, 1, np.where(is_straight, 0, -1))) % 4
    following = np.empty_like(pixel)
    for number, pixels in enumerate(found):
        chosen = next_side == number
        following[chosen] = begin[number] + np.searchsorted(pixels, next_pixel[chosen])
    return _Sides(pixel, side, begin, following, stride)


def _follow(following: NDArray[np.int64]) -> _Loops:
    after = following.tolist()
    seen = bytearray(len(after))
    order, begin = [], [0]
    for start in range(len(after)):
        if seen[start]:
            continue
        at = start
        while not seen[at]:
            seen[at] = 1
            order.append(at)
            at = after[at]
        begin.append(len(order))
    return _Loops(np.array(order, np.int64), np.array(begin))


def _rings(sides: _Sides, loops: _Loops) -> Iterator[list[tuple[Ring, float]]]:
    """The corners of each loop and how it turns: above 0 round pixels, below round a hole.

    A loop that meets itself is divided there.
    """
    side = sides.side[loops.order]
    before = np.roll(side, 1)
    before[loops.begin[:-1]] = side[loops.begin[1:] - 1]
    turning = np.flatnonzero(side != before)
    begin = np.searchsorted(turning, loops.begin)
    row, column = np.divmod(sides.pixel[loops.order[turning]], sides.stride)
    corners = (np.stack([row, column], axis=-1) - 1 + _STARTS[side[turning]]).astype(np.float64)
    turns = _turns(corners, begin)
    meets_itself = _with_repeats(corners, begin)
    for number, (first, last) in enumerate(pairwise(begin.tolist())):
        if number not in meets_itself:
            yield [(corners[first:last], turns[number])]
            continue
        parts = _divide(corners[first:last].tolist())
        yield [(part, _turns(part, np.array([0, len(part)]))[0]) for part in parts]


def _turns(corners: NDArray[np.float64], begin: NDArray[np.int64]) -> list[float]:
    """Twice the area of each loop, clockwise above 0."""
    if not corners.size:
        return []
    after = np.roll(corners, -1, axis=0)
    after[begin[1:] - 1] = corners[begin[:-1]]
    cross = corners[:, 1] * after[:, 0] - corners[:, 0] * after[:, 1]
    return [float(value) for value in np.add.reduceat(cross, begin[:-1])]


def _with_repeats(corners: NDArray[np.float64], begin: NDArray[np.int64]) -> set[int]:
    """The loops that come to a corner twice."""
    number = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
    order = np.lexsort((corners[:, 1], corners[:, 0], number))
    key = np.column_stack([number, corners])[order]
    return set(number[order][1:][(key[1:] == key[:-1]).all(axis=1)].tolist())


def _divide(corners: list[list[float]]) -> list[Ring]:
    """Cut a loop wherever it comes back to a corner."""
    rings = []
    way: list[tuple[float, ...]] = []
    places: dict[tuple[float, ...], int] = {}
    for corner in map(tuple, corners):
        if corner in places:
            first = places[corner]
            rings.append(np.array(way[first:]))
            for passed in way[first:]:
                del places[passed]
            del way[first:]
        places[corner] = len(way)
        way.append(corner)
    return [*rings, np.array(way)]


def _around_holes(sides: _Sides, loops: _Loops, exteriors: set[int]) -> Iterator[tuple[int, int]]:
    """For each loop that bounds only holes the next one to the left in the same pixels.

    That is the exterior they lie in, or more holes. From right to left, so that each can hand on
    what it was given.
    """
    loop_of = np.empty(len(loops.order), np.int64)
    loop_of[loops.order] = np.repeat(np.arange(len(loops.begin) - 1), np.diff(loops.begin))
    leftmost = []
    for number, (first, last) in enumerate(pairwise(loops.begin.tolist())):
        if number not in exteriors:
            # Left of a hole are right sides of pixels.
            loop = loops.order[first:last]
            pixels = sides.pixel[loop[sides.side[loop] == _RIGHT]]
            pixel = int(pixels[(pixels % sides.stride).argmin()])
            leftmost.append((pixel % sides.stride, number, pixel))
    lefts = sides.pixel[sides.begin[_LEFT] :]
    for _, number, pixel in sorted(leftmost, reverse=True):
        # Left along the pixels, to where they begin.
        start = np.searchsorted(lefts, pixel, side="right") - 1
        yield number, int(loop_of[sides.begin[_LEFT] + start])
