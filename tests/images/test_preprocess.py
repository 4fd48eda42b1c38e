import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cervseg.contract import Preprocessing
from cervseg.images.preprocess import prepare, preprocess, to_grey

PIXELS = arrays(np.uint8, (5, 7, 3))
SETTINGS = st.builds(
    Preprocessing, st.sampled_from(["rgb", "hsv", "lab"]), st.floats(0.1, 5), st.floats(0, 5)
)


def test_nothing_to_do_gives_the_pixels_themselves():
    pixels = np.zeros((5, 7, 3), np.uint8)

    assert preprocess(pixels, Preprocessing()) is pixels


@given(PIXELS, SETTINGS, st.sampled_from([1, 3]))
def test_what_comes_out_is_as_large_and_as_deep_as_the_network_takes(pixels, settings, channels):
    before = pixels.copy()

    ready = prepare(pixels, settings, channels=channels)

    assert ready.shape == (5, 7, channels) and ready.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before, "the image itself is left alone")


@pytest.mark.parametrize("rgb", [(200, 30, 60), (10, 250, 99), (0, 0, 255), (7, 7, 7)])
def test_hsv_uses_the_whole_byte_for_the_hue(rgb):
    hue, saturation, value = preprocess(np.array([[rgb]], np.uint8), Preprocessing("hsv"))[0, 0]

    expected = [x * 255 for x in colorsys.rgb_to_hsv(*(c / 255 for c in rgb))]
    np.testing.assert_allclose([hue, saturation, value], expected, atol=1.5)


def test_lab_of_grey_has_no_colour():
    grey = np.repeat(np.arange(0, 256, 15, dtype=np.uint8)[None, :, None], 3, axis=-1)

    lab = preprocess(grey, Preprocessing("lab"))

    assert np.abs(lab[..., 1:].astype(int) - 128).max() <= 1
    assert (np.diff(lab[0, :, 0].astype(int)) > 0).all()


def test_gamma_is_an_exponent_on_zero_to_one():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=-1)

    curved = preprocess(pixels, Preprocessing(gamma=2.0))

    np.testing.assert_array_equal(curved, np.rint((pixels / 255) ** 2 * 255))


def test_sharpening_takes_the_neighbours_away():
    pixels = np.full((5, 7, 3), 100, np.uint8)
    pixels[2, 3] = 140

    sharp = preprocess(pixels, Preprocessing(sharpen=0.5))[..., 0].astype(int)

    assert sharp[2, 3] == 140 + 0.5 * 4 * 40
    assert sharp[1, 3] == sharp[3, 3] == sharp[2, 2] == sharp[2, 4] == 100 - 0.5 * 40
    assert sharp[1, 2] == 100


@given(PIXELS, st.floats(0, 5), st.tuples(st.integers(0, 4), st.integers(0, 6)))
def test_sharpening_reaches_one_pixel_far(pixels, strength, place):
    changed = pixels.copy()
    changed[place] ^= 255

    one, two = (preprocess(p, Preprocessing(sharpen=strength)) for p in (pixels, changed))

    far = np.abs(np.mgrid[:5, :7] - np.array(place)[:, None, None]).max(axis=0) > 1
    np.testing.assert_array_equal(one[far], two[far])


@given(PIXELS)
def test_grey_is_the_luma_of_rec_601(pixels):
    grey = to_grey(pixels)

    luma = pixels.astype(float) @ [0.299, 0.587, 0.114]
    assert grey.shape == (5, 7, 1)
    assert np.abs(grey[..., 0] - luma).max() <= 0.5 + 1e-4


@given(st.integers(0, 255))
def test_a_grey_image_stays_as_it_is_in_one_channel(value):
    assert (to_grey(np.full((2, 3, 3), value, np.uint8)) == value).all()


def test_the_colour_space_is_converted_first_and_grey_made_last():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    settings = Preprocessing("hsv", 2.0, 0.5)

    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL)
    sharp = preprocess(preprocess(hsv, Preprocessing(gamma=2.0)), Preprocessing(sharpen=0.5))
    np.testing.assert_array_equal(prepare(pixels, settings, channels=1), to_grey(sharp))
