"""GeoJSON as QuPath exports and opens it: x to the right, y down, corners of level-0 pixels."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

from cervseg.annotations.documents import as_list, as_mapping, as_text, read_document, shown
from cervseg.annotations.rings import Polygon, Ring, make_ring
from cervseg.annotations.shapes import Shape
from cervseg.classes import Classes
from cervseg.errors import DataError
from cervseg.files import write_text
from cervseg.reports import JSON

UNCLASSIFIED = "unclassified"
"""The name of an annotation that has no classification."""

LOOK_FIRST = "look first"
"""The class of the squares of `tiled_infer.look_first`: places to look at, no truth."""

_IGNORED_COLOUR = (180, 180, 180)


def read_geojson(path: Path) -> list[Shape]:
    """Read the outlined objects of an image.

    A collection of features, a list of them, or a single one; polygons and multi-polygons, with
    holes. The nucleus that QuPath keeps inside a cell's feature is not read.

    Raises:
        DataError: Names the file and the feature that is broken or of another geometry.
    """
    # QuPath writes NaN for a measurement that it could not take.
    features = read_document(path, what="GeoJSON", finite=False)
    if isinstance(features, dict):
        features = [features] if features.get("type") == "Feature" else features.get("features")
    if not isinstance(features, list):
        raise DataError(f"{path}: no features in it, so it is no export of QuPath")
    return [
        _shape(feature, f"feature {number}", where=f"{path}: feature {number}")
        for number, feature in enumerate(features, start=1)
    ]


def _shape(value: JSON, record: str, *, where: str) -> Shape:
    feature = as_mapping(value, where=where)
    geometry = as_mapping(feature.get("geometry"), where=f"{where}: geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        parts: list[JSON] = [coordinates]
    elif kind == "MultiPolygon":
        parts = as_list(coordinates, where=f"{where}: coordinates")
    else:
        raise DataError(
            f"{where}: geometry {shown(kind)} has no inside",
            hint="only Polygon and MultiPolygon can be segmented; remove points and lines",
        )
    polygons = tuple(_polygon(part, where=where) for part in parts)
    if not polygons:
        raise DataError(f"{where}: no polygon in it")
    return Shape(_class_name(feature, where=where), polygons, record)


def _polygon(value: JSON, *, where: str) -> Polygon:
    rings = [_ring(ring, where=where) for ring in as_list(value, where=f"{where}: polygon")]
    if not rings:
        raise DataError(f"{where}: a polygon without an outline")
    return Polygon(rings[0], tuple(rings[1:]))


def _ring(value: JSON, *, where: str) -> Ring:
    points = as_list(value, where=f"{where}: ring")
    flat = [point[:2] if isinstance(point, list) else point for point in points]  # no height
    return make_ring(flat, where=where)[:, ::-1]


def _class_name(feature: dict[str, JSON], *, where: str) -> str:
    properties = feature.get("properties")
    if properties is None:
        return UNCLASSIFIED
    classification = as_mapping(properties, where=f"{where}: properties").get("classification")
    if classification is None:
        return UNCLASSIFIED
    found = as_mapping(classification, where=f"{where}: classification")
    if (names := found.get("names")) is not None:  # "Tumor: Positive" in newer exports
        parts = as_list(names, where=f"{where}: classification.names")
        return ": ".join(as_text(n, where=f"{where}: classification.names") for n in parts)
    return as_text(found.get("name"), where=f"{where}: classification.name")


def write_geojson(path: Path, shapes: Sequence[Shape], classes: Classes) -> None:
    """Write outlined objects as annotations that QuPath opens, whole or not at all.

    Identifiers follow from what is written, so the same objects make the same file.

    Args:
        path: The file.
        shapes: With names of `classes`; others are grey.
        classes: For the colours.
    """
    colours = dict(zip(classes.names, classes.colours, strict=True))
    features = []
    for number, shape in enumerate(shapes):
        parts = [[_closed(r) for r in (p.exterior, *p.holes)] for p in shape.polygons]
        single = len(parts) == 1
        geometry = {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": parts[0] if single else parts,
        }
        identity = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([number, shape.name, geometry]))
        colour = colours.get(shape.name, _IGNORED_COLOUR)
        features.append(
            {
                "type": "Feature",
                "id": str(identity),
                "geometry": geometry,
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": shape.name, "color": list(colour)},
                },
            }
        )
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    write_text(path, f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n')


def _closed(ring: Ring) -> list[list[float | int]]:
    points = [[_short(x), _short(y)] for y, x in ring.tolist()]
    return [*points, points[0]]


def _short(value: float) -> float | int:
    """Corners of pixels are whole numbers."""
    return int(value) if value == int(value) else round(value, 3)
