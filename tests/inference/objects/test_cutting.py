import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.inference.objects import cutting
from cervseg.inference.objects.cutting import borders, cut_touching
from cervseg.inference.objects.splitting import split_touching
from cervseg.inference.rows import RowArray

EIGHT = np.ones((3, 3), int)
SHAPE = (81, 141)


def discs(*circles, value=1):
    """Discs: row, column, radius."""
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = [(row - r) ** 2 + (column - c) ** 2 <= s * s for r, c, s in circles]
    return np.any(near, axis=0).astype(np.uint8) * np.uint8(value)


def cut(mask, distance, *, piece=10**6):
    mask = mask.copy()
    cut_touching(RowArray(mask), distance, piece=piece)
    return mask


def objects(mask):
    return ndimage.label(mask, EIGHT)[1]


@st.composite
def blobs(draw):
    """Smooth blobs of two classes, odd sizes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = rng.integers(9, 60, 2)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    return ((noise > 0) * (1 + (ndimage.gaussian_filter(noise, 6) > 0))).astype(np.uint8)


def test_two_cells_that_touch_become_two_objects():
    mask = discs((40, 40, 25), (40, 80, 25))

    apart = cut(mask, 20)

    assert (objects(mask), objects(apart)) == (1, 2)
    lost = mask.astype(int) - apart
    assert set(np.unique(lost)) == {0, 1} and lost.sum() <= 35  # the neck is 31 rows high
    (column,) = np.flatnonzero(lost.any(axis=0))
    assert abs(column - 60) <= 1


@pytest.mark.parametrize("piece", [1, 141, 3000])
@pytest.mark.parametrize("order", [1, -1])
def test_the_cuts_do_not_depend_on_pieces(piece, order):
    mask = discs((20, 30, 18), (45, 55, 20), (40, 95, 24))[::order]

    np.testing.assert_array_equal(cut(mask, 15, piece=piece), cut(mask, 15))


@given(mask=blobs(), distance=st.floats(1, 12), piece=st.sampled_from([1, 100, 700]))
def test_each_part_is_cut_from_all_it_touched(mask, distance, piece):
    apart = cut(mask, distance, piece=piece)

    np.testing.assert_array_equal(apart[apart > 0], mask[apart > 0])
    for value in (1, 2):
        labels, count = ndimage.label(mask == value, EIGHT)
        for number in range(1, count + 1):
            inside = labels == number
            if max(np.ptp(np.nonzero(inside), axis=1)) + 1 <= distance:
                np.testing.assert_array_equal(apart[inside], value)
                continue
            window = ndimage.find_objects(inside.astype(int))[0]
            parts = split_touching(inside[window], distance)
            left = np.where(apart[window] == value, parts, 0)
            assert not borders(left).any()


def test_long_objects_and_distant_ones_stay_as_they_are():
    mask = discs((20, 20, 15), (60, 100, 15))
    mask[35:40, 10:130] = 2

    np.testing.assert_array_equal(cut(mask, 10), mask)


def test_objects_of_two_classes_that_touch_are_apart_already():
    mask = discs((40, 40, 25))
    other = discs((40, 80, 25), value=2)
    mask[other > 0] = 2

    np.testing.assert_array_equal(cut(mask, 20), mask)


@pytest.mark.parametrize("limit", ["LARGEST", "MOST_RUNS"])
def test_objects_too_large_stay_whole(limit, monkeypatch):
    where = cutting if limit == "LARGEST" else cutting.covers
    monkeypatch.setattr(where, limit, 50)
    mask = discs((40, 40, 25), (40, 80, 25))

    np.testing.assert_array_equal(cut(mask, 20, piece=141), mask)
