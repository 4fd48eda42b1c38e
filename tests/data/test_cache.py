import fcntl
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from cervseg.data.cache import FieldCache, make_entry
from cervseg.machine import cache_folder

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
MASK = IMAGE[..., 0] // 90
SIZE = 4 * 35 + 32


def entry(name):
    return make_entry([name], 5, 7)


def file_of(folder, one):
    return folder / f"{one.name}.field"


def age(path, seconds):
    """Make a file look as if it had been used so long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.fixture
def cached(tmp_path):
    """A cache with one entry in it."""
    cache = FieldCache(tmp_path, 10 * SIZE, [entry("a")])
    cache.store(entry("a"), IMAGE, MASK)
    return cache


def test_what_was_stored_is_mapped_again_by_any_process(cached, tmp_path):
    later = FieldCache(tmp_path, 10 * SIZE, [entry("a")])

    for cache in (cached, later):
        image, mask = cache.load(entry("a"), check=True)
        np.testing.assert_array_equal(image, IMAGE)
        np.testing.assert_array_equal(mask, MASK)
        assert not image.flags.writeable and not mask.flags.writeable
    assert file_of(tmp_path, entry("a")).stat().st_size == entry("a").size == SIZE
    assert {path.name for path in tmp_path.iterdir()} == {f"{entry('a').name}.field", ".lock"}


def test_an_entry_is_named_by_all_that_it_is_made_from():
    names = [make_entry(*of).name for of in ((["a", "b"], 5, 7), (["a", "c"], 5, 7), (["a"], 5, 7),
             (["a", "b"], 7, 5), (["c", "b"], 5, 7))]  # fmt: skip

    assert len(set(names)) == 5
    assert make_entry(["a", "b"], 5, 7).name == names[0] and len(names[0]) == 64


def test_what_is_not_there_is_none(tmp_path):
    cache = FieldCache(tmp_path / "none", SIZE, [entry("a")])

    assert cache.load(entry("a")) is None
    assert not (tmp_path / "none").exists(), "reading makes no folder"


@pytest.mark.parametrize("damage", ["cut short", "longer", "empty", "changed"])
def test_a_broken_entry_is_not_taken_and_can_be_written_again(cached, tmp_path, damage):
    path = file_of(tmp_path, entry("a"))
    content = bytearray(path.read_bytes())
    content[3] ^= damage == "changed"
    path.write_bytes({"cut short": content[:-1], "longer": content + b"0", "empty": b"",
                      "changed": content}[damage])  # fmt: skip

    assert cached.load(entry("a"), check=True) is None
    cached.store(entry("a"), IMAGE, MASK)
    np.testing.assert_array_equal(cached.load(entry("a"), check=True)[0], IMAGE)


def test_as_many_as_fit_are_kept_in_their_order_and_the_rest_is_not(tmp_path):
    large = make_entry(["large"], 50, 70)
    cache = FieldCache(tmp_path, 2 * SIZE, [entry("a"), large, entry("a"), entry("b"), entry("c")])
    for name in "abc":
        cache.store(entry(name), IMAGE, MASK)

    assert cache.kept == {entry("a"), entry("b")}
    assert cache.load(entry("c")) is None
    assert not file_of(tmp_path, entry("c")).exists()


def test_the_longest_unused_of_other_runs_go_first_and_none_of_this_run(tmp_path):
    before = FieldCache(tmp_path, 3 * SIZE, [entry("a"), entry("b"), entry("c")])
    for place, name in enumerate("abc"):
        before.store(entry(name), IMAGE, MASK)
        age(file_of(tmp_path, entry(name)), 300 - 100 * place)  # a is the oldest

    now = FieldCache(tmp_path, 3 * SIZE, [entry("a"), entry("d")])
    now.store(entry("d"), IMAGE, MASK)

    assert {name for name in "abcd" if file_of(tmp_path, entry(name)).exists()} == {"a", "c", "d"}


def test_use_makes_an_entry_young(cached, tmp_path):
    path = file_of(tmp_path, entry("a"))
    age(path, 1000)
    before = path.stat().st_mtime

    cached.load(entry("a"), check=True)

    assert path.stat().st_mtime > before + 900


def test_a_mapped_entry_can_be_read_after_another_run_removed_it(cached, tmp_path):
    image, _ = cached.load(entry("a"))

    FieldCache(tmp_path, SIZE, [entry("b")]).store(entry("b"), IMAGE, MASK)

    assert not file_of(tmp_path, entry("a")).exists()
    np.testing.assert_array_equal(image, IMAGE)


def test_nothing_but_entries_is_ever_removed(tmp_path):
    strange = [tmp_path / name for name in ("notes.txt", "x.field", f"{'0' * 63}g.field")]
    for path in strange:
        path.write_bytes(b"0" * 1000)
    leftover = tmp_path / f"{'0' * 64}.partial.field"
    leftover.write_bytes(b"0")

    FieldCache(tmp_path, SIZE, [entry("a")]).store(entry("a"), IMAGE, MASK)

    assert all(path.exists() for path in strange)
    assert not leftover.exists(), "of a run that was killed"


def test_with_no_size_the_folder_is_left_alone(tmp_path):
    cache = FieldCache(tmp_path / "none", 0, [entry("a")])
    cache.store(entry("a"), IMAGE, MASK)

    assert cache.load(entry("a")) is None and not cache.kept
    assert not (tmp_path / "none").exists()


def test_a_folder_that_can_not_be_written_is_told_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = FieldCache(tmp_path / "file", 3 * SIZE, [entry("a"), entry("b")])

    cache.store(entry("a"), IMAGE, MASK)
    cache.store(entry("b"), IMAGE, MASK)

    assert cache.load(entry("a")) is None
    assert [record.message for record in caplog.records] == [
        f"no more fields are cached: {tmp_path}/file: can't be written: file exists"
    ]


def test_a_writer_waits_for_another_one(tmp_path):
    cache = FieldCache(tmp_path, SIZE, [entry("a")])
    writer = threading.Thread(target=cache.store, args=(entry("a"), IMAGE, MASK))
    with (tmp_path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer.start()
        writer.join(0.2)
        assert writer.is_alive() and cache.load(entry("a")) is None

    writer.join()
    assert cache.load(entry("a"), check=True) is not None


def test_the_cache_lies_where_the_environment_says_else_where_the_platform_does(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("CERVSEG_CACHE", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mine"

    monkeypatch.delenv("CERVSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "cervseg"

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() in (tmp_path / ".cache/cervseg", tmp_path / "Library/Caches/cervseg")
    assert stat.S_IMODE(cache_folder().stat().st_mode) & 0o077 == 0, "photographs of patients"


def test_without_a_home_the_cache_is_temporary(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.delenv("CERVSEG_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert cache_folder() == Path(tmp_path) / f"cervseg-{os.getuid()}"
