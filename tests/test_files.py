"""Writing, reading and folders: over 400 lines, because tests mirror the package."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg import files
from cervseg.errors import BudgetError, DataError, FullDiskError, OutputError
from cervseg.files import (
    claim,
    claim_share,
    is_occupied,
    read_csv,
    read_json,
    refuse_occupied,
    set_aside,
    write_csv,
    write_json,
    write_text,
    writing,
)
from cervseg.machine import is_disk_full

HOLD = """
import sys
from pathlib import Path
from cervseg.files import claim
with claim(Path(sys.argv[1]), resume=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, and that process."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield folder, other
        other.kill()


# --- one file -----------------------------------------------------------------------------------


def test_a_file_appears_whole_under_its_name(tmp_path):
    path = tmp_path / "new" / "mask.png"

    with writing(path) as partial:
        assert partial == tmp_path / "new" / "mask.partial.png"
        partial.write_bytes(b"whole")
        assert not path.exists()

    assert path.read_bytes() == b"whole"
    assert [p.name for p in path.parent.iterdir()] == ["mask.png"]


@pytest.mark.parametrize("error", [OSError("no"), ValueError("no"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path, error):
    path = tmp_path / "scores.json"
    path.write_text("old")

    with pytest.raises(BaseException):  # noqa: B017, SIM117
        with writing(path) as partial:
            partial.write_text("ha")
            raise error

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize(
    ("name", "partial_name"),
    [
        ("best.weights.h5", "best.partial.weights.h5"),  # Keras insists on the suffix
        ("STOP", "STOP.partial"),
        ("field 1.5x.png", "field 1.5x.partial.png"),
        (".lock", ".lock.partial"),
    ],
)
def test_the_partial_name_keeps_the_suffix_last(tmp_path, name, partial_name):
    with writing(tmp_path / name) as partial:
        assert partial.name == partial_name
        partial.touch()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch, number):
    path = tmp_path / "history.csv"
    path.write_text("old")

    def full(*args, **keywords):
        raise OSError(number, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BudgetError) as caught:
        write_text(path, "new")

    assert str(caught.value) == f"{path}: the disk is full"
    assert caught.value.hint == "make room or choose another output"
    assert path.read_text() == "old"


@pytest.mark.parametrize(("is_full", "kind"), [(True, FullDiskError), (False, OutputError)])
def test_an_error_without_a_number_is_a_full_disk_if_the_disk_is(
    tmp_path, monkeypatch, *, is_full, kind
):
    """As numpy raises it when only a part of an array fits."""
    asked = []
    monkeypatch.setattr(files, "is_disk_full", lambda folder: asked.append(folder) or is_full)

    with pytest.raises(kind), writing(tmp_path / "tiles.npy"):
        raise OSError("49152 requested and 24448 written")

    assert asked == [tmp_path]
    assert not is_disk_full(tmp_path) and not is_disk_full(tmp_path / "nowhere")


def test_a_disk_that_fills_up_while_renaming_is_told_too(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BudgetError, match="the disk is full"):
        write_json(tmp_path / "run.json", {})

    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "scores.json"

    with pytest.raises(OutputError) as caught:
        write_json(path, {})

    assert re.fullmatch(f"{path}: can't be written: (not a directory|file exists)",
                        str(caught.value))  # fmt: skip
    assert caught.value.hint == "choose another output folder"


def test_a_name_that_is_too_long_is_told_in_one_line(tmp_path):
    path = tmp_path / ("x" * 300 + ".png")

    with pytest.raises(OutputError) as caught:
        write_text(path, "text")

    assert str(caught.value) == f"{path}: can't be written: file name too long"


# --- JSON ---------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "format"), JSON))
def test_a_document_survives_being_written_and_read(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("json") / "run.json"

    write_json(path, document)

    assert read_json(path, what="run") == {"format": 1, **document}


def test_the_format_number_stands_first(tmp_path):
    write_json(tmp_path / "run.json", {"seed": 7})

    assert list(json.loads((tmp_path / "run.json").read_text())) == ["format", "seed"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "versions": {"cervseg": "3.1.4"}}',
         "format 2, written by cervseg 3.1.4; this version reads format 1"),
        ('{"format": "1"}', "format '1', written by cervseg unknown; this version reads format 1"),
        ('{"format": null, "versions": []}',
         "format None, written by cervseg unknown; this version reads format 1"),
        ('{"seed": 1}', "not a contract of cervseg"),
        ("[1, 2]", "not a contract of cervseg"),
        ("", "not a readable contract: Expecting value: line 1 column 1 (char 0)"),
    ],
)  # fmt: skip
def test_a_document_of_another_kind_is_refused_in_words(tmp_path, text, message):
    path = tmp_path / "contract.json"
    path.write_text(text)

    with pytest.raises(DataError) as caught:
        read_json(path, what="contract")

    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"[" * 200_000, b'{"format": 1' + b"0" * 5000 + b"}"]
)
def test_bytes_that_are_no_json_are_refused_by_name(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content)

    with pytest.raises(DataError, match=re.escape(f"{path}: not a readable run: ")):
        read_json(path, what="run")


def test_a_missing_document_and_a_folder_in_its_place_are_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        read_json(tmp_path / "run.json", what="run")
    assert str(caught.value) == f"{tmp_path / 'run.json'}: no such run"

    with pytest.raises(DataError, match="not a readable run"):
        read_json(tmp_path, what="run")


# --- CSV ----------------------------------------------------------------------------------------

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)


@given(st.lists(st.tuples(CELL, CELL), max_size=4))
def test_a_table_survives_commas_quotes_and_newlines(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "table.csv"

    write_csv(path, ("name", "what"), rows)

    expected = [{"name": name, "what": what} for name, what in rows]
    assert read_csv(path, ("name", "what"), what="table") == expected


def test_numbers_in_a_table_come_back_to_the_last_bit(tmp_path):
    values = [0.1 + 0.2, 1e-17, float(np.float32(0.1)), 123456789.123456789]

    write_csv(tmp_path / "t.csv", ("x",), [(v,) for v in values])

    rows = read_csv(tmp_path / "t.csv", ("x",), what="table")
    assert [float(row["x"]) for row in rows] == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na\n", ": column 'what' is missing"),
        ("", ": column 'name' is missing"),
        ("name,what\na,b\nc\n", ":3: 2 columns expected"),
        ("name,what\na,b,c\n", ":2: 2 columns expected"),
        ('name,what\n"a,b\n', ": not a readable table: unexpected end of data"),
    ],
)
def test_a_broken_table_is_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)

    with pytest.raises(DataError) as caught:
        read_csv(path, ("name", "what"), what="table")

    assert str(caught.value) == f"{path}{message}"


def test_names_that_are_no_utf_8_pass_through_a_table(tmp_path):
    name = b"f\xe9ld".decode("utf-8", "surrogateescape")
    write_csv(tmp_path / "t.csv", ("name",), [(name,)])

    assert read_csv(tmp_path / "t.csv", ("name",), what="manifest") == [{"name": name}]


def test_a_table_that_is_missing_or_broken_is_refused_by_name(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(DataError) as caught:
        read_csv(path, ("name",), what="manifest")
    assert str(caught.value) == f"{path}: no such manifest"

    path.write_bytes(b'name\n"open\n')
    with pytest.raises(DataError, match=re.escape(f"{path}: not a readable manifest: ")):
        read_csv(path, ("name",), what="manifest")


@pytest.mark.parametrize("read", [lambda p: read_csv(p, ("a",), what="manifest"),
                                  lambda p: read_json(p, what="contract")])  # fmt: skip
def test_what_might_never_end_or_fills_the_memory_is_not_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: a pipe or a device, not a file$"):
        read(tmp_path / "pipe")

    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(DataError, match="large: over 512 MB, too large for a (manifest|contract)$"):
        read(tmp_path / "large")


def test_a_table_ends_its_lines_alike_on_every_system(tmp_path):
    write_csv(tmp_path / "t.csv", ("a", "b"), [(1, "x")])

    assert (tmp_path / "t.csv").read_bytes() == b"a,b\n1,x\n"


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_with_a_link_out_of_it_is_not_resumed(tmp_path):
    """Else a stranger's run would have us write into files of ours: its log is appended to."""
    run, mine = tmp_path / "run", tmp_path / "mine.txt"
    run.mkdir()
    mine.write_text("mine")
    (run / "log.txt").symlink_to(mine)

    for how in (lambda: claim(run, resume=True), lambda: claim_share(run, "1_of_2")):
        with pytest.raises(DataError, match="log.txt: a link that leads out of its folder"), how():
            pass

    assert [path.name for path in run.iterdir()] == ["log.txt"] and mine.read_text() == "mine"
    with claim(run, overwrite=True):
        assert not (run / "log.txt").exists()


def test_a_folder_is_occupied_by_anything_but_our_lock(tmp_path):
    folder = tmp_path / "run"
    assert not is_occupied(folder)
    folder.mkdir()
    (folder / ".lock").touch()
    assert not is_occupied(folder)
    (folder / "log.txt").touch()
    assert is_occupied(folder)


def test_an_occupied_folder_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "masks").mkdir()

    for refuse in (lambda: refuse_occupied(tmp_path, overwrite=False),
                   lambda: claim(tmp_path).__enter__()):  # fmt: skip
        with pytest.raises(OutputError) as caught:
            refuse()
        assert str(caught.value) == f"{tmp_path}: the output folder is not empty"
        assert caught.value.hint == (
            "add --overwrite (the old one is kept as a _bak) or choose another folder"
        )
    refuse_occupied(tmp_path, overwrite=True)
    refuse_occupied(tmp_path / "free", overwrite=False)


def test_a_claimed_folder_is_there_while_held_and_has_no_lock_afterwards(tmp_path):
    folder = tmp_path / "deep" / "run"

    with claim(folder) as held:
        assert held == folder
        assert (folder / ".lock").is_file()

    assert list(folder.iterdir()) == []


def test_overwriting_keeps_the_old_folder_beside_the_new(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "history.csv").write_text("old")

    with claim(folder, overwrite=True):
        (folder / "history.csv").write_text("new")

    (backup,) = (p for p in tmp_path.iterdir() if p != folder)
    assert re.fullmatch(r"run_\d{8}-\d{6}_bak", backup.name)
    assert (backup / "history.csv").read_text() == "old"
    assert (folder / "history.csv").read_text() == "new"
    assert [p.name for p in backup.iterdir()] == ["history.csv"]


def test_a_folder_that_holds_what_is_needed_is_not_put_aside(tmp_path, monkeypatch):
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "a.png").write_text("mine")
    (tmp_path / "link").symlink_to(out / "deep")

    def refusal(folder, needed=()):
        with pytest.raises(OutputError) as caught:
            refuse_occupied(folder, overwrite=True, needed=needed)
        assert caught.value.hint == "choose another output folder"
        return str(caught.value)

    told = refusal(out, [None, tmp_path, tmp_path / "link" / "a.png"])
    assert told.endswith(f"is not empty, and holds {tmp_path / 'link' / 'a.png'}, which is needed")
    refuse_occupied(out, overwrite=True, needed=[tmp_path / "outer", tmp_path])
    (out / "b.png").symlink_to(tmp_path / "elsewhere.png")
    assert refusal(out, [out / "b.png"]).endswith("b.png, which is needed")
    monkeypatch.chdir(out / "deep")
    for folder in (Path(), Path(".."), out):
        assert refusal(folder).endswith("holds the folder you are in")


def test_overwriting_what_a_link_leads_to_writes_there_anew(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").touch()
    (tmp_path / "link").symlink_to(tmp_path / "there")

    with claim(tmp_path / "link", overwrite=True):
        (tmp_path / "link" / "new").touch()

    assert [path.name for path in (tmp_path / "there").iterdir()] == ["new"]
    (kept,) = tmp_path.glob("there_*_bak")
    assert [path.name for path in kept.iterdir()] == ["old"]


def test_overwriting_an_empty_folder_leaves_no_backup(tmp_path):
    (tmp_path / "run").mkdir()

    with claim(tmp_path / "run", overwrite=True):
        pass

    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_overwriting_a_file_keeps_it_too(tmp_path):
    path = tmp_path / "run"
    path.write_text("a file")

    with claim(path, overwrite=True):
        assert path.is_dir()

    (backup,) = (p for p in tmp_path.iterdir() if p != path)
    assert backup.read_text() == "a file"


def test_many_backups_within_a_second_do_not_meet(tmp_path):
    for content in "abc":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "file").write_text(content)
        set_aside(tmp_path / "run")

    assert sorted(p.read_text() for p in tmp_path.glob("run_*_bak/file")) == ["a", "b", "c"]


def test_a_folder_that_can_not_be_set_aside_is_told_in_one_line(tmp_path):
    with pytest.raises(OutputError) as caught:
        set_aside(tmp_path / "gone")

    assert str(caught.value) == (
        f"{tmp_path / 'gone'}: can't be written: no such file or directory"
    )


def test_resuming_goes_on_in_an_occupied_folder(tmp_path):
    (tmp_path / "last.npz").write_text("state")

    with claim(tmp_path, resume=True):
        assert (tmp_path / "last.npz").read_text() == "state"

    assert [p.name for p in tmp_path.iterdir()] == ["last.npz"]


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}, {}])
def test_a_folder_another_process_writes_to_is_refused(held, how):
    folder, _ = held
    (folder / "log.txt").touch()
    if not how:
        (folder / "log.txt").unlink()

    with pytest.raises(OutputError) as caught, claim(folder, **how):
        pass

    assert str(caught.value) == f"{folder}: another cervseg is writing here"
    assert caught.value.hint == "wait for it or choose another output folder"
    assert folder.is_dir(), "it was not moved from under the other"


def test_a_killed_process_leaves_no_lock_behind(held):
    folder, other = held
    other.kill()
    other.wait()

    with claim(folder, resume=True):
        pass

    assert list(folder.iterdir()) == []


def test_a_failure_inside_gives_the_folder_back(tmp_path):
    with pytest.raises(RuntimeError), claim(tmp_path / "run"):
        raise RuntimeError

    with claim(tmp_path / "run"):
        pass


def test_a_folder_renamed_while_held_is_no_trouble(tmp_path):
    with claim(tmp_path / "new.partial") as folder:
        (folder / "tile.png").touch()
        folder.rename(tmp_path / "new")

    assert [p.name for p in (tmp_path / "new").iterdir() if p.name != ".lock"] == ["tile.png"]


@pytest.mark.parametrize("how", [{}, {"resume": True}])
def test_a_file_where_the_folder_should_be_is_refused(tmp_path, how):
    (tmp_path / "run").write_text("a file")

    with pytest.raises(OutputError, match=re.escape(str(tmp_path / "run"))):
        claim(tmp_path / "run", **how).__enter__()
