"""Predict an image in bands: finished rows of full width, from top to bottom."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Predictor
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image
from cervseg.inference.blending import axis_weights
from cervseg.reports import Bar


class Band(NamedTuple):
    """Rows that no later tile touches: the unit of memory, resume and work sharing."""

    top: int
    probabilities: Probabilities


def predict_bands(
    image: Image,
    predict: Predictor,
    grid: TileGrid,
    *,
    channels: int,
    margin: int,
    batch_size: int = 4,
    first: int = 0,
    bar: Bar | None = None,
) -> Iterator[Band]:
    """Yield the bands of an image, the same bits whoever computes them, from wherever.

    Memory grows with the width of the image, not with its height. While one batch is predicted
    the next is read.

    Args:
        image: As large as the grid.
        predict: Called with `batch_size` tiles each time.
        grid: Where the tiles lie.
        channels: Of the probabilities.
        margin: Pixels at a cut edge that can't be trusted; more than half the overlap would
            leave gaps, so that is the most that is used.
        batch_size: Batches never cross a row of tiles and are filled by repeating the last tile.
        first: Number of the first band wanted.
        bar: Moved by one a tile.
    """
    tops, lefts = grid.starts(grid.height), grid.starts(grid.width)
    margin = min(margin, grid.overlap // 2)
    down, across = (axis_weights(grid, n, margin) for n in (grid.height, grid.width))
    rows = [row for row, top in enumerate(tops) if top + grid.size > tops[first]]
    batches = [(row, i) for row in rows for i in range(0, len(lefts), batch_size)]
    windows = [
        [Window(tops[row], x, grid.size, grid.size) for x in lefts[i : i + batch_size]]
        for row, i in batches
    ]
    carry = np.zeros((0, grid.width, channels), np.float32)  # rows earlier strips touched too
    strip = carry
    for (row, i), tiles in zip(batches, _read_ahead(image, windows, batch_size), strict=True):
        if i == 0:
            strip = np.zeros((grid.size, grid.width, channels), np.float32)
        answers = predict(tiles)
        for left, answer, weight in zip(lefts[i:], answers, across[i:], strict=False):
            weights = np.outer(down[row], weight)[..., None]
            strip[:, left : left + grid.size] += answer * weights
        if bar is not None:
            bar.advance(min(batch_size, len(lefts) - i))
        if i + batch_size >= len(lefts):
            following = [*tops[1:], grid.height][row] - tops[row]
            strip[: len(carry)] += carry
            carry = strip[following:]
            if row >= first:
                yield Band(tops[row], strip[:following])


def _read_ahead(image: Image, batches: list[list[Window]], batch_size: int) -> Iterator[RGB]:
    """Read batches of tiles in order, one ahead of the reader."""

    def read(windows: list[Window]) -> RGB:
        tiles = [image.read(window) for window in windows]
        return np.stack(tiles + tiles[-1:] * (batch_size - len(tiles)))

    with ThreadPoolExecutor(1) as reader:
        futures = [reader.submit(read, batches[0])] if batches else []
        for _, following in pairwise([*batches, []]):
            tiles = futures.pop().result()
            if following:
                futures.append(reader.submit(read, following))
            yield tiles
