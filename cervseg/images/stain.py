"""How much light is absorbed: optical density, of a picture and of samples from a large one."""

import math
from itertools import product

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cervseg.arrays import RGB
from cervseg.grid import Window
from cervseg.images.image import Image

TISSUE = 0.15
"""Mean optical density from which on a pixel shows tissue, not empty glass."""

PLACES = 16
"""Along each side, from which samples are taken."""

SAMPLE = 32
"""Side of a sample, pixels."""


def density_table(glass: ArrayLike = 255.0) -> NDArray[np.float32]:
    """Optical density of each 8-bit value, for `cv2.LUT`: log10((glass + 1) / (value + 1)).

    Args:
        glass: The value where no light is absorbed, one for all channels or one for each.

    Returns:
        Shape (1, 256, 3).
    """
    values = np.arange(256)[:, None]
    table = np.log10((np.broadcast_to(glass, 3) + 1) / (values + 1))
    return table.astype(np.float32)[None]


def mean_density(pixels: RGB) -> tuple[float, float, float]:
    """Mean optical density of red, green and blue where their mean shows tissue.

    Args:
        pixels: Shape (height, width, 3).

    Returns:
        nan where there is no tissue.
    """
    densities = cv2.LUT(pixels, density_table())
    tissue = cv2.transform(densities, np.full((1, 3), 1 / 3, np.float32)) >= TISSUE
    if not tissue.any():
        return (math.nan, math.nan, math.nan)
    red, green, blue, _ = cv2.mean(densities, tissue.astype(np.uint8))
    return red, green, blue


def sample_pixels(image: Image) -> list[RGB]:
    """Read up to 256 small windows, evenly all over an image of any size; always the same."""
    height, width = min(SAMPLE, image.height), min(SAMPLE, image.width)
    starts = product(_spread(image.height - height), _spread(image.width - width))
    return [image.read(Window(top, left, height, width)) for top, left in starts]


def _spread(span: int) -> list[int]:
    """Starts from 0 to `span`, evenly, each once."""
    return sorted({span * i // (PLACES - 1) for i in range(PLACES)})
