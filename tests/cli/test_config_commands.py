"""`cervseg config show | schema | init` at the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from cervseg.cli.app import main


def test_show_lists_values_with_their_origin_on_stdout(config, capsys):
    assert main(["config", "show", config, "--set", "data.scale=0.5"]) == 0

    out, err = capsys.readouterr()
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["train.epochs"] == ["3", f"{config}:1"]
    assert lines["data.scale"] == ["0.5", "--set"]
    assert lines["train.loss.0.name"] == ["bce_dice", "default"]
    assert err == ""


def test_show_has_a_document_too(config, capsys):
    assert main(["config", "show", config, "--json"]) == 0

    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["command"] == "config show"
    assert {"key": "train.epochs", "value": 3, "origin": f"{config}:1"} in document["results"]
    assert err == ""


def test_schema_is_one_json_document(capsys):
    assert main(["config", "schema"]) == 0

    assert "train" in json.loads(capsys.readouterr().out)["properties"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "fields"
    folder.mkdir()
    Image.fromarray(np.zeros((60, 81, 3), "uint8")).save(folder / "a.png")
    return folder


def test_init_writes_to_stdout(images, capsys):
    assert main(["config", "init", str(images)]) == 0

    out, err = capsys.readouterr()
    assert "\ndata:\n" in out
    assert err == ""


def test_init_writes_a_file_that_loads(images, tmp_path, capsys):
    output = tmp_path / "my cells.yaml"

    assert main(["config", "init", str(images), "--output", str(output)]) == 0

    out, err = capsys.readouterr()
    assert out == f"{output}\n"
    assert err == f"next: cervseg dataset-tile '{output}'\n"
    assert f"; next: cervseg dataset-tile '{output}'\n" in output.read_text()
    assert main(["config", "show", str(output)]) == 0


def test_init_leaves_an_existing_file_alone(images, config, capsys):
    assert main(["config", "init", str(images), "--output", config]) == 2

    assert capsys.readouterr().err == (
        f"error: {config}: the file exists\nhint: choose another --output\n"
    )
