import errno
import json
import os
import struct
from pathlib import Path

import pytest

from cervseg.errors import BudgetError, DataError
from cervseg.images.image import decoding, find_images, image_name, is_zarr


def test_images_are_found_below_a_folder_in_order_whatever_their_case(tmp_path):
    (tmp_path / "slide 2" / "deep").mkdir(parents=True)
    names = ["b.PNG", "a.tif", "slide 2/deep/c.JPeG", "slide 2/d.jpg", "e.webp", "f.tiff", "g.bmp"]
    for name in names:
        (tmp_path / name).touch()

    assert find_images(tmp_path) == sorted(tmp_path / name for name in names)


def test_what_is_hidden_unfinished_or_no_image_is_left_out(tmp_path):
    for folder in ("folder.png", ".thumbnails"):
        (tmp_path / folder).mkdir()
    for name in (".hidden.png", "._a.png", "half.partial.png", "notes.txt", "png",
                 ".thumbnails/a.png"):  # fmt: skip
        (tmp_path / name).touch()

    assert find_images(tmp_path) == []


def test_links_to_folders_are_followed_and_those_that_lead_back_are_not(tmp_path):
    for name in ("in/a.png", "in/half.partial/b.png", "elsewhere/deep/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "in")
    (tmp_path / "in/again").symlink_to(tmp_path / "in")
    (tmp_path / "in/around").symlink_to(tmp_path)
    (tmp_path / "in/z").mkdir()
    (tmp_path / "in/z/d.png").touch()
    (tmp_path / "in/alias").symlink_to(tmp_path / "in/z")

    found = find_images(tmp_path / "in")

    names = ("a.png", "link/deep/c.png", "z/d.png")
    assert found == [tmp_path / "in" / name for name in names]


def test_a_folder_that_is_itself_in_a_hidden_one_is_searched(tmp_path):
    (tmp_path / ".cache" / "images").mkdir(parents=True)
    (tmp_path / ".cache" / "images" / "a.png").touch()

    assert len(find_images(tmp_path / ".cache" / "images")) == 1


def test_slides_of_scanners_are_found_by_their_suffixes(tmp_path):
    names = ["a.svs", "b.NDPI", "c.mrxs", "d.scn", "e.vms", "f.bif", "g.ome.tif", "h.czi"]
    for name in names:
        (tmp_path / name).touch()

    assert find_images(tmp_path) == sorted(tmp_path / name for name in names)


def test_a_zarr_is_one_image_and_nothing_in_it_is_looked_at(tmp_path):
    for name in ("a.zarr/0/0.png", "deep/b.ZARR/c.zarr/x.png", ".c.zarr/x.png", "d.partial.zarr/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for number, name in enumerate([".zgroup", "zarr.json", ".zarray"]):
        (tmp_path / f"scan {number}" / "labels").mkdir(parents=True)
        (tmp_path / f"scan {number}" / name).touch()
        (tmp_path / f"scan {number}" / "labels" / "a.png").touch()
    (tmp_path / "z.png").touch()

    found = find_images(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a.zarr", "deep/b.ZARR", "scan 0", "scan 1", "scan 2", "z.png",
    ]  # fmt: skip
    assert all(is_zarr(path) == path.is_dir() for path in found)
    assert not is_zarr(tmp_path) and not is_zarr(tmp_path / "none.zarr")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.x.png", "b.x"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.b.ome.zarr", "a.b"),
        ("a.ome.png", "a.ome"),
        (".ome.tif", ".ome"),
        ("a.svs", "a"),
        ("scan.dat", "scan"),
    ],
)
def test_an_image_is_called_by_its_name_without_suffix(path, name):
    assert image_name(Path(path)) == name


@pytest.mark.parametrize(
    "written",
    [
        ["inference.json"],
        ["inference_1_of_2.json"],
        ["dataset.json", "sources.csv"],
        ["scores.json", "scores.csv"],
        ["run.json", "config.yaml"],
        ["findings.csv", "fields.csv"],
    ],
)
def test_what_a_command_wrote_below_a_folder_is_no_photograph_unless_it_is_named(tmp_path, written):
    names = ["a.png", "deep/b.png", "deep/out/masks/a.png", "deep/out/overlays/b.jpg"]
    for name in [*names, *(f"deep/out/{name}" for name in written)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert find_images(tmp_path) == [tmp_path / name for name in names[:2]]
    assert find_images(tmp_path / "deep" / "out") == [tmp_path / name for name in names[2:]]


@pytest.mark.parametrize("foreign", ["dataset.json", "run.json", "inference_notes.json"])
def test_files_of_such_names_that_others_wrote_do_not_hide_photographs(tmp_path, foreign):
    (tmp_path / "set").mkdir()
    for name in ("a.png", foreign):
        (tmp_path / "set" / name).touch()

    assert find_images(tmp_path) == [tmp_path / "set" / "a.png"]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        find_images(tmp_path / "images")

    assert str(caught.value) == f"{tmp_path / 'images'}: no such folder"


def test_a_folder_that_may_not_be_listed_is_refused_and_one_within_is_told(
    tmp_path, monkeypatch, caplog
):
    locked = tmp_path / "fields" / "locked"
    locked.mkdir(parents=True)
    (tmp_path / "fields" / "a.png").touch()
    listed = os.scandir

    def scandir(path):  # root may list everything
        if path == str(locked):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)

    assert find_images(tmp_path / "fields") == [tmp_path / "fields" / "a.png"]
    assert caplog.messages == [f"{locked}: not looked at: permission denied"]
    with pytest.raises(DataError) as caught:
        find_images(locked)
    assert str(caught.value) == f"{locked}: can't be read: permission denied"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(), "no such file"),
        (MemoryError(), "can't be decoded: not enough memory"),
        (struct.error("unpack requires"), "can't be decoded: the file is truncated"),
        (SyntaxError("broken PNG file"), "can't be decoded: broken PNG file"),
        (TypeError("'>' not supported"), "can't be decoded: its header makes no sense"),
        (OverflowError("too large"), "can't be decoded: its header makes no sense"),
        (
            json.JSONDecodeError("Expecting value", "{", 1),
            "can't be decoded: its metadata is damaged: Expecting value: line 1 column 2 (char 1)",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.png"),
            "can't be read: permission denied",
        ),
        (UnboundLocalError(), "can't be decoded: UnboundLocalError"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_line(tmp_path, error, message):
    with pytest.raises(DataError) as caught, decoding(tmp_path / "a.png"):
        raise error

    assert str(caught.value) == f"{tmp_path / 'a.png'}: {message}"
    assert caught.value.__cause__ is error


def test_an_error_of_ours_and_a_wish_to_stop_pass_through(tmp_path):
    for error in (BudgetError("the disk is full"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, decoding(tmp_path / "a.png"):
            raise error
        assert caught.value is error
