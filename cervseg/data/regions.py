"""Connected regions of a mask that are too small to be meant."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask
from cervseg.classes import BACKGROUND, Classes


def speck_limit(pixels: int) -> int:
    """From how many pixels on a region is an object, in an image of so many pixels."""
    return max(8, pixels // 100_000)  # 31 in a field of 2048 x 1536, where a cell has thousands


def hole_limit(pixels: int) -> int:
    """From how many pixels on a gap is left on purpose, in an image of so many pixels."""
    return max(16, pixels // 10_000)


class Regions(NamedTuple):
    """Pixels, shape (height, width), and how many connected regions they make."""

    pixels: NDArray[np.bool_]
    number: int


def find_specks(mask: Mask, classes: Classes) -> Regions:
    """The 8-connected regions of a class that are too small to be an object."""
    pixels, number = np.zeros(mask.shape, np.bool_), 0
    for index in range(1, len(classes) + 1):
        found = _small_regions(mask == index, 8, limit=speck_limit(mask.size))
        pixels, number = pixels | found.pixels, number + found.number
    return Regions(pixels, number)


def find_holes(mask: Mask) -> Regions:
    """The 4-connected regions of background, off the image's border, too small to be meant."""
    return _small_regions(mask == BACKGROUND, 4, limit=hole_limit(mask.size), inside=True)


def _small_regions(
    region: NDArray[np.bool_],
    connectivity: Literal[4, 8],
    *,
    limit: int,
    inside: bool = False,
) -> Regions:
    height, width = region.shape
    _, labels, table, _ = cv2.connectedComponentsWithStats(
        region.astype(np.uint8), connectivity=connectivity
    )
    left, top, across, down, area = table.T
    chosen = area < limit
    if inside:
        chosen &= (left > 0) & (top > 0) & (left + across < width) & (top + down < height)
    chosen[0] = False  # all that is not in the region
    return Regions(chosen[labels], int(chosen.sum()))
