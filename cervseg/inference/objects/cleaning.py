"""Cleaning a mask of any size: weak objects, holes, bridges, specks, component by component.

Whether a component goes is known only at its last row, so each step reads the mask twice: once to
decide, once to change. What is kept meanwhile is a row, and 4 bytes for each component of a piece.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cervseg.classes import BACKGROUND
from cervseg.inference.objects.components import Fates, Joiner
from cervseg.inference.objects.cutting import cut_touching
from cervseg.inference.objects.runs import (
    Columns,
    Numbers,
    Runs,
    find_runs,
    label_runs,
    neighbours,
    over_runs,
    own_probabilities,
    paint_runs,
)
from cervseg.inference.rows import PIECE, Rows, WritableRows, pieces

KEEP = 256
"""The fate of a component that stays as it is; any other is its new class index."""

_MOST = 255


class Cleaning(NamedTuple):
    """The steps, in the order in which they are done.

    Args:
        hysteresis: Objects stay that reach this probability of their class in a pixel; None is off.
        fill_holes: Holes of at most so many pixels get the class around them; 0 is off.
        split_touching: Objects are cut apart whose middles are so many pixels apart; 0 is off.
        min_area: Smaller objects become background, pixels; 0 and 1 are off.
    """

    hysteresis: float | None = None
    fill_holes: int = 0
    split_touching: float = 0.0
    min_area: int = 0


class _Part(NamedTuple):
    """The components of a piece.

    Args:
        top: Its first row.
        rows: The mask there.
        runs: All runs.
        chosen: Which of them belong to components, shape (n,).
        labels: The component of each of those.
        components: How many.
    """

    top: int
    rows: NDArray[np.uint8]
    runs: Runs
    chosen: NDArray[np.bool_]
    labels: Numbers
    components: int

    @property
    def bottom(self) -> int:
        return self.top + len(self.rows)


class _Rule(Protocol):
    """One step: what is measured of each component, how parts add up, and what follows."""

    reach: int
    joins: tuple[np.ufunc, ...]

    def choose(self, values: Columns) -> NDArray[np.bool_]: ...

    def measure(self, part: _Part) -> tuple[NDArray[Any], ...]: ...

    def decide(self, measures: list[NDArray[Any]]) -> Numbers: ...


def clean(
    mask: WritableRows,
    probabilities: Rows,
    steps: Cleaning,
    *,
    first_channel: int,
    piece: int = PIECE,
) -> None:
    """Clean a mask in place.

    Objects are 8-connected pixels of one class, holes 4-connected background that does not touch
    the border of the image. A hole whose 4-neighbours are of several classes stays. The result
    does not depend on the pieces.

    Args:
        mask: Class indices, uint8.
        probabilities: Of the same size, float32, shape (height, width, channels); read only for
            the hysteresis.
        steps: What to do.
        first_channel: That of class 1: 0, or 1 where channel 0 is the background.
        piece: Pixels worked on at once, about.
    """
    if steps.hysteresis:
        _run(mask, _Weak(probabilities, steps.hysteresis, first_channel), piece)
    if steps.fill_holes > 0:
        _run(mask, _Holes(mask, steps.fill_holes), piece)
    if steps.split_touching:
        cut_touching(mask, steps.split_touching, piece=piece)
    if steps.min_area > 1:
        _run(mask, _Small(steps.min_area), piece)


def _run(mask: WritableRows, rule: _Rule, piece: int) -> None:
    fates = _decide(mask, rule, piece)
    if not (fates != KEEP).any():
        return
    first = 0
    for part in _parts(mask, rule, piece):
        fate = fates[first : first + part.components][part.labels]
        first += part.components
        if (fate != KEEP).any():
            value = part.runs.value.copy()
            value[part.chosen] = np.where(fate == KEEP, value[part.chosen], fate)
            mask.write(part.top, paint_runs(part.runs._replace(value=value), part.rows.shape))


def _parts(mask: Rows, rule: _Rule, piece: int) -> Iterator[_Part]:
    """Label each piece by itself: alike before and after others have been changed."""
    for top, height in pieces(mask, piece):
        rows = mask.read(top, height)
        runs = find_runs(rows, top)
        chosen = rule.choose(runs.value)
        count, labels = label_runs(runs.take(chosen), reach=rule.reach)
        yield _Part(top, rows, runs, chosen, labels, count)


def _decide(mask: Rows, rule: _Rule, piece: int) -> NDArray[np.int32]:
    joiner, fates = Joiner(mask.height, reach=rule.reach), Fates()
    known: list[NDArray[Any]] = []
    for part in _parts(mask, rule, piece):
        here = rule.measure(part)
        joined = joiner.add(
            part.runs.take(part.chosen), part.labels, count=part.components, bottom=part.bottom
        )
        known = known or [column[:0] for column in here]
        merged = joined.merge(rule.joins, known, here)
        fates.add(joined, np.asarray(rule.decide(merged), np.int64))
        known = [column[joined.open] for column in merged]
    return fates.resolve()


class _Small:
    """Objects below an area become background."""

    reach = 1
    joins: tuple[np.ufunc, ...] = (np.add,)

    def __init__(self, min_area: int) -> None:
        self._min_area = min_area

    def choose(self, values: Columns) -> NDArray[np.bool_]:
        return np.not_equal(values, BACKGROUND)

    def measure(self, part: _Part) -> tuple[NDArray[Any], ...]:
        return (_areas(part),)

    def decide(self, measures: list[NDArray[Any]]) -> Numbers:
        (area,) = measures
        return np.where(area < self._min_area, BACKGROUND, KEEP)


class _Weak:
    """Objects that nowhere reach a probability become background."""

    reach = 1
    joins: tuple[np.ufunc, ...] = (np.maximum,)

    def __init__(self, probabilities: Rows, limit: float, first_channel: int) -> None:
        self._probabilities, self._first_channel = probabilities, first_channel
        self._limit = np.float32(limit)  # as the answers are, so that an equal one reaches it

    def choose(self, values: Columns) -> NDArray[np.bool_]:
        return np.not_equal(values, BACKGROUND)

    def measure(self, part: _Part) -> tuple[NDArray[Any], ...]:
        answers = self._probabilities.read(part.top, len(part.rows))
        runs = part.runs.take(part.chosen)
        values = own_probabilities(runs, answers, self._first_channel, top=part.top)
        peak = over_runs(np.maximum, values, runs)
        reached = np.zeros(part.components, np.bool_)
        reached[part.labels[peak >= self._limit]] = True
        return (reached,)

    def decide(self, measures: list[NDArray[Any]]) -> Numbers:
        (reached,) = measures
        return np.where(reached, KEEP, BACKGROUND)


class _Holes:
    """Background that one class surrounds is given to it."""

    reach = 0
    joins: tuple[np.ufunc, ...] = (np.add, np.maximum, np.minimum, np.maximum)

    def __init__(self, mask: Rows, most: int) -> None:
        self._mask, self._most = mask, most

    def choose(self, values: Columns) -> NDArray[np.bool_]:
        return np.equal(values, BACKGROUND)

    def measure(self, part: _Part) -> tuple[NDArray[Any], ...]:
        runs = part.runs.take(part.chosen)
        height, width = self._mask.height, self._mask.width
        edge = (runs.left == 0) | (runs.right == width) | np.isin(runs.row, (0, height - 1))
        outside = np.zeros(part.components, np.bool_)
        outside[part.labels[edge]] = True
        return (_areas(part), outside, *self._around(part))

    def _around(self, part: _Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The lowest and the highest class among the 4-neighbours of each component."""
        top, bottom = max(0, part.top - 1), min(self._mask.height, part.bottom + 1)
        runs = find_runs(self._mask.read(top, bottom - top), top)  # with the rows next to it
        label = np.full(len(runs.row), -1)
        inside = (runs.row >= part.top) & (runs.row < part.bottom)
        label[inside & self.choose(runs.value)] = part.labels
        upper, lower = neighbours(runs, reach=0)
        left = np.flatnonzero(runs.row[1:] == runs.row[:-1])
        one = np.concatenate([upper, lower, left, left + 1])
        other = np.concatenate([lower, upper, left + 1, left])
        counts = (label[one] >= 0) & (runs.value[other] != BACKGROUND)
        index, value = label[one[counts]], runs.value[other[counts]].astype(np.uint8)
        low, high = np.full(part.components, _MOST, np.uint8), np.zeros(part.components, np.uint8)
        np.minimum.at(low, index, value)
        np.maximum.at(high, index, value)
        return low, high

    def decide(self, measures: list[NDArray[Any]]) -> Numbers:
        area, outside, low, high = measures
        is_hole = (area <= self._most) & ~outside & (low == high)
        return np.where(is_hole, low.astype(np.int64), KEEP)


def _areas(part: _Part) -> Numbers:
    length = part.runs.length[part.chosen]
    areas = np.zeros(part.components, np.int64)
    np.add.at(areas, part.labels, length)
    return areas
