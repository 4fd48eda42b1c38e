"""What the reference computes of one source before it uses some of it, written anew for timing.

Its list and strengths are those of the published config: 17 variants, image and mask one after the
other, each with draws of its own where it draws at all.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.arrays import RGB, Mask

ANGLES = (60, 120, 180, 240, 300)
SHRINKS = (0.6, 0.8)


def all_variants(image: RGB, mask: Mask, rng: np.random.Generator) -> list[tuple[RGB, Mask]]:
    """What the reference computes of one source: 17 variants, image and mask one after another."""
    made = [(image, mask), (image[:, ::-1], mask[:, ::-1]), (image[::-1], mask[::-1])]
    height, width = mask.shape
    middle = (width / 2, height / 2)
    moves = [cv2.getRotationMatrix2D(middle, angle, 1.0) for angle in ANGLES]
    moves += [cv2.getRotationMatrix2D(middle, 0, shrink) for shrink in SHRINKS]
    moves.append(np.array([[1, 0.1, 0], [0, 1, 0]]))
    for move in moves:
        turned, moved = (cv2.warpAffine(a, move, (width, height)) for a in (image, mask))
        made.append((np.asarray(turned, np.uint8), np.asarray(moved, np.uint8)))
    sheared = made[-1]
    made += [tuple(np.flip(a, axis) for a in sheared) for axis in (0, 1, (0, 1))]  # type: ignore[misc]
    labels = mask[..., None]
    made.append((_deform(image, rng), _deform(labels, rng)))
    made += [(_distort(image, size, rng), _distort(labels, size, rng)) for size in (0.02, 0.03)]
    return made


def _deform(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = [rng.uniform(-1, 1, pixels.shape) for _ in range(2)]
    shifts = [1300 * ndimage.gaussian_filter(n, 8, mode="constant") for n in noise]
    rows, columns, channels = np.indices(pixels.shape)
    places = (rows + shifts[0], columns + shifts[1], channels)
    return np.asarray(ndimage.map_coordinates(pixels, places, order=1, mode="nearest"))


def _distort(pixels: NDArray[np.uint8], size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = max(pixels.shape)
    noise = rng.standard_normal((side, side))
    slopes = [ndimage.gaussian_filter(noise, 40, order=order) for order in ((1, 0), (0, 1))]
    ndimage.gaussian_filter(pixels, 0.5)  # it is computed there, and thrown away
    places = np.indices((side, side)) - [s * (int(side * size) / s.max()) for s in slopes]
    rows, columns = places.astype(np.float32)
    return np.asarray(cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR), np.uint8)
