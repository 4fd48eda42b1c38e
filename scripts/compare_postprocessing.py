"""Compare what can be done to masks, on the validation fields of trained folds.

    python scripts/compare_postprocessing.py CONFIG --folds 0 1 2 [--set KEY=VALUE …]

For each fold its model predicts the fields it was validated on, never those it is scored on. Then
probabilities become masks in many ways, one key after another: of each key the value is kept whose
sum of mean Dice and mean cell match is the highest. Fields of several sizes are told apart, each
size counting alike. Prints a line for each way.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg import runtime
from cervseg.arrays import Probabilities
from cervseg.commands.fold import of_fold
from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.contract import Contract, Postprocessing, find_model
from cervseg.data.folds import open_fold
from cervseg.data.labelled import Labelled, Read, labelled_sources, read_labelled
from cervseg.inference.answers import tiled_answers
from cervseg.inference.decision import Decision
from cervseg.reports import SILENT
from cervseg.scoring.objects import object_scores
from cervseg.scoring.pixels import pixel_scores
from cervseg.scoring.summary import min_pixels

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
WAYS: dict[str, tuple[float, ...]] = {
    "split_touching": (0, 40, 60, 80, 100),
    "blur": (0, 3, 6, 9, 12),
    "fill_holes": (0, 2000, 5000),
    "hysteresis": (0, 0.7, 0.8, 0.9, 0.95),
    "min_area": (0, 1000, 2000, 3000, 4000),
}
SHOWN = ("dice", "iou", "precision", "recall", "cell_recall", "cell_match")


class Field(NamedTuple):
    """A validation field and what its model says of it."""

    scale: tuple[float, float]
    truth: NDArray[np.bool_]
    cells: NDArray[np.uint16] | None
    answer: Probabilities


def main() -> int:
    """Predict, then compare."""
    config, folds = begin(__doc__ or "")
    fields = [field for fold in folds for field in predict(config, fold)]
    best = Decision("sigmoid", (0.5,))
    for key in ("threshold", *WAYS, "threshold"):
        best = choose(key, best, fields)
    return 0


def begin(doc: str) -> tuple[Config, list[int]]:
    """Read the arguments, start the backend; the config and the folds asked for."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    config = load_config(asked.config, asked.overrides).config
    runtime.start(device=config.runtime.device, threads=config.runtime.threads)
    return config, asked.folds


def predict(config: Config, fold: int) -> Iterator[Field]:
    """The validation fields of a fold, answered by its model."""
    from cervseg.engines import open_model

    own = of_fold(config, fold)
    dataset = open_fold(config.data.output, fold, hint="")
    model = own.train.output
    contract = Contract.load(find_model(model))
    predictor = open_model([model], engine=config.tiled_infer.engine).predict
    answer = tiled_answers(contract, predictor, config.tiled_infer, progress=SILENT)
    for item in labelled_sources(dataset, dataset.sources_of("valid")):
        read: Read = read_labelled(item, dataset.classes)
        yield as_field(item, read, answer(read.image, item.scale, item.name))


def as_field(item: Labelled, read: Read, answer: Probabilities) -> Field:
    """Keep what is needed of a field."""
    return Field(item.scale, read.mask == 1, read.objects, answer.astype(np.float16))


def choose(key: str, before: Decision, fields: list[Field]) -> Decision:
    """Try all values of a key, print their scores, give the best."""
    ways = {value: changed(before, key, value) for value in WAYS.get(key, THRESHOLDS)}
    merit: dict[float, float] = {}
    for value, decision in ways.items():
        found = {scale: mean_scores(decision, [f for f in fields if f.scale == scale])
                 for scale in sorted({field.scale for field in fields})}  # fmt: skip
        for scale, means in found.items():
            told = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
            print(f"{key} {value:g}, files of {scale[0]:g} x {scale[1]:g}: {told}", flush=True)
        gain = sum(means["dice"] + means["cell_match"] for means in found.values())
        merit[value] = round(gain, 3)
    best = max(merit, key=lambda value: merit[value])  # of equals the first, which does less
    print(f"-> {key} {best:g}, of {len(fields)} fields", flush=True)
    return ways[best]


def changed(decision: Decision, key: str, value: float) -> Decision:
    """A decision with another value of one key."""
    if key == "threshold":
        return replace(decision, thresholds=(value,))
    whole = isinstance(getattr(Postprocessing(), key), int)
    steps: dict[str, Any] = {key: int(value) if whole else value}
    return replace(decision, steps=replace(decision.steps, **steps))


def mean_scores(decision: Decision, fields: list[Field]) -> dict[str, float]:
    """The mean of each score over fields."""
    rows = [scores(decision, field) for field in fields]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in SHOWN}


def scores(decision: Decision, field: Field, *, min_cell_area: int = 200) -> dict[str, float]:
    """Of one field, as `evaluate` counts its cells."""
    mask = decision.on(field.scale).apply(field.answer.astype(np.float32)) > 0
    pixels = pixel_scores(field.truth, mask)
    smallest = min_pixels(min_cell_area, field.scale)
    objects = object_scores(field.truth, mask, min_size=smallest, cells=field.cells)
    every = {**asdict(pixels), **asdict(objects)}
    return {name: float(every[name]) for name in SHOWN}


if __name__ == "__main__":
    raise SystemExit(main())
