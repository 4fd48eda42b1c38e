import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from cervseg.scoring.pixels import PixelScores, pixel_scores

MASK = arrays(bool, (5, 7))


def test_a_two_by_two_is_scored_as_by_hand():
    true = np.array([[True, True], [False, False]])
    predicted = np.array([[True, False], [True, False]])

    scores = pixel_scores(true, predicted)

    assert scores == PixelScores(
        dice=0.5, iou=1 / 3, precision=0.5, recall=0.5, accuracy=0.5, empty_accuracy=0.5
    )


def test_a_perfect_mask_scores_one_everywhere():
    true = np.array([[True, False, False], [False, False, False]])

    scores = pixel_scores(true, true)

    assert scores == PixelScores(1.0, 1.0, 1.0, 1.0, 1.0, empty_accuracy=5 / 6)


def test_nothing_found_where_nothing_is_scores_one():
    nothing = np.zeros((3, 5), bool)

    assert pixel_scores(nothing, nothing) == PixelScores(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_something_found_where_nothing_is_has_no_precision_but_full_recall():
    predicted = np.eye(4, dtype=bool)

    scores = pixel_scores(np.zeros((4, 4), bool), predicted)

    assert scores == PixelScores(0.0, 0.0, 0.0, 1.0, accuracy=0.75, empty_accuracy=1.0)


def test_nothing_found_where_something_is_has_neither_precision_nor_recall():
    true = np.eye(4, dtype=bool)

    scores = pixel_scores(true, np.zeros((4, 4), bool))

    assert scores == PixelScores(0.0, 0.0, 0.0, 0.0, accuracy=0.75, empty_accuracy=0.75)


@given(MASK, MASK, MASK)
def test_an_ignored_pixel_counts_nowhere(true, predicted, valid):
    scores = pixel_scores(true, predicted, valid)

    assert scores == pixel_scores(true[valid], predicted[valid])
    assert scores == pixel_scores(true ^ ~valid, predicted, valid)


@given(MASK, MASK)
def test_dice_and_iou_do_not_care_which_mask_is_the_truth(true, predicted):
    there, back = pixel_scores(true, predicted), pixel_scores(predicted, true)

    assert (there.dice, there.iou, there.accuracy) == (back.dice, back.iou, back.accuracy)
    assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou))
