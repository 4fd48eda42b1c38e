import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.scoring.intervals import bootstrap_interval
from cervseg.scoring.summary import SCORES, count_confusion, score_image, summarize, summarize_apart


def field(*boxes, shape=(41, 63)):
    """A mask with a filled rectangle for each (class, top, left, height, width)."""
    mask = np.zeros(shape, np.uint8)
    for index, top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = index
    return mask


# --- one image


def test_an_image_has_every_score_by_name():
    scores = score_image(field((1, 3, 5, 20, 20)), field((1, 3, 5, 20, 10)), 1)

    assert set(scores) == {*SCORES, "empty_accuracy", "cells", "specks", "vertical", "horizontal"}
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

    np.testing.assert_equal(score_image(true, predicted, 1), cut)


def test_what_is_predicted_across_unknown_ground_is_not_one_object():
    true, predicted = field((1, 0, 0, 20, 20), (1, 0, 30, 20, 20)), field((1, 0, 0, 20, 50))
    true[:, 20:30] = 255

    scores = score_image(true, predicted, 1)

    assert (scores["dice"], scores["cell_match"], scores["matched_iou"]) == (1.0, 1.0, 1.0)


def test_an_image_without_any_known_pixel_has_no_score():
    nothing = np.full((7, 11), 255, np.uint8)

    scores = score_image(nothing, field((1, 0, 0, 5, 5), shape=(7, 11)), 1)

    assert all(math.isnan(scores[name]) for name in (*SCORES, "empty_accuracy"))
    assert (scores["cells"], scores["specks"]) == (0, 0)
    assert list(scores) == list(score_image(0 * nothing, 0 * nothing, 1))
    found = summarize([scores, score_image(0 * nothing, 0 * nothing, 1)], [], seed=0, resamples=100)
    assert (found["dice"].mean, found["dice"].images) == (1, 1)


def test_distances_are_in_full_size_pixels_and_in_micrometres_where_those_are_known():
    true, predicted = field((1, 3, 5, 20, 20)), field((1, 3, 8, 20, 20))

    plain = score_image(true, predicted, 1)
    squeezed = score_image(true, predicted, 1, scale=(3.0, 4.0), mpp=0.25)

    assert (plain["hd95"], squeezed["hd95"], squeezed["hd95_um"]) == (3.0, 12.0, 3.0)
    assert squeezed["assd_um"] == squeezed["assd"] / 4
    assert math.isnan(plain["hd95_um"]) and math.isnan(plain["assd_um"])


def test_what_is_a_cell_is_told_by_full_size_pixels():
    true, nothing = field((1, 3, 5, 10, 8), (1, 30, 30, 2, 2)), field()

    plain = score_image(true, nothing, 1)
    squeezed = score_image(true, nothing, 1, scale=(6.0, 8.0))
    asked = score_image(true, nothing, 1, min_cell_area=80)

    assert (plain["cells"], plain["specks"], plain["cell_recall"]) == (0, 2, 1)
    assert (squeezed["cells"], squeezed["specks"], squeezed["cell_recall"]) == (2, 0, 0)
    assert (asked["cells"], asked["specks"], asked["panoptic_quality"]) == (1, 1, 0)


def test_the_tolerance_is_that_of_the_surface_dice():
    true, predicted = field((1, 3, 5, 20, 20)), field((1, 3, 8, 20, 20))

    scores = [score_image(true, predicted, 1, tolerance=t)["surface_dice"] for t in (0, 2, 3)]

    assert scores[0] < scores[1] < scores[2] == 1.0
    assert score_image(true, predicted, 1)["surface_dice"] == scores[1]


def test_an_outline_along_unknown_ground_counts_like_one_along_the_edge_of_the_image():
    true, predicted = field((1, 0, 5, 30, 20)), field((1, 0, 5, 41, 20))
    cut = score_image(true[:30], predicted[:30], 1)
    true[30:] = 255

    scores = score_image(true, predicted, 1)

    assert (scores["hd95"], scores["surface_dice"]) == (0.0, 1.0) == (
        cut["hd95"], cut["surface_dice"],
    )  # fmt: skip


# --- confusion


def test_a_confusion_counts_truth_by_row_and_prediction_by_column():
    true = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    predicted = np.array([[0, 2, 1], [0, 2, 1]], np.uint8)

    assert count_confusion(true, predicted, 2).tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_a_class_that_is_nowhere_has_a_row_and_a_column_of_zeros():
    counts = count_confusion(np.zeros((3, 5), np.uint8), np.ones((3, 5), np.uint8), 3)

    assert counts.tolist() == [[0, 15, 0, 0], [0] * 4, [0] * 4, [0] * 4]


@given(st.integers(0, 2**31))
def test_a_confusion_holds_every_known_pixel_and_the_scores_of_each_class(seed):
    true, predicted = np.random.default_rng(seed).integers(0, 4, (2, 5, 7), np.uint8)
    true[true == 3] = 255  # and 3 in the prediction is no class: background

    counts = count_confusion(true, predicted, 2)

    assert counts.sum() == np.count_nonzero(true != 255)
    for index in (1, 2):
        both, either = counts[index, index], counts[index].sum() + counts[:, index].sum()
        dice = 2 * both / either if either else 1.0
        assert score_image(true, predicted, index)["dice"] == pytest.approx(dice)


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


def test_images_of_each_file_scale_are_summed_up_apart():
    full, small = {"vertical": 1.0, "horizontal": 1.0}, {"vertical": 6.0, "horizontal": 8.0}
    scored = [*rows(0.2, 0.6, **full), *rows(0.1, **small), *rows(1.0, **full)]
    empty = [*rows(0.0, 0.0, **full), *rows(0.5, **small), *rows(0.3, **full)]

    apart = summarize_apart(scored, empty, seed=0, resamples=10)

    assert list(apart) == ["full size", "a pixel of 6 x 8"]
    dice = [apart[scale]["dice"] for scale in apart]
    assert [(d.mean, d.images) for d in dice] == [(pytest.approx(0.6), 3), (0.1, 1)]
    assert [d.baseline for d in dice] == [pytest.approx(0.1), 0.5]
    assert summarize_apart(rows(0.2, 0.6, **small), [], seed=0, resamples=10) == {}


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
