import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.inference.objects.components import Fates, Joiner
from cervseg.inference.objects.runs import (
    find_runs,
    label_runs,
    neighbours,
    over_runs,
    own_probabilities,
    paint_runs,
)


@st.composite
def masks(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.2, 0.5, 0.8])
    classes = rng.integers(1, rng.choice([2, 3]), shape)
    return np.where(rng.random(shape) < share, classes, 0).astype(np.uint8)


STRUCTURES = {0: None, 1: np.ones((3, 3), int)}


def whole_labels(mask, reach):
    """A number for each component of the whole image, over all classes."""
    labels = np.zeros(mask.shape, int)
    for value in np.unique(mask[mask > 0]):
        found, _ = ndimage.label(mask == value, STRUCTURES[reach])
        labels[found > 0] = found[found > 0] + labels.max()
    return labels


# --- runs ---------------------------------------------------------------------------------------


@given(masks())
def test_runs_painted_back_are_the_picture(mask):
    runs = find_runs(mask, top=7)

    np.testing.assert_array_equal(paint_runs(runs, mask.shape), mask)
    assert runs.row.min() == 7 and runs.row.max() == 6 + len(mask)
    same = (runs.row[1:] == runs.row[:-1]) & (runs.value[1:] == runs.value[:-1])
    assert not same.any(), "two runs of one value touch"


@pytest.mark.parametrize("reach", [0, 1])
@given(mask=masks())
def test_runs_under_each_other_are_found(mask, reach):
    runs = find_runs(mask)

    expected = {
        (i, j)
        for i in range(len(runs.row))
        for j in range(len(runs.row))
        if runs.row[j] == runs.row[i] + 1
        and runs.left[j] < runs.right[i] + reach
        and runs.left[i] < runs.right[j] + reach
    }
    assert set(zip(*(side.tolist() for side in neighbours(runs, reach=reach)), strict=True)) == (
        expected
    )


def test_what_stands_in_runs_is_reduced_run_by_run():
    rows = np.array([[1, 1, 0, 2], [0, 2, 2, 2]], np.uint8)
    probabilities = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    runs = find_runs(rows, top=7)
    runs = runs.take(runs.value > 0)

    values = own_probabilities(runs, probabilities, 1, top=7)

    assert values.tolist() == [1, 4, 11, 17, 20, 23]
    assert over_runs(np.add, values, runs).tolist() == [5, 11, 60]
    assert over_runs(np.maximum, values[:0], runs.take(runs.row > 19)).tolist() == []


# --- joining ------------------------------------------------------------------------------------


def by_pieces(mask, height, reach):
    """Areas of the components, each by its place, and the fate of each by pieces.

    The fate is the area: so a fate that is lost or given to another shows.
    """
    joiner, fates = Joiner(len(mask), reach=reach), Fates()
    area, pieces = np.zeros(0, int), []
    most_open = 0
    for top in range(0, len(mask), height):
        runs = find_runs(mask[top : top + height], top)
        runs = runs.take(runs.value > 0)
        count, labels = label_runs(runs, reach=reach)
        here = np.bincount(labels, runs.length, count).astype(int)
        bottom = min(len(mask), top + height)
        joined = joiner.add(runs, labels, count=count, bottom=bottom)
        (merged,) = joined.merge([np.add], [area], [here])
        fates.add(joined, merged)
        area = merged[joined.open]
        most_open = max(most_open, len(area))
        pieces.append((runs, labels, count))
    assert not len(area), "something is open behind the last row"
    decided, first = fates.resolve(), 0
    painted = np.zeros(mask.shape, int)
    for runs, labels, count in pieces:
        for row, left, right, label in zip(*runs[:3], labels, strict=True):
            painted[row, left:right] = decided[first + label]
        first += count
    return painted, most_open


@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize("height", [1, 2, 5])
@given(mask=masks())
def test_components_of_pieces_are_those_of_the_whole(mask, height, reach):
    labels = whole_labels(mask, reach)
    areas = np.bincount(labels.ravel())
    areas[0] = 0

    painted, _ = by_pieces(mask, height, reach)

    np.testing.assert_array_equal(painted, areas[labels])


@pytest.mark.parametrize("height", [1, 2, 7])
def test_a_long_chain_of_pieces_has_one_fate(height):
    mask = np.zeros((201, 5), np.uint8)
    mask[:, 0] = mask[:, 4] = mask[-1] = 1  # a U: two components until the last row
    mask[::2, 2] = 1

    painted, most_open = by_pieces(mask, height, 0)

    assert set(painted[:, 0].tolist()) == {2 * 201 + 3}
    assert most_open <= 3, "only what reaches the last row is kept"
