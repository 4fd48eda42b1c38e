import math
import time

import numpy as np
import pytest

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


def test_many_cells_cost_little_more_than_few():
    grid = [(top, left, 20, 20) for top in range(0, 1500, 40) for left in range(0, 2000, 40)]
    many, few = field(*grid, shape=(1536, 2048)), field(grid[0], shape=(1536, 2048))

    def seconds(true):
        start = time.process_time()
        object_scores(true, true)
        return time.process_time() - start

    assert seconds(many) < 4 * min(seconds(few) for _ in range(3)) + 0.5  # full frames: 1900 x
