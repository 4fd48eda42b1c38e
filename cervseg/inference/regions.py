"""Regions of interest: which tiles they touch, and which pixels lie inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.geojson import read_geojson
from cervseg.annotations.rings import Polygon, Ring, edges_in, fill
from cervseg.annotations.shapes import Shape
from cervseg.errors import ConfigError, DataError
from cervseg.grid import Window


@dataclass(frozen=True)
class Regions:
    """The parts of an image that count; what two polygons cover is covered.

    Args:
        height: Of the image, pixels.
        width: Likewise.
        polygons: In its pixels.
    """

    height: int
    width: int
    polygons: tuple[Polygon, ...]

    @cached_property
    def boxes(self) -> tuple[Window, ...]:
        """The pixels each polygon can reach, cut at the edge of the image; it may be none."""
        return tuple(_box(polygon, self.height, self.width) for polygon in self.polygons)

    @property
    def bounds(self) -> Window:
        """The smallest window with all of them."""
        boxes = [box for box in self.boxes if box.height and box.width]
        top, left = min(box.top for box in boxes), min(box.left for box in boxes)
        bottom, right = max(box.bottom for box in boxes), max(box.right for box in boxes)
        return Window(top, left, bottom - top, right - left)

    def on(self, height: int, width: int) -> Self:
        """The same regions in an image of another size."""
        scale = np.array([height / self.height, width / self.width])
        moved = tuple(
            Polygon(polygon.exterior * scale, tuple(hole * scale for hole in polygon.holes))
            for polygon in self.polygons
        )
        return type(self)(height, width, moved)

    def touches(self, window: Window) -> bool:
        """Whether any part of a region lies in a window, be it smaller than a pixel."""
        return any(
            _overlap(box, window) and _meets(polygon, window)
            for polygon, box in zip(self.polygons, self.boxes, strict=True)
        )

    def rows(self, top: int, height: int) -> NDArray[np.bool_]:
        """Say which pixels have their centre inside, shape (height, width)."""
        inside = np.zeros((height, self.width), np.bool_)
        asked = Window(top, 0, height, self.width)
        for polygon, box in zip(self.polygons, self.boxes, strict=True):
            first, last = max(top, box.top), min(asked.bottom, box.bottom)
            if first >= last or not box.width:
                continue
            window = Window(first, box.left, last - first, box.width)
            here = inside[first - top : last - top, box.left : box.right]
            here |= fill(edges_in((polygon.exterior, *polygon.holes), window), window)
        return inside


def read_regions(
    roi: tuple[int, int, int, int] | Path | None, height: int, width: int
) -> Regions | None:
    """Find the regions of an image.

    What reaches beyond the image is cut.

    Args:
        roi: Top, left, height and width in pixels of the image; a GeoJSON of outlines, whose
            classes don't matter; or None for all of it.
        height: Of the image, pixels.
        width: Likewise.

    Raises:
        ConfigError: The rectangle is empty.
        DataError: The file is missing or broken, or has no region; a region lies outside the image
            or has no inside.
    """
    if roi is None:
        return None
    if isinstance(roi, Path):
        return Regions(height, width, _read_polygons(roi, height, width))
    if not (roi[2] and roi[3]):
        raise ConfigError(
            f"tiled_infer.roi: {list(roi)} is empty", hint="top, left, height, width, in pixels"
        )
    if roi[0] >= height or roi[1] >= width:
        raise DataError(
            f"tiled_infer.roi: {list(roi)} lies outside the image of {width} x {height} pixels",
            hint="top, left, height, width: rows come first",
        )
    return Regions(height, width, (Polygon(_rectangle(Window(*roi))),))


def _read_polygons(path: Path, height: int, width: int) -> tuple[Polygon, ...]:
    shapes = read_geojson(path)
    if not shapes:
        raise DataError(f"{path}: no region in it")
    for shape in shapes:
        _check(shape, path, (height, width))
    return tuple(polygon for shape in shapes for polygon in shape.polygons)


def _check(shape: Shape, path: Path, size: tuple[int, int]) -> None:
    if not shape.area > 0:
        raise DataError(f"{path}: {shape.record}: a region without an inside")
    boxes = [_box(polygon, *size) for polygon in shape.polygons]
    if not any(box.height and box.width for box in boxes):
        raise DataError(
            f"{path}: {shape.record} lies outside the image of {size[1]} x {size[0]} pixels",
            hint="is it of another image? coordinates are pixels of the full size, x first",
        )


def _box(polygon: Polygon, height: int, width: int) -> Window:
    corners = np.clip(polygon.exterior, 0, (height, width))
    top, left = np.floor(corners.min(axis=0)).astype(int).tolist()
    bottom, right = np.ceil(corners.max(axis=0)).astype(int).tolist()
    return Window(top, left, bottom - top, right - left)


def _rectangle(window: Window) -> Ring:
    top, left, bottom, right = window.top, window.left, window.bottom, window.right
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array(corners, np.float64)


def _overlap(a: Window, b: Window) -> bool:
    return a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right


def _meets(polygon: Polygon, window: Window) -> bool:
    """Whether an outline passes through a window, or the window lies inside as a whole."""
    rings = (polygon.exterior, *polygon.holes)
    if any(_passes(ring, window) for ring in rings):
        return True
    centre = np.array([window.top + window.height / 2, window.left + window.width / 2])
    return _is_inside(rings, centre)


def _passes(ring: Ring, window: Window) -> bool:
    """Whether any edge has more than one point, or an end, in the open window.

    An edge start + t · step lies between two parallel sides for an interval of t; it passes through
    the window if the intervals of both directions and [0, 1] have something in common (Liang &
    Barsky, 1984, https://doi.org/10.1145/357332.357333).
    """
    step = np.roll(ring, -1, axis=0) - ring  # (n, 2)
    low = np.array([window.top, window.left]) - ring
    high = np.array([window.bottom, window.right]) - ring
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = low / step, high / step
    still = step == 0
    between = (low < 0) & (high > 0)
    enter = np.where(still, np.where(between, -np.inf, np.inf), np.minimum(one, other))
    leave = np.where(still, np.where(between, np.inf, -np.inf), np.maximum(one, other))
    first = np.maximum(enter.max(axis=1), 0.0)
    last = np.minimum(leave.min(axis=1), 1.0)
    return bool((first < last).any())


def _is_inside(rings: Sequence[Ring], point: NDArray[np.float64]) -> bool:
    """Even-odd rule: count the edges to the left of a point that cross its height."""
    crossings = 0
    for ring in rings:
        start, end = ring, np.roll(ring, -1, axis=0)
        crossing = (start[:, 0] <= point[0]) != (end[:, 0] <= point[0])
        start, end = start[crossing], end[crossing]
        share = (point[0] - start[:, 0]) / (end[:, 0] - start[:, 0])
        columns = start[:, 1] + share * (end[:, 1] - start[:, 1])
        crossings += int((columns < point[1]).sum())
    return crossings % 2 == 1
