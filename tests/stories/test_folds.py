"""Cross-validation from the command line: cut, broken off by Ctrl-C, gone on with, summed up."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SETTINGS = [
    "--set", "data.folds=3", "--set", "data.output=folds", "--set", "train.output=crossed",
    "--set", "model.num_layers=2", "--set", "train.previews.num_infer_images=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def crossed(road):
    """The folder of a cross-validation that was interrupted in its second fold, and gone on with.

    Gives how it was told then, and how it ended.
    """
    assert road("dataset-tile", "c.yaml", *SETTINGS).code == 0
    words = [sys.executable, "-m", "cervseg", "train", "c.yaml", *SETTINGS, "--all-folds"]
    history = road.folder / "crossed/fold1/history.csv"
    with subprocess.Popen(words, cwd=road.folder, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not history.exists():
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    return told, road("train", "c.yaml", *SETTINGS, "--all-folds", "--resume", "--json")


def test_ctrl_c_tells_the_command_that_goes_on(crossed):
    told, _ = crossed

    assert re.search(r"^error: interrupted; ", told, re.MULTILINE)
    assert re.search(r"^hint: go on with: cervseg train c.yaml .* --all-folds --resume$", told,
                     re.MULTILINE)  # fmt: skip


def test_what_is_done_is_kept_and_the_rest_goes_on(road, crossed):
    _, ran = crossed

    assert ran.code == 0, ran.err
    assert "notice: fold 0 of 0 to 2: trained and scored already\n" in ran.err
    assert "notice: fold 1 of 0 to 2: training\n" in ran.err
    record = json.loads((road.folder / "crossed/fold1/run.json").read_text())
    assert len(record["resumed"]) == 1


def test_scores_over_all_fields_are_a_table_a_document_and_two_files(road, crossed):
    _, ran = crossed
    document = json.loads((road.folder / "crossed/folds.json").read_text())
    (cell,) = ran.document["results"]

    assert cell["scores"] == document["classes"][0]["scores"]
    assert cell["scores"]["dice"]["images"] == 6
    assert [fold["images"] for fold in cell["folds"]] == [2, 2, 2]
    assert "means of each fold: cell\n" in ran.err
    assert "3 folds: 6 images, each scored by a model that has not seen it: cell\n" in ran.err
    assert len((road.folder / "crossed/folds.csv").read_text().splitlines()) == 7
    assert ran.document["output"] == "crossed"


def test_no_lock_and_no_half_file_is_left(road, crossed):
    found = [path.name for path in (road.folder / "crossed").rglob("*")]

    assert found and not [name for name in found if ".lock" in name or ".partial" in name]


def test_one_fold_is_scored_again_by_its_number(road, crossed):
    before = json.loads((road.folder / "crossed/fold2/evaluation/test/scores.json").read_text())

    ran = road("evaluate", "c.yaml", *SETTINGS, "--fold", "2", "--overwrite", "--json")

    assert ran.code == 0, ran.err
    assert ran.document["output"] == "crossed/fold2/evaluation/test"
    assert ran.document["results"] == before["classes"]
    assert "next: cervseg tiled-infer c.yaml " in ran.err
    assert ran.err.rstrip().endswith("--model crossed/fold2")


def test_all_its_models_together_infer(road, crossed):
    _, ran = crossed
    (line,) = re.findall(r"^next: cervseg (.*)$", ran.err, re.MULTILINE)
    assert line.endswith("--model crossed/fold0 --model crossed/fold1 --model crossed/fold2")

    done = road(*line.split(), "fields/images/field_5.jpg", "--output", "together")

    assert done.code == 0, done.err
    assert (road.folder / "together/masks/field_5.png").is_file()


def test_a_fold_that_runs_elsewhere_is_left_alone(road, crossed):
    """A run inside a run: each is locked for itself."""
    import fcntl

    shutil.copytree(road.folder / "crossed", road.folder / "busy")
    shutil.rmtree(road.folder / "busy/fold2")
    (road.folder / "busy/fold2").mkdir()
    words = ["train", "c.yaml", *SETTINGS, "--set", "train.output=busy", "--all-folds", "--resume"]
    with (road.folder / "busy/fold2/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = road(*words)

    assert ran.code == 2
    assert "error: busy/fold2: another cervseg is writing here\n" in ran.err


# --- a leak that is allowed


def test_a_reason_is_kept_in_the_run_and_with_the_scores(road):
    """Two photographs of one picture, on two sides."""
    names = {"images": ("field_1.jpg", "field_9.jpg"), "masks": ("field_1.png", "field_9.png")}
    shutil.copytree(road.folder / "fields", road.folder / "leaky")
    for kind, (old, new) in names.items():
        shutil.copy(road.folder / "leaky" / kind / old, road.folder / "leaky" / kind / new)
    settings = [
        "--set", "data.source={images: leaky/images, masks: leaky/masks}",
        "--set", "data.split.test=['field_[569]']", "--set", "data.output=leaky-tiles",
        "--set", "train.output=leaky-run", "--set", "train.epochs=1",
        "--set", "train.steps_per_epoch=1", "--set", "train.previews.num_infer_images=0",
    ]  # fmt: skip
    for command in ("dataset-tile", "train", "evaluate"):
        refused = road(command, "c.yaml", *settings)
        assert refused.code == 4, refused.err
        assert "one picture: field_9 (test), field_1 (train)" in refused.err
        assert road(command, "c.yaml", *settings, "--allow-leak", "a try").code == 0

    for name in ("leaky-tiles/dataset.json", "leaky-run/run.json",
                 "leaky-run/evaluation/test/scores.json"):  # fmt: skip
        allowed = json.loads((road.folder / name).read_text())["allowed_leak"]
        assert allowed["reason"] == "a try"
        assert "one picture: field_9 (test), field_1 (train)" in allowed["found"][0]
    heading = json.loads((road.folder / name).read_text())["heading"]
    assert heading.startswith("data with a leak that was allowed: ")
