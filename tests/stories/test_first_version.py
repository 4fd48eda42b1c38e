"""Folders that the first version wrote, in `tests/fixtures/first.zip`: are they still understood?

Six fields of 37 x 45, their dataset, a run of eight epochs of a small U-Net, the mask and objects
of one field. They were made by `dataset-tile`, `train` and `tiled-infer` with the `config.yaml`
that lies beside them. A dataset names its photographs by their whole paths, which are put in here,
and a run its dataset by a digest, those paths in it.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import cervseg
from cervseg.data.manifest import open_dataset
from cervseg.errors import DataError, ModelError

FIXTURE = Path(__file__).parents[1] / "fixtures/first.zip"


@pytest.fixture
def first(started, tmp_path, monkeypatch):
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(tmp_path)
    sources = tmp_path / "dataset/sources.csv"
    sources.write_text(sources.read_text().replace("@", str(tmp_path)))
    record = json.loads((tmp_path / "run/run.json").read_text())
    record["dataset"] = open_dataset(tmp_path / "dataset").fingerprint
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_model_gives_the_mask_that_it_gave(first):
    cervseg.tiled_infer(
        "config.yaml", model=["run/model"], images=["fields/images/field0.png"], output="again"
    )

    old, new = (np.asarray(Pillow.open(f"{d}/masks/field0.png")) for d in ("out", "again"))
    assert 0.1 < (old > 0).mean() < 0.9
    assert np.mean(old != new) <= 0.001, "another processor may round a pixel otherwise"


def test_its_run_is_scored_reported_and_resumed(first):
    scored = cervseg.evaluate("config.yaml")
    again = cervseg.train("config.yaml", resume=True)

    assert scored.results[0]["scores"]["dice"]["images"] == 2
    assert (again.results[0]["epochs"], again.results[0]["ended"]) == (8, "epochs")
    cervseg.report(["run"], output="page.html")
    assert "a training" in (first / "page.html").read_text()


def test_its_dataset_is_checked_and_trained_on_and_its_model_started_from(first):
    assert cervseg.dataset_check("config.yaml", output="checked").exit_code == 0

    config = cervseg.load_config(
        "config.yaml", ["train.output=more", "train.epochs=1", "train.start_from=run"]
    ).config
    assert cervseg.train(config).results[0]["epochs"] == 1


@pytest.mark.parametrize(
    ("name", "error"),
    [("dataset/dataset.json", DataError), ("run/run.json", DataError),
     ("run/model/contract.json", ModelError)],
)  # fmt: skip
def test_a_file_of_a_later_version_is_refused_with_the_reason(first, name, error):
    document = json.loads((first / name).read_text())
    (first / name).write_text(json.dumps({**document, "format": 99}))

    with pytest.raises(error, match=rf"{name}: .*format 99"):
        if name.startswith("run/model"):
            cervseg.evaluate("config.yaml")
        else:
            cervseg.train("config.yaml", resume=True)
