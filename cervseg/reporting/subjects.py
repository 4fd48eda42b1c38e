"""What a page tells of an evaluation, or of any folder, read from the files in it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from cervseg.bounds import one_line, refuse_ways_out
from cervseg.errors import DataError
from cervseg.files import read_csv, read_json
from cervseg.reporting.charts import (
    MOST_CHARTS,
    Bins,
    Chart,
    Line,
    reliability_chart,
    sweep_charts,
    words,
)
from cervseg.reporting.embedded import Pictures
from cervseg.reporting.inferred import read_output
from cervseg.reporting.page import Headline, PageTable, Subject, Text, as_text
from cervseg.reporting.repeats import read_repeats
from cervseg.reporting.scored import HEADLINE, TRUTH
from cervseg.reporting.scores import FITTED, LEAKED
from cervseg.reporting.trained import read_run
from cervseg.reports import JSON
from cervseg.runs import Run
from cervseg.scoring.calibration import COARSE
from cervseg.scoring.matching import FATES

NONE_SEEN = "; none of them is among the {} that the model was fitted on"

IN_TABLE = ("dice", "iou", "precision", "recall", "cells", "cell_recall", "cell_match",
            "panoptic_quality", "surface_dice", "hd95")  # fmt: skip
"""Of each image; `scores.csv` has all."""


def read_subjects(folder: Path) -> list[Subject]:
    """Read an evaluation, a run with its evaluations, several seeds or folds, or an output folder.

    Raises:
        DataError: It is neither, a file in it is broken, or a link leads out of it: a page is
            shown around, and might quote what its owner never meant to.
    """
    refuse_ways_out(folder)
    if (folder / "scores.json").is_file():
        return [read_evaluation(folder / "scores.json", [folder])]
    run = Run(folder)
    if run.repeats.is_file():
        seeds = [of for seed in sorted(folder.glob("seed*")) for of in read_subjects(seed)]
        return [read_repeats(run), *(of for of in seeds if of.scores)]
    if run.folds.is_file():
        return [read_evaluation(run.folds, sorted(folder.glob("fold*/evaluation/test")))]
    if run.record.is_file() or run.history_table.is_file():
        found = sorted(run.evaluation("test").parent.glob("*/scores.json"))
        parts = [] if run.history_table.is_file() else run.members()
        evaluations = [read_evaluation(path, [path.parent]) for path in found]
        return [read_run(run), *evaluations, *map(read_run, parts)]
    if any(folder.glob("summary*.csv")) and any(folder.glob("inference*.json")):
        return [read_output(folder)]
    raise DataError(
        f"{folder}: no evaluation (scores.json), run (run.json), cross-validation (folds.json) "
        "or output (inference.json)",
        hint="name a folder that train, evaluate or tiled-infer wrote",
    )


def read_evaluation(path: Path, parts: Sequence[Path]) -> Subject:
    """Read what `evaluate` or `train --all-folds` wrote.

    Args:
        path: Of the scores.
        parts: Folders with the other files: its own, or those of the folds.
    """
    document = read_json(path, what="table of scores")
    try:
        classes = cast(list[dict[str, JSON]], document["classes"])
        heading = str(document["heading"])
        failed = [str(name) for name in cast(list[str], document.get("failed", []))]
        compared = document.get("compared") or 0
        errors = cast(dict[str, float], document.get("calibration_error", {}))
        summaries = [summary for record in classes for summary in _summaries(record)]
        headline = tuple(h for name, summary in summaries for h in _headline(name, summary))
        first, *more = [_summary_table(name, summary) for name, summary in summaries]
        more += [_image_table(record) for record in classes]
        more += _confusion_table(document)
        scores = _of_images(classes)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise DataError(f"{path}: not a table of scores: {one_line(repr(exc))}") from exc
    warnings = [
        f"{doubt}: these scores say little of new images"
        for doubt in (LEAKED, FITTED)
        if heading.startswith(doubt)  # behind it stand names, which may hold any word
    ]
    if failed:
        warnings.append(f"could not be scored: {', '.join(failed)}")
    if "allowed_leak" in document:
        warnings.append(f"a leak was allowed: {as_text(document['allowed_leak'])}")
    pictures = Pictures(parts)
    cells, fields = pictures.cells(), pictures.fields()  # in this order: cells take little
    if pictures.left_out:
        warnings.append(
            f"{pictures.left_out} pictures are too much for a page; they lie in the folders "
            "pictures and cells"
        )
    return Subject(
        str(path.parent),
        told=heading + (NONE_SEEN.format(compared) if compared else ""),
        warnings=tuple(warnings),
        headline=headline,
        tables=(first, *_fates(parts), *more),
        charts=tuple(_charts(parts, errors)),
        fields=tuple(fields),
        cells=tuple(cells),
        texts=(Text("How it was scored", as_text(document.get("settings"))),),
        scores=scores,
    )


def _of_images(classes: Sequence[Mapping[str, JSON]]) -> dict[tuple[str, str], dict[str, float]]:
    """By class and score, the values of each image; what two evaluations are compared by."""
    return {
        (str(record["class"]), score): {
            str(row["image"]): _number(row.get(score))
            for row in cast(list[dict[str, JSON]], record["images"])
        }
        for record in classes
        for score in (*HEADLINE, *TRUTH)
    }


_Summary = Mapping[str, Mapping[str, JSON]]


def _summaries(record: Mapping[str, JSON]) -> list[tuple[str, _Summary]]:
    """Of a class; where files have several scales, of each: a mean over all is a score of none."""
    name, apart = str(record["class"]), cast(Mapping[str, _Summary], record.get("apart") or {})
    named = [(f"{name}, {scale}", summary) for scale, summary in apart.items()]
    return named or [(name, cast(_Summary, record["scores"]))]


def _headline(name: str, scores: _Summary) -> Iterator[Headline]:
    for score in HEADLINE:
        one = scores[score]
        detail = (f"95 % {_shown(one['low'])} to {_shown(one['high'])}, n = {one['images']}; "
                  f"all background {_shown(one['baseline'])}")  # fmt: skip
        yield Headline(f"{name}, {words(score)}", _shown(one["mean"]), detail)


def _summary_table(name: str, scores: _Summary) -> PageTable:
    rows = [
        (words(score), _shown(one["mean"]), f"{_shown(one['low'])} to {_shown(one['high'])}",
         _shown(one["baseline"]), str(one["images"]))
        for score, one in scores.items() if one["images"]
    ]  # fmt: skip
    columns = ("score", "mean", "95 % interval", "all background", "images")
    note = "Means over images; intervals by the bootstrap over images, not over trainings."
    return PageTable(f"Scores: {name}", columns, rows, note)


def _image_table(record: Mapping[str, JSON]) -> PageTable:
    images = cast(list[dict[str, JSON]], record["images"])
    images = sorted(images, key=lambda row: _number(row["dice"]))
    rows = [
        (
            str(row["image"]),
            *(_shown(row.get(n), digits=0 if n == "cells" else 3) for n in IN_TABLE),
        )
        for row in images
    ]
    columns = ("image", *map(words, IN_TABLE))
    note = "Worst first; a click on a column sorts by it."
    return PageTable(f"Images: {record['class']}", columns, rows, note, sortable=True)


def _confusion_table(document: Mapping[str, JSON]) -> Iterator[PageTable]:
    if "confusion" not in document:
        return
    confusion = cast(Mapping[str, list[JSON]], document["confusion"])
    names = list(map(str, confusion["classes"]))
    pixels = cast(list[list[JSON]], confusion["pixels"])
    rows = [(name, *map(str, row)) for name, row in zip(names, pixels, strict=True)]
    note = "Pixels of all images together: rows truth, columns prediction."
    yield PageTable("Taken for one another", ("truth", *names), rows, note)


def _fates(parts: Sequence[Path]) -> tuple[PageTable, ...]:
    counts: dict[str, dict[str, int]] = {}
    for row in _rows(parts, "objects.csv", ("image", "class", "fate")):
        of_class = counts.setdefault(row["class"], dict.fromkeys(FATES, 0))
        of_class[row["fate"]] = of_class.get(row["fate"], 0) + 1
    if not counts:
        return ()
    rows = [(name, *(str(c[fate]) for fate in FATES)) for name, c in counts.items()]
    note = "found: IoU above 0.5; rough: covered by half, but no match; extra: no annotated cell"
    return (PageTable("Cells", ("class", *FATES), rows, note),)


def _rows(parts: Sequence[Path], name: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table that each part may have."""
    for path in (part / name for part in parts):
        if path.is_file():
            yield from read_csv(path, columns, what=f"table {name}")


def _charts(parts: Sequence[Path], errors: Mapping[str, float]) -> Iterator[Chart]:
    counts: dict[str, dict[float, tuple[int, int]]] = {}
    columns = ("class", "probability", "pixels", "true")
    for row in _rows(parts, "probabilities.csv", columns):
        try:
            key, more, right = float(row["probability"]), int(row["pixels"]), int(row["true"])
        except ValueError as exc:
            raise DataError(f"{parts[0]}: not a table of probabilities: {one_line(exc)}") from exc
        pixels, true = counts.setdefault(row["class"], {}).get(key, (0, 0))
        counts[row["class"]][key] = pixels + more, true + right
    for name, found in islice(counts.items(), MOST_CHARTS):
        ordered = sorted(found.items())
        bins_of = Bins([key for key, _ in ordered], [n for _, (n, _) in ordered],
                       [n for _, (_, n) in ordered])  # fmt: skip
        yield from sweep_charts(name, bins_of)
        chart = reliability_chart(name, [_coarse(bins_of)])
        error = f"; expected calibration error {errors[name]:.4f}" if name in errors else ""
        yield chart._replace(caption=chart.caption + error)


def _coarse(bins: Bins) -> Line:
    place = np.minimum(np.asarray(bins.probability) * COARSE + 1e-9, COARSE - 1).astype(int)
    pixels = np.bincount(place, bins.pixels, COARSE)
    true = np.bincount(place, bins.true, COARSE)
    said = np.bincount(place, np.multiply(bins.probability, bins.pixels), COARSE)
    filled = pixels > 0
    across, up = said[filled] / pixels[filled], true[filled] / pixels[filled]
    return Line("evaluated", across.tolist(), up.tolist())


def _number(value: JSON) -> float:
    return math.nan if value is None else float(cast(float, value))


def _shown(value: JSON, *, digits: int = 3) -> str:
    number = _number(value)
    return "-" if math.isnan(number) else f"{number:.{digits}f}"
