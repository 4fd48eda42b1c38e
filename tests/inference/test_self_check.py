import numpy as np
import pytest

from cervseg.grid import TileGrid
from cervseg.images.views import Padded
from cervseg.inference.bands import predict_bands
from cervseg.inference.self_check import _blend, _places, check_tiles, tiles_checked

GRID = TileGrid(132, 98, 44, 22, 2)


def check(noise, convolutions, grid=GRID, **how):
    how = {"margin": 6, "reach": 6, "windows": 5, "batch_size": 2, **how}
    return check_tiles(noise(131, 97), convolutions, grid, predict_large=convolutions, **how)


def test_tiles_of_a_network_of_convolutions_agree_with_larger_windows(noise, convolutions):
    found = check(noise, convolutions)

    assert found.windows == 5
    assert 0 <= found.mean <= found.largest <= 1e-6


@pytest.mark.parametrize("overlap", [0, 2])
def test_tiles_with_too_little_overlap_do_not(noise, convolutions, overlap):
    grid = TileGrid(132, 98, 44, overlap, 2)

    assert check(noise, convolutions, grid=grid).largest > 1e-4


def test_what_is_compared_is_what_the_bands_give(noise, convolutions):
    padded = Padded(noise(131, 97), GRID.height, GRID.width)
    bands = predict_bands(padded, convolutions, GRID, channels=1, margin=6)
    whole = np.concatenate([band.probabilities for band in bands])

    for place in _places(GRID, 100):
        part = _blend(padded, convolutions, GRID, place=place, margin=6, batch_size=1)
        expected = whole[place.top : place.bottom, place.left : place.right]
        np.testing.assert_allclose(part, expected, atol=1e-7)


def test_one_tile_has_nothing_to_compare(noise, convolutions):
    grid = TileGrid(44, 44, 44, 22, 2)

    assert check(noise, convolutions, grid=grid).windows == 0


@pytest.mark.parametrize(("windows", "batch_size"), [(1, 1), (7, 2), (1000, 1)])
def test_its_cost_is_known_before(noise, convolutions, *, windows, batch_size):
    pixels = []

    def counted(tiles):
        pixels.append(tiles[..., 0].size)
        return convolutions(tiles)

    check_tiles(noise(131, 97), counted, GRID, predict_large=counted, margin=6, reach=6,
                windows=windows, batch_size=batch_size)  # fmt: skip

    tiles = tiles_checked(GRID, reach=6, windows=windows, batch_size=batch_size)
    assert tiles == pytest.approx(sum(pixels) / GRID.size**2)


@pytest.mark.parametrize("windows", [1, 3, 1000])
def test_no_more_places_than_there_are(windows):
    places = list(_places(GRID, windows))

    assert 1 <= len(places) <= windows
    assert len(set(places)) == len(places)
    assert all(p.top >= 0 and p.bottom <= GRID.height and p.right <= GRID.width for p in places)
