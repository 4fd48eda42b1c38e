import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from cervseg.losses.boundary import boundary_loss

pytestmark = pytest.mark.usefixtures("started")


def region(top, left, *size):
    height, width = size
    mask = np.zeros((1, 15, 21, 1), "float32")
    mask[:, top : top + height, left : left + width] = 1
    return mask


SQUARE = region(4, 5, 6, 7)
ONES = np.ones_like(SQUARE)


def slow_f1(truth, guess, *, known, theta0, theta):
    """F1 of the boundaries of two maps, with SciPy's filters; `known` is False where ignored."""

    def grow(x, size):
        return maximum_filter(x, size, mode="constant", cval=-np.inf)

    def edges(x):
        return grow(1 - x, theta0) - (1 - x)

    true, found = edges(np.float64(truth)), edges(np.float64(guess))
    sure = minimum_filter(known, theta0 + theta - 1, mode="constant", cval=True)
    precision = ((found * grow(true, theta))[sure].sum() + 1) / (found[sure].sum() + 1)
    recall = ((true * grow(found, theta))[sure].sum() + 1) / (true[sure].sum() + 1)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(("theta0", "theta"), [(3, 5), (5, 3), (3, 1)])
def test_it_is_one_minus_the_f1_of_soft_boundaries(theta0, theta):
    guess = np.random.default_rng(0).random((15, 21)).astype("float32")
    known = np.ones((15, 21), bool)
    known[0, 3] = known[8:, 14] = False
    truth = SQUARE[0, ..., 0] * known

    loss = boundary_loss(
        *(x[None, ..., None].astype("float32") for x in (truth, guess, known)),
        theta0=theta0, theta=theta,
    )  # fmt: skip

    expected = 1 - slow_f1(truth, guess, known=known, theta0=theta0, theta=theta)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_two_by_two_is_as_by_hand():
    """The edge is the row of ones, the other's is its row of zeros; one pixel apart."""
    truth = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    ones = np.ones_like(truth)

    assert float(boundary_loss(truth, 1 - truth, ones, theta=1)) == pytest.approx(1 - 1 / 3)
    assert float(boundary_loss(truth, 1 - truth, ones, theta=3)) == 0
    assert float(boundary_loss(truth, 0 * truth, ones, theta=3)) == pytest.approx(1 - 0.5)


def test_perfect_empty_and_full_tiles_cost_nothing():
    for mask in (SQUARE, 0 * SQUARE, ONES):
        assert float(boundary_loss(mask, mask, ONES)) == 0


def test_the_edge_of_the_tile_is_no_boundary():
    assert float(boundary_loss(0 * SQUARE, ONES, ONES)) == 0


def test_a_boundary_too_far_a_boundary_too_many_and_one_missing_cost():
    far, nothing = region(8, 5, 6, 7), 0 * SQUARE

    assert float(boundary_loss(SQUARE, far, ONES)) > 0.3
    assert float(boundary_loss(SQUARE, nothing, ONES)) > 0.9
    assert float(boundary_loss(nothing, SQUARE, ONES)) > 0.9


def test_a_boundary_two_pixels_off_is_forgiven_by_a_window_of_five():
    shifted = region(6, 5, 6, 7)

    assert float(boundary_loss(SQUARE, shifted, ONES, theta=5)) == 0
    assert float(boundary_loss(SQUARE, shifted, ONES, theta=3)) > 0


def test_edges_within_reach_of_an_ignored_pixel_do_not_count():
    """Windows of 3 and 5: an ignored pixel is seen up to 3 pixels away."""
    weights = ONES.copy()
    weights[:, :, 15] = 0
    loud = np.where(weights == 0, np.float32(30), SQUARE)
    beside = np.maximum(SQUARE, region(4, 12, 6, 9))  # differs from column 12 on

    assert float(boundary_loss(SQUARE, loud, weights)) == 0
    assert float(boundary_loss(SQUARE, np.maximum(SQUARE, region(4, 14, 6, 3)), weights)) == 0
    assert float(boundary_loss(SQUARE, beside, weights)) > 0
    assert float(boundary_loss(SQUARE, 1 - SQUARE, 0 * weights)) == 0


def test_per_image_is_the_mean_over_images_that_hold_a_known_pixel():
    truth = np.concatenate([SQUARE, SQUARE, SQUARE])
    guess = np.concatenate([region(8, 5, 6, 7), 0 * SQUARE, 0 * SQUARE])
    weights = np.concatenate([ONES, ONES, 0 * ONES])
    alone = [float(boundary_loss(SQUARE, guess[i : i + 1], ONES)) for i in range(2)]

    value = float(boundary_loss(truth, guess, weights, per="image"))

    assert value == pytest.approx(np.mean(alone), rel=1e-5)
    assert value != pytest.approx(float(boundary_loss(truth, guess, weights)), rel=1e-3)


def test_a_weight_counts_a_channel_as_often():
    rng = np.random.default_rng(2)
    truth = np.concatenate([SQUARE, region(1, 2, 8, 9)], axis=-1)
    guess = rng.random(truth.shape).astype("float32")
    twice = [np.concatenate([x, x[..., :1]], axis=-1) for x in (truth, guess)]

    weighted = float(boundary_loss(truth, guess, ONES * np.array([2, 1], "float32")))

    assert weighted == pytest.approx(float(boundary_loss(*twice, ONES)), rel=1e-5)
