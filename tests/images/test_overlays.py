import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import IGNORE, Classes
from cervseg.images.overlays import FILL, LONGEST, draw_overlay, write_layer, write_picture

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)


@pytest.fixture
def mask():
    mask = np.zeros((61, 83), np.uint8)
    mask[10:40, 8:50] = 1
    mask[20:35, 55:75] = 2
    mask[50:55, 3:9] = IGNORE
    return mask


def test_background_and_ignored_pixels_stay_as_they_are(pixels, mask):
    overlay = draw_overlay(pixels, mask, TWO)

    far = np.ones(mask.shape, bool)
    far[5:45, 3:80] = False
    np.testing.assert_array_equal(overlay[far], pixels[far])


def test_an_object_is_tinted_inside_and_outlined_in_its_colour(pixels, mask):
    overlay = draw_overlay(pixels, mask, TWO)

    for place, colour in (((25, 30), TWO.colours[0]), ((27, 65), TWO.colours[1])):
        expected = (1 - FILL) * pixels[place] + FILL * np.array(colour)
        np.testing.assert_allclose(overlay[place], expected, atol=0.51)
    assert overlay[10, 30].tolist() == list(TWO.colours[0])
    assert overlay[27, 55].tolist() == list(TWO.colours[1])


def test_the_image_itself_is_not_drawn_on(pixels, mask):
    before = pixels.copy()
    pixels.flags.writeable = False

    draw_overlay(pixels, mask, TWO)

    np.testing.assert_array_equal(pixels, before)


def test_an_empty_mask_gives_the_image_back(pixels):
    overlay = draw_overlay(pixels, np.zeros((61, 83), np.uint8), TWO)

    np.testing.assert_array_equal(overlay, pixels)
    assert overlay is not pixels


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path, pixels, suffix):
    path = tmp_path / "overlays" / f"a.{suffix}"

    write_picture(path, pixels)

    with Pillow.open(path) as file:
        assert file.format == {"png": "PNG", "jpg": "JPEG"}[suffix]
        assert file.size == (83, 61)


@pytest.mark.parametrize("shape", [(LONGEST + 1, 2), (3, 2 * LONGEST)])
def test_a_jpeg_is_no_longer_than_one_can_be(tmp_path, shape):
    pixels = np.full((*shape, 3), 90, np.uint8)

    write_picture(tmp_path / "a.jpg", pixels)
    write_picture(tmp_path / "a.png", pixels)

    with Pillow.open(tmp_path / "a.jpg") as file:
        assert max(file.size) == LONGEST and np.asarray(file)[0, 0].tolist() == [90, 90, 90]
    with Pillow.open(tmp_path / "a.png") as file:
        assert file.size == shape[::-1]


def test_a_layer_is_transparent_where_nothing_is(tmp_path):
    mask = np.zeros((31, 47), np.uint8)
    mask[5:20, 7:30], mask[22:25, 40:44] = 1, IGNORE

    write_layer(tmp_path / "layer.png", mask, Classes.of({"cell": "#00ff00"}))

    with Pillow.open(tmp_path / "layer.png") as file:
        layer = np.asarray(file.convert("RGBA"))
    assert layer.shape == (31, 47, 4)
    assert (layer[mask != 1][:, 3] == 0).mean() > 0.9  # but for the outline's outer half
    assert layer[12, 15].tolist() == [0, 255, 0, 64] and layer[5, 15, 3] == 255
    assert not layer[23, 41].any()
