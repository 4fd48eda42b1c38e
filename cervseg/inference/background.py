"""Which tiles show nothing but empty glass, judged so that pale cells are kept."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB
from cervseg.images.image import Image
from cervseg.images.stain import density_table, sample_pixels

GRAIN = 8
"""Side of the squares whose mean colours are compared, so that noise doesn't count."""

BRIGHTEST = 99.0
"""Percentile of each channel that is taken for glass: a hundredth of the image is enough."""

SMALLEST = 256
"""Shorter side of an image from which on its glass can be known: one of a single cell has none."""

DIMMEST = 128
"""Mean of the three channels from which on a colour can be glass."""

SPECK = 0.2
"""Optical density that no 3 x 3 pixels of glass reach. Of the tiles with annotated pixels of 18
SIPaKMeD fields, at three scales and sides of 64 to 512, the palest one reaches 0.27."""

AREA = 16
"""Side of the areas that are looked at for something pale but large, pixels."""

EDGE = 2
"""Depth of the areas along the sides of a tile, pixels: a cell that only reaches into it."""

PALE = 0.06
"""Difference of density between the areas of a tile: a pale cytoplasm beside glass has more."""

FILM = 0.1
"""Density of an area beside the glass: a tile inside a pale cell or mucus has more."""


def background_judge(image: Image) -> Callable[[RGB], bool]:
    """Learn the colour of an image's glass; the answer says of a tile whether it is only that.

    A tile is glass if no 3 x 3 pixels are dark (optical density below 0.2), no area of 16 x 16
    pixels is tinted (below 0.1), and no two areas differ (by less than 0.06), in any channel; areas
    along the sides are 2 pixels deep, as a cell may only just reach into the tile. An image without
    glass has its palest tissue taken for it, and what stands out from that is kept too; in a small
    or a dim one nothing is skipped.

    The judgement depends on the image and the tile alone.

    Args:
        image: As it is tiled; 256 small windows of it are read.
    """
    glass = glass_colour(image)
    if min(image.height, image.width) < SMALLEST or glass.mean() < DIMMEST:
        return lambda tile: False
    table = density_table(glass)

    def is_background(tile: RGB) -> bool:
        density = cv2.LUT(cv2.blur(tile, (3, 3)), table)
        if density.max() >= SPECK:
            return False
        parts = [density, *_edges(density)]
        areas = np.concatenate([_means(part).reshape(-1, 3) for part in parts])
        return bool(areas.max() < FILM and np.ptp(areas, axis=0).max() < PALE)

    return is_background


def _edges(density: NDArray[Any]) -> list[NDArray[Any]]:
    """The four strips along the sides."""
    return [density[:EDGE], density[-EDGE:], density[:, :EDGE], density[:, -EDGE:]]


def _means(density: NDArray[Any]) -> NDArray[np.float32]:
    """Mean densities of areas as large as allowed, shape (rows, columns, 3)."""
    height, width = density.shape[:2]
    size = (-(-width // AREA), -(-height // AREA))
    return cv2.resize(density, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def glass_colour(image: Image) -> NDArray[np.float64]:
    """The brightest colour that is no rarity, shape (3,), from small windows all over the image."""
    samples = sample_pixels(image)
    height, width = samples[0].shape[:2]
    grid = (-(-width // GRAIN), -(-height // GRAIN))
    colours = [cv2.resize(sample, grid, interpolation=cv2.INTER_AREA) for sample in samples]
    pixels = np.stack(colours).reshape(-1, 3)
    return np.asarray(np.percentile(pixels, BRIGHTEST, axis=0, method="lower"), np.float64)
