"""`cervseg train --resume` refuses what is no longer the training that was begun."""

import json

import pytest
import yaml

from cervseg.commands.train import train
from cervseg.config.loader import dump_config, load_config
from cervseg.data.labelled import labelled_tiles
from cervseg.data.samples import read_tile
from cervseg.errors import ConfigError, DataError, OutputError
from cervseg.runs import Run


@pytest.fixture
def begun(tmp_path, dataset):
    """Loads a config with changes; the run it names was begun without them."""

    def load(**changes):
        plain = {
            "data": {"tile_size": 32, "output": str(dataset.folder)},
            "train": {"output": str(tmp_path / "run"), "epochs": 3},
        }
        for key, value in changes.items():
            section, _, name = key.partition("__")
            plain.setdefault(section, {})[name] = value
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(plain))
        return load_config(path).config

    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(dump_config(load()))
    record = {"format": 1, "dataset": dataset.fingerprint}
    (run / "run.json").write_text(json.dumps(record))
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.npz").write_bytes(b"of an epoch that ended")
    return load


def test_a_changed_config_is_refused_with_the_keys_that_differ(begun, tmp_path):
    config = begun(train__epochs=4, model__base_filters=8, runtime__seed=1, infer__blur=2)

    with pytest.raises(ConfigError) as caught:
        train(config, resume=True)

    assert str(caught.value) == (
        f"{tmp_path / 'run'}: can't resume with another config: "
        "model.base_filters, train.epochs, runtime.seed differ"
    )
    assert caught.value.hint == "undo the change, or start anew with --overwrite"


def test_a_changed_dataset_is_refused(begun, tmp_path, dataset):
    record = {"format": 1, "dataset": "of yesterday"}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))

    with pytest.raises(DataError) as caught:
        train(begun(), resume=True)

    assert str(caught.value) == (
        f"{dataset.folder}: changed since the run in {tmp_path / 'run'} began"
    )


def test_without_resume_the_run_is_in_the_way(begun, tmp_path):
    with pytest.raises(OutputError, match="the output folder is not empty"):
        train(begun())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__tile_size": 64}, "{} was cut with another config: data.tile_size"),
        ({"data__scale": 0.5}, "{} was cut with another config: data.scale"),
        ({"data__classes": {"nucleus": "#ff0000"}, "data__overlap": 8},
         "{} was cut with another config: data.classes, data.overlap"),
    ],
)  # fmt: skip
def test_a_dataset_cut_in_another_way_is_refused(*, begun, dataset, changes, message):
    with pytest.raises(ConfigError) as caught:
        train(begun(**changes), resume=True)

    assert str(caught.value) == message.format(dataset.folder)
    assert caught.value.hint == (
        "undo the change, or cut it again: cervseg dataset-tile CONFIG --overwrite"
    )


def test_a_photograph_of_the_validation_that_is_another_now_is_refused(begun, dataset):
    first, second = (dataset.path(row.image) for row in dataset.sources_of("valid")[:2])
    original = first.read_bytes()
    first.write_bytes(second.read_bytes())

    try:
        with pytest.raises(DataError) as caught:
            train(begun(), overwrite=True)
    finally:  # the dataset is that of other tests, too
        first.write_bytes(original)

    assert str(caught.value) == f"{first}: changed since the dataset was cut"


def test_a_tile_that_is_another_now_is_refused(dataset):
    tiles = labelled_tiles(dataset, dataset.tiles_of("train"))
    read_tile(tiles[0], dataset.classes)

    with pytest.raises(DataError, match="changed since the dataset was cut"):
        read_tile(tiles[0]._replace(image=tiles[1].image), dataset.classes)


def test_a_config_of_ones_own_in_the_run_folder_is_kept(tmp_path, dataset, caplog):
    run, config = Run(tmp_path / "run"), tmp_path / "run" / "config.yaml"
    run.folder.mkdir()
    mine = f"# mine\ndata: {{tile_size: 32, output: {dataset.folder}}}\n"
    mine += f"train: {{output: {run.folder}, loss: categorical_crossentropy}}\n"
    config.write_text(mine)
    caplog.set_level("INFO", "cervseg")

    for _ in range(2):  # refused once and again
        with pytest.raises(ConfigError, match="needs 'model.final_activation' softmax"):
            train(config)

    (kept,) = run.folder.glob("config.yaml_*_bak")
    assert kept.read_text() == mine
    assert load_config(config).config == load_config(kept).config
    assert run.has_only_begun()
    assert f"yours is {kept}" in caplog.text


def test_a_run_that_was_refused_before_its_first_epoch_is_in_nobodys_way(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("train: {loss: dice}\n")
    (run / "run.json").write_text("{}")

    assert Run(run).has_only_begun()


def test_a_folder_with_anything_else_in_it_is(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "photo.jpg").write_bytes(b"")

    assert not Run(tmp_path).has_only_begun()
