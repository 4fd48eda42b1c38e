import numpy as np
import pytest

from cervseg.losses.overlap import dice_loss, focal_tversky_loss, iou_loss, tversky_loss

pytestmark = pytest.mark.usefixtures("started")

ONES = np.ones((1, 2, 2, 1), "float32")
TRUE = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
GUESS = np.array([1, 0.5, 0.5, 0], "float32").reshape(1, 2, 2, 1)


def test_a_two_by_two_is_as_by_hand():
    """Both: 1.5; sums: 2 and 2."""
    assert float(dice_loss(TRUE, GUESS, ONES)) == pytest.approx(1 - (3 + 1) / (4 + 1))
    assert float(iou_loss(TRUE, GUESS, ONES)) == pytest.approx(1 - (1.5 + 1) / (2.5 + 1))


ALL = [dice_loss, iou_loss, tversky_loss, focal_tversky_loss]


def test_a_tversky_two_by_two_is_as_by_hand():
    """Both: 1.5; too much: 0.8; missing: 0.5."""
    guess = np.array([1, 0.5, 0.8, 0], "float32").reshape(1, 2, 2, 1)
    expected = 1 - (1.5 + 1) / (1.5 + 0.2 * 0.8 + 0.9 * 0.5 + 1)

    plain = tversky_loss(TRUE, guess, ONES, alpha=0.2, beta=0.9)
    focal = focal_tversky_loss(TRUE, guess, ONES, alpha=0.2, beta=0.9, gamma=2.0)

    assert float(plain) == pytest.approx(expected, rel=1e-5)
    assert float(focal) == pytest.approx(expected**0.5, rel=1e-5)


def test_equal_prices_are_iou_and_half_of_them_is_dice():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 2, (2, 30, 50, 2)).astype("float32")
    guess = rng.random(true.shape).astype("float32")
    weights = np.ones((2, 30, 50, 1), "float32")

    iou, dice = (float(loss(true, guess, weights)) for loss in (iou_loss, dice_loss))

    assert float(tversky_loss(true, guess, weights, alpha=1.0, beta=1.0)) == iou
    half = float(tversky_loss(true, guess, weights, alpha=0.5, beta=0.5))
    assert half == pytest.approx(dice, rel=1e-3)  # the 1 in it weighs twice as much


def test_what_is_missing_can_cost_more_than_what_is_too_much():
    less, more = TRUE.copy(), TRUE.copy()
    less[0, 0, 0], more[0, 1, 1] = 0, 1

    missing, spare = (float(tversky_loss(TRUE, guess, ONES)) for guess in (less, more))

    assert missing > spare
    assert float(tversky_loss(TRUE, less, ONES, alpha=0.7, beta=0.3)) < missing


def test_without_focus_it_is_the_tversky_loss():
    plain, focal = (f(TRUE, GUESS, ONES) for f in (tversky_loss, focal_tversky_loss))

    assert float(focal_tversky_loss(TRUE, GUESS, ONES, gamma=1.0)) == pytest.approx(float(plain))
    assert float(focal) > float(plain)


@pytest.mark.parametrize("loss", ALL)
def test_per_image_is_the_mean_over_images_and_per_batch_is_one_large_image(loss):
    rng = np.random.default_rng(4)
    true = (rng.random((3, 5, 7, 2)) < [[[[0.1, 0.8]]]]).astype("float32")
    true[2] = 0
    guess = rng.random(true.shape).astype("float32")
    weights = np.ones((3, 5, 7, 1), "float32")
    alone = [float(loss(true[i : i + 1], guess[i : i + 1], weights[:1])) for i in range(3)]
    large = [x.reshape(1, 15, 7, -1) for x in (true, guess, weights)]

    one_by_one = float(loss(true, guess, weights, per="image"))

    assert one_by_one == pytest.approx(np.mean(alone), rel=1e-5)
    assert float(loss(true, guess, weights)) == pytest.approx(float(loss(*large)), rel=1e-5)
    assert float(loss(true, guess, weights)) != pytest.approx(one_by_one, rel=1e-2)


@pytest.mark.parametrize("loss", ALL)
def test_an_image_without_a_known_pixel_is_no_image(loss):
    true, guess = (np.concatenate([x, x]) for x in (TRUE, GUESS))
    weights = np.concatenate([ONES, 0 * ONES])

    value = float(loss(true, guess, weights, per="image"))

    assert value == pytest.approx(float(loss(TRUE, GUESS, ONES)))
    assert float(loss(true, guess, 0 * weights, per="image")) == 0
    assert float(loss(true, guess, 0 * weights)) == 0


@pytest.mark.parametrize("loss", ALL)
def test_a_weight_counts_a_pixel_as_often(loss):
    """A channel of weight 2 beside one of weight 1 is that channel twice."""
    rng = np.random.default_rng(5)
    true = rng.integers(0, 2, (1, 3, 5, 2)).astype("float32")
    guess = rng.random(true.shape).astype("float32")
    ones = np.ones((1, 3, 5, 1), "float32")
    twice = [np.concatenate([x, x[..., :1]], axis=-1) for x in (true, guess)]

    weighted = float(loss(true, guess, ones * np.array([2, 1], "float32")))

    assert weighted == pytest.approx(float(loss(*twice, ones)), rel=1e-5)


@pytest.mark.parametrize("loss", ALL)
def test_a_perfect_answer_costs_nothing_and_the_opposite_nearly_one(loss):
    assert float(loss(TRUE, TRUE, ONES)) == 0
    assert 0.65 < float(loss(TRUE, 1 - TRUE, ONES)) < 1


@pytest.mark.parametrize("loss", ALL)
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
