import math
import time

import numpy as np
import pytest
from scipy import ndimage

from cervseg.scoring.objects import object_scores


def field(*boxes, shape=(60, 80)):
    """A mask with a filled rectangle for each (top, left, height, width)."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def test_a_perfect_mask_finds_every_cell():
    true = field((2, 3, 20, 20), (30, 40, 15, 20))

    scores = object_scores(true, true)

    assert (scores.cell_recall, scores.cell_match, scores.matched_iou) == (1.0, 1.0, 1.0)
    assert scores.cells == 2


def test_a_cell_is_found_from_half_its_pixels_on():
    true = field((0, 0, 20, 20))

    assert object_scores(true, field((0, 0, 20, 10))).cell_recall == 1.0
    assert object_scores(true, field((0, 0, 20, 9))).cell_recall == 0.0


def test_a_cell_is_matched_from_half_the_union_on():
    true = field((0, 0, 20, 20))

    half = object_scores(true, field((0, 0, 20, 40)))
    assert (half.cell_match, half.matched_iou) == (1.0, 0.5)
    below = object_scores(true, field((0, 0, 20, 41)))
    assert (below.cell_recall, below.cell_match) == (1.0, 0.0)
    assert math.isnan(below.matched_iou)


def test_one_blot_over_two_cells_matches_neither_but_covers_both():
    true = field((0, 0, 20, 20), (0, 30, 20, 20))

    scores = object_scores(true, field((0, 0, 20, 50)))

    assert (scores.cell_recall, scores.cell_match) == (1.0, 0.0)


def test_the_largest_of_several_pieces_decides_the_match():
    true = field((0, 0, 20, 20))

    scores = object_scores(true, field((0, 0, 20, 5), (0, 6, 20, 14)))

    assert scores.matched_iou == pytest.approx(14 / 20)


def test_the_mean_overlap_is_that_of_matched_cells_alone():
    true = field((0, 0, 20, 20), (30, 30, 20, 20))

    scores = object_scores(true, field((0, 0, 20, 15), (30, 30, 20, 3)))

    assert (scores.cell_match, scores.matched_iou) == (0.5, 0.75)


def test_diagonal_neighbours_are_one_cell():
    true = field((0, 0, 14, 14), (14, 14, 14, 14))

    assert object_scores(true, true).cells == 1


def test_a_cell_in_the_bend_of_another_is_not_counted_with_it():
    bend = field((0, 0, 40, 10), (30, 0, 10, 40))
    inside = field((0, 20, 20, 20))

    scores = object_scores(bend | inside, inside)

    assert (scores.cell_recall, scores.cell_match, scores.matched_iou) == (0.5, 0.5, 1.0)


def test_components_below_the_smallest_size_are_no_cells():
    true = field((0, 0, 10, 20), (30, 30, 10, 19))

    assert object_scores(true, true).cells == 1
    assert object_scores(true, true, min_size=190).cells == 2


def test_without_cells_the_shares_are_one_whatever_is_predicted():
    for predicted in (field(), field((0, 0, 30, 30))):
        scores = object_scores(field((50, 50, 5, 5)), predicted)

        assert (scores.cell_recall, scores.cell_match, scores.cells) == (1.0, 1.0, 0)
        assert math.isnan(scores.matched_iou)


def test_an_empty_prediction_finds_nothing():
    scores = object_scores(field((0, 0, 20, 20)), field())

    assert (scores.cell_recall, scores.cell_match, scores.cells) == (0.0, 0.0, 1)


# --- panoptic quality


def qualities(scores):
    return (scores.panoptic_quality, scores.segmentation_quality, scores.recognition_quality)


def test_a_perfect_mask_has_panoptic_quality_one():
    true = field((2, 3, 20, 20), (30, 40, 15, 20))

    assert qualities(object_scores(true, true)) == (1.0, 1.0, 1.0)


def test_panoptic_quality_counts_the_matched_the_missed_and_the_invented():
    true = field((0, 0, 20, 20), (0, 30, 20, 20), (30, 0, 20, 20))
    predicted = field((0, 0, 20, 15), (0, 30, 20, 18), (30, 30, 20, 20), (30, 60, 20, 20))

    scores = object_scores(true, predicted)

    # Two matches of 0.75 and 0.9, one cell missed, two objects invented.
    assert qualities(scores) == pytest.approx((1.65 / 3.5, 1.65 / 2, 2 / 3.5))


def test_half_the_union_is_a_cell_match_but_no_panoptic_one():
    true = field((0, 0, 20, 20))

    half = object_scores(true, field((0, 0, 20, 40)))
    assert half.cell_match == 1.0
    assert (half.panoptic_quality, half.recognition_quality) == (0.0, 0.0)
    assert math.isnan(half.segmentation_quality)
    above = object_scores(true, field((0, 0, 20, 39)))
    assert above.panoptic_quality == pytest.approx(20 / 39)


def test_a_predicted_speck_is_no_false_object():
    true = field((0, 0, 20, 20))

    speck = object_scores(true, field((0, 0, 20, 20), (30, 30, 10, 19)))
    object_ = object_scores(true, field((0, 0, 20, 20), (30, 30, 10, 20)))

    assert (speck.panoptic_quality, object_.panoptic_quality) == (1.0, 1 / 1.5)


def test_a_predicted_speck_matches_no_cell():
    scores = object_scores(field((0, 0, 20, 12)), field((0, 0, 20, 9)))

    assert scores.cell_match == 1.0
    assert (scores.panoptic_quality, scores.recognition_quality) == (0.0, 0.0)


def test_a_true_speck_is_neither_missed_nor_matched():
    true = field((0, 0, 20, 20), (30, 30, 10, 19))

    assert object_scores(true, field((0, 0, 20, 20))).panoptic_quality == 1.0
    assert object_scores(true, field((0, 0, 20, 20), (30, 30, 10, 20))).panoptic_quality == 1 / 1.5


def test_nothing_found_where_nothing_is_has_panoptic_quality_one():
    for specks in (field(), field((50, 50, 5, 5))):
        scores = object_scores(specks, field())

        assert (scores.panoptic_quality, scores.recognition_quality) == (1.0, 1.0)
        assert math.isnan(scores.segmentation_quality)


def test_one_mask_empty_has_panoptic_quality_zero():
    for true, predicted in ((field((0, 0, 20, 20)), field()), (field(), field((0, 0, 20, 20)))):
        scores = object_scores(true, predicted)

        assert (scores.panoptic_quality, scores.recognition_quality) == (0.0, 0.0)


def panoptic_by_pairs(true, predicted, min_size):
    """Panoptic quality from all pairs of components, the slow way."""
    sets = []
    for mask in (true, predicted):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        parts = [labels == label for label in range(1, count + 1)]
        sets.append([part for part in parts if part.sum() >= min_size])
    cells, objects = sets
    overlaps = [(a & b).sum() / (a | b).sum() for a in cells for b in objects]
    matches = [overlap for overlap in overlaps if overlap > 0.5]
    missed, invented = len(cells) - len(matches), len(objects) - len(matches)
    return sum(matches) / (len(matches) + missed / 2 + invented / 2)


@pytest.mark.parametrize("seed", range(8))
def test_panoptic_quality_is_that_of_all_pairs_and_the_product_of_the_two_others(seed):
    rng = np.random.default_rng(seed)
    noise, other = ndimage.gaussian_filter(rng.normal(size=(2, 61, 83)), (0, 2, 2))
    true, predicted = noise > 0.1, noise + 0.3 * other > 0.1

    scores = object_scores(true, predicted, min_size=9)

    assert 0 < scores.panoptic_quality < 1
    assert scores.panoptic_quality == pytest.approx(panoptic_by_pairs(true, predicted, 9))
    assert scores.panoptic_quality == pytest.approx(
        scores.segmentation_quality * scores.recognition_quality
    )


def test_many_cells_cost_little_more_than_few():
    grid = [(top, left, 20, 20) for top in range(0, 1500, 40) for left in range(0, 2000, 40)]
    many, few = field(*grid, shape=(1536, 2048)), field(grid[0], shape=(1536, 2048))

    def seconds(true):
        start = time.process_time()
        object_scores(true, true)
        return time.process_time() - start

    # Measured 3 times as much, on a busy machine 14; with a full frame for each pair it is 1900.
    assert seconds(many) < 200 * min(seconds(few) for _ in range(3))


def test_annotated_cells_that_touch_are_told_apart():
    true, numbers = field((0, 0, 20, 20), (0, 20, 20, 20)), np.zeros((60, 90), np.uint16)
    numbers[:20, :20], numbers[:20, 20:40] = 4, 9
    one = field((0, 0, 20, 20))

    as_pieces = object_scores(true, one)
    as_annotated = object_scores(true, one, cells=numbers[: true.shape[0], : true.shape[1]])

    assert (as_pieces.cells, as_pieces.cell_recall) == (1, 1.0)
    assert (as_annotated.cells, as_annotated.cell_recall, as_annotated.cell_match) == (2, 0.5, 0.5)


def test_an_annotated_cell_counts_with_the_pixels_that_are_of_its_class():
    numbers = np.zeros((60, 90), np.uint16)
    numbers[:20, :40] = 1  # the right half is of another class
    true = field((0, 0, 20, 20))

    scores = object_scores(true, true, cells=numbers[: true.shape[0], : true.shape[1]])

    assert (scores.cells, scores.cell_match, scores.matched_iou) == (1, 1.0, 1.0)
