"""Scores over the folds of a cross-validation: each image by a model that has not seen it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cervseg.files import write_csv, write_json
from cervseg.reporting.scored import IN_TABLE, RunScores
from cervseg.reporting.scores import Evaluation
from cervseg.reports import JSON, Table
from cervseg.runs import Run
from cervseg.scoring.summary import Summary, summarize


def pool(folds: Sequence[RunScores], *, seed: int, resamples: int) -> Evaluation:
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
    folds: Sequence[RunScores], index: int, score: str, *, scale: str | None
) -> float:
    """The mean over all images: an all-background mask has a score in each with known pixels."""
    known = []
    for fold in folds:
        baselines = fold.baselines if scale is None else fold.apart.get(scale)
        if baselines is not None and not math.isnan(baselines[index][score]):
            rows = fold.rows_of(index, scale)
            known.append((baselines[index][score], sum(r["dice"] == r["dice"] for r in rows)))
    if not known:
        return math.nan
    values, weights = zip(*known, strict=True)
    return float(np.average(values, weights=weights))


def write_folds(
    run: Run,
    folds: Sequence[RunScores],
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
            (fold.number, image, name, *(row[i][column] for column in columns))
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


def fold_records(folds: Sequence[RunScores]) -> list[dict[str, JSON]]:
    """What each fold reached, for JSON."""
    return [
        {
            "fold": fold.number,
            "images": len(fold.names),
            "failed": list(fold.failed),
            "means": fold.mean_records(),
        }
        for fold in folds
    ]


def fold_tables(folds: Sequence[RunScores]) -> list[Table]:
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
                rows.append((str(fold.number), str(len(fold.rows_of(index, scale))), *shown))
            heading = f"means of each fold: {name}" + (f", {scale}" if scale else "")
            tables.append(Table(heading, columns, tuple(rows)))
    return tables
