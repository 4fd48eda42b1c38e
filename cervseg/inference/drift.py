"""Images unlike those of the training, told before anyone trusts the masks: stain and size."""

import math
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from cervseg.arrays import Mask
from cervseg.images.image import Image
from cervseg.images.stain import mean_density, sample_pixels
from cervseg.reports import JSON

COLOURS = ("red", "green", "blue")

FARTHEST = 3.0
"""Standard deviations of the training images' densities, beyond which a stain may be told of."""

LEAST_DEVIATION = 0.02
"""Counts in place of a smaller one: few training images hardly differ."""

FAINTEST = 0.002
"""Density one level of 255 below white: what is fainter counts as this, so that it has a factor."""

STAIN_RATIO = 1.3
"""Densities that differ by no more than this factor, either way, are not told of."""

SIZE_RATIO = 1.4
"""Likewise for diameters."""

FEWEST = 10
"""Objects of a class without which their size tells nothing."""


def measure_stain(image: Image) -> tuple[float, float, float] | None:
    """Mean optical density of the tissue in small windows all over an image; None without any."""
    found = mean_density(np.concatenate(sample_pixels(image)))
    return None if math.isnan(found[0]) else found


def typical_diameter(areas: Sequence[float]) -> float:
    """Diameter of a disc as large as the object in which the middle pixel of all objects lies.

    Half of the foreground belongs to smaller objects: specks, however many, change little.

    Args:
        areas: Square pixels, at least one.
    """
    ordered = np.sort(np.asarray(areas, np.float64))
    sums = np.cumsum(ordered)
    middle = ordered[np.searchsorted(sums, sums[-1] / 2)]
    return float(2 * math.sqrt(middle / math.pi))


def training_statistics(
    fields: Iterable[tuple[Image, Mask]], names: Sequence[str]
) -> dict[str, JSON]:
    """Describe training images for a contract: what `stain_drift` and `size_drift` compare with.

    Args:
        fields: At the model's scale, with class indices of the same size.
        names: Of the classes from 1 on.

    Returns:
        `stain`: `mean` and `deviation` over the images with tissue, each of red, green and blue;
        `diameter`: of each class that occurs, model pixels. Either is left out where unknown.
    """
    stains, areas = [], {name: list[float]() for name in names}
    for image, mask in fields:
        if (stain := measure_stain(image)) is not None:
            stains.append(stain)
        for index, name in enumerate(names, start=1):
            areas[name] += _areas(mask, index)
    found: dict[str, JSON] = {}
    if stains:
        mean, deviation = np.mean(stains, axis=0), np.std(stains, axis=0)
        found["stain"] = {"mean": _rounded(mean), "deviation": _rounded(deviation)}
    diameters: dict[str, JSON] = {
        name: round(typical_diameter(sizes), 2) for name, sizes in areas.items() if sizes
    }
    return {**found, "diameter": diameters} if diameters else found


def _areas(mask: Mask, index: int) -> list[float]:
    chosen = (mask == index).astype(np.uint8)
    _, _, table, _ = cv2.connectedComponentsWithStats(chosen, connectivity=8)
    return [float(area) for area in table[1:, cv2.CC_STAT_AREA]]


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]


def stain_drift(image: Image, statistics: Mapping[str, JSON] | None) -> str | None:
    """Say how an image's stain differs from the training images'.

    Told of is the colour whose density differs by the largest factor, if that is over 1.3 and the
    density over 3 standard deviations of the training images away.

    Args:
        image: At the model's scale; 256 small windows of it are read.
        statistics: Of a contract; None, or broken: nothing is said.
    """
    known = (statistics or {}).get("stain")
    if not isinstance(known, Mapping) or (found := measure_stain(image)) is None:
        return None
    means, deviations = _triple(known.get("mean")), _triple(known.get("deviation"))
    if means is None or deviations is None:
        return None
    factors = [
        max(value, FAINTEST) / mean if _is_far(value, mean, deviation) else 1.0
        for value, mean, deviation in zip(found, means, deviations, strict=True)
    ]
    worst = max(range(3), key=lambda i: abs(math.log(factors[i])))
    factor = factors[worst]
    if factor == 1.0:
        return None
    word = "paler" if factor < 1 else "darker"
    return (
        f"stain: the image is {max(factor, 1 / factor):.1f} x {word} than the training images "
        f"({COLOURS[worst]} density {found[worst]:.2f}, trained on {means[worst]:.2f} ± "
        f"{deviations[worst]:.2f})"
    )


def _is_far(value: float, mean: float, deviation: float) -> bool:
    is_far = abs(value - mean) > FARTHEST * max(deviation, LEAST_DEVIATION)
    return is_far and not 1 / STAIN_RATIO <= value / mean <= STAIN_RATIO


def size_drift(
    areas: Mapping[str, Sequence[float]], statistics: Mapping[str, JSON] | None
) -> str | None:
    """Say how predicted objects differ in size from the annotated ones of the training images.

    Told of is the class whose diameter differs by the largest factor, if that is over 1.4 and there
    are at least 10 objects.

    Args:
        areas: Of the objects of each class, square pixels at the model's scale.
        statistics: Of a contract; None, or broken: nothing is said.
    """
    known = (statistics or {}).get("diameter")
    if not isinstance(known, Mapping):
        return None
    told = None
    largest = SIZE_RATIO
    for name, sizes in areas.items():
        trained = _positive(known.get(name))
        if trained is None or len(sizes) < FEWEST:
            continue
        found = typical_diameter(sizes)
        if max(found / trained, trained / found) > largest:
            largest = max(found / trained, trained / found)
            told = (
                f"objects are {found / trained:.1f} x the training size ({name}: {found:.0f} "
                f"pixels across, trained on {trained:.0f}): check mpp or scale"
            )
    return told


def _positive(value: JSON) -> float | None:
    is_number = isinstance(value, int | float) and math.isfinite(value) and value > 0
    return float(value) if is_number and isinstance(value, int | float) else None


def _triple(value: JSON) -> list[float] | None:
    """Three positive numbers; a deviation of none counts as tiny."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    numbers = [1e-9 if part == 0 else _positive(part) for part in value]
    known = [number for number in numbers if number is not None]
    return known if len(known) == 3 else None
