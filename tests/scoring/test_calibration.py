import math

import numpy as np
import pytest

from cervseg.scoring.calibration import (
    Answers,
    ProbabilityCounts,
    best_threshold,
    fit_temperature,
)

TRIED = [k / 200 for k in range(10, 191)]


def dice(true, predicted):
    total = true.sum() + predicted.sum()
    return 2 * (true & predicted).sum() / total if total else 1.0


def by_trying(pairs):
    """Mean Dice at each threshold, found the slow way."""
    return [np.mean([dice(true, p >= threshold) for true, p in pairs]) for threshold in TRIED]


def random_pairs(seed):
    """A few images of odd sizes; probabilities that say something about the truth."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(rng.integers(1, 5)):
        true = rng.random((rng.integers(1, 20), rng.integers(1, 30))) < rng.random()
        spread = rng.uniform(0.2, 2)
        score = rng.normal(rng.normal(), spread, true.shape) + rng.uniform(0, 2) * true
        pairs.append((true, (1 / (1 + np.exp(-score))).astype(np.float32)))
    return pairs


@pytest.mark.parametrize("seed", range(12))
def test_no_other_threshold_has_a_higher_mean_dice(seed):
    pairs = random_pairs(seed)
    means = by_trying(pairs)

    threshold, mean = best_threshold(iter(pairs))

    assert threshold in TRIED
    assert mean == pytest.approx(max(means), abs=1e-12)
    assert means[TRIED.index(threshold)] == pytest.approx(max(means), abs=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.2012, 0.8012, 0.505), (0.3012, 0.3262, 0.315), (0, 1, 0.5)]
)
def test_the_middle_of_the_best_thresholds_is_taken(low, high, expected):
    """Those from the first above `low` to the last not above `high` separate perfectly."""
    true = np.array([[True, False, False], [True, True, False]])
    probabilities = np.where(true, high, low).astype(np.float32)

    assert best_threshold([(true, probabilities)]) == (expected, 1.0)


def test_each_image_counts_once_whatever_its_size():
    large = (np.full((1, 90), True), np.array([[0.3] * 60 + [0.8] * 30], np.float32))
    small = (np.array([[True, False]]), np.array([[0.9, 0.6]], np.float32))

    threshold, mean = best_threshold([large, small, small, small])

    # Over all pixels as one, 0.3 would win: 0.98 against 0.52.
    assert 0.6 < threshold <= 0.8
    assert mean == pytest.approx((0.5 + 3) / 4)


@pytest.mark.parametrize(("value", "expected"), [(0.02, 0.5), (0.99, 0.5)])
def test_where_all_thresholds_are_equal_it_is_a_half(value, expected):
    pairs = [(np.full((3, 5), True), np.full((3, 5), value, np.float32))]

    assert best_threshold(pairs)[0] == expected


def test_it_stays_off_the_ends():
    sure = [(np.full((3, 5), True), np.full((3, 5), 0.06, np.float32))]
    never = [
        (np.full((3, 5), False), np.full((3, 5), 0.94, np.float32)),
        (np.full((3, 5), True), np.full((3, 5), 0.99, np.float32)),
    ]

    assert best_threshold(sure)[0] in (0.05, 0.055, 0.06)
    assert best_threshold(never) == (0.95, 1.0)


def test_an_image_without_truth_is_right_where_nothing_is_found():
    pairs = [
        (np.zeros((3, 5), bool), np.full((3, 5), 0.7012, np.float32)),
        (np.ones((3, 5), bool), np.full((3, 5), 0.99, np.float32)),
    ]

    threshold, mean = best_threshold(pairs)

    assert threshold > 0.7 and mean == 1.0


def test_an_image_of_ignored_pixels_alone_prefers_no_threshold():
    nothing = (np.zeros(0, bool), np.zeros(0, np.float32))
    pair = (np.array([True, False]), np.array([0.3012, 0.2012], np.float32))

    assert best_threshold([nothing, pair])[0] == best_threshold([pair])[0]


@pytest.mark.parametrize("images", [0, 2])
def test_without_truth_in_any_image_it_is_a_half_and_its_dice_is_not_known(images):
    threshold, mean = best_threshold([(np.zeros(9, bool), np.full(9, 0.7, np.float32))] * images)

    assert threshold == 0.5 and math.isnan(mean)


# --- temperature --------------------------------------------------------------------------------


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_temperature_of_a_model_that_is_too_sure_is_found(activation, temperature):
    """Truth is drawn from the logits; the model says them times the temperature."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (60_000, 3))
    if activation == "softmax":
        drawn = (softmax(logits).cumsum(axis=1) < rng.random((60_000, 1))).sum(axis=1)
        said, true = softmax(logits * temperature), drawn
    else:
        chance = 1 / (1 + np.exp(-logits[:, :1]))
        true = np.where(rng.random((60_000, 1)) < chance, 0, -1)[:, 0]
        said = 1 / (1 + np.exp(-logits[:, :1] * temperature))
    answers = Answers(true, said.astype(np.float32))
    halves = [Answers(answers.channel[i::2], answers.probabilities[i::2]) for i in (0, 1)]

    assert fit_temperature(halves, activation) == pytest.approx(temperature, rel=0.04)


def test_without_a_pixel_the_temperature_is_one_and_certainty_is_no_infinity():
    nothing = Answers(np.zeros(0, np.int64), np.zeros((0, 1), np.float32))
    certain = Answers(np.array([0, -1, 0]), np.array([[1], [0], [0]], np.float32))

    assert fit_temperature([nothing], "sigmoid") == fit_temperature([], "softmax") == 1
    assert fit_temperature([nothing, certain], "sigmoid") == pytest.approx(10, rel=0.01)


def test_reliability_and_its_error_are_those_counted_by_hand():
    counts = ProbabilityCounts()
    counts.add(np.array([[True, False]]), np.array([[0.9, 0.9]], np.float32))
    counts.add(np.array([False, False, True]), np.array([0.0, 0.1, 1.0], np.float32))

    low, high = counts.reliability(bins=5)  # empty bins are left out

    assert low == pytest.approx((0.0, 0.2, 2, 0.05, 0.0))
    assert high == pytest.approx((0.8, 1.0, 3, 2.8 / 3, 2 / 3))
    expected = (2 * 0.05 + 3 * abs(2.8 / 3 - 2 / 3)) / 5
    assert counts.calibration_error(bins=5) == pytest.approx(expected)
    assert counts.pixels.sum() == 5 and counts.pixels[1].sum() == 2
    assert math.isnan(ProbabilityCounts().calibration_error())
