"""`tiled-infer --dry-run` and `max_ram`: what the images will cost, from three timed tiles."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

import numpy as np

from cervseg import machine
from cervseg.arrays import RGB
from cervseg.commands.inputs import Input
from cervseg.config.inference import TiledInferConfig
from cervseg.errors import BudgetError, DataError
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image
from cervseg.images.photo import Photo
from cervseg.images.readers import open_image
from cervseg.images.views import Padded
from cervseg.inference.bands import ahead
from cervseg.inference.budget import (
    Costs,
    Forecast,
    Memory,
    choices,
    forecast,
    share_of_tile,
    slowness,
    within,
)
from cervseg.inference.segment import Segmenter
from cervseg.inference.self_check import reach_of, tiles_checked
from cervseg.reports import JSON, Failure, Report, Table

TIMED = 3

VARIATION = 105
"""Per cent of the memory needed that are named as enough: what is measured varies."""


class Planned(NamedTuple):
    """An image and what it will cost."""

    item: Input
    image: Image
    forecast: Forecast


def measure(tools: Segmenter, image: Image) -> Costs:
    """Predict a few tiles of an image: how long one takes, how much memory a batch."""
    plan = tools.plan
    assert plan is not None
    view = plan.view(image, tools.file_scale(image))
    grid = plan.grid(view)
    padded, size = Padded(view, grid.height, grid.width), plan.batch_size
    windows = list(grid)[:: max(1, len(grid) // (TIMED * size))]
    idle, stamps = machine.resident_memory(), list[float]()

    def batches() -> Generator[RGB, None, None]:
        for number in range(TIMED + 1):  # the first one also compiles
            chosen = [windows[(number * size + i) % len(windows)] for i in range(size)]
            yield np.stack([padded.read(window) for window in chosen])

    def work() -> None:
        for tiles in ahead(batches()):  # as in a run, the next is read meanwhile
            tools.model.predict(tiles)
            stamps.append(time.perf_counter())

    peak = machine.peak_memory_of(work)
    tiles = size * share_of_tile(grid)
    seconds = (stamps[-1] - stamps[0]) / (TIMED * tiles)
    machine.return_blocks()
    kept = max(0, machine.resident_memory() - idle)
    machine.keep_blocks()
    return Costs(idle, kept, ceil(max(0, peak - idle) / tiles), seconds, slowness())


def plan_images(
    inputs: Sequence[Input], tools: Segmenter
) -> tuple[list[Planned], tuple[Failure, ...]]:
    """Forecast each image with the batches of the plan; those that can't be opened are failures."""
    opened = _open_all(inputs)
    if opened.largest is None:  # nor is there any in a shard beyond the last image
        return [], tuple(opened.failures)
    costs = measure(tools, opened.largest)
    planned = [Planned(item, image, forecast_image(tools, image, costs))
               for item, image in opened.images]  # fmt: skip
    return planned, tuple(opened.failures)


class _Size(NamedTuple):
    """A photograph whose pixels are given back: of thousands they would fill the memory."""

    height: int
    width: int
    mpp: float | None
    levels: tuple[Image, ...] = ()

    def working_set(self, height: int) -> int:
        """As of the photograph."""
        return 0

    def read(self, window: Window) -> RGB:
        """Not any more."""
        raise NotImplementedError


@dataclass
class _Opened:
    """Images in their order, the largest with its pixels, and those that can't be opened."""

    images: list[tuple[Input, Image]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    largest: Image | None = None


def _open_all(inputs: Sequence[Input]) -> _Opened:
    opened, most = _Opened(), 0
    for item in inputs:
        try:
            image = open_image(item.path)
        except DataError as exc:
            opened.failures.append(Failure.of(str(item.path), exc))
            continue
        if (pixels := image.height * image.width) > most:
            opened.largest, most = image, pixels
        small = _Size(image.height, image.width, image.mpp) if isinstance(image, Photo) else image
        opened.images.append((item, small))
    return opened


def forecast_image(tools: Segmenter, image: Image, costs: Costs) -> Forecast:
    """Forecast one image."""
    plan = tools.plan
    assert plan is not None
    view = plan.view(image, tools.file_scale(image))
    return forecast(
        view,
        plan,
        costs=costs,
        target=tools.target(image),
        large=tools.large(image),
        written=tools.assembly.probabilities or tools.assembly.disagreement,
        checked=_checked(tools, plan.grid(view)),
        piece=tools.assembly.piece,
        blur=tools.assembly.decision.on(tools.mask_pixel(image)).steps.blur,
    )


def _checked(tools: Segmenter, grid: TileGrid) -> float:
    """How many tiles take as long as the self-check that is asked for."""
    plan, config = tools.plan, tools.config
    assert plan is not None
    asked = config.self_check if isinstance(config, TiledInferConfig) else None
    if asked is None:
        return 0.0
    reach = reach_of(tools.model.contract, plan.size)
    return tiles_checked(grid, reach=reach, windows=asked.windows, batch_size=plan.batch_size)


def fit_memory(
    tools: Segmenter, inputs: Sequence[Input], limit: int, *, batch: int | None = None
) -> Memory:
    """The fastest way to work with which every image stays within a limit of memory.

    Args:
        tools: With the batches wanted.
        inputs: The images.
        limit: Bytes.
        batch: The only one allowed; None: any up to that of the tools.

    Raises:
        BudgetError: None does; names a limit that would.
    """
    assert tools.plan is not None
    ways = list(choices(batch or tools.plan.batch_size, least=batch or 1))
    opened = _open_all(inputs)  # what can't be opened is told of when its turn comes
    if opened.largest is None:
        return ways[0]
    largest = opened.largest

    def needed(memory: Memory, costs: Costs) -> int:
        those = within(tools, memory)
        return max(forecast_image(those, image, costs).memory for _, image in opened.images)

    def best(costs: Costs) -> Memory | None:
        return next((way for way in ways if needed(way, costs) <= limit), None)

    costs = measure(within(tools, ways[-1]), largest)  # the least: measuring takes memory too
    if (first := best(costs)) is not None:
        return best(measure(within(tools, first), largest)) or first
    enough = -(-needed(ways[-1], costs) * VARIATION // 10**8)
    raise BudgetError(
        f"'tiled_infer.max_ram' {as_size(limit)} is too little: {enough} MB are needed",
        hint=f"--set tiled_infer.max_ram={enough}MB, or a smaller tile_size",
    )


def dry_run(command: str, inputs: Sequence[Input], tools: Segmenter) -> Report:
    """Say what the images will cost, and write nothing."""
    planned, failures = plan_images(inputs, tools)
    seconds = sum(one.forecast.seconds for one in planned)
    memory = max((one.forecast.memory for one in planned), default=0)
    disk = sum(one.forecast.disk for one in planned)
    rows = [
        (
            one.item.name,
            f"{one.image.width} x {one.image.height}",
            str(one.forecast.tiles),
            as_size(one.forecast.memory),
            as_size(one.forecast.disk),
            as_time(one.forecast.seconds),
        )
        for one in planned
    ]
    total = ("all", "", str(sum(one.forecast.tiles for one in planned)), as_size(memory),
             as_size(disk), as_time(seconds))  # fmt: skip
    results: list[dict[str, JSON]] = [
        {"image": str(one.item.path), "height": one.image.height, "width": one.image.width,
         **one.forecast._asdict()}
        for one in planned
    ]  # fmt: skip
    free = machine.available_memory()
    notices = [f"nothing was written; time from {TIMED} timed batches"]
    if memory > free:
        notices.append(f"{as_size(memory)} of memory are needed, {as_size(free)} are free")
    return Report(
        command,
        results=tuple(results),
        failures=failures,
        notices=tuple(notices),
        tables=(
            Table("forecast", ("image", "size", "tiles", "memory", "disk at most", "time"),
                  (*rows, *([total] if len(rows) > 1 else []))),
        ) if rows else (),
    )  # fmt: skip


def as_size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def as_time(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
