"""What the colours of a picture mean: a strip below it."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cervseg.arrays import RGB
from cervseg.classes import Classes

SMALLEST = 12
"""Letters are never smaller, pixels."""

SHARE = 1 / 45
"""Letters over the side of a square as large as the picture, at most as wide: alike on a screen."""

WHITE, INK, RIM = (255, 255, 255), (40, 40, 40), (140, 140, 140)


def add_legend(picture: RGB, classes: Classes) -> RGB:
    """Add a strip with every class's colour and name below a picture.

    Args:
        picture: Shape (height, width, 3); nothing of it is covered or moved.
        classes: Names and colours; one alone needs no legend.

    Returns:
        Shape (at least height, width, 3).
    """
    height, width = picture.shape[:2]
    if classes.is_binary or not picture.size:
        return picture
    size = max(SMALLEST, round(SHARE * min(sqrt(height * width), width)))
    return np.concatenate([picture, draw_legend(classes, width, size=size)])


def draw_legend(classes: Classes, width: int, *, size: int) -> RGB:
    """Draw a strip of colours and names, in as many lines as the width asks for.

    Args:
        classes: Names and colours; a name that is too long for a line ends in dots.
        width: Of the strip, pixels.
        size: Of letters and colours, pixels.

    Returns:
        Shape (height, width, 3), dark on white.
    """
    font = ImageFont.load_default(size)
    gap = size // 2
    room = width - size - 3 * gap  # for a name: a margin on both sides, a gap after the colour
    names = [shorten(name, font, room) for name in classes.names]
    lengths = [size + gap + round(font.getlength(name)) for name in names]
    places = _places(lengths, width - 2 * gap, between=2 * size)
    line = size + gap
    strip = Pillow.new("RGB", (width, (places[-1][0] + 1) * line + gap), WHITE)
    draw = ImageDraw.Draw(strip)
    for (row, left), name, colour in zip(places, names, classes.colours, strict=True):
        x, y = gap + left, gap + row * line
        draw.rectangle((x, y, x + size - 1, y + size - 1), fill=colour, outline=RIM)
        draw.text((x + size + gap, y + size / 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(strip)


def shorten(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """The longest beginning of a name that fits into so many pixels, with dots if not all."""
    kept = [name, *(f"{name[:count].rstrip()}…" for count in range(len(name) - 1, 0, -1))]
    return next((text for text in kept if font.getlength(text) <= room), "")


def _places(lengths: Sequence[int], width: int, *, between: int) -> list[tuple[int, int]]:
    """The line and the left edge of each item; one that does not fit begins a new line."""
    places, row, left = [], 0, 0
    for length in lengths:
        if left and left + length > width:
            row, left = row + 1, 0
        places.append((row, left))
        left += length + between
    return places
