"""Shapes with a name: painted into class indices and objects, and traced back."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.outlines import outlines
from cervseg.annotations.rings import Polygon, edges_in, fill
from cervseg.arrays import Mask
from cervseg.classes import BACKGROUND, IGNORE
from cervseg.errors import DataError
from cervseg.grid import Window

MOST_OBJECTS = 65_535
"""In one image: their numbers have 16 bits."""

MOST_WORK = 1_000_000_000
"""Pixels that the shapes of one image may cover in all, or 20 times the image: seconds."""


class Shape(NamedTuple):
    """One annotated thing.

    Args:
        name: Its class, as annotated.
        polygons: All of it; what two of them cover is covered.
        record: Where it came from, for messages: `feature 3`.
    """

    name: str
    polygons: tuple[Polygon, ...]
    record: str = "a shape"

    @property
    def area(self) -> float:
        """Square pixels."""
        return sum(polygon.area for polygon in self.polygons)


class Labels(NamedTuple):
    """Pixels of one image.

    Args:
        mask: Class indices, shape (height, width); 255 is ignored.
        objects: 0 for background, else the number of the object, 1 and up without gaps, same
            shape.
    """

    mask: Mask
    objects: NDArray[np.uint16]


def paint(shapes: Sequence[Shape], height: int, width: int, *, index: Mapping[str, int]) -> Labels:
    """Say what is at the centre of every pixel.

    A pixel belongs to a shape when its centre lies inside. Where shapes overlap, the smaller one
    (by the area of its outline) lies on top, so that a nucleus stays whole on its cell; of two
    equals the later. What is ignored lies on top of all: nobody has looked at what is below it.
    Shapes are cut at the edge of the image. Objects are numbered as they come; what is background
    or ignored is none, and what is covered or too small for a pixel is gone.

    Args:
        shapes: In pixels of the image.
        height: Of the image, pixels.
        width: Likewise.
        index: What each name means: 0 background, 1 and up the classes, 255 ignored.

    Raises:
        DataError: A name is not in `index`; a shape lies outside the image (so it is of another
            image, or another scale); they are too many, or absurdly large. Names no file.
    """
    _check_names(shapes, index)
    numbers = _numbers([index[shape.name] for shape in shapes])
    labels = Labels(np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16))
    budget = Budget(height, width)

    def height_of(i: int) -> tuple[bool, float]:
        return index[shapes[i].name] == IGNORE, -shapes[i].area

    for i in sorted(range(len(shapes)), key=height_of):  # Python's sort keeps the order of equals
        windows = [_window(polygon, height, width) for polygon in shapes[i].polygons]
        if not any(windows):
            raise _outside(shapes[i], height, width)
        for polygon, window in zip(shapes[i].polygons, windows, strict=True):
            if window is None:
                continue
            edges = edges_in((polygon.exterior, *polygon.holes), window)
            budget.spend(window.height * window.width + int(edges.rows.sum()) + 1000)
            inside = fill(edges, window)
            here = np.s_[window.top : window.bottom, window.left : window.right]
            labels.mask[here][inside] = index[shapes[i].name]
            labels.objects[here][inside] = numbers[i]
    return Labels(labels.mask, renumber(labels.objects))


def trace(labels: Labels, names: Sequence[str]) -> list[Shape]:
    """Outline every object along the edges of its pixels.

    `paint(trace(labels))` is `labels`. Pixels are connected by their sides: what touches only at
    a corner becomes several polygons of one shape.

    Args:
        labels: Objects with one class each; where one has several, each becomes a shape. What is
            background, ignored or no object is left out.
        names: Of the classes from 1 on.
    """
    mask, objects = labels
    counts = (objects > 0) & (mask > 0) & (mask <= len(names))
    codes = np.where(counts, objects.astype(np.int32) << 8 | mask, 0)
    return [
        Shape(names[(code & 255) - 1], polygons, f"object {code >> 8}")
        for code, polygons in outlines(codes).items()
    ]


def renumber(objects: NDArray[np.integer]) -> NDArray[np.uint16]:
    """Close the gaps in the numbers of objects: 1 and up, in the order they had.

    Args:
        objects: 0 for background, no number below it.

    Raises:
        DataError: There are more objects than 16 bits can number. Names no file.
    """
    if objects.max(initial=0) <= MOST_OBJECTS:
        occurs = np.zeros(MOST_OBJECTS + 1, np.bool_)
        occurs[objects] = True
        occurs[0] = False
        table = np.where(occurs, np.cumsum(occurs), 0).astype(np.uint16)
        return np.asarray(table[objects], np.uint16)
    values, places = np.unique(objects, return_inverse=True)
    first = 0 if values[0] == 0 else 1
    if values.size + first > MOST_OBJECTS + 1:
        raise _too_many(values.size - 1 + first)
    return np.asarray((places + first).reshape(objects.shape), np.uint16)


class Budget:
    """Keeps a hostile file from working for hours.

    Args:
        height: Of the image, pixels.
        width: Likewise.
        where: What stands before the error.
    """

    def __init__(self, height: int, width: int, *, where: str = "") -> None:
        self._left = max(MOST_WORK, 20 * height * width)
        self._where = where

    def spend(self, pixels: int) -> None:
        """Count pixels that are about to be worked on.

        Raises:
            DataError: It is too much.
        """
        self._left -= pixels
        if self._left < 0:
            raise DataError(
                f"{self._where}the shapes cover more pixels in all than any real annotation"
            )


def _check_names(shapes: Sequence[Shape], index: Mapping[str, int]) -> None:
    unknown = sorted({shape.name for shape in shapes} - set(index))
    if unknown:
        raise DataError(
            f"no class for {', '.join(map(repr, unknown))}; known are {', '.join(map(repr, index))}"
        )


def _numbers(indices: Sequence[int]) -> list[int]:
    """A number for each object, 0 for what is none."""
    numbers, count = [], 0
    for value in indices:
        is_object = value not in (BACKGROUND, IGNORE)
        count += is_object
        numbers.append(count if is_object else 0)
    if count > MOST_OBJECTS:
        raise _too_many(count)
    return numbers


def _too_many(count: int) -> DataError:
    return DataError(f"{count} objects, at most {MOST_OBJECTS} in one image")


def _window(polygon: Polygon, height: int, width: int) -> Window | None:
    """The pixels a polygon can reach; None if it lies outside the image."""
    corners = np.concatenate((polygon.exterior, *polygon.holes))
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
    if bottom <= 0 or right <= 0 or top >= height or left >= width:
        return None
    first = max(0, int(top)), max(0, int(left))
    last = min(height, int(np.ceil(bottom))), min(width, int(np.ceil(right)))
    return Window(*first, last[0] - first[0], last[1] - first[1])


def _outside(shape: Shape, height: int, width: int) -> DataError:
    corners = np.concatenate([polygon.exterior for polygon in shape.polygons])
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
    return DataError(
        f"{shape.record} lies outside the image of {width} x {height} pixels: "
        f"x {left:g} to {right:g}, y {top:g} to {bottom:g}",
        hint="is it the annotation of another image, or of another scale?",
    )
