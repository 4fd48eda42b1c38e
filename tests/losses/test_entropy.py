import numpy as np
import pytest

from cervseg.losses.entropy import (
    binary_crossentropy,
    binary_focal_loss,
    categorical_crossentropy,
    categorical_focal_loss,
)

pytestmark = pytest.mark.usefixtures("started")

ONES = np.ones((1, 2, 2, 1), "float32")
TRUE = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
LOGITS = np.log(np.array([0.9, 0.5, 0.5, 0.2], "float32") / [0.1, 0.5, 0.5, 0.8])
LOGITS = LOGITS.astype("float32").reshape(1, 2, 2, 1)


def test_a_binary_two_by_two_is_as_by_hand():
    expected = -np.log([0.9, 0.5, 0.5, 0.8]).mean()

    assert float(binary_crossentropy(TRUE, LOGITS, ONES)) == pytest.approx(expected, rel=1e-5)


def test_a_categorical_pixel_is_as_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], "float32"))
    true = np.array([[1, 0, 0], [0, 1, 0]], "float32")
    logits, true = (x.reshape(1, 1, 2, 3) + np.float32(0) for x in (logits + 5, true))

    loss = float(categorical_crossentropy(true, logits, ONES[:, :1]))

    assert loss == pytest.approx(-np.log([0.7, 0.25]).mean(), rel=1e-5)


def test_several_binary_channels_are_averaged():
    two = np.concatenate([TRUE, 1 - TRUE], axis=-1)
    logits = np.concatenate([LOGITS, LOGITS], axis=-1)

    parts = [float(binary_crossentropy(two[..., c : c + 1], LOGITS, ONES)) for c in (0, 1)]

    assert float(binary_crossentropy(two, logits, ONES)) == pytest.approx(np.mean(parts), rel=1e-5)


@pytest.mark.parametrize("size", [50.0, 1e4])
def test_sure_and_right_costs_nothing_and_sure_and_wrong_costs_its_logit(size):
    logits = np.where(TRUE == 1, size, -size).astype("float32")
    both = np.concatenate([1 - TRUE, TRUE], axis=-1)
    scores = np.concatenate([-logits, logits], axis=-1) / 2

    assert float(binary_crossentropy(TRUE, logits, ONES)) == pytest.approx(0, abs=1e-6)
    assert float(binary_crossentropy(TRUE, -logits, ONES)) == pytest.approx(size)
    assert float(categorical_crossentropy(both, scores, ONES)) == pytest.approx(0, abs=1e-6)
    assert float(categorical_crossentropy(both, -scores, ONES)) == pytest.approx(size)


ALL = [binary_crossentropy, categorical_crossentropy, binary_focal_loss, categorical_focal_loss]


@pytest.mark.parametrize("loss", ALL)
def test_an_ignored_pixel_counts_nowhere_and_all_ignored_cost_nothing(loss):
    weights = np.array([1, 0, 1, 1], "float32").reshape(1, 2, 2, 1)
    true = np.concatenate([1 - TRUE, TRUE], axis=-1) * weights
    logits = np.concatenate([-LOGITS, LOGITS], axis=-1)
    changed = np.where(weights == 0, np.float32(77), logits)
    known = weights[..., 0] == 1

    one, other = float(loss(true, logits, weights)), float(loss(true, changed, weights))

    cut = [x[known].reshape(1, 1, 3, 2) for x in (true, logits)]
    assert one == other == pytest.approx(float(loss(*cut, np.ones((1, 1, 3, 1), "float32"))))
    assert float(loss(true, logits, 0 * weights)) == 0


def test_a_focal_two_by_two_is_as_by_hand():
    right = np.array([0.9, 0.5, 0.5, 0.8])  # the probability of what is true

    plain = -((1 - right) ** 2) * np.log(right)
    balanced = np.array([0.25, 0.25, 0.75, 0.75]) * -((1 - right) ** 0.5) * np.log(right)

    assert float(binary_focal_loss(TRUE, LOGITS, ONES)) == pytest.approx(plain.mean(), rel=1e-5)
    assert float(
        binary_focal_loss(TRUE, LOGITS, ONES, gamma=0.5, alpha=0.25)
    ) == pytest.approx(balanced.mean(), rel=1e-5)  # fmt: skip


def test_an_exclusive_focal_pixel_is_as_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], "float32"))
    true = np.array([[1, 0, 0], [0, 1, 0]], "float32")
    logits, true = ((x + np.float32(0)).reshape(1, 1, 2, 3) for x in (logits + 5, true))
    parts = -(np.array([0.3, 0.75]) ** 1.5) * np.log([0.7, 0.25])

    plain = categorical_focal_loss(true, logits, ONES[:, :1], gamma=1.5)
    balanced = categorical_focal_loss(true, logits, ONES[:, :1], gamma=1.5, alpha=0.9)

    assert float(plain) == pytest.approx(parts.mean(), rel=1e-5)
    assert float(balanced) == pytest.approx((parts * [0.1, 0.9]).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("focal", "plain"),
    [(binary_focal_loss, binary_crossentropy), (categorical_focal_loss, categorical_crossentropy)],
)
def test_without_focus_it_is_the_cross_entropy(focal, plain):
    true = np.concatenate([1 - TRUE, TRUE], axis=-1)
    logits = np.random.default_rng(0).normal(0, 3, true.shape).astype("float32")

    flat, focused = (float(focal(true, logits, ONES, gamma=g)) for g in (0.0, 2.0))

    assert flat == pytest.approx(float(plain(true, logits, ONES)), rel=1e-5)
    assert focused < flat


def test_two_exclusive_channels_are_one_independent_one():
    """The softmax of (0, z) is the sigmoid of z."""
    both = np.concatenate([1 - TRUE, TRUE], axis=-1)
    logits = np.concatenate([0 * LOGITS, LOGITS], axis=-1)
    options = {"gamma": 0.7, "alpha": 0.3}

    one = float(binary_focal_loss(TRUE, LOGITS, ONES, **options))

    assert float(categorical_focal_loss(both, logits, ONES, **options)) == pytest.approx(
        one, rel=1e-5
    )


def test_sure_and_wrong_costs_its_logit_with_focus_too():
    logits = np.where(TRUE == 1, -300, 300).astype("float32")
    both = np.concatenate([1 - TRUE, TRUE], axis=-1)
    scores = np.concatenate([-logits, logits], axis=-1) / 2

    assert float(binary_focal_loss(TRUE, logits, ONES)) == pytest.approx(300)
    assert float(categorical_focal_loss(both, scores, ONES)) == pytest.approx(300)
    assert float(binary_focal_loss(TRUE, -logits, ONES)) == 0
    assert float(categorical_focal_loss(both, -scores, ONES)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [binary_crossentropy, binary_focal_loss])
def test_weights_share_out_the_mean_among_independent_channels(loss):
    true = np.concatenate([TRUE, 1 - TRUE], axis=-1)
    logits = np.random.default_rng(1).normal(0, 2, true.shape).astype("float32")
    alone = [float(loss(true[..., c : c + 1], logits[..., c : c + 1], ONES)) for c in (0, 1)]
    weights = ONES * np.array([3, 1], "float32")

    assert float(loss(true, logits, weights)) == pytest.approx(
        np.average(alone, weights=[3, 1]), rel=1e-5
    )


@pytest.mark.parametrize("loss", [categorical_crossentropy, categorical_focal_loss])
def test_a_pixel_weighs_what_its_true_class_does_among_exclusive_channels(loss):
    true = np.eye(2, dtype="float32")[[0, 0, 0, 1]].reshape(1, 2, 2, 2)
    logits = np.random.default_rng(2).normal(0, 2, true.shape).astype("float32")
    alone = [
        float(loss(true.reshape(4, 1, 1, 2)[i : i + 1], logits.reshape(4, 1, 1, 2)[i : i + 1],
                   ONES[:, :1, :1]))
        for i in range(4)
    ]  # fmt: skip
    weights = ONES * np.array([1, 5], "float32")

    assert float(loss(true, logits, weights)) == pytest.approx(
        np.average(alone, weights=[1, 1, 1, 5]), rel=1e-5
    )
