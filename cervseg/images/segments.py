"""Images cut into equal segments, each decoded when it is looked at and kept for a while."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from cervseg.arrays import RGB
from cervseg.grid import Window
from cervseg.images.image import Image, decoding
from cervseg.images.photo import eight_bit, over_white

Samples: TypeAlias = NDArray[np.integer]
"""Pixels as a file holds them, shape (height, width, samples), 8 or 16 bits."""

KEPT = 64_000_000
"""Bytes of decoded segments that are kept in any case, unless less is asked for."""

MAX_SEGMENT = 64_000_000
"""Pixels of a segment, at most: one is decoded as a whole."""


class SegmentCache:
    """The segments read last; several threads may ask at once, and each is decoded by one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._futures: OrderedDict[tuple[int, int], Future[RGB]] = OrderedDict()

    def get(self, key: tuple[int, int], load: Callable[[], RGB], *, count: int) -> RGB:
        """Give a segment, loaded if need be; `count` of them are kept."""
        while True:
            with self._lock:
                future = self._futures.get(key)
                mine = future is None
                if future is None:
                    future = self._futures[key] = Future()
                self._futures.move_to_end(key)
                while len(self._futures) > count:
                    self._futures.popitem(last=False)
            if mine:
                return self._fill(key, future, load)
            with suppress(CancelledError):  # the other thread failed: hear why ourselves
                return future.result()

    def _fill(self, key: tuple[int, int], future: Future[RGB], load: Callable[[], RGB]) -> RGB:
        try:
            future.set_result(load())
        finally:
            if not future.done():
                with self._lock:
                    self._futures.pop(key, None)
                future.cancel()
        return future.result()


@dataclass(frozen=True)
class Segmented:
    """An image of equal segments: tiles, strips or chunks.

    Args:
        path: For errors.
        height: Rows of pixels.
        width: Columns of pixels.
        segment: Height and width of a segment, pixels; the last ones may stick out.
        load: Decodes the segment of a row and a column, shape (height, width, 3), at least as
            much of it as lies in the image. Whatever it raises becomes one line.
        mpp: Micrometres per pixel, where known.
        levels: Coarser copies, largest first.
        spare: Bytes of decoded segments that are kept even where a row of windows touches fewer.
    """

    path: Path
    height: int
    width: int
    segment: tuple[int, int]
    load: Callable[[int, int], RGB]
    mpp: float | None = None
    levels: tuple[Image, ...] = ()
    spare: int = KEPT
    cache: SegmentCache = field(default_factory=SegmentCache, repr=False, compare=False)

    def working_set(self, height: int) -> int:
        """Bytes of decoded segments kept, at most, while windows of a height are read."""
        return self._kept(height) * self._segment_bytes

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3).

        Raises:
            DataError: A segment is missing or broken.
        """
        rows, columns = self.segment
        # A window of full width has no neighbours that would need its segments again.
        count = self._kept(window.height if window.width < self.width else 1)
        pixels = np.empty((window.height, window.width, 3), np.uint8)
        for row in range(window.top // rows, ceil(window.bottom / rows)):
            for column in range(window.left // columns, ceil(window.right / columns)):
                load = partial(self._load, row, column)
                segment = self.cache.get((row, column), load, count=count)
                _paste(pixels, window, segment, top=row * rows, left=column * columns)
        return pixels

    def _load(self, row: int, column: int) -> RGB:
        with decoding(self.path):
            return self.load(row, column)

    @property
    def _segment_bytes(self) -> int:
        return self.segment[0] * self.segment[1] * 3

    def _kept(self, height: int) -> int:
        """Segments that a row of windows touches at worst, or more if they are small."""
        down, across = ceil(self.height / self.segment[0]), ceil(self.width / self.segment[1])
        touched = min(down, (height - 2) // self.segment[0] + 2) * across
        return min(down * across, max(touched, self.spare // self._segment_bytes))


def keep_less(image: Image, spare: int) -> Image:
    """The same image, and its levels, with so many bytes of segments kept in any case.

    Other images keep nothing, or all.
    """
    if not isinstance(image, Segmented):
        return image
    levels = tuple(keep_less(level, spare) for level in image.levels)
    return replace(image, spare=spare, levels=levels)


def _paste(pixels: RGB, window: Window, segment: RGB, *, top: int, left: int) -> None:
    """Copy what a window shares with a segment that begins at (top, left) of the image."""
    first_row, first_column = max(top, window.top), max(left, window.left)
    last_row = min(top + segment.shape[0], window.bottom)
    last_column = min(left + segment.shape[1], window.right)
    shared = segment[first_row - top : last_row - top, first_column - left : last_column - left]
    down, across = first_row - window.top, first_column - window.left
    pixels[down : down + shared.shape[0], across : across + shared.shape[1]] = shared


def is_reduced(size: tuple[int, int], full: tuple[int, int]) -> bool:
    """Whether a height and width are those of a smaller copy, each side rounded up or down."""
    (height, width), (full_height, full_width) = size, full
    smaller = 0 < 4 * height <= 3 * full_height and 0 < 4 * width <= 3 * full_width
    return smaller and abs(full_width * height - full_height * width) <= full_width + full_height


def to_rgb(planes: Sequence[Samples]) -> RGB:
    """Bring samples to 8-bit RGB as `open_photo` does: one is grey, a fourth is opacity.

    Args:
        planes: The samples, or each sample by itself.
    """
    pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
    samples = pixels.shape[-1]
    if samples == 4:
        return over_white(Pillow.fromarray(pixels.astype(np.uint8)))
    if pixels.dtype == np.uint16:
        pixels = eight_bit(pixels) if samples == 1 else pixels >> 8
    eight = pixels.astype(np.uint8, copy=False)
    return np.repeat(eight, 3, axis=-1) if samples == 1 else eight
