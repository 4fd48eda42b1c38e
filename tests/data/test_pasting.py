import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.pasting import cut_out, find_cells, paste_cells, soft_edge


def discs(shape, *places, value=1):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for row, column, radius in places:
        mask[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = value
    return mask


def painted(mask, dark=90, bright=200):
    return np.where(mask[..., None] > 0, np.uint8(bright), np.uint8(dark)).repeat(3, axis=-1)


def test_only_whole_cells_are_found():
    mask = discs((61, 91), (20, 20, 8), (0, 50, 9), (40, 90, 5), (40, 40, 7))
    mask[44:50, 44:50] = 255

    (cell,) = find_cells(mask)

    assert (cell.top, cell.left, cell.solid.shape) == (12, 12, (17, 17))
    np.testing.assert_array_equal(cell.solid, mask[12:29, 12:29])


def test_a_neighbour_within_the_box_of_a_cell_is_not_of_the_cell():
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5] = mask[14, 5:15] = 1  # an L
    mask[6:8, 10:12] = 1

    boxes = {cell.solid.shape: cell.solid.sum() for cell in find_cells(mask)}

    assert boxes == {(10, 10): 19, (2, 2): 4}


@given(st.floats(0, 12), st.integers(3, 15))
def test_opacity_is_at_least_one_half_exactly_within_the_cell(feather, radius):
    solid = discs((41, 51), (20, 25, radius))

    opacity = soft_edge(solid, feather)

    np.testing.assert_array_equal(opacity >= 0.5, solid == 1)
    assert opacity.min() >= 0 and opacity.max() <= 1
    assert feather < 1 or (opacity % 1 > 0).any(), "the edge is soft"


@given(st.integers(0, 2**31), st.floats(0, 4))
def test_the_mask_changes_exactly_where_a_cell_is_at_least_half_opaque(seed, feather):
    image, mask = np.full((75, 101, 3), 40, np.uint8), np.zeros((75, 101), np.uint8)
    cells = discs((61, 91), (20, 20, 8), (40, 60, 11), value=3)
    donor = np.full((61, 91, 3), 240, np.uint8), cells  # all bright: what is seen is opacity

    picture, labels = paste_cells(
        (image, mask), donor, count=1, feather=feather, rng=np.random.default_rng(seed)
    )

    opacity = (picture[..., 0].astype(float) - 40) / 200
    assert labels.any() and set(np.unique(labels)) == {0, 3}
    np.testing.assert_array_equal(labels == 3, opacity >= 0.5)
    assert not mask.any() and (image == 40).all(), "the sample itself is as it was"


def test_the_soft_edge_of_a_cell_leaves_the_classes_under_it():
    image, mask = np.full((75, 101, 3), 40, np.uint8), np.full((75, 101), 2, np.uint8)
    donor = discs((61, 91), (30, 40, 9))

    picture, labels = paste_cells(
        (image, mask), (painted(donor), donor), count=1, feather=4, rng=np.random.default_rng(2)
    )

    assert np.bincount(labels.ravel()).tolist()[:2] == [0, donor.sum()]
    assert (picture[..., 0] != 40).sum() > 1.2 * donor.sum(), "the edge reaches beyond"


def test_classes_within_a_cell_come_with_it_and_stay_on_their_pixels():
    donor = discs((61, 91), (30, 40, 12)) + discs((61, 91), (30, 40, 5))
    colours = np.array((10, 120, 250), np.uint8)

    picture, labels = paste_cells(
        (np.full((75, 101, 3), 10, np.uint8), np.zeros((75, 101), np.uint8)),
        (colours[donor][..., None].repeat(3, -1), donor),
        count=1, feather=0, rng=np.random.default_rng(0),
    )  # fmt: skip

    assert np.bincount(labels.ravel()).tolist()[1:] == np.bincount(donor.ravel()).tolist()[1:]
    np.testing.assert_array_equal(picture[labels == 2], 250)
    np.testing.assert_array_equal(picture[labels == 0], 10)


def test_cells_avoid_the_foreground_that_is_there():
    mask = np.zeros((60, 60), np.uint8)
    mask[:, :30] = 1
    donor = discs((41, 41), (20, 20, 6), value=2)

    hidden = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sample = painted(mask), mask
        _, labels = paste_cells(sample, (painted(donor), donor), count=1, feather=1, rng=rng)
        hidden.append(np.count_nonzero((labels == 2) & (mask == 1)))

    assert np.mean(np.array(hidden) == 0) > 0.9


def test_a_cell_that_does_not_fit_and_a_donor_without_cells_change_nothing():
    image, mask = np.full((15, 15, 3), 7, np.uint8), np.zeros((15, 15), np.uint8)

    for donor in (discs((61, 61), (30, 30, 20)), np.zeros((9, 9), np.uint8)):
        rng = np.random.default_rng(0)
        sample = image, mask
        picture, labels = paste_cells(sample, (painted(donor), donor), count=3, feather=1, rng=rng)
        np.testing.assert_array_equal(picture, image)
        np.testing.assert_array_equal(labels, mask)


@pytest.mark.parametrize("count", [1, 5])
def test_what_is_cut_out_is_ignored_and_has_one_colour(count):
    image = np.random.default_rng(0).integers(0, 256, (75, 101, 3), np.uint8)
    mask = discs((75, 101), (30, 40, 20))

    sizes = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        picture, labels = cut_out(image, mask, count=count, size=0.4, rng=rng)
        gone = labels == 255
        np.testing.assert_array_equal(picture[~gone], image[~gone])
        np.testing.assert_array_equal(labels[~gone], mask[~gone])
        assert len(np.unique(picture[gone], axis=0)) <= 1
        sizes.append(gone.sum())

    assert 0 < np.mean(sizes) < count * 0.16 * 75 * 101
    assert count > 1 or max(sizes) <= 30 * 41
