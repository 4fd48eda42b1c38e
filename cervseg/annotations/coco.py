"""COCO: polygons and run lengths of many images in one JSON file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.documents import as_list, as_mapping, as_text, read_document, shown
from cervseg.annotations.outlines import outlines
from cervseg.annotations.rings import Polygon, make_ring
from cervseg.annotations.shapes import MOST_OBJECTS, Budget, Shape
from cervseg.errors import DataError
from cervseg.reports import JSON

Key: TypeAlias = int | str
"""What COCO calls an id."""

_LONGEST = 7
"""Characters of a number in compressed run lengths: 35 bits, more than any image has pixels."""


class _Annotation(NamedTuple):
    record: str
    name: str
    segmentation: JSON


class _Image(NamedTuple):
    """What is known of an image; its sides are None where the file does not say."""

    height: JSON
    width: JSON
    annotations: list[_Annotation]


@dataclass(frozen=True)
class CocoFile:
    """Annotations of many images, checked as far as needed to find them.

    Args:
        path: The JSON file.
        images: By `file_name`, with forward slashes.
        by_last_part: The names, by what stands behind the last slash.
    """

    path: Path
    images: dict[str, _Image]
    by_last_part: dict[str, list[str]]

    def find(self, relative: str) -> str | None:
        """Give the file's name for an image: its relative path, else the last part of it.

        Raises:
            DataError: Several images end in that part.
        """
        if relative in self.images:
            return relative
        last = _last_part(relative)
        found = self.by_last_part.get(last, [])
        if len(found) > 1:
            raise DataError(
                f"{self.path}: {len(found)} images called {last!r}, none of them {relative!r}",
                hint="choose data.source.images so that relative paths are those of the file",
            )
        return found[0] if found else None

    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """Read the annotations of an image; those of crowds count like others.

        Coordinates are taken as continuous, pixel (0, 0) covering [0, 1) x [0, 1). Run lengths are
        traced along the edges of their pixels.

        Args:
            name: As `find` gave it.
            height: Of the photograph, pixels.
            width: Likewise.

        Raises:
            DataError: The size is another, or an annotation is broken; names it.
        """
        image = self.images[name]
        where = f"{self.path}: image {name!r}"
        sides = image.height, image.width
        if None not in sides and sides != (height, width):
            raise DataError(
                f"{where}: {shown(sides[1])} x {shown(sides[0])} pixels, the photograph has "
                f"{width} x {height}"
            )
        if len(image.annotations) > MOST_OBJECTS:
            raise DataError(f"{where}: {len(image.annotations)} objects, at most {MOST_OBJECTS}")
        budget = Budget(height, width, where=f"{where}: ")
        shapes = []
        for record, name_of_class, segmentation in image.annotations:
            at = f"{self.path}: {record}"
            if isinstance(segmentation, dict):
                runs = _runs(segmentation, (height, width), where=at)
                polygons = _from_runs(runs, height, budget=budget, where=at)
            else:
                polygons = _from_points(segmentation, where=at)
            shapes.append(Shape(name_of_class, polygons, record))
        return shapes


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file.

    Raises:
        DataError: Missing, over 512 MB, broken; two images of one name; two categories of one id;
            an annotation of an image
            or a category that is not in the file.
    """
    document = as_mapping(read_document(path, what="COCO"), where=str(path))
    categories: dict[Key, str] = {}
    for where, _, item in _items(document, "categories", one="category", path=path):
        key, name = _key(item, "id", where=where), as_text(item.get("name"), where=f"{where}: name")
        if categories.setdefault(key, name) != name:
            raise DataError(f"{where}: another category has this id: {shown(categories[key])}")
    names: dict[Key, str] = {}
    images: dict[str, _Image] = {}
    for where, _, item in _items(document, "images", one="image", path=path):
        name = as_text(item.get("file_name"), where=f"{where}: file_name").replace("\\", "/")
        key = _key(item, "id", where=where)
        if name in images or key in names:
            raise DataError(f"{where}: an image of this id or file_name comes twice")
        names[key] = name
        images[name] = _Image(item.get("height"), item.get("width"), [])
    for where, record, item in _items(document, "annotations", one="annotation", path=path):
        image, category = (_key(item, k, where=where) for k in ("image_id", "category_id"))
        if image not in names:
            raise DataError(f"{where}: no image has the id {shown(image)}")
        if category not in categories:
            raise DataError(f"{where}: no category has the id {shown(category)}")
        found = _Annotation(record, categories[category], item.get("segmentation"))
        images[names[image]].annotations.append(found)
    by_last_part: dict[str, list[str]] = {}
    for name in images:
        by_last_part.setdefault(_last_part(name), []).append(name)
    return CocoFile(path, images, by_last_part)


def _items(
    document: dict[str, JSON], key: str, *, one: str, path: Path
) -> Iterator[tuple[str, str, dict[str, JSON]]]:
    """Each object of a list: where it is for errors, what it is called, and itself."""
    for number, value in enumerate(as_list(document.get(key), where=f"{path}: {key}"), start=1):
        item = as_mapping(value, where=f"{path}: {one} number {number}")
        record = f"{one} {shown(item['id'])}" if "id" in item else f"{one} number {number}"
        yield f"{path}: {record}", record, item


def _key(item: dict[str, JSON], name: str, *, where: str) -> Key:
    value = item.get(name)
    if not isinstance(value, int | str):
        raise DataError(f"{where}: {name} must be a number or a text, not {shown(value)}")
    return value


def _last_part(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _from_points(value: JSON, *, where: str) -> tuple[Polygon, ...]:
    """Outlines `x, y, x, y, …`; there are no holes in this form."""
    parts = as_list(value, where=f"{where}: segmentation")
    if not parts:
        raise DataError(f"{where}: no segmentation", hint="a box alone does not say which pixels")
    polygons = []
    for part in parts:
        numbers = as_list(part, where=f"{where}: polygon")
        if len(numbers) % 2:
            raise DataError(f"{where}: a polygon of {len(numbers)} numbers, x and y expected")
        points = list(zip(numbers[1::2], numbers[::2], strict=True))
        polygons.append(Polygon(make_ring(points, where=where)))
    return tuple(polygons)


def _runs(value: dict[str, JSON], size: tuple[int, int], *, where: str) -> NDArray[np.int64]:
    """Run lengths, background first, down the columns; they add up to the image."""
    if value.get("size") != list(size):
        raise DataError(
            f"{where}: run lengths of size {json.dumps(value.get('size'))[:40]}, the image has "
            f"{list(size)}"
        )
    counts = value.get("counts")
    if isinstance(counts, str):
        runs = _decompress(counts, where=where)
    else:
        listed = as_list(counts, where=f"{where}: counts")
        if not all(type(n) is int for n in listed):
            raise DataError(f"{where}: run lengths that are no whole numbers")
        runs = np.array(listed, dtype=object)  # of any size, so far
    pixels = size[0] * size[1]
    if runs.size and (runs.min() < 0 or runs.max() > pixels):
        raise DataError(f"{where}: a run below 0 or longer than the image's {pixels} pixels")
    if (total := int(runs.sum())) != pixels:
        raise DataError(f"{where}: run lengths of {total} pixels, the image has {pixels}")
    return runs.astype(np.int64)


def _decompress(text: str, *, where: str) -> NDArray[np.int64]:
    """Undo COCO's own compression.

    Five bits a character, from `0` on, the lowest first, a sixth where more follow, the last one
    signed; from the fourth number on the difference to the one before the last.
    """
    is_known = text.isascii()
    bits = np.frombuffer(text.encode() if is_known else b"", np.uint8).astype(np.int64) - 48
    if not bits.size or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        raise DataError(f"{where}: run lengths that can't be decompressed")
    goes_on = (bits & 32) > 0
    begin = np.flatnonzero(np.concatenate([[True], ~goes_on[:-1]]))
    length = np.diff(np.concatenate([begin, [bits.size]]))
    if length.max() > _LONGEST:
        raise DataError(f"{where}: run lengths that can't be decompressed")
    place = np.arange(bits.size) - np.repeat(begin, length)
    values = np.add.reduceat((bits & 31) << (5 * place), begin)
    is_negative = (bits[begin + length - 1] & 16) > 0
    values -= np.where(is_negative, 1 << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _from_runs(
    runs: NDArray[np.int64], height: int, *, budget: Budget, where: str
) -> tuple[Polygon, ...]:
    """Trace what run lengths cover."""
    ends = np.cumsum(runs)
    stop = ends[1::2]
    start = ends[::2][: stop.size]
    start, stop = start[start < stop], stop[start < stop]
    if not start.size:
        raise DataError(f"{where}: run lengths without a pixel")
    left, right = int(start[0]) // height, int(stop[-1] - 1) // height + 1
    budget.spend((right - left) * height)
    steps = np.zeros((right - left) * height + 1, np.int8)
    steps[start - left * height] += 1
    steps[stop - left * height] -= 1  # twice at one place where no background lies between
    covered = np.cumsum(steps[:-1], dtype=np.int8).reshape(right - left, height).T
    rows = np.flatnonzero(covered.any(axis=1))
    part = covered[rows[0] : rows[-1] + 1].astype(np.int32)
    budget.spend(10 * part.size)  # tracing takes as long
    offset = np.array([rows[0], left], np.float64)
    return tuple(
        Polygon(exterior + offset, tuple(hole + offset for hole in holes))
        for exterior, holes in outlines(part)[1]
    )
