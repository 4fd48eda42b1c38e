from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cervseg.classes import Classes
from cervseg.config.inference import InferConfig
from cervseg.contract import Contract, Postprocessing
from cervseg.errors import ConfigError
from cervseg.inference.decision import (
    Decision,
    decision_for,
    histogram,
    otsu_threshold,
    triangle_threshold,
)
from cervseg.inference.probability import Blurred, combine
from cervseg.inference.rows import RowArray

SHARE = st.floats(0, 1, width=32)
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})


def blur(probabilities, sigma):
    return Blurred(RowArray(probabilities), sigma).read(0, len(probabilities))


def one_channel(rows):
    return np.array(rows, np.float32)[..., None]


# --- decisions ----------------------------------------------------------------------------------


@given(arrays(np.float32, (5, 7, 1), elements=SHARE), st.floats(1e-3, 0.999))
def test_foreground_is_from_the_threshold_on(probabilities, threshold):
    mask = Decision("sigmoid", (threshold,)).apply(probabilities)

    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, probabilities[..., 0] >= np.float32(threshold))


@given(arrays(np.float32, (5, 7, 3), elements=SHARE))
def test_of_exclusive_classes_the_largest_channel_wins(probabilities):
    mask = Decision("softmax", (0.5, 0.5)).apply(probabilities)

    np.testing.assert_array_equal(mask, probabilities.argmax(axis=-1))


def test_of_independent_classes_each_has_its_threshold_and_the_surest_wins():
    probabilities = np.array(
        [[[0.1, 0.7], [0.25, 0.1], [0.25, 0.79]], [[0.3, 0.85], [0.6, 0.9], [0.0, 0.0]]], np.float32
    )

    mask = Decision("sigmoid", (0.2, 0.8)).apply(probabilities)

    assert mask.tolist() == [[0, 1, 1], [1, 1, 0]]
    assert Decision("sigmoid", (0.5, 0.8)).apply(probabilities).tolist() == [[0, 0, 0], [2, 1, 0]]


def test_a_threshold_by_histogram_is_found_for_each_channel():
    probabilities = np.full((4, 6, 2), 0.1, np.float32)
    probabilities[:2, :, 0] = 0.4
    probabilities[:, :3, 1] = 0.95

    mask = Decision("sigmoid", "otsu").apply(probabilities)

    assert (mask[:2, 3:] == 1).all() and (mask[2:, :3] == 2).all() and (mask[2:, 3:] == 0).all()


@pytest.mark.parametrize("find", ["otsu", "triangle"])
@pytest.mark.parametrize("piece", [1, 7, 10**6])
def test_a_threshold_by_histogram_is_found_among_the_pixels_that_count(find, piece):
    probabilities = np.zeros((31, 45, 1), np.float32)
    probabilities[10:20, 10:30] = 0.6
    probabilities[12:15, 12:17] = 0.9
    inside = probabilities[..., 0] > 0
    mask = np.zeros((31, 45), np.uint8)

    Decision("sigmoid", find).decide(
        RowArray(probabilities), RowArray(mask), inside=lambda top, n: inside[top : top + n],
        piece=piece,
    )  # fmt: skip

    np.testing.assert_array_equal(mask, probabilities[..., 0] > 0.7)


@pytest.mark.parametrize("find", ["otsu", "triangle"])
def test_where_no_pixel_counts_no_threshold_is_needed(find):
    mask = np.zeros((5, 7), np.uint8)
    rows, nothing = RowArray(np.ones((5, 7, 1), np.float32)), np.zeros((5, 7), bool)

    Decision("sigmoid", find).decide(rows, RowArray(mask), inside=lambda top, n: nothing[top:][:n])

    assert not mask.any()


def test_a_hole_of_the_region_is_not_filled():
    probabilities = np.ones((31, 45, 1), np.float32)
    probabilities[3:5, 3:5] = 0
    inside = np.ones((31, 45), bool)
    inside[10:20, 12:30] = False
    mask = np.zeros((31, 45), np.uint8)
    decision = Decision("sigmoid", (0.5,), Postprocessing(fill_holes=1000))

    decision.decide(RowArray(probabilities), RowArray(mask), inside=lambda top, n: inside[top:][:n])

    np.testing.assert_array_equal(mask, inside)


def test_the_order_is_blur_then_decide_then_clean():
    probabilities = np.zeros((41, 41, 1), np.float32)
    probabilities[10, 10] = 1  # blurred away
    probabilities[20:31, 20:31] = 1
    probabilities[5:8, 30:33] = 1  # survives the blur, too small

    plain = Decision("sigmoid", (0.5,)).apply(probabilities)
    clean = Decision("sigmoid", (0.5,), Postprocessing(blur=1.0, min_area=20)).apply(probabilities)

    assert plain.sum() == 1 + 121 + 9
    assert clean[20:31, 20:31].sum() > 100 and clean.sum() == clean[20:31, 20:31].sum()


def test_nothing_is_cleaned_where_nothing_is_asked_for():
    probabilities = np.zeros((5, 7, 1), np.float32)
    probabilities[2, 3] = 1

    for min_area in (0, 1):
        assert (
            Decision("sigmoid", (0.5,), Postprocessing(min_area=min_area))
            .apply(probabilities)
            .sum()
            == 1
        )


# --- blur ---------------------------------------------------------------------------------------


@given(arrays(np.float32, (9, 13, 2), elements=SHARE), st.floats(0.3, 5))
def test_blurring_keeps_shape_and_range(probabilities, sigma):
    smooth = blur(probabilities, sigma)

    assert smooth.shape == (9, 13, 2) and smooth.dtype == np.float32
    assert smooth.min() >= probabilities.min() - 1e-6
    assert smooth.max() <= probabilities.max() + 1e-6


def test_blurring_keeps_one_channel_an_axis_and_its_width():
    probabilities = np.zeros((41, 61, 1), np.float32)
    probabilities[20, 30] = 1

    smooth = blur(probabilities, 2.0)

    assert smooth.shape == (41, 61, 1)
    spread = np.average((np.arange(41) - 20) ** 2, weights=smooth[..., 0].sum(axis=1))
    assert smooth.sum() == pytest.approx(1, abs=1e-5) and spread**0.5 == pytest.approx(2, rel=0.05)


# --- thresholds by histogram --------------------------------------------------------------------


def test_otsu_lies_in_the_middle_of_an_empty_valley():
    values = np.array([0.1] * 60 + [0.7] * 40, np.float32)

    assert otsu_threshold(histogram(values)) == pytest.approx(0.4, abs=1 / 256)


@given(arrays(np.float32, 40, elements=SHARE))
def test_otsu_separates_best(values):
    found = otsu_threshold(histogram(values))

    def between(threshold):
        bins = (np.minimum((values.astype(float) * 256).astype(int), 255) + 0.5) / 256
        low, high = bins[bins < threshold], bins[bins >= threshold]
        return (
            len(low) * len(high) * (high.mean() - low.mean()) ** 2 if len(low) and len(high) else 0
        )

    assert 0 < found < 1
    assert between(found) >= max(between(i / 256) for i in range(1, 256)) * (1 - 1e-9)


@pytest.mark.parametrize("find", [otsu_threshold, triangle_threshold])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_one_value_everywhere_has_nothing_to_separate(find, value):
    assert find(histogram(np.full((5, 7), value, np.float32))) == 0.5


def test_triangle_finds_the_foot_of_a_tall_peak():
    """A sharp peak of background at 0.1 and a long low tail up to 0.9."""
    tail = np.linspace(0.12, 0.9, 400)
    values = np.concatenate([np.full(5000, 0.1), tail]).astype(np.float32)

    assert 0.1 < triangle_threshold(histogram(values)) < 0.13


def test_triangle_works_on_the_longer_side_of_the_peak():
    """A peak of foreground at 0.7, a long tail down to 0.1, a short one up to 0.75."""
    tails = np.concatenate([np.linspace(0.1, 0.68, 400), np.linspace(0.72, 0.75, 50)])
    values = np.concatenate([np.full(5000, 0.7), tails]).astype(np.float32)

    threshold = triangle_threshold(histogram(values))

    assert 0.67 < threshold <= 0.7, "the peak stays on its side"


@given(arrays(np.float32, 40, elements=SHARE))
def test_triangle_is_a_threshold(values):
    assert 0 < triangle_threshold(histogram(values)) <= 1


def test_a_threshold_of_an_empty_image_finds_nothing_bright_in_the_dark():
    """Most images are mostly background: near-zero noise must not become half foreground."""
    noise = np.random.default_rng(0).uniform(0, 0.01, (50, 70, 1)).astype(np.float32)
    noise[10:14, 10:14] = 0.9

    mask = Decision("sigmoid", "otsu").apply(noise)

    assert mask.sum() == 16


# --- joining, and what the config asks for ------------------------------------------------------


@given(arrays(np.float32, (3, 5, 2), elements=SHARE), arrays(np.float32, (3, 5, 2), elements=SHARE))
def test_two_answers_are_joined_pixel_by_pixel(one, two):
    np.testing.assert_allclose(combine(one, two, "mean"), (one + two) / 2)
    np.testing.assert_array_equal(combine(one, two, "minimum"), np.minimum(one, two))
    assert combine(one, two, "mean").dtype == np.float32


CONTRACT = Contract(
    architecture="unet", options={}, classes=TWO, activation="sigmoid", tile_size=64, channels=2,
    threshold=(0.3, 0.6),
)  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, Decision("sigmoid", (0.3, 0.6))),
        ({"threshold": 0.4}, Decision("sigmoid", (0.4, 0.4))),
        ({"threshold": "otsu"}, Decision("sigmoid", "otsu")),
        (
            {"blur": 2, "min_area": 9},
            Decision("sigmoid", (0.3, 0.6), Postprocessing(blur=2.0, min_area=9)),
        ),
    ],
)
def test_the_config_decides_and_the_model_where_it_is_silent(keys, expected):
    assert decision_for(InferConfig.model_validate(keys), CONTRACT) == expected


def test_what_the_model_does_to_masks_stands_where_the_config_is_silent():
    own = Postprocessing(blur=4.0, hysteresis=0.8, fill_holes=90, split_touching=6.0, min_area=50)
    contract = replace(CONTRACT, postprocess=own)

    silent = decision_for(InferConfig(), contract)
    asked = decision_for(InferConfig(min_area=0, hysteresis=0.0, blur=1.0), contract)

    assert silent.steps == own
    assert asked.steps == Postprocessing(1.0, 0.0, 90, 6.0, 0)


def test_lengths_and_areas_are_suited_to_the_pixels_of_a_mask():
    steps = Postprocessing(12.0, 0.8, 4800, 60.0, 97)

    found = Decision("sigmoid", (0.5,), steps).on((6, 8)).steps

    assert found == Postprocessing(
        pytest.approx(12 / 48**0.5), 0.8, 100, pytest.approx(60 / 48**0.5), 2
    )


def test_exclusive_classes_stay_exclusive():
    contract = replace(CONTRACT, activation="softmax", channels=3)

    assert decision_for(InferConfig(), contract).activation == "softmax"


@pytest.mark.parametrize("threshold", [0.9, "otsu"])
def test_a_threshold_means_nothing_to_a_softmax_model(threshold):
    contract = Contract(
        architecture="unet", options={}, classes=TWO, activation="softmax", tile_size=16,
        channels=3,
    )  # fmt: skip

    with pytest.raises(ConfigError) as caught:
        decision_for(InferConfig(threshold=threshold), contract)

    assert str(caught.value) == (
        f"'threshold' {threshold!r} has no meaning for a softmax model: the largest channel decides"
    )
