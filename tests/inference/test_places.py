import json

import pytest

from cervseg.errors import DataError
from cervseg.files import read_csv
from cervseg.inference.places import write_ranking

COLUMNS = ("pixels_expected_wrong", "image", "rank_in_image", "top", "left", "height", "width")


def places(path, *ranked):
    """A GeoJSON of places of 30 rows and 20 columns: rank, and pixels expected to be wrong."""
    ring = [[5, 10], [25, 10], [25, 40], [5, 40], [5, 10]]
    features = [
        {
            "geometry": {"coordinates": [ring]},
            "properties": {"measurements": {"Rank": rank, "Pixels expected to be wrong": wrong}},
        }
        for rank, wrong in ranked
    ]
    path.write_text(json.dumps({"features": features}))
    return path


def test_the_places_of_all_images_are_ranked_together(tmp_path):
    images = [
        ("a", places(tmp_path / "a.geojson", (1, 70.5), (2, 8))),
        ("b", places(tmp_path / "b.geojson", (1, 9))),
    ]

    write_ranking(tmp_path / "all.csv", images)

    rows = read_csv(tmp_path / "all.csv", COLUMNS, what="ranking")
    assert [(row["image"], row["rank_in_image"]) for row in rows] == [
        ("a", "1"), ("b", "1"), ("a", "2"),
    ]  # fmt: skip
    assert [rows[0][name] for name in COLUMNS[3:]] == ["10", "5", "30", "20"]


@pytest.mark.parametrize("rank", [float("inf"), "first", None])
def test_broken_places_are_named(tmp_path, rank):
    path = places(tmp_path / "a.geojson", (rank, 3))

    with pytest.raises(DataError) as caught:
        write_ranking(tmp_path / "all.csv", [("a", path)])

    assert str(caught.value).startswith(f"{path}: not readable places: ")
    assert not (tmp_path / "all.csv").exists()
