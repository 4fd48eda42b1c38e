"""Damaged annotations end in a valid result or in one line for people, and soon."""

import json
import os
import time
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.annotations.coco import read_coco
from cervseg.annotations.geojson import read_geojson
from cervseg.annotations.label_images import read_label_image
from cervseg.annotations.rings import Polygon
from cervseg.annotations.shapes import Shape, paint
from cervseg.annotations.sipakmed import find_sipakmed, read_contours
from cervseg.errors import CervsegError

SIDES = (23, 31)
INDEX = {"cell": 1, "nucleus": 2, "cytoplasm": 3, "unclassified": 0, "Ignore*": 255}
RING = [[2, 3], [19.5, 3], [19.5, 17], [2, 17], [2, 3]]
HOLE = [[4, 5], [9, 5], [9, 8], [4, 5]]

VALUES = [
    None, True, 0, -1, 3, 2.5, 1e308, -1e308, 1e-308, 2**31, 2**63, 10**300, float("nan"),
    "", "cell", "1", "\ud800", "é" * 5, "a\nb", "o" * 20,
    [], {}, [[]], [[[[[]]]]], [0], [[0, 0]] * 3, [1e999], [[1, 2], [3]], {"type": "Polygon"}, [{}],
]  # fmt: skip
LINES = [
    "",
    ",",
    "nan,1",
    "1,inf",
    "1e9,1e9",
    "-5,-5",
    "1,2,3",
    "x",
    "\0",
    "1_0,3",
    "9" * 400,
    "٣,٤",
]


def feature(name, geometry):
    properties = {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        feature("cell", {"type": "Polygon", "coordinates": [RING, HOLE]}),
        feature("nucleus", {"type": "MultiPolygon", "coordinates": [[HOLE], [RING[:3]]]}),
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [HOLE]}},
    ],
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 23, "width": 31}],
    "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [sum(RING, [])], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1,
         "segmentation": {"size": [23, 31], "counts": [100, 30, 7, 50, 526]}},
        {"id": 3, "image_id": 1, "category_id": 2,
         "segmentation": {"size": [23, 31], "counts": "f39>HC6=200g?"}},
    ],
}  # fmt: skip


def nodes(value):
    """Every place in a document: its holder and key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from nodes(value[key])


def spoil_json(document, rng):
    document = json.loads(json.dumps(document))
    for _ in range(rng.integers(1, 4)):
        places = list(nodes(document))
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        action = rng.integers(4)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.extend(holder[key:] * int(rng.integers(1, 12)))
        elif action == 2:
            other, place = places[rng.integers(len(places))]
            holder[key] = json.loads(json.dumps(other[place]))
        else:
            holder[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(document).encode()


def spoil_text(text, rng):
    lines = text.split("\n")
    for _ in range(rng.integers(1, 4)):
        lines.insert(rng.integers(len(lines) + 1), LINES[rng.integers(len(LINES))])
    return "\n".join(lines).encode()


def spoil_png(data, rng):
    """Another header, with the checksum that belongs to it."""
    header = bytearray(data[12:29])
    place = rng.integers(4, len(header))
    header[place] = rng.integers(256)
    return data[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def spoil_bytes(data, rng):
    data = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        data[rng.integers(len(data))] = rng.integers(256)
    if rng.random() < 0.4:
        del data[rng.integers(len(data)) :]
    return bytes(data)


def check(labels):
    mask, objects = labels
    assert mask.shape == objects.shape == SIDES
    assert set(np.unique(mask).tolist()) <= set(INDEX.values())
    check_numbers(objects)


def check_numbers(objects):
    numbers = np.unique(objects[objects > 0])
    assert objects.dtype == np.uint16
    assert numbers.tolist() == list(range(1, len(numbers) + 1))


def read_spoilt_geojson(folder, rng):
    path = folder / "a.geojson"
    whole = json.dumps(GEOJSON).encode()
    path.write_bytes(spoil_json(GEOJSON, rng) if rng.random() < 0.6 else spoil_bytes(whole, rng))
    check(paint(read_geojson(path), *SIDES, index=INDEX))


def read_spoilt_coco(folder, rng):
    path = folder / "coco.json"
    whole = json.dumps(COCO).encode()
    path.write_bytes(spoil_json(COCO, rng) if rng.random() < 0.6 else spoil_bytes(whole, rng))
    file = read_coco(path)
    if (name := file.find("a.png")) is not None:
        check(paint(file.shapes(name, *SIDES), *SIDES, index=INDEX))


def read_spoilt_contours(folder, rng):
    place = folder / "im_Parabasal"
    place.mkdir(exist_ok=True)
    (place / "001.bmp").touch()
    cell, nucleus = "2,3\n19,3\n19.5,17\n2,17\n", "4,5\n9,5\n9,8\n"
    (place / "001_nuc01.dat").write_text(nucleus)
    is_text = rng.random() < 0.5
    spoilt = spoil_text(cell, rng) if is_text else spoil_bytes(cell.encode(), rng)
    (place / "001_cyt01.dat").write_bytes(spoilt)
    (field,) = find_sipakmed(folder, ["Parabasal"])
    check(paint(read_contours(field, "nucleus_cytoplasm"), *SIDES, index=INDEX))


def read_spoilt_label_image(folder, rng):
    path = folder / "a.png"
    objects = rng.integers(0, 400, SIDES).astype([np.uint16, np.uint8][rng.integers(2)])
    Pillow.fromarray(objects).save(path)
    data = path.read_bytes()
    path.write_bytes(spoil_png(data, rng) if rng.random() < 0.5 else spoil_bytes(data, rng))
    check_numbers(read_label_image(path))


KINDS = [
    read_spoilt_geojson, read_spoilt_coco, read_spoilt_contours, read_spoilt_label_image
]  # fmt: skip


def survive(read, folder, seeds):
    """Read damaged files; give how many were still valid."""
    valid = 0
    for seed in seeds:
        started = time.monotonic()
        try:
            read(folder, np.random.default_rng(seed))
            valid += 1
        except CervsegError as error:
            message = str(error)
            assert message and "\n" not in message and message.isprintable(), (seed, message)
        assert time.monotonic() - started < 10, seed
    return valid


def test_what_is_spoilt_here_is_valid_before(tmp_path):
    (tmp_path / "a.geojson").write_text(json.dumps(GEOJSON))
    (tmp_path / "coco.json").write_text(json.dumps(COCO))

    check(paint(read_geojson(tmp_path / "a.geojson"), *SIDES, index=INDEX))
    check(paint(read_coco(tmp_path / "coco.json").shapes("a.png", *SIDES), *SIDES, index=INDEX))


@pytest.mark.parametrize("read", KINDS)
def test_damaged_files_end_well_or_in_one_line(tmp_path, read):
    valid = survive(read, tmp_path, range(15))

    assert valid < 15


@pytest.mark.slow
@pytest.mark.parametrize("read", KINDS)
def test_many_damaged_files_end_well_or_in_one_line(tmp_path, read):
    valid = survive(read, tmp_path, range(100, 1600))

    assert 0 < valid < 1500


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"features":'])
def test_deep_nesting_is_refused(tmp_path, opening):
    path = tmp_path / "a.json"
    path.write_text(opening * 200_000)

    for read in (read_geojson, read_coco):
        with pytest.raises(CervsegError, match="nested too deeply$"):
            read(path)


@pytest.mark.parametrize("read", [read_geojson, read_coco, read_label_image])
def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path, read):
    os.mkfifo(tmp_path / "a.png")

    with pytest.raises(CervsegError, match="a.png: a pipe or a device, not a file$"):
        read(tmp_path / "a.png")


def test_a_contour_that_is_a_pipe_is_refused(tmp_path):
    place = tmp_path / "im_Parabasal"
    place.mkdir()
    (place / "001.bmp").touch()
    os.mkfifo(place / "001_cyt01.dat")
    (field,) = find_sipakmed(tmp_path, ["Parabasal"])

    with pytest.raises(CervsegError, match="001_cyt01.dat: a pipe or a device, not a file$"):
        read_contours(field, "cell")


def test_a_zigzag_over_all_rows_is_refused_rather_than_painted_for_hours():
    rows = np.tile([0.0, 30_000.0], 60_000)
    zigzag = np.stack([rows, np.arange(rows.size) / 5], axis=-1)
    shape = Shape("cell", (Polygon(zigzag),))

    with pytest.raises(CervsegError, match="more pixels in all than any real annotation"):
        paint([shape], 20_000, 50, index={"cell": 1})
