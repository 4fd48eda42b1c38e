import json

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.commands.convert import convert
from cervseg.config import Config
from cervseg.config.data import DataConfig
from cervseg.data.sources import find_fields
from cervseg.errors import OutputError

CELL = Classes.of({"cell": "#00ff00"})
CLASSES = {"cytoplasm": "#00ff00", "nucleus": "#ff0000"}


def speckled(shape, seed):
    """Class indices with holes, diagonals, pieces at the border and ignored pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 0, 1, 2, 255], (shape[0] // 3 + 1, shape[1] // 3 + 1))
    mask = coarse.repeat(3, axis=0).repeat(3, axis=1)[: shape[0], : shape[1]].astype(np.uint8)
    mask[rng.random(shape) < 0.05] = 1
    return mask


@pytest.fixture
def truth(tmp_path):
    """Two images with index masks, by name."""
    masks = {"a": speckled((31, 43), 1), "b": speckled((40, 17), 2)}
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, mask in masks.items():
        rgb = np.full((*mask.shape, 3), 200, np.uint8)
        Pillow.fromarray(rgb).save(tmp_path / "images" / f"{name}.png")
        Pillow.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return masks


def config(tmp_path, **source):
    source = {"images": str(tmp_path / "images"), "masks": str(tmp_path / "masks"), **source}
    if "annotations" in source:
        del source["masks"]
    data = {"source": source, "classes": CLASSES}
    if source.get("kind", "folders") == "folders":
        data["masks"] = {"read": "index"}
    return Config.model_validate({"data": data})


def test_masks_to_geojson_and_back_are_the_same_to_the_pixel(tmp_path, truth):
    out = tmp_path / "outlines"
    report = convert(config(tmp_path), to="geojson", output=out)
    assert report.exit_code == 0 and report.paths == (out / "a.geojson", out / "b.geojson")

    back = config(tmp_path, kind="geojson", annotations=str(out))
    convert(back, to="masks", output=tmp_path / "back")

    for name, mask in truth.items():
        again = np.asarray(Pillow.open(tmp_path / "back" / f"{name}.png"))
        np.testing.assert_array_equal(again, mask)


def test_what_qupath_opens_has_closed_rings_in_x_y_and_the_colours_of_the_classes(tmp_path, truth):
    convert(config(tmp_path), to="geojson", output=tmp_path / "out")

    document = json.loads((tmp_path / "out" / "b.geojson").read_text())

    assert document["type"] == "FeatureCollection"
    colours = {}
    for feature in document["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        assert properties["objectType"] == "annotation"
        colours[properties["classification"]["name"]] = properties["classification"]["color"]
        polygons = geometry["coordinates"]
        for polygon in [polygons] if geometry["type"] == "Polygon" else polygons:
            for ring in polygon:
                assert ring[0] == ring[-1] and len(ring) >= 5
                assert all(0 <= x <= 17 and 0 <= y <= 40 for x, y in ring)
    assert colours["cytoplasm"] == [0, 255, 0] and colours["nucleus"] == [255, 0, 0]
    assert set(colours) == {"cytoplasm", "nucleus", "Ignore*"}


def test_masks_to_label_images_number_each_piece_of_each_class(tmp_path, truth):
    convert(config(tmp_path), to="label_images", output=tmp_path / "labels")

    for name, mask in truth.items():
        objects = np.asarray(Pillow.open(tmp_path / "labels" / f"{name}.png"))
        assert objects.dtype in (np.uint16, np.int32)
        np.testing.assert_array_equal(objects > 0, (mask == 1) | (mask == 2))
        classes = [set(mask[objects == number]) for number in range(1, objects.max() + 1)]
        assert all(len(found) == 1 for found in classes)


def test_label_images_to_geojson_and_back_keep_every_object(tmp_path, truth):
    objects = np.zeros((31, 43), np.uint16)
    objects[2:9, 3:20], objects[9:20, 3:20], objects[25:, 30:] = 1, 2, 3  # two of them touch
    for path in (tmp_path / "masks").iterdir():
        path.unlink()
    (tmp_path / "images" / "b.png").unlink()
    Pillow.fromarray(objects).save(tmp_path / "masks" / "a.png")
    labels = config(tmp_path, kind="label_images", class_name="nucleus")
    convert(labels, to="geojson", output=tmp_path / "out")

    back = config(tmp_path, kind="geojson", annotations=str(tmp_path / "out"))
    convert(back, to="label_images", output=tmp_path / "back")

    again = np.asarray(Pillow.open(tmp_path / "back" / "a.png"))
    np.testing.assert_array_equal(again, objects)


def test_a_broken_file_fails_alone_and_an_occupied_folder_is_refused(tmp_path, truth):
    (tmp_path / "masks" / "a.png").write_bytes(b"no picture")

    report = convert(config(tmp_path), to="masks", output=tmp_path / "out")

    assert report.exit_code == 3 and [path.name for path in report.paths] == ["b.png"]
    (failure,) = report.failures
    assert failure.item == f"{tmp_path}/images/a.png"
    assert f"{tmp_path}/masks/a.png: can't be decoded" in failure.message

    with pytest.raises(OutputError):
        convert(config(tmp_path), to="masks", output=tmp_path / "out")


def test_a_resumed_conversion_leaves_what_is_written(tmp_path, truth):
    convert(config(tmp_path), to="masks", output=tmp_path / "out")
    (tmp_path / "out" / "a.png").unlink()
    before = (tmp_path / "out" / "b.png").stat().st_mtime_ns

    report = convert(config(tmp_path), to="masks", output=tmp_path / "out", resume=True)

    assert [path.name for path in report.paths] == ["a.png", "b.png"]
    assert (tmp_path / "out" / "a.png").is_file()
    assert (tmp_path / "out" / "b.png").stat().st_mtime_ns == before


def test_a_conversion_to_another_form_is_not_resumed(tmp_path, truth):
    convert(config(tmp_path), to="masks", output=tmp_path / "out")

    with pytest.raises(OutputError, match=r"a\.png: written in another form than label_images"):
        convert(config(tmp_path), to="label_images", output=tmp_path / "out", resume=True)


def test_forms_of_other_suffixes_are_not_mixed(tmp_path, truth):
    for first, second in (("masks", "geojson"), ("geojson", "label_images")):
        convert(config(tmp_path), to=first, output=tmp_path / f"as_{first}")

        with pytest.raises(OutputError, match="written in another form"):
            convert(config(tmp_path), to=second, output=tmp_path / f"as_{first}", resume=True)


def test_what_label_images_can_not_hold_is_told(tmp_path, truth):
    report = convert(config(tmp_path), to="label_images", output=tmp_path / "labels")
    assert len(report.notices) == 1 and "in 2 of them what was ignored" in report.notices[0]

    assert not convert(config(tmp_path), to="masks", output=tmp_path / "masks2").notices
    Pillow.fromarray(np.eye(31, 43, dtype=np.uint8)).save(tmp_path / "masks" / "a.png")
    report = convert(config(tmp_path), to="label_images", output=tmp_path / "one")
    assert "in 1 of them" in report.notices[0]


def test_masks_of_sipakmed_pair_with_its_photographs(tmp_path):
    for category in ("Metaplastic", "Parabasal"):
        place = tmp_path / "published" / f"im_{category}"
        place.mkdir(parents=True)
        Pillow.fromarray(np.full((31, 43, 3), 200, np.uint8)).save(place / "001.bmp")
        (place / "001_cyt01.dat").write_text("4,5\n30,5\n30,20\n4,20\n")
    data = {"source": {"kind": "sipakmed", "folder": str(tmp_path / "published")}}
    one = {"data": {"source": {**data["source"], "categories": ["Metaplastic"]}}}
    two = {"data": {"source": {**data["source"], "categories": ["Metaplastic", "Parabasal"]}}}

    convert(Config.model_validate(one), to="masks", output=tmp_path / "one")
    convert(Config.model_validate(two), to="masks", output=tmp_path / "two")

    assert (tmp_path / "one" / "001.png").is_file()
    for masks in (tmp_path / "one", tmp_path / "two" / "im_Metaplastic"):
        source = {"images": str(tmp_path / "published" / "im_Metaplastic"), "masks": str(masks)}
        (field,) = find_fields(
            DataConfig.model_validate({"source": source, "masks": {"read": "index"}})
        )
        assert field.name == "001" and field.truth.read(31, 43, CELL).mask.sum() > 300
