"""What `tiled-infer` runs: its road and its forecast, and its seconds on growing images."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tiled_job import Job, Ready, contest, grid_of, largest_difference

from cervseg import machine
from cervseg.arrays import RGB, Probabilities
from cervseg.commands.forecasting import dry_run
from cervseg.commands.inputs import find_inputs
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Predictor
from cervseg.images.photo import Photo, open_photo
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.prediction import predict_tiled
from cervseg.inference.segment import Segmenter
from cervseg.reports import JSON, SILENT


def ours(job: Job) -> Ready:
    """What `tiled-infer` runs: its forecast, the whole command once, then its road to arrays."""
    tools, output = open_ours(job)
    inputs = find_inputs([Path(field) for field in job.fields[:1]])
    forecast = dry_run("tiled-infer", inputs, tools).results[0]
    begun = time.perf_counter()
    image, (path, name) = open_photo(inputs[0].path), inputs[0]
    peak = machine.peak_memory_of(lambda: tools.segment(image, path, name, progress=SILENT))
    facts: dict[str, JSON] = {
        "forecast": {key: forecast[key] for key in ("tiles", "memory", "seconds")},
        "truth": {"memory": peak, "seconds": time.perf_counter() - begun},
    }
    predict, plan = tools.model.predict, tools.plan
    assert plan is not None and output.mask(name).is_file()
    tile, expected = job.trial()
    facts["difference"] = largest_difference(predict(tile), expected)

    def road(pixels: RGB) -> Probabilities:
        return predict_tiled(Photo(pixels), predict, plan)

    return contest(job, road, _bare(predict), batch=plan.batch_size, facts=facts)


def open_ours(job: Job) -> tuple[Segmenter, OutputFolder]:
    """As the command opens it, and where it writes."""
    folder = Path(job.scratch) / f"{job.network}-{job.engine}-{job.precision}"
    folder.mkdir()
    output = OutputFolder(folder)
    settings = RuntimeConfig(device="cpu", threads=job.threads)
    opening = Opening("tiled-infer", job.section(), (Path(job.model),), output, settings)
    return open_segmenter(opening), output


def _bare(predict: Predictor) -> Callable[[RGB], object]:
    """The network alone; Keras has the activation in its graph."""
    from cervseg.engines.tiles import GraphPredictor

    if not isinstance(predict, GraphPredictor):
        return predict
    return lambda tiles: predict.forward_for(tiles.shape)(tiles)


def linear(job: Job) -> Ready:
    """Seconds against tiles on growing images, in turns, and how straight the line is."""
    tools, _ = open_ours(job)
    plan, (field, *_) = tools.plan, job.pixels()
    assert plan is not None
    seconds: dict[int, list[float]] = {side: [] for side in job.sizes}
    counts = {}
    for turn in range(job.repeats + 1):
        for side in sorted(job.sizes) if turn else sorted(job.sizes)[:1]:  # the first warms up
            again = [-(-side // n) for n in field.shape[:2]]
            photo = Photo(np.tile(field, (*again, 1))[:side, :side])
            counts[side] = len(grid_of(plan, photo.pixels))
            begun = time.perf_counter()
            predict_tiled(photo, tools.model.predict, plan)
            if turn:
                seconds[side].append(time.perf_counter() - begun)
            print(f"{side} x {side}: {time.perf_counter() - begun:.1f} s", file=sys.stderr)
    medians = [float(np.median(seconds[side])) for side in seconds]
    tiles = [counts[side] for side in seconds]
    slope, base = np.polyfit(tiles, medians, 1)
    left = np.sum((np.array(medians) - base - slope * np.array(tiles)) ** 2)
    spread = np.sum((np.array(medians) - np.mean(medians)) ** 2)
    rows: list[JSON] = [
        {"side": side, "tiles": n, "seconds": s}
        for side, n, s in zip(seconds, tiles, medians, strict=True)
    ]
    engine = str(tools.model.fingerprint["engine"])
    return Ready({"engine": engine, "rows": rows, "r2": float(1 - left / spread),
                  "seconds_a_tile": float(slope), "peak": machine.peak_memory()})  # fmt: skip
