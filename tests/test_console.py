"""stdout for data, stderr for talk."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cervseg import console
from cervseg.console import (
    report_document,
    report_error,
    say,
    show_report,
    telling_notices,
    write_document,
    write_out,
)
from cervseg.errors import DataError
from cervseg.reports import Failure, Report, Table

LONG = "/data/" + "very_long_folder_name/" * 10 + "field [1].png"


def test_a_long_path_with_brackets_is_neither_wrapped_nor_cut_nor_markup(capsys):
    report_error(DataError(f"{LONG}: [/b] [red]not[/red] an image"))

    assert capsys.readouterr().err == f"error: {LONG}: [/b] [red]not[/red] an image\n"


def test_an_error_of_several_lines_keeps_them(capsys):
    report_error("a.yaml:1: one\na.yaml:2: two", hint="mend both")

    assert capsys.readouterr().err == "error: a.yaml:1: one\na.yaml:2: two\nhint: mend both\n"


def test_control_characters_of_a_file_name_are_shown_and_not_obeyed(capsys):
    say("failed", "\x1b[31mred\x1b[0m\r.png")

    assert capsys.readouterr().err == "failed: \\x1b[31mred\\x1b[0m\\x0d.png\n"

    say("failed", "\x9b31mred\x7f.png")  # 0x9b alone is what ESC [ is

    assert capsys.readouterr().err == "failed: \\x9b31mred\\x7f.png\n"


def test_a_file_name_that_is_not_utf_8_is_written_as_the_bytes_it_has(capfdbinary):
    name = os.fsdecode(b"\xff.png")

    write_out(name)
    say("failed", name)

    out, err = capfdbinary.readouterr()
    assert out == b"\xff.png\n"
    assert err.startswith(b"failed: ")


def test_a_report_says_what_next_after_its_paths(capfd):
    report = Report("train", paths=(Path("runs/a b"),), next_command="cervseg evaluate c.yaml")

    show_report(report)

    assert capfd.readouterr() == ("runs/a b\n", "next: cervseg evaluate c.yaml\n")


def test_a_report_without_paths_leaves_stdout_empty(capsys):
    show_report(Report("train"))

    assert capsys.readouterr() == ("", "")


def test_notices_that_were_told_are_not_repeated_but_stand_in_the_document(capsys):
    report = Report("train", notices=("one", "two"))

    show_report(report, told=("zero", "one"))

    assert capsys.readouterr().err == "notice: two\n"
    assert report_document(report, told=("zero", "one"))["notices"] == ["one", "two", "zero"]


def test_a_table_is_as_wide_as_it_needs_where_stderr_is_no_terminal(capsys):
    rows = ((LONG, "0.912", "ok"), ("b.png", "-", ""))

    show_report(Report("evaluate", tables=(Table("scores", ("image", "Dice", ""), rows),)))

    title, head, _, first, second = (
        line.rstrip() for line in capsys.readouterr().err.splitlines() if line.strip()
    )
    assert title.strip() == "scores"
    assert head.split() == ["image", "Dice"]
    assert first.strip().startswith(LONG)
    assert first.split()[-2:] == ["0.912", "ok"]
    assert second.index("-") == first.index("0.912") + len("0.912") - 1  # numbers to the right


def test_a_table_folds_on_a_terminal_and_cuts_nothing(monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None)
    monkeypatch.setattr(console, "stderr_console", lambda: terminal)

    show_report(Report("evaluate", tables=(Table("t", ("image",), ((LONG,),)),)))

    drawn = terminal.file.getvalue()
    assert max(map(len, drawn.splitlines())) <= 40
    assert LONG.replace(" ", "") in "".join(drawn.split())


def test_the_table_of_nothing_has_a_head(capsys):
    show_report(Report("evaluate", tables=(Table("scores", ("image", "Dice"), ()),)))

    assert "Dice" in capsys.readouterr().err


def test_failures_with_their_hints_are_in_the_document():
    report = Report("infer", failures=(Failure("a.png", "bad"), Failure("b", "worse", "look")))

    document = report_document(report)

    assert document["exit_code"] == 3
    assert document["failures"] == [
        {"item": "a.png", "message": "bad", "hint": None},
        {"item": "b", "message": "worse", "hint": "look"},
    ]


def test_a_document_is_strict_json(capsys):
    write_document({"a": float("nan"), "b": [float("inf"), {"c": 1.5}], "d": "é"})

    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert read == {"a": None, "b": [None, {"c": 1.5}], "d": "é"}


def test_notices_and_warnings_are_told_once_and_in_plain_words(capsys):
    logger = logging.getLogger("cervseg.images")

    with telling_notices() as handler:
        logger.debug("not told")
        logger.info("scale of %s is unknown", "a.png")
        logger.info("scale of a.png is unknown")
        logger.warning("[a] is odd")
    logger.warning("not told either: the block is over")

    assert capsys.readouterr().err == ("notice: scale of a.png is unknown\nwarning: [a] is odd\n")
    assert list(handler.told) == ["scale of a.png is unknown", "[a] is odd"]


def test_quiet_keeps_notices_back_and_remembers_them(capsys):
    with telling_notices(quiet=True) as handler:
        logging.getLogger("cervseg").info("notice")

    assert capsys.readouterr().err == ""
    assert list(handler.told) == ["notice"]


def test_debug_tells_more(capsys):
    with telling_notices(debug=True) as handler:
        logging.getLogger("cervseg").debug("12 threads")

    assert capsys.readouterr().err == "debug: 12 threads\n"
    assert not handler.told


def test_the_level_of_the_logger_is_put_back():
    logger = logging.getLogger("cervseg")
    before = logger.level

    with telling_notices():
        pass

    assert (logger.level, logger.handlers) == (before, [])


def run_with_broken(stream, code):
    """Run Python with a pipe that nobody reads for `stdout` or `stderr`."""
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
    done = subprocess.run([sys.executable, "-c", code], text=True, **streams)
    os.close(writing)
    return done


def test_a_reader_of_stdout_that_went_away_is_no_error():
    done = run_with_broken(
        "stdout", "from cervseg.console import write_out\nfor i in range(3): write_out('x')"
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_of_stderr_that_went_away_is_no_error():
    code = (
        "from cervseg.console import say, write_out\nsay('a', 'b')\nsay('a', 'b')\nwrite_out('c')"
    )

    done = run_with_broken("stderr", code)

    assert (done.returncode, done.stdout) == (0, "c\n")


def test_a_full_disk_behind_stdout_is_an_error_once():
    code = "from cervseg.console import write_out\ntry: write_out('x')\nexcept OSError: pass"

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stderr_is_no_error():
    code = (
        "from cervseg.console import say, write_out\nsay('a', 'b')\nsay('a', 'b')\nwrite_out('c')"
    )

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True
        )

    assert (done.returncode, done.stdout) == (0, "c\n")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_error(closed):
    code = "from cervseg.console import say, write_out; write_out('x'); say('a', 'b')"
    command = f'"$0" -c "$1" {closed}>&-'

    done = subprocess.run(["bash", "-c", command, sys.executable, code], capture_output=True)

    assert done.returncode == 0


def test_a_name_goes_out_as_it_is_whatever_the_terminals_encoding():
    code = "from cervseg.console import write_out\nwrite_out('ev_ü\\udcff')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)

    assert (done.returncode, done.stdout) == (0, b"ev_\xc3\xbc\xff\n")
