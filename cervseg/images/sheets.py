"""Contact sheets: pictures in rows, small."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.images.legend import shorten

GAP = 6
CAPTION = 18
LINE = 15

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(
    rows: Sequence[Sequence[RGB | None]],
    *,
    captions: Sequence[str] = (),
    names: Sequence[str] = (),
    side: int = 256,
) -> RGB:
    """Lay pictures out in rows, each reduced to fit a square.

    Args:
        rows: Pictures of any size; None leaves a place empty.
        captions: Over each column.
        names: Over each row, in one line; none, or as many as rows.
        side: Of the square, pixels.
    """
    small = [[None if p is None else thumbnail(p, side) for p in row] for row in rows]
    heights = [max((p.shape[0] for p in row if p is not None), default=0) for row in small]
    columns = max((len(row) for row in rows), default=0)
    top = GAP + (CAPTION if captions else 0)
    line = CAPTION if names else 0
    size = (GAP + columns * (side + GAP), top + sum(heights) + (line + GAP) * len(heights))
    sheet = Pillow.new("RGB", size, (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, text in enumerate(captions):
        place = (GAP + column * (side + GAP), GAP // 2)
        draw.text(place, text, fill=(40, 40, 40), font=font)
    for row, height, name in zip(small, heights, names or [""] * len(rows), strict=True):
        if name:
            shown = shorten(name, font, size[0] - 2 * GAP)
            draw.text((GAP, top), shown, fill=(20, 20, 20), font=font)
        top += line
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


class Card(NamedTuple):
    """A picture with words.

    Args:
        picture: Of any size.
        name: Below it, in one line.
        text: Below that, in as many lines as it needs.
    """

    picture: RGB
    name: str
    text: str


def card_sheet(cards: Sequence[Card], *, columns: int = 3, width: int = 390) -> RGB:
    """Lay cards out in rows.

    Args:
        cards: In reading order.
        columns: Cards in a row.
        width: Of a card, pixels; pictures are reduced to it, never enlarged.
    """
    drawn = [_draw_card(card, width) for card in cards]
    rows = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
    level = [[_to_height(c, max(map(len, row)) + GAP) for c in row] for row in rows]
    return contact_sheet(level, side=max([width, *(len(row[0]) for row in level)]))


def _to_height(picture: RGB, height: int) -> RGB:
    return np.pad(picture, ((0, height - len(picture)), (0, 0), (0, 0)), constant_values=255)


def _draw_card(card: Card, width: int) -> RGB:
    small = thumbnail(card.picture, width)
    name_font, font = ImageFont.load_default(13), ImageFont.load_default(12)
    lines = _wrapped(card.text, font, width)
    below = small.shape[0] + 3
    drawn = Pillow.new("RGB", (width, below + CAPTION + LINE * len(lines)), (255, 255, 255))
    drawn.paste(Pillow.fromarray(small), (0, 0))
    draw = ImageDraw.Draw(drawn)
    name = shorten(card.name, name_font, width)
    draw.text((0, below), name, fill=(20, 20, 20), font=name_font)
    for number, line in enumerate(lines):
        place = (0, below + CAPTION + LINE * number)
        draw.text(place, line, fill=(90, 90, 90), font=font)
    return np.asarray(drawn)


def _wrapped(text: str, font: _Font, width: int) -> list[str]:
    """Lines of whole words; a longer word sticks out."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def paint_mask(mask: Mask, classes: Classes) -> RGB:
    """A mask in its colours: black background, white where ignored."""
    colours = np.array(classes.palette(), np.uint8).reshape(256, 3)
    return colours[mask]
