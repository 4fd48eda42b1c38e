import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.inference.objects.cleaning import Cleaning, clean
from cervseg.inference.rows import RowArray, RowFile

EIGHT = np.ones((3, 3), int)


@st.composite
def masks(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.2, 0.5, 0.8])
    classes = rng.integers(1, rng.choice([2, 4]), shape)
    return np.where(rng.random(shape) < share, classes, 0).astype(np.uint8)


PIECES = st.sampled_from([1, 15, 30, 60])


def random_mask(seed, shape=(41, 67), classes=3):
    """Blobs of several classes that touch, with holes."""
    rng = np.random.default_rng(seed)
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(classes + 1)]
    return np.argmax(smooth, axis=0).astype(np.uint8)


def random_probabilities(seed, shape=(41, 67), channels=3):
    return np.random.default_rng(seed).random((*shape, channels), np.float32)


def cleaned(mask, probabilities=None, *, piece=10**6, first_channel=0, **steps):
    mask = mask.copy()
    if probabilities is None:
        probabilities = np.zeros((*mask.shape, 3), np.float32)
    clean(
        RowArray(mask), RowArray(probabilities), Cleaning(**steps), first_channel=first_channel,
        piece=piece,
    )  # fmt: skip
    return mask


def by_labelling(mask, probabilities, limit, *, first_channel=0):
    """Hysteresis of a whole image."""
    result = mask.copy()
    for index in set(mask.ravel().tolist()) - {0}:
        labels, count = ndimage.label(mask == index, EIGHT)
        channel = probabilities[..., index - 1 + first_channel]
        for label in range(1, count + 1):
            if not (channel[labels == label] >= np.float32(limit)).any():
                result[labels == label] = 0
    return result


def by_area(mask, min_area):
    """Small objects of a whole image become background."""
    result = mask.copy()
    for index in set(mask.ravel().tolist()) - {0}:
        labels, _ = ndimage.label(mask == index, EIGHT)
        small = np.bincount(labels.ravel()) < min_area
        small[0] = False
        result[small[labels]] = 0
    return result


def by_filling(mask, most):
    """Hole filling of a whole image."""
    result = mask.copy()
    padded = np.pad(mask, 1)
    labels, count = ndimage.label(np.pad(mask, 1, constant_values=1) == 0)
    for label in range(1, count + 1):
        hole = labels == label
        ring = ndimage.binary_dilation(hole) & ~hole
        on_the_border = ring[[0, -1]].any() or ring[:, [0, -1]].any()
        around = set(padded[ring].tolist())
        if hole.sum() <= most and not on_the_border and len(around) == 1:
            result[hole[1:-1, 1:-1]] = around.pop()
    return result


# --- the laws -----------------------------------------------------------------------------------


@given(masks(), PIECES, st.integers(0, 12))
def test_specks_go_as_from_the_whole_image(mask, piece, min_area):
    np.testing.assert_array_equal(
        cleaned(mask, piece=piece, min_area=min_area), by_area(mask, min_area)
    )


@given(masks(), PIECES, st.integers(1, 12))
def test_holes_are_filled_as_in_the_whole_image(mask, piece, most):
    np.testing.assert_array_equal(
        cleaned(mask, piece=piece, fill_holes=most), by_filling(mask, most)
    )


@given(masks(), PIECES, st.integers(0, 1))
def test_weak_objects_go_as_from_the_whole_image(mask, piece, first_channel):
    shape = (*mask.shape, 3 + first_channel)
    probabilities = np.random.default_rng(mask.sum()).random(shape, np.float32)

    result = cleaned(mask, probabilities, piece=piece, hysteresis=0.8, first_channel=first_channel)

    np.testing.assert_array_equal(
        result, by_labelling(mask, probabilities, 0.8, first_channel=first_channel)
    )


@pytest.mark.parametrize("piece", [1, 150, 1000, 10**6])
def test_all_steps_follow_each_other(piece):
    mask, probabilities = random_mask(1), random_probabilities(2)

    result = cleaned(mask, probabilities, piece=piece, hysteresis=0.97, fill_holes=20, min_area=30)

    expected = by_labelling(mask, probabilities, 0.97)
    expected = by_area(by_filling(expected, 20), 30)
    np.testing.assert_array_equal(result, expected)
    assert (expected != mask).any() and expected.any()


def test_a_mask_in_a_file_is_cleaned_as_one_in_memory(tmp_path):
    mask = random_mask(3)
    file = RowFile(tmp_path / "mask", mask.shape, np.uint8)
    file.write(0, mask)

    clean(file, RowArray(random_probabilities(0)), Cleaning(min_area=40), first_channel=0, piece=67)

    np.testing.assert_array_equal(file.read(0, 41), by_area(mask, 40))
    file.close()


# --- by hand ------------------------------------------------------------------------------------


def test_a_hole_is_not_filled_through_a_corner_of_the_object():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]], np.uint8)

    filled = cleaned(mask, fill_holes=5)

    assert filled[1, 1] == 1 and filled[2, 2] == 0


def test_a_hole_between_classes_or_at_the_border_stays():
    between = np.array([[1, 1, 1], [1, 0, 2], [1, 1, 1]], np.uint8)
    at_the_border = np.array([[1, 0, 1], [1, 1, 1]], np.uint8)

    np.testing.assert_array_equal(cleaned(between, fill_holes=9), between)
    np.testing.assert_array_equal(cleaned(at_the_border, fill_holes=9), at_the_border)


def test_the_limit_of_a_hole_is_included():
    mask = np.ones((5, 6), np.uint8)
    mask[2, 2:4] = 0

    assert cleaned(mask, fill_holes=2).all()
    assert not cleaned(mask, fill_holes=1).all()


def test_small_objects_become_background_class_by_class_and_diagonal_neighbours_are_one():
    mask = np.array(
        [
            [1, 0, 0, 2, 2, 0, 1],
            [0, 1, 0, 2, 0, 1, 1],
            [0, 0, 0, 0, 0, 0, 0],
            [2, 0, 1, 1, 1, 0, 2],
            [0, 0, 1, 2, 1, 0, 0],
        ],
        np.uint8,
    )

    assert cleaned(mask, min_area=3).tolist() == [
        [0, 0, 0, 2, 2, 0, 1],
        [0, 0, 0, 2, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 0, 0],
    ]


def test_a_probability_of_exactly_the_threshold_is_enough():
    mask = np.array([[1, 0, 1]], np.uint8)
    probabilities = np.array([[0.7, 0.9, 0.6]], np.float32)[..., None]

    assert cleaned(mask, probabilities, hysteresis=0.7).tolist() == [[1, 0, 0]]


def test_nothing_is_written_where_nothing_changes():
    class Guarded(RowArray):
        def write(self, top, rows):
            raise AssertionError("written")

    mask = Guarded(np.zeros((9, 7), np.uint8))

    clean(mask, mask, Cleaning(fill_holes=3, min_area=5), first_channel=0)


def test_objects_are_cut_apart_before_small_ones_go():
    row, column = np.mgrid[:81, :141]
    near = [(row - 40) ** 2 + (column - c) ** 2 <= r**2 for c, r in ((40, 25), (78, 15))]
    mask = np.any(near, axis=0).astype(np.uint8)

    both = cleaned(mask, split_touching=20)
    larger = cleaned(mask, split_touching=20, min_area=1000)

    assert ndimage.label(both, EIGHT)[1] == 2
    assert ndimage.label(larger, EIGHT)[1] == 1 and larger[40, 40] and not larger[40, 78]
