import numpy as np
import pytest

from cervseg.losses.overlap import dice_loss, iou_loss

pytestmark = pytest.mark.usefixtures("started")

ONES = np.ones((1, 2, 2, 1), "float32")
TRUE = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
GUESS = np.array([1, 0.5, 0.5, 0], "float32").reshape(1, 2, 2, 1)


def test_a_two_by_two_is_as_by_hand():
    """Both: 1.5; sums: 2 and 2."""
    assert float(dice_loss(TRUE, GUESS, ONES)) == pytest.approx(1 - (3 + 1) / (4 + 1))
    assert float(iou_loss(TRUE, GUESS, ONES)) == pytest.approx(1 - (1.5 + 1) / (2.5 + 1))


@pytest.mark.parametrize("loss", [dice_loss, iou_loss])
def test_a_perfect_answer_costs_nothing_and_the_opposite_nearly_one(loss):
    assert float(loss(TRUE, TRUE, ONES)) == 0
    assert 0.7 < float(loss(TRUE, 1 - TRUE, ONES)) < 1


@pytest.mark.parametrize("loss", [dice_loss, iou_loss])
def test_nothing_found_where_nothing_is_costs_nothing(loss):
    nothing = np.zeros((2, 3, 5, 1), "float32")
    weights = np.ones_like(nothing)

    assert float(loss(nothing, nothing, weights)) == 0
    assert float(loss(nothing, nothing + 0.5, weights)) > 0.5


@pytest.mark.parametrize("loss", [dice_loss, iou_loss])
def test_an_ignored_pixel_counts_nowhere(loss):
    weights = np.array([1, 0, 1, 1], "float32").reshape(1, 2, 2, 1)

    one = loss(TRUE, GUESS, weights)
    other = loss(TRUE, np.where(weights == 0, np.float32(1), GUESS), weights)

    assert float(one) == float(other) != float(loss(TRUE, GUESS, ONES))
    assert float(one) == pytest.approx(
        1 - (2 * 1 + 1) / (1 + 1.5 + 1) if loss is dice_loss else 1 - (1 + 1) / (1.5 + 1)
    )


def test_iou_costs_at_least_as_much_as_dice():
    rng = np.random.default_rng(0)
    for _ in range(20):
        true = rng.integers(0, 2, (2, 3, 5, 2)).astype("float32")
        guess = rng.random((2, 3, 5, 2)).astype("float32")
        weights = np.ones((2, 3, 5, 1), "float32")
        assert 0 <= float(dice_loss(true, guess, weights)) <= float(iou_loss(true, guess, weights))
