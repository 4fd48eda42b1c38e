from typing import get_args

import numpy as np
import pytest

from cervseg.config.training import LossName
from cervseg.losses import LOSSES, SegmentationLoss, activate, encode

pytestmark = pytest.mark.usefixtures("started")

LABELS = np.array([[[0, 1, 2], [255, 2, 0]]], np.uint8)


def logits_for(labels, channels, *, first, size=60.0):
    """Logits that are sure and right; whatever where ignored."""
    indices = np.arange(first, first + channels)
    return np.where(labels[..., None] == indices, size, -size).astype("float32")


def test_the_config_offers_exactly_the_losses_there_are():
    assert set(get_args(LossName)) == set(LOSSES)


def test_sigmoid_channels_stand_for_the_classes_from_one_on():
    truth, weights = (np.asarray(x) for x in encode(LABELS, 2, activation="sigmoid"))

    assert truth.shape == (1, 2, 3, 2) and truth.dtype == weights.dtype == np.float32
    np.testing.assert_array_equal(truth[..., 0], LABELS == 1)
    np.testing.assert_array_equal(truth[..., 1], LABELS == 2)
    np.testing.assert_array_equal(weights[..., 0], LABELS != 255)


def test_softmax_channels_begin_with_the_background():
    truth, weights = (np.asarray(x) for x in encode(LABELS, 3, activation="softmax"))

    for index in range(3):
        np.testing.assert_array_equal(truth[..., index], index == LABELS)
    np.testing.assert_array_equal(truth.sum(axis=-1), weights[..., 0])


def test_labels_of_any_integer_type_mean_the_same():
    for kind in ("int32", "int64", "float32"):
        truth, _ = encode(LABELS.astype(kind), 2, activation="sigmoid")
        np.testing.assert_array_equal(np.asarray(truth)[..., 0], LABELS == 1)


def test_activation_gives_float32_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, (1, 2, 3, 4)).astype("float16")

    sigmoid, softmax = (np.asarray(activate(logits, a)) for a in ("sigmoid", "softmax"))

    assert sigmoid.dtype == softmax.dtype == np.float32
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits.astype("float32"))), rtol=1e-5)
    np.testing.assert_allclose(softmax.sum(axis=-1), 1, atol=1e-6)


PAIRS = [
    (name, activation)
    for name in sorted(LOSSES)
    for activation in ("sigmoid", "softmax")
    if (name, activation) != ("categorical_crossentropy", "sigmoid")  # needs exclusive channels
]


@pytest.mark.parametrize(("name", "activation"), PAIRS)
def test_a_sure_and_right_answer_costs_nothing(name, activation):
    first, channels = (1, 2) if activation == "sigmoid" else (0, 3)
    right = logits_for(LABELS, channels, first=first)

    loss = SegmentationLoss(name, activation)

    assert float(loss(LABELS, right)) == pytest.approx(0, abs=1e-6)
    assert float(loss(LABELS, -right)) > 0.5


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_what_is_answered_where_ignored_does_not_matter(name):
    logits = np.random.default_rng(1).normal(0, 1, (1, 2, 3, 3)).astype("float32")
    other = logits.copy()
    other[LABELS == 255] = 99

    loss = SegmentationLoss(name, "softmax")

    assert float(loss(LABELS, logits)) == float(loss(LABELS, other))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_batch_without_any_known_pixel_costs_nothing(name):
    ignored = np.full((2, 3, 5), 255, np.uint8)

    value = float(SegmentationLoss(name, "softmax")(ignored, np.ones((2, 3, 5, 3), "float32")))

    assert value == 0


@pytest.mark.parametrize(
    ("name", "parts"), [("bce_dice", ("binary_crossentropy", "dice")),
                        ("bce_iou", ("binary_crossentropy", "iou"))]
)  # fmt: skip
def test_a_joined_loss_is_the_mean_of_its_parts(name, parts):
    logits = np.random.default_rng(1).normal(0, 1, (1, 2, 3, 2)).astype("float32")

    together, *alone = (
        float(SegmentationLoss(n, "sigmoid")(LABELS, logits)) for n in (name, *parts)
    )

    assert together == pytest.approx(np.mean(alone), rel=1e-6)


def test_it_does_not_depend_on_how_the_batch_is_cut_into_height_and_width():
    logits = np.random.default_rng(1).normal(0, 1, (1, 2, 3, 2)).astype("float32")
    loss = SegmentationLoss("bce_dice", "sigmoid")

    turned = loss(LABELS.swapaxes(1, 2), logits.swapaxes(1, 2))

    assert float(loss(LABELS, logits)) == pytest.approx(float(turned), rel=1e-6)
