import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cervseg.annotations import documents
from cervseg.annotations.geojson import read_geojson, write_geojson
from cervseg.annotations.shapes import Labels, paint, renumber, trace
from cervseg.classes import Classes
from cervseg.errors import DataError

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0010"})
INDEX = {"cell": 1, "nucleus": 2}
SQUARE = [[2, 3], [9, 3], [9, 7], [2, 7], [2, 3]]
HOLE = [[4, 4], [5, 4], [5.5, 5], [4, 4]]


def feature(coordinates=(SQUARE,), kind="Polygon", **properties):
    geometry = {"type": kind, "coordinates": list(coordinates)}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


def saved(folder, document):
    path = folder / "a.geojson"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def refusal(folder, document):
    path = saved(folder, document)
    with pytest.raises(DataError) as caught:
        read_geojson(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: {"type": "FeatureCollection", "features": [one]},
        lambda one: [one],
        lambda one: one,
    ],
)
def test_a_collection_a_list_and_a_single_feature_are_read_alike(tmp_path, wrap):
    one = feature(classification={"name": "cell", "color": [1, 2, 3]}, objectType="annotation")

    (shape,) = read_geojson(saved(tmp_path, wrap(one)))

    assert (shape.name, shape.record) == ("cell", "feature 1")
    (polygon,) = shape.polygons
    assert polygon.exterior.tolist() == [[3, 2], [3, 9], [7, 9], [7, 2]]  # row, column
    assert polygon.holes == ()


def test_x_is_across_y_down_and_corners_of_pixels_are_whole(tmp_path):
    mask, _ = paint(read_geojson(saved(tmp_path, feature(classification={"name": "cell"}))), 11, 15,
                    index=INDEX)  # fmt: skip

    assert mask.sum() == 28 and mask[3:7, 2:9].all()


def test_holes_and_several_polygons_are_read(tmp_path):
    many = feature([[SQUARE, HOLE], [HOLE]], "MultiPolygon")

    (shape,) = read_geojson(saved(tmp_path, many))

    assert [len(polygon.holes) for polygon in shape.polygons] == [1, 0]
    assert shape.polygons[0].holes[0].tolist() == [[4, 4], [4, 5], [5, 5.5]]


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({}, "unclassified"),
        ({"classification": None}, "unclassified"),
        ({"classification": {"name": "Tumor"}, "objectType": "detection"}, "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
    ],
)
def test_the_name_is_that_of_the_classification(tmp_path, properties, name):
    assert read_geojson(saved(tmp_path, feature(**properties)))[0].name == name


def test_a_feature_may_have_no_properties_and_points_a_height(tmp_path):
    one = feature([[[*point, 0] for point in SQUARE]])
    del one["properties"]

    assert read_geojson(saved(tmp_path, one))[0].polygons[0].area == 28


def test_the_nucleus_inside_the_feature_of_a_cell_is_not_read(tmp_path):
    cell = feature(objectType="cell") | {"nucleusGeometry": {"type": "Polygon"}}

    assert len(read_geojson(saved(tmp_path, cell))) == 1


def test_a_measurement_that_qupath_could_not_take_is_no_error(tmp_path):
    one = feature(measurements={"Nucleus/Cell area ratio": float("nan")})

    assert "NaN" in saved(tmp_path, one).read_text()
    assert read_geojson(saved(tmp_path, one))[0].polygons[0].area == 28


def test_no_features_are_no_shapes(tmp_path):
    assert read_geojson(saved(tmp_path, {"type": "FeatureCollection", "features": []})) == []


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("[", "not readable as GeoJSON: Expecting value: line 1 column 2 (char 1)"),
        ("[" * 100_000, "not readable as GeoJSON: nested too deeply"),
        ("[NaN]", "feature 1: an object expected, not NaN"),
        ("[-Infinity]", "feature 1: an object expected, not -Infinity"),
        ("[" + json.dumps(feature()).replace("9", "NaN") + "]",
         "feature 1: a coordinate that is not finite"),
        ({"type": "Polygon"}, "no features in it, so it is no export of QuPath"),
        (3, "no features in it, so it is no export of QuPath"),
        ([feature(), 3], "feature 2: an object expected, not 3"),
        ([{"type": "Feature"}], "feature 1: geometry: an object expected, not nothing"),
        ([feature(kind="Point")], 'feature 1: geometry "Point" has no inside'),
        ([feature(kind="LineString")], 'feature 1: geometry "LineString" has no inside'),
        ([feature(kind=["x"])], "feature 1: geometry a list of 1 has no inside"),
        ([feature(kind="x" * 99)], f'feature 1: geometry "{"x" * 36}… has no inside'),
        ([feature([])], "feature 1: a polygon without an outline"),
        ([feature([], "MultiPolygon")], "feature 1: no polygon in it"),
        ([feature([SQUARE[:2]])], "feature 1: ring with 2 points, at least 3 needed"),
        ([feature([SQUARE, HOLE[:1]])], "feature 1: ring with 1 point, at least 3 needed"),
        ([feature([7])], "feature 1: ring: a list expected, not 7"),
        ([feature([[1, 2, 3]])], "feature 1: points that are no pairs of numbers"),
        ([feature([[["1", "2"]] * 3])], "feature 1: points that are no pairs of numbers"),
        ("[" + json.dumps(feature()).replace("9", "1e999") + "]",
         "feature 1: a coordinate that is not finite"),
        ([feature(classification=3)], "feature 1: classification: an object expected, not 3"),
        ([feature(classification={})],
         "feature 1: classification.name: text expected, not nothing"),
        ([feature(classification={"names": [1]})],
         "feature 1: classification.names: text expected, not 1"),
    ],
)  # fmt: skip
def test_what_is_broken_is_told_with_its_feature(tmp_path, document, told):
    assert refusal(tmp_path, document) == told


def test_points_and_lines_are_to_be_removed(tmp_path):
    with pytest.raises(DataError) as caught:
        read_geojson(saved(tmp_path, feature(kind="MultiPoint")))

    assert caught.value.hint == (
        "only Polygon and MultiPolygon can be segmented; remove points and lines"
    )


def test_a_missing_file_and_one_that_is_far_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"b\.geojson: no such file$"):
        read_geojson(tmp_path / "b.geojson")
    monkeypatch.setattr(documents, "LARGEST", 2**20)
    assert refusal(tmp_path, " " * (2**20 + 1)) == "over 1 MB, too large for GeoJSON"


# --- written ------------------------------------------------------------------------------------


def labels_of(picture):
    objects = renumber(picture)
    return Labels(np.where(objects, 2 - objects % 2, 0).astype(np.uint8), objects)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    picture=arrays(
        np.uint16,
        st.tuples(st.integers(1, 13), st.integers(1, 17)),
        elements=st.sampled_from([0, 1, 1, 2, 7]),
    )
)
def test_masks_and_objects_come_back_exactly(tmp_path, picture):
    labels, path = labels_of(picture), tmp_path / "a.geojson"

    write_geojson(path, trace(labels, TWO.names), TWO)
    again = paint(read_geojson(path), *picture.shape, index=INDEX)

    np.testing.assert_array_equal(again.mask, labels.mask)
    np.testing.assert_array_equal(again.objects, labels.objects)


def test_qupath_finds_what_it_needs_and_the_file_is_the_same_every_time(tmp_path):
    picture = np.zeros((7, 11), np.uint16)
    picture[1:6, 1:6] = 1
    picture[2, 2] = 0
    picture[3, 8] = picture[5, 8] = 2
    shapes = trace(labels_of(picture), TWO.names)

    write_geojson(tmp_path / "a.geojson", shapes, TWO)
    write_geojson(tmp_path / "b.geojson", shapes * 2, TWO)

    text = (tmp_path / "a.geojson").read_text()
    write_geojson(tmp_path / "a.geojson", shapes, TWO)
    assert (tmp_path / "a.geojson").read_text() == text
    document = json.loads(text)
    assert document["type"] == "FeatureCollection"
    first, second = document["features"]
    assert first["type"] == "Feature"
    assert first["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[1, 1], [6, 1], [6, 6], [1, 6], [1, 1]],
            [[2, 3], [3, 3], [3, 2], [2, 2], [2, 3]],
        ],
    }
    assert second["geometry"]["type"] == "MultiPolygon"
    assert first["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "cell", "color": [0, 255, 0]},
    }
    assert second["properties"]["classification"] == {"name": "nucleus", "color": [255, 0, 16]}
    ids = [f["id"] for f in json.loads((tmp_path / "b.geojson").read_text())["features"]]
    assert len(set(ids)) == 4


def test_a_name_that_is_no_class_is_grey(tmp_path):
    one = np.ones((3, 5), np.uint16)
    shapes = trace(Labels(one.astype(np.uint8), one), ["Ignore*"])

    write_geojson(tmp_path / "a.geojson", shapes, TWO)

    (only,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    classification = {"name": "Ignore*", "color": [180, 180, 180]}
    assert only["properties"]["classification"] == classification
