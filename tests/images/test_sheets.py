import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.images.sheets import (
    CAPTION,
    GAP,
    LINE,
    Card,
    card_sheet,
    contact_sheet,
    paint_mask,
    thumbnail,
)

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


def test_names_take_a_line_over_each_row_and_are_cut_to_the_width():
    rows = [[picture(RED, 40, 40)], [picture(BLUE, 30, 40)]]

    plain = contact_sheet(rows, side=40)
    named = contact_sheet(rows, names=("a", "a name that is far longer than the sheet"), side=40)

    assert named.shape == (len(plain) + 2 * CAPTION, plain.shape[1], 3)
    first, second = named[GAP : GAP + CAPTION], named[-30 - GAP - CAPTION :][:CAPTION]
    assert first.min() < 100 and second.min() < 100, "both are written"
    assert second[:, -GAP:].min() == 255, "nothing is cut in the middle of a letter"
    np.testing.assert_array_equal(named[-30 - GAP :], plain[-30 - GAP :])


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


def test_cards_stand_in_rows_with_their_words_below_and_their_tops_level():
    low, high = Card(picture(RED, 20, 40), "a", "b"), Card(picture(BLUE, 50, 30), "c", "d e f")

    sheet = card_sheet([low, high, low], columns=2, width=60)

    heights = [50 + 3 + CAPTION + LINE + GAP, 20 + 3 + CAPTION + LINE + GAP]
    assert sheet.shape[0] == GAP + sum(h + GAP for h in heights)
    colours = sheet.reshape(-1, 3)
    assert (colours == [250, 0, 0]).all(axis=1).sum() == 2 * 20 * 40, "nothing is written over it"
    assert (colours == [0, 0, 250]).all(axis=1).sum() == 50 * 30
    first_row = sheet[GAP]
    assert [250, 0, 0] in first_row.tolist() and [0, 0, 250] in first_row.tolist()
    assert (sheet[GAP + 20 + 3 : GAP + 20 + 3 + CAPTION, : GAP + 60] < 100).any(), "the name"


def test_long_words_of_a_card_wrap_and_a_long_name_is_cut():
    short, long = (
        card_sheet([Card(picture(RED, 9, 90), "a", t)], width=90) for t in ("b", "b " * 60)
    )
    named = card_sheet([Card(picture(RED, 9, 90), "n" * 80, "b")], width=90)

    assert (long.shape[0] - short.shape[0]) % LINE == 0 and long.shape[0] > short.shape[0]
    assert named.shape == short.shape
    assert (named[:, GAP + 90 :] == 255).all()
    assert card_sheet([]).size > 0
