import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cervseg.config.loader import load_config
from cervseg.images.masks import read_mask

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "synthetic_fields.py"))


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


def test_nuclei_are_told_from_their_cells_and_nothing_else_is_changed():
    pixels, mask = draw([0, 1])
    same, classes = draw([0, 1], nuclei=True)

    np.testing.assert_array_equal(same, pixels)
    np.testing.assert_array_equal(classes > 0, mask == 1)
    assert set(np.unique(classes)) == {0, 1, 2}


def test_every_whole_cell_has_one_dark_nucleus_of_the_promised_size():
    pixels, mask = draw([0, 1], nuclei=True)

    labels, count = ndimage.label(mask)
    assert np.median(pixels[mask == 2]) < np.median(pixels[mask == 1]) - 40
    for cell in range(1, count + 1):
        within = labels == cell
        if within[[0, -1]].any() or within[:, [0, -1]].any() or within.sum() > np.pi * 75**2:
            continue  # cut by the edge, or several that touch
        assert ndimage.label(within & (mask == 2))[1] == 1
        assert 0.07 < np.mean(mask[within] == 2) < 0.35


def test_masks_with_nuclei_hold_indices_and_the_colours_of_the_shipped_config(tmp_path):
    SCRIPT["write_fields"](tmp_path, count=1, seed=0, nuclei=True)

    classes = load_config(CONFIGS / "demo_multiclass.yaml").config.data.class_table()
    path = tmp_path / "masks" / "field_001.png"
    with Image.open(path) as mask:
        assert (mask.mode, mask.size) == ("P", (1024, 768))
    indices, changed = read_mask(path, classes, "index")
    np.testing.assert_array_equal(indices, draw([0, 1], nuclei=True)[1])
    np.testing.assert_array_equal(read_mask(path, classes, "colour").mask, indices)
    assert classes == SCRIPT["CLASSES"]
    assert changed == 0


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
