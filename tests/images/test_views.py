from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import Window
from cervseg.images import views
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.views import (
    Padded,
    Scaled,
    fit_image,
    reflected,
    scale_image,
    scaled_length,
)

SIDE = st.integers(1, 37)
SIZE = st.tuples(SIDE, SIDE)
MORE = st.tuples(st.integers(0, 50), st.integers(0, 50))


def photo(size, mpp=None):
    """Noise of a height and width."""
    return Photo(np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8), mpp)


@st.composite
def windows(draw, height, width):
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(top, left, draw(st.integers(1, height - top)), draw(st.integers(1, width - left)))


def check_law(view, data):
    """A window read alone equals the same window of the whole, bit for bit."""
    window = data.draw(windows(view.height, view.width))

    alone = view.read(window)

    pixels = view.read(whole(view))
    assert pixels.shape == (view.height, view.width, 3) and pixels.dtype == np.uint8
    expected = pixels[window.top : window.bottom, window.left : window.right]
    np.testing.assert_array_equal(alone, expected)


@given(SIZE, SIZE, st.data())
def test_a_window_of_a_scaled_image_is_that_window_of_the_whole(size, target, data):
    check_law(Scaled(photo(size), *target), data)


@given(SIZE, MORE, st.data())
def test_a_window_of_a_padded_image_is_that_window_of_the_whole(size, more, data):
    check_law(Padded(photo(size), size[0] + more[0], size[1] + more[1]), data)


@given(SIZE, st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)), st.data())
def test_a_window_of_a_padded_scaled_image_is_that_window_of_the_whole(size, scales, data):
    view = scale_image(photo(size), *scales)
    check_law(Padded(view, view.height + 11, view.width + 5), data)


@given(SIZE, SIZE, st.data())
def test_a_window_of_a_scaled_padded_image_is_that_window_of_the_whole(size, target, data):
    check_law(Scaled(Padded(photo(size), size[0] + 3, size[1] + 4), *target), data)


@given(SIZE, SIZE, st.integers(0, 255))
def test_a_constant_image_stays_constant_at_any_size(size, target, value):
    view = Scaled(Photo(np.full((*size, 3), value, np.uint8)), *target)

    assert (view.read(whole(view)) == value).all()


@given(SIZE)
def test_an_image_of_its_own_size_is_not_resampled(size):
    image = photo(size)

    view = Scaled(image, *size)

    np.testing.assert_array_equal(view.read(whole(view)), image.pixels)


def test_reducing_by_two_weighs_four_pixels_along_each_axis():
    row = np.array([0, 0, 0, 80, 0, 0, 0, 0], np.uint8)
    image = Photo(np.broadcast_to(row[None, :, None], (8, 8, 3)))

    reduced = Scaled(image, 8, 4).read(Window(0, 0, 8, 4))

    assert reduced[0, :, 0].tolist() == [0, 30, 10, 0]  # weights 1/8, 3/8, 3/8, 1/8


@dataclass(frozen=True)
class Watched:
    """An image that writes down what is read of it."""

    image: Photo
    seen: list

    height = property(lambda self: self.image.height)
    width = property(lambda self: self.image.width)
    mpp = property(lambda self: self.image.mpp)
    levels = ()

    def read(self, window):
        assert window.top >= 0 and window.bottom <= self.height
        assert window.left >= 0 and window.right <= self.width
        self.seen.append(window.height * window.width)
        return self.image.read(window)


@given(size=SIZE, target=SIZE, strip=st.integers(1, 400), data=st.data())
def test_a_view_of_full_width_is_read_in_strips_to_the_same_bits(*, size, target, strip, data):
    image = Watched(photo(size), [])
    view = Scaled(image, *target)
    top = data.draw(st.integers(0, target[0] - 1))
    window = Window(top, 0, data.draw(st.integers(1, target[0] - top)), target[1])
    expected = view.read(window)
    image.seen.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "STRIP", strip)
        pixels = view.read(window)

    np.testing.assert_array_equal(pixels, expected)
    assert target == size or max(image.seen) <= max(strip, size[1])


@given(SIZE, st.floats(0.2, 3), st.data())
def test_a_view_never_reads_outside_its_image(size, scale, data):
    view = scale_image(Watched(photo(size), []), scale, scale)
    padded = Padded(view, view.height + 20, view.width + 20)

    padded.read(data.draw(windows(padded.height, padded.width)))


def test_a_window_of_a_view_reads_little_of_its_image():
    image = Watched(photo((200, 300)), [])
    view = Padded(Scaled(image, 100, 150), 104, 152)

    view.read(Window(40, 60, 10, 10))
    view.read(Window(94, 140, 10, 12))

    assert max(image.seen) < 40 * 40


def test_padding_mirrors_without_repeating_the_edge():
    assert reflected(0, 9, 4).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


@given(st.integers(1, 20), st.integers(0, 40), st.integers(1, 60))
def test_reflection_is_that_of_numpy(length, first, count):
    expected = np.pad(np.arange(length), (0, first + count), mode="reflect")

    np.testing.assert_array_equal(reflected(first, count, length), expected[first:][:count])


def test_a_side_of_one_pixel_is_repeated():
    image = photo((1, 5))

    padded = Padded(image, 4, 5).read(Window(0, 0, 4, 5))

    np.testing.assert_array_equal(padded, np.repeat(image.pixels, 4, axis=0))


def test_an_image_of_one_pixel_fills_any_tile():
    image = photo((1, 1))

    assert (Padded(image, 7, 9).read(Window(0, 0, 7, 9)) == image.pixels[0, 0]).all()
    assert (Scaled(image, 7, 9).read(Window(0, 0, 7, 9)) == image.pixels[0, 0]).all()


@given(SIZE, st.integers(1, 50), st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)))
def test_a_fitted_image_has_its_longer_side_at_the_size_and_its_shape(size, side, file_scale):
    view = fit_image(photo(size), side, file_scale=file_scale)

    assert max(view.height, view.width) == side
    full = [size[0] * file_scale[0], size[1] * file_scale[1]]
    for length, expected in zip((view.height, view.width), full, strict=True):
        assert abs(length - expected * side / max(full)) <= 0.5 + 1e-9 or length == 1


@pytest.mark.parametrize(
    ("length", "scale", "expected"), [(100, 0.25, 25), (3, 0.1, 1), (7, 3.0, 21), (201, 0.5, 100)]
)
def test_a_scaled_side_is_whole_and_never_none(length, scale, expected):
    assert scaled_length(length, scale) == expected


def test_micrometres_per_pixel_follow_the_scale():
    image = photo((40, 60), mpp=0.5)

    assert Scaled(image, 20, 30).mpp == 1.0
    assert Padded(Scaled(image, 20, 30), 64, 64).mpp == 1.0
    assert Scaled(photo((40, 60)), 20, 30).mpp is None


@dataclass(frozen=True)
class Pyramid:
    """An image of one colour a level."""

    height: int
    width: int
    levels: tuple = ()
    mpp: float | None = None

    def read(self, window):
        colour = self.width % 251
        return np.full((window.height, window.width, 3), colour, np.uint8)

    def working_set(self, height):
        return height


@pytest.mark.parametrize(
    ("scale", "width"),
    [(1.0, 603), (0.51, 603), (0.5, 302), (0.3, 302), (0.25, 151), (0.249, 151), (0.01, 151),
     (2.0, 603), ((0.5, 0.2), 302), ((0.2, 0.52), 603)],
)  # fmt: skip
def test_the_coarsest_level_that_is_as_large_as_the_target_is_read(scale, width):
    """The target's size is that of the image at the scale, whatever level it is made from."""
    image = Pyramid(401, 603, (Pyramid(201, 302), Pyramid(100, 151)))
    vertical, horizontal = scale if isinstance(scale, tuple) else (scale, scale)

    view = scale_image(image, vertical, horizontal)

    assert (view.height, view.width) == (round(401 * vertical), round(603 * horizontal))
    assert view.image.width == width
    assert (view.read(Window(0, 0, 1, 1)) == width % 251).all()
    assert view.levels == Padded(view, 500, 700).levels == ()


@given(SIZE, SIZE, st.data())
def test_the_working_set_of_a_view_covers_the_rows_that_it_reads(size, target, data):
    heights = []

    class Noted(Watched):
        def read(self, window):
            heights.append(window.height)
            return super().read(window)

        def working_set(self, height):
            return height

    view = Scaled(Noted(photo(size), []), *target)
    window = data.draw(windows(*target))

    view.read(window)

    assert Padded(view, 99, 99).working_set(window.height) == view.working_set(window.height)
    assert view.working_set(window.height) >= max(heights)
