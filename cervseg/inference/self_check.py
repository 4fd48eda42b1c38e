"""Tiles against one larger window, at places of the image at hand."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cervseg.arrays import Probabilities
from cervseg.contract import Contract, Predictor
from cervseg.grid import TileGrid, Window, round_up
from cervseg.images.image import Image
from cervseg.images.views import Padded
from cervseg.inference.blending import axis_weights


class SelfCheck(NamedTuple):
    """How tiled and whole differ.

    Args:
        largest: Difference of a probability.
        mean: Of all pixels that were compared.
        windows: Places that were compared; 0 where one tile covers the image.
    """

    largest: float
    mean: float
    windows: int


def reach_of(contract: Contract, size: int) -> int:
    """Pixels around a place on which a model's answer there depends; `size` where on all."""
    return size if contract.receptive_field is None else contract.receptive_field


def check_tiles(
    view: Image,
    predict: Predictor,
    grid: TileGrid,
    *,
    predict_large: Predictor,
    margin: int,
    reach: int,
    windows: int,
    batch_size: int = 1,
) -> SelfCheck:
    """Predict places where tiles meet as the tiles have it, and from one larger window.

    Args:
        view: The image at the model's scale.
        predict: The model, for tiles of the grid.
        grid: Over the padded view.
        predict_large: The same model for windows of any size on the stride.
        margin: As in `predict_bands`.
        reach: Pixels at a cut edge of the larger window that don't count.
        windows: Places, spread evenly over the image.
        batch_size: As in `predict_bands`; tiles are repeated to fill it.
    """
    padded = Padded(view, grid.height, grid.width)
    largest = total = 0.0
    pixels = 0
    places = list(_places(grid, windows))
    for place in places:
        around = _around(place, grid, reach)
        large = predict_large(padded.read(around)[None])[0]
        top, left = place.top - around.top, place.left - around.left
        expected = large[top : top + place.height, left : left + place.width]
        tiled = _blend(padded, predict, grid, place=place, margin=margin, batch_size=batch_size)
        difference = np.abs(tiled - expected)
        largest = max(largest, float(difference.max()))
        total += float(difference.sum(dtype=np.float64))
        pixels += difference.size
    return SelfCheck(largest, total / max(1, pixels), len(places))


def tiles_checked(grid: TileGrid, *, reach: int, windows: int, batch_size: int = 1) -> float:
    """How many tiles take as long as `check_tiles`; a larger window counts by its area."""
    total = 0.0
    for place in _places(grid, windows):
        around = _around(place, grid, reach)
        height, width = grid.tile
        down = sum(place.top - height < n < place.bottom for n in grid.starts(grid.height))
        across = sum(place.left - width < n < place.right for n in grid.starts(grid.width))
        total += down * across * batch_size + around.height * around.width / (height * width)
    return total


def _places(grid: TileGrid, windows: int) -> Iterator[Window]:
    """Half a tile high and wide where up to four tiles meet, some or all of these."""
    if len(grid) == 1:
        return
    height, width = (max(grid.align, n // 2 // grid.align * grid.align) for n in grid.tile)
    tops, lefts = _centres(grid, grid.height, height), _centres(grid, grid.width, width)
    number = len(tops) * len(lefts)
    for index in np.unique(np.linspace(0, number - 1, windows).round().astype(int)):
        yield Window(tops[index // len(lefts)], lefts[index % len(lefts)], height, width)


def _centres(grid: TileGrid, length: int, side: int) -> list[int]:
    """First pixels of windows around the middle of what neighbours share."""
    starts, tile = grid.starts(length), grid.side(length)
    middles = [
        (after + before + tile) // 2 for before, after in zip(starts, starts[1:], strict=False)
    ]
    return [min(max(0, m - side // 2), length - side) for m in middles] or [(length - side) // 2]


def _around(place: Window, grid: TileGrid, reach: int) -> Window:
    """The larger window, on the stride and inside the grid."""
    reach = round_up(reach, grid.align)
    top, left = ((n // grid.align) * grid.align for n in (place.top, place.left))
    first = (max(0, top - reach), max(0, left - reach))
    last = (
        min(grid.height, round_up(place.bottom, grid.align) + reach),
        min(grid.width, round_up(place.right, grid.align) + reach),
    )
    return Window(*first, last[0] - first[0], last[1] - first[1])


def _blend(
    padded: Image,
    predict: Predictor,
    grid: TileGrid,
    *,
    place: Window,
    margin: int,
    batch_size: int,
) -> Probabilities:
    """The tiled answer of a place: what `predict_bands` gives there, without the rest."""
    margin = min(margin, grid.overlap // 2)
    answer: Probabilities | float = 0.0
    down, across = (axis_weights(grid, n, margin) for n in (grid.height, grid.width))
    height, width = grid.tile
    for i, top in enumerate(grid.starts(grid.height)):
        rows = range(max(top, place.top), min(top + height, place.bottom))
        for j, left in enumerate(grid.starts(grid.width)):
            columns = range(max(left, place.left), min(left + width, place.right))
            if not rows or not columns:
                continue
            tile = padded.read(Window(top, left, height, width))
            whole = predict(np.stack([tile] * batch_size))[0]
            inner = (slice(rows.start - top, rows.stop - top),
                     slice(columns.start - left, columns.stop - left))  # fmt: skip
            if isinstance(answer, float):
                answer = np.zeros((place.height, place.width, whole.shape[-1]), np.float32)
            weights = down[i][inner[0], None, None] * across[j][inner[1], None]
            answer[
                rows.start - place.top : rows.stop - place.top,
                columns.start - place.left : columns.stop - place.left,
            ] += whole[inner] * weights
    assert not isinstance(answer, float)  # tiles cover every place
    return answer
