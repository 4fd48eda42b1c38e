"""Probabilities as rows: from finished bands to the image's own grid."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Probabilities
from cervseg.images.resampling import apply_filters, axis_filter
from cervseg.images.views import reflected
from cervseg.inference.parts import STEPS, Parts
from cervseg.inference.rows import Rows


class Steps:
    """Bands brought to another size, bilinearly; steps are whole numbers, so sums are exact.

    Args:
        parts: All bands.
        height: Rows of the view that was predicted, without its padding.
        width: Columns.
        target: Height and width of the rows to give.
    """

    def __init__(self, parts: Parts, height: int, width: int, *, target: tuple[int, int]) -> None:
        self._parts, self._source = parts, (height, width)
        self.height, self.width = target

    def read(self, top: int, height: int) -> Probabilities:
        """Read rows of probabilities, shape (height, width, channels)."""
        if self._source == (self.height, self.width):
            steps: NDArray[np.floating] | NDArray[np.uint16]
            steps = self._parts.read(top, height)[:, : self.width]
            return np.multiply(steps, np.float32(1 / STEPS), dtype=np.float32)
        first, down = axis_filter(top, height, source=self._source[0], target=self.height)
        _, across = axis_filter(0, self.width, source=self._source[1], target=self.width)
        rows = self._parts.read(first, down.sources)[:, : self._source[1]]
        steps = apply_filters(rows, down, across)
        probabilities = np.empty(steps.shape, np.float32)
        return np.multiply(steps, 1 / STEPS, out=probabilities, casting="same_kind")


class Blurred:
    """Rows smoothed with a Gaussian in each channel, edges reflected.

    Args:
        rows: Probabilities.
        sigma: Pixels.
    """

    def __init__(self, rows: Rows, sigma: float) -> None:
        self._rows, self._sigma = rows, sigma
        self.height, self.width = rows.height, rows.width
        self._radius = int(np.ceil(4 * sigma))

    def read(self, top: int, height: int) -> Probabilities:
        """Read rows of probabilities, shape (height, width, channels)."""
        rows = reflected(top - self._radius, height + 2 * self._radius, self.height)
        first, last = int(rows.min()), int(rows.max())
        around = self._rows.read(first, last - first + 1)[rows - first]
        side = 2 * self._radius + 1
        smooth = cv2.GaussianBlur(
            around, (side, side), self._sigma, borderType=cv2.BORDER_REFLECT_101
        )
        smooth = np.asarray(smooth, np.float32).reshape(around.shape)
        return smooth[self._radius : self._radius + height]


def combine(
    tiled: Probabilities, whole: Probabilities, how: Literal["mean", "minimum"]
) -> Probabilities:
    """Join the tiled and the whole-image answer, pixel by pixel."""
    if how == "mean":
        return np.asarray((tiled + whole) / 2, np.float32)
    return np.minimum(tiled, whole)


class Combined:
    """Two answers for one image, joined pixel by pixel.

    Args:
        first: Probabilities.
        second: As many.
        how: mean or minimum.
    """

    def __init__(self, first: Rows, second: Rows, how: Literal["mean", "minimum"]) -> None:
        self._first, self._second, self._how = first, second, how
        self.height, self.width = first.height, first.width

    def read(self, top: int, height: int) -> Probabilities:
        """Read rows of probabilities, shape (height, width, channels)."""
        first, second = self._first.read(top, height), self._second.read(top, height)
        return combine(first, second, self._how)


class Channels:
    """Some of the channels of rows.

    Args:
        rows: Shape (height, width, channels).
        first: The first channel wanted.
        stop: The first after it that is not.
    """

    def __init__(self, rows: Rows, first: int, stop: int) -> None:
        self._rows, self._channels = rows, slice(first, stop)
        self.height, self.width = rows.height, rows.width

    def read(self, top: int, height: int) -> Probabilities:
        """Read rows of probabilities, shape (height, width, channels)."""
        return np.asarray(self._rows.read(top, height)[..., self._channels], np.float32)
