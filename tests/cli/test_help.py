"""Help and version are quick; their examples can be typed; the shell completes."""

import os
import shlex
import subprocess
import sys

import pytest

from cervseg.cli import app as command_line
from cervseg.cli.app import main
from cervseg.cli.job import Job

PAGES = [
    [],
    ["dataset-tile"],
    ["train"],
    ["evaluate"],
    ["infer"],
    ["tiled-infer"],
    ["config"],
    ["config", "show"],
    ["config", "schema"],
    ["config", "init"],
    ["config", "import"],
    ["inspect"],
]

SLOW = {"keras", "tensorflow", "jax", "matplotlib", "numpy", "cv2", "scipy", "PIL", "yaml"}


def imported_after(code):
    show = "import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stderr.split()}


def test_help_and_version_import_nothing_slow():
    pages = [*([*page, "--help"] for page in PAGES), ["--version"]]

    imported = imported_after(
        f"from cervseg.cli.app import main\nfor page in {pages}: assert main(page) == 0"
    )

    assert not imported & SLOW
    assert "typer" in imported


def test_import_cervseg_imports_nothing_else():
    assert not imported_after("import cervseg; dir(cervseg)") & (SLOW | {"typer", "rich"})


def shown(capsys, page):
    assert main([*page, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def examples(text):
    _, _, after = text.partition("Examples")
    return [line.strip() for line in after.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_the_examples_of_a_help_are_valid_command_lines(capsys, page):
    lines = examples(shown(capsys, page))

    assert lines
    for line in lines:
        program, *words = shlex.split(line.split("|")[-1])
        assert program == "cervseg"
        assert isinstance(command_line.parse(words), Job)


@pytest.mark.parametrize("page", PAGES[1:], ids=" ".join)
def test_the_examples_of_a_help_are_about_its_command(capsys, page):
    assert all(" ".join(["cervseg", *page]) in line for line in examples(shown(capsys, page)))


def test_square_brackets_and_the_default_split_survive_in_a_help(capsys):
    text = shown(capsys, ["evaluate"])

    assert "[CONFIG]" in text
    assert "[default: test]" in text


def complete(*words):
    environment = os.environ | {
        "_CERVSEG_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("cervseg", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "cervseg"], env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_shell_completes_commands():
    assert complete("ti") == ["tiled-infer"]


def test_the_shell_completes_options():
    assert complete("train", "--res") == ["--resume"]


def test_the_shell_completes_choices():
    assert complete("evaluate", "--split", "v") == ["valid"]
