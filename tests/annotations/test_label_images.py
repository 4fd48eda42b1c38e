import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow

from cervseg.annotations.geojson import read_geojson, write_geojson
from cervseg.annotations.label_images import (
    find_label_images,
    read_label_image,
    write_label_image,
)
from cervseg.annotations.shapes import Labels, paint, renumber, trace
from cervseg.classes import Classes
from cervseg.errors import DataError
from cervseg.images.image import find_images

NUMBERS = np.zeros((5, 9), np.uint16)
NUMBERS[1:3, 2:5], NUMBERS[4], NUMBERS[0, 8] = 2, 7, 200
CLOSED = renumber(NUMBERS)


def saved(path, values, **how):
    Pillow.fromarray(values).save(path, **how)
    return path


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_label_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("a.png", np.uint8, {}),
        ("a.png", np.uint16, {}),
        ("a.tif", np.uint8, {}),
        ("a.tif", np.uint16, {"compression": "tiff_lzw"}),
        ("a.tif", np.int32, {"compression": "tiff_adobe_deflate"}),
        ("a.bmp", np.uint8, {}),
    ],
)
def test_numbers_of_8_16_and_32_bits_are_read_and_gaps_closed(tmp_path, *, name, kind, how):
    found = read_label_image(saved(tmp_path / name, NUMBERS.astype(kind), **how))

    np.testing.assert_array_equal(found, CLOSED)
    assert found.dtype == np.uint16 and found.max() == 3


def test_a_palette_is_not_expanded(tmp_path):
    picture = Pillow.fromarray(NUMBERS.astype(np.uint8))
    picture.putpalette([9] * 768)
    picture.save(tmp_path / "a.png")

    np.testing.assert_array_equal(read_label_image(tmp_path / "a.png"), CLOSED)


def test_large_numbers_are_read_where_objects_are_few(tmp_path):
    values = NUMBERS.astype(np.int32) * 100_000

    np.testing.assert_array_equal(read_label_image(saved(tmp_path / "a.tif", values)), CLOSED)


def test_no_objects_are_no_objects(tmp_path):
    assert not read_label_image(saved(tmp_path / "a.png", NUMBERS * 0)).any()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects=arrays(np.uint16, (5, 7), elements=st.integers(0, 65_535)).map(renumber))
def test_what_is_written_is_read_again(tmp_path, objects):
    write_label_image(tmp_path / "deep" / "a.png", objects)

    np.testing.assert_array_equal(read_label_image(tmp_path / "deep" / "a.png"), objects)
    with Pillow.open(tmp_path / "deep" / "a.png") as file:
        assert file.mode == "I;16"


def test_label_images_come_back_from_geojson_exactly(tmp_path):
    labels = Labels((CLOSED > 0).astype(np.uint8), CLOSED)

    write_geojson(tmp_path / "a.geojson", trace(labels, ["cell"]), Classes.of({"cell": "#00ff00"}))
    again = paint(read_geojson(tmp_path / "a.geojson"), *CLOSED.shape, index={"cell": 1})

    np.testing.assert_array_equal(again.objects, CLOSED)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_colour_is_refused(tmp_path, mode):
    Pillow.new(mode, (7, 5)).save(tmp_path / "a.tif")

    told = "a picture in colour, but a label image has one number a pixel"
    assert refusal(tmp_path / "a.tif") == told


def test_decimal_numbers_are_refused(tmp_path):
    path = saved(tmp_path / "a.tif", NUMBERS.astype(np.float32))

    assert refusal(path) == "decimal numbers, but a label image has whole ones"


def test_numbers_below_0_are_refused(tmp_path):
    path = saved(tmp_path / "a.tif", NUMBERS.astype(np.int32) - 3)

    assert refusal(path) == "number -3, but those of objects are 1 and up"


def test_several_pages_are_refused(tmp_path):
    page = Pillow.fromarray(NUMBERS)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])

    assert refusal(tmp_path / "a.tif") == "3 pages, but a label image has one"


@pytest.mark.parametrize(
    "values",
    [
        (NUMBERS > 0).astype(np.uint8) * 255,
        (NUMBERS > 0).astype(np.uint16) * 65_535,
        NUMBERS > 0,
    ],
)
def test_a_mask_is_no_label_image(tmp_path, values):
    path = saved(tmp_path / "a.png", values)

    assert refusal(path) == "only black and white, a mask rather than a number for each object"
    with pytest.raises(DataError) as caught:
        read_label_image(path)
    assert caught.value.hint == "for masks use kind: folders"


def test_more_objects_than_16_bits_number_are_refused(tmp_path):
    values = np.arange(1, 65_537 + 1, dtype=np.int32)[None]

    told = "65537 objects, at most 65535 in one image"
    assert refusal(saved(tmp_path / "a.tif", values)) == told


def test_a_missing_and_a_truncated_file_are_refused(tmp_path):
    assert refusal(tmp_path / "a.png") == "no such file"
    path = saved(tmp_path / "b.png", np.random.default_rng(0).integers(0, 99, (50, 70), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal(path).startswith("can't be decoded: ")


def test_a_png_with_a_damaged_header_is_not_decoded(tmp_path):
    path = saved(tmp_path / "a.png", NUMBERS)
    data = path.read_bytes()
    header = b"IHDR" + (200_000_000).to_bytes(4, "big") + (2).to_bytes(4, "big") + data[24:29]
    path.write_bytes(data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:])

    told = f"damaged, as {len(data)} bytes can't hold 200000000 x 2 pixels"
    assert refusal(path) == told


def test_a_picture_of_one_number_is_not_called_damaged(tmp_path):
    path = saved(tmp_path / "a.png", np.ones((2000, 3000), np.uint8))

    assert read_label_image(path).all()


# --- files --------------------------------------------------------------------------------------


def make(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_label_images_are_found_by_stem_and_the_endings_of_cellpose(tmp_path):
    images = make(tmp_path / "images", "a.jpg", "b.jpg", "c.x.tif", "d.jpg", "e_masks.png")
    masks = tmp_path / "masks"
    same, old, new, odd = make(masks, "a.tif", "b_masks.tif", "c.x_cp_masks.png", "e_masks.tif")
    make(masks, "f.png", "d_cp_output.png")

    assert find_label_images(images, masks, root=tmp_path / "images") == dict(
        zip(images, [same, old, new, None, odd], strict=True)
    )


def test_beside_the_images_a_label_image_is_no_image(tmp_path):
    first, _, second = make(tmp_path, "a.png", "a_cp_masks.png", "b.png")
    other = tmp_path / "x" / ".."  # the same folder by another name
    (tmp_path / "x").mkdir()

    found = find_label_images(find_images(tmp_path), other, root=tmp_path)

    assert found == {first: other / "a_cp_masks.png", second: None}


def test_of_a_stem_in_several_folders_each_has_its_own_or_none(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    images = make(tmp_path / "images" / "x", "0.png", "1.png")
    images += make(tmp_path / "images" / "y", "0.png")
    masks = make(tmp_path / "masks", "0_masks.tif", "1_masks.tif")
    masks += make(tmp_path / "masks" / "y", "0.tif")

    found = find_label_images(images, tmp_path / "masks", root=tmp_path / "images")

    assert found == dict(zip(images, [None, *masks[1:]], strict=True))


def test_two_label_images_of_one_image_are_refused(tmp_path):
    images = make(tmp_path / "images", "a.png")
    masks = make(tmp_path / "masks", "a.png", "a_masks.tif")

    with pytest.raises(DataError) as caught:
        find_label_images(images, tmp_path / "masks", root=tmp_path / "images")

    assert str(caught.value) == f"{masks[0]} and {masks[1]}: two label images of one image"
