import csv
import json
import math
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.annotations.geojson import read_geojson
from cervseg.annotations.shapes import paint
from cervseg.classes import Classes
from cervseg.errors import OutputError
from cervseg.inference.objects.files import COLUMNS, write_objects
from cervseg.inference.objects.finding import find_objects
from cervseg.inference.rows import RowArray

CLASSES = Classes.of({"cell": "#00ff00", "kernel/é": "#ff0000"})


@st.composite
def masks(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.2, 0.5, 0.8])
    classes = rng.integers(1, rng.choice([2, 3]), shape)
    return np.where(rng.random(shape) < share, classes, 0).astype(np.uint8)


MASK = np.array(
    [
        [1, 1, 1, 0, 2],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ],
    np.uint8,
)


def segments_of(mask):
    answers = RowArray(np.full((*mask.shape, 2), 0.75, np.float32))
    return find_objects(RowArray(mask), answers, first_channel=0)


def written(folder, mask=MASK, *, mpp=None, scale=(1, 1), **kind):
    """Write, and read back with other people's readers: features, rows, counts."""
    geojson, table = folder / "objects.geojson", folder / "objects.csv"
    counts = write_objects(
        geojson, table, segments_of(mask), classes=CLASSES, mpp=mpp, scale=scale, **kind
    )
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return json.loads(geojson.read_text(encoding="utf-8")), rows, counts


@given(mask=masks())
def test_objects_are_read_back_as_they_were(tmp_path_factory, mask):
    folder = tmp_path_factory.mktemp("objects")
    document, rows, counts = written(folder, mask)

    shapes = read_geojson(folder / "objects.geojson") if rows else []
    index = {name: i for i, name in enumerate(CLASSES.names, start=1)}
    np.testing.assert_array_equal(paint(shapes, *mask.shape, index=index).mask, mask)
    for feature, row in zip(document["features"], rows, strict=True):
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert geometry.is_valid
        assert geometry.area == float(row["area_px"])
        assert feature["id"] == row["id"]
    assert counts == [
        (name, ndimage.label(mask == i, np.ones((3, 3)))[1], np.count_nonzero(mask == i))
        for name, i in index.items()
    ]


def test_a_feature_is_what_qupath_exports(tmp_path):
    document, _, _ = written(tmp_path)

    assert document["type"] == "FeatureCollection"
    first, second = document["features"]
    assert first["geometry"]["type"] == "Polygon"
    assert second["geometry"]["type"] == "MultiPolygon", "its parts meet at a corner"
    assert first["properties"] == {
        "objectType": "detection",
        "classification": {"name": "kernel/é", "color": [255, 0, 0]},
        "measurements": {"Area px^2": 1, "Perimeter px": 2.682, "Mean probability": 0.75},
    }
    assert first["geometry"]["coordinates"] == [[[4, 0], [5, 0], [5, 1], [4, 1], [4, 0]]]
    assert uuid.UUID(first["id"]).version == 5
    assert first["id"] != second["id"]


def test_as_annotations_only_the_type_is_another(tmp_path):
    detections, rows, _ = written(tmp_path / "a")
    annotations, same, _ = written(tmp_path / "b", kind="annotation")

    assert {f["properties"].pop("objectType") for f in annotations["features"]} == {"annotation"}
    assert {f["properties"].pop("objectType") for f in detections["features"]} == {"detection"}
    assert annotations == detections and rows == same


def test_a_row_of_the_table_by_hand(tmp_path):
    _, rows, _ = written(tmp_path, mpp=0.5)

    row = rows[1]
    assert tuple(row) == COLUMNS
    assert row["class"] == "cell"
    assert [row[key] for key in ("top", "left", "height", "width")] == ["0", "0", "4", "4"]
    assert [row["row"], row["column"]] == ["1.722", "1.722"]
    assert [row["area_px"], row["area_um2"], row["holes"]] == ["9", "2.25", "1"]
    assert float(row["perimeter_um"]) == pytest.approx(float(row["perimeter_px"]) / 2, abs=1e-3)
    assert float(row["diameter_px"]) == pytest.approx(2 * math.sqrt(9 / math.pi), abs=1e-3)
    assert row["probability"] == "0.75"


def test_micrometres_are_empty_where_they_are_unknown(tmp_path):
    document, rows, _ = written(tmp_path)

    assert {row["area_um2"] for row in rows} == {row["perimeter_um"] for row in rows} == {""}
    assert not any("µm" in key for f in document["features"] for key in
                   f["properties"]["measurements"])  # fmt: skip


def test_everything_is_in_pixels_of_the_full_image(tmp_path):
    plain, plain_rows, counts = written(tmp_path / "plain")
    document, rows, scaled_counts = written(tmp_path / "scaled", scale=(2.5, 4), mpp=0.25)

    assert scaled_counts == counts, "counted in pixels of the mask"
    for before, after in zip(plain["features"], document["features"], strict=True):
        one, other = (shapely.from_geojson(json.dumps(f["geometry"])) for f in (before, after))
        expected = shapely.transform(one, lambda points: points * (4, 2.5))
        assert shapely.equals_exact(expected, other)
        assert after["properties"]["measurements"]["Area µm^2"] == pytest.approx(
            other.area * 0.25**2, abs=1e-3
        )
    for before, after in zip(plain_rows, rows, strict=True):
        assert float(after["row"]) == pytest.approx(2.5 * float(before["row"]), abs=2e-3)
        assert float(after["width"]) == 4 * float(before["width"])
        assert float(after["area_px"]) == 10 * float(before["area_px"])


def test_equal_objects_make_equal_bytes(tmp_path):
    written(tmp_path / "one", mpp=0.3)
    written(tmp_path / "other", mpp=0.3)

    for name in ("objects.geojson", "objects.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_no_objects_make_files_without_any(tmp_path):
    document, rows, counts = written(tmp_path, np.zeros((3, 5), np.uint8))

    assert document == {"type": "FeatureCollection", "features": []}
    assert rows == [] and [count.objects for count in counts] == [0, 0]


def test_a_long_outline_is_written_in_parts(tmp_path, monkeypatch):
    expected, _, _ = written(tmp_path)
    monkeypatch.setattr("cervseg.inference.objects.files._POINTS", 2)

    assert written(tmp_path)[0] == expected


def test_a_break_leaves_no_half_file(tmp_path):
    def breaking():
        yield from segments_of(MASK)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_objects(
            tmp_path / "a.geojson", tmp_path / "a.csv", breaking(), classes=CLASSES, mpp=None
        )

    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_told_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError) as caught:
        written(tmp_path / "file" / "folder")

    assert str(caught.value).startswith(f"{tmp_path / 'file' / 'folder' / 'objects.geojson'}: ")
