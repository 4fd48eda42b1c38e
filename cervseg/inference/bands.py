"""Predict an image in bands: finished rows of full width, from top to bottom."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Predictor
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image
from cervseg.inference.blending import axis_weights
from cervseg.reports import Bar

T = TypeVar("T")

Skip = Callable[[Window, Callable[[], RGB]], bool]
"""Whether a tile need not be predicted, from its window and, if it must look, its pixels."""


class Band(NamedTuple):
    """Rows that no later tile touches: the unit of memory, resume and work sharing.

    Args:
        top: First row.
        probabilities: Shape (rows, grid.width, channels).
        skipped: Tiles of the band's own row of tiles that were not predicted, and stand as 0.
    """

    top: int
    probabilities: Probabilities
    skipped: int = 0


class _Batch(NamedTuple):
    """Tiles of one row of tiles, or, at its end, what was skipped of it."""

    row: int
    columns: Sequence[int]
    tiles: RGB | None
    skipped: int = 0


def predict_bands(
    image: Image,
    predict: Predictor,
    grid: TileGrid,
    *,
    channels: int,
    margin: int,
    batch_size: int = 4,
    first: int = 0,
    stop: int | None = None,
    skip: Skip | None = None,
    bar: Bar | None = None,
) -> Generator[Band, None, None]:
    """Yield the bands of an image, the same bits whoever computes them, from wherever.

    Memory grows with the width of the image, not with its height. While one batch is predicted
    the next is read, and the one before is blended.

    Args:
        image: As large as the grid.
        predict: Called with `batch_size` tiles, or the rest of a row.
        grid: Where the tiles lie.
        channels: Of the probabilities.
        margin: Pixels at a cut edge that can't be trusted; more than half the overlap would
            leave gaps, so that is the most that is used.
        batch_size: Batches never cross a row of tiles, so each holds the same tiles whoever
            computes it. The last of a row may be smaller; where tiles are left out it is filled by
            repeating its last one, lest each number of them be compiled.
        first: Number of the first band wanted.
        stop: Number of the first one after it that is not; default: there is none.
        skip: Which tiles are left out.
        bar: Moved by one a tile.
    """
    tops, lefts = grid.starts(grid.height), grid.starts(grid.width)
    tile_height, tile_width = grid.tile
    bands = range(len(tops))[first:stop]
    if not bands:
        return
    margin = min(margin, grid.overlap // 2)
    down, across = (axis_weights(grid, n, margin) for n in (grid.height, grid.width))
    rows = [r for r in range(bands.stop) if tops[r] + tile_height > tops[bands.start]]
    batches = _read(image, grid, rows, batch_size=batch_size, skip=skip)
    carry = strip = np.zeros((0, grid.width, channels), np.float32)
    begun = None
    with closing(ahead(_answer(predict, ahead(batches)))) as answered:
        for batch, answers in answered:
            if batch.row != begun:
                begun = batch.row
                strip = np.zeros((tile_height, grid.width, channels), np.float32)
            for column, answer in zip(batch.columns, answers, strict=False):
                left = lefts[column]
                strip[:, left : left + tile_width] += answer * (
                    down[batch.row][:, None, None] * across[column][:, None]
                )
            if bar is not None and batch.row in bands:
                bar.advance(len(batch.columns) + batch.skipped)
            if batch.tiles is None:  # the row is complete
                following = [*tops[1:], grid.height][batch.row] - tops[batch.row]
                strip[: len(carry)] += carry
                carry = strip[following:]
                if batch.row in bands:
                    yield Band(tops[batch.row], strip[:following], batch.skipped)


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Compute items in a thread of their own, one ahead of whoever takes them.

    Who takes not all of them must close it. Otherwise the garbage collector does, perhaps within
    that very thread, for whose end it then waits in vain.
    """
    with closing(items), ThreadPoolExecutor(1) as thread:
        waiting = [thread.submit(next, items, None)]
        while (item := waiting.pop().result()) is not None:
            waiting.append(thread.submit(next, items, None))
            yield item


def _read(
    image: Image, grid: TileGrid, rows: Sequence[int], *, batch_size: int, skip: Skip | None
) -> Generator[_Batch, None, None]:
    """Read batches of tiles, row by row, each row closed by a batch of none."""
    tops, lefts = grid.starts(grid.height), grid.starts(grid.width)
    for row in rows:
        columns: list[int] = []
        tiles: list[RGB] = []
        skipped = 0
        for column, left in enumerate(lefts):
            tile = _tile(image, Window(tops[row], left, *grid.tile), skip)
            if tile is None:
                skipped += 1
                continue
            columns.append(column)
            tiles.append(tile)
            if len(tiles) == batch_size:
                yield _Batch(row, columns, np.stack(tiles))
                columns, tiles = [], []
        if tiles:
            lacking = 0 if skip is None else batch_size - len(tiles)
            yield _Batch(row, columns, np.stack(tiles + tiles[-1:] * lacking))
        yield _Batch(row, (), None, skipped)


def _tile(image: Image, window: Window, skip: Skip | None) -> RGB | None:
    if skip is None:
        return image.read(window)
    seen: list[RGB] = []

    def look() -> RGB:
        seen.append(image.read(window))
        return seen[0]

    if skip(window, look):
        return None
    return seen[0] if seen else image.read(window)


def _answer(
    predict: Predictor, batches: Generator[_Batch, None, None]
) -> Generator[tuple[_Batch, NDArray[np.float32] | tuple[()]], None, None]:
    with closing(batches):
        for batch in batches:
            yield batch, () if batch.tiles is None else predict(batch.tiles)
