import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.colour import change_colour

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=-1)
STILL = {"brightness": 0.0, "contrast": 0.0, "gains": (1.0, 1.0, 1.0)}


def changed(**changes):
    return change_colour(RAMP, **{**STILL, **changes})


def test_no_change_is_no_change():
    np.testing.assert_array_equal(changed(), RAMP)


@given(
    brightness=st.floats(-1, 1),
    contrast=st.floats(-0.99, 0.99),
    gains=st.tuples(*[st.floats(0.01, 1.99)] * 3),
)
def test_every_pixel_follows_the_formula_and_the_order_of_greys_is_kept(**how):
    picture = change_colour(RAMP, **how)

    expected = ((RAMP / 1.0 - 127.5) * (1 + how["contrast"]) + 127.5) * how["gains"]
    expected = np.clip(expected + 255 * how["brightness"], 0, 255)
    assert picture.dtype == np.uint8 and picture.shape == RAMP.shape
    assert np.abs(picture - expected).max() <= 0.5 + 1e-3
    assert (np.diff(picture.reshape(256, 3).astype(int), axis=0) >= 0).all()


def test_brightness_is_a_share_of_white():
    assert changed(brightness=0.2)[0, 0].tolist() == [51, 51, 51]
    assert changed(brightness=-1).max() == 0


def test_contrast_turns_about_mid_grey():
    picture = changed(contrast=0.5)

    assert picture[7, 15].tolist() == [127] * 3 and picture[8, 0].tolist() == [128] * 3
    assert picture[0, 0].tolist() == [0] * 3 and picture[15, 15].tolist() == [255] * 3


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_gain_changes_its_own_channel(channel):
    gains = [1.0, 1.0, 1.0]
    gains[channel] = 0.5

    picture = changed(gains=tuple(gains))

    others = [c for c in range(3) if c != channel]
    np.testing.assert_array_equal(picture[..., others], RAMP[..., others])
    np.testing.assert_allclose(picture[..., channel], RAMP[..., channel] / 2, atol=0.5)
