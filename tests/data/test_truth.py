"""Every kind of `data.source`, from small files of its real layout to class indices."""

import json
import re

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from cervseg.annotations.label_images import write_label_image
from cervseg.config.data import DataConfig
from cervseg.data.cutting import read_field
from cervseg.data.sources import find_fields
from cervseg.errors import DataError

HEIGHT, WIDTH = 31, 43
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
TWO = {"cytoplasm": "#00ff00", "nucleus": "#ff0000"}


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(PHOTOGRAPH).save(path)
    return path


def box(*corners):
    """A closed ring of x, y along pixel edges, from top, left, bottom, right."""
    top, left, bottom, right = corners
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(name, *rings):
    properties = {"objectType": "annotation"}
    if name:
        properties["classification"] = {"name": name, "color": [1, 2, 3]}
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def contour(path, *corners):
    """Corner pixels of a box, as SIPaKMeD writes contours, from top, left, bottom, right."""
    top, left, bottom, right = corners
    points = [(left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)]
    path.write_text("".join(f"{x},{y}\n" for x, y in points))


def drawn(*boxes, value=1):
    mask = np.zeros((HEIGHT, WIDTH), int)
    for number, (top, left, bottom, right) in enumerate(boxes, start=1):
        mask[top:bottom, left:right] = number if value is None else value
    return mask


def read(folder_config, **keys):
    """The truth of the only field."""
    data = DataConfig.model_validate({"source": folder_config, **keys})
    (field,) = find_fields(data)
    return read_field(field, data)[1]


def refusal(folder_config, **keys):
    with pytest.raises(DataError) as caught:
        read(folder_config, **keys)
    return str(caught.value)


# --- geojson ------------------------------------------------------------------------------------


def geojson(tmp_path, *features, name="a"):
    photograph(tmp_path / "images" / f"{name}.png")
    file = tmp_path / "images" / f"{name}.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return {"kind": "geojson", "images": str(tmp_path / "images")}


def masks_and_photographs(tmp_path, mask, **how):
    """Section `source` of one photograph and its mask."""
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    Pillow.fromarray(mask).save(tmp_path / "masks" / how.pop("name", "a.png"), **how)
    return {"images": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}


@pytest.mark.parametrize("options", [{"name": "a.png"}, {"name": "a.jpg", "quality": 80}])
def test_a_mask_painted_too_darkly_is_no_background(tmp_path, options):
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[5:20, 9:25] = (0, 100, 0)
    source = masks_and_photographs(tmp_path, mask, **options)

    with pytest.raises(DataError) as caught:
        read(source)
    found = read(source, masks={"threshold": 50})

    assert re.fullmatch(
        rf"{source['masks']}/a\.(png|jpg): painted with a grey level of (97|100), below the "
        "threshold of 128, so it would be background",
        str(caught.value),
    )
    assert re.fullmatch(r"set data\.masks\.threshold: (48|50), or 127 .*", caught.value.hint)
    assert np.mean(found.mask == (mask[..., 1] > 0)) > 0.99


@pytest.mark.parametrize("sigma", [0.7, 1.5, 4])
def test_the_soft_edge_of_a_cell_at_the_rim_is_background(tmp_path, sigma):
    slope = 255 * np.exp(-((np.arange(WIDTH) + sigma * 1.3) ** 2) / (2 * sigma**2))
    mask = np.tile(slope.astype(np.uint8), (HEIGHT, 1))

    assert 32 <= mask.max() < 128
    assert not read(masks_and_photographs(tmp_path, mask)).mask.any()


def test_an_empty_mask_is_background(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    assert not read(masks_and_photographs(tmp_path, mask)).mask.any()


def test_a_photograph_is_no_mask_in_class_colours(tmp_path):
    painted = np.full((HEIGHT, WIDTH, 3), (210, 180, 220), np.uint8)
    painted[5:20, 9:25] = (0, 255, 0)
    source = masks_and_photographs(tmp_path, painted)

    with pytest.raises(DataError) as caught:
        read(source, classes=TWO)

    share = np.mean(painted[..., 0] > 0)
    assert str(caught.value) == (
        f"{source['masks']}/a.png: {share:.0%} of the pixels are far from black and all class "
        "colours, as #d2b4dc: a photograph, or a class that is not named?"
    )
    assert caught.value.hint == (
        "name all its colours in data.classes, or give masks that are black elsewhere"
    )


def test_jpeg_noise_and_soft_edges_of_a_mask_in_class_colours_are_read(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[4:25, 6:37] = (0, 255, 0)
    mask[10:17, 15:24] = (255, 0, 0)
    wanted = drawn((4, 6, 25, 37)) + drawn((10, 15, 17, 24))

    found = read(masks_and_photographs(tmp_path, mask, name="a.jpg", quality=75), classes=TWO)

    assert np.mean(found.mask == wanted) > 0.9 and found.changed > 0.2


def test_geojson_lies_beside_its_image_and_a_nucleus_lies_on_its_cell(tmp_path):
    source = geojson(
        tmp_path,
        feature("nucleus", box(8, 9, 12, 15)),
        feature("cytoplasm", box(5, 4, 20, 30), box(14, 20, 18, 25)),
    )

    found = read(source, classes=TWO)

    expected = drawn((5, 4, 20, 30))
    expected[14:18, 20:25] = 0
    expected[8:12, 9:15] = 2
    np.testing.assert_array_equal(found.mask, expected)
    assert found.objects[9, 10] != found.objects[6, 5] > 0
    assert found.objects.max() == 2


def test_geojson_may_lie_in_a_folder_of_its_own_and_other_names_are_renamed(tmp_path):
    source = geojson(tmp_path, feature("Tumor", box(2, 3, 9, 11)), feature("", box(20, 20, 30, 40)),
                     feature("Ignore*", box(12, 1, 14, 42)))  # fmt: skip
    (tmp_path / "outlines").mkdir()
    (tmp_path / "images" / "a.geojson").rename(tmp_path / "outlines" / "a.geojson")
    source |= {
        "annotations": str(tmp_path / "outlines"),
        "rename": {"Tumor": "cell", "unclassified": "background"},
    }

    found = read(source)

    expected = drawn((2, 3, 9, 11))
    expected[12:14, 1:42] = 255
    np.testing.assert_array_equal(found.mask, expected)
    assert found.objects.max() == 1 and not found.objects[13].any()


@pytest.mark.parametrize(
    ("image", "annotation"),
    [("a.png", "a.png.geojson"), ("a.ome.tif", "a.geojson"), ("a.ome.tif", "a.ome.geojson"),
     ("a.ome.tif", "a.ome.tif.geojson"), ("a.b.png", "a.b.json")],
)  # fmt: skip
def test_geojson_may_be_called_as_tiled_infer_or_a_script_of_qupath_calls_it(
    tmp_path, image, annotation
):
    source = geojson(tmp_path, feature("cell", box(2, 3, 9, 11)))
    photograph(tmp_path / "images" / image)
    (tmp_path / "images" / "a.geojson").rename(tmp_path / "images" / annotation)
    if image != "a.png":
        (tmp_path / "images" / "a.png").unlink()

    np.testing.assert_array_equal(read(source).mask, drawn((2, 3, 9, 11)))


def test_outlines_that_an_inference_wrote_below_the_photographs_are_no_annotations(tmp_path):
    source = geojson(tmp_path, feature("cell", box(2, 3, 9, 11)))
    ours = tmp_path / "images" / "cervseg-output"
    (ours / "objects").mkdir(parents=True)
    (ours / "inference.json").touch()
    (ours / "objects" / "a.geojson").write_text("[]")

    np.testing.assert_array_equal(read(source).mask, drawn((2, 3, 9, 11)))


def test_two_annotations_of_one_image_are_refused_whatever_their_names(tmp_path):
    source = geojson(tmp_path, feature("cell", box(2, 3, 9, 11)))
    (tmp_path / "images" / "a.png.geojson").write_text("[]")

    with pytest.raises(DataError) as caught:
        find_fields(DataConfig.model_validate({"source": source}))

    assert str(caught.value).split("\n")[1:] == [
        f"  {tmp_path}/images/a.geojson and {tmp_path}/images/a.png.geojson: "
        f"both for {tmp_path}/images/a.png"
    ]


def test_a_class_that_the_config_does_not_name_is_refused_with_the_names_found(tmp_path):
    source = geojson(tmp_path, feature("Stroma", box(2, 3, 9, 11)), feature("", box(2, 3, 9, 11)))

    assert refusal(source) == (
        f"{tmp_path}/images/a.geojson: classes that the config does not name: 'Stroma', "
        "'unclassified'; it names 'cell'"
    )


def test_squares_where_to_look_first_are_no_truth_unless_renamed(tmp_path):
    from cervseg.grid import Window
    from cervseg.inference.places import write_places
    from cervseg.inference.uncertainty import Place

    squares = tmp_path / "squares.geojson"
    write_places(squares, [Place(Window(1, 2, 16, 16), 3.0)], scale=(1, 1))
    left_over = json.loads(squares.read_text())["features"]
    source = geojson(tmp_path, feature("cell", box(2, 3, 9, 11)), *left_over)

    found = read(source)

    np.testing.assert_array_equal(found.mask, drawn((2, 3, 9, 11)))
    assert found.objects.max() == 1
    ignored = read(source | {"rename": {"look first": "ignore"}}).mask
    assert ignored[10, 10] == 255 and ignored[3, 4] == 255, "not looked at, so it is no truth"


def test_a_shape_outside_its_image_is_told_with_file_and_record(tmp_path):
    source = geojson(
        tmp_path, feature("cell", box(2, 3, 9, 11)), feature("cell", box(90, 3, 99, 9))
    )

    assert refusal(source).startswith(f"{tmp_path}/images/a.geojson: feature 2")


def test_an_image_without_annotation_is_an_error_or_background(tmp_path):
    source = geojson(tmp_path, feature("cell", box(2, 3, 9, 11)))
    photograph(tmp_path / "images" / "b.png")

    with pytest.raises(DataError) as caught:
        find_fields(DataConfig.model_validate({"source": source}))
    assert str(caught.value).split("\n") == [
        "images and masks do not pair: 1 problem",
        f"  {tmp_path}/images/b.png: no annotation of this name",
    ]

    data = DataConfig.model_validate({"source": source, "missing_mask": "background"})
    _, lonely = find_fields(data)
    assert not read_field(lonely, data)[1].mask.any()


def of_geojson(folder):
    (folder / "truth").mkdir()
    for name in ("a", "B"):
        text = json.dumps(feature("cell", box(2, 3, 9, 11)))
        (folder / "truth" / f"{name}.geojson").write_text(text)
    return {"kind": "geojson", "annotations": f"{folder}/truth"}, f"{folder}/truth/B.geojson"


def of_coco(folder):
    images = [{"id": n, "file_name": name} for n, name in enumerate(("a.png", "b.jpg", "c.png"))]
    shapes = [
        {"id": n, "image_id": n, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}
        for n in range(2)  # of the third, which is not there either, nothing is lost
    ]
    document = {
        "images": images, "annotations": shapes, "categories": [{"id": 1, "name": "cell"}],
    }  # fmt: skip
    (folder / "coco.json").write_text(json.dumps(document))
    return {"kind": "coco", "annotations": f"{folder}/coco.json"}, f"'b.jpg' in {folder}/coco.json"


def of_label_images(folder):
    (folder / "truth").mkdir()
    for name in ("a", "B"):
        numbers = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3
        Pillow.fromarray(numbers.astype(np.uint8)).save(folder / "truth" / f"{name}.png")
    return {"kind": "label_images", "masks": f"{folder}/truth"}, f"{folder}/truth/B.png"


@pytest.mark.parametrize("write", [of_geojson, of_coco, of_label_images])
def test_an_annotation_of_no_image_is_told_where_another_image_is_taken_for_background(
    tmp_path, write, caplog
):
    for name in ("a", "b"):
        photograph(tmp_path / "images" / f"{name}.png")
    source, stray = write(tmp_path)
    source["images"] = f"{tmp_path}/images"

    both = find_fields(DataConfig.model_validate({"source": source, "missing_mask": "background"}))
    told = caplog.messages
    (tmp_path / "images" / "b.png").unlink()
    caplog.clear()
    alone = find_fields(DataConfig.model_validate({"source": source, "missing_mask": "background"}))

    assert told == [
        f"annotations of no image: 1, as {stray}; images without one count as background"
    ]
    assert ([field.name for field in both], [field.name for field in alone]) == (["a", "b"], ["a"])
    assert not caplog.messages


# --- coco ---------------------------------------------------------------------------------------


def test_coco_has_polygons_and_runs_of_every_image_in_one_file(tmp_path):
    photograph(tmp_path / "images" / "deep" / "a.png")
    ring = [4, 5, 30, 5, 30, 20, 4, 20]  # x, y along pixel edges
    nothing = HEIGHT * 40  # run lengths go down the columns
    runs = {"size": [HEIGHT, WIDTH], "counts": [nothing, 3, HEIGHT * 3 - 3]}
    document = {
        "images": [{"id": 7, "file_name": "deep/a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "cytoplasm"}, {"id": 2, "name": "nucleus"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [ring], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 2, "segmentation": runs, "iscrowd": 1},
        ],
    }
    (tmp_path / "all.json").write_text(json.dumps(document))
    source = {"kind": "coco", "images": str(tmp_path / "images"),
              "annotations": str(tmp_path / "all.json")}  # fmt: skip

    found = read(source, classes=TWO)

    expected = drawn((5, 4, 20, 30))
    expected[0:3, 40] = 2
    np.testing.assert_array_equal(found.mask, expected)
    assert found.objects.max() == 2

    photograph(tmp_path / "images" / "b.png")
    assert refusal(source, classes=TWO).split("\n")[1:] == [
        f"  {tmp_path}/images/b.png: not in the COCO file"
    ]
    (tmp_path / "images" / "b.png").unlink()
    photograph(tmp_path / "images" / "a.png")  # by its last part it would be deep/a.png
    assert refusal(source, classes=TWO).split("\n")[1:] == [
        f"  {tmp_path}/images/a.png and {tmp_path}/images/deep/a.png: both are 'deep/a.png' of "
        f"{tmp_path}/all.json"
    ]


# --- label images -------------------------------------------------------------------------------


def test_label_images_of_cellpose_and_stardist_are_found_and_kept_as_objects(tmp_path):
    objects = drawn((1, 2, 9, 20), (9, 2, 20, 20), value=None)  # they touch
    for name, file in (("a", "a_cp_masks.png"), ("b", "b.png")):
        photograph(tmp_path / "images" / f"{name}.png")
        write_label_image(tmp_path / "labels" / file, objects.astype(np.uint16))
    source = {"kind": "label_images", "images": str(tmp_path / "images"),
              "masks": str(tmp_path / "labels"), "class_name": "nucleus"}  # fmt: skip
    data = DataConfig.model_validate({"source": source, "classes": TWO})

    fields = find_fields(data)

    assert [field.name for field in fields] == ["a", "b"]
    for field in fields:
        found = read_field(field, data)[1]
        np.testing.assert_array_equal(found.mask, 2 * (objects > 0))
        np.testing.assert_array_equal(found.objects, objects)


# --- sipakmed -----------------------------------------------------------------------------------


def sipakmed(tmp_path, **keys):
    folder = tmp_path / "im_Metaplastic" / "im_Metaplastic"
    photograph(folder / "001.bmp")
    contour(folder / "001_cyt01.dat", 5, 4, 20, 30)
    contour(folder / "001_nuc01.dat", 8, 9, 12, 15)
    contour(folder / "001_cyt02.dat", 22, 4, 30, 30)
    contour(folder / "001_nuc02.dat", 24, 9, 26, 15)
    return {"kind": "sipakmed", "folder": str(tmp_path), "categories": ["Metaplastic"], **keys}


@pytest.mark.parametrize(
    ("keys", "classes", "cell", "nucleus"),
    [
        ({}, {"cell": "#00ff00"}, 1, 1),
        ({"contours": "nucleus_cytoplasm"}, TWO, 1, 2),
        ({"contours": "category"}, {"Parabasal": "#00ff00", "Metaplastic": "#ff0000"}, 2, 2),
        ({"contours": "category", "rename": {"Metaplastic": "cell"}}, {"cell": "#00ff00"}, 1, 1),
    ],
)
def test_the_contours_of_sipakmed_become_what_is_asked_for(
    tmp_path, *, keys, classes, cell, nucleus
):
    found = read(sipakmed(tmp_path, **keys), classes=classes)

    expected = drawn((5, 4, 20, 30), (22, 4, 30, 30), value=cell)
    expected[8:12, 9:15] = expected[24:26, 9:15] = nucleus
    # Contours run through the centres of the outermost pixels, which may lie on either side.
    near_an_edge = ndimage.maximum_filter(expected, 3) != ndimage.minimum_filter(expected, 3)
    np.testing.assert_array_equal(found.mask[~near_an_edge], expected[~near_an_edge])
    assert {cell, nucleus} == set(np.unique(found.mask)) - {0}
    assert found.objects.max() == (4 if cell != nucleus else 2)


def test_a_photograph_of_sipakmed_without_contours_shows_background_where_that_is_said(tmp_path):
    source = sipakmed(tmp_path)
    photograph(tmp_path / "im_Metaplastic" / "im_Metaplastic" / "002.bmp")
    data = {"source": source, "missing_mask": "background"}

    fields = find_fields(DataConfig.model_validate(data))
    assert [(field.name, field.truth is None) for field in fields] == [
        ("Metaplastic_001", False), ("Metaplastic_002", True),
    ]  # fmt: skip
    with pytest.raises(DataError, match="no contour like 002_cyt01.dat"):
        read_field(find_fields(DataConfig.model_validate({"source": source}))[1], DataConfig())


# --- masks --------------------------------------------------------------------------------------


def test_kinds_may_be_mixed_and_a_name_in_both_is_told_apart_by_its_folders(tmp_path):
    one = geojson(tmp_path / "one", feature("cell", box(2, 3, 9, 11)))
    photograph(tmp_path / "two" / "images" / "b.png")
    photograph(tmp_path / "two" / "masks" / "b.png")
    two = {"images": str(tmp_path / "two/images"), "masks": str(tmp_path / "two/masks")}

    names = [f.name for f in find_fields(DataConfig.model_validate({"source": [one, two]}))]
    assert names == ["a", "b"]

    photograph(tmp_path / "two" / "images" / "a.png")
    photograph(tmp_path / "two" / "masks" / "a.png")
    names = [f.name for f in find_fields(DataConfig.model_validate({"source": [one, two]}))]
    assert names == ["b", "one_images_a", "two_images_a"]
