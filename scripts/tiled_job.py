"""What the methods of `scripts/benchmark_tiled.py` share: what they are told, and their turns."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg import machine
from cervseg.arrays import RGB, Probabilities
from cervseg.config.inference import TiledInferConfig
from cervseg.contract import Contract, find_model
from cervseg.grid import TileGrid
from cervseg.images.photo import Photo, open_photo
from cervseg.inference.prediction import TilePlan
from cervseg.reports import JSON

FORWARD_TILES = 12
"""Tiles of a bare forward in a turn, half of them before the fields and half after."""

Road = Callable[[RGB], Probabilities]
"""From pixels (height, width, 3) to probabilities (height, width, channels)."""


@dataclass(frozen=True)
class Job:
    """What a method is told.

    Args:
        method: A name in `METHODS`.
        network: unet or lite_unet.
        levels: Of unet; None: the reference's.
        model: Its folder, which `build` writes.
        fields: Files.
        scratch: Folder for whatever is written.
        engine: Of ours.
        precision: float32 or bfloat16.
        tile: Side, pixels.
        overlap: Pixels or auto.
        batch: Tiles at once.
        threads: Of all libraries.
        repeats: Turns of what takes its turns alone.
        sizes: Sides of the images of `linear`.
        picture: File that `picture` writes.
    """

    method: str
    scratch: str
    network: str = "lite_unet"
    levels: int | None = None
    model: str = ""
    fields: tuple[str, ...] = ()
    engine: Literal["keras", "openvino", "onnx", "auto"] = "keras"
    precision: Literal["float32", "bfloat16"] = "float32"
    tile: int | None = None
    overlap: int | Literal["auto"] = "auto"
    batch: int = 1
    threads: int = 1
    repeats: int = 3
    sizes: tuple[int, ...] = ()
    picture: str = ""

    def section(self) -> TiledInferConfig:
        """As a user would set it; random weights have no objects worth a file."""
        return TiledInferConfig(
            tile_size=self.tile,
            overlap=self.overlap,
            batch_size=self.batch,
            engine=self.engine,
            precision=self.precision,
            objects=False,
        )

    def contract(self) -> Contract:
        """Of the model."""
        return Contract.load(find_model(Path(self.model)))

    def pixels(self) -> list[RGB]:
        """All fields, decoded."""
        return [open_photo(Path(field)).pixels for field in self.fields]

    def trial(self) -> tuple[RGB, Probabilities]:
        """A tile, and what Keras says of it in float32."""
        with np.load(Path(self.model) / "trial.npz") as trial:
            return trial["tile"], trial["expected"]


class Ready(NamedTuple):
    """A method that waits for its turns.

    Args:
        facts: Measured on the way.
        turn: Seconds of a turn, by name; None where there is nothing more to do.
    """

    facts: dict[str, JSON]
    turn: Callable[[], dict[str, float]] | None = None


def contest(
    job: Job, road: Road, forward: Callable[[RGB], object], *, batch: int, facts: dict[str, JSON]
) -> Ready:
    """Warm up, and be ready for turns: all fields, and the bare forward on resident tiles."""
    pixels, (tile, _) = job.pixels(), job.trial()
    tiles = np.ascontiguousarray(np.repeat(tile, batch, axis=0))
    calls = -(-FORWARD_TILES // (2 * batch))

    def timed() -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            forward(tiles)
        return time.perf_counter() - begun

    def turn() -> dict[str, float]:
        before, begun = timed(), time.perf_counter()
        for one in pixels:
            road(one)
        seconds = time.perf_counter() - begun
        return {"road": seconds, "forward": (before + timed()) / (2 * calls * batch)}

    peak = machine.peak_memory_of(lambda: road(pixels[0]))
    timed()
    return Ready({**facts, "peak": peak}, turn)


def grid_of(plan: TilePlan, pixels: RGB) -> TileGrid:
    """Of the tiles of a field."""
    return plan.grid(plan.view(Photo(pixels)))


def pad_to(pixels: RGB, grid: TileGrid) -> RGB:
    """Mirror a field up to the size of a grid."""
    rest = ((0, grid.height - pixels.shape[0]), (0, grid.width - pixels.shape[1]), (0, 0))
    return np.pad(pixels, rest, mode="reflect")


def largest_difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Between two answers of the trial tile; a batch may hold it more than once."""
    return float(np.abs(found[: len(expected)] - expected).max())
