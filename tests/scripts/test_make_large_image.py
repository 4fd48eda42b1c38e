import runpy
from pathlib import Path

import numpy as np
import pytest
import tifffile

REPOSITORY = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "make_large_image.py"))


def write(path, size, *, glass=0.0, **options):
    SCRIPT["write_image"](path, size, SCRIPT["Mosaic"](64, glass=glass, seed=3), **options)
    return path


def test_the_levels_of_an_odd_size_are_halves_of_the_pixels_that_were_drawn(tmp_path):
    path = write(tmp_path / "a.tif", (301, 203), compression="deflate", levels=3)

    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and file.pages[0].is_tiled
        full, half, quarter = (page.asarray() for page in file.pages)

    assert full.shape == (301, 203, 3) and full.std() > 10
    np.testing.assert_array_equal(half, SCRIPT["halve"](full))
    np.testing.assert_array_equal(quarter, SCRIPT["halve"](half))


def test_the_same_arguments_make_the_same_file(tmp_path):
    first, again = (write(tmp_path / name, (130, 201)).read_bytes() for name in ("a.tif", "b.tif"))

    assert first == again


def test_a_strip_of_a_higher_image_is_the_same(tmp_path):
    low, high = (
        tifffile.imread(write(tmp_path / f"{h}.tif", (h, 201), compression="deflate"))
        for h in (128, 300)
    )

    np.testing.assert_array_equal(low, high[:128])


def test_jpeg_keeps_the_colours(tmp_path):
    exact, lossy = (
        tifffile.imread(write(tmp_path / f"{name}.tif", (130, 201), compression=name))
        for name in ("deflate", "jpeg")
    )

    np.testing.assert_allclose(lossy.mean(axis=(0, 1)), exact.mean(axis=(0, 1)), atol=2)


@pytest.mark.parametrize(("glass", "least", "most"), [(0.0, 0, 0), (1.0, 1, 1), (0.6, 0.3, 0.9)])
def test_a_share_of_the_tiles_is_empty(glass, least, most):
    mosaic = SCRIPT["Mosaic"](64, glass=glass, seed=3)

    places = [(row, column) for row in range(0, 48, 6) for column in range(0, 48, 6)]
    empty = [mosaic.tile(*place)[..., 1].std() < 8 for place in places]

    assert least <= np.mean(empty) <= most
