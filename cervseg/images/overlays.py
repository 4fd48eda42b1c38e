"""Pictures for the eye: a mask over its image."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE, Classes
from cervseg.files import writing
from cervseg.grid import Window
from cervseg.images.image import Image, whole
from cervseg.images.views import scale_image

SOURCE_SIDE = 1024
"""Pixels of an image that are reduced at once, a side."""

FILL = 0.25
"""Share of the class colour inside an object; its outline is drawn in full."""


def draw_overlay(pixels: RGB, mask: Mask, classes: Classes) -> RGB:
    """Tint each class and outline it in its colour.

    Args:
        pixels: Shape (height, width, 3).
        mask: Shape (height, width); background and ignored pixels stay as they are.
        classes: Names and colours.

    Returns:
        A new array of the image's shape.
    """
    picture = pixels.astype(np.float32, order="C")  # OpenCV draws on nothing else
    outlined = pixels.copy()
    thickness = max(2, round(max(mask.shape) / 600))
    for index, colour in enumerate(classes.colours, start=1):
        inside = mask == index
        picture[inside] = (1 - FILL) * picture[inside] + FILL * np.array(colour, np.float32)
    outlined = np.rint(picture).astype(np.uint8)
    for index, colour in enumerate(classes.colours, start=1):
        region = ((mask == index) & (mask != IGNORE)).astype(np.uint8)
        contours, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(outlined, contours, -1, colour, thickness)
    return outlined


def read_reduced(image: Image, height: int, width: int) -> RGB:
    """Read all of an image at another size, block by block, so that memory stays small."""
    if (height, width) == (image.height, image.width):
        return image.read(whole(image))
    view = scale_image(image, height / image.height, width / image.width)
    picture = np.empty((view.height, view.width, 3), np.uint8)
    side = max(1, int(SOURCE_SIDE * min(1.0, height / image.height)))
    for top in range(0, view.height, side):
        for left in range(0, view.width, side):
            block = picture[top : top + side, left : left + side]
            block[:] = view.read(Window(top, left, *block.shape[:2]))
    return picture


def write_picture(path: Path, pixels: RGB) -> None:
    """Write a JPEG or PNG for the eye, whole or not at all."""
    with writing(path) as partial:
        Pillow.fromarray(pixels).save(partial, quality=90)
