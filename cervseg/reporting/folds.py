"""Scores over the folds of a cross-validation: each image by a model that has not seen it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from cervseg.errors import DataError
from cervseg.files import read_json, write_csv, write_json
from cervseg.reporting.scores import Evaluation
from cervseg.reports import JSON, Table
from cervseg.runs import Run
from cervseg.scoring.summary import SCORES, Summary, scale_name, summarize

IN_TABLE = ("dice", "iou", "precision", "recall", "cell_recall", "panoptic_quality", "surface_dice")
"""Scores in the table of folds; `folds.json` has all."""


@dataclass(frozen=True)
class FoldScores:
    """The evaluation of one fold, read back.

    Args:
        fold: From 0.
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

    fold: int
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
        """The mean of each score over images of the fold; nan where none has it."""
        rows = self.rows_of(index, scale)
        return {name: _mean([row[name] for row in rows]) for name in SCORES}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def read_fold(fold: int, folder: Path) -> FoldScores:
    """Read the `scores.json` of a fold.

    Raises:
        DataError: It is missing or broken.
    """
    path = folder / "scores.json"
    document = read_json(path, what="table of scores")
    try:
        classes = cast(list[dict[str, JSON]], document["classes"])
        images = [cast(list[dict[str, JSON]], c["images"]) for c in classes]
        rows = [[_scores(row) for row in rows] for rows in zip(*images, strict=True)]
        confusion = cast(dict[str, list[list[int]]], document["confusion"])["pixels"]
        return FoldScores(
            fold,
            cast(Mapping[str, JSON], document["settings"]),
            tuple(cast(list[str], document["failed"])),
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
        raise DataError(f"{path}: not a table of scores: {exc!r}") from exc


def _baselines(record: Mapping[str, JSON], scale: str | None) -> dict[str, float]:
    """Of a class; where all images have one scale it is not written apart."""
    apart = cast(Mapping[str, JSON], record.get("apart", {}))
    summary = cast(Mapping[str, Mapping[str, JSON]], apart.get(scale or "", record["scores"]))
    return {name: _number(summary[name]["baseline"]) for name in SCORES}


def _scores(row: Mapping[str, JSON]) -> dict[str, float]:
    return {name: _number(value) for name, value in row.items() if name != "image"}


def _number(value: JSON) -> float:
    """JSON has null where there is no number."""
    return math.nan if value is None else float(cast(float, value))


def pool(folds: Sequence[FoldScores], *, seed: int, resamples: int) -> Evaluation:
    """Put the images of all folds together: means over images, intervals by the bootstrap.

    Args:
        folds: Of one cross-validation.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """
    rows = [row for fold in folds for row in fold.rows]
    names = tuple(name for fold in folds for name in fold.names)
    scales = dict.fromkeys(scale for fold in folds for scale in fold.apart)

    def summed_up(index: int, scale: str | None) -> dict[str, Summary]:
        chosen = [row for fold in folds for row in fold.rows_of(index, scale)]
        return {
            score: replace(values, baseline=_pooled_baseline(folds, index, score, scale=scale))
            for score, values in summarize(chosen, [], seed=seed, resamples=resamples).items()
        }

    classes = list(enumerate(folds[0].classes))
    return Evaluation(
        heading=f"{len(folds)} folds: {len(rows)} images, each scored by a model that has not "
        "seen it",
        split="test",
        seed=seed,
        names=names,
        rows=rows,
        summaries={name: summed_up(index, None) for index, name in classes},
        losses={},
        confusion=np.sum([fold.confusion for fold in folds], axis=0).tolist(),
        surface_tolerance=folds[0].surface_tolerance,
        apart={
            name: {scale: summed_up(index, scale) for scale in scales} for index, name in classes
        }
        if len(scales) > 1
        else {},
    )


def _pooled_baseline(
    folds: Sequence[FoldScores], index: int, score: str, *, scale: str | None
) -> float:
    """The mean over all images: an all-background mask has a score in each or in none."""
    known = []
    for fold in folds:
        baselines = fold.baselines if scale is None else fold.apart.get(scale)
        if baselines is not None and not math.isnan(baselines[index][score]):
            known.append((baselines[index][score], len(fold.rows_of(index, scale))))
    if not known:
        return math.nan
    values, weights = zip(*known, strict=True)
    return float(np.average(values, weights=weights))


def write_folds(
    run: Run,
    folds: Sequence[FoldScores],
    pooled: Evaluation,
    *,
    total: int,
    notes: Mapping[str, JSON],
) -> None:
    """Write `folds.csv` and, last, `folds.json`, of the folds that are scored so far.

    Args:
        run: The folder of the cross-validation.
        folds: In order.
        pooled: Of `pool`.
        total: How many folds there will be.
        notes: What else a reader of the scores must know.
    """
    columns = tuple(pooled.rows[0][0])
    write_csv(
        run.folds_table,
        ("fold", "image", "class", *columns),
        [
            (fold.fold, image, name, *(row[i][column] for column in columns))
            for fold in folds
            for image, row in zip(fold.names, fold.rows, strict=True)
            for i, name in enumerate(fold.classes)
        ],
    )
    write_json(
        run.folds,
        {
            "heading": pooled.heading,
            "complete": len(folds) == total and not any(fold.failed for fold in folds),
            "seed": pooled.seed,
            "surface_tolerance": pooled.surface_tolerance,
            "settings": folds[0].settings,
            **notes,
            "classes": list(pooled.results()),
            "confusion": {"classes": pooled.labels, "pixels": pooled.confusion},
            "folds": fold_records(folds),
        },
    )


def fold_records(folds: Sequence[FoldScores]) -> list[dict[str, JSON]]:
    """What each fold reached, for JSON."""
    return [
        {
            "fold": fold.fold,
            "images": len(fold.names),
            "failed": list(fold.failed),
            "means": {
                name: {k: None if math.isnan(v) else v for k, v in fold.means(i).items()}
                for i, name in enumerate(fold.classes)
            },
        }
        for fold in folds
    ]


def fold_tables(folds: Sequence[FoldScores]) -> list[Table]:
    """A table for each class, and file scale where there are several: the means of each fold."""
    columns = ("fold", "images", *(name.replace("_", " ") for name in IN_TABLE))
    scales = list(dict.fromkeys(scale for fold in folds for scale in fold.apart))
    tables = []
    for index, name in enumerate(folds[0].classes):
        for scale in scales if len(scales) > 1 else [None]:
            rows = []
            for fold in folds:
                means = fold.means(index, scale)
                shown = ("-" if math.isnan(means[s]) else f"{means[s]:.3f}" for s in IN_TABLE)
                rows.append((str(fold.fold), str(len(fold.rows_of(index, scale))), *shown))
            heading = f"means of each fold: {name}" + (f", {scale}" if scale else "")
            tables.append(Table(heading, columns, tuple(rows)))
    return tables
