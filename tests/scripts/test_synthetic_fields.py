import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "synthetic_fields.py"))


def draw(seed, **size):
    return SCRIPT["draw_field"](np.random.default_rng(seed), **size)


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    first, again, other = (draw(seed, height=150, width=201) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize(("height", "width"), [(150, 201), (64, 48), (1, 1)])
def test_a_field_of_any_size_comes_with_a_mask_of_that_size(height, width):
    pixels, mask = draw(0, height=height, width=width)

    assert (pixels.shape, pixels.dtype) == ((height, width, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
    assert set(np.unique(mask)) <= {0, 1}


def test_a_full_field_shows_cells_of_the_promised_size_on_pale_ground():
    pixels, mask = draw([0, 1])

    labels, count = ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:]
    assert count >= 3
    assert np.pi * 35**2 < np.median(areas) < np.pi * 75**2
    assert np.median(pixels[mask == 0]) > 170 > np.median(pixels[mask == 1])


def test_a_written_field_depends_on_the_seed_and_its_number_alone(tmp_path):
    SCRIPT["write_fields"](tmp_path / "one", count=1, seed=5)
    SCRIPT["write_fields"](tmp_path / "two", count=2, seed=5)

    for name in ("images/field_001.jpg", "masks/field_001.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with Image.open(tmp_path / "two" / "masks" / "field_002.png") as mask:
        assert (mask.mode, mask.size) == ("L", (1024, 768))
        assert set(np.unique(np.asarray(mask))) == {0, 255}
    assert sorted(path.name for path in (tmp_path / "two" / "images").iterdir()) == [
        "field_001.jpg",
        "field_002.jpg",
    ]
