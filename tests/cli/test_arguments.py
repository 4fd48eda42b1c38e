"""What is typed arrives at the command."""

import ast
import io
import os
import sys
from pathlib import Path

import pytest

import cervseg.commands
from cervseg.cli.app import main

COMMON = {"overwrite": False, "resume": False}


def test_dataset_tile_gets_the_resolved_config(fake, config):
    assert main(["dataset-tile", config, "--set", "data.scale=0.5", "--overwrite"]) == 0

    [(name, given, keywords)] = fake.calls
    assert name == "dataset_tile"
    assert given.data.scale == 0.5
    words = f"{config} --set data.scale=0.5"
    assert keywords == COMMON | {"allow_leak": None, "overwrite": True, "config_words": words}


def test_train_gets_the_resolved_config(fake, config):
    assert main(["train", "--resume", config]) == 0

    [(name, given, keywords)] = fake.calls
    assert name == "train"
    assert given.train.epochs == 3
    assert keywords == COMMON | {
        "fold": None, "allow_leak": None, "resume": True, "config_words": config
    }  # fmt: skip


def test_a_fold_and_a_reason_for_a_leak_reach_training(fake, config):
    assert main(["train", config, "--fold", "2", "--allow-leak", "one slide"]) == 0

    [(name, _, keywords)] = fake.calls
    assert (name, keywords["fold"], keywords["allow_leak"]) == ("train", 2, "one slide")


def test_all_folds_are_a_cross_validation(fake, config):
    assert main(["train", config, "--all-folds", "--resume", "--set", "data.folds=5"]) == 0

    [(name, given, keywords)] = fake.calls
    assert (name, given.data.folds) == ("cross_validate", 5)
    words = f"{config} --set data.folds=5"
    assert keywords == COMMON | {"allow_leak": None, "resume": True, "config_words": words}


def test_repeats_are_seeds_of_a_training_or_of_a_cross_validation(fake, config):
    assert main(["train", config, "--repeats", "3", "--all-folds"]) == 0

    [(name, _, keywords)] = fake.calls
    assert name == "repeat"
    assert keywords == COMMON | {
        "seeds": 3, "all_folds": True, "allow_leak": None, "config_words": config,
    }  # fmt: skip


def test_a_run_is_verified_without_a_config(fake):
    assert main(["train", "--verify", "runs/a", "--resume"]) == 0

    [(name, folder, keywords)] = fake.calls
    assert (name, str(folder)) == ("verify", "runs/a")
    assert keywords == {"overwrite": False, "resume": True}


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--verify", "runs/a", "--set", "train.epochs=2"], "--verify takes all from its run"),
     (["--verify", "runs/a", "--repeats", "2"], "--verify takes all from its run"),
     (["CONFIG", "--verify", "runs/a"], "--verify takes all from its run"),
     (["CONFIG", "--fold", "1", "--repeats", "2"], "--fold and --repeats exclude each other"),
     (["--all-folds"], "missing argument 'CONFIG'")],
)  # fmt: skip
def test_ways_to_train_that_contradict_are_refused(*, fake, config, capsys, words, told):
    assert main(["train", *(config if word == "CONFIG" else word for word in words)]) == 2

    assert f"error: {told}\n" in capsys.readouterr().err
    assert not fake.calls


def test_one_fold_and_all_of_them_exclude_each_other(fake, config, capsys):
    assert main(["train", config, "--all-folds", "--fold", "0"]) == 2

    assert "error: --fold and --all-folds exclude each other\n" in capsys.readouterr().err
    assert not fake.calls


def test_a_fold_is_counted_from_0(fake, config, capsys):
    assert main(["train", config, "--fold", "-1"]) == 2

    assert "'--fold'" in capsys.readouterr().err
    assert not fake.calls


def test_of_several_set_options_each_counts(fake, config):
    main(["train", config, "--set", "train.epochs=7", "--set", "model.base_filters=4"])

    [(_, given, _)] = fake.calls
    assert (given.train.epochs, given.model.base_filters) == (7, 4)


def test_evaluate_has_defaults(fake, config):
    assert main(["evaluate", config]) == 0

    [(_, _, keywords)] = fake.calls
    assert keywords == COMMON | {
        "model": (),
        "output": None,
        "split": "test",
        "fold": None,
        "allow_leak": None,
        "images": None,
        "masks": None,
        "predictions": None,
        "whole": False,
        "stretch": False,
        "config_words": config,
    }


def test_evaluate_passes_all_on(fake, config):
    words = "--model m --model n --output o --split valid --images i --masks k --predictions p"
    words += " --fold 3 --allow-leak why"

    assert main(["evaluate", config, *words.split(), "--whole", "--stretch"]) == 0

    [(_, _, keywords)] = fake.calls
    assert keywords == COMMON | {
        "model": (Path("m"), Path("n")),
        "output": Path("o"),
        "split": "valid",
        "fold": 3,
        "allow_leak": "why",
        "images": Path("i"),
        "masks": Path("k"),
        "predictions": Path("p"),
        "whole": True,
        "stretch": True,
        "config_words": config,
    }


@pytest.mark.parametrize("source", ["--model", "--predictions"])
def test_evaluate_needs_no_config_for_labelled_folders(fake, source):
    assert main(["evaluate", source, "m", "--images", "i", "--masks", "k"]) == 0

    [(_, given, keywords)] = fake.calls
    assert given.train.epochs == 100  # all defaults
    assert keywords["config_words"] is None


def test_the_next_command_keeps_what_was_set_without_a_config(fake):
    words = "--model m --images i --masks k --set tiled_infer.scale=2"

    assert main(["evaluate", *words.split()]) == 0

    [(_, _, keywords)] = fake.calls
    assert keywords["config_words"] == "--set tiled_infer.scale=2"


@pytest.mark.parametrize(("command", "name"), [("infer", "infer"), ("tiled-infer", "tiled_infer")])
def test_inference_takes_the_first_argument_for_the_config(fake, config, *, command, name):
    assert main([command, config, "a.png", "b", "--model", "m", "--output", "o"]) == 0

    [(called, given, keywords)] = fake.calls
    assert called == name
    assert given.train.epochs == 3
    more = {"dry_run": False, "cluster": None, "shard": None} if name == "tiled_infer" else {}
    assert keywords == COMMON | more | {
        "images": (Path("a.png"), Path("b")),
        "model": (Path("m"),),
        "output": Path("o"),
    }


@pytest.mark.parametrize("command", ["infer", "tiled-infer"])
def test_inference_takes_a_first_argument_that_is_no_yaml_for_an_image(fake, command):
    assert main([command, "--model", "m", "a.png", "b.png"]) == 0

    [(_, given, keywords)] = fake.calls
    assert given is None
    assert keywords["images"] == (Path("a.png"), Path("b.png"))


@pytest.mark.parametrize("command", ["infer", "tiled-infer"])
def test_a_first_argument_that_may_not_be_read_is_left_to_the_command(
    fake, tmp_path, *, monkeypatch, command
):
    """Typer would say that 'CONFIG' is not readable, where images were meant."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)

    assert main([command, str(tmp_path)]) == 0

    [(_, _, keywords)] = fake.calls
    assert keywords["images"] == (tmp_path,)


@pytest.mark.parametrize("ending", [".yml", ".YAML"])
def test_a_config_may_end_in_any_spelling_of_yaml(fake, tmp_path, ending):
    path = tmp_path / f"c{ending}"
    path.write_text("")

    main(["infer", str(path)])

    [(_, given, keywords)] = fake.calls
    assert (given is not None, keywords["images"]) == (True, ())


def test_set_counts_without_a_config_too(fake):
    main(["tiled-infer", "a.png", "--set", "tiled_infer.batch_size=2"])

    [(_, given, _)] = fake.calls
    assert given.tiled_infer.batch_size == 2


def pipe(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_dash_takes_paths_from_stdin(fake, monkeypatch):
    pipe(monkeypatch, b"x y.png\r\n\n/z.png")

    assert main(["tiled-infer", "a.png", "-", "b.png", "--model", "m"]) == 0

    [(_, _, keywords)] = fake.calls
    assert [str(path) for path in keywords["images"]] == ["a.png", "x y.png", "/z.png", "b.png"]


def test_a_path_from_stdin_need_not_be_utf_8(fake, monkeypatch):
    pipe(monkeypatch, b"\xff.png\n")

    main(["tiled-infer", "-", "--model", "m"])

    [(_, _, keywords)] = fake.calls
    assert os.fsencode(keywords["images"][0]) == b"\xff.png"


HINT = "hint: find IMAGES -name '*.png' | cervseg tiled-infer --model RUN -\n"


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_stdin_is_wrong_usage(fake, monkeypatch, *, capsys, content):
    pipe(monkeypatch, content)

    assert main(["tiled-infer", "-", "--model", "m"]) == 2

    assert capsys.readouterr().err == (
        "error: '-' reads paths from stdin, but stdin is empty\n" + HINT
    )
    assert not fake.calls


def test_a_missing_stdin_is_wrong_usage(fake, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)

    assert main(["infer", "-", "--model", "m"]) == 2

    assert capsys.readouterr().err == (
        "error: '-' reads paths from stdin, but nothing is piped in\n" + HINT
    )


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("dataset-tile", "dataset_tile"),
        ("train", "train"),
        ("evaluate", "evaluate"),
        ("infer", "infer"),
        ("tiled-infer", "infer"),
    ],
)
def test_a_command_takes_all_that_the_command_line_passes(fake, config, *, command, module):
    main([command, config])

    [(name, _, keywords)] = fake.calls
    # Read, not imported: some import Keras.
    source = Path(cervseg.commands.__path__[0], f"{module}.py").read_text()
    functions = {
        node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }
    arguments = functions[name].args
    known = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}
    assert {*keywords, "progress"} <= known
