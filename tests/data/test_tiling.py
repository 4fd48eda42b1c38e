import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.tiling import Tiling, cut_tiles, foreground_share
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.resampling import scale_mask
from cervseg.images.views import scale_image

SIZE = st.tuples(st.integers(1, 61), st.integers(1, 61))


def field(size):
    """Noise, and a mask of every value."""
    rng = np.random.default_rng(size)
    image = Photo(rng.integers(0, 256, (*size, 3), np.uint8))
    return image, rng.choice(np.array([0, 1, 2, 255], np.uint8), size)


def known(tile):
    """The part of a tile that is not padding: pixels and mask."""
    return (
        tile.image[: tile.window.height, : tile.window.width],
        tile.mask[: tile.window.height, : tile.window.width],
    )


@given(SIZE, st.integers(4, 32), st.data())
def test_the_tiles_put_together_are_the_field_at_its_scale(size, side, data):
    overlap = data.draw(st.integers(0, side // 2))
    scale = data.draw(st.sampled_from([1.0, 0.5, 0.37, 1.9]))
    image, mask = field(size)

    view = scale_image(image, scale, scale)
    pixels = np.zeros((view.height, view.width, 3), np.uint8)
    labels = np.full((view.height, view.width), 77, np.uint8)
    for tile in cut_tiles(image, mask, Tiling(side, overlap, (scale,))):
        assert tile.image.shape == (side, side, 3) and tile.mask.shape == (side, side)
        assert (tile.kind, tile.scale) == ("window", scale)
        place = np.s_[tile.window.top : tile.window.bottom, tile.window.left : tile.window.right]
        pixels[place], labels[place] = known(tile)

    np.testing.assert_array_equal(pixels, view.read(whole(view)))
    np.testing.assert_array_equal(labels, scale_mask(mask, view.height, view.width))


@given(SIZE, st.integers(4, 32))
def test_padding_is_reflected_and_ignored_and_its_share_told(size, side):
    for tile in cut_tiles(*field(size), Tiling(side, 0, (1.0,))):
        pixels, _ = known(tile)
        rows, columns = pixels.shape[:2]
        more = ((0, side - rows), (0, side - columns), (0, 0))
        np.testing.assert_array_equal(tile.image, np.pad(pixels, more, mode="reflect"))
        assert (tile.mask[rows:] == 255).all() and (tile.mask[:, columns:] == 255).all()
        assert tile.padding == pytest.approx(1 - rows * columns / side**2)


def test_a_field_that_is_large_enough_has_no_padding():
    tiles = list(cut_tiles(*field((41, 53)), Tiling(16, 4, (1.0,))))

    assert {tile.padding for tile in tiles} == {0.0}
    assert {(tile.window.height, tile.window.width) for tile in tiles} == {(16, 16)}


def test_every_scale_is_cut_and_at_last_the_whole_reduced():
    tiles = list(cut_tiles(*field((40, 60)), Tiling(20, 0, (1.0, 0.5), reduced=True)))

    assert [(tile.kind, tile.scale) for tile in tiles] == (
        [("window", 1.0)] * 6 + [("window", 0.5)] * 2 + [("reduced", 13 / 40)]
    )


@given(SIZE, st.tuples(st.sampled_from([1.0, 6.0]), st.sampled_from([1.0, 8.0])))
def test_the_reduced_field_is_letterboxed_never_squeezed(size, file_scale):
    image, mask = field(size)

    (tile,) = cut_tiles(image, mask, Tiling(64, 0, (), reduced=True), file_scale=file_scale)

    pixels, labels = known(tile)
    full = np.array(size) * file_scale
    assert max(pixels.shape[:2]) == 64
    np.testing.assert_allclose(pixels.shape[:2], np.maximum(full * 64 / full.max(), 1), atol=0.51)
    view = scale_image(image, *(np.array(pixels.shape[:2]) / size))
    np.testing.assert_array_equal(pixels, view.read(whole(view)))
    np.testing.assert_array_equal(labels, scale_mask(mask, *pixels.shape[:2]))
    assert (tile.mask == 255).sum() - (labels == 255).sum() == 64**2 - labels.size
    assert tile.scale == pytest.approx(pixels.shape[0] / full[0])
    assert (tile.window.top, tile.window.left) == (0, 0)


def test_a_circle_in_a_squeezed_file_is_round_in_its_tiles():
    """A file that keeps 1 pixel of 6 x 8 shows round cells as ellipses."""
    rows, columns = np.mgrid[:60, :45]
    mask = ((rows * 6 - 180) ** 2 + (columns * 8 - 180) ** 2 < 120**2).astype(np.uint8)
    image = Photo(np.repeat(mask[..., None] * np.uint8(255), 3, axis=-1))

    for tiling in (Tiling(200, 0, (0.5,)), Tiling(120, 0, (), reduced=True)):
        tile = next(cut_tiles(image, mask, tiling, file_scale=(6, 8)))
        inside = tile.mask == 1
        height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
        assert abs(height - width) <= 0.05 * height
        np.testing.assert_allclose(height, 240 * tile.scale, rtol=0.06)


def test_pixels_and_mask_stay_in_step_at_any_scale():
    image, mask = Photo(np.zeros((50, 70, 3), np.uint8)), np.zeros((50, 70), np.uint8)
    mask[11:37, 23:51] = 1
    image.pixels[mask == 1] = 255

    for tile in cut_tiles(image, mask, Tiling(32, 8, (1.0, 0.6, 1.7), reduced=True)):
        shown, labels = known(tile)
        bright, inside = shown[..., 0] >= 128, labels == 1
        edge = bright ^ inside
        assert edge.mean() < 0.12
        assert not (inside & (shown[..., 0] < 40)).any(), "half a pixel off at most"


@pytest.mark.parametrize(
    ("mask", "share"),
    [([[0, 1], [2, 0]], 0.5), ([[0, 255], [255, 1]], 0.5), ([[0, 0]], 0.0), ([[255, 255]], 0.0),
     ([[1, 255]], 1.0)],
)  # fmt: skip
def test_the_share_of_foreground_leaves_ignored_pixels_out(mask, share):
    assert foreground_share(np.array(mask, np.uint8)) == share
