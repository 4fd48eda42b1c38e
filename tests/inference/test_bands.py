import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import TileGrid, Window
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.views import Padded
from cervseg.inference.bands import predict_bands


def brightness(tiles):
    """A network that acts on each pixel alone."""
    return tiles[..., :1].astype("float32") / 255


def stitched(image, predict, grid, **how):
    padded = Padded(image, grid.height, grid.width)
    how = {"channels": 1, "margin": 0, **how}
    return np.concatenate([b.probabilities for b in predict_bands(padded, predict, grid, **how)])


@st.composite
def cases(draw, align=1, smallest=1):
    """An image of any size, and a grid over it after padding."""
    size = draw(st.integers(smallest, smallest + 15)) * align
    overlap = draw(st.integers(0, size - align))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    padded = (TileGrid.padded(n, size, align) for n in (height, width))
    grid = TileGrid(*padded, size, overlap, align)
    pixels = np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), "uint8")
    return Photo(pixels), grid


@given(cases(), st.integers(0, 12), st.integers(1, 5))
def test_a_pixelwise_model_gives_the_same_answer_tiled_or_whole(case, margin, batch_size):
    image, grid = case

    tiled = stitched(image, brightness, grid, margin=margin, batch_size=batch_size)

    assert tiled.dtype == np.float32
    expected = brightness(
        Padded(image, grid.height, grid.width).read(Window(0, 0, *tiled.shape[:2]))
    )
    np.testing.assert_allclose(tiled, expected, atol=1e-6)


@given(st.data())
def test_with_its_reach_as_margin_a_network_of_convolutions_is_the_same(convolutions, data):
    align, radius = convolutions.align, convolutions.radius
    image, grid = data.draw(cases(align=align, smallest=radius + 1))
    overlap = data.draw(st.integers(2 * radius, max(2 * radius, grid.size - align)))
    grid = TileGrid(grid.height, grid.width, grid.size, overlap, align)

    tiled = stitched(image, convolutions, grid, margin=radius)

    padded = Padded(image, grid.height, grid.width)
    expected = convolutions(padded.read(whole(padded))[None])[0]
    np.testing.assert_allclose(tiled, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("grid", "margin"),
    [
        (TileGrid(64, 100, 32, 12, 2), 4),  # a margin under the reach
        (TileGrid(64, 100, 32, 0, 2), 6),  # no overlap to have a margin in
        (TileGrid(64, 101, 33, 13, 1), 6),  # off the stride
    ],
)
def test_without_margin_overlap_or_stride_it_is_not(convolutions, noise, *, grid, margin):
    """So that the test above can fail."""
    image = noise(64, 102)
    even = TileGrid(64, 102, 34, 14, 2)
    reference = stitched(image, convolutions, even, margin=6)

    def predict(tiles):
        side = tiles.shape[1] % 2  # an odd tile is padded, as Keras would pad it
        padded = np.pad(tiles, ((0, 0), (0, side), (0, side), (0, 0)))
        return convolutions(padded)[:, : tiles.shape[1], : tiles.shape[2]]

    tiled = stitched(image, predict, grid, margin=margin)

    assert np.abs(tiled - reference[: grid.height, : grid.width]).max() > 1e-3


# --- equal bits ---------------------------------------------------------------------------------


@given(st.data())
def test_a_band_has_the_same_bits_wherever_the_work_begins(convolutions, data):
    image, grid = data.draw(cases(align=2, smallest=3))
    how = {"channels": 1, "margin": data.draw(st.integers(0, 8))}
    padded = Padded(image, grid.height, grid.width)
    bands = list(predict_bands(padded, convolutions, grid, **how))
    first = data.draw(st.integers(0, len(bands) - 1))

    later = list(predict_bands(padded, convolutions, grid, first=first, **how))

    assert [band.top for band in bands] == grid.starts(grid.height)
    assert [band.top for band in later] == grid.starts(grid.height)[first:]
    for one, two in zip(bands[first:], later, strict=True):
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


@given(cases(align=2, smallest=3), st.integers(1, 9))
def test_a_band_has_the_same_bits_for_any_batch_size(convolutions, case, batch_size):
    image, grid = case

    one = stitched(image, convolutions, grid, margin=2, batch_size=1)
    other = stitched(image, convolutions, grid, margin=2, batch_size=batch_size)

    np.testing.assert_array_equal(one, other)


def test_a_band_has_the_same_bits_whatever_was_run_before(convolutions, noise):
    grid = TileGrid(60, 80, 24, 12, 2)
    first = stitched(noise(59, 79), convolutions, grid, margin=6)

    stitched(noise(60, 80), convolutions, grid, margin=2)

    np.testing.assert_array_equal(stitched(noise(59, 79), convolutions, grid, margin=6), first)


# --- how it works -------------------------------------------------------------------------------


@given(cases(), st.integers(1, 5))
def test_no_tile_is_predicted_twice_and_the_bar_counts_them(case, batch_size):
    image, grid = case
    shapes, steps = [], []

    class Bar:
        def advance(self, count=1, *, note=None):
            steps.append(count)

    def predict(tiles):
        shapes.append(tiles.shape)
        return brightness(tiles)

    stitched(image, predict, grid, batch_size=batch_size, bar=Bar())

    across = len(grid.starts(grid.width))
    sizes = [min(batch_size, across - i) for i in range(0, across, batch_size)]
    assert shapes == [(n, grid.size, grid.size, 3) for n in sizes] * len(grid.starts(grid.height))
    assert sum(steps) == len(grid)


@given(cases(), st.integers(1, 5), st.integers(0, 3))
def test_tiles_that_are_left_out_are_0_and_batches_are_full(case, batch_size, seed):
    image, grid = case
    left_out = {w for i, w in enumerate(grid) if (i * 7 + seed) % 3 == 0}
    shapes, looked = set(), []

    def predict(tiles):
        shapes.add(tiles.shape)
        return np.ones((*tiles.shape[:3], 1), np.float32)

    def skip(window, look):
        if window.left % 2:
            looked.append(look().shape)
        return window in left_out

    padded = Padded(image, grid.height, grid.width)
    bands = list(predict_bands(padded, predict, grid, channels=1, margin=0,
                               batch_size=batch_size, skip=skip))  # fmt: skip

    assert shapes <= {(batch_size, grid.size, grid.size, 3)}
    assert sum(band.skipped for band in bands) == len(left_out)
    whole = np.concatenate([band.probabilities for band in bands])[..., 0]
    covered = np.zeros(whole.shape, bool)
    for window in set(grid) - left_out:
        covered[window.top : window.bottom, window.left : window.right] = True
    assert (whole[~covered] == 0).all()
    assert not left_out or covered.all() or whole.min() == 0
    assert set(looked) <= {(grid.size, grid.size, 3)}


def test_bands_follow_one_another_and_fill_the_image(noise):
    grid = TileGrid(70, 50, 20, 6)

    bands = list(predict_bands(noise(70, 50), brightness, grid, channels=1, margin=3))

    tops = [band.top for band in bands]
    heights = [band.probabilities.shape[0] for band in bands]
    assert all(band.probabilities.shape[1:] == (50, 1) for band in bands)
    assert tops == [0, *np.cumsum(heights)[:-1].tolist()] and sum(heights) == 70


def test_a_band_is_there_before_the_tiles_below_it_are_read(noise):
    grid = TileGrid(200, 20, 20, 0)
    image, seen = noise(200, 20), []

    class Watched:
        height, width, mpp = 200, 20, None

        def read(self, window):
            seen.append(window.top)
            return image.read(window)

    bands = predict_bands(Watched(), brightness, grid, channels=1, margin=0, batch_size=1)
    next(bands)
    bands.close()

    assert max(seen) <= 40, "one batch ahead, no more"


def test_several_channels_are_stitched_each_for_itself(noise):
    grid = TileGrid(41, 53, 16, 5)

    def colours(tiles):
        return tiles.astype("float32") / 255

    answer = stitched(noise(41, 53), colours, grid, channels=3, margin=2)

    np.testing.assert_allclose(answer, noise(41, 53).pixels / 255, atol=1e-6)


def test_a_failure_to_read_reaches_the_caller(noise):
    class Broken:
        height, width, mpp = 40, 40, None

        def read(self, window):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(predict_bands(Broken(), brightness, TileGrid(40, 40, 20), channels=1, margin=0))
