"""Pictures for the eye: a mask over its image."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.files import write_bytes
from cervseg.images.image import Image
from cervseg.images.views import read_in_steps, scale_image

FILL = 0.25
"""Share of the class colour inside an object; its outline is drawn in full."""

PIECE = 500_000
"""Pixels that are read or tinted at once: on the way a channel takes eight or four bytes."""

LONGEST = 65_500
"""Pixels that a side of a JPEG can have, in libjpeg."""


def draw_overlay(pixels: RGB, mask: Mask, classes: Classes) -> RGB:
    """Tint each class and outline it in its colour.

    Args:
        pixels: Shape (height, width, 3).
        mask: Shape (height, width); background and ignored pixels stay as they are.
        classes: Names and colours.

    Returns:
        A new array of the image's shape.
    """
    outlined = pixels.copy(order="C")  # OpenCV draws on nothing else
    step = max(1, PIECE // mask.shape[1])
    for top in range(0, len(mask), step):
        _tint(outlined[top : top + step], mask[top : top + step], classes)
    thickness = max(2, round(max(mask.shape) / 600))
    for index, colour in enumerate(classes.colours, start=1):
        region = (mask == index).astype(np.uint8)
        contours, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(outlined, contours, -1, colour, thickness)
    return outlined


def _tint(pixels: RGB, mask: Mask, classes: Classes) -> None:
    for index, colour in enumerate(classes.colours, start=1):
        inside = mask == index
        tinted = (1 - FILL) * pixels[inside] + FILL * np.array(colour, np.float32)
        pixels[inside] = np.rint(tinted).astype(np.uint8)


def read_reduced(image: Image, height: int, width: int) -> RGB:
    """Read all of an image at another size, some rows at once, so that memory stays small."""
    view = scale_image(image, height / image.height, width / image.width)
    return read_in_steps(view, max(1, PIECE // view.width))


def write_picture(path: Path, pixels: RGB) -> None:
    """Write a JPEG or PNG for the eye, whole or not at all; a JPEG that is too long is reduced."""
    encoded = io.BytesIO()  # writing a JPEG, Pillow overlooks that the disk takes only a part of it
    kind = "JPEG" if path.suffix == ".jpg" else "PNG"
    picture = Pillow.fromarray(pixels)
    if kind == "JPEG":
        picture.thumbnail((LONGEST, LONGEST))  # leaves a smaller one as it is
    picture.save(encoded, format=kind, quality=90)
    write_bytes(path, encoded.getvalue())


def write_layer(path: Path, mask: Mask, classes: Classes) -> None:
    """Write each class tinted and outlined on nothing: a transparent PNG, whole or not at all."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    for index, colour in enumerate(classes.colours, start=1):
        region = (mask == index).astype(np.uint8)
        layer[region > 0] = (*colour, round(255 * FILL))
        contours, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(layer, contours, -1, (*colour, 255), 2)
    encoded = io.BytesIO()
    Pillow.fromarray(layer).quantize(64).save(encoded, format="PNG")  # few colours, a small file
    write_bytes(path, encoded.getvalue())
