"""Where a person should look first: the places where the model is least sure of its mask."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask, Probabilities
from cervseg.grid import Window

SIDE = 256
"""Of a place, pixels of the mask."""


class Place(NamedTuple):
    """A square of a mask.

    Args:
        window: Pixels of the mask.
        wrong: How many of them are expected to be wrong.
    """

    window: Window
    wrong: float


def chance_of_error(
    mask: Mask, probabilities: Probabilities, first_channel: int
) -> NDArray[np.float32]:
    """How likely each pixel is of another class than the mask says, by the probabilities.

    Args:
        mask: Class indices, shape (height, width).
        probabilities: Shape (height, width, channels).
        first_channel: That of class 1: 0 for independent classes, of which any may be the truth;
            1 where channel 0 is the background.

    Returns:
        In [0, 1], shape (height, width). Where all channels are 0, nothing was predicted: 0.
    """
    if first_channel:
        own = np.take_along_axis(probabilities, mask[..., None].astype(np.int64), axis=-1)
        return np.asarray((probabilities.sum(axis=-1) - own[..., 0]).clip(0, 1), np.float32)
    wrong = probabilities.max(axis=-1)
    rows, columns = np.nonzero(mask)
    wrong[rows, columns] = (
        1 - probabilities[rows, columns, mask[rows, columns].astype(np.int64) - 1]
    )
    return np.asarray(wrong, np.float32)


class Places:
    """Sums over squares of an image of any size, while its rows go by.

    Args:
        height: Of the mask.
        width: Of the mask.
        side: Of a square, pixels.
    """

    def __init__(self, height: int, width: int, side: int = SIDE) -> None:
        self._height, self._width, self._side = height, width, side
        self._sums = np.zeros((-(-height // side), -(-width // side)))

    def add(self, top: int, wrong: NDArray[np.float32]) -> None:
        """Add rows from `top` on, shape (rows, width)."""
        starts = np.arange(0, self._width, self._side)
        across = np.add.reduceat(wrong.astype(np.float64), starts, axis=1)
        np.add.at(self._sums, (top + np.arange(len(wrong))) // self._side, across)

    def worst(self, count: int) -> list[Place]:
        """The squares with most of them, of equal ones the first in reading order."""
        order = np.argsort(-self._sums, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, self._sums.shape)
        side, places = self._side, []
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            top, left = row * side, column * side
            height, width = min(side, self._height - top), min(side, self._width - left)
            window = Window(top, left, height, width)
            places.append(Place(window, float(self._sums[row, column])))
        return [place for place in places if place.wrong > 0]
