import errno
import logging
import os
from dataclasses import replace

import pytest

from cervseg.classes import Classes
from cervseg.contract import Preprocessing, TrainingImage
from cervseg.data.sampling import TileSampler
from cervseg.errors import BudgetError, ConfigError, DataError, FullDiskError

pytestmark = pytest.mark.usefixtures("started")

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})


@pytest.fixture
def fit():
    from cervseg.training.trainer import fit

    return fit


@pytest.fixture
def draft():
    from cervseg.training.trainer import untrained_contract

    return untrained_contract


def test_a_tile_that_breaks_in_a_worker_is_told_as_what_it_is(
    *, fit, make_setup, make_dataset, tmp_path
):
    """TensorFlow turns what a worker raises into an error of its own."""
    data = make_dataset(train=8)
    sampler = TileSampler((True,) * 8, 2, None, 0.5, seed=5)
    early = {i for step in (0, 1) for i in sampler.draw(0, step)}  # read before all else
    late = next(i for step in (2, 3) for i in sampler.draw(0, step) if i not in early)
    path = data.path(data.tiles_of("train")[late].tile)
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(DataError) as caught:
        fit(make_setup(tmp_path, data=data, workers=2))

    assert str(caught.value).startswith(f"{path}: can't be decoded: ")


def test_a_full_disk_under_tensorboard_is_not_taken_for_a_lack_of_memory(
    *, fit, make_setup, tmp_path, monkeypatch
):
    import keras
    import tensorflow as tf

    class Full(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            said = f"{tmp_path}/events.v2; {os.strerror(errno.ENOSPC)}"
            raise tf.errors.ResourceExhaustedError(None, None, said)

    monkeypatch.setattr("cervseg.training.trainer.open_tensorboard", lambda run: Full())
    setup = make_setup(tmp_path, tensorboard=True)

    with pytest.raises(FullDiskError) as caught:
        fit(setup)

    assert str(caught.value) == f"{setup.run.tensorboard}: the disk is full"


@pytest.mark.slow
def test_a_validation_tile_that_breaks_is_told_too(*, fit, make_setup, make_dataset, tmp_path):
    data = make_dataset()
    path = data.path(data.tiles_of("valid")[-1].mask)
    path.unlink()

    with pytest.raises(DataError) as caught:
        fit(make_setup(tmp_path, data=data))

    assert str(caught.value) == f"{path}: no such file"


def test_no_training_tile_is_refused(*, fit, make_setup, dataset, tmp_path):
    data = replace(dataset, tiles=tuple(dataset.tiles_of("valid")))

    with pytest.raises(DataError) as caught:
        fit(make_setup(tmp_path, data=data))

    assert str(caught.value) == f"{dataset.folder}: no training tiles in it"


def test_a_tile_off_the_stride_is_refused_with_one_that_would_do(
    *, fit, make_setup, dataset, tmp_path
):
    data = replace(dataset, tile_size=35)

    with pytest.raises(ConfigError) as caught:
        fit(make_setup(tmp_path, data=data))

    assert str(caught.value) == "'data.tile_size' 35 is no multiple of the network's stride 2"
    assert caught.value.hint == "34 or 36 would do, or a network of fewer levels"


def test_a_tile_of_the_section_for_inference_becomes_the_models_own(fit, make_setup, tmp_path):
    contract, _ = fit(replace(make_setup(tmp_path / "fits", epochs=1), inference_tile=46))

    assert contract.tile_size == 46
    with pytest.raises(ConfigError, match="'tiled_infer.tile_size' 45 is no multiple of"):
        fit(replace(make_setup(tmp_path / "misfit"), inference_tile=45))


def test_an_exclusive_loss_for_independent_classes_is_refused(draft, make_setup, tmp_path):
    with pytest.raises(ConfigError) as caught:
        draft(make_setup(tmp_path, loss="categorical_crossentropy"))

    assert str(caught.value) == (
        "'train.loss' categorical_crossentropy needs 'model.final_activation' softmax"
    )


@pytest.mark.parametrize(
    ("classes", "wanted", "activation", "channels"),
    [
        (Classes.of({"cell": "#00ff00"}), "auto", "sigmoid", 1),
        (Classes.of({"cell": "#00ff00"}), "softmax", "softmax", 2),
        (TWO, "auto", "softmax", 3),
        (TWO, "sigmoid", "sigmoid", 2),
    ],
)
def test_classes_decide_the_activation_unless_it_is_named(
    *, draft, make_setup, dataset, tmp_path, classes, wanted, activation, channels
):
    setup = make_setup(tmp_path, data=replace(dataset, classes=classes))
    setup = replace(setup, model=setup.model.model_copy(update={"final_activation": wanted}))

    contract = draft(setup)

    assert (contract.activation, contract.channels) == (activation, channels)
    assert contract.threshold == (0.5,) * len(classes)


def test_the_contract_knows_what_the_model_was_fitted_on(*, draft, make_setup, dataset, tmp_path):
    held_out = dataset.sources[0]._replace(name="x", sha256="x", split="test")
    data = replace(dataset, sources=(*dataset.sources, held_out), scale=0.25)
    setup = replace(make_setup(tmp_path, data=data), preprocessing=Preprocessing("hsv", 1.5, 0.5))

    contract = draft(setup)

    assert contract.trained_on == tuple(
        TrainingImage(row.sha256, None, split)
        for row, split in zip(dataset.sources, ["train"] * 4 + ["valid"] * 3, strict=True)
    )
    assert (contract.scale, contract.tile_size, contract.seed) == (0.25, 32, 5)
    assert contract.preprocess == Preprocessing("hsv", 1.5, 0.5)
    assert contract.options["dropout_seed"] == 5, "that of the run where none is named"
    assert contract.versions["cervseg"]


def test_sharpening_widens_the_receptive_field_by_a_pixel(make_setup, tmp_path):
    from cervseg.models.folder import build_network, with_geometry
    from cervseg.training.trainer import untrained_contract

    setup = make_setup(tmp_path)
    found = []
    for sharpen in (0.0, 0.5):
        contract = untrained_contract(replace(setup, preprocessing=Preprocessing(sharpen=sharpen)))
        model = build_network(contract, where="here")
        found.append(with_geometry(contract, model).receptive_field)

    assert found == [9, 10]


def test_a_step_far_over_the_memory_is_refused_with_the_batch_that_fits(
    *, fit, make_setup, tmp_path, monkeypatch
):
    from cervseg.models.costs import training_bytes
    from cervseg.models.folder import build_network
    from cervseg.training.trainer import untrained_contract

    setup = make_setup(tmp_path, batch_size=64)
    model = build_network(untrained_contract(setup), where="here")
    enough = training_bytes(model, 5, 32) + 1
    monkeypatch.setattr("cervseg.machine.available_memory", lambda: enough)

    with pytest.raises(BudgetError) as caught:
        fit(setup)

    assert str(caught.value) == "out of memory at 'train.batch_size' 64 with tiles of 32"
    assert caught.value.hint == "about 5 would fit: --set train.batch_size=5"


def test_where_not_even_one_tile_fits_other_keys_are_named(
    *, fit, make_setup, tmp_path, monkeypatch
):
    monkeypatch.setattr("cervseg.machine.available_memory", lambda: 1000)

    with pytest.raises(BudgetError) as caught:
        fit(make_setup(tmp_path))

    assert caught.value.hint == "smaller 'data.tile_size' or 'model.base_filters' would help"


@pytest.mark.slow
def test_without_validation_the_last_weights_are_kept_and_that_is_told(
    *, fit, make_setup, dataset, tmp_path, caplog
):
    data = replace(dataset, tiles=tuple(dataset.tiles_of("train")))
    caplog.set_level(logging.WARNING, "cervseg")

    _, state = fit(make_setup(tmp_path, data=data, epochs=1))

    told = [record.message for record in caplog.records if record.name == "cervseg"]
    assert told == ["no validation tiles: the last epoch's weights are kept"]
    assert state.best == state.rows[0]["loss"] and "val_loss" not in state.rows[0]
