"""`cervseg config import` at the command line."""

import json

import pytest

from cervseg.cli.app import main
from cervseg.config.loader import load_config

OLD = """\
[model]
model = "TensorflowUNet"
image_width = 64
image_height = 32
image_channels = 3
num_classes = 1
base_filters = 4
num_layers = 3
dropout_rate = 0.0
learning_rate = 0.001
loss = "bce_dice_loss"
metrics = ["binary_accuracy"]
[train]
epochs = 2
batch_size = 1
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.config"
    path.write_text(OLD)
    return path


def test_the_yaml_goes_to_stdout_and_notices_to_stderr(old, tmp_path, capsys):
    assert main(["config", "import", str(old)]) == 0

    out, err = capsys.readouterr()
    (tmp_path / "new.yaml").write_text(out)
    assert load_config(tmp_path / "new.yaml").config.train.epochs == 2
    assert err.startswith(f"notice: {old}:3: [model] image_width: 64 x 32 is not square")


def test_there_is_a_document_too(old, capsys):
    assert main(["config", "import", str(old), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert "epochs: 2" in document["results"][0]["yaml"]
    assert "not square" in document["notices"][0]


def test_with_output_the_written_files_are_listed(old, tmp_path, capsys):
    run = tmp_path / "my run"

    assert main(["config", "import", str(old), "--output", str(run), "--quiet"]) == 0

    assert capsys.readouterr() == (f"{run / 'config.yaml'}\n", "")


def test_weights_need_an_output(old, capsys):
    assert main(["config", "import", str(old), "--weights", "best_model.h5"]) == 2

    assert capsys.readouterr().err == (
        "error: --weights needs --output\nhint: name the run folder to write\n"
    )


def test_problems_are_told_with_line_and_exit_code_2(old, capsys):
    old.write_text(OLD.replace("epochs = 2", "epochs = 2o"))

    assert main(["config", "import", str(old)]) == 2

    err = capsys.readouterr().err
    assert err.startswith(f"error: {old}:14: [train] epochs: can't read '2o'")
