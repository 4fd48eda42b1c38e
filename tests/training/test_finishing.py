import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.contract import Contract
from cervseg.models.folder import load_model
from cervseg.runs import Run

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture
def contract(dataset):
    return Contract(
        architecture="unet",
        options={"base_filters": 2, "num_layers": 2, "normalization": "none"},
        classes=dataset.classes, activation="sigmoid", tile_size=32, align=2, receptive_field=9,
        margin=9,
    )  # fmt: skip


@pytest.fixture
def trained(tmp_path, contract):
    """A run with best weights, and what they are."""
    from cervseg import runtime
    from cervseg.models.folder import build_network
    from cervseg.models.weights import save_weights

    runtime.seed_everything(0)  # whatever ran before
    run, model = Run(tmp_path), build_network(contract, where="here")
    for variable in model.weights:
        variable.assign(np.array(variable) + 0.01)
    save_weights(run.best, model)
    best = {v.path: np.array(v) for v in model.weights}
    return run, best


def test_the_model_has_the_weights_of_the_best_epoch(trained, contract, dataset):
    from cervseg.training.finishing import finish

    run, best = trained
    data = replace(dataset, sources=tuple(dataset.sources_of("train")))

    written = finish(run, contract, dataset=data)

    loaded = load_model(run.model, Contract.load(run.model))
    for variable in loaded.weights:
        np.testing.assert_array_equal(np.array(variable), best[variable.path])
    assert Contract.load(run.model) == written
    assert written.created


def test_without_validation_fields_the_margin_is_of_training_fields_and_the_threshold_kept(
    trained, contract, dataset
):
    from cervseg.training.finishing import finish

    run, _ = trained
    data = replace(dataset, sources=tuple(dataset.sources_of("train")))

    written = finish(run, replace(contract, threshold=(0.7,)), dataset=data)

    assert written.margin is not None and written.threshold == (0.7,)


def test_margin_and_threshold_are_measured_on_validation_fields(
    *, trained, contract, dataset, tmp_path
):
    from cervseg.training.finishing import finish

    run, _ = trained
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 256, (51, 70, 3), np.uint8)).save(tmp_path / "f.png")
    Pillow.fromarray(rng.integers(0, 2, (51, 70), np.uint8)).save(tmp_path / "f_mask.png")
    source = dataset.sources_of("valid")[0]._replace(
        image=str(tmp_path / "f.png"), mask=str(tmp_path / "f_mask.png")
    )

    written = finish(run, contract, dataset=replace(dataset, sources=(source,)))

    assert 0 <= written.margin <= 9 and (written.margin % 2 == 0 or written.margin == 9)
    assert 0.05 <= written.threshold[0] <= 0.95
    assert written.threshold != (0.5,)
    assert written.temperature != 1  # random truth: what it says is hardly right
    rows = list(csv.DictReader(run.calibration.read_text().splitlines()))
    assert {float(row["temperature"]) for row in rows} == {1.0, written.temperature}
    kept = finish(run, contract, dataset=replace(dataset, sources=(source,)), temperature=1.5)
    assert kept.temperature == 1.5


def test_a_network_that_sees_the_whole_tile_has_no_margin(trained, contract, dataset):
    from cervseg.training.finishing import finish

    run, _ = trained
    data = replace(dataset, sources=tuple(dataset.sources_of("train")))

    written = finish(run, replace(contract, receptive_field=None), dataset=data)

    assert written.margin is None
