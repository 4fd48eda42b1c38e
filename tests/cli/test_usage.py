"""Wrong usage: exit 2, one sentence, one hint."""

import json

import pytest

from cervseg import __version__
from cervseg.cli.app import main


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["trian"], "no such command 'trian'", "did you mean 'train'?"),
        (["xyz"], "no such command 'xyz'", "see cervseg --help"),
        (["config", "shwo"], "no such command 'shwo'", "did you mean 'show'?"),
        (["config", "xyz"], "no such command 'xyz'", "see cervseg config --help"),
        (["train"], "missing argument 'CONFIG'", "see cervseg train --help"),
        (
            ["train", "c.yaml", "--overwritten"],
            "no such option: --overwritten",
            "did you mean --overwrite?",
        ),
        (["train", "c.yaml", "--nope"], "no such option: --nope", "see cervseg train --help"),
        (
            ["train", "a.yaml", "b.yaml"],
            "got unexpected extra argument(s) (b.yaml)",
            "see cervseg train --help",
        ),
        (
            ["train", "c.yaml", "--set"],
            "option '--set' requires an argument",
            "see cervseg train --help",
        ),
        (
            ["evaluate", "c.yaml", "--split", "tset"],
            "invalid value for '--split': 'tset' is not one of 'train', 'valid', 'test'",
            "see cervseg evaluate --help",
        ),
        (
            ["evaluate", "--images", "a"],
            "evaluate needs CONFIG, or --model, --images and --masks",
            "cervseg evaluate --model RUN --images IMAGES --masks TRUTH",
        ),
        (
            ["infer"],
            "infer needs CONFIG or IMAGES",
            "cervseg infer --model MODEL IMAGES",
        ),
        (
            ["tiled-infer", "--model", "m"],
            "tiled-infer needs CONFIG or IMAGES",
            "cervseg tiled-infer --model MODEL IMAGES",
        ),
        (["config", "show"], "missing argument 'CONFIG'", "see cervseg config show --help"),
        (["config", "init"], "missing argument 'IMAGES'", "see cervseg config init --help"),
    ],
)
def test_wrong_usage_is_told_in_one_line_and_a_hint(capsys, *, words, error, hint):
    assert main(words) == 2

    assert capsys.readouterr() == ("", f"error: {error}\nhint: {hint}\n")


@pytest.mark.parametrize("command", ["dataset-tile", "train", "evaluate", "infer", "tiled-infer"])
def test_overwrite_and_resume_exclude_each_other(fake, capsys, command):
    assert main([command, "c.yaml", "--overwrite", "--resume"]) == 2

    assert capsys.readouterr().err == (
        "error: --overwrite and --resume exclude each other\n"
        "hint: --resume goes on in the old output, --overwrite puts it aside\n"
    )
    assert not fake.calls


def test_a_missing_config_is_told(fake, capsys):
    assert main(["train", "nowhere/c.yaml"]) == 2

    assert capsys.readouterr().err.startswith("error: nowhere/c.yaml: no such config file\n")
    assert not fake.calls


def test_a_wrong_key_is_told(fake, config, capsys):
    assert main(["train", config, "--set", "train.epoch=5"]) == 2

    assert capsys.readouterr().err == (
        "error: --set train.epoch=5: unknown key 'train.epoch'\nhint: did you mean 'epochs'?\n"
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["train", "--json"], "train"),
        (["trian", "--json"], None),
        (["--json"], None),
        (["config", "show", "--json"], "config show"),
        (["tiled-infer", "--nope", "--json"], "tiled-infer"),
    ],
)
def test_wrong_usage_with_json_is_also_one_document(capsys, words, command):
    assert main(words) == 2

    document = json.loads(capsys.readouterr().out)
    assert list(document) == [
        "cervseg",
        "command",
        "exit_code",
        "output",
        "results",
        "failures",
        "notices",
        "error",
    ]
    assert (document["command"], document["exit_code"]) == (command, 2)


def test_what_stands_after_two_dashes_is_no_option(capsys):
    assert main(["train", "--nope", "--", "--json"]) == 2

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [[], ["config"]])
def test_without_a_command_the_help_stands_on_stderr(capsys, words):
    assert main(words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: cervseg" in err


def test_version_stands_on_stdout(capsys):
    assert main(["--version"]) == 0

    assert capsys.readouterr() == (f"cervseg {__version__}\n", "")
