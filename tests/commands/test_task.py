from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.commands.task import Task, find_task, read_predictions
from cervseg.config import Config
from cervseg.contract import Contract, TrainingImage
from cervseg.data.duplicates import perceptual_hash
from cervseg.data.labelled import Labelled, Read
from cervseg.data.leaks import Tolerance
from cervseg.data.manifest import SourceRow, describe, write_dataset
from cervseg.digests import pixel_digest
from cervseg.errors import DataError, LeakError, ModelError
from cervseg.images.photo import Photo

CELL = Classes.of({"cell": "#00ff00"})
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
CONTRACT = Contract(
    architecture="unet", options={}, classes=CELL, activation="sigmoid", tile_size=16
)


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (5, 7, 3), np.uint8)


def seen(*numbers, split="train"):
    """The contract of a model that was fitted on these pictures."""
    images = [TrainingImage(pixel_digest(picture(i)), None, split) for i in numbers]
    return replace(CONTRACT, trained_on=tuple(images))


@pytest.fixture
def fields(tmp_path):
    """A picture and a mask of its own for each split's field: f0 train, f1 valid, f2, f3 test."""
    for number in range(4):
        for kind, pixels in (("images", picture(number)), ("masks", picture(number)[..., 0])):
            (tmp_path / kind).mkdir(exist_ok=True)
            Pillow.fromarray(pixels).save(tmp_path / kind / f"f{number}.png")
    return tmp_path


@pytest.fixture
def make_dataset(fields):
    """Makes the dataset folder of the fields; its config."""

    def make(classes=CELL, splits=("train", "valid", "test", "test"), groups="abcd", **document):
        rows = [
            SourceRow(
                f"f{i}", str(fields / f"images/f{i}.png"), str(fields / f"masks/f{i}.png"), "", "",
                groups[i], split, "", 5, 7, 6.0, 8.0, "", pixel_digest(picture(i)), "", 0.5,
            )
            for i, split in enumerate(splits)
        ]  # fmt: skip
        document |= describe(classes, scale=1.0, tile_size=16, reading="threshold")
        write_dataset(fields / "tiles", document, sources=rows, tiles=[])
        return Config.model_validate({"data": {"output": str(fields / "tiles")}})

    return make


def task_of(config, *contracts, split="test", folders=None):
    return find_task(config, contracts, split=split, folders=folders)


def refusal(kind, config, *contracts, **where):
    """The lines, the hint and the exit code with which a task is refused."""
    with pytest.raises(kind) as caught:
        task_of(config, *contracts, **where)
    return str(caught.value).split("\n"), caught.value.hint, caught.value.exit_code


# --- a split


def test_a_split_is_its_photographs_as_the_dataset_reads_them(make_dataset, fields):
    task = task_of(make_dataset(), seen(0), split="test")

    assert (task.name, task.classes, task.fitted) == ("test", CELL, False)
    assert task.items == [
        Labelled(
            name, fields / f"images/{name}.png", fields / f"masks/{name}.png", "threshold",
            (6.0, 8.0), pixel_digest(picture(number)),
        )
        for number, name in ((2, "f2"), (3, "f3"))
    ]  # fmt: skip


@pytest.mark.parametrize(("split", "name"), [("train", "f0"), ("valid", "f1")])
def test_a_split_the_model_was_fitted_on_is_allowed_and_says_so(make_dataset, split, name):
    task = task_of(make_dataset(), seen(0, 1), split=split)

    assert task.fitted
    assert [item.name for item in task.items] == [name]


def test_a_split_without_images_is_refused(make_dataset, fields):
    config = make_dataset(splits=("train", "train", "test", "test"))

    assert refusal(DataError, config, CONTRACT, split="valid") == (
        [f"{fields}/tiles: no image in split valid"], None, 3,
    )  # fmt: skip


def test_no_dataset_is_refused_with_the_command_that_makes_one(tmp_path):
    config = Config.model_validate({"data": {"output": str(tmp_path / "tiles")}})

    assert refusal(DataError, config) == (
        [f"{tmp_path}/tiles: no dataset in it"], "make it with: cervseg dataset-tile CONFIG", 3,
    )  # fmt: skip


def test_an_image_the_model_was_fitted_on_is_refused_by_name(make_dataset):
    """Trained with another split: what is its test now was in its training."""
    assert refusal(LeakError, make_dataset(), CONTRACT, seen(0, 3)) == (
        ["the model was fitted on images to be scored: 1 problem", "  f3: in its train split"],
        "hold out images that it has not seen, or say why it may be: --allow-leak REASON",
        4,
    )


def test_a_dataset_whose_sides_share_a_group_is_refused_whatever_the_model(make_dataset):
    lines, _, code = refusal(LeakError, make_dataset(groups="abad"))

    assert code == 4
    assert lines == [
        "training and scoring data overlap: 1 problem", "  group 'a': f2 (test), f0 (train)",
    ]  # fmt: skip


def test_a_model_of_other_classes_is_refused_with_both_lists(make_dataset):
    two = replace(CONTRACT, classes=TWO, channels=2, threshold=(0.5, 0.5))

    assert refusal(ModelError, make_dataset(), CONTRACT, two) == (
        ["the model knows the classes cell, nucleus, the data has cell"], None, 3,
    )  # fmt: skip
    assert refusal(ModelError, make_dataset(TWO), CONTRACT)[0] == [
        "the model knows the classes cell, the data has cell, nucleus"
    ]


def test_colours_of_classes_may_differ(make_dataset):
    blue = replace(CONTRACT, classes=Classes.of({"cell": "#0000ff"}))

    assert len(task_of(make_dataset(), blue).items) == 2


def test_masks_that_exist_are_scored_without_a_model(make_dataset):
    assert [item.name for item in task_of(make_dataset()).items] == ["f2", "f3"]


@pytest.mark.parametrize(
    ("asked", "mpp", "scale"),
    [({}, None, 1), ({"scale": 2.5}, None, 2.5), ({}, 0.5, 1.6), ({"mpp": 0.5}, 0.5, 4)],
)
def test_images_of_folders_have_the_pixels_that_config_or_file_say(fields, asked, *, mpp, scale):
    for number in range(4):
        (fields / f"images/f{number}.png").unlink()
        pixels = picture(number)
        tifffile.imwrite(fields / f"images/f{number}.tif", pixels, photometric="rgb",
                         resolution=(50_000, 50_000), resolutionunit="CENTIMETER")  # fmt: skip
    config = Config.model_validate({"tiled_infer": asked})
    contract = replace(CONTRACT, scale=0.25, mpp=mpp)

    task = task_of(config, contract, folders=(fields / "images", fields / "masks"))

    assert [item.scale for item in task.items] == [(pytest.approx(scale),) * 2] * 4


def test_whole_images_have_no_scale_of_their_own(fields):
    config = Config.model_validate({"tiled_infer": {"scale": 2}})
    folders = (fields / "images", fields / "masks")

    task = find_task(config, [CONTRACT], split="test", folders=folders, section=config.infer)

    assert {item.scale for item in task.items} == {(1, 1)}


def test_a_leak_with_a_reason_is_scored_and_kept(make_dataset):
    tolerance = Tolerance("one slide")

    task = find_task(
        make_dataset(groups="abad"), [seen(0, 3)], split="test", folders=None, tolerance=tolerance
    )

    assert [item.name for item in task.items] == ["f2", "f3"]
    assert tolerance.record()["allowed_leak"]["found"] == [
        "training and scoring data overlap: 1 problem\n  group 'a': f2 (test), f0 (train)",
        "the model was fitted on images to be scored: 1 problem\n  f3: in its train split",
    ]


def test_near_duplicates_that_tiling_found_are_told(make_dataset):
    config = make_dataset(near_duplicates=[["f0", "f2", 0.991], ["f2", "f3", 0.999]])

    assert task_of(config, seen(0)).notices == (
        "near duplicates on two sides of a split: f0 (train) and f2 (test), correlation 0.991",
    )


def test_what_tiling_compared_is_not_judged_by_its_hash_once_more(make_dataset):
    """The model has seen f0; the dataset says that f2 is no copy, however near their hashes."""
    trained = TrainingImage(pixel_digest(picture(0)), perceptual_hash(picture(2)), "train")
    contract = replace(CONTRACT, trained_on=(trained,))

    assert task_of(make_dataset(), contract).notices == ()
    stranger = replace(contract, trained_on=(trained._replace(sha256="0f"),))
    assert len(task_of(make_dataset(), stranger).notices) == 1


@pytest.mark.parametrize("pairs", [7, [["f0", "f2"]], [["f0", "f2", "much"]]])
def test_a_broken_list_of_near_duplicates_is_refused(make_dataset, fields, pairs):
    lines, _, code = refusal(DataError, make_dataset(near_duplicates=pairs))

    assert code == 3
    assert lines[0].startswith(f"{fields}/tiles: broken dataset: ")


# --- labelled folders


def folders_of(fields):
    return fields / "images", fields / "masks"


def test_labelled_folders_need_no_dataset(fields):
    task = task_of(Config(), CONTRACT, folders=folders_of(fields))

    assert (task.name, task.classes, task.fitted) == ("folder-images", CELL, False)
    assert [(item.name, item.mask, item.reading) for item in task.items] == [
        (f"f{i}", fields / f"masks/f{i}.png", "threshold") for i in range(4)
    ]


def test_classes_of_labelled_folders_are_the_models_and_without_one_the_configs(fields):
    two = replace(CONTRACT, classes=TWO, channels=2, threshold=(0.5, 0.5))
    config = Config.model_validate({"data": {"classes": {"nucleus": "#ff0000"}}})

    modelled = task_of(config, two, folders=folders_of(fields))
    alone = task_of(config, folders=folders_of(fields))

    assert (modelled.classes, modelled.items[0].reading) == (TWO, "colour")
    assert (alone.classes.names, alone.items[0].reading) == (("nucleus",), "threshold")


def test_the_config_may_say_how_masks_of_folders_are_read(fields):
    config = Config.model_validate({"data": {"masks": {"read": "index"}}})

    assert task_of(config, folders=folders_of(fields)).items[0].reading == "index"


def test_an_image_of_a_folder_is_known_by_its_pixels_under_any_name_and_format(fields, tmp_path):
    (fields / "images/f1.png").unlink()
    Pillow.fromarray(picture(1)).save(fields / "images/renamed.tif")
    (fields / "masks/f1.png").rename(fields / "masks/renamed.png")

    lines, _, code = refusal(
        LeakError, Config(), seen(0), seen(1, split="valid"), folders=folders_of(fields)
    )

    assert code == 4
    assert lines == [
        "the model was fitted on images to be scored: 1 problem", "  f0: in its train split",
    ]  # fmt: skip
    lines, _, _ = refusal(LeakError, Config(), seen(1, split="valid"), folders=folders_of(fields))
    assert lines[1:] == ["  renamed: in its valid split"]


def test_an_image_of_a_folder_that_looks_like_a_trained_one_is_told(fields):
    """Turned on the way, and its digest with it."""
    trained = TrainingImage("0f", perceptual_hash(np.rot90(picture(1))), "train")
    contract = replace(CONTRACT, trained_on=(trained,))

    task = task_of(Config(), contract, contract, folders=folders_of(fields))

    assert task.notices == (
        "by their hash alone, these look like images the model was fitted on: "
        "f1 (one of its train split)",
    )


@pytest.mark.parametrize(
    ("image", "prediction"),
    [
        ("a.png", "a.ome.tif"),  # as `tiled-infer` writes the mask of a large image
        ("a.ome.tif", "a.png"),  # as it calls the mask of this one
        ("a.ome.tif", "a.ome.tif"),
        ("a.ome.tif", "a.ome.png"),
    ],
)
def test_predictions_are_found_by_the_names_that_inference_gives_them(tmp_path, image, prediction):
    mask = np.eye(5, 7, dtype=np.uint8)
    Pillow.fromarray(mask).save(tmp_path / prediction)
    item = Labelled(image.rsplit(".", 1)[0], tmp_path / "images" / image, None, "index")
    task = Task("test", [item], CELL, fitted=False)
    read = Read(Photo(picture(0)), mask, 0.0)

    guessed = read_predictions(tmp_path, task)(item, read)

    np.testing.assert_array_equal(guessed.mask, mask)
