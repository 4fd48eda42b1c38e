import os

import pytest

from cervseg.bounds import (
    is_plain_name,
    one_line,
    refuse_special,
    refuse_ways_out,
    stays_below,
)
from cervseg.errors import DataError


def test_a_pipe_and_a_device_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "file").touch()

    for name in ("pipe", "link"):
        with pytest.raises(DataError) as caught:
            refuse_special(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: a pipe or a device, not a file"
    for name in ("file", "", "missing"):
        refuse_special(tmp_path / name)


def test_a_table_of_over_512_mb_is_refused_by_its_size(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(512 * 2**20 + 1)

    with pytest.raises(DataError) as caught:
        refuse_special(tmp_path / "a.csv", what="manifest")

    assert str(caught.value) == f"{tmp_path / 'a.csv'}: over 512 MB, too large for a manifest"
    refuse_special(tmp_path / "a.csv")


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret", "/nowhere/at/all", "link"])
def test_a_link_out_of_a_folder_is_refused_however_deep_and_wherever_it_leads(tmp_path, target):
    deep = tmp_path / "run" / "checkpoints" / "old"
    deep.mkdir(parents=True)
    (deep / "link").symlink_to(target if target.startswith("/") else f"../../{target}")
    if target == "link":
        (deep / "link").unlink()
        (deep / "link").symlink_to("link")

    with pytest.raises(DataError) as caught:
        refuse_ways_out(tmp_path / "run")

    assert str(caught.value) == f"{deep / 'link'}: a link that leads out of its folder"


def test_links_that_stay_in_a_folder_and_a_link_to_it_are_fine(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.txt").touch()
    (tmp_path / "run" / "latest").symlink_to("log.txt")
    (tmp_path / "run" / "again").symlink_to(tmp_path / "run")
    (tmp_path / "named").symlink_to("run")

    refuse_ways_out(tmp_path / "run")
    refuse_ways_out(tmp_path / "named")
    refuse_ways_out(tmp_path / "missing")


def test_a_pipe_in_a_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "log.txt")

    with pytest.raises(DataError, match="log.txt: a pipe or a device, not a file"):
        refuse_ways_out(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\0b", "a/", "a/../b"])
def test_a_name_that_leads_elsewhere_is_no_plain_name(name):
    assert not is_plain_name(name)
    assert stays_below(name) == (name == "a/b")


@pytest.mark.parametrize("name", ["a", "Slide 7, ü (2)", "...", "a..b", "<b>", "-x"])
def test_any_other_name_is(name):
    assert is_plain_name(name) and stays_below(name)


def test_what_a_library_says_becomes_part_of_one_line():
    assert one_line(ValueError("bad\n  value \x1b[2J")) == "bad value \\x1b[2J"
    assert one_line("é" * 600) == "é" * 499 + "…"
