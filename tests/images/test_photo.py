import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import whole
from cervseg.images.photo import Photo, PhotoForm, open_photo
from cervseg.images.readers import open_image

RGB = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8)
GREY = RGB[..., 0]
OPAQUE = np.full((15, 20), 255, np.uint8)


def pixels_of(path):
    photo = open_photo(path)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape == (photo.height, photo.width, 3)
    return photo.pixels


def as_colour(grey):
    return np.repeat(grey[..., None], 3, axis=-1)


def png_header(width, height):
    """A PNG that promises pixels it does not hold."""
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
    ):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    return content


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp"])
def test_colour_comes_back_as_it_was_red_first(tmp_path, suffix):
    path = tmp_path / f"field.{suffix}"
    Pillow.fromarray(RGB).save(path, lossless=True)

    photo = open_image(path)

    assert (photo.height, photo.width, photo.mpp) == (15, 20, None)
    np.testing.assert_array_equal(photo.read(whole(photo)), RGB)


def test_a_window_is_read_by_its_rows_and_columns():
    photo = Photo(RGB)

    window = photo.read(Window(top=3, left=7, height=5, width=11))

    np.testing.assert_array_equal(window, RGB[3:8, 7:18])


def test_grey_becomes_three_equal_channels(tmp_path):
    Pillow.fromarray(GREY).save(tmp_path / "a.png")

    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), as_colour(GREY))


def test_black_and_white_becomes_0_and_255(tmp_path):
    Pillow.fromarray(GREY > 99).save(tmp_path / "a.png")

    expected = as_colour(np.where(GREY > 99, 255, 0))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), expected)


def test_what_is_transparent_lies_over_white(tmp_path):
    alpha = np.where(GREY > 99, 255, 0).astype(np.uint8)
    Pillow.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "rgba.png")
    Pillow.fromarray(np.dstack([GREY, alpha]), mode=None).save(tmp_path / "la.png")

    expected = np.where(alpha[..., None] > 0, RGB, 255)
    np.testing.assert_array_equal(pixels_of(tmp_path / "rgba.png"), expected)
    expected = np.where(alpha > 0, GREY, 255)
    np.testing.assert_array_equal(pixels_of(tmp_path / "la.png"), as_colour(expected))


def test_half_transparent_black_over_white_is_grey(tmp_path):
    rgba = np.zeros((3, 5, 4), np.uint8)
    rgba[..., 3] = 128
    Pillow.fromarray(rgba).save(tmp_path / "a.png")

    assert set(pixels_of(tmp_path / "a.png").ravel()) == {127}


def test_an_opaque_alpha_changes_nothing(tmp_path):
    Pillow.fromarray(np.dstack([RGB, OPAQUE])).save(tmp_path / "a.png")

    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), RGB)


@pytest.fixture
def palette_file():
    """An image of three palette colours, and its indices."""
    indices = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
    image = Pillow.fromarray(indices)
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    return image, indices


COLOURS = np.array([(10, 20, 30), (200, 0, 0), (0, 0, 250)], np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_palette_shows_its_colours(tmp_path, palette_file, suffix):
    image, indices = palette_file
    image.save(tmp_path / f"a.{suffix}")

    np.testing.assert_array_equal(pixels_of(tmp_path / f"a.{suffix}"), COLOURS[indices])


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_a_transparent_palette_colour_lies_over_white(tmp_path, palette_file, transparency):
    image, indices = palette_file
    image.save(tmp_path / "a.png", transparency=transparency)

    expected = np.where((indices == 1)[..., None], 255, COLOURS[indices])
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), expected)


def test_a_transparent_colour_of_an_rgb_file_lies_over_white(tmp_path):
    Pillow.fromarray(RGB).save(tmp_path / "a.png", transparency=tuple(map(int, RGB[2, 3])))

    assert pixels_of(tmp_path / "a.png")[2, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_divided_by_257(tmp_path, suffix):
    values = np.array([[0, 128, 129, 257, 32896], [65535, 65278, 65407, 65406, 514]], np.uint16)
    Pillow.fromarray(values).save(tmp_path / f"a.{suffix}")

    grey = pixels_of(tmp_path / f"a.{suffix}")

    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(grey, as_colour(expected))
    assert grey[1, 0].tolist() == [255, 255, 255]


def test_big_endian_sixteen_bits_are_read_alike(tmp_path):
    values = np.array([[0, 257, 25700], [65535, 514, 1]], np.uint16)
    Pillow.frombytes("I;16B", (3, 2), values.astype(">u2").tobytes()).save(tmp_path / "a.tif")

    expected = as_colour(np.rint(values / 257).astype(np.uint8))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), expected)


def test_cmyk_becomes_what_it_would_print(tmp_path):
    cmyk = np.zeros((4, 6, 4), np.uint8)
    cmyk[:, 3:, 0] = 255  # cyan ink takes red away
    Pillow.fromarray(cmyk, "CMYK").save(tmp_path / "a.tif")

    rgb = pixels_of(tmp_path / "a.tif")

    assert rgb[0, 0].tolist() == [255, 255, 255]
    assert rgb[0, 5].tolist() == [0, 255, 255]


def test_a_cmyk_jpeg_is_not_inverted(tmp_path):
    Pillow.new("RGB", (16, 24), (255, 255, 255)).convert("CMYK").save(tmp_path / "a.jpg")

    assert pixels_of(tmp_path / "a.jpg").min() > 250


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a, 1)),
        (9, lambda a: a),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_turns_the_image_upright(tmp_path, *, suffix, orientation, upright):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(RGB).save(tmp_path / f"a.{suffix}", exif=exif)

    np.testing.assert_array_equal(pixels_of(tmp_path / f"a.{suffix}"), upright(RGB))


def test_a_turned_sixteen_bit_image_is_upright_too(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "a.png", exif=exif)

    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), as_colour(np.rot90(GREY, -1)))


def test_of_several_frames_the_first_counts(tmp_path):
    frames = [Pillow.fromarray(RGB), Pillow.fromarray(255 - RGB)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])

    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), RGB)


def test_an_image_of_one_pixel_is_an_image(tmp_path):
    Pillow.fromarray(RGB[:1, :1]).save(tmp_path / "a.png")

    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png"), RGB[:1, :1])


# --- refusals -----------------------------------------------------------------------------------


def refusal(path):
    with pytest.raises(DataError) as caught:
        open_photo(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    assert refusal(tmp_path / "a.png") == f"{tmp_path / 'a.png'}: no such file"


@pytest.mark.parametrize("content", [b"", b"not an image\n" * 100, b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)

    assert refusal(path) == f"{path}: can't be decoded: not an image of a known kind"


def test_a_folder_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: can't be read: is a directory"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)
    Pillow.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    assert refusal(path).startswith(f"{path}: can't be decoded: ")


@pytest.mark.parametrize(
    ("width", "height", "megapixels"),
    [(20_050, 20_000, 401), (2**31 - 1, 2**31 - 1, 4611686014132)],
)
def test_a_huge_header_is_refused_before_anything_is_decoded(
    tmp_path, *, width, height, megapixels
):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))

    with pytest.raises(DataError) as caught:
        open_photo(path)

    assert str(caught.value) == f"{path}: {megapixels} megapixels, at most 400 can be decoded"
    assert caught.value.hint == "cut the image into parts"


def test_floats_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Pillow.fromarray(GREY.astype(np.float32)).save(path)

    assert refusal(path) == f"{path}: pixels of mode F have no known range"


@pytest.mark.parametrize("value", [-1, 65536])
def test_thirty_two_bits_beyond_sixteen_are_refused(tmp_path, value):
    path = tmp_path / "a.tif"
    values = GREY.astype(np.int32)
    values[3, 4] = value
    Pillow.fromarray(values).save(path)

    assert refusal(path) == f"{path}: 32-bit pixels have no known range"


def test_reading_leaves_no_file_open(tmp_path):
    """Warnings are errors, and an open file warns when it is collected."""
    Pillow.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png_header(40_000, 40_000))

    open_photo(tmp_path / "a.png")
    assert re.search("megapixels", refusal(tmp_path / "b.png"))


@pytest.mark.parametrize(
    ("mode", "name", "options", "expected"),
    [
        ("RGB", "a.jpg", {}, PhotoForm("RGB", 1, "JPEG", False)),
        ("L", "a.png", {}, PhotoForm("L", 1, "PNG", False)),
        ("RGBA", "a.png", {}, PhotoForm("RGBA", 1, "PNG", True)),
        ("P", "a.png", {"transparency": 3}, PhotoForm("P", 1, "PNG", True)),
        ("RGB", "a.png", {"turn": 6}, PhotoForm("RGB", 6, "PNG", False)),
        ("RGB", "a.jpg", {"turn": 42}, PhotoForm("RGB", 1, "JPEG", False)),
    ],
)
def test_a_photo_knows_how_its_file_held_it(tmp_path, mode, *, name, options, expected):
    exif = Pillow.Exif()
    if "turn" in options:
        exif[0x0112] = options.pop("turn")
    Pillow.fromarray(RGB).convert(mode).save(tmp_path / name, exif=exif, **options)

    assert open_photo(tmp_path / name).form == expected
