import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.data.fields import Field
from cervseg.data.repair import LOG, repair_all, repair_field
from cervseg.data.truth import Found, MaskFile
from cervseg.images.masks import read_mask
from cervseg.images.photo import open_photo

CELL = Classes.of({"cell": "#00ff00"})
PIXELS = np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8)
DISC = ((np.mgrid[:31, :45] - [[[12]], [[20]]]) ** 2).sum(axis=0) < 70


@pytest.fixture
def make(tmp_path):
    """Makes a field of an image and a mask, both as Pillow images, saved as told."""

    def make(image, mask, *, suffix=".png", mask_suffix=".png", split=None, turn=1):
        folder = tmp_path / "before"
        folder.mkdir(exist_ok=True)
        path, origin = folder / f"a{suffix}", folder / f"a_mask{mask_suffix}"
        exif = Pillow.Exif()
        if turn != 1:
            exif[0x0112] = turn
        image.save(path, exif=exif)
        mask.save(origin)
        truth = MaskFile(origin, "threshold")
        return Field("a", path, origin, "a", (1.0, 1.0), split, truth)

    return make


def disc(dtype=np.uint8):
    return Pillow.fromarray(DISC.astype(dtype) * 255)


def test_an_upright_rgb_image_is_copied_byte_by_byte_and_its_mask_becomes_indices(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc(), suffix=".jpg")

    image, mask = repair_field(field, CELL, tmp_path / "out")

    assert image == ("images/a.jpg", str(field.image), "copied", 0)
    assert (tmp_path / "out" / image.file).read_bytes() == field.image.read_bytes()
    assert mask == ("masks/a.png", str(field.origin), "to indices", 0)
    with Pillow.open(tmp_path / "out" / mask.file) as file:
        assert file.mode == "P" and file.getpalette()[:6] == [0, 0, 0, 0, 255, 0]
        np.testing.assert_array_equal(np.asarray(file), DISC)


def test_jpeg_noise_is_decided_and_its_pixels_counted(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc(), mask_suffix=".jpg")
    grey = np.asarray(Pillow.open(field.origin))

    _, mask = repair_field(field, CELL, tmp_path / "out")

    assert mask.change == "decided by the threshold"
    assert mask.pixels == ((grey != 0) & (grey != 255)).sum() > 20
    clean = read_mask(tmp_path / "out" / mask.file, CELL, "index")
    np.testing.assert_array_equal(clean.mask, grey >= 128)


@pytest.mark.parametrize("turn", range(2, 9))
def test_an_image_that_exif_turns_is_written_upright(make, tmp_path, turn):
    upright_mask = disc() if turn < 5 else disc().transpose(Pillow.Transpose.TRANSPOSE)
    field = make(Pillow.fromarray(PIXELS), upright_mask, turn=turn)

    image, mask = repair_field(field, CELL, tmp_path / "out")

    assert (image.file, image.change, image.pixels) == ("images/a.png", "turned as EXIF says", 0)
    with Pillow.open(tmp_path / "out" / image.file) as file:
        assert file.mode == "RGB" and not file.getexif()
        np.testing.assert_array_equal(np.asarray(file), open_photo(field.image).pixels)
    assert mask.change == "to indices"


@pytest.mark.parametrize("turn", range(5, 9))
def test_a_mask_that_was_not_turned_with_its_image_is_turned_like_it(make, tmp_path, turn):
    # The mask was painted on the pixels as stored: both hold the same picture.
    painted = np.repeat(DISC[..., None] * np.uint8(255), 3, axis=-1)
    field = make(Pillow.fromarray(painted), disc(), turn=turn)

    _, mask = repair_field(field, CELL, tmp_path / "out")

    assert mask.change == "to indices, turned as the image's EXIF says"
    image = open_photo(field.image).pixels[..., 0] > 0
    np.testing.assert_array_equal(
        read_mask(tmp_path / "out" / mask.file, CELL, "index").mask, image
    )


@pytest.mark.parametrize(
    ("mode", "suffix", "change", "lossless"),
    [
        ("L", ".png", "L to RGB", True),
        ("P", ".png", "P to RGB", True),
        ("CMYK", ".jpg", "CMYK to RGB", False),
        ("RGBA", ".png", "laid over white", False),
    ],
)
def test_other_modes_become_rgb(make, tmp_path, *, mode, suffix, change, lossless):
    field = make(Pillow.fromarray(PIXELS).convert(mode), disc(), suffix=suffix)

    image, _ = repair_field(field, CELL, tmp_path / "out")

    assert (image.change, image.pixels) == (change, 0 if lossless else 31 * 45)
    with Pillow.open(tmp_path / "out" / image.file) as file:
        assert file.mode == "RGB"


def test_a_colour_that_stands_for_transparent_is_laid_over_white(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc())
    Pillow.fromarray(PIXELS).save(field.image, transparency=tuple(map(int, PIXELS[3, 4])))

    image, _ = repair_field(field, CELL, tmp_path / "out")

    assert image.change == "laid over white"
    with Pillow.open(tmp_path / "out" / image.file) as file:
        assert file.getpixel((4, 3)) == (255, 255, 255)


def test_what_does_not_fit_or_can_not_be_read_is_left_out_and_logged(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc().crop((0, 0, 44, 31)))
    gone = field._replace(name="gone", image=tmp_path / "gone.png")

    done = repair_all([field, gone], CELL, tmp_path / "out")

    assert done[0].file == "" and done[0].change == (
        f"left out: {field.origin}: 44 x 31 pixels, its image has 45 x 31"
    )
    assert done[1].change == f"left out: {gone.image}: no such file"
    with (tmp_path / "out" / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["change"] for row in rows] == [one.change for one in done]
    assert not (tmp_path / "out" / "images").exists()


def test_two_images_of_one_name_are_left_out_since_one_would_overwrite_the_other(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc())

    done = repair_all([field, field._replace(name="b"), field], CELL, tmp_path / "out")

    assert [one.change for one in done if not one.file] == ["left out: two files with one stem"] * 2
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["b.png"]


def test_an_image_without_a_mask_gets_an_empty_one(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc())._replace(truth=None, origin=None)

    _, mask = repair_field(field, CELL, tmp_path / "out")

    assert mask == ("masks/a.png", "", "empty, as no mask was there", 0)
    written = read_mask(tmp_path / "out" / mask.file, CELL, "index").mask
    assert written.shape == DISC.shape and not written.any()


def test_objects_are_kept_and_splits_have_their_folders(make, tmp_path):
    objects = DISC.astype(np.uint16) * 700

    class Outlines:
        def read(self, height, width, classes):
            return Found((objects > 0).astype(np.uint8), objects)

    field = make(Pillow.fromarray(PIXELS), disc(), split="valid")._replace(truth=Outlines())

    files = [one.file for one in repair_field(field, CELL, tmp_path / "out")]

    assert files == ["valid/images/a.png", "valid/masks/a.png", "valid/objects/a.png"]
    with Pillow.open(tmp_path / "out" / files[2]) as file:
        np.testing.assert_array_equal(np.asarray(file), objects)


@pytest.mark.parametrize("turn", [1, 6])
def test_objects_beside_a_mask_are_kept_and_turned_with_it(make, tmp_path, turn):
    numbers = DISC.astype(np.uint16) * 700
    path = tmp_path / "objects.png"
    Pillow.fromarray(numbers).save(path)
    field = make(Pillow.fromarray(PIXELS), disc(), turn=turn)

    _, mask, objects = repair_field(
        field._replace(truth=replace(field.truth, objects=path)), CELL, tmp_path / "out"
    )

    assert objects == ("objects/a.png", str(path), "numbered from 1", 0)
    with Pillow.open(tmp_path / "out" / objects.file) as file:
        found = np.asarray(file)
    np.testing.assert_array_equal(
        found, read_mask(tmp_path / "out" / mask.file, CELL, "index").mask
    )


def test_nothing_is_written_in_place(make, tmp_path):
    field = make(Pillow.fromarray(PIXELS), disc(), mask_suffix=".jpg", turn=6)
    files = (field.image, field.origin)
    before = [hashlib.sha256(path.read_bytes()).digest() for path in files]

    repair_field(field, CELL, tmp_path / "out")

    assert [hashlib.sha256(path.read_bytes()).digest() for path in files] == before
    assert sorted(path.name for path in field.image.parent.iterdir()) == ["a.png", "a_mask.jpg"]
