import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.config.data import DataConfig
from cervseg.data.survey import survey_config, survey_folder
from cervseg.errors import DataError


@pytest.fixture
def pairs(tmp_path):
    """Makes pairs of small images and masks below a folder."""

    def make(*names, below=""):
        for name in names:
            for kind in ("images", "masks"):
                folder = tmp_path / below / kind
                folder.mkdir(parents=True, exist_ok=True)
                Pillow.fromarray(np.zeros((5, 7), np.uint8)).save(folder / f"{name}.png")
        return tmp_path

    return make


def test_a_folder_with_images_and_masks_has_no_splits(pairs):
    folder = pairs("b", "a")

    survey = survey_folder(folder, DataConfig())

    assert [(f.name, f.split, f.group) for f in survey.fields] == [
        ("a", None, "a"),
        ("b", None, "b"),
    ]
    assert (survey.heading, survey.problems, dict(survey.tiles)) == (str(folder), [], {})
    assert survey.classes.names == ("cell",)


def test_split_folders_are_the_splits_and_groups_are_those_of_the_config(pairs):
    pairs("1-a", "2-a", below="train")
    folder = pairs("1-b", below="val")

    survey = survey_folder(folder, DataConfig(group_pattern=r"^(\d)-"))

    assert [(f.name, f.split, f.group) for f in survey.fields] == [
        ("1-a", "train", "1"),
        ("1-b", "valid", "1"),
        ("2-a", "train", "2"),
    ]


def test_files_without_a_partner_are_listed_and_the_rest_is_there(pairs):
    folder = pairs("a", "b", "c")
    (folder / "masks" / "b.png").unlink()
    (folder / "images" / "c.png").unlink()

    survey = survey_folder(folder, DataConfig())

    assert [f.name for f in survey.fields] == ["a", "b"]
    assert survey.problems == [
        f"{folder}/masks/c.png: no image of this name",
        f"{folder}/images/b.png: no mask of this name",
    ]


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        survey_folder(tmp_path, DataConfig())
    assert str(caught.value) == (
        f"{tmp_path}: no `images` and `masks` in it, nor in train, valid or test below it"
    )
    assert caught.value.hint == "name the folder that holds them, or a config"

    with pytest.raises(DataError) as caught:
        survey_folder(tmp_path / "gone", DataConfig())
    assert str(caught.value) == f"{tmp_path / 'gone'}: no such folder"


def test_fields_of_a_config_are_in_the_splits_it_asks_for(pairs):
    folder = pairs("a", "b", "c")
    source = {"images": folder / "images", "masks": folder / "masks"}
    split = {"kind": "lists", "train": ("a",), "test": ("b",)}

    survey = survey_config(DataConfig(source=source, split=split, output=folder / "none"))

    assert [f.split for f in survey.fields] == ["train", "test", None]
    assert survey.notices == ["1 image(s) stand in no list and are left out: c"]
    assert survey.heading == str(folder / "images")


def test_fields_of_a_config_in_folds_have_no_split(pairs):
    folder = pairs("a", "b", "c")
    source = {"images": folder / "images", "masks": folder / "masks"}

    survey = survey_config(DataConfig(source=source, folds=3, output=folder / "none"))

    assert [f.split for f in survey.fields] == [None] * 3


def test_a_dataset_folder_has_its_sources_splits_and_tiles(make_fields, make_field):
    fields = {name: make_field(40, 50, seed=i) for i, name in enumerate(("a", "v", "t"))}
    dataset = make_fields(fields)

    survey = survey_folder(dataset.folder, DataConfig())

    assert [(f.name, f.split) for f in survey.fields] == [
        ("a", "train"),
        ("v", "valid"),
        ("t", "test"),
    ]
    found = survey.fields[0].truth.read(40, 50, survey.classes)
    np.testing.assert_array_equal(found.mask, fields["a"][1])
