import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.colour import (
    LEVELS,
    apply_curve,
    bend,
    brighten,
    spread,
    turn_colours,
    vary_dyes,
)

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=-1)
NOISE = np.random.default_rng(0).integers(0, 256, (75, 41, 3), np.uint8)


def test_no_change_is_no_change():
    np.testing.assert_array_equal(apply_curve(NOISE, LEVELS), NOISE)
    np.testing.assert_array_equal(turn_colours(NOISE, degrees=0, saturation=1), NOISE)
    same = vary_dyes(NOISE, gains=(1, 1, 1), shifts=(0, 0, 0))
    np.testing.assert_array_equal(same, NOISE)


@given(
    st.tuples(st.floats(0.2, 5), st.floats(-255, 255)), st.floats(-0.99, 0.99), st.floats(0.2, 5)
)
def test_every_pixel_follows_the_formula_and_the_order_of_greys_is_kept(light, contrast, gamma):
    factor, shift = light
    curve = bend(spread(brighten(LEVELS, factor=factor, shift=shift), contrast), gamma)

    picture = apply_curve(RAMP, curve)

    levels = (RAMP * factor + shift - 127.5) * (1 + contrast) + 127.5
    expected = 255 * (np.clip(levels, 0, 255) / 255) ** gamma
    assert picture.dtype == np.uint8 and picture.shape == RAMP.shape
    assert np.abs(picture - expected).max() <= 0.5 + 1e-2
    assert (np.diff(picture.reshape(256, 3).astype(int), axis=0) >= 0).all()


def test_brightness_multiplies_then_adds():
    picture = apply_curve(RAMP, brighten(LEVELS, factor=1.2, shift=10))

    assert [picture[0, 0, 0], picture[6, 4, 0], picture[15, 15, 0]] == [10, 130, 255]


def test_contrast_turns_about_mid_grey():
    picture = apply_curve(RAMP, spread(LEVELS, 0.5))

    assert picture[7, 15].tolist() == [127] * 3 and picture[8, 0].tolist() == [128] * 3
    assert picture[0, 0].tolist() == [0] * 3 and picture[15, 15].tolist() == [255] * 3


def test_a_gamma_above_one_darkens_and_leaves_black_and_white():
    picture = apply_curve(RAMP, bend(LEVELS, 2.0))

    assert [picture[0, 0, 0], picture[8, 0, 0], picture[15, 15, 0]] == [0, 64, 255]


@given(st.floats(-180, 180), st.floats(0, 2))
def test_greys_have_no_hue_and_no_saturation_to_change(degrees, saturation):
    picture = turn_colours(RAMP, degrees=degrees, saturation=saturation)

    assert np.abs(picture.astype(int) - RAMP).max() <= 1


def test_a_third_of_a_turn_takes_red_to_green():
    red = np.full((2, 3, 3), (200, 40, 40), np.uint8)

    picture = turn_colours(red, degrees=120, saturation=1)

    np.testing.assert_allclose(picture, np.full((2, 3, 3), (40, 200, 40)), atol=1)


def test_without_saturation_colours_become_their_mean():
    picture = turn_colours(NOISE, degrees=0, saturation=0)

    np.testing.assert_allclose(picture, NOISE.mean(-1, keepdims=True).repeat(3, -1), atol=1)


def test_a_dye_alone_becomes_more_or_less_of_itself():
    vector = np.array((0.65, 0.70, 0.29)) / np.linalg.norm((0.65, 0.70, 0.29))

    def stained(amount):
        return np.full((40, 3, 3), np.exp(-amount * vector) * 256 - 1).round().astype(np.uint8)

    picture = vary_dyes(stained(0.8), gains=(1.5, 0.2, 3.0), shifts=(0, 0, 0))
    shifted = vary_dyes(stained(0.8), gains=(1, 1, 1), shifts=(0.2, 0, 0))

    np.testing.assert_allclose(picture, stained(1.2), atol=2)
    np.testing.assert_allclose(shifted, stained(1.0), atol=2)


def test_white_holds_no_dye():
    white = np.full((33, 3, 3), 255, np.uint8)

    assert (vary_dyes(white, gains=(2.0, 0.5, 2.0), shifts=(0, 0, 0)) == 255).all()


@pytest.mark.parametrize("height", [1, 31, 32, 33, 97])
def test_dyes_vary_alike_in_every_row(height):
    image = np.broadcast_to(NOISE[0, :7], (height, 7, 3)).copy()

    picture = vary_dyes(image, gains=(1.3, 0.8, 1.0), shifts=(0.05, -0.05, 0))

    assert (picture == picture[0]).all() and not np.array_equal(picture, image)
