"""Smooth random fields: the displacements of elastic deformation and distortion."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

STEEPEST = 4.0
"""Standard deviations at which an elastic shift is cut, so that its reach is known."""


class Waves(NamedTuple):
    """Shifts along rows and columns by smoothed noise.

    Args:
        rng: Where the noise comes from.
        sigma: Of the smoothing, pixels.
        amplitude: Pixels: the standard deviation of the shifts, or their peak.
        is_peak: Whether the amplitude is the largest shift of the field.
    """

    rng: np.random.Generator
    sigma: float
    amplitude: float
    is_peak: bool


def elastic_deviation(alpha: float, sigma: float) -> float:
    """Standard deviation, in pixels, of Simard's field: `alpha` times smoothed uniform noise.

    Noise in [-1, 1] has variance 1/3; a Gaussian over the plane leaves of it 1 / (4π·sigma²).
    """
    return alpha / (2 * sigma * math.sqrt(3 * math.pi))


def draw_waves(waves: Waves, nodes: tuple[int, int], step: int) -> NDArray[np.float32]:
    """Shifts at the nodes of a grid, pixels.

    The noise is drawn, and smoothed, on a grid about as coarse as the waves allow and enlarged
    by cubics; smoothing white noise at every pixel gives the same field for a hundred times the
    work.

    Args:
        waves: What kind.
        nodes: Rows and columns of the grid.
        step: Pixels between its nodes.

    Returns:
        Shape (rows, columns, 2): along rows, along columns.
    """
    coarse = waves.sigma / step  # in nodes
    skip = max(1, int(coarse / 2))
    deviation = coarse / skip
    radius = math.ceil(3 * deviation)
    size = [-(-n // skip) + 2 * radius for n in nodes]
    noise = waves.rng.random((*size, 2), np.float32) * 2 - 1
    if deviation > 0.3:
        width = 2 * radius + 1
        noise = np.asarray(cv2.GaussianBlur(noise, (width, width), deviation), np.float32)
    noise = noise[radius : size[0] - radius, radius : size[1] - radius]
    if skip > 1:
        large = (noise.shape[1] * skip, noise.shape[0] * skip)
        noise = np.asarray(cv2.resize(noise, large, interpolation=cv2.INTER_CUBIC), np.float32)
    shifts = noise[: nodes[0], : nodes[1]]
    if waves.is_peak:
        return np.asarray(shifts * (waves.amplitude / np.abs(shifts).max()), np.float32)
    scale = waves.amplitude / elastic_deviation(1.0, deviation)
    limit = STEEPEST * waves.amplitude
    return np.asarray(np.clip(shifts * scale, -limit, limit), np.float32)
