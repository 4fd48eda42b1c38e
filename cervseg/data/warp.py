"""All geometry of an augmentation in one map, sampled once."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.arrays import RGB, Mask


class Warp(NamedTuple):
    """Where each target pixel looks: float32 source columns and rows, shape (height, width)."""

    columns: NDArray[np.float32]
    rows: NDArray[np.float32]


def affine_matrix(
    *, flip: tuple[bool, bool], degrees: float, magnification: float, shear_degrees: float
) -> NDArray[np.float64]:
    """The 2 × 2 matrix from target to source offsets about the centre, as (row, column).

    Args:
        flip: Top and bottom, left and right.
        degrees: Rotation, counter-clockwise as seen.
        magnification: Over 1 makes objects larger.
        shear_degrees: Rows slide along columns.
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    slide = np.array([[1.0, 0.0], [np.tan(np.deg2rad(shear_degrees)), 1.0]])
    mirror = np.diag([-1.0 if flip[0] else 1.0, -1.0 if flip[1] else 1.0])
    return np.asarray(mirror @ turn @ slide / magnification)


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], *, amplitude: float, wavelength: float
) -> NDArray[np.float32]:
    """Two random displacement maps (2, height, width), smooth over `wavelength` pixels.

    Drawn on a coarse grid and enlarged by cubic splines; the largest shift is `amplitude`
    pixels (Simard et al., 2003, smooth white noise with a Gaussian instead).
    """
    knots = [max(4, round(n / wavelength) + 3) for n in shape]
    coarse = rng.uniform(-amplitude, amplitude, (2, *knots))
    zoom = (1, shape[0] / knots[0], shape[1] / knots[1])
    fine = ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)
    return np.clip(fine[:, : shape[0], : shape[1]], -amplitude, amplitude).astype(np.float32)


def build_warp(
    shape: tuple[int, int],
    matrix: NDArray[np.float64],
    displacement: NDArray[np.float32] | None = None,
) -> Warp:
    """Compose an affine map about the centre with a displacement.

    Args:
        shape: Height and width of source and target.
        matrix: From `affine_matrix`.
        displacement: From `smooth_field`, added in target pixels before the affine map.
    """
    height, width = shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    offsets = np.mgrid[:height, :width].astype(np.float64) - centre[:, None, None]
    if displacement is not None:
        offsets += displacement
    rows, columns = np.einsum("ij,jhw->ihw", matrix, offsets) + centre[:, None, None]
    return Warp(columns.astype(np.float32), rows.astype(np.float32))


def warp_pair(image: RGB, mask: Mask, warp: Warp) -> tuple[RGB, Mask]:
    """Move an image (bilinear) and its mask (nearest) by one map; both continue by reflection.

    Args:
        image: Shape (height, width, 3).
        mask: Shape (height, width).
        warp: From `build_warp`.
    """
    border = cv2.BORDER_REFLECT_101
    moved = cv2.remap(image, warp.columns, warp.rows, cv2.INTER_LINEAR, borderMode=border)
    labels = cv2.remap(mask, warp.columns, warp.rows, cv2.INTER_NEAREST, borderMode=border)
    return np.asarray(moved, np.uint8), np.asarray(labels, np.uint8)
