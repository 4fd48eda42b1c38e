"""Changes of light and stain, pixel by pixel, on the image alone."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB

Curve = NDArray[np.float32]
"""For each of the levels 0 to 255 a new one, not yet rounded or cut: shape (256,)."""

LEVELS: Curve = np.arange(256, dtype=np.float32)
"""Leaves levels as they are."""

DYES = np.array([(0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)])
"""Optical density of haematoxylin, eosin and a third, brownish dye in red, green and blue.

Ruifrok and Johnston, 2001, "Quantification of histochemical staining by color deconvolution". A
Papanicolaou stain shares the first two; its greens and oranges are mixtures of the three here.
"""


STRIP = 32
"""Rows at a time where floats are needed: they stay in the cache, five times as fast."""


def brighten(curve: Curve, *, factor: float, shift: float) -> Curve:
    """Multiply levels, then add: `out = in · factor + shift`."""
    return curve * np.float32(factor) + np.float32(shift)


def spread(curve: Curve, change: float) -> Curve:
    """Change contrast about mid-grey: `out = (in - 127.5) · (1 + change) + 127.5`."""
    return (curve - np.float32(127.5)) * np.float32(1 + change) + np.float32(127.5)


def bend(curve: Curve, gamma: float) -> Curve:
    """Bend levels: `out = 255 · (in / 255) ^ gamma`, of levels cut to 0 to 255."""
    return np.asarray(255 * (np.clip(curve, 0, 255) / 255) ** np.float32(gamma), np.float32)


def apply_curve(image: RGB, curve: Curve) -> RGB:
    """Give each pixel its new level, rounded and cut to 0 to 255.

    Args:
        image: Shape (height, width, 3).
        curve: The same for all channels.
    """
    if np.array_equal(curve, LEVELS):
        return image
    table = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def turn_colours(image: RGB, *, degrees: float, saturation: float) -> RGB:
    """Turn colours about the axis of greys and move them from it or to it; greys stay.

    Args:
        image: Shape (height, width, 3).
        degrees: Red goes to green at 120.
        saturation: Factor on the distance from grey.
    """
    if degrees == 0 and saturation == 1:
        return image
    grey = np.full((3, 3), 1 / 3)
    across = np.array([(0, -1, 1), (1, 0, -1), (-1, 1, 0)]) / math.sqrt(3)
    angle = math.radians(degrees)
    turn = math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * across
    return np.asarray(cv2.transform(image, grey + saturation * turn), np.uint8)


def vary_dyes(
    image: RGB, *, gains: tuple[float, float, float], shifts: tuple[float, float, float]
) -> RGB:
    """Change how much of each dye there is.

        density = -ln((in + 1) / 256) = amounts · DYES;   amount → amount · gain + shift

    Tellez et al., 2018, https://arxiv.org/abs/1808.05896 (they vary the same three amounts).

    Args:
        image: Shape (height, width, 3).
        gains: Factors, 1 leaves a dye as it is.
        shifts: Densities added, 0 leaves a dye as it is.
    """
    if gains == (1, 1, 1) and shifts == (0, 0, 0):
        return image
    vectors = DYES / np.linalg.norm(DYES, axis=1, keepdims=True)
    change = np.linalg.inv(vectors) @ np.diag(gains) @ vectors
    # For column vectors; the last column is added.
    matrix = np.column_stack([change.T, -(np.asarray(shifts) @ vectors)]).astype(np.float32)
    table = np.log((LEVELS + 1) / 256)  # negative densities
    varied = np.empty_like(image)
    for top in range(0, len(image), STRIP):
        density = cv2.transform(cv2.LUT(image[top : top + STRIP], table), matrix)
        levels = cv2.exp(density)
        varied[top : top + STRIP] = cv2.convertScaleAbs(levels, alpha=256, beta=-1)
    return varied
