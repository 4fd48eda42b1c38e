"""How far a cut edge is felt: the margin, measured."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.contract import Predictor
from cervseg.grid import TileGrid, Window, round_up
from cervseg.images.image import Image
from cervseg.images.views import Padded

MOST_PIXELS = 4_000_000
"""Of the region that is predicted at once, for the sake of memory."""


class MarginCheck(NamedTuple):
    """What cutting tiles does to a model.

    Args:
        margin: Pixels at a cut edge beyond which tiled and whole differ by at most the tolerance.
        difference: The largest difference that remains inside the margin.
        windows: Tiles that were compared.
    """

    margin: int
    difference: float
    windows: int


def measure_margin(
    views: Sequence[Image],
    predict: Predictor,
    *,
    tile_size: int,
    align: int,
    radius: int,
    tolerance: float = 0.01,
) -> MarginCheck | None:
    """Compare tiles with the whole and find the smallest margin that makes them agree.

    Args:
        views: Images at the model's scale.
        predict: The model.
        tile_size: Side of a tile, pixels.
        align: The total stride; the margin is a multiple of it.
        radius: Of the receptive field: more than that is never needed.
        tolerance: On probabilities.

    Returns:
        None where no image is larger than a tile.
    """
    by_distance = np.zeros(tile_size // 2 + 1)  # largest difference at each distance from a cut
    windows = 0
    for view in views:
        height, width = _region(view, align)
        if max(height, width) <= tile_size or min(height, width) < tile_size:
            continue
        padded = Padded(view, height, width)
        whole = predict(padded.read(Window(0, 0, height, width))[None])[0]
        grid = TileGrid(height, width, tile_size, tile_size // align // 2 * align, align)
        for window in grid:
            part = whole[window.top : window.bottom, window.left : window.right]
            difference = np.abs(predict(padded.read(window)[None])[0] - part).max(axis=-1)
            distances = _distance_to_cuts(window, height, width)
            places = np.minimum(distances, len(by_distance) - 1)
            np.maximum.at(by_distance, places.ravel(), difference.ravel())
            windows += 1
    if not windows:
        return None
    from_here_on = np.maximum.accumulate(by_distance[::-1])[::-1]
    fine = np.flatnonzero(from_here_on <= tolerance)
    margin = min(round_up(int(fine[0]), align) if fine.size else radius, radius)
    left = from_here_on[min(margin, len(by_distance) - 1)]
    return MarginCheck(margin, float(left), windows)


def _region(view: Image, align: int) -> tuple[int, int]:
    """Height and width of the part that is predicted at once, on the stride."""
    height, width = round_up(view.height, align), round_up(view.width, align)
    while height * width > MOST_PIXELS:
        if height > width:
            height = round_up(height // 2, align)
        else:
            width = round_up(width // 2, align)
    return height, width


def _distance_to_cuts(window: Window, height: int, width: int) -> NDArray[np.int64]:
    """Pixels between each pixel of a tile and the nearest edge that cuts the image."""
    far = max(height, width)
    distances = np.full((window.height, window.width), far, np.int64)
    for axis, (start, end, length) in enumerate(
        ((window.top, window.bottom, height), (window.left, window.right, width))
    ):
        along = np.full(end - start, far, np.int64)
        steps = np.arange(end - start)
        if start > 0:
            along = np.minimum(along, steps)
        if end < length:
            along = np.minimum(along, steps[::-1])
        distances = np.minimum(distances, along[:, None] if axis == 0 else along[None])
    return distances
