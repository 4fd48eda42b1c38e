"""The five commands on small drawn fields: files, formats, JSON and exit codes."""

import csv
import json
import re
import shutil
import socket
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg import __version__
from cervseg.config.loader import load_config
from cervseg.contract import Contract
from cervseg.data.manifest import open_dataset

COMMANDS = ("dataset-tile", "train", "evaluate", "infer", "tiled-infer")
FIELDS = [f"field_{i}" for i in range(1, 7)]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def names(folder, pattern="*"):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


@pytest.mark.parametrize("command", COMMANDS)
def test_stdout_is_one_document_and_stderr_names_the_next_command(road, command):
    ran = road.ran[command]

    assert list(ran.document) == [
        "cervseg", "command", "exit_code", "output", "results", "failures", "notices", "error"
    ]  # fmt: skip
    assert ran.document["cervseg"] == __version__
    assert ran.document["command"] == command
    assert (ran.document["exit_code"], ran.document["error"]) == (0, None)
    assert (road.folder / ran.document["output"]).is_dir()
    assert ran.document["results"]
    assert re.search(r"^next: cervseg ", ran.err, re.MULTILINE)


@pytest.mark.parametrize("folder", ["tiles", "run", "run/evaluation/test", "whole", "tiled"])
def test_no_output_holds_a_lock_or_half_a_file(road, folder):
    found = names(road.folder / folder)

    assert found
    assert not [name for name in found if ".partial" in name or ".lock" in name]


@pytest.mark.parametrize(
    "name",
    [
        "tiles/dataset.json", "run/run.json", "run/history.json", "run/model/contract.json",
        "run/evaluation/test/scores.json",
    ],
)  # fmt: skip
def test_every_document_says_its_format_and_no_host(road, name):
    text = (road.folder / name).read_text()

    assert json.loads(text)["format"] == 1
    assert socket.gethostname() not in text


def test_the_dataset_lists_every_tile_it_holds(road):
    folder = road.folder / "tiles"
    tiles, sources = rows(folder / "manifest.csv"), rows(folder / "sources.csv")

    assert [(row["name"], row["split"]) for row in sources] == [
        *((name, "train") for name in FIELDS[:3]),
        ("field_4", "valid"),
        *((name, "test") for name in FIELDS[4:]),
    ]
    assert sorted(row["tile"] for row in tiles) == names(folder, "tiles/*/images/*.png")
    assert sorted(row["mask"] for row in tiles) == names(folder, "tiles/*/masks/*.png")
    assert Counter(row["split"] for row in tiles) == {"train": 18, "valid": 4, "test": 8}
    assert (folder / "samples.png").is_file()


def test_a_tile_is_named_after_source_scale_and_place(road):
    for row in rows(road.folder / "tiles" / "manifest.csv"):
        name = f"{row['source']}_0.5_{row['top']}x{row['left']}.png"
        assert row["tile"] == f"tiles/{row['split']}/images/{name}"


def test_a_tile_is_its_window_of_the_scaled_field_and_mask(road):
    dataset = open_dataset(road.folder / "tiles")

    for row in dataset.tiles[::4]:
        image, mask = pixels(dataset.path(row.tile)), pixels(dataset.path(row.mask))
        assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((64, 64), np.uint8)
        known = mask != 255  # padding, and in validation what an earlier tile has counted
        assert row.foreground == pytest.approx((mask == 1).sum() / known.sum(), abs=1e-6)
        truth = pixels(road.folder / "fields" / "masks" / f"{row.source}.png")[1::2, 1::2] > 0
        part = truth[row.top : row.top + 64, row.left : row.left + 64]
        seen = np.s_[: len(part), : part.shape[1]]
        assert (part == (mask[seen] == 1))[known[seen]].mean() > 0.97


def test_a_run_keeps_config_history_pictures_and_checkpoints(road):
    run = road.folder / "run"

    assert load_config(run / "config.yaml").config == load_config(road.folder / "c.yaml").config
    history = rows(run / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2"]
    columns = json.loads((run / "history.json").read_text())["columns"]
    assert set(columns) == set(history[0])
    assert columns["val_loss"] == [float(row["val_loss"]) for row in history]
    assert set(columns) >= {"loss", "dice", "iou", "val_loss", "val_dice", "learning_rate"}
    assert names(run / "previews") == ["epoch_0001.png", "epoch_0002.png"]
    assert names(run / "checkpoints") == ["best.weights.h5", "last.npz"]
    for name in ("curves.png", "log.txt"):
        assert (run / name).stat().st_size
    record = json.loads((run / "run.json").read_text())
    assert record["ended"] == "epochs"
    assert record["dataset"] == open_dataset(road.folder / "tiles").fingerprint
    assert record["versions"]["cervseg"] == __version__


def test_the_contract_knows_classes_stride_margin_and_what_it_was_trained_on(road):
    contract = Contract.load(road.folder / "run" / "model")
    dataset = open_dataset(road.folder / "tiles")

    assert contract.classes.names == ("cell",)
    assert (contract.tile_size, contract.align, contract.scale) == (64, 4, 0.5)
    assert contract.margin % contract.align == 0 or contract.margin == contract.receptive_field
    assert contract.margin <= contract.receptive_field
    assert 0.05 <= contract.threshold[0] <= 0.95
    assert {(seen.sha256, seen.split) for seen in contract.trained_on} == {
        (row.sha256, row.split) for row in dataset.sources if row.split != "test"
    }


def test_scores_are_those_of_the_masks_that_tiled_infer_writes(road):
    scores = json.loads((road.folder / "run/evaluation/test/scores.json").read_text())
    by_name = {row["image"]: row for row in scores["classes"][0]["images"]}

    for name in FIELDS[4:]:
        true = pixels(road.folder / "fields/masks" / f"{name}.png") > 0
        found = pixels(road.folder / "tiled/masks" / f"{name}.png") == 1
        dice = 2 * (true & found).sum() / (true.sum() + found.sum())
        assert by_name[name]["dice"] == pytest.approx(dice, abs=1e-9)
        assert by_name[name]["empty_accuracy"] == pytest.approx(1 - true.mean())


def test_an_evaluation_has_a_row_an_image_an_interval_and_a_baseline(road):
    folder = road.folder / "run/evaluation/test"
    table = rows(folder / "scores.csv")
    dice = json.loads((folder / "scores.json").read_text())["classes"][0]["scores"]["dice"]

    assert [(row["image"], row["class"]) for row in table] == [(n, "cell") for n in FIELDS[4:]]
    values = [float(row["dice"]) for row in table]
    assert dice["mean"] == pytest.approx(np.mean(values))
    assert min(values) <= dice["low"] <= dice["mean"] <= dice["high"] <= max(values)
    assert dice["images"] == 2
    assert {row["name"] for row in rows(folder / "evaluation.csv")} == {"loss", "dice", "iou"}
    assert len(names(folder / "overlays", "*.jpg")) == 2
    assert road.ran["evaluate"].document["results"][0]["scores"]["dice"] == dice


@pytest.mark.parametrize(("command", "folder"), [("infer", "whole"), ("tiled-infer", "tiled")])
def test_inference_writes_a_mask_and_an_overlay_of_each_field_at_its_size(road, command, folder):
    output, results = road.folder / folder, road.ran[command].document["results"]

    assert [Path(result["image"]).stem for result in results] == FIELDS
    for name, result in zip(FIELDS, results, strict=True):
        assert result["mask"] == f"{folder}/masks/{name}.png"
        assert result["overlay"] == f"{folder}/overlays/{name}.jpg"
        with Image.open(output / "masks" / f"{name}.png") as mask:
            assert (mask.mode, mask.size) == ("P", (201, 151))
            assert mask.getpalette()[:6] == [0, 0, 0, 0, 255, 0]
            count = np.count_nonzero(np.asarray(mask) == 1)
        assert result["classes"]["cell"]["pixels"] == count
        assert pixels(output / "overlays" / f"{name}.jpg").shape == (151, 201, 3)
    assert [row["image"] for row in rows(output / "summary.csv")] == FIELDS
    assert (output / "overview.png").is_file()


def test_probabilities_are_16_bit_and_decide_the_mask(road):
    threshold = Contract.load(road.folder / "run" / "model").threshold[0]

    for name in FIELDS:
        values = pixels(road.folder / "tiled/probabilities" / f"{name}.png")
        assert values.dtype == np.uint16
        mask = pixels(road.folder / "tiled/masks" / f"{name}.png")
        certain = np.abs(values / 65535 - threshold) > 1e-4
        assert ((values / 65535 > threshold) == (mask == 1))[certain].all()
    assert not (road.folder / "whole" / "probabilities").exists()


def test_masks_that_exist_are_scored_alike_and_paths_go_to_stdout(road):
    ran = road(
        "evaluate", "c.yaml", "--predictions", "tiled/masks", "--output", "again", "--overwrite"
    )

    paths = ran.out.splitlines()
    assert ran.code == 0
    assert paths[:3] == ["again/scores.csv", "again/evaluation.csv", "again/scores.json"]
    assert all((road.folder / path).is_file() for path in paths)
    assert rows(road.folder / "again/scores.csv") == rows(
        road.folder / "run/evaluation/test/scores.csv"
    )


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("dataset-tile", "tiles"),
        ("train", "run"),
        ("evaluate", "run/evaluation/test"),
        ("infer", "whole"),
        ("tiled-infer", "tiled"),
    ],
)
def test_a_second_time_is_refused_without_overwrite_and_nothing_is_lost(road, command, output):
    before = names(road.folder / output)

    ran = road(command, "c.yaml", "--json")

    assert ran.code == ran.document["exit_code"] == 2
    assert ran.document["error"]["message"] == f"{output}: the output folder is not empty"
    assert ran.document["error"]["hint"].startswith("add --overwrite")
    assert names(road.folder / output) == before


def test_an_old_output_is_kept_beside_the_new_one(road):
    words = ("infer", "c.yaml", "fields/images/field_1.jpg", "--output", "kept")
    assert road(*words).code == 0

    assert road(*words, "--overwrite").code == 0

    backups = [p for p in road.folder.iterdir() if re.fullmatch(r"kept_\d{8}-\d{6}_bak", p.name)]
    assert len(backups) == 1
    assert set(names(backups[0])) >= set(names(road.folder / "kept"))


def test_a_broken_image_fails_alone(road):
    images = road.folder / "mixed"
    images.mkdir(exist_ok=True)
    shutil.copy(road.folder / "fields/images/field_5.jpg", images)
    (images / "broken.jpg").write_bytes((images / "field_5.jpg").read_bytes()[:300])

    ran = road("tiled-infer", "--model", "run", "mixed", "--output", "half", "--json")

    assert ran.code == ran.document["exit_code"] == 3
    assert [failure["item"] for failure in ran.document["failures"]] == ["mixed/broken.jpg"]
    assert [Path(result["image"]).name for result in ran.document["results"]] == ["field_5.jpg"]
    np.testing.assert_array_equal(
        pixels(road.folder / "half/masks/field_5.png"),
        pixels(road.folder / "tiled/masks/field_5.png"),
    )


def test_fields_the_model_was_trained_on_are_not_scored(road):
    (road.folder / "seen/images").mkdir(parents=True, exist_ok=True)
    (road.folder / "seen/masks").mkdir(exist_ok=True)
    shutil.copy(road.folder / "fields/images/field_1.jpg", road.folder / "seen/images/other.jpg")
    shutil.copy(road.folder / "fields/masks/field_1.png", road.folder / "seen/masks/other.png")

    ran = road(
        "evaluate", "--model", "run", "--images", "seen/images", "--masks", "seen/masks",
        "--output", "flattering",
    )  # fmt: skip

    assert ran.code == 4
    assert "the model was fitted on images to be scored" in ran.err
    assert "other: in its train split" in ran.err
    assert not (road.folder / "flattering").exists()


def test_scores_on_fitted_data_say_so(road):
    ran = road("evaluate", "c.yaml", "--split", "valid", "--json")

    assert ran.code == 0
    assert "these scores are on data the model was fitted on" in ran.document["notices"]
    heading = json.loads((road.folder / "run/evaluation/valid/scores.json").read_text())["heading"]
    assert heading.startswith("data the model was fitted on: ")


@pytest.mark.parametrize("mode", [("--whole",), ("--whole", "--stretch")])
def test_whole_images_are_scored_apart(road, mode):
    ran = road("evaluate", "c.yaml", *mode, "--json", "--overwrite")

    assert ran.code == 0
    assert ran.document["output"] == f"run/evaluation/test-{mode[-1].removeprefix('--')}"
    assert ran.document["results"][0]["scores"]["dice"]["images"] == 2


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("train missing.yaml", 2, "missing.yaml: no such config file"),
        ("tiled-infer --model nowhere fields", 3, "nowhere: no such model"),
        ("tiled-infer --model run no.png", 3, "no.png: no such image or folder"),
        ("train c.yaml --set data.output=nowhere", 3, "nowhere: no dataset in it"),
    ],
)
def test_what_is_missing_is_named_before_any_work(road, *, line, code, message):
    ran = road(*line.split())

    assert (ran.code, ran.out) == (code, "")
    assert f"error: {message}" in ran.err


@pytest.mark.slow
def test_the_network_trains_on_jax_too(road):
    ran = road.shell(
        "cervseg train c.yaml --json --set train.output=jax --set train.epochs=1"
        " --set train.steps_per_epoch=2 --set train.previews.num_infer_images=0"
        " --set model.num_layers=2 --set model.base_filters=3",
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_backend_optimization_level=0",  # compiling is most of the time
    )

    assert ran.code == 0, ran.err
    assert ran.document["results"][0]["ended"] == "epochs"
    assert np.isfinite(ran.document["results"][0]["best"]["val_loss"])
    record = json.loads((road.folder / "jax/run.json").read_text())
    assert record["versions"]["backend"] == "jax"
    # A model knows no backend: what JAX trained, TensorFlow runs.
    assert road("infer", "--model", "jax", "fields/images/field_5.jpg", "--output", "j").code == 0
