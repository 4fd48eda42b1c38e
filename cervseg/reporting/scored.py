"""The scores of one training, read back, to be put beside those of others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from cervseg.bounds import one_line
from cervseg.errors import DataError
from cervseg.files import read_json
from cervseg.reports import JSON
from cervseg.scoring.summary import SCORES, scale_name

HEADLINE = ("dice", "iou", "cell_recall", "cell_match", "panoptic_quality")
"""Scores that are read first."""

OF_CELLS = ("cell_recall", "cell_match", "panoptic_quality")
"""Those of them that depend on what counts as a cell."""

TRUTH = ("empty_accuracy", "cells", "specks")
"""Of an image, whatever was predicted: where these differ, so does what is compared with."""

IN_TABLE = ("dice", "iou", "precision", "recall", "cell_recall", "panoptic_quality", "surface_dice")
"""Scores in a table of trainings; the JSON beside it has all."""


@dataclass(frozen=True)
class RunScores:
    """The evaluation of one training, read back.

    Args:
        number: Of the fold from 0, or the seed.
        settings: What it was scored with.
        failed: Images that could not be scored.
        names: Of the images.
        classes: Foreground classes.
        rows: Scores, per image and per class; nan where there is none.
        baselines: Of all-background masks, per class: means over the images.
        apart: The same for the images of each file scale.
        confusion: Pixels: rows truth, columns prediction.
        surface_tolerance: Of `surface_dice`, full-size pixels.
    """

    number: int
    settings: Mapping[str, JSON]
    failed: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    rows: list[list[dict[str, float]]]
    baselines: list[dict[str, float]]
    apart: dict[str, list[dict[str, float]]]
    confusion: list[list[int]]
    surface_tolerance: float

    def rows_of(self, index: int, scale: str | None) -> list[dict[str, float]]:
        """The scores of a class in the images of a file scale; None: in all."""
        rows = [row[index] for row in self.rows]
        return [row for row in rows if scale in (None, scale_name(row))]

    def means(self, index: int, scale: str | None = None) -> dict[str, float]:
        """The mean of each score over its images; nan where none has it."""
        rows = self.rows_of(index, scale)
        return {name: _mean([row[name] for row in rows]) for name in SCORES}

    @property
    def scales(self) -> list[str | None]:
        """The file scales to be told apart; None, all images, where there is one."""
        return [*self.apart] if len(self.apart) > 1 else [None]

    def mean_records(self) -> dict[str, JSON]:
        """By class, the mean of each score, for JSON."""
        return {
            name: {k: None if math.isnan(v) else v for k, v in self.means(i).items()}
            for i, name in enumerate(self.classes)
        }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def read_scores(number: int, path: Path) -> RunScores:
    """Read the `scores.json` of an evaluation, or the `folds.json` of a cross-validation.

    Raises:
        DataError: It is missing or broken.
    """
    document = read_json(path, what="table of scores")
    try:
        classes = cast(list[dict[str, JSON]], document["classes"])
        folds = cast(list[dict[str, JSON]], document.get("folds", []))
        failed = [cast(list[str], one["failed"]) for one in folds or [document]]
        images = [cast(list[dict[str, JSON]], c["images"]) for c in classes]
        rows = [[_scores(row) for row in rows] for rows in zip(*images, strict=True)]
        confusion = cast(dict[str, list[list[int]]], document["confusion"])["pixels"]
        return RunScores(
            number,
            cast(Mapping[str, JSON], document["settings"]),
            tuple(name for names in failed for name in names),
            tuple(str(row["image"]) for row in images[0]),
            tuple(str(c["class"]) for c in classes),
            rows,
            [_baselines(c, None) for c in classes],
            {
                scale_name(row[0]): [_baselines(c, scale_name(row[0])) for c in classes]
                for row in rows
            },
            confusion,
            _number(document["surface_tolerance"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise DataError(f"{path}: not a table of scores: {one_line(repr(exc))}") from exc


def _baselines(record: Mapping[str, JSON], scale: str | None) -> dict[str, float]:
    """Of a class; where all images have one scale it is not written apart."""
    apart = cast(Mapping[str, JSON], record.get("apart", {}))
    summary = cast(Mapping[str, Mapping[str, JSON]], apart.get(scale or "", record["scores"]))
    return {name: _number(summary[name]["baseline"]) for name in SCORES}


def _scores(row: Mapping[str, JSON]) -> dict[str, float]:
    names = dict.fromkeys((*SCORES, *row))  # what is missing is a KeyError
    return {name: _number(row[name]) for name in names if name != "image"}


def _number(value: JSON) -> float:
    """JSON has null where there is no number."""
    return math.nan if value is None else float(cast(float, value))
