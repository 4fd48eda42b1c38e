"""Images around images: at another scale, or padded by reflection."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB
from cervseg.grid import Window
from cervseg.images.image import Image
from cervseg.images.photo import Photo
from cervseg.images.resampling import axis_filter, resample_rgb, resample_strips

STRIP = 1_000_000
"""Pixels that are worked on at once: of an image whose full width a view shows, of a small view."""


STEP = 64
"""Rows of a small view that are resampled at once: what is needed for them fits into a cache."""


@dataclass(frozen=True)
class Scaled:
    """An image brought to another size; the only place where photographs are resampled.

    Law: a window equals that window of the whole scaled image, bit for bit.
    """

    image: Image
    height: int
    width: int

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of this view."""
        mpp = self.image.mpp
        return None if mpp is None else mpp * self.image.height / self.height

    @property
    def levels(self) -> tuple[Image, ...]:
        """None: a view shows one level of its image."""
        return ()

    def working_set(self, height: int) -> int:
        """What the image keeps for the rows that a window of this view looks at, bytes."""
        if (self.height, self.width) == (self.image.height, self.image.width):
            return self.image.working_set(height)
        step = self.image.height / self.height
        return self.image.working_set(ceil((height - 1) * step) + 2 * ceil(max(1.0, step)) + 1)

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3)."""
        if (self.height, self.width) == (self.image.height, self.image.width):
            return self.image.read(window)
        top, rows = axis_filter(
            window.top, window.height, source=self.image.height, target=self.height
        )
        left, columns = axis_filter(
            window.left, window.width, source=self.image.width, target=self.width
        )
        source = Window(top, left, rows.sources, columns.sources)
        # A narrower window has neighbours, for which a reader keeps what this one decodes.
        if source.width < self.image.width or source.height * source.width <= STRIP:
            return resample_rgb(self.image.read(source), rows, columns)
        return resample_strips(_strips(self.image, source), rows, columns)


def _strips(image: Image, window: Window) -> Iterator[RGB]:
    """Read a window from top to bottom, some rows at once."""
    height = max(1, STRIP // window.width)
    for top in range(window.top, window.bottom, height):
        yield image.read(Window(top, window.left, min(height, window.bottom - top), window.width))


def scaled_length(length: int, scale: float) -> int:
    """A side at another scale, in whole pixels, never none."""
    return max(1, round(length * scale))


def scale_image(image: Image, vertical: float, horizontal: float) -> Scaled:
    """See an image at a scale, in target pixels per pixel of the image.

    The coarsest level of the file that is still as large as the target is read, as it costs least.
    """
    height, width = scaled_length(image.height, vertical), scaled_length(image.width, horizontal)
    enough = [level for level in image.levels if level.height >= height and level.width >= width]
    source = min(enough, key=lambda level: level.height, default=image)
    return Scaled(source, height, width)


def keep_small(view: Image) -> Image:
    """Resample a small view once: tiles that overlap would do it several times."""
    if view.height * view.width > STRIP:
        return view
    return Photo(read_in_steps(view, STEP), mpp=view.mpp)


def read_in_steps(image: Image, step: int) -> RGB:
    """Read all of an image, so many rows at once, as resampling takes several times their room."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, step):
        rows = pixels[top : top + step]
        rows[:] = image.read(Window(top, 0, len(rows), image.width))
    return pixels


def fit_image(image: Image, size: int, *, file_scale: tuple[float, float] = (1.0, 1.0)) -> Scaled:
    """See an image reduced or enlarged so that its longer side is `size`, never squeezed.

    Args:
        image: The image.
        size: Pixels of the longer side.
        file_scale: Full-size pixels per file pixel, where the file itself is squeezed.
    """
    vertical, horizontal = file_scale
    scale = size / max(image.height * vertical, image.width * horizontal)
    return scale_image(image, vertical * scale, horizontal * scale)


def reflected(first: int, count: int, length: int) -> NDArray[np.int64]:
    """Indices that continue a side of `length` pixels by reflection, edge pixel not repeated."""
    if length == 1:
        return np.zeros(count, np.int64)
    period = 2 * (length - 1)
    phase = np.arange(first, first + count, dtype=np.int64) % period
    return np.asarray(np.minimum(phase, period - phase))


@dataclass(frozen=True)
class Padded:
    """An image continued by reflection to the right and below."""

    image: Image
    height: int
    width: int

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel."""
        return self.image.mpp

    @property
    def levels(self) -> tuple[Image, ...]:
        """None: a view shows one level of its image."""
        return ()

    def working_set(self, height: int) -> int:
        """What the image keeps, bytes."""
        return self.image.working_set(height)

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3)."""
        if window.bottom <= self.image.height and window.right <= self.image.width:
            return self.image.read(window)
        rows = reflected(window.top, window.height, self.image.height)
        columns = reflected(window.left, window.width, self.image.width)
        top, left = int(rows.min()), int(columns.min())
        inner = Window(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)
        return self.image.read(inner)[np.ix_(rows - top, columns - left)]
