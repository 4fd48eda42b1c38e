from pathlib import Path

import pytest
from PIL import Image as Pillow

from cervseg.config.data import DataConfig
from cervseg.data.fields import Field, list_problems
from cervseg.data.sources import find_fields
from cervseg.data.truth import MaskFile
from cervseg.errors import ConfigError, DataError


def make(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (2, 3)).save(path)


def config(folder, **more):
    source = {"images": str(folder / "images"), "masks": str(folder / "masks")}
    return DataConfig.model_validate({"source": source, **more})


def problems(folder, **more):
    """The lines of the error."""
    with pytest.raises(DataError) as caught:
        find_fields(config(folder, **more))
    return str(caught.value).split("\n")


def test_images_and_masks_pair_by_stem_whatever_suffix_and_folder(tmp_path):
    make(tmp_path / "images" / "b.JPG", tmp_path / "images" / "slide 1" / "a.x.tif")
    make(tmp_path / "masks" / "deep" / "b.png", tmp_path / "masks" / "a.x.BMP")

    one, two = tmp_path / "masks" / "a.x.BMP", tmp_path / "masks" / "deep" / "b.png"

    fields = find_fields(config(tmp_path))

    first = Field("a.x", tmp_path / "images" / "slide 1" / "a.x.tif", one, "a.x")
    second = Field("b", tmp_path / "images" / "b.JPG", two, "b")
    assert [field._replace(truth=None) for field in fields] == [first, second]
    assert [field.truth for field in fields] == [
        MaskFile(one, "threshold"), MaskFile(two, "threshold")
    ]  # fmt: skip


def test_what_an_inference_wrote_below_the_photographs_is_no_photograph(tmp_path):
    images = tmp_path / "images"
    make(images / "a.png", tmp_path / "masks" / "a.png")
    make(images / "cervseg-output" / "masks" / "a.png")
    make(images / "cervseg-output" / "overlays" / "a.jpg")
    (images / "cervseg-output" / "inference.json").touch()

    assert [field.image for field in find_fields(config(tmp_path))] == [images / "a.png"]


def test_two_files_of_one_stem_are_not_said_to_be_images_without_cells(tmp_path):
    make(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    make(tmp_path / "masks" / "a.png", tmp_path / "masks" / "deep" / "a.tif")

    with pytest.raises(DataError) as caught:
        find_fields(config(tmp_path))

    assert caught.value.hint == (
        "rename one of the two, or name in data.source a folder that holds only one"
    )


def test_all_that_does_not_pair_is_told_at_once(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    make(images / "a.png", images / "both.png", images / "deep" / "both.jpg", images / "c.png")
    make(masks / "b.png", masks / "both.png", masks / "c.png", masks / "c.tif")

    assert problems(tmp_path) == [
        "images and masks do not pair: 4 problems",
        f"  {masks}/c.png and {masks}/c.tif: two files with one stem",
        f"  {masks}/b.png: no image of this name",
        f"  {images}/a.png: no mask of this name",
        f"  {images}/deep/both.jpg: no mask of this name",
    ]


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path):
    make(*(tmp_path / "images" / f"{i:02d}.png" for i in range(23)))
    make(tmp_path / "masks" / "00.png")

    lines = problems(tmp_path)

    assert lines[0] == "images and masks do not pair: 22 problems"
    assert lines[20] == f"  {tmp_path}/images/20.png: no mask of this name"
    assert lines[21:] == ["  and 2 more"]


def test_one_problem_is_not_several():
    assert list_problems("what", ["it"]) == "what: 1 problem\n  it"
    assert list_problems("what", list("ab"), most=1) == "what: 2 problems\n  a\n  and 1 more"


def test_a_missing_mask_is_background_where_the_config_says_so(tmp_path):
    make(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png", tmp_path / "masks" / "b.png")

    fields = find_fields(config(tmp_path, missing_mask="background"))

    assert [field.origin for field in fields] == [None, tmp_path / "masks" / "b.png"]


def test_a_mask_without_image_is_a_problem_even_then(tmp_path):
    make(tmp_path / "images" / "a.png", tmp_path / "masks" / "b.png")

    assert problems(tmp_path, missing_mask="background")[1:] == [
        f"  {tmp_path}/masks/b.png: no image of this name"
    ]


def test_stems_of_different_case_do_not_pair(tmp_path):
    make(tmp_path / "images" / "A.png", tmp_path / "masks" / "a.png")

    assert len(problems(tmp_path)) == 3


def test_a_name_in_two_sources_is_told_apart_by_its_folders(tmp_path):
    for name, stem in (("one", "a"), ("two", "a"), ("two", "b")):
        make(tmp_path / name / "images" / f"{stem}.png", tmp_path / name / "masks" / f"{stem}.png")
    sources = [
        {"images": str(tmp_path / name / "images"), "masks": str(tmp_path / name / "masks")}
        for name in ("one", "two")
    ]

    fields = find_fields(DataConfig.model_validate({"source": sources}))

    assert [(field.name, field.origin.parent.parent.name) for field in fields] == [
        ("b", "two"), ("one_images_a", "one"), ("two_images_a", "two"),
    ]  # fmt: skip


def test_numbers_in_folders_of_patients_pair_with_masks_in_folders_of_the_same_names(tmp_path):
    for place in ("anna/0", "anna/1", "bert/0", "bert/deep/0"):
        make(tmp_path / "images" / f"{place}.jpg", tmp_path / "masks" / f"{place}.png")

    fields = find_fields(config(tmp_path, group_folder=True))

    assert [(f.name, f.group, f.origin.relative_to(tmp_path).as_posix()) for f in fields] == [
        ("1", "anna", "masks/anna/1.png"),
        ("anna_0", "anna", "masks/anna/0.png"),
        ("bert_0", "bert", "masks/bert/0.png"),
        ("bert_deep_0", "deep", "masks/bert/deep/0.png"),
    ]


def test_two_images_of_one_stem_in_one_folder_are_a_problem(tmp_path):
    make(*(tmp_path / "images" / f"deep/a.{end}" for end in ("jpg", "png")))
    make(tmp_path / "images" / "a.png", *(tmp_path / "masks" / f"{n}.png" for n in ("a", "deep/a")))

    assert [line.split("/")[-1] for line in problems(tmp_path)[1:]] == [
        "a.png: two files with one stem"
    ]


def test_no_source_no_folder_and_no_image_are_told_apart(tmp_path):
    with pytest.raises(ConfigError) as caught:
        find_fields(DataConfig())
    assert str(caught.value) == "'data.source' is missing"
    assert caught.value.hint == "name `images` and `masks` folders"

    with pytest.raises(DataError) as caught:
        find_fields(config(tmp_path))
    assert str(caught.value) == f"{tmp_path}/images: no such folder"

    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError) as caught:
        find_fields(config(tmp_path))
    assert str(caught.value) == f"{tmp_path}/images: no images in it"


def test_one_folder_for_images_and_masks_is_refused(tmp_path):
    make(tmp_path / "a.png")
    source = {"images": str(tmp_path), "masks": str(tmp_path / "." / "x" / "..")}
    (tmp_path / "x").mkdir()

    with pytest.raises(ConfigError) as caught:
        find_fields(DataConfig.model_validate({"source": source}))

    assert str(caught.value) == f"'data.source': images and masks are one folder, {tmp_path}"


# --- split folders ------------------------------------------------------------------------------


def split_config(folder, **more):
    source = {"images": str(folder / "{split}" / "images"), "masks": str(folder / "{split}/masks")}
    return DataConfig.model_validate({"source": {**source, "scale": [6, 8]}, **more})


def test_split_folders_give_each_field_its_split(tmp_path):
    for name, folder in (("a", "train"), ("b", "val"), ("c", "test"), ("d", "validation")):
        make(
            tmp_path / folder / "images" / f"{name}.png",
            tmp_path / folder / "masks" / f"{name}.png",
        )

    fields = find_fields(split_config(tmp_path))

    assert [(field.name, field.split) for field in fields] == [
        ("a", "train"), ("b", "valid"), ("c", "test"), ("d", "valid"),
    ]  # fmt: skip
    assert {field.scale for field in fields} == {(6.0, 8.0)}


def test_no_split_folder_at_all_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        find_fields(split_config(tmp_path))

    expected = f"{tmp_path}/{{split}}/images: no folder for any of train, valid, test"
    assert str(caught.value) == expected


def test_one_name_in_two_split_folders_is_told_apart_by_them(tmp_path):
    for folder in ("train", "test"):
        make(tmp_path / folder / "images" / "a.png", tmp_path / folder / "masks" / "a.png")

    fields = find_fields(split_config(tmp_path))

    assert [(field.name, field.split) for field in fields] == [
        ("test_images_a", "test"), ("train_images_a", "train"),
    ]  # fmt: skip


def test_split_folders_of_other_names_are_told(tmp_path, caplog):
    for folder in ("training", "testing", "holdout", "notes"):
        make(
            tmp_path / folder / "images" / f"{folder}.png",
            tmp_path / folder / "masks" / f"{folder}.png",
        )
    (tmp_path / "notes" / "images").rename(tmp_path / "notes" / "texts")

    fields = find_fields(split_config(tmp_path))

    assert [(field.name, field.split) for field in fields] == [
        ("testing", "test"), ("training", "train"),
    ]  # fmt: skip
    assert caplog.messages == [f"{tmp_path}/{{split}}/images: not looked at: holdout"]


def test_a_split_folder_that_is_a_link_to_another_is_the_same_folder(tmp_path):
    for folder in ("train", "valid"):
        make(*(tmp_path / folder / kind / f"{folder}.png" for kind in ("images", "masks")))
    (tmp_path / "val").symlink_to("valid")

    assert [f.name for f in find_fields(split_config(tmp_path))] == ["train", "valid"]


def test_what_stands_around_the_name_of_a_split_belongs_to_its_folder(tmp_path, caplog):
    for name in ("my_train_photos", "my_extra_photos", "my_train_masks", "other"):
        make(tmp_path / name / "a.png")
    source = {
        "images": f"{tmp_path}/my_{{split}}_photos",
        "masks": f"{tmp_path}/my_{{split}}_masks",
    }

    fields = find_fields(DataConfig.model_validate({"source": source}))

    assert [(field.name, field.split) for field in fields] == [("a", "train")]
    assert caplog.messages[0].endswith("not looked at: extra")


def test_split_folders_are_the_split_unless_another_is_asked_for(tmp_path):
    assert split_config(tmp_path).split.kind == "folders"
    assert split_config(tmp_path, split={"seed": 3}).split.kind == "fractions"
    assert config(tmp_path).split.kind == "fractions"


# --- groups -------------------------------------------------------------------------------------


def test_fields_take_the_group_of_their_name(tmp_path):
    for name in ("s1_3", "s1_4", "s2_3"):
        make(tmp_path / "images" / f"{name}.png", tmp_path / "masks" / f"{name}.png")

    fields = find_fields(config(tmp_path, group_pattern=r"^(s\d)"))

    assert [field.group for field in fields] == ["s1", "s1", "s2"]
    assert all(isinstance(field.image, Path) for field in fields)
