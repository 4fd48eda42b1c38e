"""What an image will cost before it is begun, and how it is worked in less memory."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.grid import TileGrid
from cervseg.images.image import Image
from cervseg.images.overlays import draw_overlay
from cervseg.images.pyramid import STRIP, pyramid_memory, scratch_size
from cervseg.images.segments import KEPT
from cervseg.images.views import STRIP as VIEW
from cervseg.inference.assembly import OVERLAY_PIXELS
from cervseg.inference.prediction import TilePlan
from cervseg.inference.rows import KEPT as KEPT_ROWS
from cervseg.inference.rows import PIECE
from cervseg.inference.segment import Segmenter

PIECES = (PIECE, PIECE // 2, PIECE // 4)
"""Pixels worked on at once in the second pass; with fewer than the last it takes longer."""

_SECOND_PASS = 40
"""Bytes a pixel and channel of such a piece: probabilities, classes, runs, labels."""

_OBJECTS, _OBJECT_PIXEL = 75_000_000, 125
"""Bytes that an object takes at most while it is outlined: in all, and a pixel of the mask.
Measured on noise of which most is one object."""

_OVERLAY = 20
"""Bytes a pixel of an overlay that is drawn."""

_DRAWINGS = 10

_SECONDS_A_DRAWING = 0.014
"""Of the piece of work in `slowness`. This and the following are of one machine, on two cores."""

_SECONDS_AN_IMAGE = 0.02
"""Threads that start, small files, a first batch that nothing overlaps."""

_SECONDS_A_PIXEL = 85e-9
"""Of the second pass: deciding, labelling, outlining, compressing."""

_SECONDS_A_SHOWN_PIXEL = 100e-9
"""Of the overlay and the overview, and of decoding a photograph."""

_SECONDS_A_PROBABILITY = 150e-9
"""Of probabilities that are written: a pixel of a channel."""


class Memory(NamedTuple):
    """What is chosen to take less memory. Only the batch may change an answer, in its last bits.

    Args:
        batch: Tiles a call.
        spare: Bytes of decoded pixels that a reader keeps where a row of tiles needs fewer.
        piece: Pixels of the second pass that are worked on at once, about.
    """

    batch: int
    spare: int = KEPT
    piece: int = PIECE


def choices(batch: int, *, least: int = 1) -> Iterator[Memory]:
    """What there is to choose from, the fastest first; the last takes least.

    Smaller pieces cost next to no time. Without spare pixels, those that two rows of tiles share
    are decoded twice. Smaller batches may slow down the network, in which most of the time goes.
    """
    for tiles in range(batch, least - 1, -1):
        for spare in (KEPT, 0):
            for piece in PIECES:
                yield Memory(tiles, spare, piece)


def within(tools: Segmenter, memory: Memory) -> Segmenter:
    """The same tools, working in this way."""
    assert tools.plan is not None
    fingerprint = {**tools.model.fingerprint, "batch_size": memory.batch}
    return replace(
        tools,
        model=replace(tools.model, fingerprint=fingerprint),
        plan=replace(tools.plan, batch_size=memory.batch, spare=memory.spare),
        assembly=replace(tools.assembly, piece=memory.piece, spare=memory.spare),
    )


class Costs(NamedTuple):
    """What was measured of a model on this machine.

    Args:
        idle: Memory of the process with the model loaded, bytes.
        kept: Memory more that it keeps once it has predicted, bytes.
        tile: Memory more for each tile of a batch, at the most, while it predicts, bytes.
        seconds: A tile, from reading to probabilities. Both are of a whole, square tile.
        slowness: Seconds that other work takes, over those it took on the machine of the
            constants here.
    """

    idle: int
    kept: int
    tile: int
    seconds: float
    slowness: float = 1.0


class Forecast(NamedTuple):
    """What an image will cost.

    Args:
        tiles: Of its grid.
        memory: Largest memory of the process, bytes.
        idle: What of it the process has with the model loaded, before the first tile.
        disk: Largest room below the output folder while it is at work, bytes; the files that
            stay are counted as if they were not compressed.
        seconds: In all.
    """

    tiles: int
    memory: int
    idle: int
    disk: int
    seconds: float


def slowness() -> float:
    """Draw and compress a picture a few times: how slow this machine is here and now, 1 as ours."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (512, 512, 3), np.uint8)
    mask = np.kron(rng.integers(0, 2, (16, 16), np.uint8), np.ones((32, 32), np.uint8))
    begun = time.perf_counter()
    for _ in range(_DRAWINGS):
        picture = draw_overlay(pixels, mask, Classes.of({"object": "#00ff00"}))
        for drawn, kind in ((picture, "JPEG"), (mask, "PNG")):
            Pillow.fromarray(drawn).save(io.BytesIO(), format=kind)
    return (time.perf_counter() - begun) / _DRAWINGS / _SECONDS_A_DRAWING


def forecast(
    view: Image,
    plan: TilePlan,
    *,
    costs: Costs,
    target: tuple[int, int],
    large: bool,
    written: bool,
    checked: float,
    piece: int = PIECE,
    blur: float = 0.0,
) -> Forecast:
    """Say what an image will cost with batches of `plan.batch_size`.

    Args:
        view: At the model's scale.
        plan: Of the tiles.
        costs: As measured.
        target: Height and width of the mask.
        large: Whether it is worked on disk.
        written: Whether probabilities are.
        checked: Tiles that take as long as the self-check.
        piece: Pixels worked on at once in the second pass.
        blur: Sigma of a Gaussian on the probabilities, for which it reads more rows; pixels.
    """
    grid = plan.grid(view)
    pixels = target[0] * target[1]
    bands = grid.height * grid.width * plan.channels * 2
    share = share_of_tile(grid)
    first = _first_pass(grid, plan) + max(costs.kept, round(plan.batch_size * costs.tile * share))
    around = 2 * ceil(4 * blur) * target[1]
    work = min(pixels, max(target[1], piece) + around) * plan.channels * _SECOND_PASS
    work += min(_OBJECTS, pixels * _OBJECT_PIXEL)
    second = costs.kept + (max(work, _files(target, plan, written=written)) if large else work)
    whole = 0 if large else bands + pixels * 24  # the bands, the mask and its overlay
    whole += (pixels <= KEPT_ROWS) * pixels * plan.channels * 4  # its probabilities
    whole += (view.height * view.width <= VIEW) * view.height * view.width * 3
    memory = costs.idle + max(first, second) + view.working_set(grid.tile[0]) + whole
    probabilities = pixels * plan.channels * 2
    scratch = pixels + max(
        scratch_size(*target, dtype="uint8"),
        scratch_size(*target, channels=plan.channels, dtype="uint16"),
    )
    disk = (bands + scratch if large else 0) + pixels + probabilities
    other = _SECONDS_AN_IMAGE
    other += pixels * (_SECONDS_A_PIXEL + written * plan.channels * _SECONDS_A_PROBABILITY)
    other += (min(pixels, OVERLAY_PIXELS) if large else pixels) * _SECONDS_A_SHOWN_PIXEL
    seconds = (len(grid) + checked) * costs.seconds * share + other * costs.slowness
    return Forecast(len(grid), memory, costs.idle, disk, seconds)


def share_of_tile(grid: TileGrid) -> float:
    """How large its tiles are, compared with square ones; smaller where the image is narrow."""
    height, width = grid.tile
    return height * width / grid.size**2


def _first_pass(grid: TileGrid, plan: TilePlan) -> int:
    """Strips being blended, the band being written, tiles and answers on their way."""
    height, width = grid.tile
    strips = 2 * height * grid.width * plan.channels * 4
    band = max(1, height - grid.overlap) * grid.width * plan.channels * 2
    area = plan.batch_size * height * width
    tiles = 4 * area * 3 + 3 * area * plan.channels * 4
    return strips + band + tiles


def _files(target: tuple[int, int], plan: TilePlan, *, written: bool) -> int:
    """What the one of the files of a large image takes that takes most while it is written."""
    pixels, width = target[0] * target[1], target[1]
    mask = pyramid_memory(width, dtype="uint8")
    overlay = min(pixels, OVERLAY_PIXELS) * _OVERLAY
    if not written:
        return max(mask, overlay)
    strip = STRIP * width * plan.channels * _SECOND_PASS
    return max(overlay, strip + pyramid_memory(width, channels=plan.channels, dtype="uint16"))
