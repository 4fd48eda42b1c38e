"""One method of `scripts/benchmark_tiled.py` in a process of its own: `tiled_methods.py JOB`.

Alone, because the peak of its memory is then the method's, and no two libraries' threads meet. It
gets ready, says so in a line of JSON on stdout, and then, for each line on stdin, takes one turn
and says what it measured. An error is said likewise.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rivals import (
    Monai,
    Road,
    import_torch,
    naive_loop,
    pad_to,
    recut,
    resized_tiles,
    torch_twin,
    worst_seam,
)

from cervseg import machine, runtime
from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.classes import Classes
from cervseg.commands.forecasting import dry_run
from cervseg.commands.inputs import find_inputs
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.config.inference import TiledInferConfig
from cervseg.config.loader import load_config
from cervseg.config.model import ModelConfig, Network, network_options
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Contract, Predictor, find_model
from cervseg.errors import CervsegError, ConfigError
from cervseg.grid import TileGrid, Window
from cervseg.images.image import whole
from cervseg.images.overlays import draw_overlay, write_picture
from cervseg.images.photo import Photo, open_photo
from cervseg.images.sheets import contact_sheet
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.parts import STEPS, BandList
from cervseg.inference.prediction import TilePlan, fill_parts, plan_tiles, predict_tiled
from cervseg.inference.seams import seam_score
from cervseg.inference.segment import Segmenter
from cervseg.reports import JSON, SILENT

REFERENCE = Path(__file__).resolve().parent.parent / "configs" / "metaplastic_reference.yaml"
FORWARD_TILES = 12
"""Tiles of a bare forward in a turn, half of them before the fields and half after."""

PRODUCT = 2048
"""Side of the matrices whose product is timed."""

SHOWN = 480
"""Side of a picture among others, pixels."""


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


def build(job: Job) -> Ready:
    """Write a network of random weights, and say what it costs."""
    runtime.start(device="cpu", threads=job.threads)
    from cervseg.models.costs import multiply_adds
    from cervseg.models.folder import build_network, save_model, with_geometry

    config = _network_config(job)
    contract = Contract(
        architecture=config.architecture,
        options=network_options(config),
        classes=Classes.of({"cell": "#00ff00"}),
        activation="sigmoid",
        tile_size=job.tile or 512,
    )
    runtime.seed_everything(0)
    network = build_network(contract, where=job.network)
    contract = with_geometry(contract, network)
    side, pixels = contract.tile_size, job.pixels()
    height, width = (max(side, n) for n in pixels[0].shape[:2])
    tile = pad_to(pixels[0], TileGrid(height, width, side))[None, :side, :side]
    _spread_logits(network, tile)
    expected = 1 / (1 + np.exp(-np.asarray(network(tile.astype(np.float32)))))
    folder = Path(job.model)
    save_model(folder, network, contract)
    np.savez(folder / "trial.npz", tile=tile, expected=expected)
    plan = plan_tiles(contract, job.section())
    tiles = [len(_grid(plan, one)) for one in pixels]
    return Ready({
        "parameters": int(network.count_params()),
        "gflop": 2e-9 * multiply_adds(network, side, side),
        "margin": contract.margin, "overlap": plan.overlap, "batch": plan.batch_size,
        "tiles": sum(tiles), "machine": {**runtime.machine(), **runtime.versions()},
    })  # fmt: skip


def _network_config(job: Job) -> Network:
    if job.network != "unet":
        return TypeAdapter(ModelConfig).validate_python({"architecture": job.network})
    config = load_config(REFERENCE).config.model
    return config if job.levels is None else config.model_copy(update={"num_layers": job.levels})


def _spread_logits(network: Tensor, tile: RGB) -> None:
    """Give the logits mean 0 and deviation 1: random ones make all probabilities 0 or 1."""
    logits = np.asarray(network(tile.astype(np.float32)))
    layer = network.get_layer("logits")
    kernel, bias = layer.get_weights()
    mean, deviation = logits.mean(), logits.std() or 1
    layer.set_weights([kernel / deviation, (bias - mean) / deviation])


def _grid(plan: TilePlan, pixels: RGB) -> TileGrid:
    return plan.grid(plan.view(Photo(pixels)))


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
    road = _each_size(lambda one: naive_loop(model, _grid(plan, one)), pixels)
    return _contest(job, road, bare, batch=1, facts={"difference": _largest(found, expected)})


def monai(job: Job) -> Ready:
    """MONAI's sliding window over PyTorch."""
    contract = job.contract()
    torch = import_torch(threads=job.threads)
    twin = torch_twin(find_model(Path(job.model)), contract, torch)
    pixels, plan = job.pixels(), plan_tiles(contract, job.section())
    rival = Monai(torch, twin, grid=_grid(plan, pixels[0]), batch=job.batch,
                  precision=job.precision)  # fmt: skip
    tile, expected = job.trial()
    facts: dict[str, JSON] = {
        "difference": _largest(rival.forward(tile), expected), "layout": rival.layout,
    }  # fmt: skip
    rival.tiles = 0
    rival.road(pixels[0])
    facts["tiles_of_a_field"] = rival.tiles
    return _contest(job, rival.road, rival.forward, batch=job.batch, facts=facts)


def ours(job: Job) -> Ready:
    """What `tiled-infer` runs: its forecast, the whole command once, then its road to arrays."""
    tools, output = _open(job)
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
    facts["difference"] = _largest(predict(tile), expected)

    def road(pixels: RGB) -> Probabilities:
        return predict_tiled(Photo(pixels), predict, plan)

    return _contest(job, road, _bare(predict), batch=plan.batch_size, facts=facts)


def _open(job: Job) -> tuple[Segmenter, OutputFolder]:
    folder = Path(job.scratch) / f"{job.network}-{job.engine}-{job.precision}"
    output = OutputFolder(folder)
    settings = RuntimeConfig(device="cpu", threads=job.threads)
    opening = Opening("tiled-infer", job.section(), (Path(job.model),), output, settings)
    return open_segmenter(opening)[0], output


def _bare(predict: Predictor) -> Callable[[RGB], object]:
    """The network alone; Keras has the activation in its graph."""
    from cervseg.engines.tiles import GraphPredictor

    if not isinstance(predict, GraphPredictor):
        return predict
    return lambda tiles: predict.forward_for(tiles.shape)(tiles)


def _each_size(make: Callable[[RGB], Road], fields: list[RGB]) -> Road:
    """A road for each size of field."""
    roads = {one.shape: make(one) for one in fields}
    return lambda pixels: roads[pixels.shape](pixels)


def _largest(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found[: len(expected)] - expected).max())


def _contest(
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


def product(job: Job) -> Ready:
    """The machine's rate of float32 matrix products, GFLOP/s: NumPy's, and PyTorch's if there."""
    a = np.random.default_rng(0).random((PRODUCT, PRODUCT), np.float32)
    jobs: dict[str, Callable[[], object]] = {"numpy": lambda: a @ a}
    try:
        torch = import_torch(threads=job.threads)
        b = torch.from_numpy(a)
        jobs["torch"] = lambda: b @ b
    except ConfigError:
        pass

    def turn() -> dict[str, float]:
        rates = {}
        for name, multiply in jobs.items():
            begun = time.perf_counter()
            for _ in range(5):
                multiply()
            rates[name] = 5 * 2e-9 * PRODUCT**3 / (time.perf_counter() - begun)
        return rates

    turn()
    return Ready({}, turn)


def linear(job: Job) -> Ready:
    """Seconds against tiles on growing images, in turns, and how straight the line is."""
    tools, _ = _open(job)
    plan, (field, *_) = tools.plan, job.pixels()
    assert plan is not None
    seconds: dict[int, list[float]] = {side: [] for side in job.sizes}
    counts = {}
    for turn in range(job.repeats + 1):
        for side in sorted(job.sizes) if turn else sorted(job.sizes)[:1]:  # the first warms up
            again = [-(-side // n) for n in field.shape[:2]]
            photo = Photo(np.tile(field, (*again, 1))[:side, :side])
            counts[side] = len(_grid(plan, photo.pixels))
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


class _Answers(NamedTuple):
    """A field at the model's scale, by the reference's tiles and by ours."""

    pixels: RGB
    naive: BandList
    ours: BandList


def picture(job: Job) -> Ready:
    """The reference's tiles beside ours: the first field with its worst seam, the scores of all."""
    tools, _ = _open(replace(job, network="picture"))
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


METHODS: dict[str, Callable[[Job], Ready]] = {
    "build": build, "naive": naive, "monai": monai, "ours": ours, "product": product,
    "linear": linear, "picture": picture,
}  # fmt: skip


def main(words: list[str]) -> int:
    """Get ready, then a turn for each line on stdin."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is talk

    def say(document: object) -> None:
        print(json.dumps(document), file=out, flush=True)

    job = TypeAdapter(Job).validate_json(words[0])
    try:
        facts, turn = METHODS[job.method](job)
        say({"facts": facts})
        for _ in sys.stdin if turn else ():
            say(cast(Callable[[], dict[str, float]], turn)())
    except CervsegError as exc:
        say({"error": str(exc), "hint": exc.hint})
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
