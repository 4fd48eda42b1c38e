"""Objects as GeoJSON, which QuPath opens, and as a table; written while they are found.

All coordinates and measures are in pixels of the image at full resolution (level 0). The GeoJSON is
a collection of detections, or annotations, as QuPath exports them: `objectType`, `classification`
with name and colour, `measurements` by name. An object whose parts touch only at corners is a
MultiPolygon. The table has a row an object, with the same `id`: window, centroid (`row`, `column`),
area, perimeter, the diameter of the circle of equal area, mean probability, number of holes.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.rings import Ring
from cervseg.classes import Classes
from cervseg.files import write_csv, writing
from cervseg.inference.decision import ClassCount
from cervseg.inference.objects.finding import Segment
from cervseg.reports import JSON

COLUMNS = (
    "id", "class", "top", "left", "height", "width", "row", "column", "area_px", "area_um2",
    "perimeter_px", "perimeter_um", "diameter_px", "probability", "holes",
)  # fmt: skip

ObjectType = Literal["detection", "annotation"]

_POINTS = 50_000
"""Written at once: an outline may have millions."""


def write_objects(
    geojson: Path,
    table: Path,
    segments: Iterable[Segment],
    *,
    classes: Classes,
    mpp: float | None,
    scale: tuple[float, float] = (1, 1),
    kind: ObjectType = "detection",
) -> list[ClassCount]:
    """Write objects one after another; each file whole or not at all.

    Identifiers follow from what is written, so equal objects make equal files.

    Args:
        geojson: The one file.
        table: The other, CSV.
        segments: In the mask's pixels.
        classes: Their names and colours.
        mpp: Micrometres per pixel at level 0; None leaves micrometres empty.
        scale: Level-0 pixels per pixel of the mask, down and across.
        kind: What QuPath takes them for. It lets nobody change the outline of a detection.

    Returns:
        Objects, and pixels of the mask, of each class.

    Raises:
        BudgetError: The disk is full.
        OutputError: A file can't be written.
    """
    counts = [[0, 0] for _ in classes.names]
    sizes = _Sizes(mpp, scale)
    with writing(geojson) as partial, partial.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        counted = _counted(segments, counts)
        write_csv(table, COLUMNS, _rows(file, counted, classes=classes, sizes=sizes, kind=kind))
        file.write("\n]}\n")
    return [ClassCount(name, *count) for name, count in zip(classes.names, counts, strict=True)]


def _counted(segments: Iterable[Segment], counts: list[list[int]]) -> Iterator[Segment]:
    """Let segments pass; add each to the objects and pixels of its class."""
    for segment in segments:
        counts[segment.class_index - 1][0] += 1
        counts[segment.class_index - 1][1] += segment.area
        yield segment


def _rows(
    file: TextIO,
    segments: Iterable[Segment],
    *,
    classes: Classes,
    sizes: "_Sizes",
    kind: ObjectType,
) -> Iterator[list[object]]:
    """The rows of the table; each feature is written just before its row is given."""
    for number, segment in enumerate(segments):
        name = classes.names[segment.class_index - 1]
        colour = classes.colours[segment.class_index - 1]
        identity = _identity(number, name, segment)
        file.write(",\n" if number else "\n")
        properties: dict[str, JSON] = {
            "objectType": kind,
            "classification": {"name": name, "color": list(colour)},
            "measurements": sizes.measurements(segment),
        }
        _write_feature(file, segment, sizes, identity=identity, properties=properties)
        yield [identity, name, *sizes.row(segment)]


class _Sizes:
    """Turns pixels of the mask into those of level 0, and those into micrometres."""

    def __init__(self, mpp: float | None, scale: tuple[float, float]) -> None:
        self.mpp, self.down, self.across = mpp, *map(float, scale)

    def area(self, segment: Segment) -> float:
        """Square pixels."""
        return segment.area * self.down * self.across

    def perimeter(self, segment: Segment) -> float:
        """Pixels; of a scale that differs down and across the geometric mean."""
        return segment.perimeter * math.sqrt(self.down * self.across)

    def measurements(self, segment: Segment) -> dict[str, JSON]:
        """By the names QuPath gives its own."""
        area, perimeter = self.area(segment), self.perimeter(segment)
        found: dict[str, JSON] = {
            "Area px^2": _short(area),
            "Perimeter px": _short(perimeter),
            "Mean probability": _short(segment.probability, 6),
        }
        if self.mpp is not None:
            found["Area µm^2"] = _short(area * self.mpp**2)
            found["Perimeter µm"] = _short(perimeter * self.mpp)
        return found

    def row(self, segment: Segment) -> list[object]:
        """Columns of the table from `top` on."""
        window, (row, column) = segment.window, segment.centroid
        area, perimeter = self.area(segment), self.perimeter(segment)
        um2 = None if self.mpp is None else _short(area * self.mpp**2)
        um = None if self.mpp is None else _short(perimeter * self.mpp)
        return [
            _short(window.top * self.down),
            _short(window.left * self.across),
            _short(window.height * self.down),
            _short(window.width * self.across),
            _short(row * self.down),
            _short(column * self.across),
            _short(area),
            um2,
            _short(perimeter),
            um,
            _short(2 * math.sqrt(area / math.pi)),
            _short(segment.probability, 6),
            sum(len(polygon.holes) for polygon in segment.polygons),
        ]

    def points(self, ring: Ring) -> NDArray[np.float64]:
        """A closed ring, x to the right and y down, shape (n + 1, 2)."""
        closed = np.concatenate([ring, ring[:1]])
        return np.round(closed[:, ::-1] * (self.across, self.down), 3)


def _short(value: float, digits: int = 3) -> float | int:
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _identity(number: int, name: str, segment: Segment) -> str:
    digest = hashlib.sha256()
    for polygon in segment.polygons:
        for ring in (polygon.exterior, *polygon.holes):
            digest.update(np.ascontiguousarray(ring, "<f8").data)
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {name} {digest.hexdigest()}"))


def _write_feature(
    file: TextIO,
    segment: Segment,
    sizes: _Sizes,
    *,
    identity: str,
    properties: Mapping[str, JSON],
) -> None:
    is_single = len(segment.polygons) == 1
    kind = "Polygon" if is_single else "MultiPolygon"
    file.write(f'{{"type": "Feature", "id": "{identity}", "geometry": {{"type": "{kind}", ')
    file.write('"coordinates": ' if is_single else '"coordinates": [')
    for number, polygon in enumerate(segment.polygons):
        file.write(", [" if number else "[")
        for index, ring in enumerate((polygon.exterior, *polygon.holes)):
            file.write(", [" if index else "[")
            _write_points(file, sizes.points(ring))
            file.write("]")
        file.write("]")
    text = json.dumps(properties, ensure_ascii=False)
    file.write(f'{"}" if is_single else "]}"}, "properties": {text}}}')


def _write_points(file: TextIO, points: NDArray[np.float64]) -> None:
    whole = bool((points == np.rint(points)).all())
    for first in range(0, len(points), _POINTS):
        some = points[first : first + _POINTS]
        text = json.dumps((some.astype(np.int64) if whole else some).tolist())
        file.write((", " if first else "") + text[1:-1])
