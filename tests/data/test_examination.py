from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngImageFile

from cervseg.classes import Classes
from cervseg.data.examination import (
    check_classes,
    check_groups,
    check_pairs,
    examine,
    examine_all,
    find_pairs,
)
from cervseg.data.fields import Field
from cervseg.data.truth import Found, MaskFile
from cervseg.errors import DataError

CELL = Classes.of({"cell": "#00ff00"})


@pytest.fixture
def make(tmp_path):
    """Makes a field with an image of noise and a mask of a disc, 0 and 255, or what it is given."""

    def make(name, *, pixels=None, mask=None, reading="threshold", split=None, group=None, **save):
        rng = np.random.default_rng(sum(map(ord, name)))
        image, path = (
            tmp_path / f"{name}.png",
            tmp_path / f"{name}_mask{save.pop('suffix', '.png')}",
        )
        if pixels is None:
            pixels = np.kron(rng.integers(0, 256, (11, 15, 3)), np.ones((4, 3, 1))).astype(np.uint8)
        if mask is None:
            rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
            mask = ((rows - 20) ** 2 + (columns - 20) ** 2 < 90).astype(np.uint8) * 255
        Pillow.fromarray(pixels).save(image, **save)
        Pillow.fromarray(mask).save(path)
        return Field(name, image, path, group or name, (1.0, 1.0), split, MaskFile(path, reading))

    return make


def kinds(examined):
    return [finding.kind for finding in examined.findings]


def test_a_good_field_has_statistics_digests_and_no_finding(make):
    examined = examine(make("a", split="valid"), CELL)

    assert examined.findings == []
    assert (examined.statistics.name, examined.statistics.split) == ("a", "valid")
    assert examined.statistics.areas == ((examined.statistics.pixels[1],),)
    assert len(examined.sha256) == 64 and len(examined.phash) == 16


def test_each_file_is_decoded_once(make, monkeypatch):
    field, decoded = make("a"), []
    load = PngImageFile.load_prepare

    def counted(file):
        decoded.append(Path(file.filename).name)
        load(file)

    monkeypatch.setattr(PngImageFile, "load_prepare", counted)

    examine(field, CELL)

    assert sorted(decoded) == ["a.png", "a_mask.png"]


def test_an_image_that_is_cut_off_is_unreadable_and_the_rest_goes_on(make):
    field, good = make("a"), make("b")
    field.image.write_bytes(field.image.read_bytes()[:200])

    broken, fine = examine_all([field, good], CELL)

    (found,) = broken.findings
    assert (found.kind, found.severity, found.item) == ("unreadable", "error", "a")
    assert found.message.startswith(f"{field.image}: can't be decoded: ")
    assert broken.statistics is None and broken.sha256 == broken.phash == ""
    assert fine.findings == [] and fine.statistics is not None


def test_a_mask_that_is_no_image_is_unreadable_and_the_image_is_still_looked_at(make):
    field = make("a")
    field.origin.write_text("none")

    examined = examine(field, CELL)

    assert [f.message for f in examined.findings] == [
        f"{field.origin}: can't be decoded: not an image of a known kind"
    ]
    assert examined.statistics is None and examined.phash


def test_objects_that_can_not_be_read_are_a_finding_of_their_field(make, tmp_path):
    field = make("a")
    objects = tmp_path / "objects.png"
    objects.write_text("none")

    examined = examine(field._replace(truth=replace(field.truth, objects=objects)), CELL)

    assert [(f.kind, f.message) for f in examined.findings] == [
        ("unreadable", f"{objects}: can't be decoded: not an image of a known kind")
    ]
    assert examined.statistics is None and examined.phash


def test_a_mask_of_another_size_is_told_and_has_no_statistics(make):
    examined = examine(make("a", mask=np.zeros((30, 45), np.uint8)), CELL)

    assert kinds(examined) == ["size"]
    assert examined.statistics is None


def test_an_image_turned_by_exif_beside_a_mask_that_is_not(make):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8)

    examined = examine(make("a", pixels=pixels, exif=exif), CELL)

    assert [f.message for f in examined.findings] == [
        "the mask has 45 x 31 pixels, its image 31 x 45: one of them is turned by 90 degrees; "
        "EXIF turns the image and not the mask"
    ]


def test_jpeg_noise_in_a_mask_is_told(make):
    soft = np.clip(90 - np.hypot(*(np.mgrid[:44, :45] - 20)) * 6, 0, 51).astype(np.uint8) * 5

    examined = examine(make("a", mask=soft, suffix=".jpg"), CELL)

    (found,) = examined.findings
    assert found.kind == "noise" and found.share > 0.05
    assert "(JPEG noise), " in found.message and "depend on the threshold" in found.message
    assert examined.statistics is not None


def test_indices_read_as_grey_levels_and_grey_levels_read_as_indices_are_told(make):
    indices = np.zeros((44, 45), np.uint8)
    indices[10:30, 10:30] = 1
    wrong = examine(make("a", mask=indices), CELL)
    shifted = examine(make("b", mask=indices + 1, reading="index"), CELL)

    (found,) = wrong.findings
    assert found.kind == "indices"
    assert found.message.endswith(
        "the largest value is 1, so this looks like class indices (set data.masks.read: index)"
    )
    assert [f.message for f in shifted.findings] == [
        "values 1 to 2: the background seems to be 1, it must be 0"
    ]
    assert wrong.statistics is None and shifted.statistics is None


def test_masks_that_can_not_be_meant_so_are_told_once(make):
    faint = np.zeros((44, 45), np.uint8)
    faint[10:30, 10:30] = 100
    photograph = np.full((44, 45, 3), (250, 130, 250), np.uint8)  # between the two classes
    classes = Classes.of({"a": "#ff80ff", "b": "#808080"})

    dark = examine(make("a", mask=faint), CELL)
    over = examine(make("b", mask=photograph - np.uint8(60), reading="colour"), classes)

    assert [(f.kind, f.severity, f.message) for f in dark.findings] == [
        ("empty mask", "error", "painted with a grey level of 100, below the threshold of 128, so "
         "it would be background (set data.masks.threshold: 50, or 127 where it is "
         "background)")
    ]  # fmt: skip
    assert [(f.kind, f.severity, f.share) for f in over.findings] == [("colours", "error", 1.0)]
    assert dark.statistics is None and over.statistics is None


def test_a_mask_of_one_bit_is_background_and_the_first_class(make):
    mask = np.zeros((44, 45), bool)
    mask[10:30, 10:30] = True

    examined = examine(make("a", mask=mask, reading="index"), CELL)

    assert examined.findings == [] and examined.statistics.pixels[1] == 400


def test_colours_are_looked_at_where_a_mask_has_some(make):
    mask = np.zeros((44, 45, 3), np.uint8)
    mask[10:30, 10:30] = (255, 0, 0)

    assert kinds(examine(make("a", mask=mask), CELL)) == ["colours"]
    assert kinds(examine(make("b", mask=mask, reading="colour"), CELL)) == [
        "colours",
        "noise",
        "empty mask",
    ]


def test_other_truths_are_read_and_their_errors_told(make):
    objects = np.zeros((44, 45), np.uint16)
    objects[5:15, 5:15], objects[15:25, 5:15] = 1, 2

    class Outlines:
        def read(self, height, width, classes):
            return Found((objects > 0).astype(np.uint8), objects)

    class Broken:
        def read(self, height, width, classes):
            raise DataError("a.geojson: feature 3: no polygon", hint="mend it")

    good = examine(make("a")._replace(truth=Outlines()), CELL)
    bad = examine(make("b")._replace(truth=Broken()), CELL)
    none = examine(make("c")._replace(truth=None), CELL)

    assert good.findings == [] and good.statistics.areas == ((100, 100),)
    assert [(f.kind, f.message) for f in bad.findings] == [
        ("unreadable", "a.geojson: feature 3: no polygon (mend it)")
    ]
    assert kinds(none) == ["empty mask"] and none.statistics.pixels == (44 * 45, 0, 0)


def test_fields_come_in_their_order_with_a_bar(make):
    fields = [make(f"f{i}") for i in range(19)]

    assert [one.field.name for one in examine_all(fields, CELL)] == [f.name for f in fields]


def test_the_same_picture_in_one_split_is_a_warning_and_in_two_a_leak(make):
    pixels = np.kron(np.random.default_rng(3).integers(0, 256, (9, 13, 3)), np.ones((5, 5, 1)))
    pixels = pixels.astype(np.uint8)
    fields = [
        make("a", pixels=pixels, split="train"),
        make("b", pixels=pixels, split="train"),
        make("c", pixels=np.ascontiguousarray(np.rot90(pixels)), split="test"),
        make("d", split="test"),
    ]
    examined = [examine(field, CELL) for field in fields]

    found = check_pairs(examined, find_pairs(examined))

    assert [(f.kind, f.severity, f.item, f.partner) for f in found] == [
        ("identical", "warning", "b", "a"),
        ("leak", "error", "c", "a"),
    ]
    assert found[0].message == "the same picture as a"
    assert found[1].message.startswith("nearly the same picture (")
    assert found[1].message.endswith(") as a in train, this in test")


def test_pictures_of_fields_without_a_split_leak_nowhere(make):
    pixels = np.kron(np.random.default_rng(3).integers(0, 256, (9, 13, 3)), np.ones((5, 5, 1)))
    pixels = pixels.astype(np.uint8)
    examined = [
        examine(make(n, pixels=pixels, split=s), CELL) for n, s in (("a", None), ("b", "test"))
    ]

    assert [f.kind for f in check_pairs(examined, find_pairs(examined))] == ["identical"]


def test_a_divided_group_is_one_leak(make):
    fields = [
        make("a", split="train", group="slide 1"),
        make("b", split="train", group="slide 1"),
        make("c", split="test", group="slide 1"),
        make("d", split="test", group="slide 2"),
        make("e", group="slide 2"),
    ]

    (found,) = check_groups(fields)

    assert (found.kind, found.severity, found.item, found.partner) == ("leak", "error", "a", "c")
    assert found.message == "group 'slide 1' is divided: 2 in train (a), 1 in test (c)"


def test_a_class_that_no_mask_has_is_told(make):
    two = Classes.of({"cell": "#00ff00", "nucleus": "#0000ff"})
    mask = np.zeros((44, 45), np.uint8)
    mask[:10], mask[20:30] = 255, 1
    examined = [examine(make("a", mask=mask, reading="index"), two)]

    (found,) = check_classes(examined, two)

    assert (found.kind, found.severity, found.item) == ("absent class", "warning", "all fields")
    assert found.message == (
        "no mask has a pixel of 'nucleus', but there are pixels of 255, which is read as ignored"
    )
    assert check_classes([], two) == []
