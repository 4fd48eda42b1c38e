"""The same training with several seeds, and once more from its own record."""

import csv
import json
import shutil

import numpy as np
import pytest

from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.contract import Contract
from cervseg.errors import CheckError, ConfigError, DataError, OutputError
from cervseg.files import read_json, write_json


@pytest.fixture(autouse=True, scope="module")
def no_curves():
    """Pictures of curves take longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory, started, draw_discs):
    """Six fields of 37 x 45 in three splits, cut."""
    from cervseg.commands.dataset_tile import dataset_tile

    folder = tmp_path_factory.mktemp("data")
    draw_discs(folder, [f"field{number}" for number in range(6)])
    config = Config.model_validate(
        {
            "data": {
                "output": str(folder / "tiles"), "tile_size": 32, "overlap": 8,
                "source": {"images": str(folder / "images"), "masks": str(folder / "masks")},
                "split": {"kind": "fractions", "train": 0.4, "valid": 0.2, "test": 0.4},
            },
            "model": {"base_filters": 2, "num_layers": 2, "dropout_rate": 0.3},
            "train": {
                "epochs": 2, "batch_size": 2, "steps_per_epoch": 2, "learning_rate": 0.01,
                "previews": {"num_infer_images": 0}, "patience": 0, "workers": 2,
            },
            "evaluate": {"overlays": 0, "resamples": 200},
            "runtime": {"seed": 3, "device": "cpu", "threads": 2},
        }
    )  # fmt: skip
    dataset_tile(config)
    return config


def into(config, folder, **train):
    train = config.train.model_copy(update={"output": folder, **train})
    return config.model_copy(update={"train": train})


@pytest.fixture(scope="module")
def repeated(config, tmp_path_factory):
    """Two seeds, and what was reported."""
    from cervseg.commands.repeating import repeat

    folder = tmp_path_factory.mktemp("repeated") / "run"
    return folder, repeat(into(config, folder), seeds=2, config_words="c.yaml")


def test_the_spread_is_that_of_the_seeds_means(repeated):
    folder, report = repeated
    means = []
    for seed in (3, 4):
        assert json.loads((folder / f"seed{seed}/run.json").read_text())["seed"] == seed
        document = json.loads((folder / f"seed{seed}/evaluation/test/scores.json").read_text())
        means.append(document["classes"][0]["scores"]["dice"]["mean"])

    document = read_json(folder / "repeats.json", what="repeats")
    found = document["classes"][0]["spread"]["dice"]
    assert means[0] != means[1]
    assert document["complete"] and document["images"] == 2
    assert found["mean"] == pytest.approx(sum(means) / 2)
    assert found["deviation"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    assert (found["low"], found["high"]) == (min(means), max(means))
    assert report.results[0]["spread"]["dice"] == found
    with (folder / "repeats.csv").open(newline="") as file:
        assert [(row["seed"], float(row["dice"])) for row in csv.DictReader(file)] == [
            ("3", pytest.approx(means[0])), ("4", pytest.approx(means[1]))
        ]  # fmt: skip


def test_its_page_and_its_table_tell_mean_and_deviation(repeated):
    folder, report = repeated

    [table] = report.tables
    assert [row[0] for row in table.rows] == ["3", "4", "mean", "deviation"]
    page = (folder / "report.html").read_text()
    assert "the same training with 2 seeds" in page
    assert "Spread over seeds: cell" in page and "Side by side" in page


def test_what_is_trained_is_kept_and_another_config_refused(config, repeated, monkeypatch):
    from cervseg.commands.repeating import repeat

    folder, report = repeated
    with pytest.raises(OutputError, match="not empty"):
        repeat(into(config, folder), seeds=2)
    with pytest.raises(ConfigError, match=r"train\.epochs differ"):
        repeat(into(config, folder, epochs=3), seeds=2, resume=True)
    monkeypatch.setattr("cervseg.commands.trial.train", None)

    again = repeat(into(config, folder), seeds=2, resume=True, config_words="c.yaml")

    assert again == report


@pytest.mark.parametrize("all_folds", [False, True])
def test_several_processes_do_not_share_several_trainings(config, tmp_path, all_folds):
    from cervseg.commands.repeating import repeat

    runtime = config.runtime.model_copy(update={"processes": 2})
    shared = into(config, tmp_path / "run").model_copy(update={"runtime": runtime})

    with pytest.raises(ConfigError, match=r"--repeats is .* but 'runtime.processes' is 2"):
        repeat(shared, seeds=2, all_folds=all_folds)
    assert not (tmp_path / "run").exists()


def test_one_seed_is_no_repetition(config, tmp_path):
    from cervseg.commands.repeating import repeat

    with pytest.raises(ConfigError, match="--repeats needs 2 seeds or more"):
        repeat(into(config, tmp_path), seeds=1)


@pytest.fixture
def run(repeated, tmp_path):
    """A finished run that a test may spoil."""
    shutil.copytree(repeated[0] / "seed4", tmp_path / "run")
    return tmp_path / "run"


def test_a_run_trained_again_is_equal_and_leaves_nothing_behind(run):
    from cervseg.commands.verifying import verify

    report = verify(run)

    assert report.results == ({"run": str(run), "equal": True, "epochs": 2},)
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_the_run_one_is_in_is_trained_beside_it(run, monkeypatch):
    from cervseg.commands.verifying import verify

    monkeypatch.chdir(run)

    assert verify(".").results[0]["equal"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("where", ["history", "weights", "contract"])
def test_the_first_difference_is_told(run, where):
    from cervseg.commands.verifying import verify

    if where == "history":
        path = run / "history.csv"
        lines = path.read_text().splitlines()
        values = lines[2].split(",")
        column = lines[0].split(",").index("loss")
        values[column] = "0.125"
        path.write_text("\n".join([*lines[:2], ",".join(values)]) + "\n")
        told = r"epoch 2, loss 0\.\d+ instead of 0\.125"
    elif where == "weights":
        import h5py

        with h5py.File(run / "model/model.weights.h5", "r+") as file:
            kernel = file["down0_conv1/kernel"]
            kernel[...] = np.asarray(kernel) + np.float32(0.5)
        told = "weights .*kernel, by up to 0.5"
    else:
        contract = read_json(run / "model/contract.json", what="contract")
        contract.pop("format")
        write_json(run / "model/contract.json", {**contract, "threshold": [0.123]})
        told = r"threshold \(.*\) instead of \(0\.123,\)"

    with pytest.raises(CheckError, match=f"run: trained again it differs: {told}") as caught:
        verify(run)

    assert caught.value.hint == f"the second training is in {run}.verify"
    assert (run.parent / "run.verify/run.json").is_file()


def test_other_versions_are_told_as_the_reason(run):
    from cervseg.commands.verifying import verify

    record = read_json(run / "run.json", what="run")
    record.pop("format")
    record["versions"]["numpy"] = "1.0"
    write_json(run / "run.json", record)
    history = run / "history.csv"
    history.write_text(history.read_text().replace("\n2,", "\n3,"))

    with pytest.raises(CheckError) as caught:
        verify(run)

    assert caught.value.hint.startswith("numpy ") and "instead of 1.0" in caught.value.hint


def test_an_unfinished_run_and_a_changed_dataset_are_refused(run, config, tmp_path):
    from cervseg.commands.verifying import verify

    record = read_json(run / "run.json", what="run")
    record.pop("format")
    write_json(run / "run.json", {**record, "dataset": "0" * 64})
    with pytest.raises(DataError, match=f"changed since the run in {run}"):
        verify(run)
    write_json(run / "run.json", {**record, "ended": "interrupted"})
    with pytest.raises(DataError, match="the training has not ended"):
        verify(run)


def test_a_finished_run_may_take_another_temperature_and_tells_it(run, config):
    from cervseg.commands.train import train

    runtime = config.runtime.model_copy(update={"seed": 4})
    changed = into(config, run, temperature=2.0).model_copy(update={"runtime": runtime})
    before = (run / "history.csv").read_bytes()

    train(changed, resume=True)

    assert Contract.load(run / "model").temperature == 2.0
    assert load_config(run / "config.yaml").config.train.temperature == 2.0
    assert (run / "history.csv").read_bytes() == before
