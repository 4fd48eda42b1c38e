"""The places to look at first as files: GeoJSON for QuPath, pictures, one ranking of all images."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cervseg.annotations.geojson import LOOK_FIRST
from cervseg.arrays import RGB
from cervseg.bounds import one_line
from cervseg.classes import Classes
from cervseg.errors import DataError
from cervseg.files import write_csv, write_text
from cervseg.grid import Window
from cervseg.images.image import Image
from cervseg.images.overlays import draw_overlay
from cervseg.images.resampling import nearest_indices
from cervseg.images.sheets import thumbnail
from cervseg.inference.rows import Rows
from cervseg.inference.uncertainty import Place

PICTURE = 512
"""Side of one at most, pixels."""


def write_places(path: Path, places: Sequence[Place], *, scale: tuple[float, float]) -> None:
    """Write squares, those first where most pixels are expected to be wrong.

    Args:
        path: GeoJSON, in level-0 pixels.
        places: In order, in pixels of the mask.
        scale: Level-0 pixels per pixel of the mask, down and across.
    """
    features = [_feature(rank, place, scale) for rank, place in enumerate(places, start=1)]
    write_text(path, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def _feature(rank: int, place: Place, scale: tuple[float, float]) -> dict[str, object]:
    down, across = scale
    top, bottom = (round(n * down, 3) for n in (place.window.top, place.window.bottom))
    left, right = (round(n * across, 3) for n in (place.window.left, place.window.right))
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "name": f"{LOOK_FIRST} {rank}",
            "classification": {"name": LOOK_FIRST, "color": [255, 160, 0]},
            "measurements": {"Rank": rank, "Pixels expected to be wrong": round(place.wrong, 1)},
        },
    }


def draw_place(image: Image, mask: Rows, window: Window, *, classes: Classes) -> RGB:
    """The image at a place with the mask over it."""
    down, across = image.height / mask.height, image.width / mask.width
    top, left = round(window.top * down), round(window.left * across)
    height = min(image.height - top, math.ceil(window.height * down))
    width = min(image.width - left, math.ceil(window.width * across))
    picture = thumbnail(image.read(Window(top, left, height, width)), PICTURE)
    here = mask.read(window.top, window.height)[:, window.left : window.right]
    down_to, across_to = (
        nearest_indices(0, target, source=source, target=target)
        for source, target in zip(here.shape, picture.shape, strict=False)
    )
    return draw_overlay(picture, here[np.ix_(down_to, across_to)], classes)


def write_ranking(path: Path, images: Iterable[tuple[str, Path]]) -> None:
    """Put the places of all images into one order.

    Args:
        path: CSV.
        images: Name and GeoJSON of each.

    Raises:
        DataError: A file has vanished or is broken.
    """
    rows: list[tuple[float, str, int, float, float, float, float]] = []
    for name, places in images:
        try:
            for feature in json.loads(places.read_text(encoding="utf-8"))["features"]:
                left, top = feature["geometry"]["coordinates"][0][0]
                right, bottom = feature["geometry"]["coordinates"][0][2]
                measured = feature["properties"]["measurements"]
                wrong = float(measured["Pixels expected to be wrong"])
                rows.append(
                    (wrong, name, int(measured["Rank"]), top, left, bottom - top, right - left)
                )
        except (OSError, ValueError, OverflowError, KeyError, TypeError, IndexError) as exc:
            raise DataError(f"{places}: not readable places: {one_line(exc)}") from exc
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    columns = ("pixels_expected_wrong", "image", "rank_in_image", "top", "left", "height", "width")
    write_csv(path, columns, [[*row[:3], *(f"{value:.10g}" for value in row[3:])] for row in rows])
