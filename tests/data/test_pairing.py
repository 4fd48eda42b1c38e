"""Names that occur in several folders pair by these; `test_sources.py` has all else."""

from pathlib import Path

import pytest
from PIL import Image as Pillow

from cervseg.data.pairing import by_any_name, by_predicted_name, tell_apart

TREE = ("x/1.png", "y/1.ome.tif", "y/deep/1.jpg", "y/2.png")


@pytest.fixture
def tree(tmp_path):
    """Four images below `tree`, three of which `tiled-infer` calls 1."""
    return {path: make(tmp_path / "tree" / path) for path in TREE}


def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("L", (2, 3)).save(path, format="PNG")
    return path


def test_outlines_of_nested_folders_pair_as_tiled_infer_writes_them(tmp_path, tree):
    names = ("x/1", "y/1", "y/deep/1", "y/2")
    files = [tmp_path / "objects" / f"{name}.geojson" for name in names]

    found, problems = by_any_name(tmp_path / "tree", files, tmp_path / "objects")

    assert not problems
    assert found == dict(zip(tree.values(), files, strict=True))


def test_outlines_that_lie_flat_are_of_no_image_where_names_repeat(tmp_path, tree):
    files = [tmp_path / "objects" / f"{name}.geojson" for name in "12"]

    found, problems = by_any_name(tmp_path / "tree", files, tmp_path / "objects")

    assert not problems
    assert [image for image, file in found.items() if file] == [tree["y/2.png"]]


def test_masks_of_nested_folders_pair_as_tiled_infer_writes_them(tmp_path, tree):
    masks = [
        make(tmp_path / "masks" / name)
        for name in ("x/1.png", "y/1.png", "y/deep/1.ome.tif", "y/2.png")
    ]
    called = {f"item {number}": image for number, image in enumerate(tree.values())}

    found, problems = by_predicted_name(called, tmp_path / "masks")

    assert not problems
    assert found == dict(zip(called, masks, strict=True))
    some, problems = by_predicted_name({"it": tree["x/1.png"]}, tmp_path / "masks")
    assert not problems and some == {"it": masks[0]}, "though two others of one name lie there"


def test_a_mask_is_not_taken_for_that_of_another_folder(tmp_path, tree):
    make(tmp_path / "masks" / "y" / "1.png")
    called = {path: tree[path] for path in ("x/1.png", "y/1.ome.tif")}

    found, problems = by_predicted_name(called, tmp_path / "masks")

    assert not problems and list(found) == ["y/1.ome.tif"]


@pytest.mark.parametrize(
    ("masks", "problem"),
    [
        (["1.png"], "masks/1.png: for both tree/x/1.png and tree/y/1.ome.tif"),
        (["x/1.png", "y/1.png", "x/1.ome.tif"],
         "masks/x/1.ome.tif and masks/x/1.png: both for tree/x/1.png"),
    ],
)  # fmt: skip
def test_masks_that_may_be_of_several_images_are_told(tmp_path, tree, *, masks, problem):
    for name in masks:
        make(tmp_path / "masks" / name)
    called = {path: tree[path] for path in ("x/1.png", "y/1.ome.tif")}

    _, problems = by_predicted_name(called, tmp_path / "masks")

    assert [line.replace(f"{tmp_path}/", "") for line in problems] == [problem]


def test_of_masks_in_folders_that_the_image_is_not_in_none_is_guessed(tmp_path):
    image = make(tmp_path / "images" / "1.png")
    for folder in "xy":
        make(tmp_path / "masks" / folder / "1.png")

    _, problems = by_predicted_name({"1": image}, tmp_path / "masks")

    assert len(problems) == 1 and problems[0].endswith(f"both for {image}")


def test_names_are_told_apart_by_folders_that_lead_nowhere_else(tmp_path, monkeypatch):
    paths = [make(tmp_path / place) for place in ("a/x/0.png", "b/0.png", "b/1.png")]
    (tmp_path / "b" / "c").mkdir()
    monkeypatch.chdir(tmp_path / "b" / "c")
    images = [Path("../../a/x/0.png"), Path("../0.png"), Path("../1.png")]
    assert [image.resolve() for image in images] == paths

    assert tell_apart([(image.stem, image) for image in images]) == [
        ("a", "x", "0"), ("b", "0"), ("1",),
    ]  # fmt: skip


def test_one_image_under_two_paths_is_not_told_apart(tmp_path):
    image = make(tmp_path / "a" / "0.png")
    (tmp_path / "b").symlink_to("a")

    assert tell_apart([("0", image), ("0", tmp_path / "b" / "0.png")]) == [("0",), ("0",)]
