"""Evaluations of the same images side by side."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cervseg.reporting.charts import words
from cervseg.reporting.page import Comparison, PageTable, Subject
from cervseg.reporting.scored import OF_CELLS, TRUTH
from cervseg.reports import JSON
from cervseg.scoring.intervals import bootstrap_interval

FEWEST = 6
"""Pairs of which a verdict is given: that five differ alike happens by chance once in sixteen."""

COLUMNS = ("evaluation", "class", "score", "difference", "95 % interval", "images", "verdict")


class _Difference(NamedTuple):
    """Of a score of a class, by the images that both evaluations have scored."""

    first: str
    evaluation: str
    class_name: str
    score: str
    mean: float
    low: float  # of the 95 % interval
    high: float
    images: int

    @property
    def verdict(self) -> str:
        if self.images < FEWEST:
            return "too few images"
        if self.low <= 0 <= self.high:
            return "none to be told"
        return "lower" if self.high < 0 else "higher"

    def row(self) -> tuple[str, ...]:
        """For the eye, below `COLUMNS`."""
        interval = f"{self.low:+.3f} to {self.high:+.3f}"
        return (self.evaluation, self.class_name, words(self.score), f"{self.mean:+.3f}",
                interval, str(self.images), self.verdict)  # fmt: skip

    def record(self) -> dict[str, JSON]:
        """For programs."""
        return {
            "first": self.first,
            "evaluation": self.evaluation,
            "class": self.class_name,
            "score": self.score,
            "difference": self.mean,
            "low": self.low,
            "high": self.high,
            "images": self.images,
            "verdict": self.verdict,
        }


def compare(subjects: Sequence[Subject]) -> Comparison | None:
    """Each evaluation beside the first one, by the images that both have scored.

    An image of the same name, but of another truth, is another image; where only the limit of a
    cell differs, its scores of cells are left out.
    """
    scored = [subject for subject in subjects if subject.scores]
    if len(scored) < 2:
        return None
    first, found, strangers = scored[0], list[_Difference](), set[str]()
    for other in scored[1:]:
        assert first.scores is not None and other.scores is not None
        for key, mine in first.scores.items():
            if key[1] in TRUTH:
                continue
            theirs = other.scores.get(key, {})
            both = [name for name in mine if name in theirs]
            strange = [
                n for n in both if _differ(first, other, (key[0], n), of_cells=key[1] in OF_CELLS)
            ]
            strangers.update(strange)
            change = [theirs[name] - mine[name] for name in both if name not in strange]
            known = [value for value in change if not math.isnan(value)]
            if not known:
                continue
            low, high = bootstrap_interval(known, seed=0)
            mean = float(np.mean(known))
            found.append(_Difference(first.name, other.name, *key, mean, low, high, len(known)))
    note = (
        f"Mean difference to the first, {first.name}, over images that both have scored, with the "
        "95 % interval of the paired bootstrap. An interval over 0 tells no difference."
    )
    if strangers:
        named = ", ".join(sorted(strangers)[:10]) + (", …" if len(strangers) > 10 else "")
        note += f" Left out, since what is true there differs under the same name: {named}."
    compared = {one.evaluation for one in found}
    alone = [other.name for other in scored[1:] if other.name not in compared]
    if alone:
        note += f" No image that the first has scored has a score in {', '.join(alone)}."
    table = PageTable("", COLUMNS, [one.row() for one in found])
    return Comparison(note, table, tuple(one.record() for one in found))


def _differ(one: Subject, other: Subject, place: tuple[str, str], *, of_cells: bool) -> bool:
    """Whether two evaluations know another truth of a class in an image."""
    (empty, cells, specks), (their_empty, their_cells, their_specks) = (
        [(subject.scores or {}).get((place[0], key), {}).get(place[1], math.nan) for key in TRUTH]
        for subject in (one, other)
    )
    if _unequal(empty, their_empty) or (of_cells and _unequal(cells, their_cells)):
        return True
    objects, theirs = cells + specks, their_cells + their_specks
    return math.isfinite(objects + theirs) and objects != theirs  # older files have no specks


def _unequal(one: float, other: float) -> bool:
    return one != other and not (math.isnan(one) and math.isnan(other))
