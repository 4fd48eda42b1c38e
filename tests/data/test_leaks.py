from dataclasses import replace

import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract, TrainingImage
from cervseg.data.leaks import refuse_leaks, refuse_trained_images
from cervseg.data.manifest import SourceRow
from cervseg.errors import LeakError


def source(name, split, *, group=None, sha256=None):
    group, sha256 = group or name, f"{name:0>64}" if sha256 is None else sha256
    return SourceRow(name, f"{name}.png", "", group, split, 3, 5, 1.0, 1.0, "", sha256, "", 0.0)


def refusal(*sources):
    with pytest.raises(LeakError) as caught:
        refuse_leaks(sources)
    assert caught.value.exit_code == 4
    assert caught.value.hint == (
        "split by group: data.group_pattern, data.group_block, or other lists"
    )
    return str(caught.value).split("\n")


def test_clean_data_passes():
    refuse_leaks(
        [source("a", "train", group="s1"), source("b", "train", group="s1"), source("c", "test")]
    )


def test_a_group_on_two_sides_is_named_with_an_image_of_each():
    lines = refusal(
        source("a", "train", group="s1"), source("b", "train", group="s1"),
        source("c", "valid", group="s1"), source("d", "test"),
    )  # fmt: skip

    assert lines == [
        "training and scoring data overlap: 1 problem", "  group 's1': a (train), c (valid)",
    ]  # fmt: skip


def test_an_identical_picture_on_two_sides_is_named():
    lines = refusal(source("a", "train", sha256="0f"), source("copy", "test", sha256="0f"))

    assert lines[1:] == ["  one picture: copy (test), a (train)"]


def test_all_leaks_are_told_at_once_twenty_of_them():
    pairs = [
        source(f"{split}{i}", split, group=f"s{i}")
        for i in range(23)
        for split in ("train", "test")
    ]

    lines = refusal(*pairs)

    assert lines[0] == "training and scoring data overlap: 23 problems"
    assert lines[-1] == "  and 3 more" and len(lines) == 22


def test_one_picture_twice_on_one_side_is_no_leak():
    refuse_leaks([source("a", "train", sha256="0f"), source("b", "train", sha256="0f")])


def test_pictures_of_one_colour_have_no_digest_and_are_no_leak():
    refuse_leaks([source("a", "train", sha256=""), source("b", "test", sha256="")])


# --- the model's own images ---------------------------------------------------------------------

CONTRACT = Contract(
    architecture="unet", options={}, classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64,
    trained_on=(TrainingImage("0f", None, "train"), TrainingImage("1e", None, "valid")),
)  # fmt: skip


def test_an_image_the_model_was_trained_on_is_refused_by_name():
    with pytest.raises(LeakError) as caught:
        refuse_trained_images([("a", "0f"), ("b", "2d"), ("c", "1e")], CONTRACT)

    assert str(caught.value).split("\n") == [
        "the model was fitted on images to be scored: 2 problems",
        "  a: in its train split",
        "  c: in its valid split",
    ]
    assert caught.value.hint == (
        "score images it has not seen; --split train or valid for those it has"
    )


def test_images_the_model_has_not_seen_pass():
    refuse_trained_images([("a", "2d"), ("b", "3c")], CONTRACT)


def test_an_image_without_digest_is_not_taken_for_a_training_image():
    contract = replace(CONTRACT, trained_on=(TrainingImage("", None, "train"),))

    refuse_trained_images([("blank", "")], contract)
