"""The loop one writes first: Keras's `predict` on tile after tile."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tiled_job import Job, Ready, Road, contest, grid_of, largest_difference, pad_to

from cervseg import runtime
from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.contract import find_model
from cervseg.grid import TileGrid
from cervseg.inference.prediction import plan_tiles
from cervseg.reports import JSON


def naive(job: Job) -> Ready:
    """Keras's `predict` on tile after tile."""
    runtime.start(device="cpu", threads=job.threads)
    from cervseg.models.folder import load_model

    contract = job.contract()
    model = load_model(find_model(Path(job.model)), contract)
    pixels, plan = job.pixels(), plan_tiles(contract, job.section())
    bare = runtime.compiled(model, lambda logits: logits)
    tile, expected = job.trial()
    found = 1 / (1 + np.exp(-model.predict(tile.astype(np.float32), verbose=0)))
    road = _each_size(lambda one: naive_loop(model, grid_of(plan, one)), pixels)
    facts: dict[str, JSON] = {"difference": largest_difference(found, expected)}
    return contest(job, road, bare, batch=1, facts=facts)


def naive_loop(model: Tensor, grid: TileGrid) -> Road:
    """The loop one writes first: `predict` for each tile, its answer pasted over what is there."""

    def road(pixels: RGB) -> Probabilities:
        padded = pad_to(pixels, grid)
        answer = np.zeros((grid.height, grid.width, 1), np.float32)
        for tile in grid:
            rows, columns = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
            logits = model.predict(padded[None, rows, columns].astype(np.float32), verbose=0)
            answer[rows, columns] = 1 / (1 + np.exp(-logits[0]))
        return answer[: pixels.shape[0], : pixels.shape[1]]

    return road


def _each_size(make: Callable[[RGB], Road], fields: list[RGB]) -> Road:
    """A road for each size of field."""
    roads = {one.shape: make(one) for one in fields}
    return lambda pixels: roads[pixels.shape](pixels)
