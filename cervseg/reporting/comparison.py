"""Evaluations of the same images side by side."""

import math
from collections.abc import Sequence

import numpy as np

from cervseg.reporting.charts import words
from cervseg.reporting.page import Comparison, PageTable, Subject
from cervseg.scoring.intervals import bootstrap_interval


def compare(subjects: Sequence[Subject]) -> Comparison | None:
    """Each evaluation beside the first one, by the images that both have scored."""
    scored = [subject for subject in subjects if subject.scores]
    if len(scored) < 2:
        return None
    first, rows = scored[0], []
    for other in scored[1:]:
        assert first.scores is not None and other.scores is not None
        for key, mine in first.scores.items():
            theirs = other.scores.get(key, {})
            both = [name for name in mine if name in theirs]
            change = [theirs[name] - mine[name] for name in both]
            known = [value for value in change if not math.isnan(value)]
            if not known:
                continue
            low, high = bootstrap_interval(known, seed=0)
            verdict = "none to be told" if low <= 0 <= high else "lower" if high < 0 else "higher"
            rows.append((other.name, key[0], words(key[1]), f"{np.mean(known):+.3f}",
                         f"{low:+.3f} to {high:+.3f}", str(len(known)), verdict))  # fmt: skip
    note = (
        f"Mean difference to the first, {first.name}, over images that both have scored, with the "
        "95 % interval of the paired bootstrap. An interval over 0 tells no difference."
    )
    compared = {row[0] for row in rows}
    strange = [other.name for other in scored[1:] if other.name not in compared]
    if strange:
        note += f" No image that the first has scored has a score in {', '.join(strange)}."
    columns = ("evaluation", "class", "score", "difference", "95 % interval", "images", "verdict")
    return Comparison(note, PageTable("", columns, rows))
