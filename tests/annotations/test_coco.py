import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cervseg.annotations import coco
from cervseg.annotations.coco import read_coco
from cervseg.annotations.shapes import paint
from cervseg.errors import DataError

SIDES = (7, 9)
BOX = [2, 1, 6, 1, 6, 5, 2, 5]
"""x, y in turn."""


def annotation(segmentation=(BOX,), **more):
    plain = {"id": 17, "image_id": 1, "category_id": 3, "segmentation": segmentation}
    return plain | more


def document(*annotations, **more):
    plain = {
        "images": [{"id": 1, "file_name": "a.png", "height": 7, "width": 9}],
        "categories": [{"id": 3, "name": "cell"}, {"id": 4, "name": "nucleus"}],
        "annotations": list(annotations),
    }
    return plain | more


def saved(folder, content):
    path = folder / "coco.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def shapes_of(folder, *annotations):
    return read_coco(saved(folder, document(*annotations))).shapes("a.png", *SIDES)


def painted(folder, *annotations):
    return paint(shapes_of(folder, *annotations), *SIDES, index={"cell": 1, "nucleus": 2}).mask


def runs_of(mask):
    """Run lengths of a mask, background first, down the columns."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = [0, *changes, flat.size]
    first = [0] if flat[0] else []
    return [*first, *np.diff(bounds).tolist()]


def rle(counts, size=SIDES):
    return {"size": list(size), "counts": counts}


def compressed(counts):
    """COCO's compression, as its description says."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + 32 * more + 48)
    return text


# --- what is read -------------------------------------------------------------------------------


def test_polygons_are_x_and_y_in_turn(tmp_path):
    mask = painted(tmp_path, annotation(), annotation([[0, 0, 1, 0, 1, 1, 0, 1]], category_id=4))

    assert (mask[1:5, 2:6] == 1).all() and mask[0, 0] == 2 and (mask > 0).sum() == 17


def test_polygons_of_one_annotation_are_one_object_and_a_crowd_counts(tmp_path):
    (shape,) = shapes_of(tmp_path, annotation([BOX, [0, 0, 1, 0, 1, 1]], iscrowd=1))

    assert (shape.name, shape.record, len(shape.polygons)) == ("cell", "annotation 17", 2)


@given(
    mask=arrays(np.uint8, SIDES, elements=st.integers(0, 1)).filter(np.any), squeezed=st.booleans()
)
def test_run_lengths_become_their_pixels(tmp_path_factory, mask, squeezed):
    runs = runs_of(mask)
    segmentation = rle(compressed(runs) if squeezed else runs)

    found = painted(tmp_path_factory.getbasetemp(), annotation(segmentation))

    np.testing.assert_array_equal(found, mask)


def test_run_lengths_as_the_tools_of_coco_compress_them(tmp_path):
    # Made with pycocotools 2.0.11: rows 2 to 4 of columns 3 to 6, without pixel (3, 5).
    mask = np.zeros(SIDES, np.uint8)
    mask[2:5, 3:7] = 1
    mask[3, 5] = 0
    content = document(annotation(rle("g03400NM032<")))

    (shape,) = read_coco(saved(tmp_path, content)).shapes("a.png", *SIDES)

    np.testing.assert_array_equal(paint([shape], *SIDES, index={"cell": 1}).mask, mask)


def test_a_run_of_no_background_joins_its_neighbours(tmp_path):
    mask = painted(tmp_path, annotation(rle([2, 3, 0, 4, 54])))

    assert mask.T.ravel().tolist() == [0] * 2 + [1] * 7 + [0] * 54


def test_an_image_without_annotations_has_no_shapes(tmp_path):
    assert shapes_of(tmp_path) == []


def test_sides_may_be_missing(tmp_path):
    content = document(annotation(), images=[{"id": "x", "file_name": "a.png"}])
    content["annotations"][0]["image_id"] = "x"

    assert len(read_coco(saved(tmp_path, content)).shapes("a.png", 70, 90)) == 1


# --- images -------------------------------------------------------------------------------------


def named(folder, *names):
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    return read_coco(saved(folder, document(images=images)))


def test_an_image_is_found_by_its_path_or_else_by_the_last_part(tmp_path):
    file = named(tmp_path, "a.png", "deep/b.png", "x\\y\\c.png", "1/d.png", "2/d.png")

    assert file.find("a.png") == "a.png"
    assert file.find("elsewhere/a.png") == "a.png"
    assert file.find("b.png") == "deep/b.png"
    assert file.find("x/y/c.png") == "x/y/c.png"
    assert file.find("2/d.png") == "2/d.png"
    assert file.find("e.png") is None


def test_an_image_that_could_be_two_is_refused(tmp_path):
    file = named(tmp_path, "1/d.png", "2/d.png")

    with pytest.raises(DataError) as caught:
        file.find("d.png")

    told = f"{file.path}: 2 images called 'd.png', none of them 'd.png'"
    assert str(caught.value) == told
    assert caught.value.hint == (
        "choose data.source.images so that relative paths are those of the file"
    )


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not readable as COCO: Expecting property name enclosed in double quotes: line 1 "
              "column 2 (char 1)"),
        ("[" * 100_000, "not readable as COCO: nested too deeply"),
        ("[]", "an object expected, not a list of 0"),
        ({}, "categories: a list expected, not nothing"),
        (document(images=3), "images: a list expected, not 3"),
        (document(images=[3]), "image number 1: an object expected, not 3"),
        (document(images=[{"id": 4}]), "image 4: file_name: text expected, not nothing"),
        (document(images=[{"file_name": "a"}]),
         "image number 1: id must be a number or a text, not nothing"),
        (document(images=[{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]),
         "image 2: an image of this id or file_name comes twice"),
        (document(images=[{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]),
         "image 1: an image of this id or file_name comes twice"),
        (document(categories=[{"id": [1], "name": "a"}]),
         "category a list of 1: id must be a number or a text, not a list of 1"),
        (document(categories=[{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]),
         "category 3: another category has this id: \"a\""),
        (document(categories=[{"id": 3}]), "category 3: name: text expected, not nothing"),
        (document(annotation(image_id=2)), "annotation 17: no image has the id 2"),
        (document(annotation(category_id=9)), "annotation 17: no category has the id 9"),
        (document(annotation(category_id={})),
         "annotation 17: category_id must be a number or a text, not an object"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_coco_is_refused(tmp_path, content, told):
    path = saved(tmp_path, content)

    with pytest.raises(DataError) as caught:
        read_coco(path)

    assert str(caught.value) == f"{path}: {told}"


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        (None, "segmentation: a list expected, not nothing"),
        (3, "segmentation: a list expected, not 3"),
        ([3], "polygon: a list expected, not 3"),
        ([[1, 2, 3]], "a polygon of 3 numbers, x and y expected"),
        ([[1, 2, 3, 4]], "ring with 2 points, at least 3 needed"),
        ([[1, 2, 3, 4, 5, "6"]], "points that are no pairs of numbers"),
        ([[1, 2, 3, 4, 5, 1e300]], "a coordinate 1e+300 pixels away, at most 10000000"),
        ({}, "run lengths of size null, the image has [7, 9]"),
        (rle([63], [9, 7]), "run lengths of size [9, 7], the image has [7, 9]"),
        (rle(None), "counts: a list expected, not nothing"),
        (rle([60, 3.0]), "run lengths that are no whole numbers"),
        (rle([60, True, 2]), "run lengths that are no whole numbers"),
        (rle([60, [3]]), "run lengths that are no whole numbers"),
        (rle([60, 4]), "run lengths of 64 pixels, the image has 63"),
        (rle([]), "run lengths of 0 pixels, the image has 63"),
        (rle([60, -1, 4]), "a run below 0 or longer than the image's 63 pixels"),
        (rle([0, 10**400]), "a run below 0 or longer than the image's 63 pixels"),
        (rle([63]), "run lengths without a pixel"),
        (rle([3, 0, 60]), "run lengths without a pixel"),
        (rle(""), "run lengths that can't be decompressed"),
        (rle("é"), "run lengths that can't be decompressed"),
        (rle("\ud800"), "run lengths that can't be decompressed"),
        (rle("oo"), "run lengths that can't be decompressed"),
        (rle("oooooooo0"), "run lengths that can't be decompressed"),
        (rle("ooooooo?"), "run lengths that can't be decompressed"),
        (rle("oooooo?"), "a run below 0 or longer than the image's 63 pixels"),
    ],
)
def test_a_broken_annotation_is_told_by_its_id(tmp_path, segmentation, told):
    with pytest.raises(DataError) as caught:
        shapes_of(tmp_path, annotation(segmentation))

    assert str(caught.value) == f"{tmp_path / 'coco.json'}: annotation 17: {told}"


def test_a_box_alone_is_no_segmentation(tmp_path):
    with pytest.raises(DataError) as caught:
        shapes_of(tmp_path, annotation([]))

    assert str(caught.value) == f"{tmp_path / 'coco.json'}: annotation 17: no segmentation"
    assert caught.value.hint == "a box alone does not say which pixels"


def test_a_photograph_of_another_size_is_refused(tmp_path):
    path = saved(tmp_path, document(annotation()))

    with pytest.raises(DataError) as caught:
        read_coco(path).shapes("a.png", 9, 7)

    told = "9 x 7 pixels, the photograph has 7 x 9"
    assert str(caught.value) == f"{path}: image 'a.png': {told}"


def test_too_many_objects_and_absurd_work_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(coco, "MOST_OBJECTS", 2)
    with pytest.raises(DataError, match="image 'a.png': 3 objects, at most 2$"):
        shapes_of(tmp_path, *[annotation()] * 3)
    monkeypatch.undo()
    monkeypatch.setattr("cervseg.annotations.shapes.MOST_WORK", 1)
    with pytest.raises(DataError) as caught:
        shapes_of(tmp_path, *[annotation(rle([0, 63]))] * 3)
    told = "the shapes cover more pixels in all than any real annotation"
    assert str(caught.value) == f"{tmp_path / 'coco.json'}: image 'a.png': {told}"
