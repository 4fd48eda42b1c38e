from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg.cli.app import main
from cervseg.commands.plan import plan
from cervseg.config.loader import load_config
from cervseg.errors import ConfigError, DataError
from cervseg.training import rehearsal

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsal, "rehearse", lambda *_: rehearsal.Cost(0.5, 2 * 10**9))
    return tmp_path


def write_fields(folder, *, count=3, height=301, width=402, colour=(0, 255, 0), side=80):
    """Fields with a square object each."""
    for i in range(count):
        pixels = np.full((height, width, 3), 200 + i, np.uint8)
        mask = np.zeros((height, width, 3), np.uint8)
        mask[20 + i : 20 + i + side, 30 : 30 + side] = colour
        for name, picture in (("images", pixels), ("masks", mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / name / f"slide{i}_1.png")
    return folder


def planned(text):
    path = Path("plan.yaml")
    path.write_text(text, encoding="utf-8")
    return load_config(path).config


def test_a_folder_becomes_a_config_that_reads_its_masks(folder):
    write_fields(folder / "smears", colour=(255, 0, 0))

    text = plan("smears")

    config = planned(text)
    assert config.data.classes == {"cell": "#ff0000"}
    assert config.data.source[0].images.name == "images"
    assert config.data.scale == 0.75  # an object of 90 pixels becomes 68
    assert config.train.output.name == "smears" and config.data.output.name == "smears"
    assert "# data      2 of 3 images in 3 groups; those of the test are not looked at;\n" in text
    assert "the median is 402 x 301; 2 objects, 90 pixels across, on 5.3% of the pixels\n" in text
    assert "450 steps of 0.5 s each" in text and "2.0 GB while training" in text


def test_a_config_keeps_what_it_says_of_the_data(folder):
    write_fields(folder / "smears")
    path = folder / "mine.yaml"
    path.write_text(
        "data:\n  source: {images: smears/images, masks: smears/masks}\n"
        "  group_pattern: '^(slide[0-9])'\n  classes: {thing: '#00ff00'}\n  folds: 3\n"
        "  scale: 0.9\n  tile_size: 64\n  output: datasets/mine\n"
        "train: {epochs: 3}\n"
    )

    text = plan(path)

    config = planned(text)
    assert config.data.group_pattern == "^(slide[0-9])" and config.data.folds == 3
    assert config.data.classes == {"thing": "#00ff00"}
    assert (config.data.scale, config.data.output.name) == (0.75, "mine")
    assert "cervseg train mine.yaml --all-folds\n" in text


def test_the_commands_it_tells_name_the_file_it_is_written_to(folder):
    write_fields(folder / "smears")

    assert main(["plan", "smears", "--output", "my plans/cells.yaml"]) == 0

    text = Path("my plans/cells.yaml").read_text()
    name = "'my plans/cells.yaml'"
    assert f"# command   cervseg dataset-tile {name} && cervseg train {name}\n" in text
    config = planned(text)
    assert (config.data.output.name, config.train.output.name) == ("cells", "cells")


def test_images_that_cannot_be_read_are_told_and_do_not_count(folder, caplog):
    write_fields(folder / "smears")
    (folder / "smears/images/slide1_1.png").write_bytes(b"no image")

    text = plan("smears", overrides=["data.split={kind: fractions, train: 1, valid: 0, test: 0}"])

    assert "# data      2 of 3 images in 3 groups" in text
    assert "not read and not counted: 1 of the images" in caplog.text


def test_few_groups_are_told(folder, caplog):
    write_fields(folder / "smears", count=4)

    plan("smears")

    assert "4 groups are few to score one split: data.folds: 4" in caplog.text


def test_nothing_is_told_of_groups_where_nothing_is_held_out(folder, caplog):
    write_fields(folder / "smears", count=2)

    plan("smears", overrides=["data.split={kind: fractions, train: 1, valid: 0, test: 0}"])

    assert "groups" not in caplog.text


def test_more_folds_than_groups_are_refused(folder):
    write_fields(folder / "smears", count=2)

    with pytest.raises(ConfigError, match=r"2 group\(s\) can't fill 5 folds"):
        plan("smears", overrides=["data.folds=5"])


def test_the_time_is_that_of_all_folds_and_says_what_validates(folder):
    write_fields(folder / "smears", count=3)

    text = plan("smears", overrides=["data.folds=3"])

    assert "450 steps of each of 3 folds of 0.5 s each" in text
    assert "15 batches of validation of each of 3 folds\n" in text
    assert "; each is a fold's test once;\n" in text


def test_a_folder_in_splits_is_judged_by_its_training_masks(folder):
    for split, classes in (("test", 1), ("train", 2), ("valid", 2)):
        write_fields(folder / "smears" / split)
        for path in (folder / "smears" / split / "masks").iterdir():
            mask = (np.asarray(Image.open(path)).max(axis=2) > 0).astype(np.uint8)
            mask[:, 70:] *= classes
            Image.fromarray(mask).save(path)
        for path in (folder / "smears" / split).rglob("*.png"):
            path.rename(path.with_name(f"{split}_{path.name}"))

    text = plan("smears")

    assert len(planned(text).data.classes) == 2


def test_classes_that_are_named_are_not_guessed(folder):
    write_fields(folder / "smears")
    data = {"split": "data.split={kind: fractions, train: 1, valid: 0, test: 0}"}

    text = plan("smears", overrides=["data.classes={nucleus: '#0000ff'}", data["split"]])

    assert list(planned(text).data.classes) == ["nucleus"]


def test_little_memory_makes_small_batches(folder, monkeypatch):
    write_fields(folder / "smears", height=1000, width=1200, side=100)
    monkeypatch.setattr("cervseg.machine.available_memory", lambda: 1_500_000_000)

    assert planned(plan("smears")).train.batch_size < 6


def test_a_folder_without_images_is_refused(folder):
    with pytest.raises(DataError, match="no `images` and `masks` in it"):
        plan(folder)


def test_a_config_that_is_not_there_is_called_so(folder):
    with pytest.raises(ConfigError, match="nope.yaml: no such config file"):
        plan("nope.yaml")


def test_masks_without_objects_are_refused(folder):
    write_fields(folder / "smears", side=0)

    with pytest.raises(DataError, match="no image has an annotated object"):
        plan("smears")


@pytest.mark.slow
def test_a_rehearsal_measures_a_step_and_memory(folder, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    write_fields(folder / "smears", height=90, width=70, side=30)

    text = plan("smears")

    assert "450 steps of " in text and "450 steps of 0 s" not in text


def test_inverted_masks_are_told(folder, caplog):
    write_fields(folder / "smears")
    for path in (folder / "smears" / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))[..., 1]).save(path)

    plan("smears")

    assert "are the masks inverted, or photographs?" in caplog.text


def test_label_images_are_planned_for_as_such(folder):
    write_fields(folder / "smears")
    for i, path in enumerate(sorted((folder / "smears" / "masks").iterdir())):
        numbers = np.zeros((301, 402), np.uint16)
        numbers[20:90, 30:110] = 1
        numbers[90:160, 30:110] = 2
        numbers[200:250, 20 * i : 20 * i + 60] = 3
        Image.fromarray(numbers).save(path)

    text = plan("smears")

    data = planned(text).data
    assert data.source[0].kind == "label_images" and len(data.classes) == 1
    assert "; 6 objects, " in text


def test_masks_painted_on_photographs_are_told(folder, caplog):
    write_fields(folder / "smears")
    for path in (folder / "smears" / "masks").iterdir():
        pixels = np.random.default_rng(0).integers(200, 256, (301, 402, 3), np.uint8)
        pixels[20:100, 30:110], pixels[120:160, 30:110] = (255, 0, 0), (0, 255, 0)
        Image.fromarray(pixels).save(path)

    plan("smears")

    assert "counted, with errors: slide" in caplog.text
    assert "of the pixels have colours of no class" in caplog.text
