"""Scores of the same training with several seeds: how far chance alone moves them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from cervseg.bounds import one_line
from cervseg.errors import DataError
from cervseg.files import read_json, write_csv, write_json
from cervseg.reporting.charts import words
from cervseg.reporting.page import Headline, PageTable, Subject
from cervseg.reporting.scored import HEADLINE, IN_TABLE, RunScores
from cervseg.reports import JSON, Table
from cervseg.runs import Run
from cervseg.scoring.summary import SCORES


@dataclass(frozen=True)
class Spread:
    """A score over seeds; each seed's is the mean over images.

    Args:
        mean: Over seeds.
        deviation: Standard deviation, from n - 1.
        low: The lowest.
        high: The highest.
    """

    mean: float
    deviation: float
    low: float
    high: float


def spread_of(
    scores: Sequence[RunScores], index: int, name: str, *, scale: str | None = None
) -> Spread | None:
    """The spread of a score of a class, over images of a file scale; None where no seed has it."""
    values = [one.means(index, scale)[name] for one in scores]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return Spread(float(np.mean(known)), deviation, min(known), max(known))


def repeat_records(scores: Sequence[RunScores]) -> list[dict[str, JSON]]:
    """By class, the spread of each score and each seed's means, for JSON."""
    return [
        {
            "class": name,
            "spread": _spreads(scores, index, None),
            "apart": {scale: _spreads(scores, index, scale) for scale in scores[0].scales if scale},
            "seeds": [{"seed": one.number, "means": one.mean_records()[name]} for one in scores],
        }
        for index, name in enumerate(scores[0].classes)
    ]


def _spreads(scores: Sequence[RunScores], index: int, scale: str | None) -> dict[str, JSON]:
    found = {name: spread_of(scores, index, name, scale=scale) for name in SCORES}
    return {
        name: {k: None if math.isnan(v) else v for k, v in asdict(one).items()}
        for name, one in found.items()
        if one is not None
    }


def write_repeats(run: Run, scores: Sequence[RunScores], *, total: int) -> None:
    """Write `repeats.csv` and, last, `repeats.json`, of the seeds that are scored so far.

    Args:
        run: The folder of the repeats.
        scores: In the order of the seeds.
        total: How many seeds there will be.
    """
    write_csv(
        run.repeats_table,
        ("seed", "class", *SCORES),
        [
            (one.number, name, *one.means(index).values())
            for one in scores
            for index, name in enumerate(one.classes)
        ],
    )
    write_json(
        run.repeats,
        {
            "complete": len(scores) == total and not any(one.failed for one in scores),
            "images": len(scores[0].names),
            "settings": {k: v for k, v in scores[0].settings.items() if k != "seed"},
            "classes": [*repeat_records(scores)],
        },
    )


def repeat_tables(scores: Sequence[RunScores]) -> list[Table]:
    """For each class and file scale the means of each seed, then mean and deviation over them."""
    columns = ("seed", *(name.replace("_", " ") for name in IN_TABLE))
    tables = []
    for index, name in enumerate(scores[0].classes):
        for scale in scores[0].scales:
            means = [(one.number, one.means(index, scale)) for one in scores]
            rows = [(str(seed), *(_shown(of[s]) for s in IN_TABLE)) for seed, of in means]
            found = [spread_of(scores, index, score, scale=scale) for score in IN_TABLE]
            rows.append(("mean", *(_shown(one.mean if one else None) for one in found)))
            rows.append(("deviation", *(_shown(one.deviation if one else None) for one in found)))
            heading = f"means over images, by seed: {name}" + (f", {scale}" if scale else "")
            tables.append(Table(heading, columns, tuple(rows)))
    return tables


def _shown(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def read_repeats(run: Run) -> Subject:
    """Read what `train --repeats` wrote, for a page.

    Raises:
        DataError: It is broken.
    """
    document = read_json(run.repeats, what="table of repeats")
    try:
        classes = cast(list[dict[str, JSON]], document["classes"])
        seeds = len(cast(list[JSON], classes[0]["seeds"]))
        parts = [
            (f"{of['class']}{', ' * bool(scale)}{scale}", cast(_Spreads, spreads))
            for of in classes
            for scale, spreads in [("", of["spread"]), *cast(_Apart, of["apart"]).items()]
        ]
        headline = [
            Headline(
                f"{name}, {words(score)}",
                f"{spreads[score]['mean']:.3f}",
                f"{spreads[score]['low']:.3f} to {spreads[score]['high']:.3f} over {seeds} seeds",
            )
            for name, spreads in parts
            for score in HEADLINE
            if score in spreads
        ]
        tables = [_spread_table(name, spreads) for name, spreads in parts]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise DataError(f"{run.repeats}: not a table of repeats: {one_line(repr(exc))}") from exc
    warnings = () if document.get("complete") else ("not all seeds or images are scored",)
    return Subject(
        str(run.folder),
        told=f"the same training with {seeds} seeds: {document.get('images')} images scored",
        warnings=warnings,
        headline=tuple(headline),
        tables=tuple(tables),
    )


_Spreads = Mapping[str, Mapping[str, float | None]]
_Apart = Mapping[str, JSON]


def _spread_table(name: str, spreads: _Spreads) -> PageTable:
    rows = [(words(score), *(_shown(value) for value in one.values()))
            for score, one in spreads.items()]  # fmt: skip
    columns = ("score", "mean", "deviation", "lowest", "highest")
    note = "Over seeds, of each seed's mean over images: a smaller difference tells nothing."
    return PageTable(f"Spread over seeds: {name}", columns, rows, note)
