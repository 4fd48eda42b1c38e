import numpy as np
import pytest

from cervseg.losses.structure import ssim_loss, window_weights

pytestmark = pytest.mark.usefixtures("started")


def slow_ssim(one, other, *, size=11, sigma=1.5):
    """SSIM of each window of two maps, pixel by pixel in float64."""
    offsets = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sigma**2))
    window /= window.sum()
    values = np.empty((one.shape[0] - size + 1, one.shape[1] - size + 1))
    for top in range(values.shape[0]):
        for left in range(values.shape[1]):
            x, y = (np.float64(m[top : top + size, left : left + size]) for m in (one, other))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            both = (window * (x - mx) * (y - my)).sum()
            values[top, left] = (
                (2 * mx * my + 1e-4) * (2 * both + 9e-4)
                / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
            )  # fmt: skip
    return values


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random(shape) < 0.4).astype("float32")
    return truth, rng.random(shape).astype("float32"), np.ones((*shape[:3], 1), "float32")


def test_it_is_the_slow_computation_over_windows_images_and_channels():
    truth, guess, ones = draw((2, 13, 17, 2))

    values = [slow_ssim(truth[i, ..., c], guess[i, ..., c]) for i in range(2) for c in range(2)]

    assert float(ssim_loss(truth, guess, ones)) == pytest.approx(1 - np.mean(values), rel=1e-4)


def test_a_two_by_two_is_as_by_hand():
    """A window of 2 weighs its pixels alike: means 0.5, variances 0.25, covariance 0.125."""
    truth = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    guess = np.array([1, 0.5, 0.5, 0], "float32").reshape(1, 2, 2, 1)
    expected = 1 - (0.5 + 1e-4) * (0.25 + 9e-4) / ((0.5 + 1e-4) * (0.25 + 0.125 + 9e-4))

    loss = float(ssim_loss(truth, guess, np.ones_like(truth)))  # the tile is its own window

    assert loss == pytest.approx(expected, rel=1e-5)


def test_perfect_empty_and_full_tiles_cost_nothing():
    truth, _, ones = draw((1, 15, 13, 1))

    for value in (truth, 0 * truth, 0 * truth + 1):
        assert float(ssim_loss(value, value, ones)) == pytest.approx(0, abs=1e-5)


def test_the_opposite_costs_more_than_one_and_a_wrong_tile_nearly_one():
    truth, _, ones = draw((1, 15, 13, 1))

    assert 1 < float(ssim_loss(truth, 1 - truth, ones)) < 2
    wrong = float(ssim_loss(0 * truth, 0 * truth + 1, ones))
    assert wrong == pytest.approx(1 - 1e-4 / (1 + 1e-4), abs=1e-5)


def test_windows_that_touch_an_ignored_pixel_do_not_count():
    truth, guess, weights = draw((1, 14, 25, 1))
    weights[0, 5, 4] = 0
    loud = np.where(weights == 0, np.float32(30), guess)
    values = slow_ssim(truth[0, ..., 0], guess[0, ..., 0])

    loss = float(ssim_loss(truth * weights, loud, weights))

    assert loss == pytest.approx(1 - values[:, 5:].mean(), rel=1e-4)


def test_where_every_window_touches_one_nothing_is_lost():
    truth, guess, weights = draw((1, 12, 13, 2))
    weights[0, 6, 6] = 0

    assert float(ssim_loss(truth * weights, guess, weights)) == 0
    assert float(ssim_loss(truth * 0, guess, weights * 0)) == 0


def test_channels_share_the_mean_by_their_weights():
    truth, guess, ones = draw((1, 12, 14, 2))
    alone = [float(ssim_loss(truth[..., c : c + 1], guess[..., c : c + 1], ones)) for c in (0, 1)]

    loss = float(ssim_loss(truth, guess, ones * np.array([1, 3], "float32")))

    assert loss == pytest.approx(np.average(alone, weights=[1, 3]), rel=1e-5)


def test_a_window_is_worth_its_worst_pixel():
    weights = np.ones((1, 5, 7, 1), "float32")
    weights[0, 1, 5] = 0

    inside = np.asarray(window_weights(weights, 3, padding="valid"))[0, ..., 0]
    around = np.asarray(window_weights(weights, 3, padding="same"))[0, ..., 0]

    expected = np.ones((5, 7))
    expected[0:3, 4:7] = 0
    np.testing.assert_array_equal(around, expected)
    np.testing.assert_array_equal(inside, expected[1:-1, 1:-1])
