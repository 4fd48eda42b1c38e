"""A field at the model's scale, read in windows: image and mask alike, also over the border."""

from dataclasses import dataclass

import cv2
import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE
from cervseg.grid import Window
from cervseg.images.image import Image
from cervseg.images.resampling import Interpolation, scale_mask
from cervseg.images.views import reflected, scale_image


@dataclass(frozen=True)
class ScaledField:
    """A photograph and its truth, both seen at one scale.

    Law: a window equals that window of the whole, bit for bit, for image and mask.

    Args:
        image: At the model's scale.
        mask: Class indices, of the image's size or of the file's.
        interpolation: Of a mask of the file's size.
    """

    image: Image
    mask: Mask
    interpolation: Interpolation = "nearest"

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.image.height

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.image.width

    def read(self, window: Window) -> tuple[RGB, Mask]:
        """Read a window that may hang over the border, but not lie beyond it.

        Outside the field the image goes on by reflection, and the mask is 255.

        Returns:
            Pixels (window.height, window.width, 3) and classes of that height and width.
        """
        rows = reflected(window.top, window.height, self.height)
        columns = reflected(window.left, window.width, self.width)
        top, left = int(rows.min()), int(columns.min())
        inner = Window(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)
        pixels, labels = self.image.read(inner), self.read_mask(inner)
        if inner == window:
            return pixels, labels
        above, before = max(0, -window.top), max(0, -window.left)
        below, behind = max(0, window.bottom - self.height), max(0, window.right - self.width)
        sides = (above, below, before, behind)
        wider = cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_REFLECT_101)
        known = cv2.copyMakeBorder(labels, *sides, cv2.BORDER_CONSTANT, value=IGNORE)
        # What is mirrored may lie deeper in the field than the window reaches.
        first, start = window.top + above - top, window.left + before - left
        region = np.s_[first : first + window.height, start : start + window.width]
        return np.asarray(wider[region], np.uint8), np.asarray(known[region], np.uint8)

    def read_mask(self, window: Window) -> Mask:
        """Read the classes of a window inside the field."""
        return scale_mask(
            self.mask, self.height, self.width, window=window, interpolation=self.interpolation
        )


def scale_field(
    image: Image,
    mask: Mask,
    scale: tuple[float, float],
    *,
    interpolation: Interpolation = "nearest",
) -> ScaledField:
    """See a photograph and its mask at another scale.

    Args:
        image: The photograph.
        mask: Of its size.
        scale: Target pixels per pixel of the file, vertical and horizontal.
        interpolation: Of the mask.
    """
    return ScaledField(scale_image(image, *scale), mask, interpolation)


def window_about(row: int, column: int, side: int) -> Window:
    """The square window with a pixel in its middle (right below the middle for even sides)."""
    return Window(row - side // 2, column - side // 2, side, side)
