import numpy as np
import pytest

from cervseg.losses.entropy import binary_crossentropy, categorical_crossentropy

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


@pytest.mark.parametrize("loss", [binary_crossentropy, categorical_crossentropy])
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
