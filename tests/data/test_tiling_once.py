import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.tiling import Tiling, cut_tiles
from cervseg.images.photo import Photo
from cervseg.images.resampling import scale_mask
from cervseg.images.views import scale_image

SIZE = st.tuples(st.integers(1, 61), st.integers(1, 61))


def field(size):
    """Noise, and a mask that is known everywhere."""
    rng = np.random.default_rng(size)
    image = Photo(rng.integers(0, 256, (*size, 3), np.uint8))
    return image, rng.integers(0, 3, size, np.uint8)


def counts(tiles, shape):
    """How often each pixel of the field is known, and what the last tile that knows it says."""
    known, labels = np.zeros(shape, int), np.full(shape, 255, np.uint8)
    for tile in tiles:
        rows, columns = np.nonzero(tile.mask != 255)
        place = rows + tile.window.top, columns + tile.window.left
        known[place] += 1
        labels[place] = tile.mask[rows, columns]
    return known, labels


@given(SIZE, st.integers(4, 32), st.data())
def test_over_all_tiles_each_pixel_is_known_exactly_once(size, side, data):
    overlap = data.draw(st.integers(0, side // 2))
    scale = data.draw(st.sampled_from([1.0, 0.37, 1.9]))
    image, mask = field(size)
    view = scale_image(image, scale, scale)

    tiles = list(cut_tiles(image, mask, Tiling(side, overlap, (scale,), once=True)))

    known, labels = counts(tiles, (view.height, view.width))
    assert (known == 1).all(), "a pixel outside the field would be an index error"
    np.testing.assert_array_equal(labels, scale_mask(mask, view.height, view.width))
    assert all((tile.mask != 255).any() for tile in tiles), "no tile is there for nothing"


@given(SIZE, st.integers(4, 32))
def test_pixels_are_those_of_tiles_that_count_as_often_as_they_like(size, side):
    image, mask = field(size)

    once, often = (
        list(cut_tiles(image, mask, Tiling(side, side // 2, (1.0,), once=once)))
        for once in (True, False)
    )

    for one, other in zip(once, often, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.window, one.padding) == (other.window, other.padding)
        known = one.mask != 255
        np.testing.assert_array_equal(one.mask[known], other.mask[known])


@pytest.mark.parametrize("once", [True, False])
def test_training_tiles_may_know_a_pixel_again(once):
    tiles = cut_tiles(*field((41, 53)), Tiling(16, 8, (1.0,), once=once))

    known, _ = counts(tiles, (41, 53))

    assert known.min() == 1
    assert bool(known.max() == 1) is once


def test_without_overlap_tiles_that_fit_badly_share_pixels_and_count_them_once():
    tiles = list(cut_tiles(*field((20, 45)), Tiling(20, 0, (1.0,), once=True)))

    assert [tile.window.left for tile in tiles] == [0, 12, 25]
    assert [int((tile.mask != 255).sum()) for tile in tiles] == [20 * 20, 20 * 12, 20 * 13]


def test_each_scale_is_known_once():
    tiles = list(cut_tiles(*field((33, 47)), Tiling(16, 4, (1.0, 0.5), once=True)))

    for scale, shape in ((1.0, (33, 47)), (0.5, (16, 24))):
        known, _ = counts([tile for tile in tiles if tile.scale == scale], shape)
        assert (known == 1).all()
