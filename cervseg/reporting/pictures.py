"""Pictures of an evaluation: fields with truth and prediction, and single cells."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.grid import Window
from cervseg.images.legend import add_legend
from cervseg.images.overlays import draw_overlay, write_layer, write_picture
from cervseg.images.resampling import nearest_indices
from cervseg.images.sheets import contact_sheet, thumbnail

CAPTIONS = ("truth", "prediction")

SIDE = 1024
"""Of the pictures of fields, at most, pixels."""

CROP = 192
"""Of those of single cells."""


class Compared(NamedTuple):
    """Pixels and two masks of them, all of one height and width."""

    pixels: RGB
    truth: Mask
    guess: Mask

    def drawn(self, classes: Classes) -> list[RGB]:
        """Truth and prediction over the pixels."""
        return [draw_overlay(self.pixels, mask, classes) for mask in (self.truth, self.guess)]


def write_overlay(path: Path, compared: Compared, classes: Classes) -> None:
    """Draw truth and prediction over the image, side by side."""
    side = min(SIDE, max(compared.pixels.shape[:2]))
    sheet = contact_sheet([compared.drawn(classes)], captions=CAPTIONS, side=side)
    write_picture(path, add_legend(sheet, classes))


def write_layers(stem: Path, compared: Compared, classes: Classes) -> None:
    """Write a field and, transparent, what lies over it: STEM.jpg, .truth.png, .prediction.png."""
    picture = thumbnail(compared.pixels, SIDE)
    height, width = picture.shape[:2]
    write_picture(stem.with_name(f"{stem.name}.jpg"), picture)
    for name, mask in zip(CAPTIONS, compared[1:], strict=True):
        rows = nearest_indices(0, height, source=mask.shape[0], target=height)
        columns = nearest_indices(0, width, source=mask.shape[1], target=width)
        small = mask[np.ix_(rows, columns)]
        write_layer(stem.with_name(f"{stem.name}.{name}.png"), small, classes)


def around(window: Window, height: int, width: int) -> Window:
    """A window half as large again on each side, inside the image."""
    more = max(window.height, window.width) // 2
    top, left = max(0, window.top - more), max(0, window.left - more)
    bottom, right = min(height, window.bottom + more), min(width, window.right + more)
    return Window(top, left, bottom - top, right - left)


def draw_cell(compared: Compared, classes: Classes) -> RGB:
    """A cell and its surroundings: truth on the left, prediction on the right."""
    return contact_sheet([compared.drawn(classes)], captions=CAPTIONS, side=CROP)
