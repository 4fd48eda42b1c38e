"""Objects of a mask of any size: found while its rows go by, with outlines and measures."""

from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import NamedTuple

import numpy as np

from cervseg.annotations.rings import Polygon
from cervseg.classes import BACKGROUND
from cervseg.grid import Window
from cervseg.inference.objects import covers
from cervseg.inference.objects.contours import trace_coarsely, trace_runs
from cervseg.inference.objects.growth import Object, Part, join_parts
from cervseg.inference.objects.runs import find_runs, join_runs, own_probabilities
from cervseg.inference.rows import PIECE, Rows, pieces

_BATCH = 100_000
"""Runs that are traced at once, about: some 30 MB."""


class Segment(NamedTuple):
    """An object.

    Args:
        class_index: Its class.
        area: Pixels.
        perimeter: Pixels, holes included; an estimate: `measures.Sums`.
        window: The smallest that holds it.
        centroid: Row and column, pixel (0, 0) covering [0, 1) x [0, 1).
        probability: The mean of its class over its pixels.
        polygons: Outlines along the edges of pixels: parts that touch only at a corner apart, none
            of their rings touches itself.
    """

    class_index: int
    area: int
    perimeter: float
    window: Window
    centroid: tuple[float, float]
    probability: float
    polygons: tuple[Polygon, ...]


def find_objects(
    mask: Rows,
    probabilities: Rows,
    *,
    first_channel: int,
    piece: int = PIECE,
) -> Iterator[Segment]:
    """Find the 8-connected objects of every class.

    One pass; kept are the covers of the objects still open. Neither the objects nor their order
    depend on the pieces.

    Args:
        mask: Class indices, uint8.
        probabilities: Of the same size, float32, shape (height, width, channels).
        first_channel: That of class 1: 0, or 1 where channel 0 is the background.
        piece: Pixels worked on at once, about.

    Yields:
        Sorted by their last row, then by their first pixel there.
    """

    def read(top: int, height: int) -> Part:
        runs = find_runs(mask.read(top, height), top)
        drawn = runs.take(runs.value != BACKGROUND)
        answers = probabilities.read(top, height)
        return Part(top + height, drawn, own_probabilities(drawn, answers, first_channel, top=top))

    parts = starmap(read, pieces(mask, piece))
    for objects in join_parts(parts, mask.height):
        yield from _segments(sorted(objects, key=lambda each: each.sums.place()))


def _segments(objects: Sequence[Object]) -> Iterator[Segment]:
    """Trace, many small objects at once, a huge one alone."""
    most = min(_BATCH, covers.MOST_RUNS)
    size = 0
    batch: list[Object] = []
    for each in objects:
        if batch and size + each.sums.runs > most:
            yield from _trace(batch)
            size, batch = 0, []
        size += each.sums.runs
        batch.append(each)
    if batch:
        yield from _trace(batch)


def _trace(objects: Sequence[Object]) -> Iterator[Segment]:
    if objects[0].sums.runs > covers.MOST_RUNS:
        sums, cover = objects[0]
        polygons = [trace_coarsely(cover.reduced(), sums.window())]
    else:
        runs = join_runs(each.cover.as_runs(each.sums.value) for each in objects)
        count = [each.sums.runs for each in objects]
        polygons = trace_runs(runs, np.repeat(np.arange(len(objects)), count))
    for (sums, _), outlines in zip(objects, polygons, strict=True):
        yield Segment(
            class_index=sums.value,
            area=sums.area,
            perimeter=sums.perimeter(),
            window=sums.window(),
            centroid=sums.centroid(),
            probability=sums.mean_probability(),
            polygons=outlines,
        )
