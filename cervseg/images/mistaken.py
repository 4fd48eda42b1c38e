"""Masks that can't mean what the config says: painted too darkly, photographs."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.classes import Classes, format_colour
from cervseg.images.masks import (
    INDEX_LIMIT,
    PLAIN,
    THRESHOLD,
    MaskOptions,
    MaskPicture,
    Reading,
    is_ours,
)

FAR = 48
"""Distance in RGB from the nearest class colour that neither JPEG noise nor a brush explains."""

MOST_FAR = 0.2
"""Share of pixels so far away that soft edges don't reach."""

FLAT = 1 / 5
"""Share of the level by which the pixels of a painted surface differ, at most."""


class Mistake(NamedTuple):
    """Why a mask is not read.

    Args:
        kind: Of the finding of `dataset-check`.
        message: What was found, one line.
        hint: What to do.
        share: Of the pixels concerned, where that says something.
    """

    kind: Literal["empty mask", "colours"]
    message: str
    hint: str
    share: float | None = None


def find_mistake(
    picture: MaskPicture, classes: Classes, reading: Reading, *, options: MaskOptions = PLAIN
) -> Mistake | None:
    """Find out whether reading a mask so would make nonsense of it.

    Args:
        picture: Of `open_mask`.
        classes: What the values can mean.
        reading: As for `read_mask`.
        options: Likewise.
    """
    if reading == "threshold" and options.threshold == THRESHOLD:
        return _too_dark(picture)
    if reading == "colour" and not is_ours(picture.picture, classes):
        return _no_mask(picture.colours, classes)
    return None


def _too_dark(picture: MaskPicture) -> Mistake | None:
    """Cells painted with a grey below the threshold; the soft edge of one at a tile's rim is not.

    What is painted is flat, and an edge is a slope.
    """
    brightest = int(picture.values.max(initial=0))
    if not INDEX_LIMIT <= brightest < THRESHOLD:
        return None
    values = picture.values.astype(np.uint8)
    bright = values > brightest / 2
    level = int(np.median(values[bright]))
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(values, square) - cv2.erode(values, square)
    if np.mean(spread[bright] <= FLAT * level) < 0.5:
        return None
    message = (
        f"painted with a grey level of {level}, below the threshold of {THRESHOLD}, so it would "
        "be background"
    )
    return Mistake(
        "empty mask",
        message,
        f"set data.masks.threshold: {level // 2}, or 127 where it is background",
    )


def _no_mask(colours: NDArray[np.uint8], classes: Classes) -> Mistake | None:
    """A photograph with cells painted on it, or colours that the config does not name."""
    flat = colours.reshape(-1, 3) @ np.array([65536, 256, 1], np.int32)
    packed, counts = np.unique(flat, return_counts=True)  # a mask has few colours
    found = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1)
    nearest = np.full(len(found), np.inf)
    for known in ((0, 0, 0), *classes.colours):
        np.minimum(nearest, ((found - np.array(known)) ** 2).sum(axis=-1), out=nearest)
    is_far = nearest > FAR**2
    share = float(counts[is_far].sum() / max(1, counts.sum()))
    if share <= MOST_FAR:
        return None
    red, green, blue = (int(c) for c in found[is_far][counts[is_far].argmax()])
    message = (
        f"{share:.0%} of the pixels are far from black and all class colours, as "
        f"{format_colour((red, green, blue))}: a photograph, or a class that is not named?"
    )
    hint = "name all its colours in data.classes, or give masks that are black elsewhere"
    return Mistake("colours", message, hint, share)
