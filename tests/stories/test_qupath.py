"""docs/qupath.md from beginning to end; a few lines stand in for the person at QuPath."""

import json
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.contract import Contract, find_model

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "qupath.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEW = (40, 30, 100, 90)  # top, left, bottom, right of a cell that the model missed


def exported(feature, of, **properties):
    """A feature of a class as QuPath writes it: two digits after the point, an identifier."""
    outline = feature["geometry"] | {"coordinates": _rounded(feature["geometry"]["coordinates"])}
    classification = {"name": of, "color": [0, 255, 0]}
    return {
        "type": "Feature",
        "id": feature.get("id", str(uuid.uuid4())),
        "geometry": outline,
        "properties": {
            "objectType": "annotation",
            "classification": classification,
            "isLocked": False,
            **properties,
        },
    }


def _rounded(value):
    return round(value, 2) if isinstance(value, int | float) else [_rounded(v) for v in value]


def box(corners):
    top, left, bottom, right = corners
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}}


def correct(found, squares, path):
    """Delete the first cell, move a corner of the second, add one; leave the squares in.

    Returns:
        A pixel of the deleted cell, and one that only the moved corner took in: row, column.
    """
    false, moved, *others = json.loads(found.read_text())["features"]
    (ring, *_) = moved["geometry"]["coordinates"]
    x, y = ring[0]
    ring[0] = ring[-1] = [x - 9, y - 9]  # its first corner is the leftmost of the uppermost
    features = [
        exported(moved, "cell", measurements={"Circularity": float("nan")}),
        *(exported(other, "cell") for other in others),
        exported(box(NEW), "cell", name="missed"),
        *(exported(f, "look first") for f in json.loads(squares.read_text())["features"]),
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    inside = np.mean(false["geometry"]["coordinates"][0][:-1], axis=0)
    return tuple(int(n) for n in inside[::-1]), (y - 4, x - 4)


def read(path):
    with Pillow.open(path) as file:
        return np.asarray(file)


@pytest.mark.slow
def test_outlines_are_corrected_and_learned(clone):
    outline, stand_in, train, again = BLOCKS
    qupath = clone.folder / "qupath"

    for block in (outline, stand_in):
        ran = clone.shell(block)
        assert ran.code == 0, ran.err
    found = qupath / "found/objects/field_001.geojson"
    (qupath / "corrected/field_001.geojson").unlink()
    deleted, taken_in = correct(
        found, qupath / "found/look_first/field_001.geojson",
        qupath / "corrected/field_001.jpg.geojson",
    )  # fmt: skip
    ran = clone.shell(train)
    assert ran.code == 0, ran.err
    assert "290 of 290 weights start from builtin:metaplastic" in ran.err

    before, after = (
        read(qupath / "found/masks/field_001.png"),
        read(qupath / "tiles/masks/field_001.png"),
    )
    top, left, bottom, right = NEW
    assert before[deleted] == 1 and after[deleted] == 0
    assert before[taken_in] == 0 and after[taken_in] == 1
    assert not before[top:bottom, left:right].any() and after[top:bottom, left:right].all()
    objects = read(qupath / "tiles/objects/field_001.png")
    assert objects.max() == len(json.loads(found.read_text())["features"]), "one less, one more"
    other = "masks/field_003.png"  # not corrected: to the pixel what the model drew
    np.testing.assert_array_equal(read(qupath / "found" / other), read(qupath / "tiles" / other))

    ran = clone.shell(again)
    assert ran.code == 0, ran.err
    kinds = [
        feature["properties"]["objectType"]
        for path in (qupath / "again/objects").glob("*.geojson")
        for feature in json.loads(path.read_text())["features"]
    ]
    assert set(kinds) == {"annotation"}
    ours, start = (Contract.load(find_model(Path(model)))
                   for model in (qupath / "run", "builtin:metaplastic"))  # fmt: skip
    assert (ours.tile_size, ours.postprocess) == (start.tile_size, start.postprocess)
    refused = clone.shell(
        "cd qupath; cervseg evaluate --model run --images fields/images --masks fields/masks"
    )
    assert refused.code == 4, refused.err
