import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.data.waves import STEEPEST, Waves, draw_waves, elastic_deviation


def field(seed=0, *, sigma=8.0, amplitude=2.0, is_peak=False, shape=(90, 131), step=1):
    waves = Waves(np.random.default_rng(seed), sigma, amplitude, is_peak)
    return draw_waves(waves, shape, step)


@given(
    st.tuples(st.integers(5, 90), st.integers(5, 90)),
    st.tuples(st.floats(1, 64), st.sampled_from([1, 2, 4, 8])),
    st.booleans(),
)
def test_waves_never_pass_their_limit_and_fill_any_grid(shape, grain, is_peak):
    sigma, step = grain
    shifts = field(7, sigma=sigma, shape=shape, step=step, is_peak=is_peak)

    assert shifts.shape == (*shape, 2) and shifts.dtype == np.float32
    limit = 2.0 if is_peak else 2.0 * STEEPEST
    assert np.abs(shifts).max() <= limit + 1e-5
    assert not is_peak or np.abs(shifts).max() == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("sigma", [3.0, 8.0, 13.0, 40.0])
@pytest.mark.parametrize("step", [1, 4])
def test_waves_are_as_strong_and_as_smooth_as_smoothed_noise_is(sigma, step):
    size = (round(40 * sigma / step), round(50 * sigma / step))
    shifts = field(sigma=sigma, amplitude=1.0, shape=size, step=step)[..., 0].astype(float)

    assert shifts.std() == pytest.approx(1, rel=0.15)
    # Smoothed white noise of unit variance has slopes of deviation 1 / (√2 sigma) a pixel.
    assert np.diff(shifts, axis=0).std() * sigma / step == pytest.approx(0.71, rel=0.2)


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_the_deviation_is_that_of_uniform_noise_smoothed_by_a_gaussian(sigma):
    noise = np.random.default_rng(0).uniform(-1, 1, (600, 600))

    measured = 100 * ndimage.gaussian_filter(noise, sigma, mode="wrap").std()

    assert elastic_deviation(100, sigma) == pytest.approx(measured, rel=0.05)


def test_rows_and_columns_are_shifted_apart():
    shifts = field()

    assert abs(np.corrcoef(shifts[..., 0].ravel(), shifts[..., 1].ravel())[0, 1]) < 0.3
    assert shifts[..., 0].std() > 1 and shifts[..., 1].std() > 1


def test_the_same_numbers_make_the_same_waves():
    np.testing.assert_array_equal(field(3), field(3))
    assert not np.array_equal(field(3), field(4))


def test_the_rare_peaks_of_an_elastic_field_are_cut():
    shifts = field(sigma=1.0, amplitude=1.0, shape=(500, 500))

    assert np.abs(shifts).max() == pytest.approx(STEEPEST)
    assert 0 < (np.abs(shifts) >= STEEPEST - 1e-5).mean() < 1e-3
