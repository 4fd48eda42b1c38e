"""What an augmentation does, as a picture: each transform alone, then all of them together."""

from collections.abc import Sequence

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE, Classes
from cervseg.config.augmentation import TRANSFORMS, AugmentationConfig
from cervseg.data.augmentation import augment, vary
from cervseg.data.draws import Draws
from cervseg.data.pasting import Donor
from cervseg.images.overlays import draw_overlay
from cervseg.images.sheets import contact_sheet

TOGETHER = 4
"""Draws of all transforms in a row."""


def augmentation_sheet(
    images: Sequence[RGB],
    masks: Sequence[Mask],
    config: AugmentationConfig,
    *,
    classes: Classes,
    seed: int,
    side: int = 192,
) -> RGB:
    """Lay out what may become of samples: one row a source.

    The columns are the source, then every transform that is on, alone and at its strongest, then
    draws of all together as training would make them. Masks are outlined, what is ignored is
    pale. Cells are pasted from the next source.

    Args:
        images: At the model's scale, shape (height, width, 3) each.
        masks: Of the images.
        config: The ranges.
        classes: Names and colours.
        seed: Of all draws.
        side: Of a picture, pixels.

    Returns:
        The sheet, as wide as it needs to be.
    """
    names = [name for name in TRANSFORMS if getattr(config, name).probability > 0]
    rows = []
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        donor = _next_of(images, masks, i)
        pairs = [(image, mask)]
        for name in names:
            draws = Draws(only(config, name), np.random.default_rng((seed, i)), strongest=True)
            pairs.append(vary(image, mask, draws, donor=donor))
        for k in range(TOGETHER):
            rng = np.random.default_rng((seed, i, k))
            pairs.append(augment(image, mask, config, rng=rng, donor=donor))
        rows.append([_show(*pair, classes) for pair in pairs])
    captions = ["source", *(name.replace("_", " ") for name in names), *["together"] * TOGETHER]
    return contact_sheet(rows, captions=captions, side=side)


def only(config: AugmentationConfig, name: str) -> AugmentationConfig:
    """One transform of a config, always applied, and no other."""
    transform = getattr(config, name).model_dump() | {"probability": 1.0}
    written = {"preset": "none", "border": config.border, name: transform}
    return AugmentationConfig.model_validate(written)


def _next_of(images: Sequence[RGB], masks: Sequence[Mask], i: int) -> Donor:
    k = (i + 1) % len(images)
    return lambda: (images[k], masks[k])


def _show(image: RGB, mask: Mask, classes: Classes) -> RGB:
    picture = draw_overlay(image, mask, classes)
    pale = mask == IGNORE
    picture[pale] = 128 + picture[pale] // 2
    return picture
