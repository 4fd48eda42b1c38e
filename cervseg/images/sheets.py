"""Contact sheets: pictures in rows, small."""

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE, Classes

GAP = 6
CAPTION = 18


def contact_sheet(
    rows: Sequence[Sequence[RGB | None]], *, captions: Sequence[str] = (), side: int = 256
) -> RGB:
    """Lay pictures out in a grid, each reduced to fit a square.

    Args:
        rows: Pictures of any size; None leaves a place empty.
        captions: Over each column.
        side: Of the square, pixels.
    """
    columns = max((len(row) for row in rows), default=0)
    top = GAP + (CAPTION if captions else 0)
    size = (GAP + columns * (side + GAP), top + len(rows) * (side + GAP))
    sheet = Pillow.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(captions):
        place = (GAP + column * (side + GAP), GAP // 2)
        draw.text(place, text, fill=(40, 40, 40), font=ImageFont.load_default(13))
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            if picture is None:
                continue
            small = Pillow.fromarray(thumbnail(picture, side))
            left = GAP + j * (side + GAP) + (side - small.width) // 2
            sheet.paste(small, (left, top + i * (side + GAP) + (side - small.height) // 2))
    return np.asarray(sheet)


def thumbnail(picture: RGB, side: int) -> RGB:
    """A picture reduced to fit a square, never enlarged."""
    small = Pillow.fromarray(picture)
    small.thumbnail((side, side), Pillow.Resampling.BILINEAR)
    return np.asarray(small)


def paint_mask(mask: Mask, classes: Classes) -> RGB:
    """A mask in its colours: black background, white where ignored."""
    colours = np.array(classes.palette(), np.uint8).reshape(256, 3)
    colours[IGNORE] = 255
    return colours[mask]
