import numpy as np
import pytest
from PIL import ImageFont

from cervseg.classes import Classes
from cervseg.images.legend import SMALLEST, add_legend, draw_legend

TWO = Classes.of({"cytoplasm": "#00c853", "nucleus": "#ff6d00"})
LONG = Classes.of(
    {
        "superficial and intermediate cells of the upper layers": "#00c853",
        "nucleus": "#ff6d00",
        "white": "#ffffff",
        "iiii": "#2962ff",
        "W" * 60: "#aa00ff",
    }
)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def places(strip, classes):
    """Top, left, bottom, right of the inner part of each colour."""
    found = []
    for colour in classes.colours:
        rows, columns = np.nonzero((strip == colour).all(axis=-1))
        found.append((rows.min(), columns.min(), rows.max(), columns.max()))
    return found


def inked(strip):
    return np.abs(strip.astype(int) - 255).sum(axis=-1) > 0


@pytest.mark.parametrize("size", [(61, 83), (301, 402), (768, 1024), (90, 1501), (701, 75)])
def test_a_picture_keeps_its_pixels_and_gets_every_colour_below(size):
    picture = noise(*size)

    whole = add_legend(picture, TWO)

    assert (whole.shape[1:], whole.dtype) == (picture.shape[1:], np.uint8)
    np.testing.assert_array_equal(whole[: size[0]], picture)
    places(whole[size[0] :], TWO)  # fails where a colour is missing


def test_one_class_needs_no_legend():
    picture = noise(61, 83)

    assert add_legend(picture, Classes.of({"cell": "#00ff00"})) is picture


def test_letters_grow_with_the_picture_and_stay_legible():
    heights = [add_legend(noise(h, w), TWO).shape[0] - h for h, w in ((61, 183), (1536, 2048))]

    assert heights[0] == SMALLEST * 2
    assert 60 < heights[1] < 0.06 * 1536


def test_a_flat_or_a_tall_picture_has_no_larger_letters_than_a_square_one_of_its_short_side():
    flat, tall, square = (
        add_legend(noise(*size), TWO).shape[0] - size[0]
        for size in ((101, 4001), (4001, 658), (658, 658))
    )

    assert flat < 101 / 3
    assert tall == square


@pytest.mark.parametrize("width", [75, 150, 402, 1024])
def test_colours_stand_in_order_and_nothing_touches_the_edges_or_another_line(width):
    strip = draw_legend(LONG, width, size=12)

    coloured = Classes(LONG.names[:2] + LONG.names[3:], LONG.colours[:2] + LONG.colours[3:])
    found = places(strip, coloured)
    assert found == sorted(found)
    ink = inked(strip)
    assert not ink[:, :5].any() and not ink[:, -5:].any()
    assert not ink[0].any() and not ink[-1].any()


def test_names_that_do_not_fit_side_by_side_go_to_the_next_line():
    wide, narrow = draw_legend(TWO, 402, size=12), draw_legend(TWO, 110, size=12)

    assert [top for top, *_ in places(wide, TWO)] == [7, 7]
    assert [top for top, *_ in places(narrow, TWO)] == [7, 7 + 18]
    assert [left for _, left, *_ in places(narrow, TWO)] == [7, 7]


def test_a_name_stands_beside_its_colour_and_a_long_one_ends_in_dots():
    name = "a very long name of a class"
    length = round(ImageFont.load_default(12).getlength(name))
    classes = Classes.of({name: "#00c853", "x": "#ff6d00"})

    full, cut = (draw_legend(classes, width, size=12) for width in (length + 30, length + 29))

    first = [inked(strip)[6:18, 24:] for strip in (full, cut)]
    assert full.shape[0] == cut.shape[0]
    assert all(ink.any() for ink in first)
    ends = [ink.nonzero()[1].max() for ink in first]
    assert ends[1] <= ends[0]
    heights = [
        np.ptp(ink[:, end - 5 : end + 1].nonzero()[0]) for ink, end in zip(first, ends, strict=True)
    ]
    assert heights[1] < 4 < heights[0], "dots lie on the line, letters rise above it"
    start = ends[0] // 2
    np.testing.assert_array_equal(first[0][:, :start], first[1][:, :start])


def test_a_white_class_has_a_rim_on_the_white_strip():
    classes = Classes.of({"white": "#ffffff", "black": "#010101"})

    square = inked(draw_legend(classes, 200, size=12))[6:18, 6:18]

    assert square[0].all() and square[:, 0].all() and square[-1].all() and square[:, -1].all()
    assert not square[1:-1, 1:-1].any()


def test_a_picture_too_narrow_for_letters_still_shows_the_colours():
    whole = add_legend(noise(40, 21), TWO)

    assert whole.shape[1] == 21
    assert len(places(whole[40:], TWO)) == 2


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (0, 5)])
def test_a_picture_of_any_size_is_accepted(size):
    whole = add_legend(noise(*size), TWO)

    np.testing.assert_array_equal(whole[: size[0]], noise(*size))
