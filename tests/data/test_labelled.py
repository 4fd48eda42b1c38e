import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.data.labelled import (
    Labelled,
    labelled_folders,
    labelled_sources,
    labelled_tiles,
    read_labelled,
)
from cervseg.data.manifest import SourceRow, TileRow, describe, open_dataset, write_dataset
from cervseg.errors import DataError
from cervseg.images.image import whole

CELL = Classes.of({"cell": "#00ff00"})
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
MASK = PIXELS[..., 0] // 128


@pytest.fixture
def item(tmp_path):
    Pillow.fromarray(PIXELS).save(tmp_path / "a.png")
    Pillow.fromarray(MASK).save(tmp_path / "a_mask.png")
    return Labelled("a", tmp_path / "a.png", tmp_path / "a_mask.png", "index")


def test_an_image_and_its_mask_are_read(item):
    image, mask, changed, objects = read_labelled(item, CELL)

    np.testing.assert_array_equal(image.read(whole(image)), PIXELS)
    np.testing.assert_array_equal(mask, MASK)
    assert changed == 0 and objects is None


def test_objects_that_are_known_come_along(item, tmp_path):
    numbers = MASK.astype(np.uint16) * 7
    Pillow.fromarray(numbers).save(tmp_path / "objects.png")

    read = read_labelled(item._replace(objects=tmp_path / "objects.png"), CELL)

    np.testing.assert_array_equal(read.mask, MASK)
    np.testing.assert_array_equal(read.objects, MASK)  # from 1, without gaps


def test_no_mask_is_background(item):
    _, mask, changed, _ = read_labelled(item._replace(mask=None), CELL)

    assert mask.shape == (5, 7) and mask.dtype == np.uint8 and not mask.any() and changed == 0


def test_a_mask_of_another_size_is_refused_width_first(item):
    Pillow.fromarray(MASK[:, :6]).save(item.mask)

    with pytest.raises(DataError) as caught:
        read_labelled(item, CELL)

    assert str(caught.value) == (f"{item.mask}: 6 x 5 pixels, its image has 7 x 5")


def test_folders_pair_by_stem(tmp_path):
    for path in ("images/b.jpg", "images/deep/a.png", "masks/a.tif", "masks/b.png", "masks/c.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (2, 3)).save(tmp_path / path)

    found = labelled_folders(tmp_path / "images", tmp_path / "masks", "threshold")

    assert found == [
        Labelled("b", tmp_path / "images/b.jpg", tmp_path / "masks/b.png", "threshold"),
        Labelled("a", tmp_path / "images/deep/a.png", tmp_path / "masks/a.tif", "threshold"),
    ]


def test_where_a_stem_is_in_several_folders_these_pair_too(tmp_path):
    for path in ("images/x/1.png", "images/y/1.png", "images/y/2.png",
                 "masks/x/1.png", "masks/y/1.tif", "masks/2.png"):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (2, 3)).save(tmp_path / path)

    found = labelled_folders(tmp_path / "images", tmp_path / "masks", "threshold")

    assert [(item.name, item.mask) for item in found] == [
        ("x_1", tmp_path / "masks/x/1.png"),
        ("y_1", tmp_path / "masks/y/1.tif"),
        ("2", tmp_path / "masks/2.png"),
    ]
    (tmp_path / "masks/y/1.tif").unlink()
    with pytest.raises(DataError, match="y/1.png: no mask of this name"):
        labelled_folders(tmp_path / "images", tmp_path / "masks", "threshold")


def test_folders_that_do_not_pair_are_refused(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        folder.mkdir()
    with pytest.raises(DataError) as caught:
        labelled_folders(images, masks, "index")
    assert str(caught.value) == f"{images}: no images in it"

    for name in "abc":
        Pillow.new("L", (2, 3)).save(images / f"{name}.png")
    Pillow.new("L", (2, 3)).save(masks / "b.png")
    with pytest.raises(DataError) as caught:
        labelled_folders(images, masks, "index")
    assert str(caught.value) == f"{images}/a.png: no mask of this name in {masks} (2 in all)"


def test_two_files_of_one_name_are_refused(tmp_path):
    for path in ("images/a.png", "images/a.jpg", "masks/a.png", "masks/a.bmp"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Pillow.new("L", (2, 3)).save(tmp_path / path)

    with pytest.raises(DataError) as caught:
        labelled_folders(tmp_path / "images", tmp_path / "masks", "index")

    assert str(caught.value).split("\n") == [
        "images and masks do not pair: 2 problems",
        f"  {tmp_path}/images/a.jpg and {tmp_path}/images/a.png: two files with one stem",
        f"  {tmp_path}/masks/a.bmp and {tmp_path}/masks/a.png: two files with one stem",
    ]


def test_rows_of_a_dataset_become_files_with_their_reading_and_scale(tmp_path):
    source = SourceRow(
        "f", "/data/f.jpg", "", "", "", "g", "valid", "", 5, 7, 6.0, 8.0, "", "0f", "", 0.0
    )
    tile = TileRow("t/a.png", "t/a_mask.png", "f", "g", "valid", "window", 1.0, 0, 0, 5, 7, 0, "1e")
    (tmp_path / "t").mkdir()
    for name in (tile.tile, tile.mask):
        (tmp_path / name).touch()
    document = describe(CELL, scale=1.0, tile_size=16, reading="index")
    write_dataset(tmp_path, document, sources=[source], tiles=[tile])
    dataset = open_dataset(tmp_path)

    (photograph,) = labelled_sources(dataset, dataset.sources)
    (cut,) = labelled_tiles(dataset, dataset.tiles)

    assert (photograph.name, str(photograph.image), photograph.mask) == ("f", "/data/f.jpg", None)
    assert (photograph.reading, photograph.scale, photograph.sha256) == ("index", (6, 8), "0f")
    paths = tmp_path / "t/a.png", tmp_path / "t/a_mask.png"
    assert cut == Labelled("a", *paths, "index", sha256="1e")
