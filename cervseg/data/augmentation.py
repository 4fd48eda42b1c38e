"""One draw of an augmentation: geometry for image and mask, then colour for the image."""

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.config.augmentation import AugmentationConfig
from cervseg.data.colour import change_colour
from cervseg.data.warp import affine_matrix, build_warp, smooth_field, warp_pair


def augment(
    image: RGB, mask: Mask, config: AugmentationConfig, *, rng: np.random.Generator
) -> tuple[RGB, Mask]:
    """Vary a tile and its mask alike.

    The number of draws does not depend on the config, so one setting changed leaves the others'
    draws as they were.

    Args:
        image: Shape (height, width, 3).
        mask: Shape (height, width).
        config: The ranges.
        rng: Where all draws come from.
    """
    shape = (image.shape[0], image.shape[1])
    flips = rng.random(2)
    turn, slide, light, contrast = rng.uniform(-1, 1, 4)
    magnification = np.exp(rng.uniform(np.log(config.scale[0]), np.log(config.scale[1])))
    gains = 1 + config.colour * rng.uniform(-1, 1, 3)
    matrix = affine_matrix(
        flip=(config.vflip and flips[0] < 0.5, config.hflip and flips[1] < 0.5),
        degrees=config.rotation * turn,
        magnification=magnification,
        shear_degrees=config.shear * slide,
    )
    displacement = None
    if config.deformation:
        displacement = smooth_field(
            rng, shape, amplitude=config.deformation, wavelength=config.deformation_size
        )
    if displacement is not None or not np.array_equal(matrix, np.eye(2)):
        image, mask = warp_pair(image, mask, build_warp(shape, matrix, displacement))
    red, green, blue = (float(gain) for gain in gains)
    image = change_colour(
        image,
        brightness=config.brightness * light,
        contrast=config.contrast * contrast,
        gains=(red, green, blue),
    )
    return image, mask
