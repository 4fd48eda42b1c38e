"""Touching objects told apart: each pixel goes up to the middle of its own."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.inference.objects.runs import Numbers

LARGEST = 4_000_000
"""Pixels of the box of an object that is split; larger ones stay whole."""

NECK = 0.8
"""Two parts are objects where the way between them is narrower than this share of the narrower."""

_HALF = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Every second of the eight neighbours: row and column."""


def split_touching(inside: NDArray[np.bool_], distance: float) -> NDArray[np.int32]:
    """Divide an object into parts with a middle of their own.

    The distance to the outside is a relief; every pixel belongs to the summit it climbs to, always
    to its highest neighbour. Summits are then joined over their passes, from the highest pass down
    (the watershed by flooding of Vincent and Soille, 1991, https://doi.org/10.1109/34.87344, upside
    down), unless both parts are far and deep enough apart: their summits at least `distance` from
    each other, and the pass lower than `NECK` times the lower summit.

    Args:
        inside: The object, shape (height, width).
        distance: Between the middles of two parts at least, pixels.

    Returns:
        0 outside, the parts 1 and up in reading order, same shape.
    """
    relief = relief_of(inside)
    summit = _climb(relief)
    height = relief[1:-1, 1:-1][inside]
    pixels, basin = np.unique(summit[1:-1, 1:-1][inside], return_inverse=True)
    peak = relief.reshape(-1)[pixels]
    place = np.stack(np.divmod(pixels, relief.shape[1]), axis=-1)
    numbers = np.zeros(inside.shape, np.int64)
    numbers[inside] = basin + 1
    heights = np.zeros(inside.shape, np.float32)
    heights[inside] = height
    root = _join(_passes(numbers, heights), peak, place, distance=distance)
    first = np.full(len(pixels), basin.size)
    np.minimum.at(first, root[basin], np.arange(basin.size))
    rank = np.empty(len(pixels), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(pixels) + 1)
    parts = np.zeros(inside.shape, np.int32)
    parts[inside] = rank[root[basin]]
    return parts


def relief_of(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The distance of each pixel to the nearest outside, with an edge of zeros around."""
    padded = np.pad(inside, 1).astype(np.uint8)
    near = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Its last bits depend on where in memory the picture lies; the squares are whole numbers.
    return np.sqrt(np.rint(np.square(near, dtype=np.float64))).astype(np.float32)


def _climb(relief: NDArray[np.float32]) -> Numbers:
    """The summit that each pixel climbs to, as a number in reading order, shape of the relief.

    Of equal heights the first in reading order is the higher, so that plateaus have one summit.
    """
    order = np.argsort(-relief, axis=None, kind="stable")
    rank = np.empty(relief.size, np.int64)
    rank[order] = np.arange(relief.size)  # 0 is the highest
    target = order[ndimage.minimum_filter(rank.reshape(relief.shape), 3).reshape(-1)]
    while True:  # each round doubles the climb
        further = target[target]
        if (further == target).all():
            return np.asarray(target.reshape(relief.shape), np.int64)
        target = further


def _passes(basins: Numbers, heights: NDArray[np.float32]) -> list[tuple[float, int, int]]:
    """The highest pass between every two basins that touch: its height and their numbers.

    From the highest down; of equals the one with the lowest numbers first.
    """
    height, width = basins.shape
    ones, others, passes = [], [], []
    for down, right in _HALF:
        here = np.s_[: height - down, max(0, -right) : width - max(0, right)]
        there = np.s_[down:, max(0, right) : width - max(0, -right)]
        one, other = basins[here], basins[there]
        border = (one > 0) & (other > 0) & (one != other)
        ones.append(np.minimum(one, other)[border] - 1)
        others.append(np.maximum(one, other)[border] - 1)
        passes.append(np.minimum(heights[here], heights[there])[border])
    one, other, level = map(np.concatenate, (ones, others, passes))
    order = np.lexsort((other, one, -level))
    pair = one[order] * (int(basins.max()) + 1) + other[order]
    _, first = np.unique(pair, return_index=True)
    chosen = order[np.sort(first)]
    return list(
        zip(level[chosen].tolist(), one[chosen].tolist(), other[chosen].tolist(), strict=True)
    )


def _join(
    passes: list[tuple[float, int, int]],
    peak: NDArray[np.float32],
    place: Numbers,
    *,
    distance: float,
) -> Numbers:
    """The basin whose summit each basin ends up with."""
    parent = list(range(len(peak)))
    peaks, places = peak.tolist(), place.tolist()

    def find(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    for level, one, other in passes:
        high, low = find(one), find(other)
        if (peaks[high], -high) < (peaks[low], -low):
            high, low = low, high
        apart = np.hypot(places[high][0] - places[low][0], places[high][1] - places[low][1])
        if high != low and (apart < distance or level >= NECK * peaks[low]):
            parent[low] = high
    return np.array([find(basin) for basin in range(len(peak))])
