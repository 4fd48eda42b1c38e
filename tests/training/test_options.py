"""Averages, half precision, side outputs, TensorBoard: what a training may do beside learning."""

import csv

import h5py
import numpy as np
import pytest

from cervseg.errors import ConfigError

pytestmark = pytest.mark.usefixtures("started")

NESTED = {
    "architecture": "unetplusplus", "base_filters": 2, "num_layers": 3, "deep_supervision": True,
}  # fmt: skip


@pytest.fixture
def fit():
    from cervseg.training.trainer import fit

    return fit


def weights(path):
    with h5py.File(path) as file:
        found = {}
        file.visititems(
            lambda name, item: (
                found.update({name: np.asarray(item)}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def rows(setup):
    with setup.run.history_table.open() as file:
        return list(csv.DictReader(file))


def test_the_best_weights_are_the_average_and_the_state_holds_both(fit, make_setup, tmp_path):
    keys = {"optimizer": "lion", "learning_rate": 0.1, "schedule": "flat", "ema": 0.999}
    setup = make_setup(tmp_path, epochs=1, **keys)

    fit(setup)

    mean = weights(setup.run.best)["down0_conv1/kernel"]
    with np.load(setup.run.state) as state:
        assert np.abs(state["v00000"] - mean).max() > 0.01
        kept = [state[name] for name in state.files if name.startswith("v")]
    assert any(np.array_equal(mean, variable) for variable in kept)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lion", "sgd"])
def test_the_average_of_the_weights_forgets_its_beginning(optimizer):
    """Without the warm-up a hundred steps from 1 would leave it at 0.37 of the way there."""
    import keras

    from cervseg.config.training import TrainConfig
    from cervseg.training.optimization import make_optimizer

    config = TrainConfig(optimizer=optimizer, learning_rate=0.01, schedule="flat", ema=0.99)
    made = make_optimizer(config, steps_per_epoch=5)
    start = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    network = keras.Sequential([keras.Input((1,)), start])
    network.compile(made, loss=lambda _, guessed: keras.ops.sum(guessed))
    one, mean = np.ones((1, 1)), None
    for step in range(30):
        network.train_on_batch(one, one)
        weight = network.get_weights()[0].item()
        share = 0 if mean is None else min(0.99, (1 + step) / (4 + step))
        mean = weight if mean is None else share * mean + (1 - share) * weight

    assert made.get_config()["ema_momentum"] == 0.99
    averages = made._model_variables_moving_average  # noqa: SLF001  Keras shows it nowhere else
    assert float(averages[0].numpy().item()) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_half_precision_leaves_a_model_of_float32(*, fit, make_setup, dataset, tmp_path, precision):
    import keras

    from cervseg.models.folder import load_model
    from cervseg.training.finishing import finish

    setup = make_setup(tmp_path, epochs=2, precision=precision)
    contract, state = fit(setup)
    contract = finish(setup.run, contract, dataset=dataset)

    assert keras.config.dtype_policy().name == "float32", "the next network is built as ever"
    model = load_model(setup.run.model, contract)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert state.rows[1]["loss"] < state.rows[0]["loss"] * 1.5
    assert {array.dtype for array in weights(setup.run.best).values()} == {np.dtype("float32")}


def test_side_outputs_are_trained_and_leave_nothing_behind(*, fit, make_setup, dataset, tmp_path):
    from cervseg.models.folder import load_model
    from cervseg.training.finishing import finish

    setup = make_setup(tmp_path, model=NESTED, epochs=1)
    contract, _ = fit(setup)
    contract = finish(setup.run, contract, dataset=dataset)

    assert set(rows(setup)[0]) == {
        "epoch", "dice", "loss", "val_dice", "val_loss", "learning_rate",
    }  # fmt: skip
    assert not [name for name in weights(setup.run.best) if name.startswith("side")]
    assert len(load_model(setup.run.model, contract).outputs) == 1


def test_the_loss_of_side_outputs_is_weighed(*, fit, make_setup, tmp_path, monkeypatch):
    """Before the first step each of two outputs has a loss near one another."""
    losses = []

    def measure(setup, networks, contract, *, data, **_):
        images, masks = data[0][0]
        losses.append(float(networks[0].loss(masks, networks[0](images))))

    monkeypatch.setattr("cervseg.training.trainer._run_epochs", measure)
    for weight in (0.0, 1.0):
        fit(make_setup(tmp_path / str(weight), model=NESTED, side_weight=weight))

    assert 1.5 < losses[1] / losses[0] < 3


def test_tensorboard_gets_every_column_of_the_history(fit, make_setup, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    from tensorboard.util.tensor_util import make_ndarray

    setup = make_setup(tmp_path, epochs=2, tensorboard=True)

    fit(setup)

    found = {}
    for side in ("train", "validation"):
        events = accumulator.EventAccumulator(
            str(setup.run.tensorboard / side), size_guidance={"tensors": 0}
        )
        events.Reload()
        for tag in events.Tags()["tensors"]:
            values = [float(make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
            found[f"{side}/{tag}"] = values
    history = rows(setup)
    for tag, column in (
        ("train/epoch_loss", "loss"), ("validation/epoch_loss", "val_loss"),
        ("train/epoch_dice", "dice"), ("train/epoch_learning_rate", "learning_rate"),
    ):  # fmt: skip
        np.testing.assert_allclose(found[tag], [float(row[column]) for row in history], rtol=1e-5)


def test_tensorboard_that_is_not_installed_is_one_line(*, fit, make_setup, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigError) as caught:
        fit(make_setup(tmp_path, tensorboard=True))

    assert str(caught.value) == "'train.tensorboard' needs the package tensorboard"
    assert caught.value.hint == "pip install 'cervseg[tensorboard]'"
