import re
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg.errors import ConfigError, DataError
from cervseg.grid import Window
from cervseg.images import tiff
from cervseg.images.image import whole
from cervseg.images.photo import Photo, open_photo
from cervseg.images.readers import open_image
from cervseg.images.segments import Segmented, is_reduced

NOISE = np.random.default_rng(0).integers(0, 256, (83, 131, 3), np.uint8)
SIXTEEN = np.random.default_rng(1).integers(0, 65536, (83, 131, 3), np.uint16)
OPACITY = NOISE[::-1, :, :1]
TILED = {"tile": (32, 48)}


def write(path, pixels, **options):
    grey = pixels.ndim == 2
    options = {"photometric": "minisblack" if grey else "rgb", "metadata": None, **options}
    tifffile.imwrite(path, pixels, **options)
    return path


def pixels_of(image):
    return image.read(whole(image))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd", "packbits", "lzma"])
@pytest.mark.parametrize("cut", [TILED, {"rowsperstrip": 7}, {}])
@pytest.mark.parametrize(
    "pixels",
    [NOISE, NOISE[..., 1], SIXTEEN, SIXTEEN[..., 1]],
    ids=["colour", "grey", "colour16", "grey16"],
)
def test_what_is_lossless_is_read_as_pillow_reads_it(
    tmp_path, monkeypatch, *, compression, cut, pixels
):
    """So that data that were tiled or trained on before stay what they are."""
    monkeypatch.setattr(tiff, "SMALL", 0)
    path = write(tmp_path / "a.tif", pixels, compression=compression, **cut)

    image = open_image(path)

    assert isinstance(image, Segmented)
    expected = pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8)
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        expected = pixels >> 8
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, -1)
    np.testing.assert_array_equal(pixels_of(image), expected)
    if compression not in ("lzma", "zstd") and (pixels.dtype == np.uint8 or pixels.ndim == 2):
        np.testing.assert_array_equal(pixels_of(open_photo(path)), expected)


@pytest.mark.parametrize("options", [
    {"byteorder": ">"}, {"byteorder": ">", "rowsperstrip": 83}, {"bigtiff": True},
    {"predictor": True, "compression": "lzw"}, {"planarconfig": "separate", "rowsperstrip": 83},
    {"planarconfig": "separate", **TILED, "compression": "deflate"},
])  # fmt: skip
@pytest.mark.parametrize("pixels", [NOISE, SIXTEEN], ids=["8", "16"])
def test_other_layouts_hold_the_same_pixels(tmp_path, monkeypatch, *, options, pixels):
    monkeypatch.setattr(tiff, "SMALL", 0)
    monkeypatch.setattr("cervseg.images.tiff_pages.STRIP_BYTES", 4000)
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    held = planes if "planarconfig" in options else pixels

    image = open_image(write(tmp_path / "a.tif", held, **options))

    expected = pixels if pixels.dtype == np.uint8 else pixels >> 8
    np.testing.assert_array_equal(pixels_of(image), expected)


def test_opacity_is_laid_over_white_as_in_photographs(tmp_path):
    path = write(
        tmp_path / "a.tif", np.dstack([NOISE, OPACITY]), extrasamples=["unassalpha"], **TILED
    )

    image = open_image(path)

    assert isinstance(image, Segmented)
    np.testing.assert_array_equal(pixels_of(image), pixels_of(open_photo(path)))


def test_a_small_plain_file_stays_a_photograph(tmp_path):
    image = open_image(write(tmp_path / "a.tif", NOISE, resolution=(20_000, 20_000),
                             resolutionunit="CENTIMETER"))  # fmt: skip

    assert isinstance(image, Photo) and image.form.kind == "TIFF"
    assert image.mpp == 0.5
    np.testing.assert_array_equal(image.pixels, NOISE)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_sixteen_bit_colours_in_planes_are_read_as_they_are(tmp_path, compression):
    planes = {"planarconfig": "separate", "compression": compression}
    path = write(tmp_path / "a.tif", np.moveaxis(SIXTEEN, -1, 0), **planes)

    np.testing.assert_array_equal(pixels_of(open_image(path)), SIXTEEN >> 8)


def test_what_pillow_would_misread_is_refused(tmp_path):
    white = write(tmp_path / "w.tif", SIXTEEN[..., 0], photometric="miniswhite")
    planes = write(tmp_path / "p.tif", np.moveaxis(SIXTEEN, -1, 0), planarconfig="separate")

    for read in (open_image, open_photo):
        with pytest.raises(DataError, match=r"w\.tif: 16 bits in which 0 is white"):
            read(white)
    with pytest.raises(DataError, match=r"p\.tif: 16-bit colours, one plane after another"):
        open_photo(planes)


@pytest.mark.parametrize("kind", ["palette", "cmyk", "turned"])
def test_what_only_pillow_decodes_is_a_photograph_if_it_is_small_enough(
    tmp_path, monkeypatch, kind
):
    path, picture, exif = tmp_path / "a.tif", Pillow.fromarray(NOISE), Pillow.Exif()
    picture = picture.quantize(7) if kind == "palette" else picture
    picture = picture.convert("CMYK") if kind == "cmyk" else picture
    exif[274] = 6 if kind == "turned" else 1
    picture.save(path, exif=exif)
    monkeypatch.setattr(tiff, "SMALL", 0)

    assert isinstance(open_image(path), Photo)
    assert open_image(path).height == (131 if kind == "turned" else 83)
    monkeypatch.setattr(tiff, "MAX_PIXELS", 10_000)
    with pytest.raises(DataError) as caught:
        open_image(path)
    what = {
        "palette": "1 samples of colour kind 3",
        "cmyk": "4 samples of colour kind 5",
        "turned": "a turned image",
    }
    assert str(caught.value) == f"{path}: 0 megapixels, and {what[kind]} can't be read in regions"


# Scale


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        ({"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (50_800, 50_800), "resolutionunit": "NONE"}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (0, 0), "resolutionunit": "INCH"}, None),
        ({"resolution": (50_800, 25_400), "resolutionunit": "INCH"}, None),
        ({}, None),
        ({"description": "Aperio Image Library\r\n|AppMag = 20|MPP = 0.4990|"}, 0.499),
        ({"description": "Aperio Image Library\r\n|MPP = 0|"}, None),
        ({"description": "Something else|MPP = 0.4990|"}, None),
    ],
)
@pytest.mark.parametrize("cut", [TILED, {}])
def test_micrometres_come_from_the_header_if_a_microscope_can_have_them(
    tmp_path, *, options, mpp, cut
):
    assert open_image(write(tmp_path / "a.tif", NOISE, **cut, **options)).mpp == mpp


@pytest.mark.parametrize(
    ("unit", "across", "mpp"),
    [("um", 4, 0.25), ("micron", 4, 0.25), ("\\u00B5m", 4, 0.25), ("nm", 0.004, 0.25),
     ("mm", 4_000, 0.25), ("cm", 40_000, 0.25), ("inch", 101_600, 0.25),
     ("pixel", 4, None), ("um", 0.004, None), (None, 4, None)],
)  # fmt: skip
@pytest.mark.parametrize("pixels", [NOISE, NOISE[..., 0]])
def test_micrometres_come_from_imagej(*, tmp_path, pixels, unit, across, mpp):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, resolution=(across, across),
                     metadata={"unit": unit} if unit else None)  # fmt: skip

    assert open_image(path).mpp == (mpp and pytest.approx(mpp, rel=1e-4))


def test_imagej_s_units_across_and_down_must_be_one(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, imagej=True, resolution=(4, 4),
                     metadata={"unit": "um", "yunit": "mm"})  # fmt: skip

    assert open_image(path).mpp is None


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [(0.25, "µm", 0.25), (250, "nm", 0.25), (0.00025, "mm", 0.25), (0.25, None, 0.25),
     (0.25, "pixel", None), (0, "µm", None), (1e9, "µm", None)],
)  # fmt: skip
def test_micrometres_come_from_ome(tmp_path, samples, *, size, unit, mpp):
    sizes = {"PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        sizes |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    samples.write_ome(tmp_path / "a.ome.tif", NOISE, levels=0, metadata=sizes)

    assert open_image(tmp_path / "a.ome.tif").mpp == pytest.approx(mpp)


# Levels


def test_labels_and_overviews_are_no_levels(tmp_path, samples):
    samples.write_svs(tmp_path / "a.svs", samples.smooth(256, 256))  # the label is square, too

    levels = open_image(tmp_path / "a.svs").levels

    assert [level.height for level in levels] == [128, 64]


@pytest.mark.parametrize(
    ("size", "reduced"),
    [((500, 800), True), ((501, 801), True), ((100, 160), True), ((3, 5), True),
     ((1, 1), True), ((500, 500), False), ((500, 803), False), ((1000, 1600), False),
     ((0, 0), False)],
)  # fmt: skip
def test_a_level_has_the_shape_of_the_image(size, reduced):
    assert is_reduced(size, (1001, 1601)) == reduced


def test_pages_of_one_size_are_a_stack_of_which_the_first_counts(tmp_path):
    stack = np.stack([NOISE, 255 - NOISE])

    image = open_image(write(tmp_path / "a.tif", stack, **TILED))

    assert image.levels == ()
    np.testing.assert_array_equal(pixels_of(image), NOISE)


# What is broken


def refusal(path):
    with pytest.raises(DataError) as caught:
        pixels_of(open_image(path))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("compression", [None, "lzw", "jpeg"])
def test_a_truncated_file_is_refused_when_it_is_opened(tmp_path, kept, compression):
    path = write(tmp_path / "a.tif", NOISE, compression=compression, tile=(32, 48))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == f"{path}: can't be decoded: the file is truncated"


def change_tag(path, name, value):
    """Write a number over a tag of the first page."""
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[name].offset
    with path.open("r+b") as file:
        file.seek(place + 8)
        file.write(struct.pack("<I", value))


def test_a_header_that_claims_more_tiles_than_there_are_is_refused(tmp_path):
    path = write(tmp_path / "a.tif", NOISE, tile=(32, 48))
    change_tag(path, "ImageLength", 2**31)

    assert refusal(path) == "damaged, as 201326583 of 201326592 pieces are missing"


def test_a_tile_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path):
    path = write(tmp_path / "a.tif", NOISE, tile=(32, 48), compression="jpeg")
    content = path.read_bytes()
    frame = re.search(rb"\xff\xc0\x00\x11\x08(....)", content, re.DOTALL)
    path.write_bytes(content[: frame.start(1)] + b"\xff\xff\xff\xff" + content[frame.end(1) :])

    assert refusal(path) == "damaged, as piece 0 is of another size"


def test_tiles_too_large_to_decode_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", NOISE, tile=(32, 48))
    for name, value in (("TileLength", 2**20), ("TileWidth", 2**20), ("ImageLength", 2**20),
                        ("ImageWidth", 2**20)):  # fmt: skip
        change_tag(path, name, value)

    what = "1099512 megapixels, and a piece of 1048576 x 1048576 pixels can't be read in regions"
    assert refusal(path) == what


def test_a_tile_that_was_left_out_is_empty_slide(tmp_path):
    path = write(tmp_path / "a.tif", NOISE, tile=(32, 48))
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["TileByteCounts"].valueoffset
        size = file.pages[0].tags["TileByteCounts"].valuebytecount // 9
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(size))

    pixels = pixels_of(open_image(path))

    assert (pixels[:32, :48] == 255).all()
    np.testing.assert_array_equal(pixels[:32, 48:], NOISE[:32, 48:])


def test_a_file_that_vanishes_after_it_was_opened_is_named(tmp_path):
    path = write(tmp_path / "a.tif", NOISE, tile=(32, 48))
    image = open_image(path)
    path.unlink()

    with pytest.raises(DataError) as caught:
        image.read(Window(0, 0, 5, 5))

    assert str(caught.value) == f"{path}: no such file"


def test_slides_whose_tiles_overlap_are_left_to_openslide(tmp_path, monkeypatch):
    path = write(tmp_path / "a.bif", NOISE, tile=(32, 48), software="MedScan 1.0")
    monkeypatch.setitem(sys.modules, "openslide", None)

    with pytest.raises(ConfigError) as caught:
        open_image(path)

    assert str(caught.value) == f"{path}: this format needs OpenSlide"
    assert caught.value.hint == "pip install 'cervseg[slides]'"
    assert caught.value.exit_code == 2
