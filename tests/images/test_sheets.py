import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.images.sheets import CAPTION, GAP, contact_sheet, paint_mask, thumbnail

RED, BLUE = (
    np.zeros((1, 1, 3), np.uint8) + np.array(c, np.uint8) for c in ((250, 0, 0), (0, 0, 250))
)


def picture(colour, height, width):
    return np.broadcast_to(colour, (height, width, 3))


def test_pictures_lie_in_rows_as_high_as_their_highest():
    rows = [[picture(RED, 20, 40), picture(BLUE, 40, 10)], [None, picture(RED, 5, 7)]]

    sheet = contact_sheet(rows, side=40)

    assert sheet.shape == (GAP + 40 + GAP + 5 + GAP, GAP + 2 * (40 + GAP), 3)
    middle, right, below = GAP + 20, GAP + 40 + GAP + 20, GAP + 40 + GAP + 2
    assert sheet[middle, middle].tolist() == [250, 0, 0]
    assert sheet[middle, right].tolist() == [0, 0, 250]
    assert sheet[below, middle].tolist() == [255, 255, 255], "None leaves its place empty"
    assert sheet[below, right].tolist() == [250, 0, 0]
    assert (sheet == [250, 0, 0]).all(axis=-1).sum() == 20 * 40 + 5 * 7, "never enlarged"


def test_captions_take_a_line_above_the_first_row():
    rows = [[picture(RED, 40, 40)]]

    plain, headed = contact_sheet(rows, side=40), contact_sheet(rows, captions=("image",), side=40)

    assert headed.shape[0] == plain.shape[0] + CAPTION
    assert headed[: GAP + CAPTION].min() < 255, "the caption is written"
    np.testing.assert_array_equal(headed[-40 - GAP :], plain[-40 - GAP :])


def test_rows_of_different_lengths_and_no_rows_are_fine():
    assert contact_sheet([[picture(RED, 4, 4)], []], side=8).shape == (
        GAP + 4 + GAP + GAP,
        GAP + 8 + GAP,
        3,
    )
    assert contact_sheet([]).size > 0


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 100), (60, 20)), ((7, 600), (1, 60)), ((5, 7), (5, 7))]
)
def test_a_thumbnail_fits_its_square_and_keeps_its_shape(size, expected):
    assert thumbnail(picture(RED, *size), 60).shape == (*expected, 3)


def test_a_painted_mask_shows_its_colours_and_white_where_ignored():
    classes = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})

    painted = paint_mask(np.array([[0, 1], [2, 255]], np.uint8), classes)

    assert painted.tolist() == [[[0, 0, 0], [0, 255, 0]], [[255, 0, 0], [255, 255, 255]]]
