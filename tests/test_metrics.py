from typing import get_args

import numpy as np
import pytest

from cervseg.config.training import MetricName
from cervseg.metrics import METRICS, SegmentationMetric, make_metrics

pytestmark = pytest.mark.usefixtures("started")

TRUE = np.array([[[1, 1], [0, 0]]], np.uint8)
GUESS = np.array([[[1, -2], [3, -4]]], "float32")[..., None]  # found: yes, no, yes, no
BY_HAND = {
    "binary_accuracy": 0.5, "dice": 0.5, "iou": 1 / 3, "sensitivity": 0.5, "specificity": 0.5,
}  # fmt: skip
NAMES = sorted(METRICS)


def metric(name, *, classes=1, activation="sigmoid", index=None):
    return SegmentationMetric(name, classes=classes, activation=activation, index=index, name=name)


def value(name, labels, logits, **how):
    made = metric(name, **how)
    made.update_state(labels, logits)
    return float(made.result())


def test_the_config_offers_exactly_the_metrics_there_are():
    assert set(get_args(MetricName)) == set(METRICS) == set(BY_HAND)


@pytest.mark.parametrize("name", NAMES)
def test_a_two_by_two_is_as_by_hand(name):
    assert value(name, TRUE, GUESS) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_answer_scores_one_and_the_opposite_none(name):
    right = np.where(TRUE == 1, 1.0, -1.0)[..., None].astype("float32")

    assert value(name, TRUE, right) == 1
    assert value(name, TRUE, -right) == 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_found_where_nothing_is_scores_one(name):
    assert value(name, 0 * TRUE, 0 * GUESS - 1) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_known_pixel_scores_one(name):
    assert value(name, 0 * TRUE + 255, GUESS) == 1


def test_a_logit_of_zero_is_not_found():
    assert value("sensitivity", TRUE, 0 * GUESS) == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_ignored_pixel_counts_nowhere(name):
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (2, 5, 7))
    logits = rng.normal(0, 1, (2, 5, 7, 1)).astype("float32")
    known = labels != 255

    expected = value(name, labels[known].reshape(1, 1, -1), logits[known].reshape(1, 1, -1, 1))

    assert value(name, labels, logits) == pytest.approx(expected, rel=1e-6)
    changed = np.where(known[..., None], logits, -logits)
    assert value(name, labels, changed) == value(name, labels, logits)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", NAMES)
def test_each_class_is_scored_for_itself_and_the_mean_is_theirs(name, activation):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (2, 5, 7)).astype(np.uint8)
    logits = rng.normal(0, 1, (2, 5, 7, 3)).astype("float32")
    if activation == "sigmoid":
        logits = logits[..., 1:]
        found = [logits[..., i] > 0 for i in (0, 1)]
    else:
        found = [logits.argmax(axis=-1) == i for i in (1, 2)]

    how = {"classes": 2, "activation": activation}
    each = [value(name, labels, logits, index=i, **how) for i in (1, 2)]

    for index, (score, guess) in enumerate(zip(each, found, strict=True), start=1):
        alone = np.where(guess, 1.0, -1.0)[..., None].astype("float32")
        expected = value(name, (labels == index).astype(np.uint8), alone)
        assert score == pytest.approx(expected, rel=1e-6)
    assert value(name, labels, logits, **how) == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_is_scored_over_all_its_pixels_not_by_batch(name):
    rng = np.random.default_rng(0)
    labels = (rng.random((6, 5, 7)) < np.linspace(0, 1, 6)[:, None, None]).astype(np.uint8)
    logits = rng.normal(0.2, 1, (6, 5, 7, 1)).astype("float32")

    made = metric(name)
    for i in (0, 1, 3):
        stop = {0: 1, 1: 3, 3: 6}[i]
        made.update_state(labels[i:stop], logits[i:stop])

    assert float(made.result()) == pytest.approx(value(name, labels, logits), rel=1e-6)


def test_a_new_epoch_starts_from_nothing():
    made = metric("dice")
    made.update_state(TRUE, -GUESS)
    made.reset_state()
    made.update_state(TRUE, GUESS)

    assert float(made.result()) == pytest.approx(0.5)


def test_more_pixels_than_float32_can_count_are_counted():
    """2^24 is 64 tiles of 512 x 512; a float32 that holds it ignores a further 1."""
    rows = np.zeros((1, 1024, 1024), np.uint8)
    rows[0, 0, :3] = 1
    found = np.full((1, 1024, 1024, 1), -1, "float32")
    found[0, 0, 0] = 1  # of every 2^20 pixels one is found and two are missed
    made = metric("sensitivity")
    accuracy = metric("binary_accuracy")

    for _ in range(40):
        made.update_state(rows, found)
        accuracy.update_state(rows, found)

    assert float(made.result()) == pytest.approx(1 / 3, rel=1e-6)
    counts = np.asarray(accuracy.counts, np.float64)
    totals = (counts[0] + counts[1] * 2**20)[:, 0]
    assert totals.tolist() == [40, 0, 80, 40 * (2**20 - 3)]


def test_one_class_has_its_metric_and_several_have_one_each_too():
    assert [m.name for m in make_metrics(["dice", "iou"], ["cell"], "sigmoid")] == ["dice", "iou"]
    assert [m.name for m in make_metrics(["dice"], ["cell", "big nucleus"], "softmax")] == [
        "dice", "dice_cell", "dice_big_nucleus",
    ]  # fmt: skip
