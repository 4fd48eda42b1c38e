import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.scoring.intervals import bootstrap_interval
from cervseg.scoring.summary import SCORES, score_image, summarize


def field(*boxes, shape=(41, 63)):
    """A mask with a filled rectangle for each (class, top, left, height, width)."""
    mask = np.zeros(shape, np.uint8)
    for index, top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = index
    return mask


# --- one image


def test_an_image_has_every_score_by_name():
    scores = score_image(field((1, 3, 5, 20, 20)), field((1, 3, 5, 20, 10)), 1)

    assert set(scores) == {*SCORES, "empty_accuracy", "cells"}
    assert (scores["recall"], scores["precision"], scores["cells"]) == (0.5, 1.0, 1)
    assert scores["dice"] == pytest.approx(2 / 3)
    assert scores["empty_accuracy"] == pytest.approx(1 - 400 / (41 * 63))
    assert all(type(value) is float for value in scores.values())


def test_a_class_is_scored_on_its_own_whatever_the_others_are():
    true = field((1, 0, 0, 20, 20), (2, 20, 30, 20, 20))
    predicted = field((2, 0, 0, 20, 20), (2, 20, 30, 20, 20))

    one, two = (score_image(true, predicted, index) for index in (1, 2))

    assert (one["dice"], one["cells"], one["cell_recall"]) == (0.0, 1.0, 0.0)
    assert (two["recall"], two["precision"], two["matched_iou"]) == (1.0, 0.5, 1.0)


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_a_pixel_of_unknown_truth_counts_nowhere(seed, unknown):
    rng = np.random.default_rng(seed)
    true = field((1, 3, 5, 20, 20), (2, 25, 30, 14, 30))
    predicted = rng.integers(0, 3, true.shape, np.uint8)
    ignored = rng.random(true.shape) < unknown
    true[ignored] = 255
    other = np.where(ignored, rng.integers(0, 3, true.shape, np.uint8), predicted)

    for index in (1, 2):
        np.testing.assert_equal(
            score_image(true, other, index), score_image(true, predicted, index)
        )


def test_a_margin_of_unknown_truth_might_as_well_be_cut_off():
    true, predicted = field((1, 3, 5, 20, 20)), field((1, 5, 5, 36, 20))
    cut = score_image(true[:30, :50], predicted[:30, :50], 1)
    true[30:], true[:, 50:] = 255, 255

    assert score_image(true, predicted, 1) == cut


def test_what_is_predicted_across_unknown_ground_is_not_one_object():
    true, predicted = field((1, 0, 0, 20, 20), (1, 0, 30, 20, 20)), field((1, 0, 0, 20, 50))
    true[:, 20:30] = 255

    scores = score_image(true, predicted, 1)

    assert (scores["dice"], scores["cell_match"], scores["matched_iou"]) == (1.0, 1.0, 1.0)


def test_an_image_without_any_known_pixel_is_perfect_and_has_no_cells():
    nothing = np.full((7, 11), 255, np.uint8)

    scores = score_image(nothing, field((1, 0, 0, 5, 5), shape=(7, 11)), 1)

    assert {scores[name] for name in ("dice", "iou", "precision", "recall", "accuracy")} == {1.0}
    assert scores["cells"] == 0 and math.isnan(scores["matched_iou"])


# --- many images


def rows(*values, **more):
    """An image for each value, which is all its scores but those named."""
    return [{**dict.fromkeys(SCORES, value), **more} for value in values]


def test_each_score_has_mean_interval_baseline_and_count():
    values = [0.1, 0.9, 0.4, 0.7]

    summaries = summarize(rows(*values), rows(0.0, 0.0, 1.0, 0.0), seed=7, resamples=500)

    assert tuple(summaries) == SCORES
    for summary in summaries.values():
        assert summary.mean == pytest.approx(np.mean(values))
        assert (summary.low, summary.high) == bootstrap_interval(values, seed=7, resamples=500)
        assert summary.low < summary.mean < summary.high
        assert (summary.baseline, summary.images) == (0.25, 4)


def test_an_image_without_the_score_is_left_out_of_its_mean_and_of_no_other():
    scored = [*rows(0.2, 0.6), *rows(0.7, matched_iou=math.nan)]

    summaries = summarize(scored, rows(0.0, 0.0, 0.0), seed=0, resamples=100)

    matched, dice = summaries["matched_iou"], summaries["dice"]
    assert (matched.mean, matched.images) == (pytest.approx(0.4), 2)
    assert (matched.low, matched.high) == bootstrap_interval([0.2, 0.6], seed=0, resamples=100)
    assert (dice.mean, dice.images) == (pytest.approx(0.5), 3)


def test_the_baseline_is_the_mean_over_images_that_have_one():
    empty = [*rows(0.0, 1.0), *rows(0.2, iou=math.nan)]

    summaries = summarize(rows(0.1, 0.2, 0.3), empty, seed=0, resamples=10)

    assert summaries["dice"].baseline == pytest.approx(0.4)
    assert summaries["iou"].baseline == pytest.approx(0.5)


def test_a_score_that_no_image_has_has_no_mean():
    summaries = summarize(rows(math.nan), rows(math.nan), seed=0, resamples=9)

    for summary in summaries.values():
        assert summary.images == 0
        assert all(map(math.isnan, (summary.mean, summary.low, summary.high, summary.baseline)))


def test_equal_seeds_give_equal_intervals_and_others_others():
    scored, empty = rows(*np.random.default_rng(0).random(9)), rows(*[0.0] * 9)

    first, again, other = (summarize(scored, empty, seed=s, resamples=200) for s in (1, 1, 2))

    assert first == again
    assert first["dice"].mean == other["dice"].mean
    assert (first["dice"].low, first["dice"].high) != (other["dice"].low, other["dice"].high)
