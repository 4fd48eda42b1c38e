"""Draws the geometry of a sample; says how far it may look."""

import math
from collections.abc import Iterator

import numpy as np

from cervseg.config.augmentation import AugmentationConfig
from cervseg.config.warps import Lens as LensConfig
from cervseg.data.draws import Draw, Draws
from cervseg.data.warp import Geometry, Lens, affine_matrix
from cervseg.data.waves import STEEPEST, Waves, elastic_deviation

_WIDEST = 0.2863
"""Largest of `r · (1 - r²)²`: how far a lens shifts, of its radius and amount."""


def draw_geometry(config: AugmentationConfig, draws: Draws, size: tuple[int, int]) -> Geometry:
    """Draw all that moves pixels.

    Args:
        config: The ranges.
        draws: The random numbers.
        size: Height and width of what is wanted.
    """
    lenses = (_lens(config.barrel, draws.of("barrel"), size, sign=1),
              _lens(config.pincushion, draws.of("pincushion"), size, sign=-1))  # fmt: skip
    corners: tuple[tuple[float, float], ...] = ()
    if perspective := draws.of("perspective"):
        reach = [config.perspective.range * n for n in size]
        corners = tuple(
            (sign_y * perspective.either_way(reach[0]), sign_x * perspective.either_way(reach[1]))
            for sign_y, sign_x in ((1, 1), (1, -1), (1, 1), (1, -1))  # a keystone at its strongest
        )
    shift = (0.0, 0.0)
    if translation := draws.of("translation"):
        largest = config.translation.range
        shift = (translation.either_way(largest), translation.either_way(largest))
    return Geometry(
        corners=corners,
        lenses=tuple(lens for lens in lenses if lens),
        waves=tuple(_waves(config, draws, size)),
        shift=shift,
        matrix=_matrix(config, draws),
    )


def _matrix(
    config: AugmentationConfig, draws: Draws
) -> tuple[tuple[float, float], tuple[float, float]]:
    degrees, magnification, slide = 0.0, 1.0, 0.0
    if quarters := draws.of("right_angles"):
        degrees += 90 * (1 + int(quarters.up_to(2.99) if not quarters.strongest else 0))
    if rotation := draws.of("rotation"):
        angles = config.rotation.angles
        one_of = angles[int(rotation.rng.integers(len(angles)))] if angles else 0.0
        degrees += one_of + rotation.either_way(config.rotation.range)
    if scale := draws.of("scale"):
        magnification = scale.factor(*config.scale.range)
    if shear := draws.of("shear"):
        slide = shear.either_way(config.shear.range)
    return affine_matrix(
        flip=(draws.of("vflip") is not None, draws.of("hflip") is not None),
        degrees=degrees,
        magnification=magnification,
        shear_degrees=slide,
    )


def _lens(
    config: LensConfig, draw: Draw | None, size: tuple[int, int], *, sign: int
) -> Lens | None:
    if draw is None:
        return None
    row, column = config.centers[int(draw.rng.integers(len(config.centers)))]
    centre = ((row - 0.5) * size[0], (column - 0.5) * size[1])
    return Lens(centre, config.radius * min(size), sign * draw.up_to(config.amount))


def _waves(config: AugmentationConfig, draws: Draws, size: tuple[int, int]) -> Iterator[Waves]:
    elastic, distortion = draws.of("elastic"), draws.of("distortion")
    if elastic and config.elastic.alpha:
        sigma = config.elastic.sigma
        deviation = elastic_deviation(elastic.up_to(config.elastic.alpha), sigma)
        yield Waves(elastic.rng, sigma, deviation, is_peak=False)
    if distortion and config.distortion.strength:
        peak = distortion.up_to(config.distortion.strength) * max(size)
        yield Waves(distortion.rng, config.distortion.sigma, peak, is_peak=True)


def margins(config: AugmentationConfig, size: tuple[int, int]) -> tuple[int, int]:
    """How many pixels beyond its sides a sample of this size may look at, at most.

    A source larger by this much on every side leaves nothing to be mirrored.

    Args:
        config: The ranges.
        size: Height and width of what is wanted.

    Returns:
        Above and below; left and right.
    """
    wide = 1 + 2 * config.perspective.range * (config.perspective.probability > 0)
    bulge = config.pincushion
    beyond = _WIDEST * bulge.amount * bulge.radius * min(size) * (bulge.probability > 0)
    if config.elastic.probability > 0:
        beyond += STEEPEST * elastic_deviation(config.elastic.alpha, config.elastic.sigma)
    beyond += config.distortion.strength * max(size) * (config.distortion.probability > 0)
    beyond += config.translation.range * (config.translation.probability > 0)
    rows, columns = (n / 2 * wide + beyond for n in size)
    slide = math.tan(math.radians(config.shear.range)) * (config.shear.probability > 0)
    columns += slide * rows
    angles = np.radians(_angles(config))
    cos, sin = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    lowest = config.scale.range[0] if config.scale.probability > 0 else 1.0
    if config.scale.probability < 1:
        lowest = min(lowest, 1.0)
    reach = ((cos * rows + sin * columns).max(), (sin * rows + cos * columns).max())
    spare = 1.0  # bilinear interpolation reads one pixel on
    above, beside = (
        max(0, math.ceil(far / lowest - n / 2 + spare)) for far, n in zip(reach, size, strict=True)
    )
    return above, beside


def _angles(config: AugmentationConfig) -> list[float]:
    """Degrees by which a sample may be turned, every half of one."""
    angles = [0.0]
    if config.rotation.probability > 0:
        largest = config.rotation.range
        angles += [*np.linspace(-largest, largest, 1 + 4 * math.ceil(largest)).tolist()]
        angles += config.rotation.angles
    quarters = (0, 90, 180, 270) if config.right_angles.probability > 0 else (0,)
    return [angle + quarter for angle in angles for quarter in quarters]
