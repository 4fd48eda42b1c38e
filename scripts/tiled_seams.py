"""The reference's tiles beside ours, as a picture and in numbers."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tiled_job import Job, Ready
from tiled_ours import open_ours

from cervseg.arrays import RGB
from cervseg.contract import Contract, Predictor
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image, whole
from cervseg.images.overlays import draw_overlay, write_picture
from cervseg.images.photo import open_photo
from cervseg.images.sheets import contact_sheet
from cervseg.inference.bands import Band
from cervseg.inference.parts import STEPS, BandList
from cervseg.inference.prediction import fill_parts
from cervseg.inference.seams import seam_score
from cervseg.reports import JSON

SHOWN = 480
"""Side of a picture among others, pixels."""


class _Answers(NamedTuple):
    """A field at the model's scale, by the reference's tiles and by ours."""

    pixels: RGB
    naive: BandList
    ours: BandList


def picture(job: Job) -> Ready:
    """The reference's tiles beside ours: the first field with its worst seam, the scores of all."""
    tools, _ = open_ours(replace(job, network="picture"))
    plan, predict = tools.plan, tools.model.predict
    assert plan is not None
    found, scores = [], []
    for field in job.fields:
        view = plan.view(open_photo(Path(field)))
        one = _Answers(
            view.read(whole(view)),
            resized_tiles(view, predict, size=plan.size, margin=plan.size // 4),
            BandList(plan.grid(view), plan.channels),
        )
        fill_parts(one.ours, view, predict, plan=plan)
        # What the fields themselves have there: lines are few, and may run along outlines of cells.
        there = recut(one.ours, one.naive.grid)
        margins = ((one.naive, 0), (one.ours, plan.margin), (there, 0))
        each = [seam_score(parts, view.height, view.width, margin=n) for parts, n in margins]
        scores.append([np.nan if score is None else score for score in each])
        found.append(one)
    means = [float(score) for score in np.nanmean(scores, axis=0)]
    captions = (
        "field", f"resized tiles, hard cut: seams {means[0]:.2f}",
        f"cervseg: seams {means[1]:.2f} (at those places {means[2]:.2f})",
    )  # fmt: skip
    rows = _draw(found[0], tools.model.contract, size=plan.size)
    write_picture(Path(job.picture), contact_sheet(rows, captions=captions, side=SHOWN))
    facts: dict[str, JSON] = {"picture": job.picture, "fields": len(found)}
    return Ready({**facts, **dict(zip(("naive", "ours", "ours_there"), means, strict=True))})


def _draw(found: _Answers, contract: Contract, *, size: int) -> list[list[RGB]]:
    """Rows of a sheet: probabilities, masks, the worst seam."""
    pixels, (height, width) = found.pixels, found.pixels.shape[:2]
    maps, overlays = [], []
    for parts in (found.naive, found.ours):
        steps = parts.read(0, height)[:, :width, -len(contract.classes) :]
        maps.append((steps.max(axis=-1) / STEPS).astype(np.float32))
        mask = np.where(maps[-1] >= contract.threshold[0], steps.argmax(axis=-1) + 1, 0)
        overlays.append(draw_overlay(pixels, mask.astype(np.uint8), contract.classes))
    seam = worst_seam(maps[0], maps[1], size=size)
    grey = [np.repeat((255 * one).astype(np.uint8)[..., None], 3, axis=-1) for one in maps]
    large = [_enlarged(one, seam) for one in (pixels, *grey)]
    return [[pixels, *grey], [pixels, *overlays], large]


def _enlarged(picture: RGB, window: Window) -> RGB:
    cut = picture[window.top : window.bottom, window.left : window.right]
    factor = max(1, SHOWN // max(cut.shape[:2]))
    return cut.repeat(factor, axis=0).repeat(factor, axis=1)


def resized_tiles(image: Image, predict: Predictor, *, size: int, margin: int) -> BandList:
    """The reference's tiles: seen smaller by their margins, cut hard, black where there is nothing.

    Each tile of `size` is read with `margin` pixels more on every side where all of them lie in
    the image, and squeezed to `size`; the answer is stretched again and the margins are cut off.

    Args:
        image: At the model's scale.
        predict: The model.
        size: Side of a tile, pixels.
        margin: Pixels around it.

    Returns:
        On the grid of tiles without overlap, which may be larger than the image.
    """
    rows, columns = (-(-n // size) for n in (image.height, image.width))
    canvas = np.zeros((rows * size, columns * size, 3), np.uint8)
    canvas[: image.height, : image.width] = image.read(whole(image))
    strips = []
    for top in range(0, rows * size, size):
        tiles = [Window(top, left, size, size) for left in range(0, columns * size, size)]
        answers = [
            _resized(canvas, predict, tile, around=_around(image, tile, margin)) for tile in tiles
        ]
        strips.append(np.concatenate(answers, axis=1))
    parts = BandList(TileGrid(rows * size, columns * size, size), strips[0].shape[-1])
    for row, strip in enumerate(strips):
        parts.add(row, Band(row * size, strip))
    return parts


def _around(image: Image, tile: Window, margin: int) -> Window:
    """The window that is read for a tile."""
    above, before = min(margin, tile.top), min(margin, tile.left)
    below = margin if tile.bottom + margin <= image.height else 0
    behind = margin if tile.right + margin <= image.width else 0
    return Window(
        tile.top - above,
        tile.left - before,
        above + tile.height + below,
        before + tile.width + behind,
    )


def _resized(
    canvas: RGB, predict: Predictor, tile: Window, *, around: Window
) -> NDArray[np.float32]:
    seen = canvas[around.top : around.bottom, around.left : around.right]
    squeezed = np.asarray(cv2.resize(seen, (tile.width, tile.height)), np.uint8)
    answer = predict(squeezed[None])[0]
    large = np.asarray(cv2.resize(answer, (around.width, around.height)), np.float32)
    large = large.reshape(around.height, around.width, answer.shape[-1])
    top, left = tile.top - around.top, tile.left - around.left
    return large[top : top + tile.height, left : left + tile.width]


def recut(parts: BandList, grid: TileGrid) -> BandList:
    """The same answer as if it came from another grid; 0 where that is larger."""
    answer = np.zeros((grid.height, grid.width, parts.channels), np.float32)
    height, width = min(grid.height, parts.grid.height), min(grid.width, parts.grid.width)
    answer[:height, :width] = parts.read(0, height)[:, :width] / np.float32(STEPS)
    other = BandList(grid, parts.channels)
    starts = grid.starts(grid.height)
    for number, (top, bottom) in enumerate(pairwise([*starts, grid.height])):
        other.add(number, Band(top, answer[top:bottom]))
    return other


def worst_seam(
    cut: NDArray[np.float32], smooth: NDArray[np.float32], *, size: int, side: int = 80
) -> Window:
    """Where the jump across borders of tiles is largest, beyond that of the other answer.

    Args:
        cut: Probabilities with borders at multiples of `size`, shape (height, width).
        smooth: Others of the same field.
        size: Side of a tile, pixels.
        side: Of the window, pixels.
    """
    height, width = cut.shape
    jumps = np.zeros((height, width), np.float32)
    for axis, length in ((0, height), (1, width)):
        for line in range(size, length, size):
            here, before = (np.take(cut - smooth, n, axis=axis) for n in (line, line - 1))
            np.moveaxis(jumps, axis, 0)[line] += np.abs(here - before)
    heat = np.asarray(cv2.boxFilter(jumps, -1, (side // 2, side // 2)))
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    side = min(side, height, width)
    top = int(np.clip(y - side // 2, 0, height - side))
    left = int(np.clip(x - side // 2, 0, width - side))
    return Window(top, left, side, side)
