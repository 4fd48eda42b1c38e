"""Groups by name, by a table, by folder."""

from pathlib import Path

import pytest
from PIL import Image as Pillow

from cervseg.config.data import DataConfig
from cervseg.data.groups import group_names
from cervseg.data.sources import find_fields
from cervseg.errors import ConfigError, DataError


def listed(path, text, *names):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return group_names(names, DataConfig.model_validate({"group_file": str(path)}))


@pytest.mark.parametrize("file", ["field_1.JPG", "field_1", "scans/field_1.tif"])
def test_a_table_names_images_with_or_without_suffix_and_folder(tmp_path, file):
    assert listed(tmp_path / "g.csv", f"file,group\n{file},slide 7\n", "field_1") == ["slide 7"]


def test_a_table_may_come_from_a_spreadsheet_have_more_columns_and_list_more_images(tmp_path):
    text = '\ufeffgroup,who,file\r\n a ,Ä, x.png \r\n\r\nb,"B, C",y.png\r\nc,,z.png\r\n'

    assert listed(tmp_path / "g.csv", text, "y", "x") == ["b", "a"]


def test_a_dot_in_a_name_begins_no_suffix(tmp_path):
    text = "file,group\nslide.1,a\nslide.2,b\nslide.3.png,c\n"

    assert listed(tmp_path / "g.csv", text, "slide.1", "slide.2", "slide.3") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,slide\na,1\n", ": column 'group' is missing"),
        ("", ": column 'file' is missing"),
        ("file,group\na.png,1\nb.png,\n", ":3: a file and a group expected"),
        ("file,group\na.png\n", ":2: a file and a group expected"),
        ("file,group\na.png,1\na.jpg,2\n", ":3: 'a' has two groups"),
        ("file,group\nb,1\n", ": no line for image 'a' (1 in all)"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "g.csv"

    with pytest.raises(DataError) as caught:
        listed(path, text, "a")

    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize("text", [b"file,group\n\xff,1\n", b'file,group\n"a,1\n'])
def test_what_is_no_table_is_refused(tmp_path, text):
    with pytest.raises(DataError, match="g.csv: not a readable table of groups: "):
        listed(tmp_path / "g.csv", text, "a")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        group_names(["a"], DataConfig.model_validate({"group_file": str(tmp_path / "g.csv")}))

    assert str(caught.value) == f"{tmp_path}/g.csv: no such table of groups"


def test_one_group_twice_for_an_image_is_no_contradiction(tmp_path):
    assert listed(tmp_path / "g.csv", "file,group\na.png,1\na.jpg,1\n", "a") == ["1"]


def test_the_folder_an_image_lies_in_is_its_group(tmp_path):
    for name in ("patient 1/a", "patient 1/b", "patient 2/c"):
        for kind in ("images", "masks"):
            path = tmp_path / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.new("L", (5, 3)).save(path)
    source = {"images": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}

    fields = find_fields(DataConfig.model_validate({"source": source, "group_folder": True}))

    assert [(f.name, f.group) for f in fields] == [
        ("a", "patient 1"), ("b", "patient 1"), ("c", "patient 2"),
    ]  # fmt: skip


def test_a_folder_has_a_name_where_it_is_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "slide 3").mkdir()
    monkeypatch.chdir(tmp_path / "slide 3")

    assert group_names(["a"], DataConfig(group_folder=True), [Path()]) == ["slide 3"]


@pytest.mark.parametrize(
    ("keys", "name", "group"),
    [
        ({}, "slide7_field_12", "slide7_field_12"),
        ({"group_pattern": r"^slide\d+"}, "slide7_field_12", "slide7"),
        ({"group_pattern": r"slide(\d+)_(field)"}, "slide7_field_12", "7"),
        ({"group_pattern": r"^(.+)_\d+x\d+$"}, "268_512x1024", "268"),
        ({"group_block": 4}, "slide7_field_12", "3"),
        ({"group_block": 4}, "slide7_field_0015", "3"),
        ({"group_block": 1}, "9", "9"),
    ],
)
def test_the_group_of_a_name(keys, name, group):
    assert group_names([name], DataConfig.model_validate(keys)) == [group]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"group_pattern": r"^slide\d+"},
         "'data.group_pattern' does not match image name 'field a'"),
        ({"group_pattern": r"field(\d+)?"},
         "'data.group_pattern': the parenthesis is empty for 'field a'"),
        ({"group_pattern": r"field(\d*)"},
         "'data.group_pattern': the parenthesis is empty for 'field a'"),
        ({"group_block": 3}, "'data.group_block': image name 'field a' has no number"),
    ],
)  # fmt: skip
def test_a_name_without_group_is_refused(keys, message):
    with pytest.raises(ConfigError) as caught:
        group_names(["field a"], DataConfig.model_validate(keys))

    assert str(caught.value) == message
