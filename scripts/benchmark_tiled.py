"""Time tiled inference against the loop one would write first: same network, grid and fields.

    python scripts/benchmark_tiled.py [--config FILE] [--repeats 5] [--json]

Ours is what `cervseg tiled-infer` runs: batches of tiles through one compiled function, the next
batch read meanwhile, tiles blended. The loop calls `model.predict` for each tile and pastes the
answer. Weights are random, since their values cost no time. The two take turns, so that whatever
else the machine does hits both; medians are compared.
"""

import argparse
import json
import runpy
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg import runtime
from cervseg.arrays import RGB, Tensor
from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.config.model import network_options
from cervseg.contract import Contract
from cervseg.errors import CervsegError
from cervseg.grid import TileGrid
from cervseg.images.photo import Photo
from cervseg.inference.prediction import TilePlan, plan_tiles, predict_tiled

SCRIPTS = Path(__file__).resolve().parent
CONFIG = SCRIPTS.parent / "configs" / "demo.yaml"
FIELD = (768, 1024)

Method = Callable[[RGB], NDArray[np.float32]]
"""From pixels (height, width, 3) to probabilities (height, width, channels)."""


@dataclass(frozen=True)
class Case:
    """How fields are seen: model pixels per pixel, and the side of a tile."""

    scale: float
    tile_size: int


@dataclass(frozen=True)
class Timing:
    """Medians of one case.

    Args:
        scale: Model pixels per pixel of the field.
        tile_size: Side of a tile, pixels.
        tiles: In all fields.
        parameters: Of the network.
        ours: Seconds for all fields.
        loop: Likewise.
        ratio: `loop / ours`.
        lowest: The least ratio of one turn.
        highest: The largest.
    """

    scale: float
    tile_size: int
    tiles: int
    parameters: int
    ours: float
    loop: float
    ratio: float
    lowest: float
    highest: float


def build(config: Config, case: Case) -> tuple[Tensor, Contract]:
    """The network of a config with random weights, and a contract whose margin is its reach."""
    from cervseg.models.folder import build_network
    from cervseg.models.inspection import geometry

    contract = Contract(
        architecture=config.model.architecture,
        options=network_options(config.model),
        classes=config.data.class_table(),
        activation="sigmoid",
        channels=len(config.data.classes),
        input_channels=config.model.input_channels,
        tile_size=case.tile_size,
        scale=case.scale,
    )
    runtime.seed_everything(config.runtime.seed)
    model = build_network(contract, where="the config")
    align, radius = geometry(model)
    return model, replace(contract, align=align, receptive_field=radius, margin=radius)


def our_way(model: Tensor, contract: Contract, plan: TilePlan) -> Method:
    """What the package does."""
    from cervseg.engines.keras import KerasPredictor

    predict = KerasPredictor(model, contract)
    return lambda pixels: predict_tiled(Photo(pixels), predict, plan)


def first_loop(model: Tensor, grid: TileGrid, view: tuple[int, int]) -> Method:
    """Reduce, pad, predict tile after tile, paste, enlarge: written without the package."""
    height, width = view

    def predict(pixels: RGB) -> NDArray[np.float32]:
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        pad = ((0, grid.height - height), (0, grid.width - width), (0, 0))
        padded = np.pad(np.asarray(small), pad, mode="reflect")
        answer = np.zeros((grid.height, grid.width), np.float32)
        for window in grid:
            rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
            logits = model.predict(padded[None, rows, columns].astype(np.float32), verbose=0)
            answer[rows, columns] = 1 / (1 + np.exp(-logits[0, ..., 0]))
        large = cv2.resize(answer[:height, :width], (pixels.shape[1], pixels.shape[0]))
        return np.asarray(large, np.float32)[..., None]

    return predict


def measure(config: Config, case: Case, fields: Sequence[RGB], *, repeats: int) -> Timing:
    """Let both answer all fields, in turns."""
    model, contract = build(config, case)
    plan = plan_tiles(contract)
    view = plan.view(Photo(fields[0]))
    grid = plan.grid(view)
    ours = our_way(model, contract, plan)
    loop = first_loop(model, grid, (view.height, view.width))
    for method in (ours, loop):
        method(fields[0])  # compiles
    seconds: dict[str, list[float]] = {"ours": [], "loop": []}
    for turn in range(repeats):
        order = (("ours", ours), ("loop", loop))
        for name, method in order if turn % 2 else order[::-1]:
            begun = time.perf_counter()
            for field in fields:
                method(field)
            seconds[name].append(time.perf_counter() - begun)
    ratios = [slow / fast for slow, fast in zip(seconds["loop"], seconds["ours"], strict=True)]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return Timing(
        scale=case.scale,
        tile_size=case.tile_size,
        tiles=len(grid) * len(fields),
        parameters=int(model.count_params()),
        ours=medians["ours"],
        loop=medians["loop"],
        ratio=medians["loop"] / medians["ours"],
        lowest=min(ratios),
        highest=max(ratios),
    )


def draw_fields(count: int) -> list[RGB]:
    """The fields of the demo."""
    draw = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))["draw_field"]
    height, width = FIELD
    return [
        draw(np.random.default_rng([0, i]), height=height, width=width)[0]
        for i in range(1, count + 1)
    ]


def tell(timing: Timing, fields: int) -> str:
    """One case in words."""
    return (
        f"{fields} fields at scale {timing.scale:g}, {timing.tiles} tiles of {timing.tile_size}, "
        f"{timing.parameters / 1e6:.2f} M parameters: ours {timing.ours:.2f} s, "
        f"loop {timing.loop:.2f} s, ratio {timing.ratio:.2f} "
        f"({timing.lowest:.2f} to {timing.highest:.2f})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code."""
    parser = argparse.ArgumentParser(description="Time tiled inference against a plain loop.")
    parser.add_argument("--config", default=CONFIG, help="default: configs/demo.yaml")
    parser.add_argument("--fields", type=int, default=2, help="how many (default 2)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default and at least 5)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args(argv)
    if arguments.repeats < 5 or arguments.fields < 1:
        parser.error("at least 5 repeats of 1 field")
    try:
        config = load_config(arguments.config).config
        runtime.start(device=config.runtime.device, threads=config.runtime.threads)
        fields = draw_fields(arguments.fields)
        # As the config sees the fields, where calls cost most, and at full size, where tiles do.
        cases = (Case(config.data.scale, config.data.tile_size), Case(1.0, 256))
        timings = [measure(config, case, fields, repeats=arguments.repeats) for case in cases]
    except CervsegError as exc:
        print(f"error: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else ""), file=sys.stderr)
        return exc.exit_code
    facts = {**runtime.machine(), **runtime.versions()}
    if arguments.json:
        document = {"fields": len(fields), "repeats": arguments.repeats, "machine": facts}
        print(json.dumps({**document, "cases": [asdict(timing) for timing in timings]}, indent=1))
    else:
        print("\n".join(tell(timing, len(fields)) for timing in timings))
        print(f"medians of {arguments.repeats} turns; range of single turns in parentheses")
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
