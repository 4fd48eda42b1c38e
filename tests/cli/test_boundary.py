"""Every error ends in words, an exit code, and with --json in one document."""

import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cervseg import __version__, errors
from cervseg.cli.app import main
from cervseg.reports import Failure, Report


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("wrong"), 2),
        (errors.OutputError("wrong"), 2),
        (errors.DataError("wrong"), 3),
        (errors.ModelError("wrong"), 3),
        (errors.LeakError("wrong"), 4),
        (errors.BudgetError("wrong"), 5),
    ],
)
def test_an_error_for_people_is_two_lines_and_its_code(fake, config, *, capsys, error, code):
    error.hint = "mend it"
    fake.raises(error)

    assert main(["train", config]) == code

    assert capsys.readouterr() == ("", "error: wrong\nhint: mend it\n")


def test_an_error_without_a_hint_is_one_line(fake, config, capsys):
    fake.raises(errors.DataError("data/a.png: not an image"))

    main(["train", config])

    assert capsys.readouterr().err == "error: data/a.png: not an image\n"


def test_an_error_with_json_is_also_one_document(fake, config, capsys):
    fake.raises(errors.LeakError("slide 7 is on two sides", hint="set data.group_pattern"))

    assert main(["train", config, "--json"]) == 4

    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "cervseg": __version__,
        "command": "train",
        "exit_code": 4,
        "output": None,
        "results": [],
        "failures": [],
        "notices": [],
        "error": {"message": "slide 7 is on two sides", "hint": "set data.group_pattern"},
    }
    assert err == "error: slide 7 is on two sides\nhint: set data.group_pattern\n"


def test_notices_told_before_an_error_stand_in_its_document(fake, config, capsys):
    def answer(progress):
        logging.getLogger("cervseg.data").info("12 tiles are empty")
        raise errors.DataError("no tiles")

    fake.answer = answer

    main(["train", config, "--json"])

    out, err = capsys.readouterr()
    assert json.loads(out)["notices"] == ["12 tiles are empty"]
    assert err == "notice: 12 tiles are empty\nerror: no tiles\n"


def test_a_bug_shows_its_traceback_and_says_so(fake, config, capsys):
    fake.raises(ZeroDivisionError("division by zero\nmore"))

    assert main(["train", config]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(
        "error: this is a bug of cervseg: ZeroDivisionError: division by zero\n"
        "hint: please report it, with the lines above\n"
    )


def test_a_bug_with_json_is_also_one_document(fake, config, capsys):
    fake.raises(KeyError())

    assert main(["train", config, "--json"]) == 1

    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 1
    assert document["error"]["message"] == "this is a bug of cervseg: KeyError"


def test_out_of_memory_is_no_bug(fake, config, capsys):
    fake.raises(MemoryError())

    assert main(["train", config]) == 5

    assert capsys.readouterr().err == (
        "error: out of memory\nhint: a smaller batch_size or tile_size needs less\n"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_bug(fake, config, *, capsys, number):
    fake.raises(OSError(number, os.strerror(number), "out/a.png"))

    assert main(["train", config]) == 5

    assert capsys.readouterr().err == (
        "error: out/a.png: the disk is full\n"
        f"hint: make room, then go on with: cervseg train {config} --resume\n"
    )


def test_a_full_disk_that_a_library_has_only_words_for_is_no_bug(fake, config, capsys):
    fake.raises(RuntimeError(f"out/events.v2; {os.strerror(errno.ENOSPC)}"))

    assert main(["train", config]) == 5

    assert capsys.readouterr().err.startswith("error: output: the disk is full\nhint: make room")


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.FullDiskError("full", hint="make room"), 5), (errors.Interrupted("stopped"), 130)],
)
def test_a_command_that_can_not_resume_is_not_told_to(fake, config, *, capsys, error, code):
    fake.raises(error)

    assert main(["dataset-check", config]) == code

    assert "--resume" not in capsys.readouterr().err


def test_another_os_error_is_a_bug(fake, config, capsys):
    fake.raises(PermissionError(errno.EACCES, "Permission denied", "a"))

    assert main(["train", config]) == 1

    assert "this is a bug of cervseg: PermissionError" in capsys.readouterr().err


def test_debug_shows_the_cause_of_an_error(fake, config, capsys):
    def answer(progress):
        try:
            int("x")
        except ValueError as exc:
            raise errors.DataError("bad") from exc

    fake.answer = answer

    main(["train", config, "--debug"])

    err = capsys.readouterr().err
    assert "ValueError: invalid literal for int()" in err
    assert err.endswith("error: bad\n")


def test_debug_shows_no_traceback_of_wrong_usage(fake, config, capsys):
    main(["train", config, "--debug", "--nope"])

    assert capsys.readouterr().err.startswith("error: no such option: --nope\n")


def test_a_report_with_failures_exits_3(fake, config, capsys):
    report = Report(
        "infer", paths=(Path("masks/b.png"),), failures=(Failure("a.png", "not an image", "look"),)
    )
    fake.returns(report)

    assert main(["train", config]) == 3

    assert capsys.readouterr() == (
        "masks/b.png\n",
        "failed: a.png: not an image\nhint: look\n",
    )


def test_a_report_with_json_is_one_document_and_no_paths(fake, config, capsys):
    fake.returns(
        Report(
            "train",
            output=Path("runs/x"),
            results=({"path": "a", "dice": float("nan")},),
            paths=(Path("runs/x"),),
            notices=("two",),
            failures=(Failure("a.png", "bad"),),
            next_command="cervseg evaluate c.yaml",
        )
    )

    assert main(["train", config, "--json"]) == 3

    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "cervseg": __version__,
        "command": "train",
        "exit_code": 3,
        "output": "runs/x",
        "results": [{"path": "a", "dice": None}],
        "failures": [{"item": "a.png", "message": "bad", "hint": None}],
        "notices": ["two"],
        "error": None,
    }
    assert err == "notice: two\nfailed: a.png: bad\nnext: cervseg evaluate c.yaml\n"


def test_quiet_says_only_what_went_wrong(fake, config, capsys):
    def answer(progress):
        logging.getLogger("cervseg").info("told")
        logging.getLogger("cervseg").warning("odd")
        with progress.bar("tiles", 2) as bar:
            bar.advance(2)
        failures = (Failure("a.png", "bad"),)
        return Report(
            "train", paths=(Path("x"),), notices=("n",), failures=failures, next_command="go"
        )

    fake.answer = answer

    assert main(["train", config, "--quiet"]) == 3

    assert capsys.readouterr() == ("x\n", "warning: odd\nfailed: a.png: bad\n")


def test_a_notice_that_was_logged_is_not_repeated_at_the_end(fake, config, capsys):
    def answer(progress):
        logging.getLogger("cervseg").info("scale unknown")
        return Report("train", notices=("scale unknown", "another"))

    fake.answer = answer

    main(["train", config])

    assert capsys.readouterr().err == "notice: scale unknown\nnotice: another\n"


def test_progress_is_told_in_lines_where_stderr_is_no_terminal(fake, config, capsys):
    def answer(progress):
        with progress.bar("tiles", 2) as bar:
            bar.advance(2)
        return Report("train")

    fake.answer = answer

    main(["train", config])

    assert capsys.readouterr().err == "tiles: 0/2\ntiles: 2/2, in 0 s\n"


def test_a_full_disk_behind_stdout_exits_5():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cervseg", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 5
    assert done.stderr == "error: output: the disk is full\nhint: make room\n"
