"""Where to look: a picture for each finding, with the pixels in question marked."""

from contextlib import suppress

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB
from cervseg.classes import Classes
from cervseg.data.checks import Finding, foreign_region
from cervseg.data.fields import Field
from cervseg.data.regions import find_holes, find_specks
from cervseg.data.truth import MaskFile, empty_mask
from cervseg.errors import DataError
from cervseg.images.image import whole
from cervseg.images.masks import MaskPicture, interpret_mask, open_mask
from cervseg.images.overlays import draw_overlay
from cervseg.images.readers import open_image
from cervseg.images.sheets import paint_mask

MARK = (255, 0, 200)
"""Of the pixels in question: no stain and no usual class colour."""

WINDOW = 48
"""Side of the smallest part of a mask that is shown, pixels."""

SIDE = 192
"""Height of a picture, pixels."""


def show_finding(
    finding: Finding, field: Field, *, partner: Field | None, classes: Classes
) -> RGB | None:
    """Draw what a finding is about.

    Two fields that share something stand side by side; for a mask, the image with its outline
    stands beside the part of the mask file with the most pixels in question, enlarged and these
    pixels pink.

    Returns:
        Shape (192, any, 3); None where the files can't be decoded.
    """
    try:
        image = open_image(field.image)
        pixels = image.read(whole(image))
        if partner is not None:
            other = open_image(partner.image)
            return _beside(pixels, other.read(whole(other)))
        if not isinstance(field.truth, MaskFile):
            return _beside(_outlined(pixels, field, classes))
        picture = open_mask(field.truth.path)
        return _beside(
            _outlined(pixels, field, classes),
            _closer(finding, field.truth, picture, classes=classes),
        )
    except DataError:
        return None


def _outlined(pixels: RGB, field: Field, classes: Classes) -> RGB:
    """The image with its mask, or alone where the mask can't be read."""
    height, width = pixels.shape[:2]
    small, scale = pixels, min(1.0, 2 * SIDE / height)
    mask = empty_mask(height, width)
    if field.truth is not None:
        with suppress(DataError):
            mask = field.truth.read(height, width, classes).mask
    if scale < 1:  # first small, then outlined: a line must be seen
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    return draw_overlay(small, mask, classes)


def _closer(finding: Finding, file: MaskFile, picture: MaskPicture, *, classes: Classes) -> RGB:
    """The part of a mask file with the most pixels in question, these marked."""
    shown = picture.colours
    if file.reading == "index":
        shown = paint_mask(picture.values.clip(0, 255).astype(np.uint8), classes)
    concerned = _concerned(finding, file, picture, classes=classes)
    if not concerned.any():
        return shown
    marked = shown.copy()
    marked[concerned] = MARK
    height, width = concerned.shape
    is_tiny = finding.kind in ("specks", "holes")  # else a lone pixel is no more than a dot
    window = WINDOW if is_tiny else max(WINDOW, min(height, width) // 12)
    row, column = _densest(concerned, window)
    top = int(np.clip(row - window // 2, 0, max(0, height - window)))
    left = int(np.clip(column - window // 2, 0, max(0, width - window)))
    return marked[top : top + window, left : left + window]


def _densest(concerned: NDArray[np.bool_], window: int) -> tuple[int, int]:
    """The middle of the pixels in the window that has most of them."""
    density = cv2.boxFilter(
        concerned.astype(np.float32), -1, (window, window), borderType=cv2.BORDER_CONSTANT
    )
    row, column = (int(i) for i in np.unravel_index(int(density.argmax()), density.shape))
    top, left = max(0, row - window // 2), max(0, column - window // 2)
    part = concerned[top : row + window // 2 + 1, left : column + window // 2 + 1]
    rows, columns = np.nonzero(part)
    return top + int(rows.mean()), left + int(columns.mean())


def _concerned(
    finding: Finding, file: MaskFile, picture: MaskPicture, *, classes: Classes
) -> NDArray[np.bool_]:
    nothing = np.zeros(picture.values.shape, np.bool_)
    if finding.kind == "colours":
        return foreign_region(picture.colours, classes, file.reading)
    if finding.kind == "noise":
        if file.reading == "threshold":
            return np.asarray((picture.values != 0) & (picture.values != 255))
        known = np.array([(0, 0, 0), *classes.colours], np.uint8)
        return np.asarray(~(picture.colours[:, :, None] == known).all(axis=-1).any(axis=-1))
    if finding.kind in ("specks", "holes"):
        mask, _ = interpret_mask(picture, classes, file.reading, options=file.options)
        regions = find_specks(mask, classes) if finding.kind == "specks" else find_holes(mask)
        return regions.pixels
    return nothing


def _beside(*pictures: RGB) -> RGB:
    """Pictures of one height in a row, a white line between them."""
    gap = np.full((SIDE, 4, 3), 255, np.uint8)
    parts: list[RGB] = []
    for picture in pictures:
        width = max(1, min(2 * SIDE, round(picture.shape[1] * SIDE / picture.shape[0])))
        is_enlarged = picture.shape[0] < SIDE
        how = cv2.INTER_NEAREST_EXACT if is_enlarged else cv2.INTER_AREA
        parts += [np.asarray(cv2.resize(picture, (width, SIDE), interpolation=how), np.uint8), gap]
    return np.concatenate(parts[:-1], axis=1)
