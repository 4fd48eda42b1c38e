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
    """Lay pictures out in rows, each reduced to fit a square.

    Args:
        rows: Pictures of any size; None leaves a place empty.
        captions: Over each column.
        side: Of the square, pixels.
    """
    small = [[None if p is None else thumbnail(p, side) for p in row] for row in rows]
    heights = [max((p.shape[0] for p in row if p is not None), default=0) for row in small]
    columns = max((len(row) for row in rows), default=0)
    top = GAP + (CAPTION if captions else 0)
    size = (GAP + columns * (side + GAP), top + sum(heights) + GAP * len(heights))
    sheet = Pillow.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(captions):
        place = (GAP + column * (side + GAP), GAP // 2)
        draw.text(place, text, fill=(40, 40, 40), font=ImageFont.load_default(13))
    for row, height in zip(small, heights, strict=True):
        for column, picture in enumerate(row):
            if picture is not None:
                left = GAP + column * (side + GAP) + (side - picture.shape[1]) // 2
                sheet.paste(
                    Pillow.fromarray(picture), (left, top + (height - picture.shape[0]) // 2)
                )
        top += height + GAP
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
