"""Evaluations of the same images side by side."""

import math
from collections.abc import Sequence

import numpy as np

from cervseg.reporting.charts import words
from cervseg.reporting.page import Comparison, PageTable, Subject
from cervseg.reporting.scored import OF_CELLS, TRUTH
from cervseg.scoring.intervals import bootstrap_interval

FEWEST = 6
"""Pairs of which a verdict is given: that five differ alike happens by chance once in sixteen."""


def compare(subjects: Sequence[Subject]) -> Comparison | None:
    """Each evaluation beside the first one, by the images that both have scored.

    An image of the same name, but of another truth, is another image; where only the limit of a
    cell differs, its scores of cells are left out.
    """
    scored = [subject for subject in subjects if subject.scores]
    if len(scored) < 2:
        return None
    first, rows, strangers = scored[0], [], set[str]()
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
            verdict = "none to be told" if low <= 0 <= high else "lower" if high < 0 else "higher"
            if len(known) < FEWEST:
                verdict = "too few images"
            rows.append((other.name, key[0], words(key[1]), f"{np.mean(known):+.3f}",
                         f"{low:+.3f} to {high:+.3f}", str(len(known)), verdict))  # fmt: skip
    note = (
        f"Mean difference to the first, {first.name}, over images that both have scored, with the "
        "95 % interval of the paired bootstrap. An interval over 0 tells no difference."
    )
    if strangers:
        named = ", ".join(sorted(strangers)[:10]) + (", …" if len(strangers) > 10 else "")
        note += f" Left out, since what is true there differs under the same name: {named}."
    compared = {row[0] for row in rows}
    alone = [other.name for other in scored[1:] if other.name not in compared]
    if alone:
        note += f" No image that the first has scored has a score in {', '.join(alone)}."
    columns = ("evaluation", "class", "score", "difference", "95 % interval", "images", "verdict")
    return Comparison(note, PageTable("", columns, rows))


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
