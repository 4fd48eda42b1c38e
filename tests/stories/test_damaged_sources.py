"""Damaged photographs, masks and annotations of every kind end in masks or in words, and soon.

The slow test is the whole promise: 300 files in a warm process, 50 more through the command.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.config.data import DataConfig
from cervseg.data.cutting import read_field
from cervseg.data.sources import find_fields
from cervseg.errors import CervsegError, ConfigError, DataError

HEIGHT, WIDTH = 61, 83
RING = [[10, 12], [60, 12], [60, 40], [10, 40], [10, 12]]


def whole(folder):
    """One good field of each kind: its section `source`, and the files that may be damaged."""
    rng = np.random.default_rng(7)
    rgb = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[12:40, 10:60] = 255
    kinds = {}
    for name, suffix, picture in (
        ("png", "png", mask), ("jpeg", "jpg", mask), ("tiff", "tif", mask), ("bmp", "bmp", mask),
        ("colour", "png", np.stack([0 * mask, mask, 0 * mask], axis=-1)),
    ):  # fmt: skip
        root = folder / name
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        Pillow.fromarray(rgb).save(root / "images" / f"a.{suffix}")
        Pillow.fromarray(picture).save(root / "masks" / f"a.{suffix}")
        source = {"images": str(root / "images"), "masks": str(root / "masks")}
        kinds[name] = source, sorted(root.rglob("a.*"))

    def photograph(name, file="images/a.png"):
        path = folder / name / file
        path.parent.mkdir(parents=True)
        Pillow.fromarray(rgb).save(path)
        return path

    geometry = {"type": "Polygon", "coordinates": [RING]}
    feature = {"type": "Feature", "geometry": geometry,
               "properties": {"classification": {"name": "cell"}}}  # fmt: skip
    outlines = photograph("geojson").with_suffix(".geojson")
    outlines.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    kinds["geojson"] = {"kind": "geojson", "images": str(outlines.parent)}, [outlines]

    images = photograph("coco").parent
    coco = folder / "coco" / "all.json"
    segmentation = {"size": [HEIGHT, WIDTH], "counts": [500, 40, HEIGHT * WIDTH - 540]}
    coco.write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [sum(RING, [])]},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": 1},
        ],
    }))  # fmt: skip
    kinds["coco"] = {"kind": "coco", "images": str(images), "annotations": str(coco)}, [coco]

    numbers = photograph("labels").parents[1] / "masks" / "a_cp_masks.png"
    numbers.parent.mkdir()
    Pillow.fromarray((mask > 0).astype(np.uint16) * np.uint16(300)).save(numbers)
    source = {"kind": "label_images", "images": str(folder / "labels" / "images"),
              "masks": str(numbers.parent)}  # fmt: skip
    kinds["labels"] = source, [numbers]

    field = photograph("sipakmed", "im_Metaplastic/im_Metaplastic/001.bmp")
    contours = [field.with_name(f"001_{part}01.dat") for part in ("cyt", "nuc")]
    for path in contours:
        path.write_text("".join(f"{x},{y}\n" for x, y in RING))
    source = {"kind": "sipakmed", "folder": str(folder / "sipakmed"), "categories": ["Metaplastic"]}
    kinds["sipakmed"] = source, [field, *contours]
    return kinds


def spoil(data, rng):
    """Flip, cut out, repeat or break off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        action, place = rng.integers(4), int(rng.integers(len(data) or 1))
        length = int(rng.integers(1, 40))
        if action == 0 and data:
            data[place] = rng.integers(256)
        elif action == 1:
            del data[place : place + length]
        elif action == 2:
            data[place:place] = data[place : place + length] * int(rng.integers(1, 9))
        else:
            data[place : place + length] = rng.integers(0, 256, length, np.uint8).tobytes()
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data) or 1)) :]
    return bytes(data)


def damaged(kinds, count, *, seed):
    """Each time another file of another kind, mended again afterwards."""
    rng = np.random.default_rng(seed)
    names = list(kinds)
    for number in range(count):
        source, files = kinds[names[number % len(names)]]
        path = files[rng.integers(len(files))]
        good = path.read_bytes()
        path.write_bytes(spoil(good, rng))
        yield source, path
        path.write_bytes(good)


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check_all(kinds, count, *, seed):
    """How many ended in a mask, and how many in words."""
    masks = words = 0
    for source, _ in damaged(kinds, count, seed=seed):
        begun = time.monotonic()
        data = DataConfig.model_validate({"source": source})
        try:
            (field,) = find_fields(data)
            found = read_field(field, data)[1]
        except CervsegError as exc:
            assert isinstance(exc, DataError | ConfigError)
            # A listing of what does not pair has a heading.
            assert len(str(exc).split("\n")) == 1 or "do not pair" in str(exc)
            words += 1
        else:
            assert set(np.unique(found.mask)) <= {0, 1} and found.mask.dtype == np.uint8
            masks += 1
        assert time.monotonic() - begun < 10
    return masks, words


def test_good_files_are_read(tmp_path):
    for source, _ in whole(tmp_path).values():
        data = DataConfig.model_validate({"source": source})
        (field,) = find_fields(data)
        assert read_field(field, data)[1].mask.any()


def test_damaged_files_end_in_masks_or_in_words(tmp_path):
    masks, words = check_all(whole(tmp_path), 45, seed=1)

    assert masks > 5 and words > 5


@pytest.mark.slow
def test_three_hundred_damaged_files_do_in_a_warm_process(tmp_path):
    kinds = whole(tmp_path)
    check_all(kinds, 9, seed=2)
    before = peak_megabytes()

    masks, words = check_all(kinds, 300, seed=3)

    assert masks > 30 and words > 30
    assert peak_megabytes() - before < 2000


@pytest.mark.slow
def test_fifty_damaged_files_do_through_the_command(tmp_path):
    for number, (source, path) in enumerate(damaged(whole(tmp_path), 50, seed=4)):
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"data": {"source": source}}))  # JSON is YAML
        command = [sys.executable, "-m", "cervseg", "convert", str(config), "--to", "masks"]
        output = tmp_path / f"out{number}"

        ended = subprocess.run(
            [*command, "--output", str(output)], capture_output=True, text=True, timeout=30
        )

        assert ended.returncode in (0, 2, 3), (path, ended.stderr)
        assert "Traceback" not in ended.stderr, (path, ended.stderr)
        assert bool(list(output.glob("*.png"))) == (ended.returncode == 0)
        if ended.returncode:
            assert ended.stderr.count("error: ") == 1 or "failed" in ended.stderr, ended.stderr
