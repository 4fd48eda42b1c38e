import numpy as np
import pytest
from scipy import ndimage

from cervseg.grid import TileGrid
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.views import Padded
from cervseg.inference import checks
from cervseg.inference.bands import predict_bands
from cervseg.inference.checks import measure_margin


def brightness(tiles):
    return tiles[..., :1].astype("float32") / 255


def box(radius):
    """One convolution of a known radius, all weights equal."""

    def predict(tiles):
        grey = tiles.astype(np.float32).mean(axis=-1) / 255
        side = 2 * radius + 1
        return np.stack(
            [ndimage.uniform_filter(x, side, mode="constant")[..., None] for x in grey]
        ).astype(np.float32)

    return predict


@pytest.mark.parametrize("radius", [1, 3, 5])
@pytest.mark.parametrize("align", [1, 2, 4])
def test_the_margin_of_one_convolution_is_its_radius_on_the_stride(noise, radius, align):
    check = measure_margin(
        [noise(61, 83)], box(radius), tile_size=32, align=align, radius=8, tolerance=1e-6
    )

    assert check.margin == -(-radius // align) * align
    assert check.difference <= 1e-6 and check.windows >= 4


def test_a_margin_that_was_found_is_enough(convolutions, noise):
    image = noise(75, 101)

    check = measure_margin(
        [image], convolutions, tile_size=32, align=2, radius=convolutions.radius, tolerance=1e-3
    )

    assert 0 < check.margin <= convolutions.radius and check.margin % 2 == 0
    grid = TileGrid(76, 102, 32, 2 * check.margin, 2)
    padded = Padded(image, 76, 102)
    bands = predict_bands(padded, convolutions, grid, channels=1, margin=check.margin)
    tiled = np.concatenate([band.probabilities for band in bands])
    reference = convolutions(padded.read(whole(padded))[None])[0]
    assert np.abs(tiled - reference).max() <= 1e-3


def test_a_pixelwise_model_needs_no_margin(noise):
    check = measure_margin([noise(61, 83)], brightness, tile_size=32, align=4, radius=16)

    assert (check.margin, check.difference) == (0, 0)


def test_a_wide_but_weak_reach_needs_a_margin_under_its_radius(noise):
    def predict(tiles):
        return 0.5 * brightness(tiles) + 0.04 * box(9)(tiles)

    check = measure_margin([noise(90, 110)], predict, tile_size=48, align=2, radius=9)

    assert 0 < check.margin < 9 and check.difference <= 0.01


def test_a_difference_far_inside_counts_where_none_is_nearer_to_the_cut():
    """Each pixel takes the value three to its left: column 15 is missed by column 18 alone."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, 15] = 255

    def predict(tiles):
        return np.pad(brightness(tiles), ((0, 0), (0, 0), (3, 0), (0, 0)))[:, :, :-3]

    check = measure_margin([Photo(pixels)], predict, tile_size=32, align=1, radius=8)

    assert (check.margin, check.difference) == (3, 0)


def test_a_model_that_never_agrees_gets_its_radius(noise):
    def predict(tiles):
        return np.broadcast_to(np.float32(1 / tiles.shape[1]), (*tiles.shape[:3], 1))

    check = measure_margin([noise(61, 83)], predict, tile_size=32, align=2, radius=11)

    assert check.margin == 11 and check.difference > 0.01


def test_the_worst_image_decides(noise):
    flat = Photo(np.full((61, 83, 3), 0, np.uint8))

    alone = measure_margin([flat], box(5), tile_size=32, align=1, radius=8)
    both = measure_margin([flat, noise(61, 83)], box(5), tile_size=32, align=1, radius=8)

    assert alone.margin == 0 < both.margin


@pytest.mark.parametrize("size", [(32, 32), (20, 83), (31, 32)])
def test_where_no_image_is_larger_than_a_tile_nothing_is_measured(noise, size):
    assert measure_margin([noise(*size)], box(3), tile_size=32, align=1, radius=8) is None
    assert measure_margin([], box(3), tile_size=32, align=1, radius=8) is None


def test_an_image_larger_on_one_side_only_is_enough(noise):
    check = measure_margin([noise(32, 83)], box(3), tile_size=32, align=1, radius=8, tolerance=1e-6)

    assert check.margin == 3


def test_of_a_large_image_a_part_is_predicted(noise, monkeypatch):
    monkeypatch.setattr(checks, "MOST_PIXELS", 4000)
    seen = []

    def predict(tiles):
        seen.append(tiles.shape[1] * tiles.shape[2])
        return box(3)(tiles)

    check = measure_margin([noise(90, 150)], predict, tile_size=32, align=2, radius=8)

    assert max(seen) <= 4000 and check.windows >= 2
