"""Cytoplasm and nucleus: the five commands with two classes, and the demo that shows them."""

import csv
import json
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg.contract import Contract
from cervseg.images.masks import write_mask

SCRIPTS = Path(__file__).parents[2] / "scripts"
SYNTHETIC = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))
FIELDS = [f"field_{i}" for i in range(1, 7)]
CLASSES = ["cytoplasm", "nucleus"]
BLACK, GREEN, ORANGE = [0, 0, 0], [0, 200, 83], [255, 109, 0]

CONFIG = """\
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  classes: {cytoplasm: "#00c853", nucleus: "#ff6d00"}
  masks: {read: index}
  split:
    kind: lists
    train: ["field_[123]"]
    valid: [field_4]
    test: ["field_[56]"]
  scale: 0.5
  tile_size: 64
  overlap: 32
model: {base_filters: 4, num_layers: 2}
train:
  output: run
  loss: [{name: categorical_crossentropy}, {name: dice}]
  epochs: 1
  batch_size: 4
  steps_per_epoch: 4
  learning_rate: 1e-2
infer: {images: fields/images, output: whole}
tiled_infer: {images: fields/images, output: tiled, probabilities: true}
"""


def draw_fields(folder):
    """Small fields with index masks, as `synthetic_fields.py --nuclei` writes large ones."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i, name in enumerate(FIELDS):
        rng = np.random.default_rng([7, i])
        pixels, mask = SYNTHETIC["draw_field"](rng, height=301, width=402, nuclei=True)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.jpg")
        write_mask(folder / "masks" / f"{name}.png", mask, [*BLACK, *GREEN, *ORANGE])


@pytest.fixture(scope="module")
def multiclass(road, tmp_path_factory):
    """The five commands with two classes; each `ran` by its name."""
    folder = tmp_path_factory.mktemp("multiclass")
    draw_fields(folder / "fields")
    (folder / "c.yaml").write_text(CONFIG)
    multiclass = replace(road, folder=folder, ran={})
    for command in ("dataset-tile", "train", "evaluate", "infer", "tiled-infer"):
        multiclass.ran[command] = multiclass(command, "c.yaml", "--json")
        assert multiclass.ran[command].code == 0, multiclass.ran[command].err
    return multiclass


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def scores_of(multiclass):
    return json.loads((multiclass.folder / "run/evaluation/test/scores.json").read_text())


def test_the_model_has_a_channel_for_the_background_and_each_class(multiclass):
    contract = Contract.load(multiclass.folder / "run" / "model")

    assert contract.classes.names == tuple(CLASSES)
    assert (contract.activation, contract.channels) == ("softmax", 3)


def test_training_tells_each_metric_of_each_class(multiclass):
    columns = json.loads((multiclass.folder / "run/history.json").read_text())["columns"]

    assert {f"val_dice_{name}" for name in CLASSES} <= set(columns)
    assert all(np.isfinite(columns["loss"]))


@pytest.mark.parametrize(("command", "folder"), [("infer", "whole"), ("tiled-infer", "tiled")])
def test_masks_hold_indices_and_show_the_colours_of_the_classes(multiclass, command, folder):
    results = multiclass.ran[command].document["results"]

    assert [Path(result["image"]).stem for result in results] == FIELDS
    for name, result in zip(FIELDS, results, strict=True):
        with Image.open(multiclass.folder / folder / "masks" / f"{name}.png") as mask:
            assert (mask.mode, mask.size) == ("P", (402, 301))
            assert mask.getpalette()[:9] == BLACK + GREEN + ORANGE
            indices, colours = np.asarray(mask), np.asarray(mask.convert("RGB"))
        assert set(np.unique(indices)) <= {0, 1, 2}
        np.testing.assert_array_equal(colours, np.array([BLACK, GREEN, ORANGE])[indices])
        counts = [result["classes"][name]["pixels"] for name in CLASSES]
        assert counts == [np.count_nonzero(indices == i) for i in (1, 2)]


def test_a_mask_is_the_largest_of_the_probabilities(multiclass):
    for name in FIELDS:
        paths = [multiclass.folder / "tiled/probabilities" / f"{name}.{c}.png" for c in range(3)]
        values = np.stack([pixels(path) for path in paths]).astype(int)
        mask = pixels(multiclass.folder / "tiled/masks" / f"{name}.png")

        np.testing.assert_allclose(values.sum(axis=0) / 65535, 1, atol=1e-4)
        ordered = np.sort(values, axis=0)
        clear = ordered[2] - ordered[1] > 2
        np.testing.assert_array_equal(values.argmax(axis=0)[clear], mask[clear])


def test_each_class_is_scored_on_the_masks_that_tiled_infer_writes(multiclass):
    scores = scores_of(multiclass)

    assert [record["class"] for record in scores["classes"]] == CLASSES
    for i, record in enumerate(scores["classes"], start=1):
        values = []
        for image in record["images"]:
            true = pixels(multiclass.folder / "fields/masks" / f"{image['image']}.png") == i
            found = pixels(multiclass.folder / "tiled/masks" / f"{image['image']}.png") == i
            values.append(2 * (true & found).sum() / (true.sum() + found.sum()))
            assert image["dice"] == pytest.approx(values[-1], abs=1e-9)
        assert [image["image"] for image in record["images"]] == FIELDS[4:]
        assert record["scores"]["dice"]["mean"] == pytest.approx(np.mean(values))


def test_the_confusion_counts_every_pixel_by_truth_and_prediction(multiclass):
    confusion = scores_of(multiclass)["confusion"]

    counted = np.zeros((3, 3), int)
    for name in FIELDS[4:]:
        true = pixels(multiclass.folder / "fields/masks" / f"{name}.png")
        found = pixels(multiclass.folder / "tiled/masks" / f"{name}.png")
        np.add.at(counted, (true, found), 1)
    assert confusion == {"classes": ["background", *CLASSES], "pixels": counted.tolist()}
    assert counted[1].sum() > 0 and counted[2].sum() > 0, "both classes are among the truth"
    table = rows(multiclass.folder / "run/evaluation/test/confusion.csv")
    assert table[0] == ["truth", "background", *CLASSES]
    assert [[int(value) for value in row[1:]] for row in table[1:]] == counted.tolist()


def test_the_terminal_shows_a_table_a_class_and_the_confusion(multiclass):
    said = multiclass.ran["evaluate"].err

    places = [re.search(rf": {name}$", said, re.MULTILINE) for name in CLASSES]
    places.append(re.search("pixels: rows truth, columns prediction", said))
    assert all(places)
    assert all(first.start() < second.start() for first, second in pairwise(places))


def is_there(picture, colour):
    """Whether a colour fills a square of the legend, as far as JPEG keeps it."""
    return (np.abs(picture.astype(int) - colour).max(axis=-1) < 30).sum() >= 64


@pytest.mark.parametrize("name", ["run/evaluation/test/overlays", "run/previews", "tiled/overlays"])
def test_pictures_tell_the_classes_in_a_legend_below(multiclass, name):
    found = sorted((multiclass.folder / name).iterdir())

    assert found
    for path in found:
        strip = pixels(path)[-24:]
        assert is_there(strip, GREEN) and is_there(strip, ORANGE)
        assert (strip[:, -6:] == 255).mean() > 0.9, "on white"


SMALL = """\
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  classes: {cytoplasm: "#00c853", nucleus: "#ff6d00"}
  masks: {read: index}
  split: {kind: lists, train: ["field_00[12]"], valid: [field_003], test: [field_004]}
  scale: 0.125
  tile_size: 64
model: {base_filters: 4, num_layers: 3}
train: {output: run, epochs: 1, steps_per_epoch: 2, previews: {num_infer_images: 0}}
infer: {images: fields/images, output: whole}
tiled_infer: {images: fields/images, output: masks}
"""


@pytest.mark.slow
def test_the_demo_runs_all_five_and_ends_with_a_score_for_each_class(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    demo = [sys.executable, SCRIPTS / "demo.py", "--config", "small.yaml", "--fields", "4"]

    ran = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    typed = re.findall(r"^\$ cervseg (\S+)", ran.stderr, re.MULTILINE)
    assert typed == ["dataset-tile", "train", "evaluate", "infer", "tiled-infer"]
    first, *scores = ran.stdout.splitlines()[:3]
    assert first == "Dice on 1 held-out fields, tiles stitched at full size"
    for line, name in zip(scores, CLASSES, strict=True):
        assert re.fullmatch(
            rf"  {name} +[01]\.\d{{3}}  \(95 % interval .*; all background 0\.000\)", line
        )
    assert "single threshold" not in ran.stdout
    assert set(np.unique(pixels(tmp_path / "fields/masks/field_001.png"))) == {0, 1, 2}
