import errno
from pathlib import Path

import pytest
from PIL import Image as Pillow

from cervseg.commands.inputs import Input, find_inputs
from cervseg.errors import ConfigError, DataError


def make(folder, *names):
    """Tiny images below a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (2, 3)).save(folder / name)
    return folder


def refusal(kind, *paths):
    """The lines and the hint with which inputs are refused."""
    with pytest.raises(kind) as caught:
        find_inputs(paths)
    return str(caught.value).split("\n"), caught.value.hint, caught.value.exit_code


def test_images_of_a_folder_are_named_by_their_place_in_it_without_suffix(tmp_path):
    make(tmp_path / "in", "b.JPG", "slide 2/a.x.tif", "slide 1/deep/b.png", "a.bmp")
    (tmp_path / "in" / "notes.txt").touch()

    assert find_inputs([tmp_path / "in"]) == [
        Input(tmp_path / "in" / "a.bmp", "a"),
        Input(tmp_path / "in" / "b.JPG", "b"),
        Input(tmp_path / "in" / "slide 1" / "deep" / "b.png", "slide 1/deep/b"),
        Input(tmp_path / "in" / "slide 2" / "a.x.tif", "slide 2/a.x"),
    ]


def test_what_an_inference_wrote_is_no_photograph_unless_it_is_named(tmp_path):
    make(tmp_path, "a.png", "deep/b.png", "deep/out/masks/b.png", "old_bak/overlays/a.jpg")
    for record in (
        "deep/out/inference.json", "old_bak/inference_1_of_2.json", "deep/inference_notes.json"
    ):  # fmt: skip
        (tmp_path / record).write_text("{}")

    assert [item.name for item in find_inputs([tmp_path])] == ["a", "deep/b"]
    assert [item.name for item in find_inputs([tmp_path / "deep/out"])] == ["masks/b"]


def test_files_are_named_by_their_stem_and_keep_their_order(tmp_path):
    make(tmp_path, "z/b.x.png", "a.tif", "in/m.png")
    paths = [tmp_path / "z/b.x.png", tmp_path / "in", tmp_path / "a.tif"]

    assert [item.name for item in find_inputs(paths)] == ["b.x", "m", "a"]


def test_a_file_named_outright_needs_no_suffix_of_an_image(tmp_path):
    (tmp_path / "scan.dat").touch()

    assert find_inputs([tmp_path / "scan.dat"]) == [Input(tmp_path / "scan.dat", "scan")]


def test_a_zarr_is_one_input_named_or_found(tmp_path):
    make(tmp_path, "in/deep/a.ome.zarr/0/b.png", "in/c.ome.tif", "in/my.scan/.zgroup.png")
    (tmp_path / "in/my.scan/.zgroup").touch()

    assert [item.name for item in find_inputs([tmp_path / "in"])] == ["c", "deep/a", "my.scan"]
    paths = [tmp_path / "in/deep/a.ome.zarr", tmp_path / "in/my.scan", tmp_path / "in/c.ome.tif"]
    assert find_inputs(paths) == [
        Input(path, name) for path, name in zip(paths, ["a", "my.scan", "c"], strict=True)
    ]


def test_a_path_that_is_missing_is_named(tmp_path):
    make(tmp_path, "a.png")

    assert refusal(DataError, tmp_path / "a.png", tmp_path / "b.png") == (
        [f"{tmp_path}/b.png: no such image or folder"], None, 3,
    )  # fmt: skip


def test_a_folder_that_may_not_be_entered_is_told_in_one_line(tmp_path, monkeypatch):
    def exists(path):  # to root nothing is forbidden
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)

    lines, _, code = refusal(DataError, tmp_path / "locked" / "a.png")

    assert lines == [f"{tmp_path}/locked/a.png: can't be read: permission denied"]
    assert code == 3


def test_of_many_missing_paths_twenty_are_named_and_the_rest_counted(tmp_path):
    make(tmp_path, "there.png")
    missing = [tmp_path / f"{i:02d}.png" for i in range(25)]

    lines, _, code = refusal(DataError, *missing[:7], tmp_path / "there.png", *missing[7:])

    assert code == 3
    assert lines == [
        "images are missing: 25 problems",
        *(f"  {path}: no such image or folder" for path in missing[:20]),
        "  and 5 more",
    ]


def test_no_image_at_all_is_refused_with_what_was_looked_through(tmp_path):
    hint = "name image files or a folder of them"
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()

    assert refusal(DataError) == (["no images to infer: nothing named"], hint, 3)
    assert refusal(DataError, one, two) == ([f"no images to infer: {one}, {two}"], hint, 3)


def test_images_that_would_be_written_under_one_name_are_refused_in_pairs(tmp_path):
    one = make(tmp_path / "one", "a.png", "deep/b.png", "c.png")
    two = make(tmp_path / "two", "a.jpg", "deep/b.png", "b.png")

    lines, hint, code = refusal(ConfigError, one, two, one / "c.png")

    assert lines == [
        "images would be written under one name: 3 problems",
        f"  {one}/a.png and {two}/a.jpg",
        f"  {one}/c.png and {one}/c.png",
        f"  {one}/deep/b.png and {two}/deep/b.png",
    ]
    assert hint == "infer them into different --output folders"
    assert code == 2


def test_one_pair_is_one_problem_and_no_more_than_twenty_are_shown(tmp_path):
    one, two = (make(tmp_path / n, *(f"{i:02d}.png" for i in range(22))) for n in ("one", "two"))

    lines, _, _ = refusal(ConfigError, one / "00.png", two / "00.png")
    assert lines[0] == "images would be written under one name: 1 problem"

    lines, _, _ = refusal(ConfigError, one, two)
    assert lines[0] == "images would be written under one name: 22 problems"
    assert lines[20:] == [f"  {one}/19.png and {two}/19.png", "  and 2 more"]


def test_one_stem_in_two_folders_of_a_folder_is_no_collision(tmp_path):
    make(tmp_path, "one/a.png", "two/a.png")

    assert [item.name for item in find_inputs([tmp_path])] == ["one/a", "two/a"]


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(make(tmp_path, "in/a.png"))

    assert find_inputs([Path("in")]) == [Input(Path("in/a.png"), "a")]
    assert find_inputs([Path()]) == [Input(Path("in/a.png"), "in/a")]
