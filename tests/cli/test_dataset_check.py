from pathlib import Path

import pytest

from cervseg.cli.app import main
from cervseg.reports import Failure, Report


def test_a_config_is_loaded_with_its_overrides(fake, config):
    assert main(["dataset-check", config, "--set", "data.scale=0.5", "--strict"]) == 0

    ((name, loaded, keywords),) = fake.calls
    assert (name, loaded.data.scale) == ("dataset_check", 0.5)
    assert keywords == {
        "folder": None,
        "output": Path("cervseg-check"),
        "fix": None,
        "strict": True,
        "augmentation": False,
        "overwrite": False,
    }


def test_a_config_may_be_called_in_capitals(fake, tmp_path):
    (tmp_path / "C.YAML").write_text("train: {epochs: 3}\n")

    assert main(["dataset-check", str(tmp_path / "C.YAML")]) == 0

    ((_, loaded, keywords),) = fake.calls
    assert (loaded.train.epochs, keywords["folder"]) == (3, None)


def test_anything_else_is_a_folder_and_the_config_is_what_set_says(fake, tmp_path):
    words = ["--output", "out", "--fix", "clean", "--augmentation", "--overwrite"]

    assert main(["dataset-check", str(tmp_path), *words, "--set", "data.group_block=3"]) == 0

    ((_, loaded, keywords),) = fake.calls
    assert loaded.data.group_block == 3
    assert (keywords["folder"], keywords["output"]) == (tmp_path, Path("out"))
    assert (keywords["fix"], keywords["augmentation"]) == (Path("clean"), True)
    assert keywords["overwrite"] and not keywords["strict"]


@pytest.mark.parametrize(("code", "failures"), [(0, ()), (3, (3,)), (4, (4, 3))])
def test_the_exit_code_is_that_of_what_was_found(fake, config, *, code, failures):
    found = tuple(Failure("a", "m", exit_code=c) for c in failures)
    fake.returns(Report("dataset-check", failures=found))

    assert main(["dataset-check", config]) == code


def test_something_to_check_must_be_named(fake, capsys):
    assert main(["dataset-check"]) == 2

    assert "missing argument" in capsys.readouterr().err
