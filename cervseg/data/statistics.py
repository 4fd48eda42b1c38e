"""What a dataset consists of: numbers of each image, their sums, and the odd ones out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE, Classes
from cervseg.images.stain import mean_density

THINNED = 1_000_000
"""Intensity and stain of larger images are taken from about so many of their pixels."""

FAR = 5.0
"""Robust z-score of an outlier; among 1000 images of a bell curve there is none."""

FEWEST = 8
"""Images without which nothing can be called unusual."""


class FieldStatistics(NamedTuple):
    """Numbers of one image.

    Args:
        name: Of the field.
        split: train, valid or test; empty where nobody split.
        group: What no split divides.
        height: Pixels.
        width: Pixels.
        pixels: Of the background, each class, and what is ignored.
        areas: Of each class, the full-size pixels of every object.
        intensity: Mean grey level, 0 to 255.
        contrast: Standard deviation of the grey levels.
        stain: Mean optical density of red, green and blue where there is tissue; nan where
            there is none.
    """

    name: str
    split: str
    group: str
    height: int
    width: int
    pixels: tuple[int, ...]
    areas: tuple[tuple[int, ...], ...]
    intensity: float
    contrast: float
    stain: tuple[float, float, float]

    @property
    def foreground(self) -> float:
        """Share of the pixels that count which belong to a class."""
        counted = sum(self.pixels[:-1])
        return sum(self.pixels[1:-1]) / counted if counted else 0.0


@dataclass(frozen=True)
class Place:
    """Where a field belongs.

    Args:
        name: Its own.
        split: train, valid or test; empty where nobody split.
        group: What no split divides.
        scale: Full-size pixels per file pixel, vertical and horizontal.
    """

    name: str
    split: str
    group: str
    scale: tuple[float, float] = (1.0, 1.0)


def measure(
    place: Place,
    pixels: RGB,
    mask: Mask,
    *,
    classes: Classes,
    objects: NDArray[np.uint16] | None = None,
) -> FieldStatistics:
    """Take the numbers of one image.

    Args:
        place: Whose they are.
        pixels: Shape (height, width, 3).
        mask: Class indices, shape (height, width).
        classes: What they mean.
        objects: A number for each object, same shape; None: each 8-connected region is one.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    classed = range(1, len(classes) + 1)
    step = max(1, math.isqrt(mask.size // THINNED))
    thin = np.ascontiguousarray(pixels[::step, ::step])
    mean, deviation = cv2.meanStdDev(cv2.cvtColor(thin, cv2.COLOR_RGB2GRAY))
    return FieldStatistics(
        place.name,
        place.split,
        place.group,
        mask.shape[0],
        mask.shape[1],
        pixels=(*(int(counts[i]) for i in (0, *classed)), int(counts[IGNORE])),
        areas=tuple(
            tuple(round(area * place.scale[0] * place.scale[1]) for area in found)
            for found in (_areas(mask == index, objects) for index in classed)
        ),
        intensity=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        stain=mean_density(thin),
    )


def _areas(region: NDArray[np.bool_], objects: NDArray[np.uint16] | None) -> tuple[int, ...]:
    if not region.any():
        return ()
    if objects is not None:
        sizes = np.bincount(objects[region])[1:]
        return tuple(int(size) for size in sizes if size)
    _, _, table, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    return tuple(int(size) for size in table[1:, cv2.CC_STAT_AREA])


class SplitStatistics(NamedTuple):
    """Sums over the images of a split.

    Args:
        split: train, valid or test; empty where nobody split.
        images: How many.
        groups: Likewise.
        pixels: Of the background, each class, and what is ignored.
        objects: Of each class.
        area: Median full-size pixels of an object of each class; nan without objects.
        heights: Smallest and largest, pixels.
        widths: Likewise.
        intensity: Mean over the images, 0 to 255.
        stain: Mean over the images with tissue.
    """

    split: str
    images: int
    groups: int
    pixels: tuple[int, ...]
    objects: tuple[int, ...]
    area: tuple[float, ...]
    heights: tuple[int, int]
    widths: tuple[int, int]
    intensity: float
    stain: tuple[float, float, float]


def sum_up(rows: Sequence[FieldStatistics]) -> list[SplitStatistics]:
    """Sum over the images of each split, in the order in which the splits first appear."""
    return [
        _sum([row for row in rows if row.split == split])
        for split in dict.fromkeys(row.split for row in rows)
    ]


def _sum(rows: Sequence[FieldStatistics]) -> SplitStatistics:
    areas = [
        [a for part in parts for a in part] for parts in zip(*(r.areas for r in rows), strict=True)
    ]
    stains = np.array([row.stain for row in rows if not math.isnan(row.stain[0])])
    red, green, blue = stains.mean(axis=0) if len(stains) else (math.nan,) * 3
    heights, widths = [row.height for row in rows], [row.width for row in rows]
    return SplitStatistics(
        rows[0].split,
        images=len(rows),
        groups=len({row.group for row in rows}),
        pixels=tuple(sum(column) for column in zip(*(row.pixels for row in rows), strict=True)),
        objects=tuple(len(found) for found in areas),
        area=tuple(float(np.median(found)) if found else math.nan for found in areas),
        heights=(min(heights), max(heights)),
        widths=(min(widths), max(widths)),
        intensity=float(np.mean([row.intensity for row in rows])),
        stain=(float(red), float(green), float(blue)),
    )


class Outlier(NamedTuple):
    """An image unlike the others in one respect.

    Args:
        name: Of the field.
        quantity: In which.
        value: There.
        typical: The median over all images.
        score: Distance from the median in robust standard deviations (1.4826 x median absolute
            deviation), with its sign.
    """

    name: str
    quantity: str
    value: float
    typical: float
    score: float


def find_outliers(rows: Sequence[FieldStatistics], classes: Classes) -> list[Outlier]:
    """Find the images that differ most, the farthest first.

    Lengths and areas are compared by their logarithm. Where over half of the images agree in a
    quantity, it tells nothing; nor do fewer than 8 images.
    """
    found = []
    for quantity, (values, is_scale) in _quantities(rows, classes).items():
        known = np.isfinite(values) & ((values > 0) if is_scale else True)
        if known.sum() < FEWEST:
            continue
        compared = np.log(np.where(known, values, 1)) if is_scale else values
        middle = np.median(compared[known])
        spread = 1.4826 * np.median(np.abs(compared[known] - middle))
        if spread == 0:
            continue
        scores = (compared - middle) / spread
        typical = float(np.median(values[known]))
        found += [
            Outlier(rows[i].name, quantity, float(values[i]), typical, float(scores[i]))
            for i in np.flatnonzero(known & (np.abs(scores) > FAR)).tolist()
        ]
    return sorted(found, key=lambda outlier: -abs(outlier.score))


def _quantities(
    rows: Sequence[FieldStatistics], classes: Classes
) -> dict[str, tuple[NDArray[np.float64], bool]]:
    """What images are compared in, and whether as lengths are."""

    def column(values: Sequence[float]) -> NDArray[np.float64]:
        return np.array(values, np.float64)

    found = {
        "height": (column([r.height for r in rows]), True),
        "width": (column([r.width for r in rows]), True),
        "intensity": (column([r.intensity for r in rows]), False),
        "contrast": (column([r.contrast for r in rows]), False),
    }
    for i, colour in enumerate(("red", "green", "blue")):
        found[f"stain {colour}"] = (column([r.stain[i] for r in rows]), False)
    for i, name in enumerate(classes.names):
        medians = [float(np.median(r.areas[i])) if r.areas[i] else math.nan for r in rows]
        found[f"{name} area"] = (column(medians), True)
    return found
