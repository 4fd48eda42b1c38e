import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.classes import IGNORE
from cervseg.data.windows import scale_field, window_about
from cervseg.grid import Window
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.resampling import scale_mask
from cervseg.images.views import scale_image

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (23, 31, 3), np.uint8)
MASK = np.kron(RNG.integers(0, 3, (6, 8)), np.ones((4, 4))).astype(np.uint8)[:23, :31]
MASK[3:6, 20:25] = IGNORE

SCALES = st.sampled_from([(1.0, 1.0), (0.5, 0.5), (2.3, 2.3), (6.0, 8.0), (0.7, 1.9)])
WAYS = st.sampled_from(["nearest", "area"])


def seen(scale, interpolation="nearest"):
    return scale_field(Photo(PIXELS), MASK, scale, interpolation=interpolation)


@given(SCALES, WAYS, st.data())
def test_a_window_inside_is_that_of_the_whole_scaled_field_bit_for_bit(scale, way, data):
    field = seen(scale, way)
    top = data.draw(st.integers(0, field.height - 1))
    left = data.draw(st.integers(0, field.width - 1))
    height = data.draw(st.integers(1, field.height - top))
    width = data.draw(st.integers(1, field.width - left))
    window = Window(top, left, height, width)

    image, mask = field.read(window)

    view = scale_image(Photo(PIXELS), *scale)
    region = np.s_[top : window.bottom, left : window.right]
    np.testing.assert_array_equal(image, view.read(whole(view))[region])
    labels = scale_mask(MASK, view.height, view.width, interpolation=way)
    np.testing.assert_array_equal(mask, labels[region])
    assert image.dtype == mask.dtype == np.uint8


@given(SCALES, st.data())
def test_outside_the_image_is_mirrored_and_the_mask_ignored(scale, data):
    field = seen(scale)
    bottom, right = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 300))
    top = data.draw(st.integers(-160, min(bottom, field.height) - 1))
    left = data.draw(st.integers(-160, min(right, field.width) - 1))
    height, width = bottom - top, right - left

    image, mask = field.read(Window(top, left, height, width))

    view = scale_image(Photo(PIXELS), *scale)
    labels = scale_mask(MASK, view.height, view.width)
    far = 300  # further than any window reaches
    padding = ((far, far), (far, far))
    mirrored = np.pad(view.read(whole(view)), (*padding, (0, 0)), "reflect")
    ignored = np.pad(labels, padding, constant_values=IGNORE)
    region = np.s_[far + top : far + top + height, far + left : far + left + width]
    np.testing.assert_array_equal(image, mirrored[region])
    np.testing.assert_array_equal(mask, ignored[region])


def test_a_field_that_was_squeezed_is_seen_in_its_true_shape():
    rows, columns = np.mgrid[:40, :30] + 0.5  # a circle in 240 x 240, written 6 down, 8 across
    squeezed = ((rows * 6 - 120) ** 2 + (columns * 8 - 120) ** 2 < 80**2).astype(np.uint8)
    image = np.repeat(squeezed[..., None] * np.uint8(255), 3, axis=-1)
    field = scale_field(Photo(image), squeezed, (6.0, 8.0))

    pixels, mask = field.read(Window(0, 0, 240, 240))

    for shape in (mask > 0, pixels[..., 0] >= 128):
        height, width = np.ptp(np.nonzero(shape), axis=1) + 1
        assert abs(height - 160) <= 8 and abs(width - 160) <= 8, "round, within a file pixel"


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_the_place_is_in_the_middle_of_the_window_about_it(side):
    window = window_about(40, 50, side)

    assert (window.height, window.width) == (side, side)
    middle = (window.top + (side - 1) / 2, window.left + (side - 1) / 2)
    assert np.abs(np.subtract(middle, (40, 50))).max() <= 0.5


def test_one_row_of_classes_is_read_alone():
    field = seen((2.3, 2.3), "area")

    row = field.read_mask(Window(17, 0, 1, field.width))

    np.testing.assert_array_equal(
        row, field.read_mask(Window(0, 0, field.height, field.width))[17:18]
    )
