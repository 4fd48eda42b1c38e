import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.errors import DataError
from cervseg.images.masks import (
    PLAIN,
    MaskOptions,
    read_mask,
    read_prediction,
    write_mask,
)
from cervseg.images.resampling import scale_mask

CELL = Classes.of({"cell": "#00ff00"})
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
INDICES = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
BLOCK = np.zeros((15, 20), np.uint8)
BLOCK[3:11, 5:18] = 255


def saved(path, values, **how):
    Pillow.fromarray(values).save(path, **how)
    return path


def refusal(path, classes, reading):
    with pytest.raises(DataError) as caught:
        read_mask(path, classes, reading)
    return str(caught.value), caught.value.hint


# --- options -------------------------------------------------------------------------------------


def read_with(path, **options):
    return read_mask(path, CELL, "threshold", options=MaskOptions(**options)).mask


def test_another_grey_level_may_divide(tmp_path):
    path = saved(tmp_path / "m.png", np.array([[0, 79, 80], [81, 128, 255]], np.uint8))

    assert read_with(path, threshold=80).tolist() == [[0, 0, 1], [1, 1, 1]]
    assert read_with(path, threshold=255).tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("found", ["otsu", "triangle"])
def test_a_level_is_found_between_dark_noise_and_a_dim_cell(tmp_path, found):
    values = np.random.default_rng(0).integers(0, 12, (31, 43)).astype(np.uint8)
    values[5:14, 9:20] += 70
    path = saved(tmp_path / "m.png", values)

    expected = np.zeros((31, 43), np.uint8)
    expected[5:14, 9:20] = 1
    np.testing.assert_array_equal(read_with(path, threshold=found), expected)
    assert not read_with(path).any()  # 128 finds nothing


def test_a_level_asked_for_may_be_dark(tmp_path):
    path = saved(tmp_path / "m.png", np.array([[0, 7], [8, 20]], np.uint8))

    assert read_with(path, threshold=8).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("found", ["otsu", "triangle"])
@pytest.mark.parametrize("value", [0, 255])
def test_where_there_is_one_value_nothing_is_found(tmp_path, found, value):
    path = saved(tmp_path / "m.png", np.full((5, 7), value, np.uint8))

    assert (read_with(path, threshold=found) == value // 255).all()


def test_a_blur_before_the_threshold_removes_specks_and_keeps_cells(tmp_path):
    values = BLOCK.repeat(2, axis=0).repeat(2, axis=1)
    values[2, 3] = 255
    path = saved(tmp_path / "m.png", values)

    blurred = read_with(path, blur=1.5)

    assert not blurred[:4, :6].any() and blurred[8:20, 12:34].all()


@pytest.mark.parametrize("luma", [(0.299, 0.587, 0.114), (0.1, 0.2, 0.7)])
def test_grey_levels_of_the_class_colours_are_classes(tmp_path, luma):
    colours = np.array([(0, 0, 0), (0, 255, 0), (255, 0, 0)], np.uint8)
    levels = np.rint(colours @ np.array(luma)).astype(np.uint8)
    grey = saved(tmp_path / "grey.png", levels[INDICES])
    coloured = saved(tmp_path / "colour.png", colours[INDICES])

    for path in (grey, coloured):
        mask, changed = read_mask(path, TWO, "luma", options=MaskOptions(luma=luma))
        np.testing.assert_array_equal(mask, INDICES)
        assert changed == 0


def test_a_reduced_mask_may_take_the_class_that_covers_most():
    mask = np.zeros((6, 9), np.uint8)
    mask[:3, :4], mask[3:, 3:], mask[:, 8] = 1, 2, 255
    mask[1, 1] = 0  # under the centre of its pixel
    expected = [[1, 0, 0], [0, 2, 2]]

    assert scale_mask(mask, 2, 3, interpolation="area").tolist() == expected
    assert scale_mask(mask, 2, 3).tolist() != expected
    np.testing.assert_array_equal(scale_mask(mask, 6, 9, interpolation="area"), mask)


# --- threshold ----------------------------------------------------------------------------------


def test_from_128_on_is_foreground(tmp_path):
    values = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)

    mask, changed = read_mask(saved(tmp_path / "m.png", values), CELL, "threshold")

    assert mask.tolist() == [[0, 0, 0], [1, 1, 1]] and mask.dtype == np.uint8
    assert changed == 4 / 6


def test_of_a_colour_mask_the_largest_channel_counts(tmp_path):
    values = np.array([[[0, 0, 255], [127, 127, 127]], [[128, 0, 0], [0, 0, 0]]], np.uint8)

    mask, _ = read_mask(saved(tmp_path / "m.png", values), CELL, "threshold")

    assert mask.tolist() == [[1, 0], [1, 0]]


def test_an_opaque_alpha_channel_is_no_foreground(tmp_path):
    values = np.zeros((3, 5, 4), np.uint8)
    values[..., 3] = 255
    values[1, 2, :3] = 255

    mask, changed = read_mask(saved(tmp_path / "m.png", values), CELL, "threshold")

    assert (int(mask.sum()), int(mask[1, 2]), changed) == (1, 1, 0)


def test_black_and_white_is_read_as_0_and_1(tmp_path):
    mask, changed = read_mask(saved(tmp_path / "m.png", BLOCK > 0), CELL, "threshold")

    np.testing.assert_array_equal(mask, BLOCK > 0)
    assert changed == 0


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_one_value_is_all_background_or_all_foreground(tmp_path, value):
    path = saved(tmp_path / "m.png", np.full((5, 7), value, np.uint8))

    assert (read_mask(path, CELL, "threshold").mask == value // 255).all()


def test_the_share_that_jpeg_noise_changed_is_told_and_the_mask_is_right(tmp_path):
    path = saved(tmp_path / "m.jpg", BLOCK, quality=60)

    mask, changed = read_mask(path, CELL, "threshold")

    np.testing.assert_array_equal(mask, BLOCK > 0)
    noise = np.asarray(Pillow.open(path))
    assert changed == np.mean((noise != 0) & (noise != 255)) > 0


@pytest.mark.parametrize("value", [1, 2, 31])
def test_a_dark_mask_is_refused_and_the_other_reading_proposed(tmp_path, value):
    path = saved(tmp_path / "m.png", BLOCK // 255 * np.uint8(value))

    assert refusal(path, CELL, "threshold") == (
        f"{path}: the largest value is {value}, so this looks like class indices",
        "set data.masks.read: index",
    )


def test_class_indices_with_ignored_pixels_are_not_taken_for_black_and_white(tmp_path):
    values = np.minimum(BLOCK, 1)
    values[:2] = 255
    write_mask(tmp_path / "m.png", values, CELL.palette())

    assert refusal(tmp_path / "m.png", CELL, "threshold") == (
        f"{tmp_path}/m.png: it holds 255, ignored, beside classes, so this looks like class "
        "indices",
        "set data.masks.read: index",
    )
    soft = saved(tmp_path / "soft.png", np.array([[0, 3, 255]], np.uint8))
    assert read_mask(soft, CELL, "threshold").mask.tolist() == [[0, 0, 1]], "3 is no class"


def test_our_own_masks_are_read_by_their_colours_with_what_is_ignored(tmp_path):
    values = INDICES.copy()
    values[0] = 255
    write_mask(tmp_path / "m.png", values, TWO.palette())
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", TWO, "colour").mask, values)

    others = Classes.of({"nucleus": "#ff0000", "cell": "#00ff00"})  # colours count, not places
    write_mask(tmp_path / "m.png", INDICES, TWO.palette())
    np.testing.assert_array_equal(
        read_mask(tmp_path / "m.png", others, "colour").mask, np.array([0, 2, 1])[INDICES]
    )


def test_a_faint_mask_is_background(tmp_path):
    path = saved(tmp_path / "m.png", BLOCK // 255 * np.uint8(32))

    assert not read_mask(path, CELL, "threshold").mask.any()


@pytest.mark.parametrize("options", [PLAIN, PLAIN._replace(threshold="otsu")])
def test_a_sixteen_bit_mask_is_the_same_as_in_eight_bits(tmp_path, options):
    soft = np.array([[0, 60, 127], [128, 200, 255]], np.uint8)
    wide = soft.astype(np.uint16) * 257 + np.array([0, 1, 2], np.uint16) * (soft < 255)

    masks = [
        read_mask(
            saved(tmp_path / f"{values.dtype}.png", values), CELL, "threshold", options=options
        ).mask
        for values in (soft, wide)
    ]

    assert masks[0].any() and not masks[0].all()
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("white", [255, 1000, 65535])
def test_in_sixteen_bits_any_one_number_may_stand_for_white(tmp_path, white):
    values = (BLOCK > 0).astype(np.uint16) * np.uint16(white)

    mask = read_mask(saved(tmp_path / "m.png", values), CELL, "threshold").mask

    np.testing.assert_array_equal(mask, BLOCK > 0)


@pytest.mark.parametrize("levels", [[0, 70000, 90000], [0, 1, 300], [0, 2000, 4095]])
def test_grey_levels_of_other_than_eight_or_sixteen_bits_are_refused(tmp_path, levels):
    path = saved(tmp_path / "m.tif", np.array([levels], np.int32))

    with pytest.raises(DataError, match=f"values up to {levels[-1]}, neither of 8 nor of all 16"):
        read_mask(path, CELL, "threshold")


# --- index --------------------------------------------------------------------------------------


def test_indices_are_read_as_they_are_and_255_is_ignored(tmp_path):
    values = INDICES.copy()
    values[0, :3] = 255

    mask, changed = read_mask(saved(tmp_path / "m.png", values), TWO, "index")

    np.testing.assert_array_equal(mask, values)
    assert changed == 0 and mask.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_palette_is_not_expanded(tmp_path, suffix):
    image = Pillow.fromarray(INDICES)
    image.putpalette(TWO.palette())
    image.save(tmp_path / f"m.{suffix}")

    np.testing.assert_array_equal(read_mask(tmp_path / f"m.{suffix}", TWO, "index").mask, INDICES)


def test_one_bit_indices_are_background_and_the_first_class_not_ignored(tmp_path):
    path = saved(tmp_path / "m.png", BLOCK > 0)

    np.testing.assert_array_equal(read_mask(path, TWO, "index").mask, BLOCK > 0)


def test_sixteen_bit_indices_are_read_as_they_are(tmp_path):
    path = saved(tmp_path / "m.png", INDICES.astype(np.uint16))

    np.testing.assert_array_equal(read_mask(path, TWO, "index").mask, INDICES)


@pytest.mark.parametrize(
    ("classes", "values", "message"),
    [
        (TWO, [3], "value 3 is no class; 2 named, so 0 to 2 and 255 are known"),
        (CELL, [0, 1, 2, 254], "value 2, 254 is no class; 1 named, so 0 to 1 and 255 are known"),
        (CELL, [9, 8, 7, 6, 5, 4, 2],
         "value 2, 4, 5, 6, 7, … is no class; 1 named, so 0 to 1 and 255 are known"),
    ],
)  # fmt: skip
def test_values_that_are_no_class_are_listed(tmp_path, *, classes, values, message):
    path = saved(tmp_path / "m.png", np.array([values], np.uint8))

    assert refusal(path, classes, "index") == (
        f"{path}: {message}",
        "name the classes in data.classes, or choose another data.masks.read",
    )


def test_a_sixteen_bit_index_of_255_more_is_not_taken_for_a_class(tmp_path):
    path = saved(tmp_path / "m.png", np.array([[0, 257]], np.uint16))

    assert refusal(path, CELL, "index")[0].startswith(f"{path}: value 257 is no class")


# --- colour -------------------------------------------------------------------------------------


def test_each_pixel_takes_the_nearest_colour(tmp_path):
    values = np.array(
        [[(0, 255, 0), (0, 200, 30), (255, 0, 0)], [(0, 0, 0), (30, 20, 9), (250, 0, 0)]], np.uint8
    )

    mask, changed = read_mask(saved(tmp_path / "m.png", values), TWO, "colour")

    assert mask.tolist() == [[1, 1, 2], [0, 0, 2]]
    assert changed == 3 / 6


@given(arrays(np.uint8, (3, 5, 3)))
def test_the_nearest_colour_is_the_nearest_whatever_the_pixels(tmp_path_factory, pixels):
    path = saved(tmp_path_factory.mktemp("masks") / "m.png", pixels)
    table = np.array([(0, 0, 0), *TWO.colours])

    mask, changed = read_mask(path, TWO, "colour")

    distances = ((pixels[..., None, :].astype(int) - table) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(mask, distances.argmin(axis=-1))
    assert changed == pytest.approx(np.mean(distances.min(axis=-1) > 0))


def test_a_coloured_palette_is_expanded_for_its_colours(tmp_path):
    image = Pillow.fromarray(INDICES)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])  # red is 1 here, 2 in the classes
    image.save(tmp_path / "m.png")

    mask = read_mask(tmp_path / "m.png", TWO, "colour").mask

    np.testing.assert_array_equal(mask, np.array([0, 2, 1])[INDICES])


def test_a_palette_with_transparency_is_read_for_its_colours_too(tmp_path):
    image = Pillow.fromarray(INDICES)
    image.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
    image.save(tmp_path / "m.png", transparency=bytes([0, 255, 255]))

    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", TWO, "colour").mask, INDICES)


# --- all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", ["index", "colour", "threshold"])
def test_a_mask_is_turned_upright_like_its_image(tmp_path, reading):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    values = np.zeros((5, 7), np.uint8)
    values[0, 2:6] = 1 if reading == "index" else 255
    colours = np.dstack([0 * values, values, 0 * values]) if reading == "colour" else values

    mask = read_mask(saved(tmp_path / "m.png", colours, exif=exif), CELL, reading).mask

    np.testing.assert_array_equal(mask, np.rot90(values > 0, -1))


@pytest.mark.parametrize("reading", ["index", "colour", "threshold"])
def test_a_missing_or_broken_mask_is_refused_by_name(tmp_path, reading):
    path = tmp_path / "m.png"
    assert refusal(path, CELL, reading)[0] == f"{path}: no such file"

    path.write_bytes(saved(tmp_path / "whole.png", BLOCK).read_bytes()[:60])
    assert refusal(path, CELL, reading)[0].startswith(f"{path}: can't be decoded: ")


@given(arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 2, 255])))
def test_a_written_mask_is_read_back_the_same(tmp_path_factory, mask):
    path = tmp_path_factory.mktemp("masks") / "deep" / "m.png"

    write_mask(path, mask, TWO.palette())

    np.testing.assert_array_equal(read_mask(path, TWO, "index").mask, mask)


def test_a_written_mask_shows_the_class_colours(tmp_path):
    write_mask(tmp_path / "m.png", INDICES, TWO.palette())

    with Pillow.open(tmp_path / "m.png") as file:
        assert file.mode == "P"
        shown = np.asarray(file.convert("RGB"))
    table = np.array([(0, 0, 0), *TWO.colours])
    np.testing.assert_array_equal(shown, table[INDICES])


# --- size ---------------------------------------------------------------------------------------

SIDE = st.integers(1, 40)


@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE))
def test_scaling_takes_the_class_under_each_centre(size, target):
    mask = np.random.default_rng(0).integers(0, 4, size, np.uint8)

    scaled = scale_mask(mask, *target)

    assert scaled.shape == target
    for _ in range(5):
        i, j = np.random.default_rng(1).integers(0, target)
        row, column = ((2 * k + 1) * n // (2 * m) for k, n, m in zip((i, j), size, target))  # noqa: B905
        assert scaled[i, j] == mask[row, column]


@given(arrays(np.uint8, (5, 7)), st.integers(1, 4), st.integers(1, 4))
def test_enlarging_by_whole_numbers_repeats_and_reducing_back_restores(mask, down, across):
    large = scale_mask(mask, 5 * down, 7 * across)

    np.testing.assert_array_equal(large, mask.repeat(down, axis=0).repeat(across, axis=1))
    np.testing.assert_array_equal(scale_mask(large, 5, 7), mask)


# --- predictions --------------------------------------------------------------------------------


def test_a_dark_prediction_holds_indices_and_a_bright_one_is_thresholded(tmp_path):
    dark = saved(tmp_path / "dark.png", (BLOCK > 0).astype(np.uint8))
    bright = saved(tmp_path / "bright.jpg", BLOCK, quality=60)

    np.testing.assert_array_equal(read_prediction(dark, CELL), BLOCK > 0)
    np.testing.assert_array_equal(read_prediction(bright, CELL), BLOCK > 0)


def test_a_prediction_that_may_be_of_indices_or_black_and_white_is_refused(tmp_path):
    values = (BLOCK > 0).astype(np.uint8)
    values[0] = 255

    with pytest.raises(DataError, match="class indices or black and white"):
        read_prediction(saved(tmp_path / "m.png", values), CELL)


def test_an_empty_prediction_is_background(tmp_path):
    path = saved(tmp_path / "m.png", np.zeros((5, 7), np.uint8))

    assert not read_prediction(path, TWO).any()


def test_a_coloured_prediction_of_several_classes_is_matched_to_their_colours(tmp_path):
    table = np.array([(0, 0, 0), *TWO.colours], np.uint8)
    path = saved(tmp_path / "m.png", table[INDICES])

    np.testing.assert_array_equal(read_prediction(path, TWO), INDICES)


def test_a_prediction_of_ours_is_read_by_its_indices(tmp_path):
    write_mask(tmp_path / "m.png", INDICES, TWO.palette())

    np.testing.assert_array_equal(read_prediction(tmp_path / "m.png", TWO), INDICES)


def test_a_prediction_with_values_that_are_no_class_is_refused(tmp_path):
    path = saved(tmp_path / "m.png", np.array([[0, 2]], np.uint8))

    with pytest.raises(DataError, match=re.escape(f"{path}: value 2 is no class")):
        read_prediction(path, CELL)
