"""An evaluation on disk and as tables."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cervseg.files import write_csv, write_json
from cervseg.grid import Window
from cervseg.reports import JSON, Table
from cervseg.scoring.calibration import ProbabilityCounts
from cervseg.scoring.matching import FATES, Sorted
from cervseg.scoring.summary import SCORES, Summary

LEAKED, FITTED = "data with a leak that was allowed", "data the model was fitted on"
"""What a heading begins with where the scores say little of new images."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a set of images.

    Args:
        heading: What was scored, how.
        split: Name of the split or folder.
        seed: Of the bootstrap.
        names: Of the images.
        rows: Scores, per image and per class.
        summaries: Scores over images, by class name and score.
        losses: Loss and training metrics, by name; empty where there is no single model.
        confusion: Pixels over all images, background first: rows truth, columns prediction.
        surface_tolerance: Of `surface_dice`, full-size pixels.
        apart: By class name and file scale, the summaries of those images; nothing where all
            files have one scale.
        notes: What else a reader of the scores must know: settings, a leak that was allowed.
        counts: By class name, the pixels of all images by probability; empty where there are none.
        objects: Image, class and what became of a cell, or an object that is none.
    """

    heading: str
    split: str
    seed: int
    names: tuple[str, ...]
    rows: Sequence[Sequence[Mapping[str, float]]]
    summaries: Mapping[str, Mapping[str, Summary]]
    losses: Mapping[str, float]
    confusion: Sequence[Sequence[int]]
    surface_tolerance: float
    apart: Mapping[str, Mapping[str, Mapping[str, Summary]]] = field(default_factory=dict)
    notes: Mapping[str, JSON] = field(default_factory=dict)
    counts: Mapping[str, ProbabilityCounts] = field(default_factory=dict)
    objects: Sequence[tuple[str, str, Sorted]] = ()

    def confusion_rows(self) -> tuple[tuple[str | int, ...], ...]:
        """The true class and its pixels, by what they were predicted to be."""
        pairs = zip(self.labels, self.confusion, strict=True)
        return tuple((name, *pixels) for name, pixels in pairs)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the rows and columns of the confusion."""
        return ("background", *self.summaries)

    def calibration_errors(self) -> dict[str, float]:
        """Of each class; none for masks of files."""
        return {name: counts.calibration_error() for name, counts in self.counts.items()}

    def results(self) -> tuple[dict[str, JSON], ...]:
        """One record a class: the summaries, and each image."""
        return tuple(
            {
                "class": name,
                "split": self.split,
                "scores": _plain_all(summary),
                **({"apart": self._plain_apart(name)} if self.apart.get(name) else {}),
                "images": [
                    {"image": image, **_plain(row[i])}
                    for image, row in zip(self.names, self.rows, strict=True)
                ],
            }
            for i, (name, summary) in enumerate(self.summaries.items())
        )

    def _plain_apart(self, name: str) -> dict[str, JSON]:
        return {scale: _plain_all(summary) for scale, summary in self.apart[name].items()}


def _plain_all(summary: Mapping[str, Summary]) -> dict[str, JSON]:
    return {score: _plain(asdict(values)) for score, values in summary.items()}


def _plain(values: Mapping[str, float]) -> dict[str, JSON]:
    """JSON knows neither nan nor infinity."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def write_evaluation(folder: Path, evaluation: Evaluation) -> tuple[Path, ...]:
    """Write the tables: scores, losses, confusion, probabilities; last, `scores.json`."""
    table, losses, scores, confusion = (
        folder / name for name in ("scores.csv", "evaluation.csv", "scores.json", "confusion.csv")
    )
    columns = tuple(evaluation.rows[0][0])
    write_csv(
        table,
        ("image", "class", *columns),
        [
            (image, name, *(row[i][column] for column in columns))
            for image, row in zip(evaluation.names, evaluation.rows, strict=True)
            for i, name in enumerate(evaluation.summaries)
        ],
    )
    more: tuple[Path, ...] = (folder / "objects.csv",)
    write_csv(
        more[0],
        ("image", "class", "fate", *Window._fields, "area", "iou"),
        [(image, name, o.fate, *o.window, o.area, o.iou) for image, name, o in evaluation.objects],
    )
    if evaluation.counts:
        more = (*more, folder / "probabilities.csv")
        columns = ("class", "probability", "pixels", "true")
        write_csv(more[1], columns, _by_probability(evaluation))
    write_csv(losses, ("name", "value"), list(evaluation.losses.items()))
    write_csv(confusion, ("truth", *evaluation.labels), evaluation.confusion_rows())
    write_json(
        scores,
        {
            "heading": evaluation.heading,
            "split": evaluation.split,
            "seed": evaluation.seed,
            "surface_tolerance": evaluation.surface_tolerance,
            **evaluation.notes,
            "losses": _plain(evaluation.losses),
            "calibration_error": _plain(evaluation.calibration_errors()),
            "classes": list(evaluation.results()),
            "confusion": {"classes": evaluation.labels, "pixels": evaluation.confusion},
        },
    )
    return table, losses, scores, confusion, *more


def _by_probability(evaluation: Evaluation) -> list[tuple[str, float, int, int]]:
    """Class, lower edge of a bin, pixels in it, those of them that are of the class."""
    return [
        (name, bin_ / counts.pixels.shape[1], others + true, true)
        for name, counts in evaluation.counts.items()
        for bin_, (others, true) in enumerate(counts.pixels.T.tolist())
        if others + true
    ]


def score_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """A table for each class: mean, interval and the all-background baseline; then confusion.

    Where the files have several scales, each has a table of its own. Scores in micrometres have a
    line only where some image has them.
    """
    tables = []
    for name, summary in evaluation.summaries.items():
        heading, apart = f"{evaluation.heading}: {name}", evaluation.apart.get(name)
        tables += [
            _table(f"{heading}, {scale}", values) for scale, values in (apart or {}).items()
        ] or [_table(heading, summary)]
    counts = tuple(tuple(map(str, row)) for row in evaluation.confusion_rows())
    tables.append(
        Table("pixels: rows truth, columns prediction", ("truth", *evaluation.labels), counts)
    )
    if evaluation.objects:
        tables.append(_fates(evaluation))
    if errors := evaluation.calibration_errors():
        rows = tuple((name, _number(value, 4)) for name, value in errors.items())
        heading = "expected calibration error, over pixels"
        tables.append(Table(heading, ("class", "error"), rows))
    if evaluation.losses:
        rows = tuple((name, _number(value, 4)) for name, value in evaluation.losses.items())
        tables.append(Table("on tiles, as in training", ("name", "value"), rows))
    return tuple(tables)


def _fates(evaluation: Evaluation) -> Table:
    """How many cells of each class met which fate."""
    counts = Counter((name, row.fate) for _, name, row in evaluation.objects)
    rows = tuple((n, *(str(counts[n, fate]) for fate in FATES)) for n in evaluation.summaries)
    return Table("cells, and objects that are none", ("class", *FATES), rows)


def _table(heading: str, summary: Mapping[str, Summary]) -> Table:
    return Table(
        heading,
        ("score", "mean", "95 % interval", "all background", "images"),
        tuple(
            _line(score, summary[score])
            for score in SCORES
            if summary[score].images or not score.endswith("_um")
        ),
    )


def _line(name: str, summary: Summary) -> tuple[str, ...]:
    return (
        name.replace("_", " "),
        _number(summary.mean),
        f"{_number(summary.low)} to {_number(summary.high)}",
        _number(summary.baseline),
        str(summary.images),
    )


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
