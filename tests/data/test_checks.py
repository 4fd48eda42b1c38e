import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.data.checks import (
    Finding,
    check_colours,
    check_indices,
    check_noise,
    check_pixels,
    check_regions,
    check_size,
    edge_share,
    percent,
    tell_inverted,
)
from cervseg.images.photo import PhotoForm

CELL = Classes.of({"cell": "#00ff00"})
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#0000ff"})


def form(turn, kind="PNG"):
    return PhotoForm("RGB", turn, kind, transparent=False)


def test_an_image_of_one_colour_is_told_and_one_with_anything_on_it_is_not():
    plain = np.full((31, 45, 3), (200, 10, 30), np.uint8)
    speck = plain.copy()
    speck[5:9, 7:12] = 0

    assert check_pixels("a", plain) == [
        Finding("constant image", "warning", "a", "the image is #c80a1e all over")
    ]
    assert check_pixels("a", speck) == []


def test_sizes_that_differ_are_told_width_first():
    assert check_size("a", (31, 45), (31, 45)) == []
    assert check_size("a", (31, 45), (30, 45)) == [
        Finding("size", "error", "a", "the mask has 45 x 30 pixels, its image 45 x 31")
    ]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ((1, 1), ""),
        ((6, 1), "; EXIF turns the image and not the mask"),
        ((1, 8), "; EXIF turns the mask and not the image"),
        ((6, 3), "; EXIF turns them unlike"),
    ],
)
def test_a_mask_that_is_turned_by_90_degrees_is_named_as_such(turns, why):
    (found,) = check_size("a", (31, 45), (45, 31), forms=[form(turn) for turn in turns])

    assert found == Finding(
        "orientation",
        "error",
        "a",
        "the mask has 31 x 45 pixels, its image 45 x 31: one of them is turned by 90 degrees" + why,
    )


def test_an_upside_down_image_without_its_mask_is_a_warning_as_sizes_can_not_tell():
    (found,) = check_size("a", (31, 45), (31, 45), forms=(form(3), form(1)))

    assert (found.kind, found.severity) == ("orientation", "warning")
    assert found.message == "EXIF turns the image and not the mask: do they lie on each other?"
    assert check_size("a", (31, 45), (31, 45), forms=(form(3), form(3))) == []


@pytest.mark.parametrize(
    ("values", "classes", "severity", "message"),
    [
        ([1, 2], CELL, "error", "values 1 to 2: the background seems to be 1, it must be 0"),
        ([1, 2, 3], TWO, "error", "values 1 to 3: the background seems to be 1, it must be 0"),
        ([0, 1, 2], CELL, "error", "values up to 2, but one class is named"),
        ([0, 1, 3, 255], TWO, "error", "values up to 3, but 2 classes are named"),
        ([0, 7, 9], CELL, "error", "value 7, 9 is no class; 0 to 1 and 255 are"),
        (
            [0, 255],
            CELL,
            "warning",
            "values 0 and 255 only: 255 is read as ignored, not as foreground",
        ),
        (
            [255],
            CELL,
            "warning",
            "255 is the only value: 255 is read as ignored, not as foreground",
        ),
    ],
)
def test_shifted_and_unknown_indices_are_told(values, classes, *, severity, message):
    mask = np.resize(np.array(values), (7, 9))

    (found,) = check_indices("a", mask, classes)

    assert (found.kind, found.severity, found.message) == ("indices", severity, message)


@pytest.mark.parametrize("values", [[0], [0, 1], [1], [0, 1, 255], [1, 255], [0, 2]])
def test_indices_of_classes_are_fine(values):
    assert check_indices("a", np.resize(np.array(values), (7, 9)), TWO) == []


def test_the_share_of_unknown_indices_is_counted():
    mask = np.zeros((10, 10), np.int64)
    mask[:3] = 4

    assert check_indices("a", mask, CELL)[0].share == pytest.approx(0.3)


def test_noise_is_told_with_what_a_threshold_changes():
    values = np.zeros((10, 20), np.int64)
    values[0, :6], values[1, :4], values[2:5] = 20, 150, 255

    (found,) = check_noise("a", values, 0.05, kind="JPEG")

    assert (found.kind, found.severity, found.share) == ("noise", "warning", 0.05)
    assert found.message == (
        "5.00% of the pixels have no exact class value (JPEG noise), "
        "2.00% are grey enough to depend on the threshold"
    )
    assert check_noise("a", values, 0.0, kind="JPEG") == []
    assert check_noise("a", None, 0.05, kind="PNG")[0].message == (
        "5.00% of the pixels have no exact class value (noise or soft edges)"
    )


def test_regions_in_colours_of_no_class_are_told_and_edges_are_not():
    colours = np.zeros((40, 60, 3), np.uint8)
    colours[5:20, 5:20] = (0, 255, 0)
    colours[5:20, 20] = (0, 120, 0)  # a soft edge
    assert check_colours("a", colours, CELL, reading="colour") == []

    colours[25:35, 30:50] = (250, 0, 0)
    colours[0, :] = (255, 0, 255)  # thin, as JPEG noise is
    (found,) = check_colours("a", colours, CELL, reading="colour")

    assert (found.kind, found.severity) == ("colours", "error")
    assert found.share == pytest.approx(200 / 2400)
    assert found.message == "8.33% of the pixels have colours of no class: #fa0000 (200 pixels)"


def test_white_may_be_where_a_threshold_decides_and_mixtures_of_two_classes_always():
    white = np.full((30, 30, 3), 255, np.uint8)
    mixed = np.full((30, 30, 3), (0, 128, 128), np.uint8)

    assert check_colours("a", white, CELL, reading="threshold") == []
    assert len(check_colours("a", white, CELL, reading="colour")) == 1
    assert check_colours("a", mixed, TWO, reading="colour") == []
    assert len(check_colours("a", mixed, CELL, reading="colour")) == 1


def test_only_the_three_most_frequent_foreign_colours_are_named():
    colours = np.zeros((40, 60, 3), np.uint8)
    for i, red in enumerate((250, 200, 150, 100)):
        colours[: 10 + i, 12 * i : 12 * i + 8] = (red, 0, 100)

    (found,) = check_colours("a", colours, CELL, reading="colour")

    assert found.message.endswith(
        "#640064 (104 pixels), #960064 (96 pixels), #c80064 (88 pixels), …"
    )


def test_an_empty_mask_is_told_also_where_the_rest_is_ignored():
    mask = np.zeros((9, 13), np.uint8)
    mask[:3] = 255

    assert check_regions("a", mask, CELL) == [
        Finding("empty mask", "warning", "a", "no pixel belongs to a class")
    ]


def test_specks_and_holes_are_counted_and_larger_regions_are_not():
    mask = np.zeros((80, 90), np.uint8)
    mask[10:40, 10:40] = 1
    mask[15:18, 15:20] = 0  # a hole of 15 pixels
    mask[25:29, 25:29] = 0  # one of 16 is meant
    mask[60, 60:67] = 1  # a speck of 7
    mask[70:74, 70:72] = 1  # 8 are an object
    mask[50, 50], mask[51, 51] = 1, 1  # one speck: corners touch
    mask[0, 1:4], mask[1, 0:4] = 1, 1  # the corner behind it is on the border, so no hole

    specks, holes = check_regions("a", mask, CELL)

    assert (specks.kind, specks.severity) == ("specks", "warning")
    assert specks.message == "3 specks of fewer than 8 pixels, 16 in all"
    assert (holes.kind, holes.share) == ("holes", pytest.approx(15 / mask.size))
    assert holes.message == "1 hole of fewer than 16 pixels, 15 in all"


@pytest.mark.parametrize("side", range(4))
def test_a_gap_at_the_border_is_no_hole_and_what_is_not_a_cell_no_speck(side):
    mask = np.ones((31, 45), np.uint8)
    np.rot90(mask, side)[10:12, :2] = 0

    assert check_regions("a", mask, CELL) == []


def test_a_large_image_has_larger_specks():
    mask = np.zeros((1536, 2048), np.uint8)
    mask[100:200, 100:200] = 2
    mask[500:505, 500:506] = 2

    (found,) = check_regions("a", mask, TWO)

    assert found.message == "1 speck of fewer than 31 pixels, 30 in all"


def test_a_share_that_is_there_is_never_shown_as_none():
    assert [percent(s) for s in (0, 1e-9, 0.0123, 1)] == ["0.00%", "< 0.01%", "1.23%", "100.00%"]


def shares_of(mask):
    return float((mask == 1).mean()), edge_share(mask)


def test_masks_that_are_foreground_along_their_edges_are_asked_after():
    mask = np.ones((30, 50), np.uint8)
    mask[10:25, 20:30] = 0
    others = [shares_of(1 - mask)]

    assert tell_inverted([shares_of(mask)] * 2 + others, CELL) == (
        "90% of the pixels are cell, and 100% of those along the edges (medians of the masks): "
        "are the masks inverted, or photographs?"
    )
    assert tell_inverted([shares_of(mask)] + others * 2, CELL) == ""
    assert tell_inverted([shares_of(mask)], TWO) == tell_inverted([], CELL) == ""


def test_a_cell_that_fills_its_crop_is_not_inverted():
    crop = np.zeros((31, 45), np.uint8)
    crop[1:-1, 1:-1] = 1

    assert tell_inverted([shares_of(crop)], CELL) == ""


def test_what_is_ignored_along_the_edges_does_not_count():
    mask = np.full((7, 9), 255, np.uint8)
    assert edge_share(mask) == 0

    mask[0], mask[-1] = 0, 1
    assert edge_share(mask) == 0.5
