"""All geometry of an augmentation in one map, sampled once."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE
from cervseg.data.waves import Waves, draw_waves

COARSEST = 8
"""Pixels between the nodes at which a map is computed; between them it is linear."""

Map = NDArray[np.float32]
"""Where each target pixel looks: source column and row, shape (height, width, 2)."""


class Lens(NamedTuple):
    """A circle of the target within which things are enlarged or reduced.

    Args:
        centre: Row and column as offsets from the target's centre, pixels.
        radius: Pixels.
        amount: The middle is 1 / (1 - amount) times as large; below 0 it is smaller.
    """

    centre: tuple[float, float]
    radius: float
    amount: float


@dataclass(frozen=True)
class Geometry:
    """What moves the pixels of one sample; each part acts on what the one before it gives.

    Args:
        corners: How far the corners of the target look away first, row and column in pixels, from
            the top left clockwise.
        lenses: Then these.
        waves: Then these are added, together.
        shift: Then this, row and column, pixels.
        matrix: Then this turns the offset, row and column, about the source's centre.
    """

    corners: tuple[tuple[float, float], ...] = ()
    lenses: tuple[Lens, ...] = ()
    waves: tuple[Waves, ...] = ()
    shift: tuple[float, float] = (0.0, 0.0)
    matrix: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))

    def is_still(self) -> bool:
        """Whether nothing moves."""
        return self == Geometry()


def affine_matrix(
    *, flip: tuple[bool, bool], degrees: float, magnification: float, shear_degrees: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The 2 × 2 matrix from target to source offsets about the centre, as (row, column).

    Quarter turns are exact, so that they move whole pixels.

    Args:
        flip: Top and bottom, left and right.
        degrees: Rotation, counter-clockwise as seen.
        magnification: Over 1 makes objects larger.
        shear_degrees: Rows slide along columns.
    """
    quarters, rest = divmod(degrees, 90)
    cos, sin = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    for _ in range(int(quarters) % 4):
        cos, sin = -sin, cos
    turn = np.array([[cos, sin], [-sin, cos]])
    slide = np.array([[1.0, 0.0], [math.tan(math.radians(shear_degrees)), 1.0]])
    mirror = np.diag([-1.0 if flip[0] else 1.0, -1.0 if flip[1] else 1.0])
    (a, b), (c, d) = (mirror @ turn @ slide / magnification).tolist()
    return (a, b), (c, d)


def build_warp(source: tuple[int, int], target: tuple[int, int], geometry: Geometry) -> Map:
    """Compose all parts into one map from a target to a source about the same centre.

    The map is computed at every 8th pixel, or closer where waves or lenses are finer, and is
    linear between; for flips, turns, scale, shear and shifts that is exact.

    Args:
        source: Height and width.
        target: Height and width; smaller than the source, it lies in its middle, on whole pixels.
        geometry: What moves.
    """
    step = _step(geometry)
    offsets = [np.arange(-1, -(-n // step) + 1) * step + (step - n) / 2 for n in target]
    rows, columns = np.meshgrid(*offsets, indexing="ij")
    if geometry.corners:
        rows, columns = _look_askew(rows, columns, _tilt(geometry.corners, target))
    for lens in geometry.lenses:
        rows, columns = _look_through(rows, columns, lens)
    for waves in geometry.waves:
        shifts = draw_waves(waves, rows.shape, step)
        rows, columns = rows + shifts[..., 0], columns + shifts[..., 1]
    rows, columns = rows + geometry.shift[0], columns + geometry.shift[1]
    (a, b), (c, d) = geometry.matrix
    top, left = ((n - m) // 2 + (m - 1) / 2 for n, m in zip(source, target, strict=True))
    coarse = np.stack([c * rows + d * columns + left, a * rows + b * columns + top], axis=-1)
    height, width = rows.shape
    fine = cv2.resize(coarse.astype(np.float32), (width * step, height * step))
    return np.asarray(fine[step:, step:][: target[0], : target[1]], np.float32)


def _step(geometry: Geometry) -> int:
    """Pixels between nodes: a power of two, so that maps of whole pixels stay exact."""
    finest = [wave.sigma / 2 for wave in geometry.waves]
    finest += [lens.radius / 16 for lens in geometry.lenses]
    step = COARSEST
    while step > 1 and step > min(finest, default=step):
        step //= 2
    return step


def _tilt(corners: tuple[tuple[float, float], ...], target: tuple[int, int]) -> NDArray[np.float64]:
    """The 3 × 3 matrix that takes the target's corners, (row, column), so far away."""
    half = np.array([(target[0] - 1) / 2, (target[1] - 1) / 2])
    here = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * half
    there = here + np.array(corners)
    found = cv2.getPerspectiveTransform(here.astype(np.float32), there.astype(np.float32))
    return np.asarray(found, np.float64)


def _look_askew(
    rows: NDArray[np.float64], columns: NDArray[np.float64], tilt: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    depth = tilt[2, 0] * rows + tilt[2, 1] * columns + tilt[2, 2]
    return (
        (tilt[0, 0] * rows + tilt[0, 1] * columns + tilt[0, 2]) / depth,
        (tilt[1, 0] * rows + tilt[1, 1] * columns + tilt[1, 2]) / depth,
    )


def _look_through(
    rows: NDArray[np.float64], columns: NDArray[np.float64], lens: Lens
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pull offsets to the lens's centre by `1 - amount · (1 - (r / radius)²)²`; none beyond it.

    The reference's `sin(π r / 2 radius) ^ amount` enlarges the very centre without bound.
    """
    down, right = rows - lens.centre[0], columns - lens.centre[1]
    inside = np.maximum(0.0, 1 - (down * down + right * right) / lens.radius**2)
    pull = lens.amount * inside * inside
    return rows - pull * down, columns - pull * right


def warp_pair(image: RGB, mask: Mask, warp: Map, *, ignore: bool = False) -> tuple[RGB, Mask]:
    """Move an image (bilinear) and its mask (nearest) by one map.

    Args:
        image: Shape (height, width, 3).
        mask: Shape (height, width).
        warp: From `build_warp`, each side below 32 767 pixels.
        ignore: Whether what comes from outside is ignored; the mask continues by reflection
            else, as the image always does.
    """
    mirror = cv2.BORDER_REFLECT_101
    # OpenCV takes None for the second map, which its stubs don't know.
    moved = cv2.remap(image, warp, None, cv2.INTER_LINEAR, borderMode=mirror)  # type: ignore[call-overload]
    border = cv2.BORDER_CONSTANT if ignore else mirror
    labels = cv2.remap(  # type: ignore[call-overload]
        mask, warp, None, cv2.INTER_NEAREST, borderMode=border, borderValue=IGNORE
    )
    return np.asarray(moved, np.uint8), np.asarray(labels, np.uint8)
