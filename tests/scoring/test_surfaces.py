import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.spatial.distance import cdist

from cervseg.scoring.surfaces import SurfaceScores, surface_scores

MASK = arrays(bool, (5, 7))


def field(*boxes, shape=(41, 63)):
    """A mask with a filled rectangle for each (top, left, height, width)."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def blobs(seed, share, shape=(83, 61)):
    """A mask of smooth blobs, a given share of it foreground."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return noise > np.quantile(noise, 1 - share)


def outline_pixels(mask):
    """Coordinates of the pixels with a 4-neighbour outside, one by one."""
    height, width = mask.shape

    def outside(row, column):
        return not (0 <= row < height and 0 <= column < width and mask[row, column])

    return [
        (row, column)
        for row, column in np.argwhere(mask).tolist()
        if any(
            outside(row + down, column + right)
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1))
        )
    ]


def by_all_pairs(true, predicted, *, tolerance, spacing=(1, 1)):
    """The scores from the distances of all pairs of outline pixels."""
    outlines = [np.array(outline_pixels(mask)) * spacing for mask in (true, predicted)]
    pairs = cdist(*outlines)
    missed, wrong = pairs.min(axis=1), pairs.min(axis=0)
    total = len(missed) + len(wrong)
    within = np.count_nonzero(missed <= tolerance) + np.count_nonzero(wrong <= tolerance)
    return SurfaceScores(
        surface_dice=within / total,
        hd95=max(np.percentile(missed, 95), np.percentile(wrong, 95)),
        assd=(missed.sum() + wrong.sum()) / total,
    )


def test_equal_masks_are_at_distance_zero():
    for mask in (field((3, 5, 20, 20)), blobs(0, 0.3), np.ones((5, 7), bool)):
        assert surface_scores(mask, mask, tolerance=0) == SurfaceScores(1.0, 0.0, 0.0)


def test_two_squares_three_pixels_apart_are_scored_as_by_hand():
    true, predicted = field((3, 5, 20, 20)), field((3, 8, 20, 20))

    scores = surface_scores(true, predicted, tolerance=2)

    # Of the 76 pixels of either outline the 20 of the far side are 3 off, and on the two rows that
    # follow it 2 and 1. The opposite side lies inside the other square: its ends are on the rows,
    # the two pixels next to them 1 and 2 off at either end, the 14 between 3 and more from a row.
    off = [3] * 20 + [2, 1] * 2 + [1, 2] * 2 + [3] * 14
    assert scores.hd95 == 3.0
    assert scores.assd == pytest.approx(sum(off) / 76)
    assert scores.surface_dice == pytest.approx(1 - 34 / 76)


def test_two_points_are_as_far_apart_as_their_centres():
    assert surface_scores(field((3, 5, 1, 1)), field((6, 9, 1, 1))) == SurfaceScores(0.0, 5.0, 5.0)


def test_the_larger_of_the_directed_percentiles_is_taken():
    near, both = field((3, 5, 10, 10)), field((3, 5, 10, 10), (30, 45, 8, 8))

    there, back = surface_scores(near, both), surface_scores(both, near)

    assert there == back
    assert there.hd95 > 30  # from `near` all distances are 0


def test_a_twentieth_of_an_outline_may_be_anywhere():
    """A speck of one pixel far away moves the largest distance, not the 95th percentile."""
    true = field((3, 5, 20, 20))

    assert surface_scores(true, true | field((40, 62, 1, 1))).hd95 == 0.0


def test_what_lies_within_an_object_is_no_outline():
    ring = field((3, 5, 20, 20)) & ~field((10, 12, 3, 3))

    assert surface_scores(field((3, 5, 20, 20)), ring, tolerance=0).surface_dice == pytest.approx(
        2 * 76 / (2 * 76 + 12)  # of a hole of 3 x 3 the 12 pixels that share a side with it
    )


def test_the_edge_of_the_image_is_an_outline():
    """Of a mask that fills the image its frame is the outline."""
    full, inner = np.ones((9, 13), bool), field((2, 2, 5, 9), shape=(9, 13))

    scores = surface_scores(full, inner, tolerance=2)

    # The frame has 40 pixels, of which three at each corner are more than 2 off; `inner` has 24.
    assert scores.surface_dice == pytest.approx((40 - 4 * 3 + 24) / (40 + 24))


@pytest.mark.parametrize(
    ("true", "predicted", "dice"),
    [
        (field(), field(), 1.0),
        (field((3, 5, 20, 20)), field(), 0.0),
        (field(), field((3, 5, 20, 20)), 0.0),
    ],
)
def test_a_distance_needs_two_outlines(true, predicted, dice):
    scores = surface_scores(true, predicted)

    assert scores.surface_dice == dice
    assert math.isnan(scores.hd95) and math.isnan(scores.assd)


def test_the_tolerance_itself_is_still_right():
    true, predicted = field((3, 5, 1, 1)), field((3, 8, 1, 1))

    scores = [surface_scores(true, predicted, tolerance=t).surface_dice for t in (2.99, 3)]

    assert scores == [0.0, 1.0]


@pytest.mark.parametrize("spacing", [(1, 1), (3, 4), (2.5, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_the_scores_are_those_of_all_pairs_of_outline_pixels(seed, spacing):
    true, predicted = blobs(seed, 0.2), blobs(seed + 9, 0.1 + 0.1 * seed)

    ours = surface_scores(true, predicted, tolerance=2.0, spacing=spacing)

    expected = by_all_pairs(true, predicted, tolerance=2.0, spacing=spacing)
    assert vars(ours) == pytest.approx(vars(expected), rel=1e-12)


@given(MASK, MASK, st.floats(0, 5))
def test_they_are_those_of_all_pairs_for_any_two_masks(true, predicted, tolerance):
    ours = surface_scores(true, predicted, tolerance=tolerance)

    assert vars(ours) == pytest.approx(
        vars(surface_scores(predicted, true, tolerance=tolerance)), nan_ok=True
    )
    if true.any() and predicted.any():
        assert vars(ours) == pytest.approx(vars(by_all_pairs(true, predicted, tolerance=tolerance)))


# It puts the outline between the pixels and weighs its pieces by their length, so slopes and
# corners count otherwise: by up to 0.05 of the outline near the tolerance, a quarter of a pixel in
# the mean, and two percentiles (of a few far pieces) in the rank.
@pytest.mark.filterwarnings("ignore:Please (use|import):DeprecationWarning")
@pytest.mark.parametrize(("noise", "shift"), [(0.1, 0), (0.3, 0), (0.1, 4), (0.5, 2)])
def test_the_scores_are_near_those_of_the_authors_library(noise, shift):
    library = pytest.importorskip("surface_distance", reason="pip install surface-distance")
    first, second = (
        ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(301, 402)), 9)
        for seed in (1, 2)
    )
    mixed = np.roll(first + noise * second, shift, axis=1)
    true, predicted = first > np.quantile(first, 0.8), mixed > np.quantile(mixed, 0.8)
    theirs = library.compute_surface_distances(true, predicted, (1, 1))
    lengths = np.concatenate([theirs["surfel_areas_gt"], theirs["surfel_areas_pred"]])
    both = np.concatenate([theirs["distances_gt_to_pred"], theirs["distances_pred_to_gt"]])

    ours = surface_scores(true, predicted, tolerance=3)

    dice = library.compute_surface_dice_at_tolerance(theirs, 3)
    low, high = (library.compute_robust_hausdorff(theirs, share) for share in (93, 97))
    assert ours.surface_dice == pytest.approx(dice, abs=0.06)
    assert ours.assd == pytest.approx(np.average(both, weights=lengths), abs=0.3)
    assert low - 0.5 <= ours.hd95 <= high + 0.5


def test_a_large_field_takes_less_than_a_second():
    true = np.kron(blobs(3, 0.2, (192, 256)), np.ones((8, 8), bool))
    predicted = np.roll(true, 5, axis=(0, 1))
    start = time.process_time()

    scores = surface_scores(true, predicted)

    assert scores.hd95 > 1
    assert time.process_time() - start < 1
